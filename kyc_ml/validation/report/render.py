"""Render a report as one self-contained HTML file, for a committee to read and keep.

The page needs no network. Its few lines of script only sort tables. Its content security policy
allows nothing but this script and style, by their hashes.
"""

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from kyc_ml.display import GLOSSARY, template_environment
from kyc_ml.registry import Entry, SignOff, is_among
from kyc_ml.validation.check import FAMILIES
from kyc_ml.validation.report import numbers, portfolio, view
from kyc_ml.validation.report.changes import find_changes
from kyc_ml.validation.report.inline import source_hash
from kyc_ml.validation.report.naming import Naming
from kyc_ml.validation.report.words import word
from kyc_ml.validation.result import Report
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
    model = report.model
    label = f"v{model.version}" if model.version else model.digest[:12]
    style = environment.get_template("style.css.j2").render(
        running=word("internal_short", language) + f" · {model.name} {label}",
        page=word("page", language),
    )
    style += environment.get_template("report.css.j2").render()
    script = environment.get_template("report.js.j2").render()
    until = pd.Timestamp(report.created_at) + pd.Timedelta(days=report.policy.report_valid_days)
    ran = {result.check.family for result in report.results}
    sign_off = None if signed is None else SignOff.from_facts(signed.facts)
    owned = {} if sign_off is None else {each.id: each for each in sign_off.findings}
    return environment.get_template(_TEMPLATE).render(
        language=language,
        t=lambda key: word(key, language),
        say=naming.text,
        name=naming.value,
        day=lambda text: numbers.write_day(text, report),
        minute=lambda text: numbers.write_minute(text, report),
        anchor_of=view.anchor_of,
        plain=naming.say,
        number=numbers.write_number,
        interval=numbers.write_interval,
        difference=numbers.write_change,
        gates_of=view.gates_of,
        severity_of=view.severity_of,
        mark_of=view.mark_of,
        bounds=numbers.write_bounds,
        value=lambda figure: view.say_value(figure, language),
        plots_of=lambda result: list(view.view_plots(result, naming)),
        tables_of=lambda result: [
            view.view_table(table, result.check.id, naming) for table in result.tables
        ],
        absent=[each for each in report.results if each.verdict == "not_applicable"],
        report=report,
        valid_until=numbers.write_day(until.isoformat(), report),
        families={key: title for key, title in FAMILIES.items() if key in ran},
        counts_of=lambda results: Counter(each.verdict for each in results),
        level=portfolio.say_level(report, naming),
        shortened=_shortened,
        own_trainer=is_among(report.validator, model.trainer.split(", ")),
        tiers=portfolio.view_tiers(report, naming),
        periods=portfolio.periods_of(report),
        titles=lambda verdict: [
            naming.say(each.check.title) for each in report.results if each.verdict == verdict
        ],
        verdicts=view.VERDICTS,
        tiles=view.view_tiles(report, previous, naming),
        findings=[
            (each, portfolio.say_finding(each, report, naming), owned.get(each.id))
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


def _shortened(names: Sequence[str]) -> list[str]:
    """Return the first names, those of critical gates before others."""
    ordered = sorted(names, key=lambda each: not each.endswith("/red"))
    return [*ordered[:_NAMED], *(["…"] if len(names) > _NAMED else [])]
