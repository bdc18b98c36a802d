"""The pattern that a score row names: the first of those that the observation's rows show."""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.contract import CUSTOMER_ID
from kyc_ml.decision import StoredTransactions, TierPolicy
from kyc_ml.features import DECISION_TIME, OBSERVATION_ID

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
