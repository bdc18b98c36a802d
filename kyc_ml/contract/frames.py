"""Tables of any data frame library, as Arrow tables."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias, runtime_checkable

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.errors import Faults


@runtime_checkable
class ArrowStream(Protocol):
    """A table of any library that speaks Arrow's C interface, such as one of Polars.

    Source: the Arrow PyCapsule interface,
    https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html.
    """

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Hand the table over."""


Frame: TypeAlias = "pa.Table | pd.DataFrame | ArrowStream"
"""A table of pyarrow, pandas, Polars, DuckDB or any other library that speaks Arrow."""


def to_arrow(frame: Frame, *, name: str, faults: Faults) -> pa.Table:
    """Give a table as an Arrow table; a data frame's index is ignored.

    A data frame is converted column by column, so that a fault names its column and no value.
    """
    if isinstance(frame, pa.Table):
        return frame
    if isinstance(frame, pd.DataFrame):
        return _from_pandas(frame, name=name, faults=faults)
    if isinstance(frame, ArrowStream):
        return pa.table(frame)
    faults.add(
        f"table {name!r} is a {type(frame).__name__}: give a table of pandas, Polars or pyarrow"
    )
    return pa.table({})


def _from_pandas(frame: pd.DataFrame, *, name: str, faults: Faults) -> pa.Table:
    columns = {}
    for position, column in enumerate(frame.columns):
        if str(column) in columns:
            faults.add(f"table {name!r}: column {str(column)!r} is there twice")
        try:
            columns[str(column)] = _as_array(frame.iloc[:, position])
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            faults.add(f"table {name!r}: column {str(column)!r} holds values of several types")
    return pa.table(columns)


def _as_array(values: pd.Series[Any]) -> pa.Array:
    if not isinstance(values.dtype, pd.DatetimeTZDtype):
        return pa.Array.from_pandas(values)
    # Arrow reads a zoned column in a way that pandas 3.1 warns of; a naive one is fine.
    return pc.assume_timezone(pa.Array.from_pandas(values.dt.tz_convert(None)), "UTC")
