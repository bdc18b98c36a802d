"""A table whose times and columns become arrays once, for every feature that reads them."""

import threading
from collections.abc import Callable
from typing import Final, TypeVar, cast

import numpy as np
import pyarrow as pa

from kyc_ml.contract import EVENT_TIME, KNOWN_AT
from kyc_ml.metrics import Floats, Ints, Ints32, Mask

T = TypeVar("T")

UNTIL: Final = "superseded_at"
"""Column of tables whose rows stop being true: the instant, null where they never did."""

NEVER_US: Final = 2**61


def microseconds(column: pa.ChunkedArray | pa.Array) -> Ints:
    """Read a timestamp column without nulls as int64 microseconds."""
    flat = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return np.asarray(flat.cast(pa.int64()).to_numpy(zero_copy_only=False), dtype=np.int64)


class TimedRows:
    """A table whose times and columns are read into arrays once.

    Parameters
    ----------
    table : pyarrow.Table
        Rows with a time; those of a contracted table are sorted by it.
    time : str
        Column that says when a row happened, or when an observation is decided.
    """

    def __init__(self, table: pa.Table, *, time: str = EVENT_TIME) -> None:
        self._table = table
        self.time = time
        self.event_time = microseconds(table[time])
        self.is_sorted = bool(np.all(self.event_time[1:] >= self.event_time[:-1]))
        self._cache: dict[tuple[str, str], object] = {}
        # reentrant: reading a column's codes reads its encoding under the same lock
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return int(self._table.num_rows)

    @property
    def table(self) -> pa.Table:
        """The rows with all of their columns."""
        return self._table

    @property
    def known_at(self) -> Ints:
        """When each row was known, in microseconds."""
        return self._once("known_at", KNOWN_AT, lambda: microseconds(self._table[KNOWN_AT]))

    @property
    def until(self) -> Ints | None:
        """When each row was superseded, in microseconds; None if none ever is."""
        if UNTIL not in self._table.column_names or not len(self):
            return None
        column = self._table[UNTIL]
        if column.null_count == len(column):
            return None
        return self._once(
            "until",
            UNTIL,
            lambda: np.asarray(column.combine_chunks().cast(pa.int64()).fill_null(NEVER_US)),
        )

    def column(self, name: str) -> pa.Array:
        """Return a column as one array."""
        return self.table[name].combine_chunks()

    def number(self, name: str) -> Floats:
        """Read a column as float64; NaN where it is missing."""
        return self._once("number", name, lambda: _as_floats(self.table[name]))

    def encoded(self, name: str) -> pa.DictionaryArray:
        """Read a column as codes of its distinct values; null where it is missing."""
        return self._once(
            "encoded", name, lambda: self.table[name].combine_chunks().dictionary_encode()
        )

    def codes(self, name: str) -> tuple[Ints32, int]:
        """Return the codes of a column's values, -1 where missing, and the number of values."""
        encoded = self.encoded(name)
        codes = self._once("codes", name, lambda: as_codes(encoded.indices))
        return codes, len(encoded.dictionary)

    def has(self, name: str) -> Mask | None:
        """Return which rows have a value in a column; None if all have one."""
        column = self.table[name]
        if not column.null_count:
            return None
        return self._once(
            "has",
            name,
            lambda: np.asarray(column.is_valid().combine_chunks(), dtype=np.bool_),
        )

    def append(self, name: str, values: Floats | pa.Array) -> None:
        """Add a column; one value a row, NaN where a number is missing."""
        with self._lock:
            self._table = self._table.append_column(name, as_column(values))

    def _once(self, kind: str, name: str, read: Callable[[], T]) -> T:
        with self._lock:
            if (kind, name) not in self._cache:
                self._cache[kind, name] = read()
            return cast(T, self._cache[kind, name])


def as_codes(indices: pa.Array) -> Ints32:
    """Return dictionary codes; -1 where a value is missing."""
    return np.asarray(indices.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int32)


def as_column(values: Floats | pa.Array) -> pa.Array:
    """Return numbers as an Arrow array, NaN as null; an Arrow array as it is."""
    if not isinstance(values, np.ndarray):
        return values
    missing = np.isnan(values)
    return pa.array(values, mask=missing) if missing.any() else pa.array(values)


def _as_floats(column: pa.ChunkedArray) -> Floats:
    flat = column.combine_chunks().cast(pa.float64())
    return np.asarray(flat.to_numpy(zero_copy_only=False), dtype=np.float64)
