"""Render a report as one self-contained HTML file, for a committee to read and keep.

The page needs no network. Its few lines of script only sort tables. Its content security policy
allows nothing but this script and style, by their hashes.
"""

from collections.abc import Mapping, Sequence

from kyc_ml.display import GLOSSARY, template_environment
from kyc_ml.registry import Entry, SignOff, is_among
from kyc_ml.validation.report.changes import find_changes
from kyc_ml.validation.report.inline import source_hash
from kyc_ml.validation.report.naming import Naming
from kyc_ml.validation.report.numbers import (
    write_change,
    write_day,
    write_interval,
    write_minute,
    write_number,
)
from kyc_ml.validation.report.permission import say_asked, valid_until, view_permitted
from kyc_ml.validation.report.portfolio import (
    say_finding,
    say_level,
    view_periods,
    view_tiers,
)
from kyc_ml.validation.report.view import (
    VERDICTS,
    anchor_of,
    view_families,
    view_figure,
    view_plots,
    view_table,
    view_tiles,
)
from kyc_ml.validation.report.words import word
from kyc_ml.validation.result import Report, Verdict
from kyc_ml.validation.text import Language

_TEMPLATE = "report.html.j2"
_NAMED = 8


def render_report(
    report: Report,
    *,
    language: Language = "en",
    previous: Report | None = None,
    signed: Entry | None = None,
) -> str:
    """Write a report as HTML; every value in it is escaped."""
    environment, naming = template_environment(), Naming.of(report, language)
    style = environment.get_template("style.css.j2").render(
        running=_running(report, language), page=word("page", language)
    )
    style += environment.get_template("report.css.j2").render()
    script = environment.get_template("report.js.j2").render()
    families = view_families(report, language)
    counts = {verdict: sum(each.counts[verdict] for each in families) for verdict in VERDICTS}
    sign_off = None if signed is None else SignOff.from_facts(signed.facts)
    owned = {} if sign_off is None else {each.id: each for each in sign_off.findings}
    return environment.get_template(_TEMPLATE).render(
        language=language,
        t=lambda key: word(key, language),
        say=naming.text,
        name=naming.value,
        day=lambda text: write_day(text, report),
        minute=lambda text: write_minute(text, report),
        anchor_of=anchor_of,
        plain=naming.say,
        number=write_number,
        interval=write_interval,
        difference=write_change,
        figures_of=lambda result: [
            view_figure(figure, result.gates, naming) for figure in result.figures
        ],
        plots_of=lambda result: list(view_plots(result, naming)),
        tables_of=lambda result: [
            view_table(table, result.check.id, naming) for table in result.tables
        ],
        absent=[each for each in report.results if each.verdict == "not_applicable"],
        report=report,
        valid_until=valid_until(report),
        families=families,
        counts=counts,
        level=say_level(report, naming),
        summary=_summary(report, counts, language),
        warnings=_warnings(report, language),
        tiers=view_tiers(report, naming),
        periods=view_periods(report),
        asked=say_asked(report, signed, language),
        permitted=view_permitted(report, signed, naming),
        verdicts=VERDICTS,
        tiles=view_tiles(report, previous, naming),
        findings=[
            (each, say_finding(each, report, naming), owned.get(each.id))
            for each in sorted(report.findings, key=lambda each: each.severity != "red")
        ],
        previous=previous,
        changes=None if previous is None else find_changes(previous, report),
        signed=signed,
        sign_off=sign_off,
        glossary=GLOSSARY,
        files=sorted(report.data.files.items()),
        style=style,
        script=script,
        source_hash=source_hash,
    )


def _summary(report: Report, counts: Mapping[Verdict, int], language: Language) -> list[str]:
    listed = word("comma", language).join(
        word(f"count_{verdict}", language).format(n=counts[verdict])
        for verdict in VERDICTS
        if counts[verdict]
    )
    lines = [word("said_checks", language).format(count=sum(counts.values()), counts=listed)]
    rows = report.current
    lines.append(
        word("said_rows", language).format(
            evaluated=f"{rows.judged:,}",
            positives=f"{rows.positives:,}",
            customers=f"{rows.customers:,}",
            since=write_day(rows.since, report),
            until=write_day(rows.until, report),
        )
    )
    return lines


def _shortened(names: Sequence[str]) -> list[str]:
    """Return the first names, those of critical gates before others."""
    ordered = sorted(names, key=lambda each: not each.endswith("/red"))
    return [*ordered[:_NAMED], *(["…"] if len(names) > _NAMED else [])]


def _warnings(report: Report, language: Language) -> list[str]:
    """Write what a reader must know of policy and people before the figures."""
    policy, trainers = report.policy, report.model.trainer.split(", ")
    listed = word("comma", language).join
    facts = {
        "changed": policy.changed,
        "left_out": policy.left_out,
        "weaker": policy.weaker,
        "relaxed": policy.relaxed,
    }
    found = [
        word(f"warned_policy_{key}", language).format(
            name=policy.name,
            version=policy.version,
            count=len(policy.left_out),
            total=policy.default_gates,
            critical=len(policy.critical_left_out),
            names=listed(_shortened(value)) if isinstance(value, tuple) else "",
        )
        for key, value in facts.items()
        if value
    ]
    if is_among(report.validator, trainers):
        warned = word("warned_validator_trained", language)
        found.append(warned.format(validator=report.validator))
    return found


def _running(report: Report, language: Language) -> str:
    """Return the line at the top of each printed page."""
    model = report.model
    version = f" v{model.version}" if model.version else f" {model.digest[:12]}"
    return word("internal_short", language) + f" · {model.name}{version}"
