"""The scored rows of a validation."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from kyc_ml.dataset import POSITIVE, customers_of
from kyc_ml.decision import Grades
from kyc_ml.features import DAY_US, DECISION_TIME, FeatureSpec, FeatureTable, microseconds
from kyc_ml.metrics import Floats, Ints, Mask, Names, number_customers
from kyc_ml.registry import Bundle, Scores, model_columns
from kyc_ml.validation.result import RowsUsed
from kyc_ml.validation.text import Text

Role = Literal["current", "reference", "train"]


@dataclass(frozen=True, kw_only=True)
class ScoredRows:
    """n observations with their features, outcomes, scores and tiers."""

    role: Role
    origin: Text
    since: pd.Timestamp
    until: pd.Timestamp
    """`since` and `until`: decisions in ``[since, until)``."""
    features: FeatureTable
    """FeatureTable of n rows; the columns of the model, in its order, with encoded categories."""
    facts: FeatureTable
    """FeatureTable of n rows; further columns that segments, groups and the tier policy need."""
    margin: Floats
    probability: Floats
    grades: Grades
    status: Names
    """object array of shape (n,); status of each outcome; see `kyc_ml.dataset.Labels`."""
    evaluated: Mask
    """bool array of shape (n,); rows with a mature outcome: only these enter figures that need
    outcomes."""
    end: pd.Timestamp
    """Evaluated rows were decided before this time."""
    typology: Names
    """object array of shape (n,); typology of each positive, if known; None for all other rows."""
    arrival_days: Floats
    """float64 array of shape (n,); days from the decision until a positive's outcome was known; NaN
    for all other rows."""
    amount: Floats
    """float64 array of shape (n,); amount of each transaction; NaN for a row without one."""

    def __len__(self) -> int:
        return int(self.margin.size)

    @property
    def matrix(self) -> Floats:
        """The model's input, of shape (n, p)."""
        return self.features.numbers

    @property
    def tier(self) -> Ints:
        """Index of each row's tier among the tiers of the policy."""
        return self.grades.tier

    @cached_property
    def target(self) -> Floats:
        """Target of the evaluated rows: 1 for a positive and 0 for a negative."""
        return np.asarray(self.status[self.evaluated] == POSITIVE, dtype=np.float64)

    @cached_property
    def evaluated_margin(self) -> Floats:
        """Margin of the evaluated rows."""
        return self.margin[self.evaluated]

    @cached_property
    def evaluated_probability(self) -> Floats:
        """Probability of the evaluated rows."""
        return self.probability[self.evaluated]

    @cached_property
    def customers(self) -> Ints:
        """Number of each row's customer, from 0."""
        return number_customers(customers_of(self.features.keys))

    @cached_property
    def evaluated_customers(self) -> Ints:
        """Number of each evaluated row's customer, from 0 and without gaps."""
        return np.unique(self.customers[self.evaluated], return_inverse=True)[1]

    @cached_property
    def day(self) -> Ints:
        """Day of each decision, counted from 1970."""
        return np.asarray(microseconds(self.features.keys[DECISION_TIME]) // DAY_US)

    @property
    def end_day(self) -> int:
        """Day after the last day of the evaluated rows, counted from 1970."""
        # `-(-a // b)` rounds up
        return -(-(self.end.value // 1000) // DAY_US)

    @property
    def classes(self) -> tuple[int, int]:
        """Numbers of evaluated positives and negatives."""
        positives = int(self.target.sum())
        return positives, self.target.size - positives

    def period(self, length: str) -> Names:
        """Return the day, the Monday of the week, or the month of each decision."""
        days = self.day.astype("datetime64[D]")
        if length == "month":
            found = days.astype("datetime64[M]")
        elif length == "week":  # 1970-01-01 was a Thursday
            found = (((self.day + 3) // 7) * 7 - 3).astype("datetime64[D]")
        else:
            found = days
        return np.asarray(found.astype(str).astype(object))

    def spec(self, name: str) -> FeatureSpec | None:
        """Return the declaration of a feature; None if the rows do not have it."""
        known = {spec.name: spec for spec in (*self.facts.specs, *self.features.specs)}
        return known.get(name)

    def category(self, name: str) -> Names:
        """Return a category's value of each row; None where it is missing."""
        table = self.features if name in self.features.categories else self.facts
        return table.category(name)

    def number(self, name: str) -> Floats:
        """Return a number of each row; NaN where it is missing."""
        table = self.features if name in self.features.names else self.facts
        return table.numbers[:, table.names.index(name)]

    def columns(self, names: Sequence[str], places: Ints | None = None) -> FeatureTable:
        """Return these features from both tables, for all rows or some."""
        tables = [
            table.reorder([name for name in names if name in table.names])
            if places is None
            else table.take(places).reorder([name for name in names if name in table.names])
            for table in (self.features, self.facts)
        ]
        return FeatureTable(
            keys=tables[0].keys,
            specs=tuple(spec for table in tables for spec in table.specs),
            numbers=np.asfortranarray(np.column_stack([table.numbers for table in tables])),
            categories={**tables[1].categories, **tables[0].categories},
            unavailable={},
        )

    def to_table(self, tiers: Sequence[str]) -> pa.Table:
        """Return the scores and outcomes row by row, for an independent computation.

        `tiers`: the policy's tiers, lowest first.
        Returns pyarrow.Table of n rows; keys, margin, probability, the tiers of the probability
        alone, of the score (with the expert rating) and in force, segment, status, `judged`
        (whether the row is evaluated), target (1 or 0; null where it is not) and typology. They
        are customers' data.
        """
        names = np.array(tiers, dtype=object)
        target = np.full(len(self), None, dtype=object)
        target[self.evaluated] = self.target.astype(int)
        columns = {
            "margin": self.margin,
            "probability": self.probability,
            "tier_of_model": names[self.grades.model],
            "tier_of_score": names[self.grades.of_score],
            "tier": names[self.tier],
            "segment": self.grades.segment,
            "status": self.status,
            "judged": self.evaluated,
            "target": pa.array(target, pa.int8()),
            "typology": pa.array(self.typology, pa.string()),
        }
        table = self.features.keys
        for name, values in columns.items():
            table = table.append_column(name, [pa.array(values)])
        return table

    def used(self) -> RowsUsed:
        """Return the summary of these rows for the report."""
        return RowsUsed(
            role=self.role,
            origin=self.origin,
            since=self.since.isoformat(),
            until=self.until.isoformat(),
            rows=len(self),
            judged=int(self.evaluated.sum()),
            positives=int(self.target.sum()),
            customers=int(pd.unique(self.evaluated_customers).size),
            amount=float(self.amount.sum()) if np.isfinite(self.amount).all() else None,
        )


def score_built(
    bundle: Bundle,
    built: FeatureTable,
    *,
    predicted: tuple[Floats, Floats] | None = None,
    threads: int = 2,
) -> dict[str, Any]:
    """Compute the attributes of `ScoredRows` that come from a model.

    Overrides entered for single customers and the history of tiers are not applied.

    `built`: FeatureTable of n rows; the columns of the model and further ones.
    `predicted`: two float64 arrays of shape (n,); see `Scores.of`.
    """
    features = model_columns(bundle, built)
    features.encode(bundle.vocabularies)  # in place: `ScoredRows.matrix` is this table's memory
    scores = Scores.of(bundle, features, facts=built, predicted=predicted, threads=threads)
    own = set(features.names)
    return {
        "features": features,
        "facts": built.reorder([name for name in built.names if name not in own]),
        "margin": scores.margin,
        "probability": scores.probability,
        "grades": scores.grades,
    }
