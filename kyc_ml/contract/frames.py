"""Tables of any data frame library, as Arrow tables."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.errors import Faults
from kyc_ml.storage import quote_name

_READ_BY_DUCKDB: Final = ("arrow.uuid", "arrow.json", "arrow.bool8")
"""Extension types whose values are what they look like; of others the storage alone is known."""


@runtime_checkable
class ArrowStream(Protocol):
    """A table of any library that speaks Arrow's C interface, such as one of Polars.

    Source: the Arrow PyCapsule interface,
    https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html.
    """

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Export the table as an Arrow stream."""


Frame: TypeAlias = pa.Table | pd.DataFrame | ArrowStream
"""A table of pyarrow, pandas, Polars, DuckDB or any other library that speaks Arrow."""


def to_arrow(frame: Frame, *, name: str, faults: Faults) -> pa.Table:
    """Return a table as an Arrow table that DuckDB reads; a data frame's index is ignored.

    A table is converted column by column, so that a fault names its column and no value. Nothing
    is lost: a column of a type that is not supported is a fault, and empty in the result; the
    result for something that is not a table has no column.
    """
    if isinstance(frame, pa.Table):
        columns = list(zip(frame.column_names, frame.columns, strict=True))
    elif isinstance(frame, pd.DataFrame):
        columns = _from_pandas(frame, name=name, faults=faults)
    elif isinstance(frame, ArrowStream):
        columns = _from_stream(frame, name=name, faults=faults)
    else:
        columns = []
        faults.add(
            f"table {name!r} is a {type(frame).__name__}: give a table of pandas, Polars or pyarrow"
        )
    plain = {}
    for column, values in columns:
        if column in plain:
            faults.add(f"table {name!r}: column {column!r} occurs twice")
        try:
            plain[column] = _plain(values)
        except (pa.ArrowException, NotImplementedError):
            _note_kind(name, column, values.type, faults)
            plain[column] = pa.nulls(len(values))
    return pa.table(plain)


def register(
    connection: duckdb.DuckDBPyConnection, name: str, table: pa.Table, *, faults: Faults
) -> None:
    """Make a view over a table; note the columns of a kind that DuckDB does not know."""
    try:
        connection.register(name, table)
        connection.table(quote_name(name))
    except duckdb.NotImplementedException:
        for column in table.column_names:
            try:
                connection.register(name, table.select([column]))
                connection.table(quote_name(name))
            except duckdb.NotImplementedException:
                _note_kind(name, column, table[column].type, faults)


def _note_kind(name: str, column: str, kind: object, faults: Faults) -> None:
    faults.add(
        f"table {name!r}: column {column!r} is of type {kind}, which is not supported: cast it "
        "to text, a number or a time"
    )


def _plain(values: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """Return values in a type that DuckDB reads; an error of Arrow or Python if none fits."""
    kind = values.type
    if pa.types.is_dictionary(kind) and (
        pa.types.is_float16(kind.value_type) or pa.types.is_decimal256(kind.value_type)
    ):
        return _plain(values.cast(kind.value_type))
    if pa.types.is_run_end_encoded(kind):
        return _plain(pc.run_end_decode(values))
    if pa.types.is_float16(kind):
        return pc.cast(values, pa.float32())
    if pa.types.is_decimal256(kind):
        return pc.cast(values, pa.decimal128(38, kind.scale))
    if isinstance(kind, pa.BaseExtensionType) and kind.extension_name not in _READ_BY_DUCKDB:
        raise NotImplementedError
    return values


def _from_stream(
    frame: ArrowStream, *, name: str, faults: Faults
) -> list[tuple[str, pa.ChunkedArray]]:
    try:
        table = pa.table(frame)
    except (pa.ArrowException, NotImplementedError):
        found = _unreadable_columns(frame)
        of = f": column(s) {', '.join(map(repr, found))}" if found else ""
        faults.add(
            f"table {name!r} has a type that Arrow does not have{of}: cast it to text, a number or "
            "a time"
        )
        return []
    return list(zip(table.column_names, table.columns, strict=True))


def _unreadable_columns(frame: object) -> list[str]:
    """List the columns of another library's table that Arrow cannot read."""
    found = []
    for column in getattr(frame, "columns", ()):
        try:
            pa.chunked_array(frame[column])  # type: ignore[index]
        except (pa.ArrowException, NotImplementedError):
            found.append(str(column))
        except (TypeError, KeyError):  # its columns cannot be read singly
            return []
    return found


def _from_pandas(frame: pd.DataFrame, *, name: str, faults: Faults) -> list[tuple[str, pa.Array]]:
    columns = []
    for position, column in enumerate(frame.columns):
        # by position: a name may occur twice
        values = frame.iloc[:, position]
        subject = f"table {name!r}: column {str(column)!r}"
        array = pa.nulls(len(frame))
        # Arrow would read all of them like the first: times with a zone by their time in UTC, times
        # without a zone as UTC, and of times among dates only the day
        dtype = values.dtype
        objects: Iterable[object] = ()
        if isinstance(dtype, pd.CategoricalDtype):
            objects = dtype.categories if dtype.categories.dtype == np.dtype(object) else ()
        elif dtype == np.dtype(object):
            objects = values
        kinds = {_kind_of_time(each) for each in objects} - {None}
        mixture = " and ".join(sorted(kind for kind in kinds if kind)) if len(kinds) > 1 else None
        if mixture is not None:
            faults.add(f"{subject} mixes {mixture}: convert them to one kind")
        else:
            try:
                array = _as_array(values)
            except NotImplementedError:
                _note_kind(name, str(column), values.dtype, faults)
            except (pa.ArrowException, TypeError, ValueError, OverflowError):
                faults.add(f"{subject} holds values of several types")
        columns.append((str(column), array))
    return columns


def _kind_of_time(value: object) -> str | None:
    # NaT is a datetime for `isinstance`, and has no kind
    if value is pd.NaT:
        return None
    if isinstance(value, datetime.datetime):
        return "times without a zone" if value.tzinfo is None else "times with a zone"
    if isinstance(value, np.datetime64):
        return "times without a zone"
    return "dates" if isinstance(value, datetime.date) else None


def _as_array(values: pd.Series[Any]) -> pa.Array:
    if isinstance(values.dtype, pd.SparseDtype):
        values = pd.Series(values.to_numpy())
    if not isinstance(values.dtype, pd.DatetimeTZDtype):
        return pa.Array.from_pandas(values)
    # Arrow reads a zoned column in a way that pandas 3.1 warns of; a naive one is fine.
    return pc.assume_timezone(pa.Array.from_pandas(values.dt.tz_convert(None)), "UTC")
