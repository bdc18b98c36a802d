"""Compiled functions, and the one decision where what Numba compiled is kept.

A cache of compiled code is a program that will run: Numba reads it as a pickle. So it is kept
only where nobody else can write, and where there is no such place nothing is kept: every process
then compiles anew (some 30 seconds of processor time for all kernels).

The first of these that serves is used:

1. ``NUMBA_CACHE_DIR``, where the operator set it; one that others can write is refused.
2. ``__pycache__`` beside the source, if this user can write it and nobody can who could not
   change the source itself.
3. ``kyc_ml`` in the user's cache folder (``XDG_CACHE_HOME``, else ``~/.cache``), made with mode
   0700.
4. ``kyc_ml-UID`` in the system's temporary folder, made with mode 0700.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, cast

import numba

from kyc_ml.errors import ConfigError

_Function = TypeVar("_Function", bound=Callable[..., Any])

_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
_SUPERUSER: Final = 0
_PACKAGE: Final = Path(__file__).parents[1]
_settings: Any = numba.config  # its names come from the environment: no type has them


def kernel(*, inline: Literal["never", "always"] = "never") -> Callable[[_Function], _Function]:
    """Compile a function when it is first called, without Python's global lock.

    Parameters
    ----------
    inline : 'never' or 'always'
        Whether Numba puts it into the functions that call it.

    Raises
    ------
    ConfigError
        If ``NUMBA_CACHE_DIR`` names a folder that others can write.
    """

    def compiled(function: _Function) -> _Function:
        place = find_cache()
        before, _settings.CACHE_DIR = _settings.CACHE_DIR, place or ""
        try:  # Numba looks for the folder now, and once
            made = numba.njit(cache=place is not None, nogil=True, inline=inline)(function)
            return cast("_Function", made)
        finally:
            _settings.CACHE_DIR = before

    return compiled


@cache
def find_cache() -> str | None:
    """Give the folder that compiled code is kept in, as Numba takes it.

    Empty text is the ``__pycache__`` beside each source file; None is nowhere.

    Raises
    ------
    ConfigError
        If ``NUMBA_CACHE_DIR`` names a folder that others can write.
    """
    given = os.environ.get("NUMBA_CACHE_DIR")
    if given:
        _require_own(Path(given))
        return given
    if _source_is_cache(_PACKAGE):
        return ""
    return next((str(folder) for folder in _own_folders() if _made_private(folder)), None)


def _require_own(folder: Path) -> None:
    """Refuse a folder of compiled code that somebody else can write."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = [folder, *(each for each in folder.iterdir() if each.is_dir())]
        strange = [each for each in found if not _is_own(each.stat())]
        writable = os.access(folder, os.W_OK | os.X_OK)
    except OSError as error:
        msg = f"NUMBA_CACHE_DIR {folder} cannot be used: {error.strerror}; name another folder"
        raise ConfigError(msg) from None
    if strange:
        msg = (
            f"NUMBA_CACHE_DIR: {strange[0]} can be written by other users or is theirs, and what "
            "lies in it is run as a program: chmod go-w it after removing its files, or name a "
            "folder of your own"
        )
        raise ConfigError(msg)
    if not writable:
        msg = f"NUMBA_CACHE_DIR {folder} cannot be written by this user: name another folder"
        raise ConfigError(msg)


def _source_is_cache(package: Path) -> bool:
    """Tell whether every ``__pycache__`` of the package can be written, and is as safe as it."""
    return all(_is_safe_beside(source) for source in _folders_of_source(package))


def _folders_of_source(package: Path) -> Iterable[Path]:
    return {source.parent for source in package.rglob("*.py")}


def _is_safe_beside(source: Path) -> bool:
    compiled = source / "__pycache__"
    try:
        beside = source.stat()
        found = compiled.stat() if compiled.exists() else None
    except OSError:
        return False
    if found is None:
        return os.access(source, os.W_OK | os.X_OK)
    owners = {os.geteuid(), _SUPERUSER, beside.st_uid}
    wider = found.st_mode & _OTHERS & ~beside.st_mode
    return found.st_uid in owners and not wider and os.access(compiled, os.W_OK | os.X_OK)


def _own_folders() -> Iterable[Path]:
    home = os.environ.get("XDG_CACHE_HOME") or (os.environ.get("HOME", "") and "~/.cache")
    if home:
        yield Path(home).expanduser() / "kyc_ml"
    yield Path(tempfile.gettempdir()) / f"kyc_ml-{os.geteuid()}"


def _made_private(folder: Path) -> bool:
    """Make a folder for this user alone; False where that fails, or it is another's.

    A home that does not exist is not made: service accounts have the name of one.
    """
    try:
        folder.parent.mkdir(exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()  # a link may lead to a folder that somebody else fills
        return stat.S_ISDIR(found.st_mode) and _is_own(found) and os.access(folder, os.W_OK)
    except OSError:
        return False


def _is_own(found: os.stat_result) -> bool:
    """Tell whether a folder is this user's or the superuser's, and nobody else can write it."""
    return found.st_uid in {os.geteuid(), _SUPERUSER} and not found.st_mode & _OTHERS
