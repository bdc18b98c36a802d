"""What a report asks of the committee, and what it permits the model to be used for."""

from datetime import timedelta

import pandas as pd

from kyc_ml.registry import Entry, SignOff
from kyc_ml.validation.report.naming import Naming
from kyc_ml.validation.report.numbers import write_day
from kyc_ml.validation.report.words import word
from kyc_ml.validation.result import Report
from kyc_ml.validation.text import Language


def valid_until(report: Report) -> str:
    """Return the day until which a report may promote its version."""
    until = pd.Timestamp(report.created_at) + timedelta(days=report.policy.report_valid_days)
    return write_day(until.isoformat(), report)


def say_asked(report: Report, signed: Entry | None, language: Language) -> list[str]:
    """Write what the committee has to do with the report, in sentences."""
    if not report.complete:
        return [word("asked_partial", language)]
    if signed is not None:
        return [word("asked_signed", language)]
    lines = [word(f"asked_{report.verdict}", language)]
    if report.findings:
        lines.append(word("asked_findings", language).format(
            count=len(report.findings), days=report.policy.finding_due_days
        ))  # fmt: skip
    if report.passed:
        lines.append(word("asked_until", language).format(until=valid_until(report)))
    people = {"trainer": report.model.trainer, "validator": report.validator}
    if report.passed and all(people.values()) and not report.policy.relaxed:
        lines.append(word("asked_four_eyes", language).format(**people))
    return lines


def view_permitted(
    report: Report, signed: Entry | None, naming: Naming
) -> list[tuple[str, list[str]]]:
    """Return the statement of permitted use: (label, sentences)."""
    model, language = report.model, naming.language
    current = report.current
    counted = {
        "rows": f"{current.rows:,}", "mature": f"{current.judged:,}",
        "customers": f"{current.customers:,}", "since": write_day(current.since, report),
        "until": write_day(current.until, report), "origin": naming.say(current.origin),
    }  # fmt: skip
    material = [word("material_rows", language).format(**counted)]
    if current.amount is not None:
        material.append(word("material_amount", language).format(amount=f"{current.amount:,.0f}"))
    conditions = SignOff.from_facts(signed.facts).conditions if signed is not None else ()
    named = {
        verdict: [naming.say(r.check.title) for r in report.results if r.verdict == verdict]
        for verdict in ("not_judged", "not_applicable")
    }
    applied = len(report.results) - len(named["not_applicable"])
    depth = [word("depth", language).format(checks=applied, of=len(report.results))]
    depth += [
        word(f"depth_{verdict}", language).format(checks=word("listing", language).join(titles))
        for verdict, titles in named.items()
        if titles
    ]
    limits = [*conditions]
    if not signed and report.findings:
        limits.append(word("conditions_open", language))
    limits.append(word("conditions_rows", language).format(**counted))
    return [
        (word("use", language), [word(f"use_{model.unit}", language)]),
        (word("validated_for", language), [word("validated_rows", language).format(**counted)]),
        (word("period_of_use", language), [
            word("valid_from_until", language).format(
                known=write_day(model.known_until, report),
                made=write_day(report.created_at, report),
                until=valid_until(report),
            )
        ]),
        (word("conditions", language), limits),
        (word("materiality", language), material),
        (word("depth_of_validation", language), depth),
    ]  # fmt: skip
