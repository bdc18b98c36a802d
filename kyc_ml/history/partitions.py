"""A partition: the rows of one table, found by the values of one column."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.contract import EVENT_TIME, KNOWN_AT
from kyc_ml.history.chunks import Chunk, Chunks
from kyc_ml.history.columns import RowForm, event_times, known_times
from kyc_ml.history.packing import Counts, Words, digest_words
from kyc_ml.history.texts import Texts

DAY: Final = "event_day"
"""Key of a partition by the day of event_time, in UTC: whole days since 1970."""
DAY_US: Final = 86_400_000_000
_SECOND: Final = 1_000_000
_FULL: Final = 128
_FULL_DAY: Final = 8192
"""Rows of a full chunk: a key is read whole, a day too but has more rows."""


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

    @classmethod
    def of(cls, pieces: Iterable[Words]) -> Self:
        """Compute the content of rows in pieces."""
        found = cls()
        for words in pieces:
            found.add(words)
        return found

    def add(self, words: Words, *, sign: int = 1) -> None:
        """Add rows, or take them away."""
        self.rows += sign * words.shape[1]
        self.digest = (self.digest + sign * digest_words(words)) % 2**64


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
        self._order = [name for name in order if name not in {EVENT_TIME, KNOWN_AT}]
        self._texts = texts
        self.form = RowForm(pa.schema([f for f in schema if f.name != partition.key]), texts)
        self.chunks = Chunks(
            f"rows_{number}",
            texts.db,
            columns=self.form.words,
            full=_FULL_DAY if partition.key == DAY else _FULL,
            last_of=lambda words: event_times(words) // _SECOND,
        )

    # reading

    def keys_of(self, values: pa.Array, *, add: bool = False) -> Counts:
        """Return the numbers of key values; 0 for a text that no row has."""
        if self.partition.key == DAY:
            return np.asarray(values.to_numpy(zero_copy_only=False), np.int64)
        return self._texts.numbers(values, add=add).view(np.int64)

    def read(
        self, keys: Counts | None, columns: Sequence[str], *, since_us: int | None = None
    ) -> pa.Table:
        """Return columns of the rows of some keys, None for all, in the order of the table."""
        since = None if since_us is None else since_us // _SECOND
        return self._table(self.chunks.of(keys, since=since), columns, in_order=True)

    def read_all(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Yield columns of all rows in pieces, one key after the other."""
        for chunks in self.chunks.pieces():
            yield self._table(chunks, columns, in_order=False)

    def _table(
        self, chunks: Sequence[Chunk], columns: Sequence[str], *, in_order: bool
    ) -> pa.Table:
        key = self.partition.key
        held = self.form.needed({*columns, *self._order})
        words, keys = self.chunks.words(chunks, held)

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
        content.add(self._meaning(words, keys))
        self.chunks.write(words, keys)

    def remove(self, values: pa.Array, content: Content) -> None:
        """Remove all rows of some values of the key."""
        chunks = self.chunks.of(self.keys_of(values))
        words, keys = self.chunks.words(chunks)
        content.add(self._meaning(words, keys), sign=-1)
        self.chunks.delete(chunks)

    def _meaning(self, words: Words, keys: Counts) -> Words:
        numbers = keys.view(np.uint64)
        meant = numbers if self.partition.key == DAY else self._texts.hashes(numbers)
        return np.vstack((self.form.meaning(words), meant))

    # the whole

    def measure(self) -> Content:
        """Compute the content from all chunks."""
        pieces = map(self.chunks.words, self.chunks.pieces())
        return Content.of(self._meaning(words, keys) for words, keys in pieces)

    def compact(self, *, since_us: int | None, content: Content) -> None:
        """Merge the chunks of each key, and drop rows that happened before an instant."""
        since = np.iinfo(np.int64).min if since_us is None else since_us
        for chunks in self.chunks.pieces():
            words, keys = self.chunks.words(chunks)
            old = event_times(words) < since
            content.add(self._meaning(words[:, old], keys[old]), sign=-1)
            self.chunks.delete(chunks)
            self.chunks.write(words[:, ~old], keys[~old])


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
