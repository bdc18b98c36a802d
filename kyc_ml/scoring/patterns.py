"""The pattern that a score row names: the first of those that the observation's rows show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.contract import CUSTOMER_ID, TRANSACTIONS, StoredTables
from kyc_ml.decision import StoredTransactions, TierPolicy, find_patterns
from kyc_ml.features import DECISION_TIME, OBSERVATION_ID

_PIECE: Final = 4_096
"""Observations whose rows are in memory at a time."""

_KEYS: Final = [OBSERVATION_ID, CUSTOMER_ID, DECISION_TIME]
_NAMES: Final = ("pattern_code", "pattern_text", "pattern_text_zh")


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternFinder:
    """Finds patterns for parts of a scoring run; a row's pattern depends on no other row."""

    transactions: StoredTransactions
    timezone: str
    currency: str
    cash_report: float

    @classmethod
    def of(cls, tables: StoredTables, *, cash_report: float) -> PatternFinder:
        """Read from the tables of a run."""
        return cls(
            transactions=StoredTransactions(tables.files[TRANSACTIONS], cash_report=cash_report),
            timezone=tables.timezone,
            currency=tables.base_currency,
            cash_report=cash_report,
        )

    def add(self, scores: pa.Table, policy: TierPolicy) -> pa.Table:
        """Add pattern_code and its sentences; in the lowest tier they are null.

        Nobody works on rows of the lowest tier, and they are nearly all rows of a night.
        """
        above = np.flatnonzero(pc.not_equal(scores["tier"], policy.tiers[0].name).to_numpy())
        found = np.full((len(_NAMES), len(scores)), None, dtype=object)
        for start in range(0, above.size, _PIECE):
            rows = above[start : start + _PIECE]
            asked = scores.select(_KEYS).take(rows)
            patterns = find_patterns(
                self.transactions.rows_for(asked),
                asked,
                timezone=self.timezone,
                currency=self.currency,
                cash_report=self.cash_report,
                begins=self.transactions.begins,
            )
            for row, shown in zip(rows.tolist(), patterns, strict=True):
                if shown:
                    found[:, row] = (shown[0].code, *shown[0].text)
        place = scores.column_names.index("tier_set_by_text_zh") + 1
        for name, values in zip(reversed(_NAMES), found[::-1], strict=True):
            scores = scores.add_column(place, name, pa.array(values, pa.string()))
        return scores
