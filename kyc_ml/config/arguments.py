"""Check the arguments of the Python interface; an error says what to give instead."""

import os
from pathlib import Path
from typing import TypeAlias

from kyc_ml.errors import ConfigError

FilePath: TypeAlias = os.PathLike[str] | str
"""A file or folder, as a Path or as text; see `read_path`."""


def require_kind(given: object, kind: type, *, name: str, cure: str) -> None:
    """Check that an argument is of class `kind`; an error does not show its value.

    Raises ConfigError naming both classes and the cure.

    Examples
    --------
    >>> require_kind(1, str, name="observation", cure="ids are text")
    Traceback (most recent call last):
    ...
    kyc_ml.errors.ConfigError: observation must be a str, got int: ids are text
    """
    if not isinstance(given, kind):
        raise ConfigError(f"{name} must be a {kind.__name__}, got {type(given).__name__}: {cure}")


def read_path(given: object, *, name: str) -> Path:
    """Return the path of a file or folder that is given as a Path or as text.

    Raises ConfigError if it is neither, or empty text.

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
