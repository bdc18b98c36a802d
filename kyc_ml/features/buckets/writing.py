"""Feature tables, and pieces of other tables, appended to a file."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from kyc_ml.features.table import FeatureTable, parquet_options
from kyc_ml.storage import written_whole

GROUP_ROWS: Final = 1 << 17
"""Rows of a row group: what a reader holds in memory."""


def write_pieces(pieces: Iterator[pa.Table], path: Path) -> None:
    """Write the pieces of a table, at least one, into a new file."""
    first = next(pieces)
    with (
        written_whole(path) as handle,
        pq.ParquetWriter(handle, first.schema, compression="lz4") as writer,
    ):
        for piece in chain([first], pieces):
            writer.write_table(piece, row_group_size=GROUP_ROWS)


class FeatureWriter:
    """Appends feature tables to one file, some rows at a time."""

    def __init__(self, handle: BinaryIO, files: ExitStack, *, group_rows: int) -> None:
        self._handle = handle
        self._group_rows = group_rows
        self._files = files
        self._writer: pq.ParquetWriter | None = None

    def append(self, features: FeatureTable) -> None:
        """Write a bucket's features; the first one, even without rows, defines the columns."""
        for start in range(0, max(len(features), 1), self._group_rows):
            # group by group: a bucket as one Arrow table would double its memory
            rows = some_rows(features, slice(start, start + self._group_rows)).to_arrow()
            if self._writer is None:
                options = parquet_options(rows.schema)
                made = pq.ParquetWriter(self._handle, rows.schema, **options)
                self._writer = self._files.enter_context(made)
            if rows.num_rows:
                self._writer.write_table(rows)


def some_rows(features: FeatureTable, rows: slice) -> FeatureTable:
    """Return a run of rows, without a copy."""
    return replace(
        features,
        keys=features.keys[rows],
        numbers=features.numbers[rows],
        categories={name: values[rows] for name, values in features.categories.items()},
    )
