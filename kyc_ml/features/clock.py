"""The clock that customers live by."""

from __future__ import annotations

from typing import Final

import pandas as pd

from kyc_ml.metrics import Ints

NIGHT_ENDS_HOUR: Final = 6
"""Convention, after the typology 夜间交易: local hours 00 to 06."""


def local_time(moments: Ints, *, timezone: str) -> pd.DatetimeIndex:
    """Read UTC microseconds on the clock of `timezone`."""
    return pd.DatetimeIndex(moments.view("datetime64[us]"), tz="UTC").tz_convert(timezone)
