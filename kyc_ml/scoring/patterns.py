"""What is added to the scores of a part: patterns of payments, the run, and the meanings."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.contract import CUSTOMER_ID, StoredTables
from kyc_ml.decision import StoredTransactions, TierPolicy
from kyc_ml.features import DECISION_TIME, OBSERVATION_ID
from kyc_ml.scoring.schema import with_meanings

_NAMES: Final = ("pattern_code", "pattern_text", "pattern_text_zh")


def add_patterns(
    scores: pa.Table, transactions: StoredTransactions, *, policy: TierPolicy
) -> pa.Table:
    """Add pattern_code and its sentences to scores; in the lowest tier they are null.

    Analysts do not work on rows of the lowest tier, which are nearly all rows of a night.
    """
    above = np.flatnonzero(pc.not_equal(scores["tier"], policy.tiers[0].name).to_numpy())
    asked = scores.select([OBSERVATION_ID, CUSTOMER_ID, DECISION_TIME]).take(above)
    found = np.full((len(_NAMES), len(scores)), None, dtype=object)
    for row, patterns in zip(above.tolist(), transactions.find(asked), strict=True):
        if patterns:
            found[:, row] = (patterns[0].code, *patterns[0].text)
    place = scores.column_names.index("tier_set_by_text_zh")
    for name, values in zip(_NAMES, found, strict=True):
        place += 1
        scores = scores.add_column(place, name, pa.array(values, pa.string()))
    return scores


@dataclass(frozen=True, kw_only=True)
class Finishing:
    """Adds the columns that are the same for the whole run, and the patterns, to a part's scores.

    It can be sent to another machine before its first use.
    """

    tables: StoredTables
    policy: TierPolicy
    cash_report: float
    """Cash amount from which the bank reports, base currency."""
    run: str
    about: Mapping[str, str]
    """What is said of all rows in the schema of the file."""

    @cached_property
    def _transactions(self) -> StoredTransactions:
        return StoredTransactions(self.tables, cash_report=self.cash_report)

    def __call__(self, scores: pa.Table) -> pa.Table:
        """Return the scores as they are published."""
        shown = add_patterns(scores, self._transactions, policy=self.policy)
        named = shown.append_column("run_id", pa.array([self.run] * len(scores), pa.string()))
        return with_meanings(named, self.about)
