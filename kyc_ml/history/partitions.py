"""A partition: the rows of one table, found by the values of one column."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.contract import EVENT_TIME, KNOWN_AT
from kyc_ml.history.columns import RowForm, event_times, known_times
from kyc_ml.history.packing import Counts, Words, pack_chunks, unpack_chunks
from kyc_ml.history.texts import Texts

DAY: Final = "event_day"
"""Key of a partition by the day of event_time, in UTC: whole days since 1970."""

DAY_US: Final = 86_400_000_000
_SHIFT: Final = 20
"""Bits of a chunk's place that count the chunks of its key."""
_FULL: Final = 128
_FULL_DAY: Final = 8192
"""Rows of a full chunk: a key is read whole, a day too but has more rows."""
_PARTS: Final = 100_000

Rows = Counts | None
"""Positions of rows; None for all of them."""


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


@dataclass(frozen=True, slots=True)
class _Chunks:
    places: list[int]
    rows: Counts
    data: list[bytes]


@dataclass(frozen=True, slots=True)
class _Decoded:
    """Rows as words, before the columns that are asked for are made of them."""

    kept: KeptRows
    connection: sqlite3.Connection
    words: Words
    keys: Counts
    among: Collection[str]

    def table(self, columns: Sequence[str], rows: Rows = None) -> pa.Table:
        return self.kept.to_arrow(self.connection, self, columns, rows)

    def order(self, ties: Sequence[str]) -> Rows:
        """Return the rows by event_time, known_at and then `ties`; None if they are in order."""
        event = event_times(self.words)
        if (event[1:] > event[:-1]).all():
            return None
        known = known_times(self.words)
        order = np.lexsort((known, event))
        event, known = event[order], known[order]
        same = (event[1:] == event[:-1]) & (known[1:] == known[:-1])
        tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
        if ties and tied.size:
            names = {"e": event[tied], "k": known[tied]}
            rows = self.table(ties, order[tied])
            for name, values in names.items():
                rows = rows.append_column(name, pa.array(values))
            ascending = [(name, "ascending") for name in (*names, *ties)]
            order[tied] = order[tied][pc.sort_indices(rows, ascending).to_numpy()]
        return order


