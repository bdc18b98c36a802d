"""Rows that break the contract: kept with their reasons, in a file only the user reads."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from kyc_ml.storage import written_whole

QUARANTINE_SCHEMA: Final = pa.schema(
    [
        pa.field("table", pa.string(), nullable=False),
        pa.field("row_id", pa.string()),
        pa.field("file", pa.string()),
        pa.field("line", pa.int64()),
        pa.field("reasons", pa.list_(pa.string()), nullable=False),
        pa.field("raw", pa.string()),
    ]
)
"""Quarantined rows: the table; the first key column where it could be read; file and line
of a malformed line; the reasons; the raw values as JSON text (for a duplicate, the typed
values; of a malformed line at most its first 10,000 characters)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MalformedLine:
    """A line of a text file that could not be cut into the file's columns."""

    file: str
    line: int
    raw: str
    no_text: bool = False
    """True if it has bytes that are not valid in the encoding of the file."""


def malformed_rows(table: str, lines: Sequence[MalformedLine], *, reason: str) -> pa.Table:
    """Malformed lines as rows of the quarantine of `table`."""
    rows = [
        {
            "table": table,
            "row_id": None,
            "file": line.file,
            "line": line.line,
            "reasons": [reason],
            "raw": json.dumps({"line": line.raw}, ensure_ascii=False),
        }
        for line in lines
    ]
    return pa.Table.from_pylist(rows, schema=QUARANTINE_SCHEMA)


def save_quarantine(quarantine: pa.Table, path: Path) -> None:
    """Write quarantined rows as Parquet, readable by the user alone (mode 0600).

    Raises OutputError if the file cannot be written.
    """
    with written_whole(path) as handle:
        pq.write_table(quarantine, handle, compression="zstd")
