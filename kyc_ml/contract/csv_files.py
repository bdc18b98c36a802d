"""CSV files as tables of text: every line is a row, a rejected line, or a fault."""

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import duckdb
import numpy as np

from kyc_ml.config import FileSource
from kyc_ml.contract.encoding import looks_like
from kyc_ml.contract.folder import FoundFiles
from kyc_ml.contract.packing import FileFaultError, open_plain
from kyc_ml.contract.partitions import FILE, note_folder_faults, present_sql, with_folder_values
from kyc_ml.contract.plain import say_os_error
from kyc_ml.contract.quarantine import MalformedLine
from kyc_ml.errors import Faults
from kyc_ml.storage import quote_list, quote_name, quote_text

_BOM: Final = b"\xef\xbb\xbf"
_LONGEST_HEADER: Final = 1_000_000
_DELIMITERS: Final = (";", "\t", "|", ",")
_LONGEST_RAW: Final = 10_000  # DuckDB keeps no more of a rejected line
_BLOCK: Final = 1 << 22
_REJECTED, _SCANNED = "kyc_ml_rejected_lines", "kyc_ml_scanned_files"
_ONE_SIGN: Final = "\ue000"
"""Stands for a delimiter of several letters where Python's reader takes one; in no alphabet."""


def open_csv(
    connection: duckdb.DuckDBPyConnection, name: str, files: FoundFiles, faults: Faults
) -> list[MalformedLine]:
    """Load text columns; return the lines that cannot be cut into them.

    Nothing is guessed: a guessed dialect or type can differ from one batch to the next.
    """
    before, lines = len(faults), 0
    headers: list[list[str]] = []
    ends: set[str | None] = set()
    for shown, path in zip(files.names, files.paths, strict=True):
        try:
            with open_plain(path) as handle:
                start = handle.read(_LONGEST_HEADER).removeprefix(_BOM)
            headers.append(_columns(start, files.source))
            ends.add(_line_end(start, files.source))
            _require_alike(headers[-1], headers[0])
            lines += _count_lines(path) - files.source.header
        except OSError as error:
            faults.add(f"file {name!r}: {shown!r} {say_os_error(error)}")
    if files.source.partitions and headers:
        note_folder_faults(name, files, headers[0], faults)
    if len(faults) > before:
        return []
    rows = _rows_sql(files, headers[0], end=ends.pop() if len(ends) == 1 else None)
    if files.source.partitions:
        rows = with_folder_values(connection, name, files, rows)
    values = "*"
    if files.source.nulls:
        present = [present_sql(quote_name(c), files.source.nulls, name=c) for c in headers[0]]
        values = f"* REPLACE ({', '.join(present)})"
    try:
        connection.execute(f"CREATE TEMP TABLE {quote_name(name)} AS SELECT {values} FROM {rows}")
    except duckdb.InvalidInputException:
        faults.add(
            f"file {name!r} cannot be cut into lines: it mixes kinds of line ending, or its "
            "quotes are broken; write it with one kind of line ending and close every quote, or "
            "set `quote` and `escape` to how it is quoted"
        )
        return []
    rejected = _rejected(connection, files)
    fault = _lost_lines(connection, name, rejected, lines=lines)
    fault = fault or _misfit(connection, name, files, headers[0], rejected)
    if fault:
        faults.add(f"file {name!r}: {fault}")
    return rejected


def _rows_sql(files: FoundFiles, header: Sequence[str], *, end: str | None) -> str:
    source = files.source
    columns = ", ".join(f"{quote_text(column)}: 'VARCHAR'" for column in header)
    options = {
        "auto_detect": "false",
        "hive_partitioning": "false",
        "header": str(source.header).lower(),
        "columns": f"{{{columns}}}",
        "delim": quote_text(source.delimiter),
        "quote": quote_text(source.quote),
        "escape": quote_text(_escape(source)),
        "store_rejects": "true",
        "rejects_limit": "0",
        "rejects_table": quote_text(_REJECTED),
        "rejects_scan": quote_text(_SCANNED),
    }
    if end is not None:  # else DuckDB takes the first that it meets, inside quotes too
        options["new_line"] = quote_text(end)
    if source.partitions:
        options["filename"] = quote_text(FILE)
    paths = quote_list([str(path.resolve()) for path in files.paths])
    written = ", ".join(f"{key}={value}" for key, value in options.items())
    return f"read_csv({paths}, {written})"