class KeptRows:
    """Reads and writes a partition in a connection that the caller gives."""

    def __init__(
        self,
        partition: Partition,
        number: int,
        schema: pa.Schema,
        order: tuple[str, ...],
        texts: Texts,
    ) -> None:
        self.partition = partition
        self._order = tuple(name for name in order if name not in {EVENT_TIME, KNOWN_AT})
        self._name = f"rows_{number}"
        self._texts = texts
        self.schema = schema
        kept = [field for field in schema if field.name != partition.key]
        # the times come first: their words are always the first four
        kept.sort(key=lambda field: (field.name != EVENT_TIME, field.name != KNOWN_AT))
        self._form = RowForm(pa.schema(kept), texts)
        self._full = _FULL_DAY if partition.key == DAY else _FULL

    def make(self, connection: sqlite3.Connection) -> None:
        """Make the empty table."""
        connection.execute(
            f"CREATE TABLE {self._name} (place INTEGER PRIMARY KEY, rows INTEGER, "
            "last INTEGER, data BLOB)"
        )

    @cached_property
    def _every(self) -> list[int]:
        return list(range(self._form.words))

    # reading

    def keys_of(self, connection: sqlite3.Connection, values: pa.Array) -> Counts:
        """Return the numbers of key values that are known, each once."""
        if self.partition.key == DAY:
            return np.unique(values.to_numpy(zero_copy_only=False).astype(np.int64))
        found = self._texts.numbers(connection, values, add=False)
        return np.unique(found[found > 0]).astype(np.int64)

    def has(self, connection: sqlite3.Connection, values: pa.Array) -> list[bool]:
        """Return which of some texts are the key of a row."""
        sql = f"SELECT 1 FROM {self._name} WHERE place BETWEEN ? AND ? LIMIT 1"
        first = self._texts.numbers(connection, values, add=False).astype(np.int64) << _SHIFT
        bounds = zip(first.tolist(), (first + (1 << _SHIFT) - 1).tolist(), strict=True)
        return [
            each[0] > 0 and connection.execute(sql, each).fetchone() is not None for each in bounds
        ]

    def read(
        self,
        connection: sqlite3.Connection,
        keys: Counts,
        columns: Sequence[str],
        *,
        since_us: int | None = None,
    ) -> pa.Table:
        """Return columns of the rows of some keys, in the order of the table."""
        since = None if since_us is None else since_us // 1_000_000
        found = self._decode(connection, self._chunks_of(connection, keys, since), columns)
        return found.table(columns, found.order(self._order))

    def read_all(
        self, connection: sqlite3.Connection, columns: Sequence[str]
    ) -> Iterator[pa.RecordBatch]:
        """Yield columns of all rows in pieces, one key after the other."""
        for chunks in self._all_chunks(connection):
            yield from self._decode(connection, chunks, columns).table(columns).to_batches()

    def _all_chunks(self, connection: sqlite3.Connection) -> Iterator[_Chunks]:
        cursor = connection.execute(f"SELECT place, rows, data FROM {self._name} ORDER BY place")
        found: list[tuple[int, int, bytes]] = []
        rows = 0
        for each in cursor:
            found.append(each)
            rows += each[1]
            if rows >= _PARTS:
                yield _as_chunks(found)
                found, rows = [], 0
        yield _as_chunks(found)

    def _chunks_of(
        self, connection: sqlite3.Connection, keys: Counts, since: int | None = None
    ) -> _Chunks:
        recent = "" if since is None else f" AND last >= {int(since)}"
        sql = (
            f"SELECT place, rows, data FROM {self._name} WHERE place BETWEEN ? AND ?{recent} "
            "ORDER BY place"
        )
        found: list[tuple[int, int, bytes]] = []
        end = (1 << _SHIFT) - 1
        for key in (keys << _SHIFT).tolist():
            found += connection.execute(sql, (key, key + end)).fetchall()
        return _as_chunks(found)

    def _words(self, chunks: _Chunks, wanted: Sequence[int]) -> Words:
        seeds = _seeds(chunks.places, chunks.rows)
        return unpack_chunks(chunks.data, seeds, chunks.rows, self._form.words, wanted)

    def _decode(
        self, connection: sqlite3.Connection, chunks: _Chunks, columns: Sequence[str]
    ) -> _Decoded:
        every = {EVENT_TIME, KNOWN_AT, *self._order, *columns} - {self.partition.key}
        words = self._words(chunks, self._form.needed(every))
        return _Decoded(self, connection, words, _keys_of_places(chunks), every)

    def to_arrow(
        self, connection: sqlite3.Connection, decoded: _Decoded, columns: Sequence[str], rows: Rows
    ) -> pa.Table:
        """Return columns of some decoded rows."""
        key = self.partition.key
        words = decoded.words if rows is None else decoded.words[:, rows]
        kept = [name for name in columns if name != key]
        found = self._form.read(connection, words, kept, among=decoded.among)
        if key in columns:
            keys = decoded.keys if rows is None else decoded.keys[rows]
            found[key] = self._texts.texts(connection, keys.astype(np.uint64))
        schema = pa.schema([self.schema.field(name) for name in columns])
        return pa.table([found[name] for name in columns], schema=schema)

    # writing

    def add(self, connection: sqlite3.Connection, rows: pa.Table, content: Content) -> None:
        """Add rows; those without the key are left out."""
        words = self._form.write(connection, rows)
        if self.partition.key == DAY:
            keys = event_times(words) // DAY_US
        else:
            column = rows[self.partition.key].combine_chunks()
            keys = self._texts.numbers(connection, column, add=True).astype(np.int64)
            if not keys.all():
                words, keys = words[:, keys > 0], keys[keys > 0]
        if keys.size:
            content.change(keys.size, self._digest(connection, words, keys))
            self._write(connection, words, keys)

    def remove(self, connection: sqlite3.Connection, keys: Counts, content: Content) -> None:
        """Remove all rows of some keys."""
        chunks = self._chunks_of(connection, keys)
        if chunks.places:
            words, held = self._words(chunks, self._every), _keys_of_places(chunks)
            content.change(-held.size, -self._digest(connection, words, held))
            self._delete(connection, chunks.places)

    def _digest(self, connection: sqlite3.Connection, words: Words, keys: Counts) -> int:
        numbers = keys.view(np.uint64)
        meant = numbers if self.partition.key == DAY else self._texts.hashes(numbers)
        return self._form.digest(connection, words, meant)

    def _delete(self, connection: sqlite3.Connection, places: Sequence[int]) -> None:
        connection.executemany(
            f"DELETE FROM {self._name} WHERE place = ?", ((place,) for place in places)
        )

    def _write(self, connection: sqlite3.Connection, words: Words, keys: Counts) -> None:
        """Write rows as chunks after those of their keys, some of which they are merged with."""
        different, counts = np.unique(keys, return_counts=True)
        nexts, merged = self._ends(connection, different, counts)
        if merged.places:
            held = _keys_of_places(merged)
            words = np.concatenate((self._words(merged, self._every), words), axis=1)
            keys = np.concatenate((held, keys))
            counts += np.bincount(np.searchsorted(different, held), minlength=counts.size)
            self._delete(connection, merged.places)
        words = np.ascontiguousarray(words[:, np.argsort(keys, kind="stable")])
        chunks = -(-counts // self._full)
        owner = np.repeat(np.arange(counts.size), chunks)
        nth = np.arange(owner.size) - np.repeat(np.cumsum(chunks) - chunks, chunks)
        places = (different[owner] << _SHIFT) + nexts[owner] + nth
        first = (np.cumsum(counts) - counts)[owner] + nth * self._full
        bounds = np.append(first, keys.size)
        last = np.maximum.reduceat(event_times(words), first) // 1_000_000
        seeds = _seeds(places.tolist(), np.diff(bounds))
        data = pack_chunks(words, bounds, seeds)
        connection.executemany(
            f"INSERT INTO {self._name} VALUES (?, ?, ?, ?)",
            zip(places.tolist(), np.diff(bounds).tolist(), last.tolist(), data, strict=True),
        )

    def _ends(
        self, connection: sqlite3.Connection, keys: Counts, counts: Counts
    ) -> tuple[Counts, _Chunks]:
        """Return where to write next for each key, and the last chunks that are merged.

        A chunk is merged with at least half as many new rows: so a key never has many small
        chunks, and no row is written again more often than the logarithm of a full chunk.
        """
        sql = (
            f"SELECT place, rows, data FROM {self._name} WHERE place BETWEEN ? AND ? "
            "ORDER BY place DESC"
        )
        nexts = np.zeros(keys.size, np.int64)
        merged: list[tuple[int, int, bytes]] = []
        if connection.execute(f"SELECT 1 FROM {self._name} LIMIT 1").fetchone() is None:
            return nexts, _as_chunks(merged)
        for at, (key, new) in enumerate(zip(keys.tolist(), counts.tolist(), strict=True)):
            start, grown = key << _SHIFT, new
            for chunk in connection.execute(sql, (start, start + (1 << _SHIFT) - 1)):
                if chunk[1] >= self._full or chunk[1] > 2 * grown:
                    nexts[at] = chunk[0] - start + 1
                    break
                grown += chunk[1]
                merged.append(chunk)
        # the oldest rows first
        return nexts, _as_chunks(sorted(merged))

    # checking

    def measure(self, connection: sqlite3.Connection) -> Content:
        """Compute the content from all chunks."""
        found = Content()
        for chunks in self._all_chunks(connection):
            words, keys = self._words(chunks, self._every), _keys_of_places(chunks)
            found.change(keys.size, self._digest(connection, words, keys))
        return found

    def size(self, connection: sqlite3.Connection) -> tuple[int, int]:
        """Return the number of chunks and their bytes."""
        sql = f"SELECT count(*), coalesce(sum(length(data)), 0) FROM {self._name}"
        return tuple(connection.execute(sql).fetchone())


def _as_chunks(found: Collection[tuple[int, int, bytes]]) -> _Chunks:
    rows = np.fromiter((each[1] for each in found), np.int64, len(found))
    return _Chunks([each[0] for each in found], rows, [each[2] for each in found])


def _keys_of_places(chunks: _Chunks) -> Counts:
    return np.repeat(np.array(chunks.places, np.int64) >> _SHIFT, chunks.rows)


def _seeds(places: Sequence[int], rows: Counts) -> list[int]:
    """Return what is sealed with each chunk: its place and the number of its rows."""
    return [place * 31 + count for place, count in zip(places, rows.tolist(), strict=True)]
