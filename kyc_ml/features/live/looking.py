"""One observation, or one row that looks back, without Arrow where its values are used alone."""

from collections.abc import Collection
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa

from kyc_ml.contract import EVENT_TIME
from kyc_ml.features.timed_rows import TimedRows, as_column
from kyc_ml.metrics import Floats

_NUMBERS: Final = int, float, type(None)


class Looking(TimedRows):
    """A table of one row, whose columns are kept as they were made and read as plain values.

    Attributes
    ----------
    now : int
        Its time, in microseconds.
    names : set of str
        Columns there are.
    """

    def __init__(self, table: pa.Table, *, time: str = EVENT_TIME) -> None:
        super().__init__(table, time=time)
        self.now = int(self.event_time[0])
        self.names = set(table.column_names)
        self._made: dict[str, Floats | pa.Array] = {}
        self._numbers: dict[str, Floats] = {}
        self._fields: dict[str, Any] = {"": ""}

    @property
    def table(self) -> pa.Table:
        """The row with all of its columns."""
        return self.with_columns(self._made)

    def with_columns(self, names: Collection[str]) -> pa.Table:
        """Return the row as it was given, and some of the columns that were added."""
        table = self._table
        for name in names:
            table = table.append_column(name, self.column(name))
        return table

    def field(self, name: str) -> Any:  # noqa: ANN401  a value of a row
        """Return the value of a column; None where it is missing."""
        if name not in self._fields:
            value = (self._made if name in self._made else self._table)[name][0]
            if isinstance(value, float):  # a number that was made
                self._fields[name] = None if np.isnan(value) else float(value)
            else:
                self._fields[name] = value.as_py()
        return self._fields[name]

    def number(self, name: str) -> Floats:
        """Read a column as float64; NaN where it is missing."""
        values = self._made.get(name)
        if isinstance(values, np.ndarray):
            return values
        if name not in self._numbers:
            value = self.field(name)
            plain = isinstance(value, _NUMBERS)
            self._numbers[name] = np.array([value], np.float64) if plain else super().number(name)
        return self._numbers[name]

    def column(self, name: str) -> pa.Array:
        """Return a column as one array."""
        made = name in self._made
        return as_column(self._made[name] if made else self._table[name].combine_chunks())

    def append(self, name: str, values: Floats | pa.Array) -> None:
        """Add a column that is absent."""
        if name not in self.names:
            self._made[name] = values
            self.names.add(name)

    def is_like(self, other: Self) -> bool:
        """Return whether time and all fields that both were given are equal."""
        both = {*self._table.column_names} & {*other._table.column_names}
        return self.now == other.now and all(self.field(name) == other.field(name) for name in both)

    def take_over(self, other: Self) -> None:
        """Add the columns that were made for a row that is like this one: values are equal."""
        for name, values in other._made.items():
            self.append(name, values)
