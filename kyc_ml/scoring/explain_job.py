"""Explain one observation: to an analyst with all that led to its tier, or to its customer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from kyc_ml.config import SourceMapping, load_section
from kyc_ml.contract import ContractedTables, read_tables
from kyc_ml.decision import (
    NO_OVERRIDES,
    Counterfactual,
    Language,
    OverrideBook,
    TierHistory,
    customer_safe,
    disclosable,
    load_overrides,
    save_sheet,
    say_value,
)
from kyc_ml.display import ProgressReporter, say_in_html, say_moment, say_plainly
from kyc_ml.features import DECISION_TIME, OBSERVATION_ID, FeatureTable
from kyc_ml.registry import (
    Bundle,
    explain_rows,
    features_and_facts,
    features_of_bundle,
    load_model,
    reasons_of,
    score_features,
)
from kyc_ml.scoring.case import Case, make_sheet
from kyc_ml.scoring.counterfactual import find_counterfactual
from kyc_ml.scoring.one_observation import find_observation, in_form
from kyc_ml.scoring.scored_dates import read_history
from kyc_ml.storage import require_place


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One observation's score with its reasons.

    Attributes
    ----------
    decided : Timestamp
        The decision, on the clock of the source.
    score : mapping
        The observation's row of the score table.
    contributions : DataFrame
        One row a reason, the strongest first: code, family, text, text_zh, value (NaN where
        missing or a category), peer_median, percentile, contribution (log-odds), share.
    lowering : Counterfactual
        What would lower the tier, in English and Chinese.
    sheet : Path or None
        Where the case sheet was written.
    """

    observation_id: str
    decided: pd.Timestamp
    probability: float
    tier: str
    tier_zh: str
    margin: float
    base_value: float
    score: Mapping[str, Any]
    contributions: pd.DataFrame
    lowering: Counterfactual
    sheet: Path | None

    def _facts(self) -> dict[str, object]:
        lines = [english for english, _ in self.lowering.lines]
        return {
            "decided": say_moment(self.decided),
            "probability": f"{self.probability:.2%}",
            "tier": f"{self.tier} {self.tier_zh}",
            "margin": f"{self.margin:.3f} = {self.base_value:.3f} + all contributions",
            "would lower it": " ".join([*lines, self.lowering.note[0]]),
        }

    def __repr__(self) -> str:
        reasons = {f"{row.contribution:+.2f}": row.text for row in self.contributions.itertuples()}
        return say_plainly(f"Observation {self.observation_id}", {**self._facts(), **reasons})

    def _repr_html_(self) -> str:
        reasons = self.contributions[["text", "contribution", "share"]]
        return say_in_html(
            f"Observation {self.observation_id}", self._facts(), tables=[reasons.round(3)]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the customer of one observation may be told of it; nothing else is here.

    Attributes
    ----------
    facts : DataFrame
        One row a fact: fact, value, fact_zh, value_zh; values in words.
    """

    observation_id: str
    decision_time: pd.Timestamp
    facts: pd.DataFrame


def run_explain(
    *,
    observation: str,
    model: str,
    source: Path,
    data: Path,
    top: int,
    quarantine: Path | None,
    reporter: ProgressReporter,
    sheet: Path | None = None,
    overrides: Path | None = None,
    previous: Sequence[Path] = (),
    language: Language = "en",
) -> Explained:
    """Explain one observation: a transaction id, or CUSTOMER@DATE for a review.

    Parameters
    ----------
    sheet : Path or None
        HTML file to write the case sheet to.
    overrides : Path or None
        Overrides entered for single customers; see `load_overrides`.
    previous : sequence of Path
        Score files of earlier reviews, which hysteresis needs.
    language : {'en', 'zh'}
        Language of the case sheet.

    Raises
    ------
    DatasetError
        If the source has no such observation.
    """
    if sheet is not None:
        require_place(sheet)
    bundle, label = load_model(model)
    form = load_section(source, SourceMapping).identifiers
    book = NO_OVERRIDES if overrides is None else load_overrides(overrides, form=form)
    history = read_history(previous, bundle.policy)
    observation = in_form(observation, form)
    tables, _ = read_tables(source, data, quarantine=quarantine, reporter=reporter, telling="line")
    case = explain_case(bundle, tables, observation, reporter, book=book, history=history, top=top)
    lowering = find_counterfactual(case)
    if sheet is not None:
        content = make_sheet(case, tables, label=label, lowering=lowering, language=language)
        save_sheet(content, sheet)
    return as_explained(case, lowering=lowering, sheet=sheet)


def as_explained(case: Case, *, lowering: Counterfactual, sheet: Path | None = None) -> Explained:
    """Tell of a case what its reader asks first."""
    return Explained(
        observation_id=case.score[OBSERVATION_ID],
        decided=case.decided,
        score=case.score,
        contributions=case.reasons,
        lowering=lowering,
        sheet=sheet,
        **{
            name: case.score[name]
            for name in ("probability", "tier", "tier_zh", "margin", "base_value")
        },
    )


def run_customer_safe(
    *,
    observation: str,
    model: str,
    source: Path,
    data: Path,
    quarantine: Path | None,
    reporter: ProgressReporter,
) -> Told:
    """List what the customer may be told of one observation: see `customer_safe`.

    Raises
    ------
    DatasetError
        If the source has no such observation.
    """
    bundle, _ = load_model(model)
    observation = in_form(observation, load_section(source, SourceMapping).identifiers)
    tables, _ = read_tables(source, data, quarantine=quarantine, reporter=reporter, telling="line")
    observations = find_observation(tables, observation, unit=bundle.config.unit)
    features = features_of_bundle(bundle, tables, observations, reporter)
    return tell(bundle, features)


def tell(bundle: Bundle, features: FeatureTable) -> Told:
    """Say what the customer of the one row of a table may be told, all reasons considered."""
    columns = reasons_of(bundle, features, explain_rows(bundle, features), k=len(features.specs))
    told = disclosable(
        {spec.name: spec for spec in bundle.specs}, families=bundle.policy.tellable_families
    )
    keys = {name: features.keys[name] for name in features.keys.column_names}
    safe = customer_safe(pa.table({**keys, **columns}), told).to_pylist()[0]
    codes = [code for name, code in safe.items() if name.endswith("_code") and code is not None]
    currency = bundle.data["base_currency"]
    rows = []
    for place, code in enumerate(codes, start=1):
        spec = told[code]
        category = spec.kind == "category"
        value = features.category(spec.name)[0] if category else safe[f"fact_{place}_value"]
        rows.append(
            {
                "fact": safe[f"fact_{place}"],
                "value": say_value(spec, value, currency=currency, language="en"),
                "fact_zh": safe[f"fact_{place}_zh"],
                "value_zh": say_value(spec, value, currency=currency, language="zh"),
            }
        )
    return Told(
        observation_id=safe[OBSERVATION_ID],
        decision_time=pd.Timestamp(safe[DECISION_TIME]),
        facts=pd.DataFrame(rows, columns=["fact", "value", "fact_zh", "value_zh"]),
    )


def explain_case(
    bundle: Bundle,
    tables: ContractedTables,
    observation: str,
    reporter: ProgressReporter,
    *,
    book: OverrideBook,
    history: TierHistory | None,
    top: int,
) -> Case:
    """Score one observation and gather all that explains it; `top` reasons at most.

    Raises
    ------
    DatasetError
        If the source has no such observation.
    """
    observations = find_observation(tables, observation, unit=bundle.config.unit)
    features, facts = features_and_facts(bundle, tables, observations, reporter)
    scores = score_features(bundle, features, facts=facts, book=book, history=history)
    columns = reasons_of(bundle, features, explain_rows(bundle, features), k=top)
    names = (
        *("code", "family", "text", "text_zh", "value"),
        *("peer_median", "percentile", "contribution", "share"),
    )
    places = sum(name.endswith("_code") for name in columns)
    rows = [
        {name: columns[f"reason_{place}_{name}"][0].as_py() for name in names}
        for place in range(1, places + 1)
    ]
    numbers = dict.fromkeys(("value", "peer_median", "percentile"), np.float64)
    return Case(
        bundle=bundle,
        features=features,
        facts=facts,
        book=book,
        history=history,
        score=scores.to_pylist()[0],
        reasons=pd.DataFrame(rows, columns=list(names)).astype(numbers),
        timezone=tables.timezone,
    )