def _escape(source: FileSource) -> str:
    return source.quote if source.escape is None else source.escape


def _columns(start: bytes, source: FileSource) -> list[str]:
    """Return the names of the columns; FileFaultError if the first line does not fit them."""
    line = _first_line(start)
    if source.columns is not None and _stays_open(line, source):  # a value of several lines
        return list(source.columns)
    cells = _cut(line, source)
    uncut = _uncut(line) if len(cells) == 1 else None
    if source.columns is None:
        if uncut is not None:
            raise FileFaultError(reason=uncut)
        return made_names(cells)
    if len(cells) != len(source.columns):
        msg = f"has {len(cells)} columns, and `columns` names {len(source.columns)}"
        raise FileFaultError(reason=uncut or msg)
    return list(source.columns)


def made_names(cells: Sequence[str]) -> list[str]:
    """Return a different name for every column: a name that is taken gets a number.

    Upper and lower case are the same to SQL.

    Examples
    --------
    >>> made_names(["Account", "Account", "account_1", ""])
    ['Account', 'Account_2', 'account_1', 'column3']
    """
    names: list[str] = []
    taken = {cell.lower() for cell in cells}
    seen: set[str] = set()
    for position, cell in enumerate(cells):
        name = cell
        number = 1
        while not name or name.lower() in seen or (name != cell and name.lower() in taken):
            name = f"{cell}_{number}" if cell else f"column{position}" + "_" * (number - 1)
            number += 1
        seen.add(name.lower())
        names.append(name)
    return names


def _line_end(start: bytes, source: FileSource) -> str | None:
    r"""Return what ends the lines of a file, in DuckDB's letters; None if no line ends.

    A line break inside quotes does not end a line, and may be of another kind.

    Examples
    --------
    >>> source = FileSource(path="x", format="csv", header=False, columns=("a", "b"))
    >>> _line_end(b'"x\ny",2\r\n3,4\r\n', source)
    '\\r\\n'
    """
    if not source.header and source.quote:
        mark, sign = re.escape(source.quote), re.escape(_escape(source))
        inside = f"{mark}{mark}" if mark == sign else f"{sign}."
        others = f"[^{mark}{sign}]"
        quoted = f"{mark}(?:{inside}|{others})*{mark}"
        start = re.sub(quoted.encode(), b"", start, flags=re.DOTALL)
    found = re.search(rb"\r\n|\n|\r", start)
    return None if found is None else repr(found[0].decode()).strip("'")


def _first_line(start: bytes) -> str:
    line = next(iter(start.splitlines()), b"")
    if len(line) >= _LONGEST_HEADER - len(_BOM):
        msg = f"has a first line of more than {_LONGEST_HEADER:,} bytes: it is not a table of text"
        raise FileFaultError(reason=msg)
    if not line.strip():
        msg = "begins with an empty line: remove it, or write how many lines to `skip`"
        raise FileFaultError(reason=msg)
    if b"\x00" not in line:  # a sign of UTF-16, whose letters may be valid UTF-8
        with suppress(UnicodeDecodeError):
            return line.decode("utf-8")
    raise FileFaultError(reason=f"is not UTF-8; it {looks_like(line)}")


def _cut(line: str, source: FileSource) -> list[str]:
    """Cut a line as the mapping says; FileFaultError if a quote in it does not close in it."""
    if _stays_open(line, source):
        msg = "has a first line with a quote that never closes: write column names in one line"
        raise FileFaultError(reason=msg)
    try:
        return next(_reader(line, source))
    except csv.Error:  # a value longer than Python's reader takes
        msg = "has a first line that cannot be cut into columns: it is not a table of text"
        raise FileFaultError(reason=msg) from None


def _stays_open(line: str, source: FileSource) -> bool:
    """Return whether a quote that opens in a line closes in another one only."""
    try:
        next(_reader(line, source, strict=True))
    except csv.Error as error:
        return "unexpected end" in str(error)
    return False


def _reader(line: str, source: FileSource, *, strict: bool = False) -> Iterator[list[str]]:
    delimiter = source.delimiter
    if len(delimiter) > 1:
        line, delimiter = line.replace(delimiter, _ONE_SIGN), _ONE_SIGN
    doubled = source.escape in {None, source.quote}
    return csv.reader(
        [line],
        delimiter=delimiter,
        quotechar=source.quote or None,
        quoting=csv.QUOTE_MINIMAL if source.quote else csv.QUOTE_NONE,
        doublequote=doubled,
        escapechar=None if doubled else source.escape,
        strict=strict,
    )


