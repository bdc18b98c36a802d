"""One explained observation, and its case sheet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from kyc_ml.contract import CUSTOMER_ID, CUSTOMERS, TRANSACTIONS, ContractedTables
from kyc_ml.decision import (
    CaseSheet,
    Counterfactual,
    EnteredOverride,
    Language,
    OverrideBook,
    OverrideRule,
    Pattern,
    ReasonRow,
    TierHistory,
    TierPolicy,
    find_patterns,
    has_range,
    list_in_force,
    recent_behaviour,
    say_value,
    write_text,
)
from kyc_ml.display import ProgressReporter
from kyc_ml.features import DECISION_TIME, FeatureTable, Latest, name_of
from kyc_ml.registry import Bundle, features_and_facts, reasons_of, score_and_grade
from kyc_ml.scoring.one_observation import find_observation

_NUMBERS: Final = ("value", "peer_median", "percentile")
_PUSHES: Final = ("contribution", "share")
_COLUMNS: Final = ("code", "family", "text", "text_zh", *_NUMBERS, *_PUSHES, "feature")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One observation with all that explains it; tables hold its one row.

    Attributes
    ----------
    features, facts : FeatureTable
        What the model reads, and what the tier policy reads.
    score : dict
        The observation's row of the score table.
    reasons : DataFrame
        See `Explained.contributions`.
    patterns : tuple of Pattern
        What the customer's payments show, as known at the decision; the published one first.
    timezone : str
        Time zone of the source, in which dates are shown to people.
    """

    bundle: Bundle
    features: FeatureTable
    facts: FeatureTable
    book: OverrideBook
    history: TierHistory | None
    score: dict[str, Any]
    reasons: pd.DataFrame
    patterns: tuple[Pattern, ...] = ()
    timezone: str = "UTC"

    @property
    def decided(self) -> pd.Timestamp:
        """Time of the decision in the source's zone; its date may differ from the date in UTC."""
        return pd.Timestamp(self.score[DECISION_TIME]).tz_convert(self.timezone)


def make_case(
    bundle: Bundle,
    tables: ContractedTables,
    observation: str,
    *,
    reporter: ProgressReporter,
    book: OverrideBook,
    history: TierHistory | None,
    reasons: int,
) -> Case:
    """Score one observation and collect all that explains it.

    Parameters
    ----------
    observation : str
        Identifier in the form of the tables; see `in_form`.
    reasons : int
        Number of reasons to list, the strongest first.

    Raises
    ------
    DatasetError
        If the source has no such observation.
    """
    observations = find_observation(tables, observation, unit=bundle.config.unit)
    features, facts = features_and_facts(bundle, tables, observations, reporter)
    scored = score_and_grade(bundle, features, facts=facts, book=book, history=history)
    columns = reasons_of(bundle, features, scored.contributions, k=reasons)
    (patterns,) = find_patterns(
        tables[TRANSACTIONS],
        observations,
        timezone=tables.timezone,
        currency=tables.base_currency,
        cash_report=bundle.config.features.amounts.cash_report,
    )
    places = sum(name.endswith("_code") for name in columns)
    rows = [
        {name: columns[f"reason_{place}_{name}"][0].as_py() for name in _COLUMNS}
        for place in range(1, places + 1)
        if columns[f"reason_{place}_code"][0].is_valid
    ]
    listed = pd.DataFrame(rows, columns=list(_COLUMNS))
    return Case(
        bundle=bundle,
        features=features,
        facts=facts,
        book=book,
        history=history,
        score=scored.table.to_pylist()[0],
        # a column of missing values alone would be of objects, not of numbers
        reasons=listed.astype(dict.fromkeys((*_NUMBERS, *_PUSHES), np.float64)),
        patterns=patterns,
        timezone=tables.timezone,
    )


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
    decision = case.decided
    return CaseSheet(
        language=language,
        unit=bundle.config.unit,
        model=label,
        tiers=tuple((rule.name, rule.name_zh) for rule in bundle.policy.tiers),
        score={**score, DECISION_TIME: decision},
        expert_grade=_grade_of(score, bundle.policy, language),
        peers=bundle.reference.name_peers(case.features, language),
        reasons=tuple(_rows(case, language)),
        lowering=lowering,
        measures=recent_behaviour(
            tables, score[CUSTOMER_ID], decision=decision, peers=_peers_of(case)
        ),
        overrides=tuple(_in_force(case, language)),
        history=_earlier(case.history, bundle.policy, score[CUSTOMER_ID], decision),
    )


def _grade_of(score: Mapping[str, Any], policy: TierPolicy, language: Language) -> str:
    """Return the name of the expert grade; its card may have other grades than the tiers."""
    name = score["expert_grade"]
    if name is None or policy.expert is None or language == "en":
        return name or ""
    return {grade.name: grade.name_zh for grade in policy.expert.card.grades}[name]


def _rows(case: Case, language: Language) -> list[ReasonRow]:
    specs = {spec.name: spec for spec in case.features.specs}
    currency = case.bundle.data["base_currency"]
    rows = []
    for row in case.reasons.to_dict("records"):
        if row["feature"] is None:  # nothing stands out
            continue
        spec = specs[str(row["feature"])]
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
    if not reference.peers or not reference.group_of(case.features)[0]:
        return None
    spec = next(each for each in case.features.specs if each.name == reference.peers[0])
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
