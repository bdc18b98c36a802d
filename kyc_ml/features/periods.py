"""Lengths of windows, and how sentences write them."""

import re
from dataclasses import dataclass
from typing import Final

from kyc_ml.config import WINDOW
from kyc_ml.errors import ConfigError

HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowLength:
    """The length of a window, with its name in both languages."""

    label: str
    us: int | None
    english: str
    chinese: str


EVER: Final = WindowLength(label="ever", us=None, english="all history", chinese="全部历史")


def period_of(window: str) -> WindowLength:
    """Return the window that a text such as 90d, 6h or ever names.

    Raises ConfigError if the text is not a window.

    Examples
    --------
    >>> period_of("45d").english
    'the last 45 days'
    """
    found = re.fullmatch(WINDOW, window)
    if found is None:
        raise ConfigError(f"{window!r} is not a window: write days (90d), hours (6h) or ever")
    if window == EVER.label:
        return EVER
    count, in_days = int(found[1]), found[2] == "d" and found[1] != "1"  # 1d reads as 24 hours
    hours = 24 if window == "1d" else count
    english = f"{count} days" if in_days else "hour" if hours == 1 else f"{hours} hours"
    return WindowLength(
        label=window,
        us=count * (DAY_US if found[2] == "d" else HOUR_US),
        english=f"the last {english}",
        chinese=f"近{f'{count}天' if in_days else f'{hours}小时'}",
    )


def read_span(text: str | None) -> int | None:
    """Return the microseconds of a text such as 7d; None without a text, or for ever."""
    return None if text is None else period_of(text).us


def write_span(us: int) -> str:
    """Write microseconds as days or hours, as `read_span` reads them."""
    return f"{us / DAY_US:g}d" if us >= DAY_US else f"{us / HOUR_US:g}h"
