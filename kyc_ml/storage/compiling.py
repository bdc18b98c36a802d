"""Compile functions, and decide where the compiled code is kept.

A cache of compiled code is a program that will run: Numba reads it as a pickle. So it is kept
only in a folder that no other user can write, or exchange for another. Without such a folder
nothing is kept, and every process compiles again (about 30 seconds of processor time for all
kernels); the command line says so.

The first usable folder of this list is taken:

1. ``NUMBA_CACHE_DIR``, if the operator set it; a folder that others can write is an error.
2. ``__pycache__`` next to the source, if this user can write it, and no other user can who could
   not change the source itself.
3. ``kyc_ml`` in the user's cache folder (``XDG_CACHE_HOME``, else ``~/.cache``), made with mode
   0700.
4. ``kyc_ml-UID`` in the system's temporary folder, made with mode 0700.
"""

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
_settings: Any = numba.config  # its attributes come from the environment and have no types


def kernel(*, inline: Literal["never", "always"] = "never") -> Callable[[_Function], _Function]:
    """Compile a function when it is first called, without Python's global lock.

    `inline`: 'never' or 'always'; whether Numba inlines it into the functions that call it.
    Raises ConfigError if ``NUMBA_CACHE_DIR`` names a folder that others can write.
    """

    def compiled(function: _Function) -> _Function:
        place = find_cache()
        before, _settings.CACHE_DIR = _settings.CACHE_DIR, place or ""
        try:  # Numba reads the folder once, here, so the setting is restored afterwards
            made = numba.njit(cache=place is not None, nogil=True, inline=inline)(function)
            return cast("_Function", made)
        finally:
            _settings.CACHE_DIR = before

    return compiled


@cache
def find_cache() -> str | None:
    """Return the folder that compiled code is kept in, as Numba's setting takes it.

    Empty text is the ``__pycache__`` next to each source file; None keeps nothing.

    Raises ConfigError if ``NUMBA_CACHE_DIR`` names a folder that others can write.
    """
    given = os.environ.get("NUMBA_CACHE_DIR")
    if given:
        _require_own(Path(given))
        return given
    if _source_is_cache(_PACKAGE):
        return ""
    return next((str(folder) for folder in _own_folders() if _made_private(folder)), None)


def _require_own(folder: Path) -> None:
    """Raise if another user can write a folder of compiled code."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Numba puts compiled code into folders below this one: their permissions matter too
        found = [folder.resolve(), *(each for each in folder.iterdir() if each.is_dir())]
        strange = [each for each in found if not _is_own(each.lstat())]
        strange += _exchangeable(folder)
        writable = os.access(folder, os.W_OK | os.X_OK)
    except OSError as error:
        msg = f"NUMBA_CACHE_DIR {folder} cannot be used: {error.strerror}; name another folder"
        raise ConfigError(msg) from None
    if strange:
        raise ConfigError(
            f"NUMBA_CACHE_DIR: {strange[0]} can be written by other users or belongs to one, and "
            "what is below it is run as a program: remove its files, then chmod go-w it, or name "
            "another folder that only you can write"
        )
    if not writable:
        msg = f"NUMBA_CACHE_DIR {folder} cannot be written by this user: name another folder"
        raise ConfigError(msg)


def _source_is_cache(package: Path) -> bool:
    """Return whether every ``__pycache__`` of the package is writable and as safe as its source."""
    return all(
        _is_safe_beside(folder) for folder in {each.parent for each in package.rglob("*.py")}
    )


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
    """Make a folder for this user alone; return False if that fails, or another user owns it.

    A home folder that does not exist is not made: a service account may only have its name.
    """
    try:
        folder.parent.mkdir(exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()  # not followed: a link may lead to a folder that another user fills
        own = stat.S_ISDIR(found.st_mode) and _is_own(found) and not _exchangeable(folder)
        return own and os.access(folder, os.W_OK)
    except OSError:
        return False


def _exchangeable(folder: Path) -> list[Path]:
    """List the folders above where another user could put another folder in this one's place.

    In a folder with the sticky bit, such as the system's temporary one, only owners may.
    """
    return [
        above
        for above in dict.fromkeys((*folder.absolute().parents, *folder.resolve().parents))
        if above.stat().st_mode & _OTHERS and not above.stat().st_mode & stat.S_ISVTX
    ]


def _is_own(found: os.stat_result) -> bool:
    """Return whether this user or the superuser owns a folder, and no other user can write it."""
    return found.st_uid in {os.geteuid(), _SUPERUSER} and not found.st_mode & _OTHERS
