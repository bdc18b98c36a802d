"""run_explain: why one observation has its probability and its tier, and what would lower it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kyc_ml.bundle import Bundle
from kyc_ml.casework import Drop, save_sheet
from kyc_ml.engine.writing import require_place
from kyc_ml.explain import Change, find_change, make_reasons
from kyc_ml.features.table import FeatureTable
from kyc_ml.jobs.case import Case, make_sheet
from kyc_ml.jobs.choosing import find_observation
from kyc_ml.jobs.loading import features_and_facts, load_model
from kyc_ml.jobs.reading import read_tables
from kyc_ml.jobs.tiering import read_history
from kyc_ml.jobs.watch import Watch
from kyc_ml.score import score_features
from kyc_ml.tiers import (
    NOBODY,
    Lowering,
    OverrideBook,
    TierHistory,
    find_lowering,
    load_overrides,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One observation's score with its reasons.

    Attributes
    ----------
    score : mapping
        The observation's row of the score table.
    contributions : DataFrame
        One row a reason, the strongest first: code, family, text, text_zh, value (NaN where
        missing or a category), peer_median, percentile, contribution (log-odds), share.
    lowering : Drop
        What would lower the tier.
    sheet : Path or None
        Where the case sheet was written.
    """

    observation_id: str
    probability: float
    tier: str
    tier_zh: str
    margin: float
    base_value: float
    score: Mapping[str, Any]
    contributions: pd.DataFrame
    lowering: Drop
    sheet: Path | None


def run_explain(
    *,
    observation: str,
    model: str,
    source: Path,
    data: Path,
    top: int,
    quarantine: Path,
    watch: Watch,
    sheet: Path | None = None,
    overrides: Path | None = None,
    previous: Sequence[Path] = (),
) -> Explained:
    """Explain one observation: a transaction id, or CUSTOMER@DATE for a review.

    Parameters
    ----------
    sheet : Path or None
        HTML file to write the case sheet to.
    overrides : Path or None
        Overrides entered for single customers; see `load_overrides`.
    previous : sequence of Path
        Score files of earlier reviews: what hysteresis holds the tier against.

    Raises
    ------
    DatasetError
        If the source has no such observation.
    """
    if sheet is not None:
        require_place(sheet)
    bundle, label = load_model(model)
    book = NOBODY if overrides is None else load_overrides(overrides)
    history = read_history(previous, bundle.policy)
    tables, _ = read_tables(source, data, quarantine=quarantine, watch=watch)
    observations = find_observation(tables, observation, unit=bundle.config.unit)
    features, facts = features_and_facts(bundle, tables, observations, watch)
    case = _explain(bundle, features, facts, book=book, history=history, top=top)
    lowering = _say_lowering(case)
    if sheet is not None:
        save_sheet(make_sheet(case, tables, label=label, lowering=lowering), sheet)
    return Explained(
        observation_id=observation,
        score=case.score,
        contributions=case.reasons,
        lowering=lowering,
        sheet=sheet,
        **{
            name: case.score[name]
            for name in ("probability", "tier", "tier_zh", "margin", "base_value")
        },
    )


def _explain(
    bundle: Bundle,
    features: FeatureTable,
    facts: FeatureTable,
    *,
    book: OverrideBook,
    history: TierHistory | None,
    top: int,
) -> Case:
    scores = score_features(bundle, features, facts=facts, book=book, history=history)
    matrix, _ = features.encode(bundle.vocabularies)
    columns = make_reasons(
        features,
        bundle.model.contributions(matrix).values,
        reference=bundle.reference,
        currency=bundle.data["base_currency"],
        k=top,
    )
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
    )


def _say_lowering(case: Case) -> Drop:
    """Find what would lower the tier, and say it."""
    bundle = case.bundle
    bound = find_lowering(
        case.score["probability"],
        case.facts,
        policy=bundle.policy,
        book=case.book,
        history=case.history,
    )
    if bound.highest is None:
        return Drop(lines=(), note=f"None: no probability would lower it ({bound.held_by}).")
    highest, segments = bound.highest, bundle.calibrator.segments
    segment = None if segments is None else case.features.category(segments.feature)[0]

    def lowers(margin: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        own = np.full(margin.size, segment, dtype=object)
        return np.asarray(bundle.calibrator.probability(margin, own) <= highest)

    matrix, _ = case.features.encode(bundle.vocabularies)
    found = find_change(
        bundle.model, matrix[0], specs={spec.name: spec for spec in bundle.specs}, lowers=lowers
    )
    return _say_change(found, bound, currency=bundle.data["base_currency"])


def _say_change(found: Change, bound: Lowering, *, currency: str) -> Drop:
    if not found.steps:
        searched = "" if found.complete else ", as far as pairs could be tried"
        return Drop(
            lines=(),
            note="None: no change of one or two habits that the customer could take up from now "
            f"on would be enough{searched}.",
        )
    lines = tuple(
        (step.say(currency=currency, chinese=False), step.say(currency=currency, chinese=True))
        for step in found.steps
    )
    return Drop(
        lines=lines,
        note=f"Then the tier would be {bound.tier}, all else as it is: log-odds "
        f"{found.margin:+.3f}. What the model would say, no advice; never for the customer.",
    )
