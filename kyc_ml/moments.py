"""Dates that a person gives: read before anything else, and without what is slow to import."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Final

from kyc_ml.errors import ConfigError

FIRST_YEAR: Final = 1900
LAST_YEAR: Final = 2199

_DAY: Final = re.compile(
    r"\s*(\d{4})(?:([-/.])(\d{1,2})\2(\d{1,2})|年(\d{1,2})月(\d{1,2})日|(\d{2})(\d{2}))"
    r"(?:[ T]0{1,2}:00(?::00)?)?\s*"
)
"""A day that begins with its year can be read in one way only; Excel adds a midnight."""
_LIKE_A_DAY: Final = re.compile(r"\s*\d{1,4}[-/.年]\d{1,2}[-/.月]\d{1,4}日?.{0,12}")


def read_day(given: object) -> date:
    """Read a day of a file that people keep, such as overrides; the year comes first.

    Raises
    ------
    ValueError
        If it is no day, or could be two: 03/04/2025 is read in two ways.

    Examples
    --------
    >>> read_day("2025-01-31"), read_day("2025/1/31"), read_day("2025年1月31日")
    (datetime.date(2025, 1, 31), datetime.date(2025, 1, 31), datetime.date(2025, 1, 31))
    >>> read_day("03/04/2025")
    Traceback (most recent call last):
    ...
    ValueError: '03/04/2025' is no day that can be read in one way: write it as 2025-01-31
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
        msg = f"{shown}is no day that can be read in one way: write it as 2025-01-31"
        raise ValueError(msg)
    return found


def _find_day(text: str) -> date | None:
    """Read a day that begins with its year; None where the text is none, or no real day."""
    found = _DAY.fullmatch(text)
    if found is None:
        return None
    numbers = [int(part) for part in found.groups() if part is not None and part.isdecimal()]
    try:
        return date(*numbers)
    except ValueError:
        return None


def read_date(text: str, *, name: str) -> datetime:
    """Read an ISO date or time as it is written; without a zone where it names none.

    A day may also be written as `read_day` takes it, such as 2024/7/1.

    Raises
    ------
    ConfigError
        If it is neither, or lies outside the years that the contract accepts.
    """
    day = _find_day(text)
    try:
        given = datetime.fromisoformat(text if day is None else day.isoformat())
    except ValueError:
        msg = f"{name} must be an ISO date such as 2024-07-01, or a time, got {text!r}"
        raise ConfigError(msg) from None
    if not FIRST_YEAR <= given.year <= LAST_YEAR:
        msg = f"{name} must be a date in the years {FIRST_YEAR} to {LAST_YEAR}, got {text!r}"
        raise ConfigError(msg)
    return given


def read_instant(text: str, *, name: str) -> datetime:
    """Read an ISO date or time as the instant it means, in UTC, which it is where it names no zone.

    Raises
    ------
    ConfigError
        As `read_date` does.
    """
    given = read_date(text, name=name)
    return given.replace(tzinfo=UTC) if given.tzinfo is None else given.astimezone(UTC)


def name_instant(text: str | None) -> str | None:
    """Give a date as a log names it: ISO, UTC; None where there is none, or it cannot be read.

    Examples
    --------
    >>> name_instant("2026-03-02"), name_instant("2026-03-02T08:00+08:00"), name_instant("soon")
    ('2026-03-02T00:00:00+00:00', '2026-03-02T00:00:00+00:00', None)
    """
    if text is None:
        return None
    try:
        return read_instant(text, name="date").isoformat()
    except ConfigError:
        return None
