"""The content of a case sheet: everything about one explained observation, as known then."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import pandas as pd

from kyc_ml.contract import CUSTOMER_ID, CUSTOMERS, TRANSACTION_ID, TRANSACTIONS, ContractedTables
from kyc_ml.decision import (
    DAYS,
    MOST_ROWS,
    CaseSheet,
    Counterfactual,
    EnteredOverride,
    Evidence,
    Language,
    OddsScale,
    OverrideRule,
    Pattern,
    PatternPart,
    Payments,
    ReasonRow,
    TierHistory,
    TierPolicy,
    describe_customer,
    describe_payment,
    flows,
    has_range,
    known_cases,
    known_payments,
    list_in_force,
    list_rows,
    name_grade,
    name_value,
    payment_rows,
    rating_points,
    recent_behaviour,
    say_code,
    say_entered,
    say_value,
    timelines,
    write_text,
)
from kyc_ml.features import DECISION_TIME, OBSERVATION_ID, Latest, find_rows, name_group, name_of
from kyc_ml.model import Calibrator
from kyc_ml.scoring.case import Case

_ROOM: Final = 2.0
"""Log-odds that the scale has beyond the base value and the cut-offs (convention)."""
_EXACT: Final = 1e-6
_PATTERNS: Final = 3
"""Patterns that are shown: further ones repeat the rows of the first (convention)."""
_ENDS: Final = (-100.0, 100.0)
"""Margins between which cut-offs are looked for: probabilities are 0 and 1 beyond."""


def make_sheet(
    case: Case,
    tables: ContractedTables,
    *,
    label: str,
    lowering: Counterfactual,
    language: Language,
) -> CaseSheet:
    """Collect the content of a case sheet.

    `tables`: the source's tables; only rows known at the decision are shown.
    `label`: name and version of the model.
    """
    bundle, score = case.bundle, case.score
    decision, customer = case.decided, score[CUSTOMER_ID]
    alike = _peers_of(case)
    comma = write_text("sheet", "comma", language)
    scored = score[OBSERVATION_ID] if bundle.config.unit == "fraud" else None
    payments = known_payments(tables, customer, decision=decision, scored=scored)
    segments = bundle.calibrator.segments
    segment = None if segments is None else case.features.category(segments.feature)[0]
    return CaseSheet(
        language=language,
        unit=bundle.config.unit,
        model=label,
        tiers=tuple((rule.name, rule.name_zh) for rule in bundle.policy.tiers),
        score={**score, DECISION_TIME: decision},
        since=_since(case),
        expert_grade=_grade_of(score, bundle.policy, language),
        rating=tuple(_rating(case, language)),
        peers=bundle.reference.name_peers(case.features, language),
        payment=describe_payment(case.observation, payments, tables, language=language)
        if bundle.config.unit == "fraud"
        else (),
        who=describe_customer(tables, customer, payments, decision=decision, language=language),
        cases=known_cases(tables, customer, decision=decision, language=language),
        patterns=tuple(_patterns(case.patterns, payments, tables, language)),
        reasons=tuple(_rows(case, tables, payments, language)),
        payments=_pictures(case, payments, language),
        scale=scale_of(
            bundle.calibrator,
            bundle.policy,
            base=score["base_value"],
            cut_offs=score["segment"],
            segment=segment,
        ),
        lowering=lowering,
        measures=recent_behaviour(
            tables, customer, decision=decision, language=language, peers=alike
        ),
        measured=comma.join(say_code(each, language) for each in alike.values())
        or write_text("peers", "whole", language),
        overrides=tuple(_in_force(case, language)),
        history=_earlier(case.history, bundle.policy, customer, decision),
    )


def _since(case: Case) -> date | None:
    """Return the day since which the customer has the tier; None if it is new or unknown."""
    if case.history is None:
        return None
    place = case.bundle.policy.place(case.score["tier"])
    found = case.history.tier_since(case.score[CUSTOMER_ID], place, decision=case.decided)
    return None if found is None else found.date()


def _rating(case: Case, language: Language) -> Iterator[tuple[str, str, float, float]]:
    """List the sub-items above the lowest score, if the expert rating moved the tier."""
    expert, score = case.bundle.policy.expert, case.score
    if expert is None or score["tier_of_score"] == score["tier_of_model"]:
        return
    specs = {spec.name: spec for spec in case.facts.specs}
    currency = case.bundle.data["base_currency"]
    points = rating_points(case.facts, expert.card)
    for row in points[points["above"] > 0.0].to_dict("records"):
        spec, value = specs[row["feature"]], row["value"]
        if spec.kind == "category" and value is not None:
            said = say_code(value, language)
        else:
            said = say_value(spec, value, currency=currency, language=language)
        name = row["chinese" if language == "zh" else "english"]
        yield name, said, row["points"], row["above"]


def _grade_of(score: Mapping[str, Any], policy: TierPolicy, language: Language) -> str:
    """Return the name of the expert grade; its card may have other grades than the tiers."""
    name = score["expert_grade"]
    if name is None:
        return ""
    if policy.expert is None or language == "en":
        return name_grade(name)
    return {grade.name: grade.name_zh for grade in policy.expert.card.grades}[name]


def _rows(
    case: Case, tables: ContractedTables, payments: pd.DataFrame, language: Language
) -> Iterator[ReasonRow]:
    """Write the reasons, each with the rows behind the feature it names."""
    specs = {spec.name: spec for spec in case.features.specs}
    currency = case.bundle.data["base_currency"]
    # without a feature, the row says that nothing stands out
    listed = [row for row in case.reasons.to_dict("records") if isinstance(row["feature"], str)]
    behind = find_rows(
        tables, case.observation, {row["feature"] for row in listed}, specs=case.bundle.specs
    )
    new = set(payments.loc[payments["new"], TRANSACTION_ID])
    shown: dict[tuple[Evidence, ...], int] = {}
    for number, row in enumerate(listed, start=1):
        spec = specs[row["feature"]]
        place = row["percentile"]
        written = (
            list_rows(
                each,
                customer=case.score[CUSTOMER_ID],
                new=new,
                timezone=case.timezone,
                currency=currency,
                language=language,
                most=max(MOST_ROWS // len(behind[row["feature"]]), 1),
                spec=spec,
            )
            for each in behind[row["feature"]]
        )
        found = tuple(each for each in written if each is not None)
        placed = has_range(spec) and not np.isnan(place)
        name, text = _head_of(row, language)
        yield ReasonRow(
            code=str(row["code"]),
            name=name[:1].upper() + name[1:],
            text=text,
            percentile=float(place) if placed else None,
            contribution=float(row["contribution"]),
            rows=found,
            same_rows=shown.get(found, 0) if found else 0,
        )
        shown.setdefault(found, number)


def _head_of(row: Mapping[Hashable, Any], language: Language) -> tuple[str, str]:
    """Return a reason's head and text: its group's name, otherwise the start of its sentence."""
    text = str(row["text_zh" if language == "zh" else "text"])
    named = name_group(str(row["code"]))
    if named is None:
        head, _, text = text.partition(write_text("sheet", "colon", language).strip())
        return head, text.strip()
    return named[language == "zh"], text


def _patterns(
    patterns: Sequence[Pattern],
    payments: pd.DataFrame,
    tables: ContractedTables,
    language: Language,
) -> Iterator[PatternPart]:
    chinese = language == "zh"
    for each in patterns[:_PATTERNS]:
        rows = payment_rows(
            payments,
            each.transactions,
            bookings=tables.tables[TRANSACTIONS],
            currency=tables.base_currency,
            language=language,
        )
        yield PatternPart(name=each.name[chinese], text=each.text[chinese], rows=rows)


def _pictures(case: Case, payments: pd.DataFrame, language: Language) -> Payments:
    """Draw the timeline, and the flow of the first pattern's period or else of the last days."""
    decision, chinese = case.decided, language == "zh"
    first, last = decision - pd.Timedelta(days=DAYS), decision
    marked: set[str] = {case.score[OBSERVATION_ID]} if case.bundle.config.unit == "fraud" else set()
    period, bands = write_text("sheet", "flow_days", language, days=DAYS), []
    if case.patterns:
        seen = case.patterns[0]
        first, last, marked = seen.first, seen.last, marked | set(seen.transactions)
        days = list(dict.fromkeys((f"{first:%Y-%m-%d}", f"{last:%Y-%m-%d}")))
        to, comma = (write_text(*key, language) for key in (("reason", "to"), ("sheet", "comma")))
        period = write_text("sheet", "flow_pattern", language, days=to.join(days))
        bands = [(first, last, seen.name[chinese] + comma + " – ".join(each[5:] for each in days))]
    inside = payments[payments["time"].between(first, last)]
    customer = case.score[CUSTOMER_ID]
    return Payments(
        timeline=timelines(
            payments, decision=decision, bands=bands, marked=marked, language=language
        ),
        flow=flows(inside, customer=customer, marked=marked, language=language),
        period=period,
    )


