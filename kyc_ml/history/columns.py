"""Columns of rows as unsigned numbers, exactly: what chunks are made of."""

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.contract import CONTRACT, CUSTOMER_ID, EVENT_TIME, KNOWN_AT
from kyc_ml.history.packing import Bytes, Counts, Words
from kyc_ml.history.texts import Texts
from kyc_ml.metrics import Floats
from kyc_ml.storage import kernel

IDS: Final = {
    table: contract.key[0]
    for table, contract in CONTRACT.items()
    if CUSTOMER_ID not in contract.key
}
"""Mapping of table to the column that names its rows: nearly every row has another text there."""

_LONGEST: Final = 40
"""Bytes of an id that are kept in its row; a longer one has a number, as other texts have."""
_DIGITS: Final = 18
"""Digits at the end of an id that are kept as a number, behind at most `_HEAD` bytes."""
_HEAD: Final = 32
_LONG: Final = 1000
"""Added to the number of a long text; below it are lengths: 1 + 41 * digits + other bytes."""
_NUMBERED: Final = f"(?s)^(?P<head>.*?)(?P<digits>[0-9]{{1,{_DIGITS}}})$"
_SHORT, _PLAIN, _MISSING = (np.uint64(each) for each in range(3))
"""How a value is written: in hundredths or whole seconds, as it is, or not at all."""
_SECOND: Final = 1_000_000


class RowForm:
    """How rows of some columns are written as numbers, and read back to the bit.

    Parameters
    ----------
    schema : pyarrow.Schema
        Texts, numbers, booleans, dates and times in microseconds. event_time and known_at, which
        is written as its distance, come first among the numbers.
    texts : Texts
        Of the store.
    """

    def __init__(self, schema: pa.Schema, texts: Texts) -> None:
        self._fields = {field.name: field for field in schema}
        self._texts = texts
        self._spans: dict[str, range] = {}
        self.words = 0
        for name in dict.fromkeys((EVENT_TIME, KNOWN_AT, *schema.names)):
            size = 2
            if pa.types.is_string(self._fields[name].type):
                size = 1 + _LONGEST // 8 if name in IDS.values() else 1
            self._spans[name] = range(self.words, self.words + size)
            self.words += size

    def needed(self, names: Iterable[str]) -> list[int]:
        """List the words of event_time, known_at and some other columns, in order."""
        every = {EVENT_TIME, KNOWN_AT, *names}
        return [word for name, span in self._spans.items() if name in every for word in span]

    def write(self, rows: pa.Table) -> Words:
        """Return rows as an array of shape (n_words, n_rows); new texts get numbers."""
        out = np.zeros((self.words, rows.num_rows), np.uint64)
        for name, span in self._spans.items():
            column = rows[name].combine_chunks().cast(self._fields[name].type)
            part = out[span.start : span.stop]
            if len(span) == 1:
                part[0] = self._texts.numbers(column, add=True)
            elif len(span) > 2:
                self._write_ids(column, part)
            elif pa.types.is_floating(column.type):
                part[:] = _write_floats(column)
            else:
                before = event_times(out) if name == KNOWN_AT else np.int64(0)
                part[:] = _write_integers(column, before)
        return out

    def _write_ids(self, column: pa.Array, part: Words) -> None:
        """Write the bytes of short texts with their last digits as a number; or a text's number."""
        split = pc.extract_regex(column, _NUMBERED)
        fits = pc.less_equal(pc.binary_length(split.field("head")), _HEAD)
        numbered = pc.and_(split.is_valid(), fits)
        head = pc.if_else(numbered, split.field("head"), column)
        digits = pc.if_else(numbered, split.field("digits"), None)
        length, digits_length = (
            pc.binary_length(each).fill_null(missing).to_numpy(zero_copy_only=False)
            for each, missing in ((head, -1), (digits, 0))
        )
        long = length > _LONGEST
        part[0] = 1 + length + (_LONGEST + 1) * digits_length
        if long.any():
            numbers = self._texts.numbers(column.filter(pa.array(long)), add=True)
            part[0][long] = numbers + np.uint64(_LONG)
        short = pc.if_else(pa.array(long), "", head.fill_null("")).cast(pa.binary())
        padded = short.to_numpy(zero_copy_only=False).astype(f"S{_LONGEST}")
        part[1:] = padded.view(np.uint64).reshape(-1, _LONGEST // 8).T
        numbers = digits.fill_null("0").cast(pa.int64()).to_numpy().view(np.uint64)
        part[-1] = np.where(digits_length > 0, numbers, part[-1])

    def read(self, words: Words, held: list[int], names: Iterable[str]) -> list[pa.Array]:
        """Return columns; `held` lists which words `words` are, event_time and known_at first."""
        found = []
        for name in names:
            first, type_ = held.index(self._spans[name].start), self._fields[name].type
            part = words[first : first + len(self._spans[name])]
            if len(part) == 1:
                found.append(self._texts.texts(part[0]))
            elif len(part) > 2:
                found.append(self._read_ids(part))
            elif pa.types.is_floating(type_):
                whole = _signed(part[0]) / 100
                values = np.where(part[1] == _SHORT, whole, part[0].view(np.float64))
                found.append(_as_array(values, part[1], type_))
            elif name == KNOWN_AT:
                found.append(_as_array(known_times(words), part[1], type_))
            else:
                found.append(_as_array(_read_integers(part, type_), part[1], type_))
        return found

    def _read_ids(self, part: Words) -> pa.Array:
        missing, long = part[0] == 0, part[0] >= _LONG
        kept = np.where(missing | long, 0, part[0].view(np.int64) - 1)
        digits, length = np.divmod(kept, _LONGEST + 1)
        ends = np.append(0, np.cumsum(length + digits))
        text = np.empty(ends[-1], np.uint8)
        _spell(part[1:], length, digits, ends, text)
        data = [None, pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(text)]
        column = pa.Array.from_buffers(pa.string(), kept.size, data)
        if long.any():
            numbers = np.where(long, part[0] - np.uint64(_LONG), 0)
            column = pc.if_else(pa.array(long), self._texts.texts(numbers), column)
        return pc.if_else(pa.array(missing), None, column) if missing.any() else column

    def meaning(self, words: Words) -> Words:
        """Return words without numbers of texts: the hashes of the texts instead."""
        meant = words.copy()
        for span in self._spans.values():
            if len(span) != 2:
                numbers = words[span.start]
                base = np.uint64(0 if len(span) == 1 else _LONG)
                coded = numbers > base
                meant[span.start, coded] = self._texts.hashes(numbers[coded] - base)
        return meant


@kernel()
def _spell(words: Words, length: Counts, digits: Counts, starts: Counts, out: Bytes) -> None:
    """Write texts: bytes of words, then a number of a fixed count of digits."""
    for row in range(length.size):
        at = starts[row]
        for byte in range(length[row]):
            out[at] = (words[byte >> 3, row] >> np.uint64(8 * (byte & 7))) & np.uint64(255)
            at += 1
        number = words[-1, row]
        for place in range(digits[row]):
            out[at + digits[row] - 1 - place] = np.uint64(48) + number % np.uint64(10)
            number //= np.uint64(10)


def event_times(words: Words) -> Counts:
    """Return event_time of rows in microseconds."""
    return _read_integers(words[:2], pa.timestamp("us"))


def known_times(words: Words) -> Counts:
    """Return known_at of rows in microseconds."""
    return event_times(words) + _read_integers(words[2:4], pa.timestamp("us"))


def _write_integers(column: pa.Array, before: Counts | np.int64) -> tuple[Words, Words]:
    """Write whole numbers, booleans, dates or times: times without parts of a second as seconds."""
    plain = column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column
    plain = plain.cast(pa.int32()) if pa.types.is_date32(column.type) else plain
    values = plain.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False) - before
    if not pa.types.is_timestamp(column.type):
        return _written(_zigzag(values), _zigzag(values), np.ones_like(values, np.bool_), column)
    seconds, rest = np.divmod(values, _SECOND)
    return _written(_zigzag(seconds), _zigzag(values), rest == 0, column)


