"""Arguments of the Python interface: of the right kind, or refused with the cure."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

import pandas as pd

from kyc_ml.errors import ConfigError
from kyc_ml.moments import read_instant

Moment: TypeAlias = datetime | str
"""A Timestamp or datetime with a zone, or ISO text as on the command line; see `read_moment`."""

FilePath: TypeAlias = os.PathLike[str] | str
"""A file or folder, as a Path or as text; see `read_path`."""


def require_kind(given: object, kind: type, *, name: str, cure: str) -> None:
    """Refuse an argument of another class than `kind`; its value is not told.

    Raises
    ------
    ConfigError
        Naming both classes and the cure.

    Examples
    --------
    >>> require_kind(1, str, name="observation", cure="ids are text")
    Traceback (most recent call last):
    ...
    kyc_ml.errors.ConfigError: observation must be a str, got int: ids are text
    """
    if not isinstance(given, kind):
        msg = f"{name} must be a {kind.__name__}, got {type(given).__name__}: {cure}"
        raise ConfigError(msg)


def read_path(given: object, *, name: str) -> Path:
    """Give a file or folder that is named by a Path or by text.

    Raises
    ------
    ConfigError
        If it is neither, or empty text.

    Examples
    --------
    >>> read_path("data/bank", name="data").name
    'bank'
    """
    if isinstance(given, os.PathLike):
        given = os.fspath(given)
    if not isinstance(given, str) or not given:
        came = "empty text" if isinstance(given, str) else type(given).__name__
        msg = f"{name} must be a path, such as 'data/bank' or Path('data/bank'), got {came}"
        raise ConfigError(msg)
    return Path(given)


def read_moment(given: object, *, name: str) -> pd.Timestamp:
    """Give the instant that is meant, in UTC.

    Text is read as the command line reads it: a date is its first instant, and UTC unless it
    says otherwise. A Timestamp without a zone may be of any, so none is guessed.

    Raises
    ------
    ConfigError
        If a Timestamp has no zone, text is no ISO date, or it is neither.

    Examples
    --------
    >>> read_moment("2024-07-01", name="as_of")
    Timestamp('2024-07-01 00:00:00+0000', tz='UTC')
    >>> read_moment(pd.Timestamp("2024-07-01", tz="Asia/Shanghai"), name="as_of")
    Timestamp('2024-06-30 16:00:00+0000', tz='UTC')
    """
    if isinstance(given, str):
        return pd.Timestamp(read_instant(given, name=name))
    if not isinstance(given, datetime) or pd.isna(given):
        msg = (
            f"{name} must be a Timestamp with a zone, such as pd.Timestamp('2024-07-01', "
            f"tz='UTC'), or ISO text such as '2024-07-01', got {_say(given)}"
        )
        raise ConfigError(msg)
    moment = pd.Timestamp(given)
    if moment.tz is None:
        msg = (
            f"{name} must carry a timezone, got {moment.isoformat()}: say of which zone it is, "
            f"such as pd.Timestamp({moment.isoformat()!r}, tz='UTC')"
        )
        raise ConfigError(msg)
    return moment.tz_convert("UTC")


def _say(given: object) -> str:
    return "NaT" if given is pd.NaT else type(given).__name__
