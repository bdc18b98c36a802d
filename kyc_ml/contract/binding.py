"""A table's mapping, bound to the opened files before a row is read."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import duckdb

from kyc_ml.config import ATTRIBUTE_TABLES, TableAttribute, TableMapping, zone_fault
from kyc_ml.contract.checks import type_fault
from kyc_ml.contract.syntax import changing_in, files_named_in
from kyc_ml.contract.tables import CONTRACT, KNOWN_AT, TableContract
from kyc_ml.errors import Faults, hint
from kyc_ml.storage import NO_MEMORY, is_out_of_memory, quote_name

_UNDECIDED: Final = re.compile(r"\b(?:THEN|ELSE)\s+'TODO'|^\s*'TODO'\s*$", re.IGNORECASE)
"""TODO as a result; among the codes that a CASE reads it may be the user's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundTable:
    """A mapping whose every expression is known to bind."""

    contract: TableContract
    rows: str
    """SQL ``FROM ... WHERE ...``."""
    expressions: dict[str, str]
    types: dict[str, str]
    """`expressions` and `types`: SQL and DuckDB type of each mapped column, in the contract's
    order."""
    files: frozenset[str]
    """Names of the file sources that its SQL reads."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns the table will have: those mapped, and `known_at` in any case."""
        mapped = {*self.expressions, KNOWN_AT}
        return tuple(name for name in self.contract.names if name in mapped)


def note_mapping_faults(
    tables: Mapping[str, TableMapping], wanted: Collection[str], faults: Faults
) -> None:
    """Note wrong names in a mapping's tables: those not contracted, and required ones absent.

    `tables`: mapping of table to TableMapping; as `SourceMapping.completed` gives them.
    """
    for table in wanted:
        if table not in tables:
            near = hint(table, tables)
            faults.add(f"table {table!r} was requested, but is not mapped{near}")
    for table, mapped in tables.items():
        note_column_faults(table, mapped.columns, mapped.attributes, faults)
        for column in CONTRACT[table].columns if table in CONTRACT else ():
            sql = mapped.columns.get(column.name, "")
            open_ = column.required and sql.strip() == "'TODO'"
            if open_ or (column.allowed and _UNDECIDED.search(sql)):
                cure = (
                    f"one of {', '.join(column.allowed)}" if column.allowed else "an SQL expression"
                )
                faults.add(
                    f"table {table!r}: column {column.name!r} is still 'TODO': decide, and write "
                    f"{cure} instead"
                )


def note_column_faults(
    table: str, columns: Collection[str], attributes: Collection[str], faults: Faults
) -> None:
    """Note names that are not contracted, attributes that are, and required columns not mapped."""
    contract = CONTRACT.get(table)
    if contract is None:
        faults.add(f"table {table!r} is not contracted{hint(table, CONTRACT)}")
        return
    own = "; an additional column belongs under `attributes`" if table in ATTRIBUTE_TABLES else ""
    faults.extend(
        f"table {table!r}: column {name!r} is not contracted{hint(name, contract.names)}{own}"
        for name in columns
        if name not in contract.names
    )
    strangers = set(columns) - set(contract.names)
    faults.extend(
        f"table {table!r}: required column {name!r} is not mapped{hint(name, strangers)}"
        for name in _absent(contract, columns)
    )
    faults.extend(
        f"table {table!r}: attribute {name!r} is a contracted column: map it under `columns`"
        for name in attributes
        if name in contract.names
    )


def _absent(contract: TableContract, columns: Collection[str]) -> list[str]:
    """List required columns that are not mapped; `known_at` has a default."""
    return [
        column.name
        for column in contract.columns
        if column.required and column.name not in {*columns, KNOWN_AT}
    ]


def note_zone_fault(connection: duckdb.DuckDBPyConnection, timezone: str, faults: Faults) -> None:
    """Note a time zone that the engine does not know, or whose name is that of several."""
    zones = [
        row[0] for row in connection.execute("SELECT name FROM pg_timezone_names()").fetchall()
    ]
    fault = zone_fault(timezone, zones)
    if fault is not None:
        faults.add(f"timezone {fault}")