def scale_of(
    calibrator: Calibrator, policy: TierPolicy, *, base: float, cut_offs: str, segment: str | None
) -> OddsScale:
    """Find the scale of log-odds that the cases of a model and a segment share.

    `base`: the model's base value.
    `cut_offs`: segment whose cut-offs apply.
    `segment`: segment of the calibration.
    """

    def proba(margin: float) -> float:
        values = None if segment is None else [segment]
        return float(calibrator.probability(np.array([margin]), values)[0])

    found = []
    for place, least in enumerate(policy.cut_offs(cut_offs)):
        low, high = _ENDS
        if place == 0 or proba(high) < least:
            continue
        if proba(low) >= least:  # no probability is below it
            found.append((place, least, -np.inf))
            continue
        while high - low > _EXACT:
            middle = (low + high) / 2
            low, high = (low, middle) if proba(middle) >= least else (middle, high)
        found.append((place, least, high))
    margins = [base, *(margin for _, _, margin in found if margin > _ENDS[0])]
    return OddsScale(low=min(margins) - _ROOM, high=max(margins) + _ROOM, cut_offs=tuple(found))


def _peers_of(case: Case) -> dict[str, str]:
    """Return the columns of the customers table that define the peers, with their values."""
    reference, found = case.bundle.reference, {}
    place = int(reference.group_of(case.features)[0])
    cell = list(reference.groups)[place - 1] if place else ()
    specs = {spec.name: spec for spec in case.features.specs}
    for name, value in zip(reference.peers, cell, strict=False):
        match specs[name].how:
            case Latest(table=table, reading="category", column=column, at=None) if (
                table == CUSTOMERS and column is not None
            ):
                found[name_of(column)] = value
            case _:  # a field of the payment: no two customers are compared by it
                pass
    return found


