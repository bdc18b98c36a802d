"""A mapping's files, opened as views that a mapping's SQL may name.

DuckDB's error texts can quote a cell, so none is passed on from here.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from kyc_ml.contract.folder import FoundFiles, open_plain
from kyc_ml.contract.quarantine import MalformedLine
from kyc_ml.engine.local import quote_list, quote_name, quote_text
from kyc_ml.errors import Faults, hint

_BOM: Final = b"\xef\xbb\xbf"
_LONGEST_HEADER: Final = 1_000_000
_DELIMITERS: Final = (";", "\t", "|", ",")
_LONGEST_RAW: Final = 10_000  # DuckDB keeps no more of a rejected line
_REJECTED, _SCANNED = "kyc_ml_rejected_lines", "kyc_ml_scanned_files"


@dataclass(slots=True, kw_only=True)
class OpenedFiles:
    """Which views exist, the lines that are none of their rows, and optional tables left out."""

    views: set[str] = field(default_factory=set)
    malformed: dict[str, list[MalformedLine]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def open_files(
    connection: duckdb.DuckDBPyConnection, found: Mapping[str, FoundFiles], *, faults: Faults
) -> OpenedFiles:
    """Make one view or table a source; note every file that cannot be read."""
    opened = OpenedFiles()
    openers = {"csv": _open_csv, "json": _open_json, "parquet": _open_parquet}
    openers["duckdb"] = _open_duckdb
    for name, files in found.items():
        before = len(faults)
        try:
            opened.malformed[name] = openers[files.source.format](connection, name, files, faults)
        except OSError as error:
            faults.add(f"file {name!r} cannot be read: {error.strerror or type(error).__name__}")
        except duckdb.OutOfMemoryException:
            faults.add(f"file {name!r} does not fit into memory and scratch space: give more")
        except duckdb.Error:
            shown = ", ".join(repr(each) for each in files.names)
            faults.add(f"file {name!r}: {shown} is not a readable {files.source.format} file")
        if len(faults) == before:
            opened.views.add(name)
    return opened


def _open_csv(
    connection: duckdb.DuckDBPyConnection, name: str, files: FoundFiles, faults: Faults
) -> list[MalformedLine]:
    """Load text columns; return the lines that cannot be cut into them.

    Nothing is guessed: a guessed dialect or type can differ from one batch to the next.
    """
    headers = [_header(path, files.source.delimiter) for path in files.paths]
    wrong = False
    for shown, header in zip(files.names, headers, strict=True):
        fault = header if isinstance(header, str) else _header_fault(header, headers[0])
        if fault:
            faults.add(f"file {name!r}: {shown!r} {fault}")
            wrong = True
    if wrong:
        return []
    columns = ", ".join(f"{quote_text(column)}: 'VARCHAR'" for column in headers[0])
    try:
        connection.execute(
            f"CREATE TEMP TABLE {quote_name(name)} AS SELECT * FROM read_csv("
            f"{_list(files)}, auto_detect=false, header=true, columns={{{columns}}}, "
            f"""delim={quote_text(files.source.delimiter)}, quote='"', escape='"', """
            f"store_rejects=true, rejects_limit=0, rejects_table={quote_text(_REJECTED)}, "
            f"rejects_scan={quote_text(_SCANNED)})"
        )
    except duckdb.InvalidInputException:
        faults.add(
            f"file {name!r} cannot be cut into lines: it mixes kinds of line ending, or its "
            "quotes are broken; write it with one kind of line ending and close every quote"
        )
        return []
    rows = connection.execute(
        f"SELECT file_path, line, first(error_type ORDER BY error_type), first(csv_line) "
        f"FROM {_REJECTED} JOIN {_SCANNED} USING (scan_id, file_id) "
        "GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    connection.execute(f"DROP TABLE {_REJECTED}")
    connection.execute(f"DROP TABLE {_SCANNED}")
    shown_of = {str(p.resolve()): n for p, n in zip(files.paths, files.names, strict=True)}
    rejected = [
        MalformedLine(file=shown_of[path], line=line, raw=raw[:_LONGEST_RAW].strip("\r\n"))
        for path, line, _, raw in rows
    ]
    fault = _lost_lines(connection, name, files, rejected)
    if fault:
        faults.add(f"file {name!r}: {fault}")
    return rejected


def _header(path: Path, delimiter: str) -> list[str] | str:
    """Column names of a CSV file, or why they cannot be read."""
    with open_plain(path) as handle:
        line = handle.readline(_LONGEST_HEADER)
    try:
        text = line.removeprefix(_BOM).decode("utf-8")
    except UnicodeDecodeError:
        return "has a header that is not UTF-8: convert the file to UTF-8"
    if "\x00" in text or text.count('"') % 2:
        return "has a header that is not one line of UTF-8 text: convert the file to UTF-8"
    text = text.rstrip("\r\n")
    cells = next(csv.reader([text], delimiter=delimiter), [])
    uncut = _uncut_header(text) if len(cells) == 1 else None
    if uncut is not None:
        return uncut
    return [cell or f"column{position}" for position, cell in enumerate(cells)]


def _uncut_header(line: str) -> str | None:
    """Say which delimiter a header of one column is cut by; None if none cuts it."""
    cuts = {each: next(csv.reader([line], delimiter=each), []) for each in _DELIMITERS}
    delimiter = max(_DELIMITERS, key=lambda each: len(cuts[each]))
    names = cuts[delimiter]
    if len(names) < 2:
        return None
    # a first line with a digit may be a row of values, which are never shown
    valued = any(letter.isdigit() for letter in line)
    start = repr(delimiter.join(names[:2]) + (f"{delimiter}…" if len(names) > 2 else ""))
    shown = "" if valued else f" {start}"
    cure = '"\\t"' if delimiter == "\t" else f"'{delimiter}'"
    return f"has one column{shown}: set delimiter: {cure}"


def _header_fault(header: list[str], first: list[str] | str) -> str | None:
    twice = sorted(name for name, n in Counter(name.lower() for name in header).items() if n > 1)
    if not header:
        return "has no header"
    if twice:
        return f"names column(s) {', '.join(twice)} twice"
    if header != first and not isinstance(first, str):
        return f"has {len(header)} columns unlike the {len(first)} of the pattern's first file"
    return None


def _lost_lines(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    files: FoundFiles,
    rejected: list[MalformedLine],
) -> str | None:
    """Say if lines of the file are neither rows nor rejected; None if all are accounted for.

    A quote that is never closed swallows the lines after it, and DuckDB then reports one
    rejected line, however many it skipped.
    """
    for each in rejected:
        if "\n" in each.raw or "\r" in each.raw:
            return f"a quote opened in line {each.line} of {each.file!r} is never closed: close it"
    lines = sum(_count_lines(path) for path in files.paths) - len(files.paths)
    columns = connection.table(quote_name(name)).columns
    rows = connection.execute(f"SELECT count(*) FROM {quote_name(name)}").fetchall()[0][0]
    lost = lines - rows - len(rejected)
    if lost > 0:  # line breaks inside quoted values are no rows
        breaks = " + ".join(
            f"coalesce(length({c}) - length(replace({c}, chr(10), '')), 0)"
            for c in map(quote_name, columns)
        )
        total = connection.execute(f"SELECT sum({breaks}) FROM {quote_name(name)}").fetchall()
        lost -= int(total[0][0] or 0)
    if lost > 0:
        return f"{lost:,} line(s) were neither read nor rejected: check that every quote is closed"
    return None


def _count_lines(path: Path) -> int:
    with open_plain(path) as handle:
        return sum(1 for line in handle if line.strip(b"\r\n"))


def _open_json(
    connection: duckdb.DuckDBPyConnection, name: str, files: FoundFiles, faults: Faults
) -> list[MalformedLine]:
    """Load the fields of the records as text, so that no type is guessed."""
    reader = f"read_json({_list(files)}, maximum_depth=1, sample_size=-1, records=true)"
    try:
        described = connection.execute(f"DESCRIBE SELECT * FROM {reader}").fetchall()
        fields = ", ".join(
            f"{quote_name(row[0])}->>'$' AS {quote_name(row[0])}" for row in described
        )
        table = quote_name(name)
        connection.execute(f"CREATE TEMP TABLE {table} AS SELECT {fields} FROM {reader}")
    except duckdb.InvalidInputException:
        where = _first_bad_record(files)
        faults.add(f"file {name!r}: malformed JSON{where}: each record must be one JSON object")
    return []


def _first_bad_record(files: FoundFiles) -> str:
    """Say in which line a file of one record a line breaks; DuckDB 2.0.0 misnumbers it."""
    for shown, path in zip(files.names, files.paths, strict=True):
        with open_plain(path) as handle:
            for number, line in enumerate(handle, start=1):
                try:
                    json.loads(line or b"{}")
                except ValueError:
                    if number == 1:  # an array over several lines
                        break
                    return f" in line {number} of {shown!r}"
    return ""


def _open_parquet(
    connection: duckdb.DuckDBPyConnection, name: str, files: FoundFiles, faults: Faults
) -> list[MalformedLine]:
    first: set[str] | None = None
    for shown, path in zip(files.names, files.paths, strict=True):
        try:
            columns = set(pq.read_schema(path).names)
        except (pa.ArrowException, OSError):
            faults.add(f"file {name!r}: {shown!r} is truncated, corrupt or no Parquet file")
            continue
        first = first or columns
        if columns != first:
            differ = ", ".join(sorted(columns ^ first))
            faults.add(
                f"file {name!r}: {shown!r} differs from the first file in column(s) {differ}"
            )
            return []
    if first is not None:
        connection.execute(
            f"CREATE TEMP VIEW {quote_name(name)} AS SELECT * FROM "
            f"read_parquet({_list(files)}, hive_partitioning=false, union_by_name=true)"
        )
    return []


def _open_duckdb(
    connection: duckdb.DuckDBPyConnection, name: str, files: FoundFiles, faults: Faults
) -> list[MalformedLine]:
    if len(files.paths) > 1:
        faults.add(f"file {name!r}: a duckdb source is one file, got {len(files.paths)}")
        return []
    alias = f"file:{name}"
    wanted = cast("str", files.source.table)
    path = quote_text(str(files.paths[0].resolve()))
    connection.execute(f"ATTACH {path} AS {quote_name(alias)} (READ_ONLY)")
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


def _list(files: FoundFiles) -> str:
    return quote_list([str(path.resolve()) for path in files.paths])


def files_named_in(
    connection: duckdb.DuckDBPyConnection, sql: str, names: Collection[str]
) -> set[str] | None:
    """Which of `names` a SELECT reads; None if `sql` is not one SELECT statement."""
    text = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchall()[0][0]
    tree = json.loads(text)
    if tree["error"] or len(tree["statements"]) != 1:
        return None
    lowered = {name.lower(): name for name in names}
    return {lowered[table.lower()] for table in _tables(tree) if table.lower() in lowered}


def _tables(node: object) -> Iterator[str]:
    """Walk DuckDB's syntax tree for the tables it names."""
    if isinstance(node, dict):
        if node.get("type") == "BASE_TABLE":
            yield node["table_name"]
        for child in node.values():
            yield from _tables(child)
    elif isinstance(node, list):
        for child in node:
            yield from _tables(child)
