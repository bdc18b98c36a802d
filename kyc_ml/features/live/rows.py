"""Rows of one key of one table, as arrays with room for more."""

import sys
from collections.abc import Sequence
from typing import Any, Final, TypeVar, cast

import numpy as np

from kyc_ml.contract import TRANSACTION_ID
from kyc_ml.features.how import Where, name_of
from kyc_ml.features.kinds.rows_of_key import Latest, Window
from kyc_ml.features.live.looking import Looking
from kyc_ml.features.sweeps import SHARES
from kyc_ml.features.timed_rows import NEVER_US, UNTIL, TimedRows
from kyc_ml.metrics import Floats, Ints, Ints32, Mask, Values

Rows = TypeVar("Rows", Ints, Floats, Ints32, Mask, Values)

_TEXT_BYTES: Final = 100
_NONE: Final = (np.empty(0, np.int32), 0)


class Wanted:
    """What is read of a table's rows: names of columns, and conditions.

    `anchor`: column of the rows whose value is that of the key.
    `in_order`: whether rows must be in order of time; otherwise one is put at the end.
    """

    def __init__(self, anchor: str, *, in_order: bool) -> None:
        self.anchor = anchor
        self.in_order = in_order
        self.numbers: list[str] = []
        self.texts: list[str] = []
        self.latest: list[str] = []
        self.conditions: list[tuple[Where | None, str | None]] = []

    def add(self, how: Window | Latest, *, having: str | None) -> None:
        """Add what a reading needs; `having` must hold a value."""
        keys = (name_of(column) for column in how.key)
        columns = [(self.texts, name) for name in keys if name != self.anchor]
        where = how.where
        while where is not None:
            columns.append((self.texts, name_of(where.column)))
            where = where.also
        if isinstance(how, Latest):
            if how.column is not None:
                levelled = how.reading == "value"
                columns.append((self.numbers if levelled else self.latest, name_of(how.column)))
        elif how.value is not None:
            coded = how.statistic == "distinct" or how.statistic in SHARES
            columns.append((self.texts if coded else self.numbers, name_of(how.value)))
            if how.weight is not None:
                columns.append((self.numbers, name_of(how.weight)))
        for names, name in columns:
            place_of(names, name)
        self.condition(how.where, None)
        self.condition(how.where, having)

    def condition(self, where: Where | None, having: str | None) -> int:
        """Return the number of a condition; -1 for every row."""
        if where is None and having is None:
            return -1
        return place_of(self.conditions, (where, having))


def place_of(names: list[Any], name: Any) -> int:  # noqa: ANN401  any value
    """Return where a value is in a list, to which it is added if it is new."""
    if name not in names:
        names.append(name)
    return names.index(name)


