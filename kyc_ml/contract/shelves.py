"""Where contracted rows are put as they are read: memory, or files of any length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from kyc_ml.contract.quarantine import QUARANTINE_SCHEMA
from kyc_ml.engine.writing import written_whole

_GROUP_ROWS: Final = 1 << 18
"""Rows of a row group of a stored table: what a reader holds at once."""


class Columns(Protocol):
    """A table that can be read column by column, a piece at a time."""

    @property
    def column_names(self) -> list[str]:
        """Names of the columns."""

    @property
    def num_rows(self) -> int:
        """How many rows there are."""

    def pieces(self, *names: str) -> Iterator[pa.RecordBatch]:
        """Give some columns, piece after piece, in the order of the rows."""


class Shelf(Protocol):
    """Takes the accepted and the refused rows of one table after the other."""

    def put(self, table: str, schema: pa.Schema, rows: Iterable[pa.RecordBatch]) -> None:
        """Take a table's accepted rows, sorted."""

    def refuse(self, rows: Iterable[pa.Table]) -> int:
        """Take refused rows of `QUARANTINE_SCHEMA`; returns how many they were."""

    def columns(self) -> dict[str, Columns]:
        """Give the tables taken so far."""


class MemoryShelf:
    """Keeps rows as Arrow tables.

    Attributes
    ----------
    tables : dict of table name to Arrow table
    quarantine : pyarrow.Table
    """

    def __init__(self) -> None:
        self.tables: dict[str, pa.Table] = {}
        self.quarantine = QUARANTINE_SCHEMA.empty_table()

    def put(self, table: str, schema: pa.Schema, rows: Iterable[pa.RecordBatch]) -> None:
        """Keep a table's accepted rows."""
        self.tables[table] = pa.Table.from_batches(list(rows), schema=schema)

    def refuse(self, rows: Iterable[pa.Table]) -> int:
        """Keep refused rows."""
        before = self.quarantine.num_rows
        self.quarantine = pa.concat_tables([self.quarantine, *rows])
        return int(self.quarantine.num_rows - before)

    def columns(self) -> dict[str, Columns]:
        """Give the tables kept so far."""
        return {name: TableColumns(table) for name, table in self.tables.items()}


class FileShelf:
    """Writes each table into a Parquet file of its own, a group of rows at a time.

    Parameters
    ----------
    folder : Path
        For the accepted rows: a file a table.
    quarantine : Path
        Folder for the refused rows: a file of each writing, numbered.
    """

    def __init__(self, folder: Path, *, quarantine: Path) -> None:
        self._folder = folder
        self._quarantine = quarantine
        self.files: dict[str, Path] = {}

    def put(self, table: str, schema: pa.Schema, rows: Iterable[pa.RecordBatch]) -> None:
        """Write a table's accepted rows.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        path = self._folder / f"{table}.parquet"
        with (
            written_whole(path) as handle,
            pq.ParquetWriter(handle, schema, compression="lz4") as writer,
        ):
            for batch in rows:
                writer.write_batch(batch, row_group_size=_GROUP_ROWS)
        self.files[table] = path

    def refuse(self, rows: Iterable[pa.Table]) -> int:
        """Write refused rows, if there are any; only the user may read the file.

        Raises
        ------
        OutputError
            If a file cannot be written.
        """
        count = 0
        for part in rows:
            if part.num_rows:
                number = len(list(self._quarantine.glob("*.parquet")))
                with written_whole(self._quarantine / f"part-{number:05d}.parquet") as handle:
                    pq.write_table(part, handle, compression="zstd")
                count += part.num_rows
        return count

    def columns(self) -> dict[str, Columns]:
        """Give the tables written so far."""
        return {name: FileColumns(path) for name, path in self.files.items()}


class TableColumns:
    """Columns of an Arrow table."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    @property
    def column_names(self) -> list[str]:
        """Names of the columns."""
        return list(self._table.column_names)

    @property
    def num_rows(self) -> int:
        """How many rows there are."""
        return int(self._table.num_rows)

    def pieces(self, *names: str) -> Iterator[pa.RecordBatch]:
        """Give some columns, chunk after chunk."""
        yield from self._table.select(list(names)).to_batches()


class FileColumns:
    """Columns of a Parquet file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def column_names(self) -> list[str]:
        """Names of the columns."""
        return list(pq.read_schema(self._path).names)

    @property
    def num_rows(self) -> int:
        """How many rows there are."""
        return int(pq.read_metadata(self._path).num_rows)

    def pieces(self, *names: str) -> Iterator[pa.RecordBatch]:
        """Give some columns, a group of rows after the other."""
        with pq.ParquetFile(self._path) as file:
            yield from file.iter_batches(_GROUP_ROWS, columns=list(names))
