"""Dates that a person gives: read before anything else, and without what is slow to import."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from kyc_ml.errors import ConfigError

FIRST_YEAR: Final = 1900
LAST_YEAR: Final = 2199


def read_date(text: str, *, name: str) -> datetime:
    """Read an ISO date or time as it is written; without a zone where it names none.

    Raises
    ------
    ConfigError
        If it is neither, or lies outside the years that the contract accepts.
    """
    try:
        given = datetime.fromisoformat(text)
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
