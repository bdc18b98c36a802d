"""A partition: the rows of one table, found by the values of one column."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.contract import EVENT_TIME, KNOWN_AT
from kyc_ml.errors import CapacityError
from kyc_ml.history.columns import RowForm, event_times, known_times
from kyc_ml.history.packing import Counts, Words, digest_words, pack_chunks, unpack_chunks
from kyc_ml.history.texts import Texts

DAY: Final = "event_day"
"""Key of a partition by the day of event_time, in UTC: whole days since 1970."""
DAY_US: Final = 86_400_000_000
_SHIFT: Final = 20
"""Bits of a chunk's place that count the chunks of its key."""
_FULL: Final = 128
_FULL_DAY: Final = 8192
"""Rows of a full chunk: a key is read whole, a day too but has more rows."""
_PIECE: Final = 100_000
"""Rows that are read at a time where all are."""

_Chunk = tuple[int, int, bytes]
"""Place, number of rows and bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """What is kept of a table by one key."""

    table: str
    key: str
    """A text column of the table, or DAY."""
    columns: tuple[str, ...]
    """Columns kept; event_time, known_at and what orders the rows are kept in addition."""

    @property
    def name(self) -> str:
        """Name for messages and digests."""
        return f"{self.table} by {self.key}"


@dataclass(slots=True)
class Content:
    """What a partition holds, in no order: it does not depend on chunks or numbers of texts."""

    rows: int = 0
    digest: int = 0

    def change(self, rows: int, digest: int) -> None:
        """Add rows, or take them away."""
        self.rows += rows
        self.digest = (self.digest + digest) % 2**64


class KeptRows:
    """Reads and writes a partition.

    `schema`: of the columns kept, the key among them; `order`: columns that order rows of equal
    times.
    """

    def __init__(
        self,
        partition: Partition,
        number: int,
        schema: pa.Schema,
        order: Sequence[str],
        texts: Texts,
    ) -> None:
        self.partition = partition
        # rows of a store are concatenated with others, which may lack what the contract requires
        self.schema = pa.schema([field.with_nullable(nullable=True) for field in schema])
        self._name = f"rows_{number}"
        self._order = [name for name in order if name not in {EVENT_TIME, KNOWN_AT}]
        self._texts = texts
        self._db = texts.db
        self.form = RowForm(pa.schema([f for f in schema if f.name != partition.key]), texts)
        self._full = _FULL_DAY if partition.key == DAY else _FULL

    def make(self) -> None:
        """Make the empty table."""
        self._db().execute(
            f"CREATE TABLE {self._name} (place INTEGER PRIMARY KEY, rows INTEGER, "
            "last INTEGER, data BLOB)"
        )

    # reading

    def keys_of(self, values: pa.Array, *, add: bool = False) -> Counts:
        """Return the numbers of key values; 0 for a text that no row has."""
        if self.partition.key == DAY:
            return np.asarray(values.to_numpy(zero_copy_only=False), np.int64)
        return self._texts.numbers(values, add=add).view(np.int64)

    def has(self, values: pa.Array) -> list[bool]:
        """Return which of some texts are the key of a row."""
        sql = f"SELECT 1 FROM {self._name} WHERE place BETWEEN ? AND ? LIMIT 1"
        first = self._texts.numbers(values, add=False).astype(np.int64) << _SHIFT
        bounds = zip(first.tolist(), (first + (1 << _SHIFT) - 1).tolist(), strict=True)
        return [
            each[0] > 0 and self._db().execute(sql, each).fetchone() is not None for each in bounds
        ]

    def read(
        self, keys: Counts | None, columns: Sequence[str], *, since_us: int | None = None
    ) -> pa.Table:
        """Return columns of the rows of some keys, None for all, in the order of the table."""
        recent = "" if since_us is None else f" AND last >= {since_us // 1_000_000}"
        every = [(0, np.iinfo(np.int64).max)]
        spans = every if keys is None else map(_places, np.unique(keys).tolist())
        chunks = self._chunks(spans, recent)
        return self._table(chunks, columns, in_order=True)

    def read_all(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Yield columns of all rows in pieces, one key after the other."""
        for chunks in self.pieces():
            yield self._table(chunks, columns, in_order=False)

    def pieces(self) -> Iterator[list[_Chunk]]:
        """Yield all chunks in pieces of whole keys; at least one."""
        sql = f"SELECT place >> {_SHIFT}, sum(rows) FROM {self._name} GROUP BY 1 ORDER BY 1"
        keys, rows = np.array(self._db().execute(sql).fetchall() or [(0, 0)], np.int64).T
        firsts = np.unique(np.cumsum(rows) // _PIECE, return_index=True)[1]
        ends = [*(keys[firsts[1:]] - 1).tolist(), int(keys[-1])]
        for first, last in zip(keys[firsts].tolist(), ends, strict=True):
            yield self._chunks([(_places(first)[0], _places(last)[1])])

    def _chunks(self, spans: Iterable[tuple[int, int]], where: str = "") -> list[_Chunk]:
        sql = f"SELECT place, rows, data FROM {self._name} WHERE place BETWEEN ? AND ?{where}"
        return [chunk for span in spans for chunk in self._db().execute(sql, span).fetchall()]

    def words(
        self, chunks: Sequence[_Chunk], wanted: Sequence[int] | None = None
    ) -> tuple[Words, Counts]:
        """Return words of chunks, and the key of each row."""
        rows = np.array([chunk[1] for chunk in chunks], np.int64)
        places = np.array([chunk[0] for chunk in chunks], np.int64)
        words = unpack_chunks(
            [chunk[2] for chunk in chunks],
            _seeds(places, rows),
            rows,
            self.form.words,
            range(self.form.words) if wanted is None else wanted,
        )
        return words, np.repeat(places >> _SHIFT, rows)

    def _table(
        self, chunks: Sequence[_Chunk], columns: Sequence[str], *, in_order: bool
    ) -> pa.Table:
        key = self.partition.key
        held = self.form.needed({*columns, *self._order})
        words, keys = self.words(chunks, held)

        def take(names: Sequence[str], rows: Counts | None) -> pa.Table:
            some, of = (words, keys) if rows is None else (words[:, rows], keys[rows])
            stored = [name for name in names if name != key]
            found = dict(zip(stored, self.form.read(some, held, stored), strict=True))
            if key in names:
                found[key] = self._texts.texts(of.view(np.uint64))
            schema = pa.schema([self.schema.field(name) for name in names])
            return pa.table([found[name] for name in names], schema=schema)

        return take(columns, _ordered(words, self._order, take) if in_order else None)

    # writing

    def add(self, words: Words, values: pa.Array, content: Content) -> None:
        """Add rows, as words of `form`, and the value of the key of each; None: not found by it."""
        keys = self.keys_of(values, add=True)
        if self.partition.key != DAY and not keys.all():
            words, keys = words[:, keys > 0], keys[keys > 0]
        if keys.size:
            content.change(keys.size, self._digest(words, keys))
            self._write(words, keys)

    def remove(self, values: pa.Array, content: Content) -> None:
        """Remove all rows of some values of the key."""
        different = np.unique(self.keys_of(values)).tolist()
        chunks = self._chunks(map(_places, different))
        words, keys = self.words(chunks)
        content.change(-keys.size, -self._digest(words, keys))
        self._delete(chunks)

    def _digest(self, words: Words, keys: Counts) -> int:
        meant = numbers = keys.view(np.uint64)
        if self.partition.key != DAY:
            meant = self._texts.hashes(numbers)
        return digest_words(np.vstack((self.form.meaning(words), meant)))

    def _delete(self, chunks: Sequence[_Chunk]) -> None:
        places = ((chunk[0],) for chunk in chunks)
        self._db().executemany(f"DELETE FROM {self._name} WHERE place = ?", places)

    def _write(self, words: Words, keys: Counts) -> None:
        """Write rows as chunks after those of their keys, some of which they are merged with."""
        different, counts = np.unique(keys, return_counts=True)
        nexts, merged = self._ends(different, counts)
        if merged:
            held, held_keys = self.words(merged)
            # earlier rows come first, in the stable order below
            words, keys = np.hstack((held, words)), np.append(held_keys, keys)
            _, counts = np.unique(keys, return_counts=True)
            self._delete(merged)
        words = np.ascontiguousarray(words[:, np.argsort(keys, kind="stable")])
        chunks = -(-counts // self._full)
        owner = np.repeat(np.arange(counts.size), chunks)
        nth = np.arange(owner.size) - np.repeat(np.cumsum(chunks) - chunks, chunks)
        if (nexts + chunks).max() >> _SHIFT:
            msg = f"{self.partition.name}: a key has more rows than a store can keep"
            raise CapacityError(msg)
        places = (different[owner] << _SHIFT) + nexts[owner] + nth
        first = (np.cumsum(counts) - counts)[owner] + nth * self._full
        bounds = np.append(first, keys.size)
        rows = np.diff(bounds)
        last = np.maximum.reduceat(event_times(words), first) // 1_000_000
        data = pack_chunks(words, bounds, _seeds(places, rows))
        self._db().executemany(
            f"INSERT INTO {self._name} VALUES (?, ?, ?, ?)",
            zip(places.tolist(), rows.tolist(), last.tolist(), data, strict=True),
        )

    def _ends(self, keys: Counts, counts: Counts) -> tuple[Counts, list[_Chunk]]:
        """Return where to write next for each key, and the last chunks that are merged.

        A chunk is merged with at least half as many new rows: so a key never has many small
        chunks, and no row is written again more often than the logarithm of a full chunk.
        """
        nexts = np.zeros(keys.size, np.int64)
        merged: list[_Chunk] = []
        sql = (
            f"SELECT place, rows, data FROM {self._name} WHERE place BETWEEN ? AND ? "
            "ORDER BY place DESC"
        )
        if self._db().execute(f"SELECT 1 FROM {self._name} LIMIT 1").fetchone() is None:
            return nexts, merged
        for at, (key, grown) in enumerate(zip(keys.tolist(), counts.tolist(), strict=True)):
            for chunk in self._db().execute(sql, _places(key)):
                if chunk[1] >= self._full or chunk[1] > 2 * grown:
                    nexts[at] = chunk[0] - (key << _SHIFT) + 1
                    break
                grown += chunk[1]  # noqa: PLW2901  rows to merge with an earlier chunk
                merged.append(chunk)
        return nexts, sorted(merged)

    # the whole

    def measure(self) -> Content:
        """Compute the content from all chunks."""
        found = Content()
        for chunks in self.pieces():
            words, keys = self.words(chunks)
            found.change(keys.size, self._digest(words, keys))
        return found

    def compact(self, *, since_us: int | None, content: Content) -> None:
        """Merge the chunks of each key, and drop rows that happened before an instant."""
        for chunks in self.pieces():
            words, keys = self.words(chunks)
            old = np.zeros(keys.size, np.bool_)
            if since_us is not None:
                old = event_times(words) < since_us
            if old.any():
                dropped = self._digest(words[:, old], keys[old])
                content.change(-int(old.sum()), -dropped)
            self._delete(chunks)
            if not old.all():
                self._write(words[:, ~old], keys[~old])

    def size(self) -> int:
        """Return the bytes of all chunks."""
        sql = f"SELECT coalesce(sum(length(data)), 0) FROM {self._name}"
        return int(self._db().execute(sql).fetchone()[0])


def _places(key: int) -> tuple[int, int]:
    """Return the first and the last place that chunks of a key may have."""
    return key << _SHIFT, ((key + 1) << _SHIFT) - 1


def _seeds(places: Counts, rows: Counts) -> list[int]:
    """Return what is sealed with each chunk: its place and the number of its rows."""
    seeds: list[int] = (places * 31 + rows).tolist()
    return seeds


def _ordered(
    words: Words, ties: Collection[str], take: Callable[[Sequence[str], Counts | None], pa.Table]
) -> Counts | None:
    """Return rows by event_time, known_at and then other columns; None if they are in order."""
    event, known = event_times(words), known_times(words)
    if (event[1:] > event[:-1]).all():
        return None
    order = np.lexsort((known, event))
    event, known = event[order], known[order]
    same = (event[1:] == event[:-1]) & (known[1:] == known[:-1])
    tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
    if ties and tied.size:
        rows = take([EVENT_TIME, KNOWN_AT, *ties], order[tied])
        by = [(name, "ascending") for name in rows.column_names]
        order[tied] = order[tied][pc.sort_indices(rows, by).to_numpy()]
    return order
