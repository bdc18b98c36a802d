"""Different texts of a store, each with a number, and where the rows of an id are."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import numpy as np
import pyarrow as pa

from kyc_ml.history.packing import Counts, Words

_BLOCK: Final = 4096
"""Texts of a block; only the last block has fewer."""
_MOST_SOUGHT: Final = 20_000


def hash_texts(texts: Sequence[str]) -> Counts:
    """Return a 64-bit hash of each text, the same in every process."""
    joined = b"".join(blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return np.frombuffer(joined, "<i8").astype(np.int64)


class HashIndex:
    """Numbers found by the hash of a text; two texts may have one hash."""

    def __init__(self, name: str) -> None:
        self._name = name

    def make(self, connection: sqlite3.Connection) -> None:
        """Make the empty index."""
        connection.execute(
            f"CREATE TABLE {self._name} (hash INTEGER, number INTEGER, "
            "PRIMARY KEY (hash, number)) WITHOUT ROWID"
        )

    def add(self, connection: sqlite3.Connection, hashes: Counts, numbers: Counts) -> None:
        """Add pairs of hash and number; those that are there already stay."""
        order = np.argsort(hashes)
        pairs = zip(hashes[order].tolist(), numbers[order].tolist(), strict=True)
        connection.executemany(f"INSERT OR IGNORE INTO {self._name} VALUES (?, ?)", pairs)

    def find(self, connection: sqlite3.Connection, hashes: Counts) -> list[tuple[int, int]]:
        """Return the pairs of hash and number of some hashes."""
        found: list[tuple[int, int]] = []
        ordered = np.unique(hashes)
        # CROSS JOIN keeps the order of the loops: one look into the index for each hash
        sql = (
            f"SELECT hash, number FROM json_each(?) AS sought CROSS JOIN {self._name} "
            "ON hash = sought.value"
        )
        for start in range(0, ordered.size, _MOST_SOUGHT):
            part = json.dumps(ordered[start : start + _MOST_SOUGHT].tolist())
            found += connection.execute(sql, (part,)).fetchall()
        return found

    def drop(self, connection: sqlite3.Connection, hashes: Counts, numbers: Counts) -> None:
        """Remove pairs of hash and number."""
        pairs = zip(hashes.tolist(), numbers.tolist(), strict=True)
        connection.executemany(f"DELETE FROM {self._name} WHERE hash = ? AND number = ?", pairs)


class Texts:
    """Texts by number and numbers by text; number 0 is a missing text.

    Texts are only ever added: one object may serve readers of several states of the store.
    """

    index: Final = HashIndex("text_numbers")

    def __init__(self) -> None:
        self._texts = pa.array([None], pa.large_string())
        self._hashes = np.zeros(1, np.int64)
        self._lock = threading.Lock()

    @classmethod
    def make(cls, connection: sqlite3.Connection) -> None:
        """Make the empty tables."""
        connection.execute("CREATE TABLE texts (first INTEGER PRIMARY KEY, data BLOB)")
        cls.index.make(connection)

    def __len__(self) -> int:
        return len(self._texts)

    def read(self, connection: sqlite3.Connection) -> None:
        """Read the texts that were added since the last reading."""
        with self._lock:
            start = len(self)
            sql = "SELECT first, data FROM texts WHERE first > ? ORDER BY first"
            for first, data in connection.execute(sql, (start - _BLOCK,)).fetchall():
                column = pa.ipc.open_stream(data).read_all()[0].combine_chunks()
                self._extend(column[max(0, len(self) - first) :])

    def _extend(self, new: pa.Array) -> None:
        if len(new):
            self._hashes = np.concatenate((self._hashes, hash_texts(new.to_pylist())))
            self._texts = pa.concat_arrays([self._texts, new])

    def forget(self, size: int) -> None:
        """Forget the texts from a number on: their transaction was undone."""
        with self._lock:
            self._texts, self._hashes = self._texts[:size], self._hashes[:size]

    def texts(self, connection: sqlite3.Connection, numbers: Words) -> pa.Array:
        """Return the texts of numbers; a missing one for 0."""
        if numbers.size and int(numbers.max()) >= len(self):
            self.read(connection)
        return self._texts.take(pa.array(numbers)).cast(pa.string())

    def hashes(self, numbers: Words) -> Words:
        """Return the hashes of the texts of numbers."""
        return self._hashes[numbers.astype(np.int64)].view(np.uint64)

    def numbers(self, connection: sqlite3.Connection, texts: pa.Array, *, add: bool) -> Words:
        """Return the number of each text; 0 for a missing or unknown one.

        `add`: whether unknown texts get a number, in a transaction that the caller has begun.
        """
        coded = texts.dictionary_encode() if isinstance(texts, pa.Array) else texts
        different = coded.dictionary
        found = self._known(connection, different)
        unknown = np.flatnonzero(found == 0)
        if add and unknown.size:
            found[unknown] = self._add(connection, different.take(pa.array(unknown)))
        spots = coded.indices.fill_null(len(different)).to_numpy(zero_copy_only=False)
        numbers: Words = np.append(found, np.uint64(0))[spots]
        return numbers

    def _known(self, connection: sqlite3.Connection, different: pa.Array) -> Words:
        found = np.zeros(len(different), np.uint64)
        texts = different.to_pylist()
        hashes = hash_texts(texts)
        pairs = self.index.find(connection, hashes)
        if not pairs:
            return found
        candidates = np.array([number for _, number in pairs], np.uint64)
        names = self.texts(connection, candidates).to_pylist()
        by_text = dict(zip(names, candidates.tolist(), strict=True))
        return np.array([by_text.get(text, 0) for text in texts], np.uint64)

    def _add(self, connection: sqlite3.Connection, new: pa.Array) -> Words:
        first = len(self)
        self.read(connection)
        with self._lock:
            first = len(self)
            self._extend(new.cast(pa.large_string()))
        numbers = np.arange(first, len(self))
        self.index.add(connection, self._hashes[first:], numbers)
        for start in range((first - 1) // _BLOCK * _BLOCK + 1, len(self), _BLOCK):
            block = pa.table({"text": self._texts[start : start + _BLOCK]})
            sink = pa.BufferOutputStream()
            options = pa.ipc.IpcWriteOptions(compression="zstd")
            with pa.ipc.new_stream(sink, block.schema, options=options) as stream:
                stream.write_table(block)
            connection.execute(
                "INSERT OR REPLACE INTO texts VALUES (?, ?)", (start, sink.getvalue().to_pybytes())
            )
        return numbers.astype(np.uint64)
