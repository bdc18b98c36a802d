"""Drop features that are useless against noise or unstable over time, each with its reason.

Only training rows may be judged: rows that stop, calibrate or test a model would leak
into the choice.
"""

from __future__ import annotations

from kyc_ml.selection.choosing import (
    ALL_MISSING,
    CONSTANT,
    FLIPPING,
    SHIFTING,
    USELESS,
    Selection,
    select_features,
)
from kyc_ml.selection.narrowing import narrow_specs, narrow_table
from kyc_ml.selection.over_time import relation_z

__all__ = [
    "ALL_MISSING",
    "CONSTANT",
    "FLIPPING",
    "SHIFTING",
    "USELESS",
    "Selection",
    "narrow_specs",
    "narrow_table",
    "relation_z",
    "select_features",
]
