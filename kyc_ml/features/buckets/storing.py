"""Tables as Parquet files that are read a group of rows at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from kyc_ml.contract.contracted import ContractedTables
from kyc_ml.engine.writing import written_whole

_GROUP_ROWS: Final = 1 << 18
"""Rows of a row group: what a reader holds at once."""


def store_tables(tables: ContractedTables, folder: Path) -> dict[str, Path]:
    """Write contracted tables as Parquet files, their rows as they are sorted.

    Returns
    -------
    dict of table name to file
        What `build_features_in_buckets` reads.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    stored = {name: folder / f"{name}.parquet" for name in tables.tables}
    for name, path in stored.items():
        store_rows(tables.tables[name], path)
    return stored


def store_rows(rows: pa.Table, path: Path) -> None:
    """Write rows in groups that are read one after the other."""
    with written_whole(path) as handle:
        pq.write_table(rows, handle, compression="lz4", row_group_size=_GROUP_ROWS)
