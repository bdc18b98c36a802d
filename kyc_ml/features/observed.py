"""Observations from a table of any library, in the types that features are computed from."""

from typing import Final

import pyarrow as pa

from kyc_ml.contract import CONTRACT, CUSTOMER_ID, TRANSACTIONS, Frame, to_arrow
from kyc_ml.errors import DatasetError, Faults, hint
from kyc_ml.features.table import DECISION_TIME, OBSERVATION_ID

_KEYS: Final = {
    OBSERVATION_ID: pa.string(),
    CUSTOMER_ID: pa.string(),
    DECISION_TIME: pa.timestamp("us", tz="UTC"),
}
_OWN: Final = {column.name: column.arrow.type for column in CONTRACT[TRANSACTIONS].columns}


def read_observations(frame: Frame) -> pa.Table:
    """Return observations as an Arrow table of contracted types.

    `frame`: table of pandas, Polars or pyarrow; observation_id, customer_id, decision_time (times
    without a zone are UTC) and any fields of the observations' own. Columns that the contract does
    not know stay.
    Raises DatasetError if a key is absent or empty in a row, or a column cannot be read as its
    contracted type; all columns are named.
    """
    faults = Faults("observations", DatasetError)
    table = to_arrow(frame, name="observations", faults=faults)
    for name in _KEYS:
        if name not in table.column_names:
            faults.add(f"column {name!r} is missing{hint(name, table.column_names)}")
        elif table[name].null_count:
            faults.add(f"column {name!r} is empty in {table[name].null_count:,} row(s)")
    # keys come last: their types win where a transaction has the column too
    types = {**_OWN, **_KEYS}
    for place, field in enumerate(table.schema):
        wanted = types.get(field.name)
        if wanted is None or field.type == wanted:
            continue
        try:
            column = _cast(table[field.name], wanted)
        except pa.ArrowException:
            faults.add(f"column {field.name!r} is {field.type}, it must be readable as {wanted}")
        else:
            table = table.set_column(place, field.name, column)
    faults.raise_if_any()
    return table


def _cast(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    """Cast, by way of plain values where the column is a dictionary."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.cast(wanted)
