"""SQLite files of a store: opened, locked, and their errors as errors of kyc_ml."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from kyc_ml.errors import ConfigError, NotReadyError, OutputError, SourceError
from kyc_ml.history.packing import CorruptChunkError
from kyc_ml.storage import make_private

HISTORY: Final = "history.db"
SERVED: Final = "served.db"
LOCK: Final = "writer.lock"

_OURS: Final = 0x6B79636D
"""`application_id` of the files ("kycm")."""
_PAGE: Final = 8192
_CACHE_KIB: Final = 65_536
_BUSY_S: Final = 30
_BROKEN: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)


def connect(path: Path, *, version: int, make: bool = False) -> sqlite3.Connection:
    """Open a file of the store; a reader sees the last complete transaction.

    `version`: of the format; a file of another one is refused.
    `make`: whether a missing file is made.
    Raises ConfigError if there is none, or it is of another format; SourceError if it is corrupt;
    OutputError if it cannot be made.
    """
    if not make and not path.is_file():
        msg = (
            f"history store {path.parent} does not exist: it has no {path.name}; name the folder "
            "that `kyc-ml history append` made, or append to it first"
        )
        raise ConfigError(msg)
    with translated(path):
        # a folder that this user cannot write has no place for the files of readers beside it
        alone = not make and not os.access(path.parent, os.W_OK) and not _is_in_use(path)
        place = f"{path.absolute().as_uri()}?mode={'rwc' if make else 'rw'}" + (
            "&immutable=1" if alone else ""
        )
        connection = sqlite3.connect(
            place, uri=True, isolation_level=None, check_same_thread=False, timeout=_BUSY_S
        )
        try:
            _prepare(connection, path, version=version, make=make)
        except BaseException:
            connection.close()
            raise
    return connection


def _is_in_use(path: Path) -> bool:
    beside = path.with_name(f"{path.name}-wal")
    return beside.exists() and beside.stat().st_size > 0


def _prepare(connection: sqlite3.Connection, path: Path, *, version: int, make: bool) -> None:
    empty = _pragma(connection, "schema_version") == 0
    if empty and make:
        connection.execute(f"PRAGMA page_size = {_PAGE}")
        connection.execute(f"PRAGMA application_id = {_OURS}")
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("PRAGMA journal_mode = WAL")
    ours, found = _pragma(connection, "application_id"), _pragma(connection, "user_version")
    if ours != _OURS or found != version:
        what = f"of format {found}" if ours == _OURS else "not a file of a history store"
        msg = (
            f"{path} is {what}, and this version of kyc_ml reads format {version}: build the "
            "store again with `kyc-ml history append` into a new folder"
        )
        raise ConfigError(msg)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write all that the block writes, durably, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite has undone it already after some errors, a full disk for one
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and of chunks into errors that say what to do.

    Raises SourceError for what is corrupt, NotReadyError where another process holds the file for
    too long, OutputError for what cannot be written.
    """
    try:
        yield
    except CorruptChunkError:
        raise _corrupt(path, "rows are not those that were written") from None
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in _BROKEN:
            raise _corrupt(path, "pages are damaged, or the file was truncated") from None
        if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            msg = f"{path} is in use by another process for more than {_BUSY_S} s: start again"
            raise NotReadyError(msg) from None
        if code in _REASONS:
            msg = f"{path} cannot be written: {_REASONS[code]}; nothing of this append is kept"
            raise OutputError(msg) from None
        raise


_REASONS: Final = {
    sqlite3.SQLITE_FULL: "the disk is full: free space",
    sqlite3.SQLITE_IOERR: "the device refused: look at its space and its limits",
    sqlite3.SQLITE_READONLY: "it may only be read: correct its permissions",
    sqlite3.SQLITE_CANTOPEN: "it or its folder may not be opened: correct their permissions",
    sqlite3.SQLITE_PERM: "it may only be read: correct its permissions",
}


def _corrupt(path: Path, why: str) -> SourceError:
    return SourceError(
        f"history store {path} is corrupt: {why}; restore the folder from a backup, or build it "
        "again from the files with `kyc-ml history append` into a new folder"
    )


class WriterLock:
    """The one writer of a store: a lock of the kernel, which ends with its process."""

    def __init__(self, folder: Path) -> None:
        make_private(folder)
        self._path = folder / LOCK
        try:
            self._number = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            msg = f"history store {folder} cannot be written: {error.strerror}"
            raise OutputError(msg) from None
        try:
            fcntl.flock(self._number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._number, 20, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._number)
            msg = (
                f"history store {folder} is being written by another process ({holder}): wait "
                "until it has ended, or stop it"
            )
            raise OutputError(msg) from None
        os.ftruncate(self._number, 0)
        os.pwrite(self._number, f"{os.getpid()}\n".encode("ascii"), 0)

    def release(self) -> None:
        """Let another process write."""
        os.close(self._number)