class KeyRows:
    """Rows of one key, in order of time.

    Attributes
    ----------
    size : int
        Rows there are; the arrays have room for more.
    arrays : times, numbers, codes of texts, and conditions, each of shape (columns, room)
        Times are the event time, known at and, of rows that are superseded, until when.
    latest : mapping of column to a value a row
    nulls : frozenset of str
        Columns of numbers and texts in which a row has no value.
    """

    def __init__(self, wanted: Wanted, rows: TimedRows, part: slice) -> None:
        self.wanted = wanted
        self.size = part.stop - part.start
        self.types = {name: rows.table.schema.field(name).type for name in wanted.latest}
        self.latest: dict[str, Values] = {}
        for name in wanted.latest:
            # texts of up to 15 bytes are held in the array itself
            kind = np.dtypes.StringDType(na_object=None) if self.types[name] == "string" else object
            self.latest[name] = np.array(rows.column(name)[part].to_pylist(), kind)
        self.nulls: frozenset[str] = frozenset()
        self.numbering: list[dict[object, int]] = [{} for _ in wanted.texts]
        # the arrays have room for more rows than their number
        self._by_codes: dict[tuple[int, ...], dict[tuple[int, ...], tuple[Ints32, int]]] = {}
        self.arrays = self._read(rows, part)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays, and about as many as different texts take."""
        held = sum(each.nbytes for each in self.arrays)
        held += sum(each.nbytes for each in self.latest.values())
        return held + _TEXT_BYTES * sum(map(len, self.numbering))

    @property
    def n_codes(self) -> int:
        """Return the most different values that a column has."""
        return max(map(len, self.numbering), default=0)

    def rows_with(self, columns: tuple[int, ...], codes: tuple[int, ...]) -> Ints32:
        """Return the rows that have these codes in these columns."""
        if columns not in self._by_codes:
            read = self.arrays[2][list(columns), : self.size]
            order = np.lexsort(read).astype(np.int32)
            read = read[:, order]
            first = np.flatnonzero(np.append([True], (read[:, 1:] != read[:, :-1]).any(axis=0)))
            parts = zip(read[:, first].T.tolist(), np.split(order, first[1:]), strict=True)
            self._by_codes[columns] = {tuple(own): (rows, rows.size) for own, rows in parts}
        rows, size = self._by_codes[columns].get(codes, _NONE)
        return rows[:size]

    def insert(self, row: Looking) -> int | None:
        """Put in one row; return its place, None if that is not known here."""
        event = self.arrays[0][0, : self.size]
        first = at = int(self.size)
        if self.wanted.in_order and at and row.now <= event[-1]:
            first, at = (int(event.searchsorted(row.now, side)) for side in ("left", "right"))
        known = int(row.known_at[0])
        times = np.array([row.now, known, NEVER_US][: len(self.arrays[0])])
        numbers = np.array([row.number(name)[0] for name in self.wanted.numbers])
        texts = map(row.field, self.wanted.texts)
        codes = np.array([*map(self._code, self.numbering, texts)], np.int32)
        parts = times, numbers, codes, self._meet(numbers, codes)
        if first < at and not self._is_alike(first, at, parts):
            if TRANSACTION_ID not in self.latest:
                return None
            own, ids = (known, row.field(TRANSACTION_ID)), self.latest[TRANSACTION_ID][first:at]
            tied = [*zip(self.arrays[0][1, first:at].tolist(), ids, strict=True)]
            if own in tied:  # repeated
                return None
            at = first + sum(each < own for each in tied)
        if self.size == self.arrays[0].shape[1]:
            old = self.arrays
            self.arrays = _widen(old[0]), _widen(old[1]), _widen(old[2]), _widen(old[3])
            self.latest = {name: _widen(values) for name, values in self.latest.items()}
        latest = map(row.field, self.latest)
        array: Any
        for array, part in zip(
            (*self.arrays, *self.latest.values()), (*parts, *latest), strict=True
        ):
            if at < self.size:
                array[..., at + 1 : self.size + 1] = array[..., at : self.size].copy()
            array[..., at] = part
        if at < self.size:  # between others, whose numbers change
            self._by_codes.clear()
        for columns, index in self._by_codes.items():
            coded = tuple(codes[list(columns)].tolist())
            held, size = index.get(coded, _NONE)
            if size == held.size:
                held = _widen(held)
            held[size], index[coded] = at, (held, size + 1)
        self.size += 1
        return at

    def _is_alike(self, first: int, last: int, parts: Sequence[Any]) -> bool:
        """Return whether some rows are equal to another one in everything that is read."""
        held: Any
        for held, new in zip(self.arrays, parts, strict=True):
            alike = new[:, None].repeat(last - first, axis=1)
            if not np.array_equal(held[:, first:last], alike, equal_nan=held is self.arrays[1]):
                return False
        return not self.latest

    def _read(self, rows: TimedRows, part: slice) -> tuple[Ints, Floats, Ints32, Mask]:
        """Read the columns of some rows, and note those that have missing values."""
        wanted, n = self.wanted, part.stop - part.start
        times = [rows.event_time[part], rows.known_at[part]]
        if UNTIL in rows.table.column_names:
            until = rows.until
            times.append(np.full(n, NEVER_US) if until is None else until[part])
        numbers = np.empty((len(wanted.numbers), n))
        for at, name in enumerate(wanted.numbers):
            numbers[at] = rows.number(name)[part]
        codes = np.empty((len(wanted.texts), n), np.int32)
        for at, name in enumerate(wanted.texts):
            own, found = rows.codes(name)[0][part], rows.encoded(name).dictionary
            # numbered in the order they came in; the last place is that of missing values
            places = np.full(len(found) + 1, -1, np.int32)
            for code in dict.fromkeys(own.tolist()):
                if code >= 0:
                    places[code] = self._code(self.numbering[at], found[code].as_py())
            codes[at] = places[own]
        return np.array(times, np.int64), numbers, codes, self._meet(numbers, codes)

    @staticmethod
    def _code(numbering: dict[object, int], value: object) -> int:
        if isinstance(value, str):
            value = sys.intern(value)  # keys have many texts in common
        return -1 if value is None else numbering.setdefault(value, len(numbering))

    def _meet(self, numbers: Floats, codes: Ints32) -> Mask:
        """Return which conditions a row or rows meet, and note columns with missing values.

        `numbers`, `codes`: of one row, or of rows along the second axis.
        """
        wanted, unknown = self.wanted, np.isnan(numbers)
        for names, missing in ((wanted.numbers, unknown), (wanted.texts, codes < 0)):
            if missing.any():
                some = zip(names, missing, strict=True)
                self.nulls |= {name for name, each in some if each.any()}
        masks = np.ones((len(wanted.conditions), *codes.shape[1:]), np.bool_)
        for at, (where, having) in enumerate(wanted.conditions):
            each = where
            while each is not None:
                column = wanted.texts.index(name_of(each.column))
                masks[at] &= self._is_any_of(column, codes[column], each.values)
                each = each.also
            if having in wanted.numbers:
                masks[at] &= ~unknown[wanted.numbers.index(having)]
            elif having is not None:
                masks[at] &= codes[wanted.texts.index(having)] >= 0
        return masks

    def _is_any_of(self, column: int, codes: Ints32, values: Sequence[str]) -> Mask:
        found = np.zeros(codes.shape, np.bool_)
        for value in values:
            found |= codes == self.numbering[column].get(value, -2)
        return found


def _widen(array: Rows) -> Rows:
    """Return an array with room for more rows, the last axis."""
    size = array.shape[-1]
    wider = np.zeros((*array.shape[:-1], size + max(16, size // 2)), array.dtype)
    wider[..., :size] = array
    return cast(Rows, wider)
