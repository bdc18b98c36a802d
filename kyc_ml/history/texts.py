"""Different texts of a store, each with a number, and what is found by the hash of a text."""

import threading
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Final

import numpy as np
import pyarrow as pa

from kyc_ml.history.chunks import Chunk, Chunks, Database
from kyc_ml.history.packing import Counts, Words

_BLOCK: Final = 4096
"""Texts of a block; only the last block has fewer."""


def hash_texts(texts: Sequence[str]) -> Counts:
    """Return a 64-bit hash of each text, the same in every process."""
    joined = b"".join([blake2b(text.encode(), digest_size=8).digest() for text in texts])
    return np.frombuffer(joined, np.int64)


_SOUGHT: Final = 100_000
"""Texts whose numbers are remembered."""
_REST: Final = 20
_BUCKETS: Final = 12
"""Bits of a hash that an index keeps in its rows, and bits that say where they are."""
_FULL: Final = 2048


def short_pairs(hashes: Counts, numbers: Counts) -> Words:
    """Return pairs as an index holds them: some bits of a hash, and a number; shape (2, n)."""
    own = (hashes >> (64 - _BUCKETS - _REST)) & ((1 << (_BUCKETS + _REST)) - 1)
    return np.stack((own, numbers)).view(np.uint64)


class HashIndex:
    """Numbers found by the hash of a text; two texts may have one hash, and the caller compares."""

    def __init__(self, name: str, db: Database) -> None:
        self.chunks = Chunks(
            name, db, columns=2, full=_FULL, last_of=lambda words: np.zeros_like(words[0], np.int64)
        )

    def add(self, hashes: Counts, numbers: Counts) -> None:
        """Add pairs of hash and number."""
        words = short_pairs(hashes, numbers)
        words = words[:, np.lexsort(words[::-1])]
        buckets = (words[0] >> np.uint64(_REST)).view(np.int64)
        words[0] &= np.uint64((1 << _REST) - 1)
        self.chunks.write(words, buckets)

    def find(self, hashes: Counts) -> Words:
        """Return the pairs of short hash and number of some hashes, of shape (2, n_pairs)."""
        sought = np.unique(short_pairs(hashes, hashes)[0])
        found = self._pairs(self.chunks.of((sought >> np.uint64(_REST)).view(np.int64)))
        place = np.minimum(np.searchsorted(sought, found[0]), sought.size - 1)
        return found[:, sought[place] == found[0]]

    def pieces(self) -> Iterator[Words]:
        """Yield all pairs in pieces."""
        return map(self._pairs, self.chunks.pieces())

    def _pairs(self, chunks: Sequence[Chunk]) -> Words:
        words, buckets = self.chunks.words(chunks)
        words[0] |= buckets.view(np.uint64) << np.uint64(_REST)
        return words


class Texts:
    """Texts by number and numbers by text; number 0 is a missing text.

    Texts are only ever added: one object may serve readers of several states of the store.
    """

    def __init__(self, db: Database) -> None:
        self.db = db
        self.index = HashIndex("text_numbers", db)
        self._texts = pa.array([None], pa.string())
        self._hashes = np.zeros(1, np.int64)
        self._sought: dict[str, int] = {}
        self._lock = threading.Lock()

    def make(self) -> None:
        """Make the empty tables."""
        self.db().execute("CREATE TABLE texts (first INTEGER PRIMARY KEY, data BLOB)")
        self.index.chunks.make()

    def __len__(self) -> int:
        return len(self._texts)

    def _extend(self, new: pa.Array) -> None:
        self._hashes = np.concatenate((self._hashes, hash_texts(new.to_pylist())))
        self._texts = pa.concat_arrays([self._texts, new])

    def _read(self, last: int) -> None:
        """Read the texts up to a number that are not in memory yet."""
        if last < len(self):
            return
        with self._lock:
            sql = "SELECT first, data FROM texts WHERE first > ? ORDER BY first"
            for first, data in self.db().execute(sql, (len(self) - _BLOCK,)).fetchall():
                column = pa.ipc.open_stream(data).read_all()[0].combine_chunks()
                self._extend(column[len(self) - first :])

    def forget(self, size: int) -> None:
        """Forget the texts from a number on: their transaction was undone."""
        self._sought = {}
        with self._lock:
            self._texts, self._hashes = self._texts[:size], self._hashes[:size]

    def texts(self, numbers: Words) -> pa.Array:
        """Return the texts of numbers; a missing one for 0."""
        self._read(int(numbers.max(initial=0)))
        return self._texts.take(pa.array(numbers))

    def hashes(self, numbers: Words) -> Words:
        """Return the hashes of the texts of numbers."""
        self._read(int(numbers.max(initial=0)))
        return self._hashes[numbers.view(np.int64)].view(np.uint64)

    def numbers(self, column: pa.Array, *, add: bool) -> Words:
        """Return the number of each text; 0 for a missing or unknown one.

        `add`: whether unknown texts get a number, in a transaction that the caller has begun.
        """
        coded = column.dictionary_encode()
        texts = coded.dictionary.to_pylist()
        if len(self._sought) > _SOUGHT:
            self._sought = {}
        known = self._sought
        if unknown := [text for text in texts if text not in known]:
            numbers = self.index.find(hash_texts(unknown))[1]
            known.update(zip(self.texts(numbers).to_pylist(), numbers.tolist(), strict=True))
        new = [text for text in texts if text not in known]
        if add and new:
            known |= zip(new, self._add(pa.array(new, pa.string())), strict=True)
        found = np.array([*(known.get(text, 0) for text in texts), 0], np.uint64)
        of_rows: Words = found[coded.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)]
        return of_rows

    def _add(self, new: pa.Array) -> range:
        self._read(np.iinfo(np.int64).max)
        with self._lock:
            first = len(self)
            self._extend(new)
        numbers = range(first, len(self))
        self.index.add(self._hashes[first:], np.array(numbers))
        for start in range((first - 1) // _BLOCK * _BLOCK + 1, len(self), _BLOCK):
            block = pa.table({"text": self._texts[start : start + _BLOCK]})
            sink = pa.BufferOutputStream()
            options = pa.ipc.IpcWriteOptions(compression="zstd")
            with pa.ipc.new_stream(sink, block.schema, options=options) as stream:
                stream.write_table(block)
            values = (start, sink.getvalue().to_pybytes())
            self.db().execute("INSERT OR REPLACE INTO texts VALUES (?, ?)", values)
        return numbers
