"""Exact SHAP contributions of a sample of the held-out rows."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from scipy import stats

from kyc_ml.features import FeatureSpec, FeatureTable
from kyc_ml.metrics import Floats, sample_rows
from kyc_ml.model import Model

MOST_ROWS: Final = 1_000
"""Rows explained: as many dots as a figure can show of a feature (convention)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedRows:
    """Contributions of some rows, in log-odds before calibration."""

    features: FeatureTable
    """FeatureTable of n rows."""
    contributions: Floats
    """float64 array of shape (n, p); ``base + contributions.sum(axis=1)`` equals the margin."""
    base: Floats
    """float64 array of shape (n,)."""

    def strength(self) -> pd.DataFrame:
        """Return the mean absolute contribution of each feature, strongest first.

        Returns DataFrame[feature, family, mean_contribution]; in log-odds, without sign; equal ones
        by name.
        """
        size = np.abs(self.contributions).mean(axis=0) if len(self.features) else 0.0
        table = pd.DataFrame(
            {
                "feature": [spec.name for spec in self.features.specs],
                "family": [spec.family for spec in self.features.specs],
                "mean_contribution": size,
            }
        )
        order = ["mean_contribution", "feature"]
        return table.sort_values(order, ascending=[False, True], ignore_index=True)

    def beeswarm(self, *, top: int) -> pd.DataFrame:
        """List the contributions of the strongest features, with the rank of each value.

        Returns DataFrame[feature, contribution, level]; one row a feature and row explained, the
        strongest feature first. level is the value's mid-rank among the rows explained, from 0
        (lowest) to 1 (highest); NaN where it is missing, or the feature is a category and has no
        order.
        """
        column = {name: place for place, name in enumerate(self.features.names)}
        parts = []
        for name in self.strength()["feature"].head(top):
            at = column[name]
            parts.append(
                pd.DataFrame(
                    {
                        "feature": name,
                        "contribution": self.contributions[:, at],
                        "level": _levels(self.features.numbers[:, at], self.features.specs[at]),
                    }
                )
            )
        empty = pd.DataFrame({"feature": [], "contribution": [], "level": []})
        return pd.concat(parts, ignore_index=True) if parts else empty


def explain_sample(
    model: Model, features: FeatureTable, matrix: Floats, *, threads: int, seed: int
) -> ExplainedRows:
    """Explain at most `MOST_ROWS` rows, drawn by content: their order changes nothing.

    `matrix` holds the encoded features, of shape (n, p).
    """
    drawn = sample_rows(matrix, np.arange(len(features)), count=MOST_ROWS, seed=seed)
    # sorted: the sample keeps the order of the rows
    rows = np.sort(drawn)
    found = model.contributions(matrix[rows], threads=threads)
    return ExplainedRows(features=features.take(rows), contributions=found.values, base=found.base)


def _levels(values: Floats, spec: FeatureSpec) -> Floats:
    level = np.full(values.size, np.nan)
    known = ~np.isnan(values)
    if spec.kind == "category" or not known.any():
        return level
    ranks = stats.rankdata(values[known])
    spread = ranks.max() - ranks.min()
    level[known] = (ranks - ranks.min()) / spread if spread else 0.5
    return level