def bind_table(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    mapping: TableMapping,
    *,
    attributes: Collection[TableAttribute] = (),
    views: Collection[str],
    unread: Collection[str],
    folders: Collection[str] = (),
    faults: Faults,
) -> BoundTable | None:
    """Bind every expression of a table; note all that do not, and return None then.

    `attributes`: of all tables of the source.
    `views`: file sources that were opened.
    `unread`: file sources that were not: their faults are noted already, so a table that reads one
    is passed over in silence.
    `folders`: names of key=value folders that no file source reads as columns.
    """
    contract = CONTRACT[table].extended(attributes)
    rows = _rows_sql(mapping)
    given = mapping.expressions
    columns = {name: given[name] for name in contract.names if name in given}
    named = files_named_in(connection, select_sql(mapping), [*views, *unread])
    if named is not None and named & set(unread):
        return None
    try:
        present = _described(connection, f"SELECT * {rows}")
    except duckdb.Error as error:
        if _missing_table(error) not in unread:
            why = _why(error, views, [], folders)
            faults.add(f"table {table!r}: `from` or `where` {why}")
        return None
    before = len(faults)
    changing = changing_in(connection, select_sql(mapping), [column for column, _ in present])
    if changing:
        faults.add(
            f"table {table!r}: {', '.join(changing)} can give another value each time, so that "
            "no result could be computed again: read a column of a file under `files`, or write a "
            "constant"
        )
    # one statement for all is fast; one by one, below, finds the expression that fails
    types = _types_together(connection, columns, present, rows)
    for name, sql in columns.items():
        subject = f"table {table!r}: column {name!r}"
        if name not in types:
            try:
                bound = _described(connection, f"SELECT *, (\n{sql}\n) AS bound {rows}")
            except duckdb.Error as error:
                near = [column for column, _ in present]
                why = _why(error, views, near, folders)
                if sql.strip() in near:  # such as "at" or "order"
                    why = f"is a word of SQL: write {quote_name(sql.strip())} in double quotes"
                faults.add(f"{subject}: the expression {why}")
                continue
            # an expression such as `a, b` or `*` binds too, as several columns
            if len(bound) != len(present) + 1:
                faults.add(f"{subject}: the expression must give one column")
                continue
            types[name] = bound[-1][1]
        fault = type_fault(contract.column(name), types[name])
        if fault:
            faults.add(f"{subject} {fault}")
    if changing is None and len(faults) == before:
        faults.add(f"table {table!r}: the SQL is nested too deeply: simplify it")
    if len(faults) > before or _absent(contract, columns):
        return None
    return BoundTable(
        contract=contract,
        rows=rows,
        expressions=columns,
        types=types,
        files=frozenset(named or ()),
    )


def _types_together(
    connection: duckdb.DuckDBPyConnection,
    columns: Mapping[str, str],
    present: list[tuple[str, str]],
    rows: str,
) -> dict[str, str]:
    """Bind all expressions of a table together; {} where one does not bind, or is not one column.

    The work of binding them singly grows with the square of their number.
    """
    names = [quote_name(f"bound:{name}") for name in columns]
    given = "".join(
        f", (\n{sql}\n) AS {name}" for name, sql in zip(names, columns.values(), strict=True)
    )
    try:
        bound = _described(connection, f"SELECT *{given} {rows}")[len(present) :]
    except duckdb.Error:
        return {}
    if [name for name, _ in bound] != [f"bound:{name}" for name in columns]:
        return {}
    return {name: kind for name, (_, kind) in zip(columns, bound, strict=True)}


def select_sql(mapping: TableMapping) -> str:
    """Write all that a mapping reads as one SELECT."""
    expressions = ", ".join(f"(\n{sql}\n)" for sql in mapping.expressions.values())
    return f"SELECT {expressions} {_rows_sql(mapping)}"


def _rows_sql(mapping: TableMapping) -> str:
    # The line breaks end a comment that the mapping's SQL may end with.
    where = "" if mapping.where is None else f"WHERE (\n{mapping.where}\n)\n"
    return f"FROM {mapping.from_}\n{where}"


def _described(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[str, str]]:
    """Return column names and types of one SELECT; raise DuckDB's error if it does not bind."""
    statements = connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise duckdb.ParserException("must be one SQL expression; several statements are refused")
    return [(row[0], row[1]) for row in connection.execute(f"DESCRIBE {sql}").fetchall()]


def _why(
    error: duckdb.Error, views: Collection[str], columns: Collection[str], folders: Collection[str]
) -> str:
    """Return why SQL does not bind, in words that quote the mapping but never the data."""
    text = str(error)
    names = re.search(r'(?:column named|Referenced column) "([^"]+)"', text)
    name = names.group(1) if names else ""
    known = {folder.lower() for folder in folders}
    if isinstance(error, duckdb.PermissionException):
        return "reaches outside the mapped files: name the file under `files`"
    table = _missing_table(error)
    if table is not None:
        return f"names {table!r}, which is not one of the mapping's files{hint(table, views)}"
    if "Referenced column" in text or "does not have a column named" in text:
        cure = hint(name, columns)
        if name.lower() in known:
            cure = ", but folders: set partitions: true for their file"
        return f"names {name!r}, which its rows do not have{cure}"
    if isinstance(error, duckdb.ParserException | duckdb.BinderException | duckdb.CatalogException):
        first = text.partition("\n")[0].partition(": ")[2] or text.partition("\n")[0]
        return f"does not bind: {first}"
    return NO_MEMORY if is_out_of_memory(error) else "does not bind"


def _missing_table(error: duckdb.Error) -> str | None:
    found = re.match(r"Catalog Error: Table with name (.+) does not exist", str(error))
    return found.group(1) if found else None
