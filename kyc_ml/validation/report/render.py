"""Render a report as one self-contained HTML file, for a committee to read and keep.

The page needs no network. Its few lines of script only sort tables. Its content security policy
allows nothing but this script and style, by their hashes.
"""

from collections.abc import Sequence
from typing import Any

from kyc_ml.display import GLOSSARY, template_environment
from kyc_ml.registry import Entry, SignOff, is_among
from kyc_ml.validation.report.changes import Changes, find_changes
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
    FamilyView,
    anchor_of,
    view_families,
    view_figure,
    view_plots,
    view_rows,
    view_table,
    view_tiles,
)
from kyc_ml.validation.report.words import word
from kyc_ml.validation.result import Report
from kyc_ml.validation.text import Language, say

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
    return environment.get_template(_TEMPLATE).render(
        language=language,
        t=lambda key: word(key, language),
        say=naming.text,
        name=naming.value,
        day=lambda text: write_day(text, report),
        minute=lambda text: write_minute(text, report),
        anchor_of=anchor_of,
        figures_of=lambda result: [
            view_figure(figure, result.gates, naming) for figure in result.figures
        ],
        plots_of=lambda result: list(view_plots(result, naming)),
        tables_of=lambda result: [
            view_table(table, result.check.id, naming) for table in result.tables
        ],
        absent=[each for each in report.results if each.verdict == "not_applicable"],
        report=report,
        identity=_identity(report, language),
        families=families,
        counts=_counts(families),
        level=say_level(report, naming),
        summary=_summary(report, families, language),
        warnings=_warnings(report, language),
        tiers=view_tiers(report, naming),
        periods=view_periods(report),
        asked=say_asked(report, signed, language),
        permitted=view_permitted(report, signed, naming),
        verdicts=VERDICTS,
        tiles=view_tiles(report, previous, naming),
        findings=_findings(report, signed, naming),
        changes=None if previous is None else _changes(previous, report, language),
        rows=view_rows(report, language),
        signed=None if signed is None else _signed(signed, language),
        glossary=[
            (each.term_zh, each.text_zh) if language == "zh" else (each.term, each.text)
            for each in GLOSSARY
        ],
        files=sorted(report.data.files.items()),
        style=style,
        script=script,
        policy="; ".join(
            (
                "default-src 'none'",
                f"style-src {source_hash(style)}",
                f"script-src {source_hash(script)}",
                "base-uri 'none'",
                "form-action 'none'",
            )
        ),
    )


def _counts(families: tuple[FamilyView, ...]) -> dict[str, int]:
    return {verdict: sum(family.counts[verdict] for family in families) for verdict in VERDICTS}


def _summary(report: Report, families: tuple[FamilyView, ...], language: Language) -> list[str]:
    counts = _counts(families)
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


def _identity(report: Report, language: Language) -> list[tuple[str, str, bool]]:
    model, policy = report.model, report.policy
    took = sum(report.seconds.values())
    facts = [
        ("model", model.name, False),
        ("version", model.version, False),
        ("bundle", model.digest, True),
        ("unit", word(model.unit, language), False),
        ("use", word(f"use_{model.unit}", language), False),
        ("trainer", model.trainer, False),
        ("trained_at", write_minute(model.trained_at, report), False),
        ("known_until", write_day(model.known_until, report), False),
        ("features", f"{model.features:,}", False),
        ("trees", f"{model.trees:,}", False),
        ("tier_policy", model.policy, False),
        ("validator", report.validator, False),
        ("created_at", write_minute(report.created_at, report), False),
        ("as_of", write_day(report.as_of, report), False),
        ("gates", f"{policy.label} ({policy.digest[:12]})", False),
        ("valid_until", valid_until(report), False),
        ("data_source", report.data.source, False),
        ("timezone", report.data.timezone, False),
        ("data", report.data.digest, True),
        ("code", _code(report), False),
        ("took", word("seconds", language).format(seconds=f"{took:.0f}"), False),
        ("command", report.command, True),
    ]
    absent = word("not_recorded", language)
    return [(word(key, language), value or absent, bool(value) and code)
            for key, value, code in facts]  # fmt: skip


def _code(report: Report) -> str:
    found = report.environment
    return f"kyc-ml {found.get('code_version', '')} ({str(found.get('code_digest', ''))[:12]})"


def _findings(report: Report, signed: Entry | None, naming: Naming) -> list[dict[str, str]]:
    owned = {} if signed is None else {
        each.id: each for each in SignOff.from_facts(signed.facts).findings
    }  # fmt: skip
    ordered = sorted(report.findings, key=lambda each: each.severity != "red")
    said = {each.id: say_finding(each, report, naming) for each in ordered}
    return [
        {
            "id": each.id,
            "anchor": anchor_of(each.check),
            "severity": each.severity,
            "severity_word": word(each.severity, naming.language),
            "text": said[each.id] or naming.text(each.text),
            "detail": naming.text(each.text) if said[each.id] else "",
            "owner": owned[each.id].owner if each.id in owned else "",
            "due": owned[each.id].due if each.id in owned else "",
        }
        for each in ordered
    ]


def _changes(before: Report, now: Report, language: Language) -> dict[str, Any]:
    found: Changes = find_changes(before, now)
    return {
        "before": f"{before.model.name} v{before.model.version}"
        if before.model.version
        else f"{before.model.name} {before.model.digest[:12]}",
        "comparable": found.comparable,
        "facts": [(word(key, language), was, is_now) for key, was, is_now in found.facts],
        "figures": [
            {
                "check": say(each.check.title, language),
                "anchor": anchor_of(each.check.id),
                "label": say(each.now.measure.label, language),
                "before": write_number(each.before.value, each.before.measure.unit),
                "before_interval": write_interval(each.before),
                "now": write_number(each.now.value, each.now.measure.unit),
                "now_interval": write_interval(each.now),
                "change": write_change(
                    each.before.value, each.now.value, each.now.measure.unit
                ),
                "beyond": each.beyond_chance,
                "headline": each.headline,
            }
            for each in sorted(found.figures, key=lambda each: not each.headline)
        ],
        "verdicts": [
            (say(check.title, language), anchor_of(check.id), was, word(was, language), is_now,
             word(is_now, language))
            for check, was, is_now in found.verdicts
        ],
        "new": [(each.id, say(each.text, language)) for each in found.new],
        "gone": [(each.id, say(each.text, language)) for each in found.gone],
    }  # fmt: skip


def _signed(entry: Entry, language: Language) -> dict[str, Any]:
    sign_off = SignOff.from_facts(entry.facts)
    return {
        "conclusion": sign_off.conclusion,
        "conclusion_word": word(sign_off.conclusion, language),
        "materiality": sign_off.materiality,
        "validator": entry.actor,
        "account": entry.account,
        "time": entry.time,
        "conditions": sign_off.conditions,
        "comment": sign_off.comment,
        "receipt": str(entry.anchor),
    }
