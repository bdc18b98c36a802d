"""run_explain: why one observation has its probability and its tier."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from kyc_ml.explain import make_reasons
from kyc_ml.jobs.choosing import find_observation
from kyc_ml.jobs.loading import features_of, load_model
from kyc_ml.jobs.reading import read_tables
from kyc_ml.jobs.watch import Watch
from kyc_ml.score import score_features


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One observation's score with every contribution.

    Attributes
    ----------
    contributions : DataFrame
        text, text_zh, contribution (log-odds); largest in size first.
    """

    observation_id: str
    probability: float
    tier: str
    tier_zh: str
    margin: float
    base_value: float
    contributions: pd.DataFrame


def run_explain(
    *,
    observation: str,
    model: str,
    source: Path,
    data: Path,
    top: int,
    quarantine: Path,
    watch: Watch,
) -> Explained:
    """Explain one observation: a transaction id, or CUSTOMER@DATE for a review.

    Raises
    ------
    DatasetError
        If the source has no such observation.
    """
    bundle, _ = load_model(model)
    tables, _ = read_tables(source, data, quarantine=quarantine, watch=watch)
    observations = find_observation(tables, observation, unit=bundle.config.unit)
    features = features_of(bundle, tables, observations, watch)
    scores = score_features(bundle, features).to_pylist()[0]
    matrix, _ = features.encode(bundle.vocabularies)
    contributions = bundle.model.contributions(matrix)
    k = min(top, len(features.specs))
    reasons = make_reasons(
        features,
        contributions.values,
        reference=bundle.reference,
        currency=bundle.data["base_currency"],
        k=k,
    )
    rows = [
        {
            "text": reasons[f"reason_{place}_text"][0].as_py(),
            "text_zh": reasons[f"reason_{place}_text_zh"][0].as_py(),
            "contribution": reasons[f"reason_{place}_contribution"][0].as_py(),
        }
        for place in range(1, k + 1)
    ]
    return Explained(
        observation_id=observation,
        contributions=pd.DataFrame(rows),
        **{
            name: scores[name]
            for name in ("probability", "tier", "tier_zh", "margin", "base_value")
        },
    )