def _in_force(case: Case, language: Language) -> list[dict[str, str]]:
    """List what each override in force sets, and its source."""
    policy = case.bundle.policy
    shown = {
        rule.name: rule.name_zh if language == "zh" else name_grade(rule.name)
        for rule in policy.tiers
    }
    listed = []
    for each in list_in_force(case.facts, policy=policy, book=case.book):
        kind, tier = ("tier", each.tier) if each.floor is None else ("floor", each.floor)
        listed.append(
            {
                "code": each.code,
                "gives": write_text("gives", kind, language, tier=shown[str(tier)]),
                "reason": _reason_of(each, language),
                "source": say_entered(each.source, language),
                "until": str(each.expiry - timedelta(days=1)),  # its last day, as in the sentence
                "approver": name_value("entered", each.approver, language),
            }
        )
    return listed


def _reason_of(override: OverrideRule | EnteredOverride, language: Language) -> str:
    if isinstance(override, EnteredOverride):
        return say_entered(override.reason, language)
    return override.chinese if language == "zh" else override.english


def _earlier(
    history: TierHistory | None, policy: TierPolicy, customer: str, decision: pd.Timestamp
) -> tuple[tuple[pd.Timestamp, str, str], ...]:
    """List the customer's earlier reviews, the oldest first."""
    if history is None or customer not in history.names:
        return ()
    names = policy.tier_names
    own = np.flatnonzero(history.customer == history.names.get_loc(customer))
    listed = (
        (
            pd.Timestamp(int(history.time[row]), unit="us", tz="UTC").tz_convert(decision.tz),
            names[history.before[row]],
            names[history.of_score[row]],
        )
        for row in own
    )
    return tuple(each for each in listed if each[0] < decision)
