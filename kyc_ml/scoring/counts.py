"""Counts of scored rows, taken part by part and summed over a run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Self, TypeVar

import numpy as np
import pandas as pd

from kyc_ml.decision import Grades, TierPolicy, say_counts
from kyc_ml.metrics import Floats
from kyc_ml.model import sum_counts

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Counts of scored rows."""

    rows: int = 0
    tiers: Mapping[str, int] = field(default_factory=dict)
    """Mapping of tier to rows."""
    expected: Mapping[str, float] = field(default_factory=dict)
    """Mapping of tier to sum of probabilities; empty if rows were rated, not scored."""
    unknown_categories: Mapping[str, int] = field(default_factory=dict)
    """Mapping of feature to rows; rows with a value that the training did not contain."""
    graded: Mapping[str, int] = field(default_factory=dict)
    """Mapping of event in grading to rows; see `Grades.counts`."""
    unchecked: Mapping[str, str] = field(default_factory=dict)
    """Mapping of part of the policy to reason; what could not be applied because an input is
    missing."""
    profile: Mapping[str, list[int]] = field(default_factory=dict)
    """Mapping of column to counts; rows in each bin of the model's profile; empty without a
    profile."""

    @classmethod
    def of(
        cls,
        grades: Grades,
        proba: Floats | None,
        *,
        unknown_categories: Mapping[str, int] = MappingProxyType({}),
        profile: Mapping[str, list[int]] = MappingProxyType({}),
    ) -> Self:
        """Count one part; `proba` is None for rows that were rated."""
        names = grades.policy.tier_names
        rows = np.bincount(grades.tier, minlength=len(names))
        expected = {}
        if proba is not None:
            sums = np.bincount(grades.tier, weights=proba, minlength=len(names))
            expected = {name: float(total) for name, total in zip(names, sums, strict=True)}
        return cls(
            rows=int(grades.tier.size),
            tiers={name: int(n) for name, n in zip(names, rows, strict=True)},
            expected=expected,
            unknown_categories=dict(unknown_categories),
            graded=dict(grades.counts),
            unchecked=dict(grades.unchecked),
            profile=dict(profile),
        )

    @classmethod
    def total(cls, parts: Iterable[Self]) -> Self:
        """Sum the counts of all parts, in their order."""
        parts = list(parts)
        return cls(
            rows=sum(part.rows for part in parts),
            tiers=_sum(part.tiers for part in parts),
            expected=_sum(part.expected for part in parts),
            unknown_categories=_sum(part.unknown_categories for part in parts),
            graded=_sum(part.graded for part in parts),
            unchecked={what: why for part in parts for what, why in part.unchecked.items()},
            profile=sum_counts(part.profile for part in parts),
        )

    def tier_table(self, policy: TierPolicy) -> pd.DataFrame:
        """List the tiers, lowest first: names, start, rows, share, expected rate.

        The rate of an empty tier, and of rated rows, is NaN.
        """
        rows = []
        for rule in policy.tiers:
            count = self.tiers.get(rule.name, 0)
            expected = self.expected.get(rule.name, np.nan)
            rows.append(
                {
                    "tier": rule.name,
                    "tier_zh": rule.name_zh,
                    "from_probability": rule.from_probability,
                    "rows": count,
                    "share": count / self.rows if self.rows else np.nan,
                    "expected_rate": expected / count if count else np.nan,
                }
            )
        return pd.DataFrame(rows)

    def notes(self, policy: TierPolicy) -> list[str]:
        """List what a reader of the scores should know, one line each; see `say_counts`."""
        label = f"tier policy {policy.label}"
        return [
            *(
                f"unknown categories: {name}: {rows:,} row(s), treated as missing"
                for name, rows in self.unknown_categories.items()
            ),
            *(f"{label}: {line}" for line in say_counts(self.graded)),
            *(f"{label}: not applied: {what}: {why}" for what, why in self.unchecked.items()),
        ]


def _sum(parts: Iterable[Mapping[str, Number]]) -> dict[str, Number]:
    total: dict[str, Number] = {}
    for part in parts:
        for name, number in part.items():
            total[name] = total.get(name, 0) + number
    return total
