"""The log of served requests: durable before their answer, moved into the store afterwards."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kyc_ml.history.database import SERVED, connect, transaction, translated

_FORMAT: Final = 1


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


class ServedLog:
    """Entries by number and by idempotency key, in a file beside the tables.

    A file of its own: a long append to the tables must not make an answer wait.
    """

    def __init__(self, folder: Path, *, make: bool) -> None:
        self._path = folder / SERVED
        self._lock = threading.Lock()
        self._connection = connect(self._path, version=_FORMAT, make=make)
        if make:
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS served (number INTEGER PRIMARY KEY, key TEXT UNIQUE, "
                "request BLOB, answer BLOB, row BLOB)"
            )

    def add(self, entries: Sequence[Served], *, after: int) -> int:
        """Add entries in one transaction that is on disk on return; return the last number.

        `after`: a number that all are above: of the last entry that was moved into the tables.
        Raises KeyError if an idempotency key is there already; OutputError if the entries cannot
        be written. No entry is added then.
        """
        with self._lock, translated(self._path), transaction(self._connection):
            (last,) = self._connection.execute("SELECT max(number) FROM served").fetchone()
            start = 1 + max(after, last or 0)
            try:
                self._connection.executemany(
                    "INSERT INTO served VALUES (?, ?, ?, ?, ?)",
                    (
                        (number, each.key, each.request, each.answer, each.row)
                        for number, each in enumerate(entries, start)
                    ),
                )
            except sqlite3.IntegrityError:
                msg = "an idempotency key of these entries is in the log already"
                raise KeyError(msg) from None
            return start + len(entries) - 1

    def find(self, keys: Collection[str]) -> dict[str, Served]:
        """Return the entries of idempotency keys that are there."""
        sql = "SELECT key, request, answer, row FROM served WHERE key = ?"
        with self._lock, translated(self._path):
            found = [self._connection.execute(sql, (key,)).fetchone() for key in keys]
        return {each[0]: _entry(each) for each in found if each}

    def after(self, number: int, *, most: int) -> list[tuple[int, Served]]:
        """Return the first entries above a number, in order, with their numbers."""
        sql = (
            "SELECT key, request, answer, row, number FROM served WHERE number > ? "
            "ORDER BY number LIMIT ?"
        )
        with self._lock, translated(self._path):
            found = self._connection.execute(sql, (number, most)).fetchall()
        return [(each[4], _entry(each)) for each in found]

    def count(self, *, after: int) -> int:
        """Count the entries above a number."""
        sql = "SELECT count(*) FROM served WHERE number > ?"
        with self._lock, translated(self._path):
            return int(self._connection.execute(sql, (after,)).fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def _entry(row: Sequence[object]) -> Served:
    key, request, answer, contracted = row[:4]
    return Served(key=key, request=request, answer=answer, row=contracted)  # type: ignore[arg-type]
