"""What moved between two feature tables, counted check by check and feature by feature."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.features.table import FeatureTable
from kyc_ml.metrics import Floats, Ints

DELETED: Final = "deleted"
CORRUPTED: Final = "corrupted"
CROWDED: Final = "crowded"
SHUFFLED: Final = "shuffled"
CHECKS: Final = (DELETED, CORRUPTED, CROWDED, SHUFFLED)

TOLERANCE: Final = 1e-9
"""Relative and absolute difference that is rounding, not knowledge (convention)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureAudit:
    """How each feature reacted to each kind of tampering.

    Attributes
    ----------
    decision_times : tuple of Timestamp
        The sampled times.
    observations : int
        Audited observations, all times together.
    rows : mapping of check to count
        Rows deleted, corrupted, added or put elsewhere, all times and tables together. 0
        means that a check had nothing to do: it has proved nothing.
    features : DataFrame
        One row a check and feature: check, feature, times, observations, moved
        (observations whose value changed), largest_change (relative, 0 to 2; 1 for a
        category, or missing against present), first_moved (decision time or NaT).
    unavailable : mapping of feature to reason
        Chosen features that the source cannot give; not audited.
    """

    decision_times: tuple[pd.Timestamp, ...]
    observations: int
    rows: Mapping[str, int]
    features: pd.DataFrame
    unavailable: Mapping[str, str]

    @property
    def moved(self) -> pd.DataFrame:
        """The rows of `features` that moved, those of most observations first."""
        found = self.features[self.features["moved"] > 0]
        return found.sort_values(["moved", "feature"], ascending=[False, True], ignore_index=True)

    @property
    def passed(self) -> bool:
        """True if nothing moved."""
        return self.moved.empty

    def summary(self) -> pd.DataFrame:
        """Sum up: check, rows (touched), values (compared), moved (features), verdict."""
        lines = []
        for check in CHECKS:
            about = self.features[self.features["check"] == check]
            moved = int((about["moved"] > 0).sum())
            idle = "passed" if self.rows[check] else "nothing to do"
            lines.append(
                {
                    "check": check,
                    "rows": self.rows[check],
                    "values": int(about["observations"].sum()),
                    "moved": moved,
                    "verdict": "MOVED" if moved else idle,
                }
            )
        return pd.DataFrame(lines)


class Tally:
    """Compares features of tampered tables with the expected ones, and counts changes.

    Parameters
    ----------
    expected : FeatureTable
    at : int64 array of shape (len(expected),)
        Decision times in microseconds.
    """

    def __init__(self, expected: FeatureTable, at: Ints) -> None:
        shape = (len(CHECKS), len(expected.names))
        self._expected, self._at = expected, at
        self._moved = np.zeros(shape, np.int64)
        self._compared = np.zeros(len(CHECKS), np.int64)
        self._largest = np.zeros(shape)
        # larger than any time: the minimum below then needs no special case
        self._first = np.full(shape, np.iinfo(np.int64).max)
        self.touched = dict.fromkeys(CHECKS, 0)

    def compare(self, check: str, rows: Ints, got: FeatureTable, touched: int) -> None:
        """Compare features of these rows, computed from tampered tables, with the expected ones."""
        line = CHECKS.index(check)
        self.touched[check] += touched
        self._compared[line] += rows.size
        for column, name in enumerate(self._expected.names):
            change = changes_of(self._expected, got, name, rows)
            moved = change > 0
            if moved.any():
                self._moved[line, column] += int(moved.sum())
                self._largest[line, column] = max(self._largest[line, column], change.max())
                first = self._at[rows[moved]].min()
                self._first[line, column] = min(self._first[line, column], first)

    def frame(self) -> pd.DataFrame:
        """List every check and feature; see `FeatureAudit.features`."""
        names = self._expected.names
        first = np.where(self._moved > 0, self._first, np.iinfo(np.int64).min)  # NaT
        return pd.DataFrame(
            {
                "check": np.repeat(CHECKS, len(names)),
                "feature": np.tile(np.array(names, dtype=object), len(CHECKS)),
                "times": np.unique(self._at).size,
                "observations": np.repeat(self._compared, len(names)),
                "moved": self._moved.ravel(),
                "largest_change": self._largest.ravel(),
                "first_moved": pd.DatetimeIndex(first.ravel().view("datetime64[us]"), tz="UTC"),
            }
        )


def changes_of(expected: FeatureTable, got: FeatureTable, name: str, rows: Ints) -> Floats:
    """Return the relative change of each value: 0 for rounding, 1 for categories or missing."""
    if name not in got.names:  # an absent column is a change, not rounding
        return np.ones(rows.size)
    if name in expected.categories:
        before = expected.categories[name].take(pa.array(rows))
        after = got.categories[name]
        # an equation with a missing value is missing, not false
        same = pc.fill_null(pc.equal(before, after), False)  # noqa: FBT003  Arrow's own
        both_missing = pc.and_(pc.is_null(before), pc.is_null(after))
        return np.asarray(pc.invert(pc.or_(same, both_missing)), dtype=np.float64)
    before = expected.numbers[rows, expected.names.index(name)]
    after = got.numbers[:, got.names.index(name)]
    missing = np.isnan(before) | np.isnan(after)
    same = (before == after) | (np.isnan(before) & np.isnan(after))
    with np.errstate(invalid="ignore"):  # infinite less infinite
        size = np.maximum(np.abs(before), np.abs(after))
        gap = np.abs(before - after)
        rounding = gap <= TOLERANCE + TOLERANCE * size
        relative = np.where(np.isfinite(gap), gap / np.maximum(size, TOLERANCE), 1.0)
    return np.where(same | (rounding & ~missing), 0.0, np.where(missing, 1.0, relative))
