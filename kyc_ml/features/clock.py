"""The clock that customers live by."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

NIGHT_ENDS_HOUR: Final = 6
"""Convention, after the typology 夜间交易: local hours 00 to 06."""


def local_time(moments: npt.NDArray[np.int64], *, timezone: str) -> pd.DatetimeIndex:
    """Read UTC microseconds on the clock of `timezone`."""
    return pd.DatetimeIndex(moments.view("datetime64[us]"), tz="UTC").tz_convert(timezone)
