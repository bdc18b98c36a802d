"""Rows of one key of one table, as arrays with room for more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kyc_ml.features.how import Where, name_of
from kyc_ml.features.timed_rows import NEVER_US, UNTIL, TimedRows
from kyc_ml.metrics import Floats, Ints, Ints32, Mask

Condition = tuple[Where | None, str | None]
"""A filter, and a column that must hold a value."""

NO_MOMENT: Final = -(2**62)
"""Stands for a date that is missing."""


@dataclass(slots=True)
class Wanted:
    """What is read of a table's rows; grows while features are read."""

    numbers: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    moments: list[str] = field(default_factory=list)
    conditions: list[Condition] = field(default_factory=list)

    def condition(self, where: Where | None, having: str | None) -> int:
        """Return the number of a condition; -1 for every row."""
        if where is None and having is None:
            return -1
        each = where
        while each is not None:
            place_of(self.texts, name_of(each.column))
            each = each.also
        return place_of(self.conditions, (where, having))


def place_of(names: list[Any], name: Any) -> int:  # noqa: ANN401  any value
    """Return where a value is in a list, to which it is added if it is new."""
    if name not in names:
        names.append(name)
    return names.index(name)


class KeyRows:
    """Rows of one key, in order of time: times, numbers, codes of texts, conditions that hold.

    Attributes
    ----------
    size : int
        Rows there are; the arrays have room for more.
    times : int64 array of shape (2 or 3, room)
        Event time, known at, superseded at.
    numbers, codes, moments, masks : arrays of shape (columns, room)
    nulls : frozenset of str
        Columns of numbers and texts in which a row has no value.
    """

    def __init__(self, wanted: Wanted, rows: TimedRows) -> None:
        self.wanted = wanted
        self._numbering: list[dict[object, int]] = [{} for _ in wanted.texts]
        self._values: list[list[Any]] = [[] for _ in wanted.texts]
        self.size = len(rows)
        self._has_until = UNTIL in rows.table.column_names
        parts = self._read(rows)
        self.times, self.numbers, self.codes, self.moments, self.masks = parts
        self.nulls = self._find_nulls(self.numbers, self.codes)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return sum(each.nbytes for each in self._arrays()) + 2 * self.codes.nbytes

    def code(self, column: int, value: object) -> int:
        """Return the code of a value; -1 if no row has it."""
        return self._numbering[column].get(value, -1)

    def text(self, column: int, row: int) -> Any:  # noqa: ANN401  a value of a row
        """Return the text of a row; None where it is missing."""
        code = self.codes[column, row]
        return None if code < 0 else self._values[column][code]

    def n_codes(self) -> int:
        """Return the most codes that a column has."""
        return max(map(len, self._values), default=0)

    def insert(self, rows: TimedRows) -> int | None:
        """Put in one row; return its place, None if its place among others is not known here."""
        event, known = int(rows.event_time[0]), int(rows.known_at[0])
        at = self.size
        while at > 0 and (self.times[0, at - 1], self.times[1, at - 1]) > (event, known):
            at -= 1
        # rows of the same times are in the order of their identifiers, which are not held
        if at > 0 and self.times[0, at - 1] == event:
            return None
        parts = self._read(rows)
        if self.size == self.times.shape[1]:
            more = max(16, self.size // 2)
            arrays = [
                np.concatenate([each, np.empty((each.shape[0], more), each.dtype)], axis=1)
                for each in self._arrays()
            ]
            self.times, self.numbers, self.codes, self.moments, self.masks = arrays
        each: npt.NDArray[Any]
        for each, part in zip(self._arrays(), parts, strict=True):
            if at < self.size:
                each[:, at + 1 : self.size + 1] = each[:, at : self.size].copy()
            each[:, at] = part[:, 0]
        self.size += 1
        self.nulls |= self._find_nulls(parts[1], parts[2])
        return at

    def _arrays(self) -> tuple[Ints, Floats, Ints32, Ints, Mask]:
        return self.times, self.numbers, self.codes, self.moments, self.masks

    def _find_nulls(self, numbers: Floats, codes: Ints32) -> frozenset[str]:
        wanted = self.wanted
        names = [*wanted.numbers, *wanted.texts]
        missing = np.concatenate([np.isnan(numbers).any(axis=1), (codes < 0).any(axis=1)])
        return frozenset(name for name, some in zip(names, missing, strict=True) if some)

    def _read(self, rows: TimedRows) -> tuple[Ints, Floats, Ints32, Ints, Mask]:
        wanted, n = self.wanted, len(rows)
        times = [rows.event_time, rows.known_at]
        if self._has_until:
            times.append(np.full(n, NEVER_US) if rows.until is None else rows.until)
        codes = np.empty((len(wanted.texts), n), np.int32)
        for at, name in enumerate(wanted.texts):
            codes[at] = self._encode(at, rows, name)
        numbers = np.empty((len(wanted.numbers), n))
        for at, name in enumerate(wanted.numbers):
            numbers[at] = rows.number(name)
        moments = np.empty((len(wanted.moments), n), np.int64)
        for at, name in enumerate(wanted.moments):
            column = rows.table[name].combine_chunks().cast(pa.timestamp("us")).cast(pa.int64())
            moments[at] = column.fill_null(NO_MOMENT)
        masks = np.ones((len(wanted.conditions), n), np.bool_)
        for at, (where, having) in enumerate(wanted.conditions):
            each = where
            while each is not None:
                column_at = wanted.texts.index(name_of(each.column))
                masks[at] &= self._is_any_of(column_at, codes[column_at], each.values)
                each = each.also
            if having in wanted.numbers:
                masks[at] &= ~np.isnan(numbers[wanted.numbers.index(having)])
            elif having is not None:
                masks[at] &= codes[wanted.texts.index(having)] >= 0
        return np.array(times, np.int64), numbers, codes, moments, masks

    def _encode(self, column: int, rows: TimedRows, name: str) -> Ints32:
        """Return the codes of a column, whose values are numbered in the order they came in."""
        codes, _ = rows.codes(name)
        numbering, values = self._numbering[column], self._values[column]
        found = rows.encoded(name).dictionary.to_pylist()
        for value in found:
            if value not in numbering:
                numbering[value] = len(values)
                values.append(value)
        # the last one is for missing values, whose code is -1
        places = np.array([*(numbering[value] for value in found), -1], np.int32)
        return np.asarray(places[codes])

    def _is_any_of(self, column: int, codes: Ints32, values: Sequence[str]) -> Mask:
        known = [
            self._numbering[column][value] for value in values if value in self._numbering[column]
        ]
        return np.isin(codes, known)
