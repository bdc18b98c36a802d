"""Rows as numbers, in chunks that are found by the number of a key."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import numpy as np

from kyc_ml.errors import CapacityError
from kyc_ml.history.packing import Counts, Words, pack_chunks, unpack_chunks

Database = Callable[[], sqlite3.Connection]
"""The connection that this thread reads or writes in."""

Chunk = tuple[int, int, bytes]
"""Place, number of rows and bytes."""

_SHIFT: Final = 20
"""Bits of a chunk's place that count the chunks of its key."""
_PIECE: Final = 100_000
"""Rows that are read at a time where all are."""


class Chunks:
    """A table of the database with a chunk in each row.

    `columns`: numbers of a row; `full`: rows of a full chunk; `last_of`: the number of each row of
    which a chunk's largest is kept with it.
    """

    def __init__(
        self,
        name: str,
        db: Database,
        *,
        columns: int,
        full: int,
        last_of: Callable[[Words], Counts],
    ) -> None:
        self.name = name
        self._db = db
        self._columns = columns
        self._full = full
        self._last_of = last_of

    def make(self) -> None:
        """Make the empty table."""
        self._db().execute(
            f"CREATE TABLE {self.name} (place INTEGER PRIMARY KEY, rows INTEGER, "
            "last INTEGER, data BLOB)"
        )

    def has(self, keys: Counts) -> list[bool]:
        """Return which of some keys have rows; 0 has none."""
        sql = f"SELECT 1 FROM {self.name} WHERE place BETWEEN ? AND ? LIMIT 1"
        return [
            key > 0 and self._db().execute(sql, _places(key)).fetchone() is not None
            for key in keys.tolist()
        ]

    def of(self, keys: Counts | None, *, since: int | None = None) -> list[Chunk]:
        """Return the chunks of some keys, None for all, without those whose last is earlier."""
        recent = "" if since is None else f" AND last >= {since}"
        every = [(0, np.iinfo(np.int64).max)]
        spans = every if keys is None else map(_places, np.unique(keys).tolist())
        return self._chunks(spans, recent)

    def _chunks(self, spans: Iterable[tuple[int, int]], where: str = "") -> list[Chunk]:
        sql = f"SELECT place, rows, data FROM {self.name} WHERE place BETWEEN ? AND ?{where}"
        return [chunk for span in spans for chunk in self._db().execute(sql, span).fetchall()]

    def pieces(self) -> Iterator[list[Chunk]]:
        """Yield all chunks in pieces of whole keys; at least one."""
        sql = f"SELECT place >> {_SHIFT}, sum(rows) FROM {self.name} GROUP BY 1 ORDER BY 1"
        keys, rows = np.array(self._db().execute(sql).fetchall() or [(0, 0)], np.int64).T
        firsts = np.unique(np.cumsum(rows) // _PIECE, return_index=True)[1]
        ends = [*(keys[firsts[1:]] - 1).tolist(), int(keys[-1])]
        for first, last in zip(keys[firsts].tolist(), ends, strict=True):
            yield self._chunks([(_places(first)[0], _places(last)[1])])

    def words(
        self, chunks: Sequence[Chunk], wanted: Sequence[int] | None = None
    ) -> tuple[Words, Counts]:
        """Return words of chunks, and the key of each row."""
        rows = np.array([chunk[1] for chunk in chunks], np.int64)
        places = np.array([chunk[0] for chunk in chunks], np.int64)
        words = unpack_chunks(
            [chunk[2] for chunk in chunks],
            _seeds(places, rows),
            rows,
            self._columns,
            range(self._columns) if wanted is None else wanted,
        )
        return words, np.repeat(places >> _SHIFT, rows)

    def delete(self, chunks: Sequence[Chunk]) -> None:
        """Delete chunks."""
        places = ((chunk[0],) for chunk in chunks)
        self._db().executemany(f"DELETE FROM {self.name} WHERE place = ?", places)

    def write(self, words: Words, keys: Counts) -> None:
        """Write rows as chunks after those of their keys, some of which they are merged with."""
        if not keys.size:
            return
        different, counts = np.unique(keys, return_counts=True)
        nexts, merged = self._ends(different, counts)
        if merged:
            held, held_keys = self.words(merged)
            # earlier rows come first, in the stable order below
            words, keys = np.hstack((held, words)), np.append(held_keys, keys)
            _, counts = np.unique(keys, return_counts=True)
            self.delete(merged)
        words = np.ascontiguousarray(words[:, np.argsort(keys, kind="stable")])
        chunks = -(-counts // self._full)
        owner = np.repeat(np.arange(counts.size), chunks)
        nth = np.arange(owner.size) - np.repeat(np.cumsum(chunks) - chunks, chunks)
        if (nexts + chunks).max() >> _SHIFT:
            raise CapacityError(f"{self.name}: a key has more rows than a store can keep")
        places = (different[owner] << _SHIFT) + nexts[owner] + nth
        first = (np.cumsum(counts) - counts)[owner] + nth * self._full
        bounds = np.append(first, keys.size)
        rows = np.diff(bounds)
        last = np.maximum.reduceat(self._last_of(words), first)
        data = pack_chunks(words, bounds, _seeds(places, rows))
        self._db().executemany(
            f"INSERT INTO {self.name} VALUES (?, ?, ?, ?)",
            zip(places.tolist(), rows.tolist(), last.tolist(), data, strict=True),
        )

    def _ends(self, keys: Counts, counts: Counts) -> tuple[Counts, list[Chunk]]:
        """Return where to write next for each key, and the last chunks that are merged.

        A chunk is merged with at least half as many new rows: so a key never has many small
        chunks, and no row is written again more often than the logarithm of a full chunk.
        """
        nexts = np.zeros(keys.size, np.int64)
        merged: list[Chunk] = []
        sql = (
            f"SELECT place, rows, data FROM {self.name} WHERE place BETWEEN ? AND ? "
            "ORDER BY place DESC"
        )
        if self._db().execute(f"SELECT 1 FROM {self.name} LIMIT 1").fetchone() is None:
            return nexts, merged
        for at, (key, grown) in enumerate(zip(keys.tolist(), counts.tolist(), strict=True)):
            for chunk in self._db().execute(sql, _places(key)):
                if chunk[1] >= self._full or chunk[1] > 2 * grown:
                    nexts[at] = chunk[0] - (key << _SHIFT) + 1
                    break
                grown += chunk[1]  # noqa: PLW2901  rows to merge with an earlier chunk
                merged.append(chunk)
        return nexts, sorted(merged)

    def size(self) -> int:
        """Return the bytes of all chunks."""
        sql = f"SELECT coalesce(sum(length(data)), 0) FROM {self.name}"
        return int(self._db().execute(sql).fetchone()[0])


def _places(key: int) -> tuple[int, int]:
    """Return the first and the last place that chunks of a key may have."""
    return key << _SHIFT, ((key + 1) << _SHIFT) - 1


def _seeds(places: Counts, rows: Counts) -> list[int]:
    """Return what is sealed with each chunk: its place and the number of its rows."""
    seeds: list[int] = (places * 31 + rows).tolist()
    return seeds
