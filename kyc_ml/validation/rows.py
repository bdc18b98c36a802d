"""Rows that a validation looks at, with what the model says of them."""

from __future__ import annotations

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
    """n observations, their features and outcomes, and what the model says of them.

    Attributes
    ----------
    role : 'current', 'reference' or 'train'
    origin : Text
        What rows these are.
    since, until : Timestamp
        Decisions in ``[since, until)``.
    features : FeatureTable of n rows
        The model's own columns, in its order, with categories encoded beside them.
    facts : FeatureTable of n rows
        What segments, groups and tier policy read beside them.
    margin, probability : float64 arrays of shape (n,)
    grades : Grades
    status : object array of shape (n,)
        What is known of each outcome; see `kyc_ml.dataset.Labels`.
    judged : bool array of shape (n,)
        Rows whose outcome counts: all figures on outcomes are of these.
    end : Timestamp
        Judged rows were decided before it.
    typology : object array of shape (n,)
        Kind of misconduct of positives where it is known; None elsewhere.
    arrival_days : float64 array of shape (n,)
        Days from the decision until a positive's outcome was known; NaN elsewhere.
    amount : float64 array of shape (n,)
        Amount of each transaction; NaN where there is none.
    """

    role: Role
    origin: Text
    since: pd.Timestamp
    until: pd.Timestamp
    features: FeatureTable
    facts: FeatureTable
    margin: Floats
    probability: Floats
    grades: Grades
    status: Names
    judged: Mask
    end: pd.Timestamp
    typology: Names
    arrival_days: Floats
    amount: Floats

    def __len__(self) -> int:
        return int(self.margin.size)

    @property
    def matrix(self) -> Floats:
        """The model's input, of shape (n, p)."""
        return self.features.numbers

    @property
    def tier(self) -> Ints:
        """Place of each row's tier in the policy's tiers."""
        return self.grades.tier

    @cached_property
    def target(self) -> Floats:
        """1 for a positive and 0 for a negative, of the judged rows."""
        return np.asarray(self.status[self.judged] == POSITIVE, dtype=np.float64)

    @cached_property
    def judged_margin(self) -> Floats:
        """Margin of the judged rows."""
        return self.margin[self.judged]

    @cached_property
    def judged_probability(self) -> Floats:
        """Probability of the judged rows."""
        return self.probability[self.judged]

    @cached_property
    def customers(self) -> Ints:
        """Number each row's customer from 0."""
        return number_customers(customers_of(self.features.keys))

    @cached_property
    def judged_customers(self) -> Ints:
        """Number each judged row's customer from 0, without gaps."""
        return np.unique(self.customers[self.judged], return_inverse=True)[1]

    @cached_property
    def day(self) -> Ints:
        """Day of each decision, counted from 1970."""
        return np.asarray(microseconds(self.features.keys[DECISION_TIME]) // DAY_US)

    @property
    def end_day(self) -> int:
        """The day after the time of the judged rows."""
        return -(-(self.end.value // 1000) // DAY_US)

    @property
    def classes(self) -> tuple[int, int]:
        """Judged positives and negatives."""
        positives = int(self.target.sum())
        return positives, self.target.size - positives

    def period(self, length: str) -> Names:
        """Name the day, week (by its Monday) or month of each decision."""
        days = self.day.astype("datetime64[D]")
        if length == "month":
            found = days.astype("datetime64[M]")
        elif length == "week":  # 1970-01-01 was a Thursday
            found = (((self.day + 3) // 7) * 7 - 3).astype("datetime64[D]")
        else:
            found = days
        return np.asarray(found.astype(str).astype(object))

    def spec(self, name: str) -> FeatureSpec | None:
        """Find the declaration of a feature; None where the rows do not have it."""
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
        """Return these features only, wherever they are, of all rows or of some.

        Parameters
        ----------
        places : int64 array, optional
            Rows to take; all by default.
        """
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
        """Return what each row was evaluated by, for an independent computation.

        Parameters
        ----------
        tiers : sequence of str
            The policy's tiers, lowest first.

        Returns
        -------
        pyarrow.Table of n rows
            Keys, margin, probability, the tiers of the probability alone, of the score (with the
            expert rating) and in force, segment, status, judged, target (1 or 0; null where
            the row is not judged) and typology. They are customers' data.
        """
        names = np.array(tiers, dtype=object)
        target = np.full(len(self), None, dtype=object)
        target[self.judged] = self.target.astype(int)
        columns = {
            "margin": self.margin,
            "probability": self.probability,
            "tier_of_model": names[self.grades.model],
            "tier_of_score": names[self.grades.of_score],
            "tier": names[self.tier],
            "segment": self.grades.segment,
            "status": self.status,
            "judged": self.judged,
            "target": pa.array(target, pa.int8()),
            "typology": pa.array(self.typology, pa.string()),
        }
        table = self.features.keys
        for name, values in columns.items():
            table = table.append_column(name, [pa.array(values)])
        return table

    def used(self) -> RowsUsed:
        """Say what rows these are, for the report."""
        return RowsUsed(
            role=self.role,
            origin=self.origin,
            since=self.since.isoformat(),
            until=self.until.isoformat(),
            rows=len(self),
            judged=int(self.judged.sum()),
            positives=int(self.target.sum()),
            customers=int(pd.unique(self.judged_customers).size),
        )


def score_built(
    bundle: Bundle,
    built: FeatureTable,
    *,
    predicted: tuple[Floats, Floats] | None = None,
    threads: int = 2,
) -> dict[str, Any]:
    """Compute the attributes of `ScoredRows` that come from a model.

    Overrides entered for single customers, and the history of tiers, are unknown.

    Parameters
    ----------
    built : FeatureTable of n rows
        The model's columns and beside them whatever else is to be read.
    predicted : two float64 arrays of shape (n,), optional
        See `Scores.of`.
    """
    features = model_columns(bundle, built)
    features.encode(bundle.vocabularies)  # `ScoredRows.matrix` is this table's own memory
    scores = Scores.of(bundle, features, facts=built, predicted=predicted, threads=threads)
    own = set(features.names)
    return {
        "features": features,
        "facts": built.reorder([name for name in built.names if name not in own]),
        "margin": scores.margin,
        "probability": scores.probability,
        "grades": scores.grades,
    }
