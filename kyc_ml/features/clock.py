"""The clock that customers live by."""

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from kyc_ml.metrics import Ints

_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)

NIGHT_ENDS_HOUR: Final = 6
"""Convention, after the typology 夜间交易: local hours 00 to 06."""


def local_time(moments: Ints, *, timezone: str) -> tuple[Ints, Ints]:
    """Read UTC microseconds on the clock of `timezone`: hours, and weekdays from Monday, 0."""
    if moments.size == 1:  # pandas takes 0.2 ms to begin
        one = (_BEGINNING + timedelta(microseconds=int(moments[0]))).astimezone(ZoneInfo(timezone))
        return np.array([one.hour]), np.array([one.weekday()])
    utc = pd.DatetimeIndex(moments.view("datetime64[us]"), tz="UTC")
    local = utc.tz_convert(timezone)
    return np.asarray(local.hour, np.int64), np.asarray(local.day_of_week, np.int64)