def _uncut(line: str) -> str | None:
    """Return which delimiter a line of one column is cut by; None if none cuts it."""
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


def _require_alike(header: list[str], first: list[str]) -> None:
    if header == first:
        return
    if sorted(header) == sorted(first):
        msg = "has the columns of the pattern's first file in another order: map it separately"
        raise FileFaultError(reason=msg)
    msg = f"has {len(header)} columns unlike the {len(first)} of the pattern's first file"
    raise FileFaultError(reason=msg)


def _rejected(connection: duckdb.DuckDBPyConnection, files: FoundFiles) -> list[MalformedLine]:
    """Take the lines that DuckDB could not read, each once."""
    rows = connection.execute(
        f"SELECT file_path, line, first(error_type ORDER BY error_type)::VARCHAR, first(csv_line) "
        f"FROM {_REJECTED} JOIN {_SCANNED} USING (scan_id, file_id) "
        "GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    # the next file of the source needs these names
    connection.execute(f"DROP TABLE {_REJECTED}")
    connection.execute(f"DROP TABLE {_SCANNED}")
    above = files.lines_above or (0,) * len(files.paths)
    places = zip(files.paths, files.names, above, strict=True)
    shown_of = {str(path.resolve()): (name, lines) for path, name, lines in places}
    return [
        MalformedLine(
            file=shown_of[path][0],
            line=line + shown_of[path][1],
            raw=raw[:_LONGEST_RAW].strip("\r\n"),
            no_text=error == "INVALID ENCODING",
        )
        for path, line, error, raw in rows
    ]


def _lost_lines(
    connection: duckdb.DuckDBPyConnection, name: str, rejected: list[MalformedLine], *, lines: int
) -> str | None:
    """Return the fault if lines are neither rows nor rejected; None if all are accounted for."""
    # a quote that is never closed swallows the lines after it, and DuckDB then reports one rejected
    # line, however many it skipped
    for each in rejected:
        if "\n" in each.raw or "\r" in each.raw:
            return f"a quote opened in line {each.line} of {each.file!r} is never closed: close it"
    table = quote_name(name)
    columns = connection.table(table).columns
    lost = lines - _count(connection, f"SELECT count(*) FROM {table}") - len(rejected)
    if lost > 0:  # a line break inside a quoted value does not begin a row
        values = [f"replace({quote_name(c)}, chr(13) || chr(10), chr(10))" for c in columns]
        breaks = " + ".join(
            f"coalesce(length({value}) - length(translate({value}, chr(10) || chr(13), '')), 0)"
            for value in values
        )
        lost -= _count(connection, f"SELECT sum({breaks}) FROM {table}")
    if lost > 0:
        return f"{lost:,} line(s) were neither read nor rejected: check that every quote is closed"
    return None


def _misfit(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    files: FoundFiles,
    header: Sequence[str],
    rejected: Sequence[MalformedLine],
) -> str | None:
    """Return the fault if no line at all could be cut into the columns; None if one could."""
    if not rejected or _count(connection, f"SELECT count(*) FROM {quote_name(name)}"):
        return None
    if all(line.no_text for line in rejected):
        return "no line of it is UTF-8: write its `encoding`"
    try:
        cells = len(_cut(rejected[0].raw, files.source))
    except FileFaultError:
        cells = rejected[0].raw.count(files.source.delimiter) + 1
    named = "`columns` names" if files.source.columns is not None else "its first line names"
    return (
        f"{named} {len(header)} columns, and none of its {len(rejected):,} other line(s) has as "
        f"many (the first of them has {cells}): write as many names as there are values, in the "
        "file or, with header: false and skip: 1, as `columns`"
    )


def _count(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    return int(connection.execute(sql).fetchall()[0][0] or 0)


def _count_lines(path: Path) -> int:
    """Count lines that are not empty, with any line ending; reads all, so that damage is found."""
    lines, ended = 0, True
    with open_plain(path) as handle:
        while block := handle.read(_BLOCK):
            codes = np.frombuffer(block, dtype=np.uint8)
            ends = (codes == ord("\n")) | (codes == ord("\r"))
            lines += int(np.count_nonzero(~ends[1:] & ends[:-1])) + (ended and not ends[0])
            ended = bool(ends[-1])
    return lines
