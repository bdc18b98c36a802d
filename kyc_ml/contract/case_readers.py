"""Tables whose mapping reads the file of the cases, or what decides an outcome."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import PurePath
from typing import Any, Final, TypeAlias

import duckdb

from kyc_ml.config import FileSource, SourceMapping, TableMapping
from kyc_ml.contract import tables as c
from kyc_ml.contract.binding import select_sql
from kyc_ml.contract.quality import RuleFinding
from kyc_ml.contract.syntax import parse_select

_OF_ALL: Final = (c.CUSTOMERS, c.ACCOUNTS, c.TRANSACTIONS, c.REVIEWS)
"""Tables whose rows do not exist because of an outcome: a file that is one of them is not of cases
alone, but for example of payments with a mark on the frauds."""

_Content: TypeAlias = tuple[str, str | None]
"""Digest of a file, and the table inside a duckdb file."""


def find_case_readers(
    connection: duckdb.DuckDBPyConnection, mapping: SourceMapping, *, digests: Mapping[str, str]
) -> list[RuleFinding]:
    """Find tables that read the files of the cases, and so may know an outcome too early.

    `mapping`: its SQL binds. Of a source without files nothing is found.
    `digests`: mapping of path to SHA-256; of the files: a copy of a file is the same file.
    """
    tables = mapping.completed
    cases = tables.get(c.CASES)
    if cases is None or not mapping.files:
        return []
    held = {name: _held(file, digests) for name, file in mapping.files.items()}

    def read(sql: str) -> set[_Content]:
        nodes = parse_select(connection, sql) or []
        tables_read = [each["table_name"] for each in nodes if each.get("type") == "BASE_TABLE"]
        named = {name.lower() for name in tables_read}
        # a function such as read_parquet or query_table names a file in a text
        texts = " ".join(_texts_of_functions(nodes)).lower()
        met = [
            content
            for name, content in held.items()
            if name.lower() in named
            or any(
                re.search(rf"\b{re.escape(word.lower())}\b", text)
                for word in (name, PurePath(mapping.files[name].path).name)
                for text in (texts, *(each for each in named if "." in each))
            )
        ]
        return set[_Content]().union(*met)

    of_cases = read(select_sql(cases))
    plain = set[_Content]().union(
        *(
            held[table.from_.strip()]
            for name, table in tables.items()
            if name in _OF_ALL and table.from_.strip() in held
        )
    )
    decides = _deciding(connection, cases)
    found = []
    for name, table in tables.items():
        if name == c.CASES:
            continue
        shared = read(select_sql(table)) & of_cases
        if shared - plain:
            found.append(RuleFinding.of("reads the cases", name))
        elif shared:
            met = sorted(decides & _columns_read(connection, name, table))
            if met:
                found.append(RuleFinding.of("reads the outcome", name, columns=", ".join(met)))
    return found


def _deciding(connection: duckdb.DuckDBPyConnection, cases: TableMapping) -> set[str]:
    """Return the columns of files, in lower case, that decide whether and which outcome a row has.

    Not those that say whose case it is.
    """
    own = cases.columns
    asked = [own[name] for name in (c.OUTCOME, c.TYPOLOGY) if name in own]
    asked += [] if cases.where is None else [cases.where]
    whose = [own[name] for name in own if c.CONTRACT[c.CASES].column(name).identifier]
    return _columns_of(connection, asked) - _columns_of(connection, whose)


def _columns_read(
    connection: duckdb.DuckDBPyConnection, name: str, table: TableMapping
) -> set[str]:
    """Return the columns that become facts of a table's rows: not keys, times and amounts."""
    # a `where` of cases may read those too
    contract = c.CONTRACT[name]
    asked = [
        sql
        for column, sql in table.expressions.items()
        if column not in contract.names
        or not (
            contract.column(column).identifier or column in {c.EVENT_TIME, c.KNOWN_AT, c.AMOUNT}
        )
    ]
    if name not in _OF_ALL:
        asked += [] if table.where is None else [table.where]
    rows = f"SELECT 1 FROM {table.from_}\n"
    return _columns_of(connection, asked) | _columns_in(connection, rows)


def _columns_of(connection: duckdb.DuckDBPyConnection, expressions: list[str]) -> set[str]:
    listed = ", ".join(f"(\n{sql}\n)" for sql in expressions)
    return _columns_in(connection, f"SELECT {listed}") if listed else set()


def _columns_in(connection: duckdb.DuckDBPyConnection, sql: str) -> set[str]:
    nodes = parse_select(connection, sql) or []  # what is nested too deeply is refused already
    return {node["column_names"][-1].lower() for node in nodes if node.get("class") == "COLUMN_REF"}


def _held(file: FileSource, digests: Mapping[str, str]) -> set[_Content]:
    """Return what a file source holds: a copy under another name holds the same."""
    met = {digest for path, digest in digests.items() if fnmatch(path, file.path)}
    return {(digest, file.table) for digest in met or {file.path}}


def _texts_of_functions(nodes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for node in nodes:
        if node.get("type") == "TABLE_FUNCTION":
            yield from re.findall(r'"text": "((?:[^"\\]|\\.)*)"', json.dumps(node))
