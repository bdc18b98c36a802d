"""The content of a case sheet: everything about one explained observation, as known then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from kyc_ml.contract import CUSTOMER_ID, CUSTOMERS, DIRECTION, TRANSACTION_ID, ContractedTables
from kyc_ml.decision import (
    DAYS,
    CaseSheet,
    Counterfactual,
    EnteredOverride,
    Evidence,
    Language,
    OddsScale,
    OverrideRule,
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
    payment_rows,
    recent_behaviour,
    say_value,
    timelines,
    write_text,
)
from kyc_ml.features import DECISION_TIME, OBSERVATION_ID, Latest, find_rows, name_of
from kyc_ml.registry import Bundle
from kyc_ml.scoring.case import Case

_ROOM: Final = 2.0
"""Log-odds that the scale goes on beyond the base value and the cut-offs (convention)."""
_ENDS: Final = (-30.0, 30.0)
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

    Parameters
    ----------
    tables : ContractedTables
        The source's tables; only rows known at the decision are shown.
    label : str
        Name and version of the model.
    """
    bundle, score = case.bundle, case.score
    decision, customer = case.decided, score[CUSTOMER_ID]
    payments = known_payments(tables, customer, decision=decision)
    segment = case.facts.segment(_segment_feature(bundle))[0]
    return CaseSheet(
        language=language,
        unit=bundle.config.unit,
        model=label,
        tiers=tuple((rule.name, rule.name_zh) for rule in bundle.policy.tiers),
        score={**score, DECISION_TIME: decision},
        since=None,
        expert_grade=_grade_of(score, bundle.policy, language),
        rating=(),
        peers=bundle.reference.name_peers(case.features, language),
        payment=describe_payment(case.observation, payments, tables, language=language)
        if bundle.config.unit == "fraud"
        else (),
        who=describe_customer(tables, customer, payments, decision=decision, language=language),
        cases=known_cases(tables, customer, decision=decision, language=language),
        patterns=(),
        reasons=tuple(_rows(case, tables, payments, language)),
        payments=_pictures(case, payments, language),
        scale=scale_of(bundle.calibrator, bundle.policy, score, segment=segment),
        lowering=lowering,
        measures=recent_behaviour(tables, customer, decision=decision, peers=_peers_of(case)),
        overrides=tuple(_in_force(case, language)),
        history=_earlier(case.history, bundle.policy, customer, decision),
    )


def _grade_of(score: Mapping[str, Any], policy: TierPolicy, language: Language) -> str:
    """Return the name of the expert grade; its card may have other grades than the tiers."""
    name = score["expert_grade"]
    if name is None or policy.expert is None or language == "en":
        return name or ""
    return {grade.name: grade.name_zh for grade in policy.expert.card.grades}[name]


def _rows(case: Case, language: Language) -> list[ReasonRow]:
    specs = {spec.reason_code: spec for spec in case.features.specs}
    currency = case.bundle.data["base_currency"]
    rows = []
    for row in case.reasons.to_dict("records"):
        spec = specs[str(row["code"])]
        category = spec.kind == "category"
        own = case.features.category(spec.name)[0] if category else row["value"]
        usual = case.bundle.reference.modes.get(spec.name) if category else row["peer_median"]
        value, median = (
            say_value(spec, each, currency=currency, language=language) for each in (own, usual)
        )
        place = row["percentile"]
        rows.append(
            ReasonRow(
                code=str(row["code"]),
                family=str(row["family"]),
                text=str(row["text"]),
                text_zh=str(row["text_zh"]),
                value=value,
                peer_median=median,
                percentile=float(place) if has_range(spec) and not np.isnan(place) else None,
                contribution=float(row["contribution"]),
                share=float(row["share"]),
            )
        )
    return rows


def _peers_of(case: Case) -> dict[str, str] | None:
    """Return the column and value of the customers table that define the peers; None for others."""
    reference = case.bundle.reference
    if reference.peers is None or not reference.group_of(case.features)[0]:
        return None
    spec = next(each for each in case.features.specs if each.name == reference.peers)
    value = case.features.category(spec.name)[0]
    match spec.how:
        case Latest(table=table, reading="category", column=column, at=None) if (
            table == CUSTOMERS and column is not None
        ):
            return {name_of(column): value}
        case _:
            return None


def _in_force(case: Case, language: Language) -> list[dict[str, str]]:
    """List what each override in force sets, and its source."""
    policy = case.bundle.policy
    shown = {rule.name: rule.name_zh if language == "zh" else rule.name for rule in policy.tiers}
    listed = []
    for each in list_in_force(case.facts, policy=policy, book=case.book):
        kind, tier = ("tier", each.tier) if each.floor is None else ("floor", each.floor)
        listed.append(
            {
                "code": each.code,
                "gives": write_text("gives", kind, language, tier=shown[str(tier)]),
                "reason": _reason_of(each, language),
                "source": each.source,
                "until": str(each.expiry),
                "approver": each.approver,
            }
        )
    return listed


def _reason_of(override: OverrideRule | EnteredOverride, language: Language) -> str:
    if isinstance(override, EnteredOverride):
        return override.reason
    if language == "zh":
        return override.chinese
    return f"{override.english} {override.chinese}"


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
