"""Dates that a person gives: read before anything else, and without what is slow to import."""

from __future__ import annotations

from datetime import datetime
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
