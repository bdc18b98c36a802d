"""Columns of rows as unsigned numbers, exactly: what chunks are made of."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.contract import CONTRACT, CUSTOMER_ID, EVENT_TIME, KNOWN_AT
from kyc_ml.history.packing import Counts, Words, digest_words
from kyc_ml.history.texts import Texts
from kyc_ml.metrics import Floats

IDS: Final = {
    table: contract.key[0]
    for table, contract in CONTRACT.items()
    if CUSTOMER_ID not in contract.key
}
"""Mapping of table to the column that names its rows: nearly every row has another text there."""

_LONGEST: Final = 40
_ID_WORDS: Final = 1 + _LONGEST // 8
_CODED: Final = 1000
_SHORT, _PLAIN, _MISSING = (np.uint64(each) for each in range(3))
"""How a value is written: in hundredths or whole seconds, as it is, or not at all."""
_SECOND: Final = 1_000_000


class RowForm:
    """How rows of some columns are written as numbers, and read back to the bit.

    Parameters
    ----------
    schema : pyarrow.Schema
        Texts, numbers, booleans, dates and times in microseconds; event_time is one of them, and
        known_at is written as its distance.
    texts : Texts
        Of the store.
    """

    def __init__(self, schema: pa.Schema, texts: Texts) -> None:
        self.schema = schema
        self._texts = texts
        self._first: dict[str, int] = {}
        self.words = 0
        for field in schema:
            self._first[field.name] = self.words
            self.words += self._size(field.name)

    def _size(self, name: str) -> int:
        if not pa.types.is_string(self.schema.field(name).type):
            return 2
        return _ID_WORDS if name in IDS.values() else 1

    @cached_property
    def _coded(self) -> list[int]:
        """The words that are numbers of texts."""
        return [
            self._first[field.name]
            for field in self.schema
            if pa.types.is_string(field.type) and self._size(field.name) == 1
        ]

    def needed(self, names: Collection[str]) -> list[int]:
        """List the words of some columns, and of event_time where known_at needs it."""
        every = {*names, EVENT_TIME} if KNOWN_AT in names else set(names)
        return [
            word
            for name, first in self._first.items()
            if name in every
            for word in range(first, first + self._size(name))
        ]

    def write(self, connection: sqlite3.Connection, rows: pa.Table, *, add: bool = True) -> Words:
        """Return rows as an array of shape (n_words, n_rows); new texts get numbers."""
        out = np.zeros((self.words, rows.num_rows), np.uint64)
        event = _integers(rows[EVENT_TIME].combine_chunks())
        for field in self.schema:
            column = rows[field.name].combine_chunks().cast(field.type)
            first = self._first[field.name]
            part = out[first : first + self._size(field.name)]
            if field.name == KNOWN_AT:
                part[0], part[1] = _shorten(_integers(column) - event, column)
            elif part.shape[0] == 1:
                part[0] = self._texts.numbers(connection, column, add=add)
            elif part.shape[0] == _ID_WORDS:
                self._write_ids(connection, column, part, add=add)
            else:
                part[0], part[1] = _numbers(column)
        return out

    def _write_ids(
        self, connection: sqlite3.Connection, column: pa.Array, part: Words, *, add: bool
    ) -> None:
        """Write the bytes of short texts, and the numbers of long ones."""
        length = pc.binary_length(column).fill_null(-1).to_numpy(zero_copy_only=False)
        long = length > _LONGEST
        part[0] = (length + 1).astype(np.uint64)
        if long.any():
            coded = self._texts.numbers(connection, column.filter(pa.array(long)), add=add)
            part[0][long] = coded + np.uint64(_CODED)
        short = pc.if_else(pa.array(long), "", column.fill_null("")).cast(pa.binary())
        padded = short.to_numpy(zero_copy_only=False).astype(f"S{_LONGEST}")
        part[1:] = padded.view("<u8").reshape(-1, _LONGEST // 8).T

    def read(
        self,
        connection: sqlite3.Connection,
        words: Words,
        names: Collection[str],
        *,
        among: Collection[str],
    ) -> dict[str, pa.Array]:
        """Return columns by name; `words` are those that `needed` lists for `among`."""
        position = {word: at for at, word in enumerate(self.needed(among))}
        out: dict[str, pa.Array] = {}
        for name in names:
            at = position[self._first[name]]
            part = words[at : at + self._size(name)]
            type_ = self.schema.field(name).type
            if name == KNOWN_AT:
                start = position[self._first[EVENT_TIME]]
                event = event_times(words[start : start + 2])
                known = event + _lengthen(part[0], part[1], _SECOND)
                out[name] = _array(known, part[1], type_)
            elif part.shape[0] == 1:
                out[name] = self._texts.texts(connection, part[0])
            elif part.shape[0] == _ID_WORDS:
                out[name] = self._read_ids(connection, part)
            elif pa.types.is_floating(type_):
                out[name] = _array(_doubles(part[0], part[1]), part[1], type_)
            else:
                unit = _SECOND if pa.types.is_timestamp(type_) else 1
                out[name] = _array(_lengthen(part[0], part[1], unit), part[1], type_)
        return out

    def _read_ids(self, connection: sqlite3.Connection, part: Words) -> pa.Array:
        length = part[0].astype(np.int64) - 1
        long = length >= _CODED
        size = np.where(long, 0, np.maximum(length, 0))
        raw = np.ascontiguousarray(part[1:].T).view(np.uint8)
        data = raw[np.arange(_LONGEST) < size[:, None]]
        ends = np.concatenate(([0], np.cumsum(size))).astype(np.int32)
        column = pa.Array.from_buffers(
            pa.string(), size.size, [None, pa.py_buffer(ends), pa.py_buffer(data)]
        )
        if long.any():
            names = self._texts.texts(connection, np.where(long, part[0] - np.uint64(_CODED), 0))
            column = pc.if_else(pa.array(long), names, column)
        return pc.if_else(pa.array(length < 0), None, column) if (length < 0).any() else column

    def digest(self, connection: sqlite3.Connection, words: Words, keys: Words) -> int:
        """Return the sum of a hash of each row and its key.

        Numbers of texts do not matter, the texts do.
        """
        meant = np.concatenate((words, keys[None]))
        for word in self._coded:
            if words.shape[1] and int(words[word].max()) >= len(self._texts):
                self._texts.read(connection)
            meant[word] = self._texts.hashes(words[word])
        for name in IDS.values():
            first = self._first.get(name)
            if first is not None and (long := words[first] > _CODED).any():
                meant[first, long] = self._texts.hashes(words[first, long] - np.uint64(_CODED))
        return int(digest_words(meant))


def event_times(words: Words) -> Counts:
    """Return microseconds of two words of event_time."""
    return _lengthen(words[0], words[1], _SECOND)


def known_times(words: Words) -> Counts:
    """Return microseconds of four words of event_time and known_at."""
    return event_times(words) + _lengthen(words[2], words[3], _SECOND)


def _integers(column: pa.Array) -> Counts:
    wide = pa.int32() if pa.types.is_date32(column.type) else pa.int64()
    whole = column.fill_null(0).cast(wide).to_numpy(zero_copy_only=False)
    return np.asarray(whole, np.int64)


def _numbers(column: pa.Array) -> tuple[Words, Words]:
    """Write numbers, booleans, dates or times."""
    if not pa.types.is_floating(column.type):
        whole = column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column
        return _shorten(_integers(whole), column)
    values = column.fill_null(0).to_numpy(zero_copy_only=False)
    bits = values.view(np.int64)
    with np.errstate(invalid="ignore", over="ignore"):
        cents = np.rint(values * 100)
        small = np.abs(cents) < 2**53
    cents = np.where(small, cents, 0).astype(np.int64)
    exact = small & ((cents / 100).view(np.int64) == bits)
    return _written(_zigzag(cents), bits.view(np.uint64), exact, column)


def _shorten(values: Counts, column: pa.Array) -> tuple[Words, Words]:
    """Write whole numbers: whole seconds where a time has no part of one."""
    if not pa.types.is_timestamp(column.type):
        return _written(_zigzag(values), _zigzag(values), np.ones(values.size, bool), column)
    seconds, rest = np.divmod(values, _SECOND)
    return _written(_zigzag(seconds), _zigzag(values), rest == 0, column)


def _written(
    short: Words, plain: Words, is_short: npt.NDArray[np.bool_], column: pa.Array
) -> tuple[Words, Words]:
    how = np.where(is_short, _SHORT, _PLAIN)
    value = np.where(is_short, short, plain)
    if column.null_count:
        missing = column.is_null().to_numpy(zero_copy_only=False)
        how[missing], value[missing] = _MISSING, 0
    return value, how


def _zigzag(values: Counts) -> Words:
    """Write signed numbers so that small ones, of either sign, have zeros above."""
    return ((values << 1) ^ (values >> 63)).view(np.uint64)


def _signed(words: Words) -> Counts:
    return (words >> np.uint64(1)).view(np.int64) ^ -(words & np.uint64(1)).view(np.int64)


def _lengthen(value: Words, how: Words, unit: int) -> Counts:
    """Read whole numbers; `unit` is what short ones count."""
    whole = _signed(value)
    return np.where(how == _SHORT, whole * unit, whole) if unit > 1 else whole


def _doubles(value: Words, how: Words) -> Floats:
    return np.where(how == _SHORT, _signed(value) / 100, value.view(np.float64))


def _array(values: Counts | Floats, how: Words, type_: pa.DataType) -> pa.Array:
    """Return an Arrow array without the values that are missing."""
    missing = how == _MISSING
    mask = missing if missing.any() else None
    if pa.types.is_boolean(type_):
        return pa.array(values.astype(bool), type_, mask=mask)
    if pa.types.is_date32(type_):
        return pa.array(values.astype(np.int32), pa.int32(), mask=mask).cast(type_)
    if pa.types.is_timestamp(type_):
        return pa.array(values, pa.int64(), mask=mask).view(type_)
    return pa.array(values, type_, mask=mask)
