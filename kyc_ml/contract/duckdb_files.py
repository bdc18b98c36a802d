"""A table of a DuckDB file, as a view."""

from __future__ import annotations

from typing import cast

import duckdb

from kyc_ml.contract.folder import FoundFiles
from kyc_ml.contract.quarantine import MalformedLine
from kyc_ml.engine.local import quote_name, quote_text
from kyc_ml.errors import Faults, hint


def open_duckdb(
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
