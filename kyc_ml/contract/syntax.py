"""What the SQL of a mapping reads, and what in it gives another value each time."""

from collections.abc import Collection, Iterator
from contextlib import closing
from functools import cache
from json import JSONDecodeError
from typing import Any, Final

import duckdb

from kyc_ml.storage import connect, load_json

_CLOCK: Final = {
    "current_date",
    "current_time",
    "current_timestamp",
    "localtime",
    "localtimestamp",
}
"""Functions that SQL writes like a column."""
_UNDECLARED: Final = {
    *("ago", "current_localtime", "current_localtimestamp"),
    *("pg_conf_load_time", "pg_postmaster_start_time", "pg_sleep"),
}
"""Functions of the clock that DuckDB declares constant, or defines by others."""
_OF_ROWS: Final = {
    *("generate_series", "json_each", "json_tree", "range", "regexp_split_to_table"),
    *("repeat", "unnest"),
}
"""Functions in FROM that give the same rows for the same arguments. Others describe the engine,
or run SQL that is written as text, which nothing here would read."""

_BEYOND: Final = {
    "WINDOW": "a window function",
    "SUBQUERY": "a query in brackets",
    "JOIN": "a join",
    "TABLE_FUNCTION": "a function in `from`",
    "PIVOT": "PIVOT",
    "EXPRESSION_LIST": "VALUES",
    "SET_OPERATION_NODE": "UNION, INTERSECT or EXCEPT",
}
_CLAUSES: Final = {
    "group_expressions": "GROUP BY",
    "having": "HAVING",
    "qualify": "QUALIFY",
    "modifiers": "ORDER BY, LIMIT or DISTINCT",
    "sample": "a sample",
}
"""What a row's values may depend on other rows by: classes and types of nodes, and clauses."""


def parse_select(connection: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]] | None:
    """Return the nodes of DuckDB's syntax tree; None if `sql` is not one SELECT, or too deep."""
    text = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchall()[0][0]
    try:
        tree = load_json(text)
    except JSONDecodeError:  # nested more deeply than people write
        return None
    return None if tree["error"] or len(tree["statements"]) != 1 else list(_nodes(tree))


def _nodes(tree: object) -> Iterator[dict[str, Any]]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def files_named_in(
    connection: duckdb.DuckDBPyConnection, sql: str, names: Collection[str]
) -> set[str] | None:
    """Which of `names` a SELECT reads; None if `parse_select` gives none."""
    nodes = parse_select(connection, sql)
    if nodes is None:
        return None
    lowered = {name.lower(): name for name in names}
    tables = (node["table_name"].lower() for node in nodes if node.get("type") == "BASE_TABLE")
    return {lowered[table] for table in tables if table in lowered}


def changing_in(
    connection: duckdb.DuckDBPyConnection, sql: str, columns: Collection[str]
) -> list[str] | None:
    """Name what gives another value each time a SELECT is read, such as ``random()``.

    `columns`: what its rows have: a column may be named as a function.
    None if `parse_select` gives none.
    """
    nodes = parse_select(connection, sql)
    if nodes is None:
        return None
    clock = _CLOCK - {column.lower() for column in columns}
    found = set()
    for node in nodes:
        name = str(node.get("function_name", "")).lower()
        named = node.get("column_names") or [""]
        if name in _changing_functions() or (name == "age" and len(node["arguments"]) == 1):
            found.add(f"{name}()")
        elif len(named) == 1 and str(named[0]).lower() in clock:
            found.add(str(named[0]).lower())
        table = node.get("function") if node.get("type") == "TABLE_FUNCTION" else None
        if isinstance(table, dict) and str(table["function_name"]).lower() not in _OF_ROWS:
            found.add(f"FROM {str(table['function_name']).lower()}()")
        sample = node.get("sample")
        if isinstance(sample, dict) and not sample["repeatable"]:
            found.add("a sample without REPEATABLE")
    return sorted(found)


def beyond_row(connection: duckdb.DuckDBPyConnection, sql: str) -> list[str] | None:
    """Name what in a SELECT looks beyond one row of one file, such as a window function.

    None if `parse_select` gives none.
    """
    nodes = parse_select(connection, sql)
    if nodes is None:
        return None
    found = set()
    for node in nodes:
        found |= {_BEYOND.get(str(node.get("class")), ""), _BEYOND.get(str(node.get("type")), "")}
        found |= {name for key, name in _CLAUSES.items() if node.get(key)}
        if node.get("aggregate_handling") == "FORCE_AGGREGATES":
            found.add("GROUP BY")  # ALL
    return sorted(found - {""})


def columns_named_in(
    connection: duckdb.DuckDBPyConnection, sql: str, columns: Collection[str]
) -> list[str]:
    """Which of the `columns` a SELECT over one file may read; all where that is not clear."""
    known = {column.lower() for column in columns}
    named: set[str] = set()
    for node in parse_select(connection, sql) or [{"class": "STAR"}]:
        parts = {str(part).lower() for part in node.get("column_names") or ()} & known
        # `*`, a column by its number, or a name of no column, such as that of the whole row
        unclear = node.get("class") in {"STAR", "POSITIONAL_REFERENCE"}
        if unclear or (node.get("class") == "COLUMN_REF" and not parts):
            return list(columns)
        named |= parts
    return [column for column in columns if column.lower() in named]


@cache
def _changing_functions() -> frozenset[str]:
    """List the functions that DuckDB declares to depend on more than their arguments."""
    with closing(connect(data=None, threads=1, files=[])) as connection:
        rows = connection.execute(
            "SELECT lower(function_name) FROM duckdb_functions() WHERE stability <> 'CONSISTENT'"
        ).fetchall()
    # `error` ends the reading in any case
    return frozenset(row[0] for row in rows) - {"error"} | _UNDECLARED
