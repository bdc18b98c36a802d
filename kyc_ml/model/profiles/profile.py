"""Distributions of the rows that a model was evaluated on, as counts in fixed bins."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Self

import numpy as np

from kyc_ml.contract import CUSTOMER_ID
from kyc_ml.features import FeatureSpec, FeatureTable
from kyc_ml.metrics import AnyArray, Floats, FrozenBins, Ints, effective_customers

PROBABILITY: Final = "probability"
"""Column name of the calibrated probability, next to the features."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Distributions of the probability and of each feature."""

    bins: Mapping[str, FrozenBins]
    """Mapping of column to FrozenBins."""
    counts: Mapping[str, Ints]
    """Mapping of column to int64 array; rows in each bin; the first is for what is missing."""
    rows: int
    customers: int
    effective_customers: float
    """As `kyc_ml.metrics.effective_customers`: rows of one customer are not independent."""

    def count(self, features: FeatureTable, proba: Floats | None) -> dict[str, list[int]]:
        """Count other rows in the same bins, for each column that both have.

        `proba`: float64 array of shape (n,) or None; None where the rows have none.
        """
        found = {}
        if proba is not None:
            found[PROBABILITY] = self.bins[PROBABILITY].count(proba).tolist()
        for spec in features.specs:
            if spec.name in self.bins:
                found[spec.name] = self.bins[spec.name].count(_values(features, spec)).tolist()
        return found

    def to_dict(self) -> dict[str, Any]:
        """Write it as JSON keeps it to the last bit."""
        columns = {
            name: {
                "category": bins.category,
                "cuts": list(bins.cuts),
                "counts": self.counts[name].tolist(),
            }
            for name, bins in self.bins.items()
        }
        return {
            "columns": columns,
            "rows": self.rows,
            "customers": self.customers,
            "effective_customers": self.effective_customers,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote.

        Raises ValueError if the counts are not those of the bins. Other content of another form
        raises what Python does: KeyError, TypeError.
        """
        columns = content["columns"]
        found = cls(
            bins={
                name: FrozenBins(category=each["category"], cuts=tuple(each["cuts"]))
                for name, each in columns.items()
            },
            counts={name: np.array(each["counts"], np.int64) for name, each in columns.items()},
            rows=content["rows"],
            customers=content["customers"],
            # bundles of before it was kept took each customer for as active as the others
            effective_customers=content.get("effective_customers", content["customers"]),
        )
        unsound = [name for name in columns if not found._is_sound(name)]
        if unsound or PROBABILITY not in columns or not found.effective_customers > 0:
            msg = f"the profile's counts are not those of its bins: {', '.join(unsound)}"
            raise ValueError(msg)
        return found

    def _is_sound(self, name: str) -> bool:
        """Return whether there is a count for each bin, and the bins are in order."""
        bins, counts = self.bins[name], self.counts[name]
        ascending = all(low < high for low, high in pairwise(bins.cuts))
        fitting = counts.shape == (len(bins.cuts) + 2,) and (counts >= 0).all()
        return bool(ascending and fitting and counts.sum() == self.rows)


def learn_profile(features: FeatureTable, proba: Floats) -> Profile:
    """Learn how rows are distributed: ten bins by quantiles, or the ten commonest categories.

    `features`: FeatureTable of n rows; rows that the model was evaluated on: their probabilities
    compare with those of new rows.
    `proba`: float64 array of shape (n,).
    """
    bins = {PROBABILITY: FrozenBins.of(proba)}
    for spec in features.specs:
        values = _values(features, spec)
        bins[spec.name] = FrozenBins.of(values, category=spec.kind == "category")
    counts = {PROBABILITY: bins[PROBABILITY].count(proba)}
    for spec in features.specs:
        counts[spec.name] = bins[spec.name].count(_values(features, spec))
    encoded = features.keys[CUSTOMER_ID].combine_chunks().dictionary_encode()
    return Profile(
        bins=bins,
        counts=counts,
        rows=len(features),
        customers=len(encoded.dictionary),
        effective_customers=effective_customers(encoded.indices.to_numpy().astype(np.int64)),
    )


def sum_counts(parts: Iterable[Mapping[str, list[int]]]) -> dict[str, list[int]]:
    """Sum counts of several parts, column by column and bin by bin."""
    total: dict[str, list[int]] = {}
    for part in parts:
        for name, counts in part.items():
            known = total.get(name, [0] * len(counts))
            total[name] = [a + b for a, b in zip(known, counts, strict=True)]
    return total


def _values(features: FeatureTable, spec: FeatureSpec) -> AnyArray:
    if spec.kind == "category":
        return features.category(spec.name)
    return np.asarray(features.numbers[:, features.names.index(spec.name)])
