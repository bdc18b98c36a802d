"""SQLite files of a store: opened, locked, and their errors as errors of kyc_ml."""

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

_OURS: Final = 0x6B79636D
"""`application_id` of the files ("kycm")."""
_BUSY_S: Final = 30
_BROKEN: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)
_REFUSED: Final = {
    sqlite3.SQLITE_FULL: "the disk is full; free space",
    sqlite3.SQLITE_IOERR: "the device refused; look at its space and its limits",
    sqlite3.SQLITE_READONLY: "it may only be read; correct its permissions",
    sqlite3.SQLITE_PERM: "it may only be read; correct its permissions",
    sqlite3.SQLITE_CANTOPEN: "it, or its folder, may not be opened; correct its permissions",
}


def connect(path: Path, *, version: int, make: bool = False) -> sqlite3.Connection:
    """Open a file of the store; a reader sees the last complete transaction.

    `version`: of the format; a file of another one is refused.
    `make`: whether a missing file is made.
    Raises ConfigError if it is missing, or of another format; otherwise as `translated`.
    """
    if not make and not path.is_file():
        raise ConfigError(
            f"history store {path.parent} does not exist: it has no {path.name}; name the folder "
            "of a store, or make one with `kyc-ml history append`"
        )
    wal = path.with_name(f"{path.name}-wal")
    # without write access there is no place beside the file for what readers share
    alone = not make and not os.access(path.parent, os.W_OK)
    alone = alone and not (wal.exists() and wal.stat().st_size)
    mode = "rwc" if make else "rw"
    place = f"{path.absolute().as_uri()}?mode={mode}{'&immutable=1' if alone else ''}"
    with translated(path):
        if make and not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))  # it holds customers' data
        connection = sqlite3.connect(
            place, uri=True, isolation_level=None, check_same_thread=False, timeout=_BUSY_S
        )
        try:
            if make and _pragma(connection, "schema_version") == 0:
                for setting in (
                    "page_size = 8192",
                    f"application_id = {_OURS}",
                    f"user_version = {version}",
                    "journal_mode = WAL",
                ):
                    connection.execute(f"PRAGMA {setting}")
            found = _pragma(connection, "user_version")
            if _pragma(connection, "application_id") != _OURS or found != version:
                raise ConfigError(
                    f"{path} is not a history store of format {version}, got {found}: make the "
                    "store again from its files with `kyc-ml history append`"
                )
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA cache_size = -65536")
        except BaseException:
            connection.close()
            raise
    return connection


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
        raise corrupt(path, "rows are not those that were written") from None
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in _BROKEN or "UTF-8" in str(error):
            raise corrupt(path, "a page is damaged, or the file was truncated") from None
        if code == sqlite3.SQLITE_BUSY:
            msg = f"{path} is in use by another process for more than {_BUSY_S} s: start again"
            raise NotReadyError(msg) from None
        if code in _REFUSED:
            msg = f"{path} cannot be written: {_REFUSED[code]}; nothing of this append is kept"
            raise OutputError(msg) from None
        raise


def corrupt(path: Path, why: str) -> SourceError:
    """Return the error of a file that is not what was written."""
    return SourceError(
        f"history store {path} is corrupt: {why}; restore its folder from a backup, or make it "
        "again from its files with `kyc-ml history append`"
    )


def lock_writer(folder: Path, name: str = "writer.lock") -> int:
    """Become the one writer of a store; return a descriptor: closing it ends that.

    `name`: of the lock; who serves has another one, so that appends are possible beside it.
    The lock is one of the kernel: it cannot outlive the process.
    Raises OutputError if another process writes, which the message names, or if it is refused.
    """
    make_private(folder)
    try:
        number = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        msg = f"history store {folder} cannot be written: {error.strerror}; correct that"
        raise OutputError(msg) from None
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(number, 0)
        os.pwrite(number, str(os.getpid()).encode(), 0)
    except OSError as error:
        holder = os.pread(number, 20, 0).decode("ascii", "replace")
        os.close(number)
        why = f"process {holder} is writing it" if isinstance(error, BlockingIOError) else error
        raise OutputError(
            f"history store {folder} cannot be written: {why}; wait until it has ended, or stop it"
        ) from None
    return number
