"""The log of served requests: durable before their answer, moved into the tables afterwards."""

import sqlite3
import threading
import zlib
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from operator import attrgetter
from pathlib import Path
from typing import Final

from kyc_ml.history.database import connect, corrupt, transaction, translated


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A request that was answered."""

    key: str
    """Its idempotency key."""
    request: bytes
    answer: bytes
    """`request` and `answer`: as the caller wrote them, JSON for instance."""
    row: bytes
    """The contracted row, to be appended to the tables."""
    features: bytes = b""
    """What the answer was computed from."""
    known_us: int | None = None
    """When the row became known, in microseconds; None for an entry without an answer."""
    appends: int | None = None
    """Number of the last append that the answer is from."""


_NAMES: Final = [each.name for each in fields(Served)]
_values_of: Final = attrgetter(*_NAMES)
_COLUMNS: Final = ", ".join((*_NAMES, "number", "seal"))


def _seal_of(number: int, entry: Served) -> int:
    """Return a checksum of an entry, of its number and of where each field ends."""
    parts = (entry.key.encode(), entry.request, entry.answer, entry.row, entry.features)
    head = f"{number} {entry.known_us} {entry.appends} {[*map(len, parts)]}"
    return zlib.crc32(b"".join(parts), zlib.crc32(head.encode()))


class ServedLog:
    """Entries by number and by idempotency key, in a separate file.

    So a long append to the tables does not make an answer wait.
    """

    def __init__(self, folder: Path, *, make: bool) -> None:
        self._path = folder / "served.db"
        self._lock = threading.Lock()
        self._connection = connect(self._path, version=1, make=make)
        if make:
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS served (key TEXT UNIQUE, request BLOB, answer BLOB, "
                "row BLOB, features BLOB, known_us INTEGER, number INTEGER PRIMARY KEY, "
                "appends INTEGER, seal INTEGER)"
            )
            self._connection.execute("CREATE INDEX IF NOT EXISTS served_known ON served (known_us)")
        with translated(self._path):
            there = {each[1] for each in self._connection.execute("PRAGMA table_info(served)")}
            for name in {"appends", "seal"} - there:  # a log of before
                self._connection.execute(f"ALTER TABLE served ADD COLUMN {name} INTEGER")

    def add(self, entries: Sequence[Served], *, after: int) -> int:
        """Add entries in one commit; see `HistoryStore.log`. All numbers are above `after`."""
        with self._lock, translated(self._path), transaction(self._connection):
            start = 1 + max(after, self._last())
            sql = f"INSERT INTO served ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
            rows = [
                (*_values_of(each), number, _seal_of(number, each))
                for number, each in enumerate(entries, start)
            ]
            try:
                self._connection.executemany(sql, rows)
            except sqlite3.IntegrityError:
                msg = "an idempotency key of these entries is in the log already"
                raise KeyError(msg) from None
            return start + len(entries) - 1

    def find(self, keys: Collection[str]) -> dict[str, Served]:
        """Return the entries of some idempotency keys; unknown keys are left out."""
        found = [each for key in keys for each in self._read("key = ?", key)]
        return {served.key: served for _, served in found}

    def after(self, number: int, *, most: int) -> list[tuple[int, Served]]:
        """Return the first entries above a number, in order, with their numbers."""
        return self._read("number > ? ORDER BY number LIMIT ?", number, most)

    def known(self, since_us: int, until_us: int, *, after: int, appends: int) -> list[int]:
        """Return the numbers of entries, in order; see `HistoryStore.served_known`."""
        sql = (
            "SELECT number FROM served WHERE known_us >= ? AND known_us < ? AND number > ? "
            "AND coalesce(appends, ?4 + 1) > ?4 ORDER BY number"
        )
        values = since_us, until_us, after, appends
        with self._lock, translated(self._path):
            return [n for (n,) in self._connection.execute(sql, values)]

    def numbered(self, numbers: Collection[int]) -> list[Served]:
        """Return the entries of some numbers."""
        return [served for n in numbers for _, served in self._read("number = ?", n)]

    def _read(self, where: str, *values: str | int) -> list[tuple[int, Served]]:
        sql = f"SELECT {_COLUMNS} FROM served WHERE {where}"
        with self._lock, translated(self._path):
            found = self._connection.execute(sql, values).fetchall()
        read = []
        for *each, number, seal in found:
            served = Served(**dict(zip(_NAMES, each, strict=True)))
            with suppress(TypeError, AttributeError):  # a damaged field may be of another type
                if seal is None or seal == _seal_of(number, served):  # one of before has none
                    read.append((number, served))
                    continue
            raise corrupt(self._path, f"entry {number} is not what was written")
        return read

    def last(self) -> int:
        """Return the number of the last entry; 0 for none."""
        with self._lock, translated(self._path):
            return self._last()

    def _last(self) -> int:
        (number,) = self._connection.execute("SELECT max(number) FROM served").fetchone()
        return int(number or 0)

    def count(self, *, after: int) -> int:
        """Count the entries above a number."""
        sql = "SELECT count(*) FROM served WHERE number > ?"
        with self._lock, translated(self._path):
            return int(self._connection.execute(sql, (after,)).fetchone()[0])

    def forget(self, *, until: int, keep_us: int, since_us: int | None) -> None:
        """Remove entries up to a number, but not from the first recent one on.

        `keep_us`: how long before the last row that was served one is recent.
        `since_us`: rows known until this instant are never recent.
        """
        sql = (
            "DELETE FROM served WHERE number <= ? AND number < (SELECT coalesce(min(number), ?) "
            "FROM served WHERE known_us > max((SELECT max(known_us) FROM served) - ?, ?))"
        )
        since = -(1 << 63) if since_us is None else since_us
        with self._lock, translated(self._path), transaction(self._connection):
            self._connection.execute(sql, (until, until + 1, keep_us, since))

    def faults(self) -> list[str]:
        """Return what is damaged in the file; reads all entries.

        Raises SourceError for an entry that is not what was written.
        """
        with self._lock:
            found = integrity(self._connection)
        last = 0
        while some := self.after(last, most=1_000):
            last = some[-1][0]
        return found

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def integrity(connection: sqlite3.Connection) -> list[str]:
    """Return what SQLite finds damaged in a file."""
    found = connection.execute("PRAGMA integrity_check").fetchall()
    return [text for (text,) in found if text != "ok"]