def _write_floats(column: pa.Array) -> tuple[Words, Words]:
    """Write what hundredths give to the bit as hundredths, all else as its bits."""
    values = column.fill_null(0).to_numpy(zero_copy_only=False)
    with np.errstate(invalid="ignore", over="ignore"):
        whole = np.rint(values * 100)
        cents = np.where(np.abs(whole) < 2**53, whole, 0).astype(np.int64)
    exact = (cents / 100).view(np.int64) == values.view(np.int64)
    return _written(_zigzag(cents), values.view(np.uint64), exact, column)


def _written(
    short: Words, plain: Words, exact: npt.NDArray[np.bool_], column: pa.Array
) -> tuple[Words, Words]:
    value, how = np.where(exact, short, plain), np.where(exact, _SHORT, _PLAIN)
    if column.null_count:
        missing = column.is_null().to_numpy(zero_copy_only=False)
        value[missing], how[missing] = 0, _MISSING
    return value, how


def _zigzag(values: Counts) -> Words:
    """Write signed numbers so that small ones, of either sign, have zeros above."""
    return ((values << 1) ^ (values >> 63)).view(np.uint64)


def _signed(words: Words) -> Counts:
    return (words >> np.uint64(1)).view(np.int64) ^ -(words & np.uint64(1)).view(np.int64)


def _read_integers(part: Words, type_: pa.DataType) -> Counts:
    whole = _signed(part[0])
    unit = _SECOND if pa.types.is_timestamp(type_) else 1
    return np.where(part[1] == _SHORT, whole * unit, whole)


def _as_array(values: Counts | Floats, how: Words, type_: pa.DataType) -> pa.Array:
    """Return an Arrow array without the values that are missing."""
    missing = how == _MISSING
    exact: Any = values
    if pa.types.is_date32(type_):
        exact = values.astype(np.int32)
    elif pa.types.is_boolean(type_):
        exact = values.astype(np.bool_)
    plain = pa.array(exact, mask=missing if missing.any() else None)
    return plain.cast(type_) if pa.types.is_integer(type_) else plain.view(type_)
