"""A mapping's files, opened as views that a mapping's SQL may name.

DuckDB's error texts can quote a cell, so none is passed on from here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final, TypeAlias, cast

import duckdb

from kyc_ml.contract.checksums import note_wrong_pages
from kyc_ml.contract.csv_files import open_csv
from kyc_ml.contract.folder import FoundFiles
from kyc_ml.contract.json_files import open_json
from kyc_ml.contract.parquet_files import open_parquet
from kyc_ml.contract.plain import say_os_error
from kyc_ml.contract.quarantine import MalformedLine
from kyc_ml.errors import Faults, hint
from kyc_ml.storage import NO_MEMORY, is_out_of_memory, quote_name, quote_text

_Opener: TypeAlias = Callable[
    [duckdb.DuckDBPyConnection, str, FoundFiles, Faults], list[MalformedLine]
]


def _open_duckdb(
    connection: duckdb.DuckDBPyConnection, name: str, files: FoundFiles, faults: Faults
) -> list[MalformedLine]:
    """Attach the file, reading only, and make a view over its table."""
    if len(files.paths) > 1:
        faults.add(f"file {name!r}: a duckdb source is one file, got {len(files.paths)}")
        return []
    alias = f"file:{name}"
    wanted = cast("str", files.source.table)
    path = quote_text(str(files.paths[0].resolve()))
    try:
        connection.execute(f"ATTACH {path} AS {quote_name(alias)} (READ_ONLY)")
    except duckdb.IOException as error:
        if "Could not set lock" not in str(error):
            raise
        faults.add(
            f"file {name!r}: {files.names[0]!r} is open for writing in another process: try again "
            "when it is closed",
            passing=True,
        )
        return []
    held = connection.execute(
        "SELECT CASE schema_name WHEN 'main' THEN '' ELSE schema_name || '.' END || name FROM "
        "(SELECT database_name, schema_name, table_name AS name FROM duckdb_tables() UNION ALL "
        "SELECT database_name, schema_name, view_name FROM duckdb_views() WHERE NOT internal) "
        "WHERE database_name = ? ORDER BY ALL",
        [alias],
    ).fetchall()
    names = [row[0] for row in held]
    if wanted.removeprefix("main.") not in names:
        faults.add(f"file {name!r}: no table {wanted!r} in the duckdb file{hint(wanted, names)}")
        return []
    table = ".".join(quote_name(part) for part in (alias, *wanted.split(".")))
    connection.execute(f"CREATE TEMP VIEW {quote_name(name)} AS SELECT * FROM {table}")
    return []


_OPENERS: Final[dict[str, _Opener]] = {
    "csv": open_csv,
    "json": open_json,
    "parquet": open_parquet,
    "duckdb": _open_duckdb,
}


@dataclass(slots=True, kw_only=True)
class OpenedFiles:
    """The views that exist, the malformed lines of their files, and the tables left out."""

    views: set[str] = field(default_factory=set)
    malformed: dict[str, list[MalformedLine]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    """Names of key=value folders that no source reads as columns."""
    unchecked: list[str] = field(default_factory=list)
    """Parquet files without checksums of their pages."""
    business_dates: Mapping[str, date] = field(default_factory=dict)
    """Mapping of source to date; the last day that its sender states; empty without a control
    file."""


def open_files(
    connection: duckdb.DuckDBPyConnection,
    found: Mapping[str, FoundFiles],
    *,
    faults: Faults,
    pages: bool = True,
) -> OpenedFiles:
    """Make one view or table a source; note every file that cannot be read.

    `found`: mapping of source to FoundFiles; result of `make_plain`: text is UTF-8.
    `pages`: whether to compare the pages of Parquet files with their checksums.
    """
    opened = OpenedFiles()
    for name, files in found.items():
        before = len(faults)
        try:
            open_source = _OPENERS[files.source.format]
            opened.malformed[name] = open_source(connection, name, files, faults)
            if pages and files.source.format == "parquet" and len(faults) == before:
                opened.unchecked += note_wrong_pages(name, files, faults)
        except (duckdb.Error, MemoryError, OSError) as error:
            faults.add(f"file {name!r}{_say(error, files)}")
        if len(faults) == before:
            opened.views.add(name)
        if not files.source.partitions:
            opened.folders.update(*files.folder_values)
    return opened


def _say(error: Exception, files: FoundFiles) -> str:
    if is_out_of_memory(error):
        return f" {NO_MEMORY}"
    if isinstance(error, OSError):
        return f" {say_os_error(error)}"
    shown = ", ".join(repr(each) for each in files.names)
    return f": {shown} is not a readable {files.source.format} file"
