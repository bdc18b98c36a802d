"""The scores of a run as one CSV file, or as a table in a DuckDB file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import duckdb
import pyarrow.parquet as pq

from kyc_ml.errors import OutputError
from kyc_ml.storage import quote_list, sync_folder, write_csv, written_whole

CSV: Final = "scores.csv"
DUCKDB: Final = "scores.duckdb"
TABLE: Final = "scores"


def export_csv(parts: Sequence[Path], target: Path) -> None:
    """Write parts as one CSV file for spreadsheets; see `write_csv`.

    Raises OutputError if the file cannot be written.
    """
    schema = pq.read_schema(parts[0])
    with written_whole(target) as handle:
        write_csv(handle, schema, (pq.read_table(part) for part in parts))


def export_duckdb(parts: Sequence[Path], target: Path, *, scratch: Path) -> None:
    """Write parts as the table `scores` of a DuckDB file.

    Raises OutputError if the file cannot be written.
    """
    half = scratch / target.name  # renamed when complete: DuckDB leaves a half file if killed
    half.unlink(missing_ok=True)
    files = quote_list([str(part) for part in parts])
    try:
        with duckdb.connect(half, config={"threads": 1, "memory_limit": "1GB"}) as connection:
            connection.execute(f"CREATE TABLE {TABLE} AS SELECT * FROM read_parquet({files})")
        half.chmod(0o600)
        half.replace(target)
        sync_folder(target.parent)
    except (duckdb.Error, OSError) as error:
        msg = f"{target} cannot be written ({type(error).__name__}): free space, then start again"
        raise OutputError(msg) from None
