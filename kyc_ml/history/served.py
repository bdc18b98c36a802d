"""The log of served requests: durable before their answer, moved into the tables afterwards."""

import sqlite3
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from pathlib import Path
from typing import Final

from kyc_ml.history.database import connect, transaction, translated


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


_NAMES: Final = [each.name for each in fields(Served)]
_values_of: Final = attrgetter(*_NAMES)


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
                "row BLOB, features BLOB, known_us INTEGER, number INTEGER PRIMARY KEY)"
            )
            self._connection.execute("CREATE INDEX IF NOT EXISTS served_known ON served (known_us)")

    def add(self, entries: Sequence[Served], *, after: int) -> int:
        """Add entries in one commit; see `HistoryStore.log`. All numbers are above `after`."""
        with self._lock, translated(self._path), transaction(self._connection):
            last, number = after, "1 + max(?, coalesce(max(number), 0))"
            sql = f"INSERT INTO served SELECT ?, ?, ?, ?, ?, ?, {number} FROM served"
            try:
                for each in entries:
                    last = self._connection.execute(sql, (*_values_of(each), last)).lastrowid or 0
            except sqlite3.IntegrityError:
                msg = "an idempotency key of these entries is in the log already"
                raise KeyError(msg) from None
            return last

    def find(self, keys: Collection[str]) -> dict[str, Served]:
        """Return the entries of some idempotency keys; unknown keys are left out."""
        found = [each for key in keys for each in self._read("key = ?", key)]
        return {served.key: served for _, served in found}

    def after(self, number: int, *, most: int) -> list[tuple[int, Served]]:
        """Return the first entries above a number, in order, with their numbers."""
        return self._read("number > ? ORDER BY number LIMIT ?", number, most)

    def known(self, since_us: int, until_us: int) -> list[int]:
        """Return the numbers of entries whose row became known in [since, until), in order."""
        sql = "SELECT number FROM served WHERE known_us >= ? AND known_us < ? ORDER BY number"
        with self._lock, translated(self._path):
            return [n for (n,) in self._connection.execute(sql, (since_us, until_us))]

    def numbered(self, numbers: Collection[int]) -> list[Served]:
        """Return the entries of some numbers."""
        return [served for n in numbers for _, served in self._read("number = ?", n)]

    def _read(self, where: str, *values: str | int) -> list[tuple[int, Served]]:
        sql = f"SELECT number, {', '.join(_NAMES)} FROM served WHERE {where}"
        with self._lock, translated(self._path):
            found = self._connection.execute(sql, values).fetchall()
        return [(n, Served(**dict(zip(_NAMES, each, strict=True)))) for n, *each in found]

    def count(self, *, after: int) -> int:
        """Count the entries above a number."""
        sql = "SELECT count(*) FROM served WHERE number > ?"
        with self._lock, translated(self._path):
            return int(self._connection.execute(sql, (after,)).fetchone()[0])

    def forget(self, *, until: int) -> None:
        """Remove the entries up to a number."""
        with self._lock, translated(self._path), transaction(self._connection):
            self._connection.execute("DELETE FROM served WHERE number <= ?", (until,))

    def faults(self) -> list[str]:
        """Return what SQLite finds damaged in the file."""
        with self._lock:
            return integrity(self._connection)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def integrity(connection: sqlite3.Connection) -> list[str]:
    """Return what SQLite finds damaged in a file."""
    found = connection.execute("PRAGMA integrity_check").fetchall()
    return [text for (text,) in found if text != "ok"]
