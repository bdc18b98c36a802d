"""Dates that a person gives: read once, at the boundary, and carried as times in UTC from there."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Final, TypeAlias, overload

import pandas as pd

from kyc_ml.errors import ConfigError

TimeLike: TypeAlias = datetime | str
"""A Timestamp or datetime with a zone, or ISO text as on the command line; see `parse_time`."""

FIRST_YEAR: Final = 1900
LAST_YEAR: Final = 2199

_DAY: Final = re.compile(
    r"\s*(\d{4})(?:([-/.])(\d{1,2})\2(\d{1,2})|年(\d{1,2})月(\d{1,2})日|(\d{2})(\d{2}))"
    r"(?:[ T]0{1,2}:00(?::00)?)?\s*"
)
"""A day that begins with its year can be read in one way only; Excel adds a midnight."""
_LIKE_A_DAY: Final = re.compile(r"\s*\d{1,4}[-/.年]\d{1,2}[-/.月]\d{1,4}日?.{0,12}")


def parse_day(given: object) -> date:
    """Return the day that a cell of a hand-written file means, such as one of the overrides.

    Raises
    ------
    ValueError
        If it is not a day, or is ambiguous: 03/04/2025 can be read in two ways.

    Examples
    --------
    >>> parse_day("2025-01-31"), parse_day("2025/1/31"), parse_day("2025年1月31日")
    (datetime.date(2025, 1, 31), datetime.date(2025, 1, 31), datetime.date(2025, 1, 31))
    >>> parse_day("03/04/2025")
    Traceback (most recent call last):
    ...
    ValueError: '03/04/2025' is not a day that can be read in only one way: write it as 2025-01-31
    """
    if isinstance(given, datetime):
        whole = given == datetime.combine(given.date(), datetime.min.time(), given.tzinfo)
        found = given.date() if whole else None
    elif isinstance(given, date):
        found = given
    else:
        found = _find_day(str(given))
    if found is None:
        # a cell that slipped into a column of days may be a customer's: only days are repeated
        shown = f"{given!r} " if _LIKE_A_DAY.fullmatch(str(given)) else ""
        msg = f"{shown}is not a day that can be read in only one way: write it as 2025-01-31"
        raise ValueError(msg)
    return found


def _find_day(text: str) -> date | None:
    """Return the day of a text that begins with a year; None if it is not a real day."""
    found = _DAY.fullmatch(text)
    if found is None:
        return None
    numbers = [int(part) for part in found.groups() if part is not None and part.isdecimal()]
    try:
        # such as 30 February
        return date(*numbers)
    except ValueError:
        return None


@overload
def parse_time(given: TimeLike, *, name: str) -> pd.Timestamp: ...
@overload
def parse_time(given: TimeLike | None, *, name: str) -> pd.Timestamp | None: ...
def parse_time(given: object, *, name: str) -> pd.Timestamp | None:
    """Return the time that is meant, in UTC; None stays None.

    A day in text is its first instant, in any form that `parse_day` takes, and text is UTC
    unless it names a zone. A Timestamp without a zone may be of any zone, so none is guessed.

    Parameters
    ----------
    name : str
        What an error calls it: the option or the argument.

    Raises
    ------
    ConfigError
        If text is not an ISO date or time, or is outside the years that the contract accepts; if
        a Timestamp has no zone; if it is of another class.

    Examples
    --------
    >>> parse_time("2024-07-01", name="as_of")
    Timestamp('2024-07-01 00:00:00+0000', tz='UTC')
    >>> parse_time(pd.Timestamp("2024-07-01", tz="Asia/Shanghai"), name="as_of")
    Timestamp('2024-06-30 16:00:00+0000', tz='UTC')
    """
    if given is None:
        return None
    if isinstance(given, str):
        time = pd.Timestamp(_parse_text(given, name=name))
        return time.tz_localize(UTC) if time.tz is None else time.tz_convert(UTC)
    if not isinstance(given, datetime) or pd.isna(given):
        came = "NaT" if given is pd.NaT else type(given).__name__
        msg = (
            f"{name} must be a Timestamp with a zone, such as pd.Timestamp('2024-07-01', "
            f"tz='UTC'), or ISO text such as '2024-07-01', got {came}"
        )
        raise ConfigError(msg)
    time = pd.Timestamp(given)
    if time.tz is None:
        msg = (
            f"{name} must carry a timezone, got {time.isoformat()}: name its zone, such as "
            f"pd.Timestamp({time.isoformat()!r}, tz='UTC')"
        )
        raise ConfigError(msg)
    return time.tz_convert(UTC)


def _parse_text(text: str, *, name: str) -> datetime:
    day = _find_day(text)
    try:
        given = datetime.fromisoformat(text if day is None else day.isoformat())
    except ValueError:
        msg = f"{name} must be an ISO date such as 2024-07-01, or a time, got {text!r}"
        raise ConfigError(msg) from None
    # a pandas Timestamp reaches from 1677 to 2262 only, so the year is checked before it is made
    if not FIRST_YEAR <= given.year <= LAST_YEAR:
        msg = f"{name} must be a date in the years {FIRST_YEAR} to {LAST_YEAR}, got {text!r}"
        raise ConfigError(msg)
    return given


def isoformat(time: pd.Timestamp) -> str:
    """Write a time in its one spelling: in UTC, and a midnight as its day alone.

    Examples
    --------
    >>> times = "2025-06-24T00:00", "2025-06-24T08:00+08:00", "2025-06-24 08:30"
    >>> [isoformat(parse_time(each, name="--as-of")) for each in times]
    ['2025-06-24', '2025-06-24', '2025-06-24T08:30:00+00:00']
    """
    time = time.tz_convert(UTC)
    return time.date().isoformat() if time == time.normalize() else time.isoformat()
