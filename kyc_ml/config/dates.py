"""Dates that a person gives: read once, at the boundary, and carried as times in UTC from there.

One rule for all commands: a date or time without a zone is of the time zone of the source
mapping, so that a date is the midnight of the bank. What is stored names its zone, or is UTC.
"""

import re
from datetime import UTC, date, datetime
from typing import Final, TypeAlias, overload
from zoneinfo import available_timezones

import pandas as pd

from kyc_ml.config.zones import zone_fault
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
_SPAN: Final = re.compile(r"(?:(\d{1,3})h)?(?:(\d{1,4})m)?(?:(\d{1,5})s)?")
_CLOCK: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_LIKE_A_DAY: Final = re.compile(r"\s*\d{1,4}[-/.年]\d{1,2}[-/.月]\d{1,4}日?.{0,12}")


def parse_day(given: object) -> date:
    """Return the day that a cell of a hand-written file means, such as one of the overrides.

    Raises ValueError if it is not a day, or is ambiguous: 03/04/2025 can be read in two ways.

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
def parse_time(given: TimeLike, *, name: str, zone: str = "UTC") -> pd.Timestamp: ...
@overload
def parse_time(given: TimeLike | None, *, name: str, zone: str = "UTC") -> pd.Timestamp | None: ...
def parse_time(given: object, *, name: str, zone: str = "UTC") -> pd.Timestamp | None:
    """Return the time that is meant, in UTC; None stays None.

    A day in text is its first instant, in any form that `parse_day` takes, and text is of `zone`
    unless it names one. A Timestamp without a zone may be of any zone, so none is guessed.

    Parameters
    ----------
    name : str
        What an error calls it: the option or the argument.
    zone : str
        Time zone of text without one: that of the source; stored text is UTC.

    Raises
    ------
    ConfigError
        If text is not an ISO date or time, or is outside the years that the contract accepts; if
        a Timestamp has no zone; if it is of another class; if there is no such `zone`.

    Examples
    --------
    >>> parse_time("2024-07-01", name="as_of")
    Timestamp('2024-07-01 00:00:00+0000', tz='UTC')
    >>> parse_time("2024-07-01", name="as_of", zone="Asia/Shanghai")
    Timestamp('2024-06-30 16:00:00+0000', tz='UTC')
    >>> parse_time(pd.Timestamp("2024-07-01", tz="Asia/Shanghai"), name="as_of")
    Timestamp('2024-06-30 16:00:00+0000', tz='UTC')
    """
    if given is None:
        return None
    if isinstance(given, str):
        time = pd.Timestamp(_parse_text(given, name=name))
        return _of_zone(time, zone) if time.tz is None else time.tz_convert(UTC)
    if not isinstance(given, datetime) or pd.isna(given):
        came = "NaT" if given is pd.NaT else type(given).__name__
        raise ConfigError(
            f"{name} must be a Timestamp with a zone, such as pd.Timestamp('2024-07-01', "
            f"tz='UTC'), or ISO text such as '2024-07-01', got {came}"
        )
    time = pd.Timestamp(given)
    if time.tz is None:
        raise ConfigError(
            f"{name} must carry a timezone, got {time.isoformat()}: name its zone, such as "
            f"pd.Timestamp({time.isoformat()!r}, tz='UTC')"
        )
    return time.tz_convert(UTC)


def day_of(time: pd.Timestamp, zone: str) -> date | None:
    """Return the day whose midnight in a zone, or else in UTC, a time is; None at another time.

    Examples
    --------
    >>> times = ["2026-11-29T16:00Z", "2026-11-30T00:00Z", "2026-11-30T01:00Z"]
    >>> [str(day_of(parse_time(each, name="--as-of"), "Asia/Shanghai")) for each in times]
    ['2026-11-30', '2026-11-30', 'None']
    """
    for local in (time.tz_convert(zone), time.tz_convert(UTC)):
        # not `normalize`: where clocks change at midnight a day begins at 1:00
        if _of_zone(pd.Timestamp(local.date()), str(local.tz)) == time:
            return local.date()
    return None


def a_day_before(time: pd.Timestamp, zone: str) -> pd.Timestamp:
    """Return the same clock time of the day before in a zone: 23 to 25 hours, as clocks change.

    Examples
    --------
    >>> end_of_summer_time = parse_time("2026-10-26", name="--as-of", zone="Europe/Prague")
    >>> end_of_summer_time - a_day_before(end_of_summer_time, "Europe/Prague")
    Timedelta('1 days 01:00:00')
    """
    return _of_zone(time.tz_convert(zone).tz_localize(None) - pd.Timedelta(days=1), zone)


def parse_wait(text: str, *, name: str, zone: str, now: pd.Timestamp) -> pd.Timestamp:
    """Return the time until which `text` says to wait: for a duration, or until a clock time.

    A clock time of `zone` is the nearest one: within 12 hours after it has passed there is no
    waiting, so that a job that is started by hand in the morning does not wait for the next day.

    Raises ConfigError if it is neither.

    Examples
    --------
    >>> now = parse_time("2026-11-30T03:00", name="now", zone="Asia/Shanghai")
    >>> asked = {"name": "--wait", "zone": "Asia/Shanghai", "now": now}
    >>> [f"{parse_wait(text, **asked):%d %H:%M}" for text in ("1h30m", "06:00", "23:00")]
    ['29 20:30', '29 22:00', '29 15:00']
    """
    span = _SPAN.fullmatch(text)
    if span is not None and any(span.groups()):
        hours, minutes, seconds = (int(part or 0) for part in span.groups())
        return now + pd.Timedelta(hours=hours, minutes=minutes, seconds=seconds)
    clock = _CLOCK.fullmatch(text)
    if clock is None:
        msg = f"{name} must be a duration such as 2h or 90m, or a time such as 06:00, got {text!r}"
        raise ConfigError(msg)
    at = pd.Timedelta(hours=int(clock[1]), minutes=int(clock[2]))
    today = pd.Timestamp(now.tz_convert(zone).date())
    days = (_of_zone(today + pd.Timedelta(days=each) + at, zone) for each in (-1, 0, 1))
    return min(days, key=lambda each: abs(each - now))


def last_midnight(now: pd.Timestamp, zone: str) -> pd.Timestamp:
    """Return the last midnight of a zone, in UTC."""
    return _of_zone(pd.Timestamp(now.tz_convert(zone).date()), zone)


def _of_zone(wall: pd.Timestamp, zone: str) -> pd.Timestamp:
    """Convert the time of a clock on the wall to UTC; one that clocks skip is the next there is."""
    try:
        return wall.tz_localize(zone, ambiguous=False, nonexistent="shift_forward").tz_convert(UTC)
    except (KeyError, ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError
        fault = zone_fault(zone, available_timezones()) or f"{zone!r} is not a time zone"
        raise ConfigError(f"timezone of the source mapping: {fault}") from None


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
