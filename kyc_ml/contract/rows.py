"""One bound table -> its accepted and refused rows on a shelf, and its quality, in one SQL pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

import duckdb
import pyarrow as pa

from kyc_ml.contract.binding import BoundTable
from kyc_ml.contract.checks import (
    CURES,
    MALFORMED,
    NO_TEXT,
    Check,
    broken_checks,
    checks_of,
    mask_literal,
    mask_sql,
    raw_name,
    typed_sql,
)
from kyc_ml.contract.quality import Finding, TableQuality
from kyc_ml.contract.quarantine import QUARANTINE_SCHEMA, MalformedLine, malformed_rows
from kyc_ml.contract.shelves import Shelf
from kyc_ml.contract.tables import EVENT_TIME, KNOWN_AT
from kyc_ml.engine.local import quote_name, quote_text
from kyc_ml.errors import SourceError

_CHECKED = quote_name("checked rows")
_BROKEN = quote_name("broken rules")
_SOUND = quote_name("sound row")
_RAW = quote_name("raw row")


_BATCH_ROWS: Final = 1 << 17
"""Rows handed over at once."""


def contract_rows(
    connection: duckdb.DuckDBPyConnection,
    bound: BoundTable,
    *,
    zone: str,
    malformed: Sequence[MalformedLine],
    shelf: Shelf,
) -> TableQuality:
    """Read, type and check the rows of one table, and put them on a shelf.

    A row that breaks a rule is quarantined with every rule it breaks. Of rows with an
    equal key the first by all columns is kept, so the choice does not depend on their
    order. An expression that fails on some rows costs those rows only: the pass is then
    repeated with every expression guarded.

    Raises
    ------
    SourceError
        If the rows cannot be computed at all. DuckDB's own text may quote a value and is
        not passed on.
    """
    table = bound.contract.name
    try:
        try:
            checks = _check_rows(connection, bound, zone=zone, guarded=False)
        except (duckdb.DataError, duckdb.InvalidInputException):
            checks = _check_rows(connection, bound, zone=zone, guarded=True)
        _mark_duplicates(connection, bound, broken=mask_literal(1 << len(checks) - 1, checks))
        summary = _summarise(connection, bound)
        shelf.put(table, _schema(bound), _accepted(connection, bound))
        reasons, read = _count(connection, table, checks)
        refused = shelf.refuse(_refused(connection, bound, checks))
        # only here: after an error a result may be open still, and the connection ends anyway
        connection.execute(f"DROP TABLE IF EXISTS {_CHECKED}")
    except duckdb.OutOfMemoryException:
        msg = f"table {table!r} does not fit into memory and scratch space: give more memory"
        raise SourceError(msg) from None
    except duckdb.Error as error:
        msg = (
            f"table {table!r}: its rows cannot be read ({type(error).__name__}): a file is "
            "corrupt, holds text that is not UTF-8, or `from`, `where` or an expression fails "
            "on some row: use TRY_CAST or try_strptime there"
        )
        raise SourceError(msg) from None
    for rule in (MALFORMED, NO_TEXT):
        lines = [line for line in malformed if line.no_text == (rule == NO_TEXT)]
        if lines:
            refused += shelf.refuse([malformed_rows(table, lines, reason=rule)])
            check = Check(column="", rule=rule, cure=CURES[rule])
            reasons.append(_finding(table, check, len(lines)))
    rows = summary["rows"]
    return TableQuality(
        table=table,
        read=read + len(malformed),
        accepted=rows,
        quarantined=refused,
        reasons=tuple(reasons),
        missing={name: (rows - summary[name]) / max(rows, 1) for name in bound.columns},
        first_event_time=summary["first event"],
        last_event_time=summary["last event"],
        late_rows=summary["late rows"],
    )


def _check_rows(
    connection: duckdb.DuckDBPyConnection, bound: BoundTable, *, zone: str, guarded: bool
) -> tuple[Check, ...]:
    """Make the table of typed columns, broken rules and, for broken rows, the raw values."""
    checks = checks_of(bound.contract, bound.types, guarded=guarded)
    computed, raw, typed = [], [], []
    for name, sql in bound.expressions.items():
        value = quote_name(f"value:{name}")
        # One TRY over a struct tells "fails" (no struct) from "is empty" (no value in it).
        # A second TRY of the same expression would not: DuckDB 2.0.0 computes what the two
        # have in common once, outside of both.
        plain = f"(\n{sql}\n)"
        packed = f"struct_pack(value := {plain})"
        computed.append(f"{f'TRY({packed})' if guarded else plain} AS {value}")
        raw.append(f"{f'{value}.value' if guarded else value} AS {raw_name(name)}")
        if guarded:
            raw.append(f"{value} IS NULL AS {quote_name(f'failed:{name}')}")
        of_type = typed_sql(bound.contract.column(name), bound.types[name], zone=zone)
        typed.append(f"{of_type} AS {quote_name(name)}")
    if KNOWN_AT not in bound.expressions:
        typed.append(f"{quote_name(EVENT_TIME)} AS {quote_name(KNOWN_AT)}")
    names = ", ".join(quote_name(name) for name in bound.columns)
    fields = ", ".join(f"{quote_text(name)}: {raw_name(name)}" for name in bound.expressions)
    connection.execute(
        f"CREATE TEMP TABLE {_CHECKED} AS SELECT {names}, {_BROKEN}, "
        f"{_BROKEN} = {mask_literal(0, checks)} AS {_SOUND}, "
        f"CASE WHEN NOT {_SOUND} THEN CAST(to_json({{{fields}}}) AS VARCHAR) END AS {_RAW} "
        f"FROM (SELECT *, {mask_sql(checks)} AS {_BROKEN} "
        f"FROM (SELECT *, {', '.join(typed)} FROM (SELECT {', '.join(raw)} "
        f"FROM (SELECT {', '.join(computed)} {bound.rows}))))"
    )
    return checks


def _mark_duplicates(
    connection: duckdb.DuckDBPyConnection, bound: BoundTable, *, broken: str
) -> None:
    """Set the duplicate rule's mask on all but the first of the sound rows with an equal key."""
    key = ", ".join(quote_name(name) for name in bound.contract.key)
    names = [quote_name(name) for name in bound.columns]
    repeated = f"SELECT {key} FROM {_CHECKED} WHERE {_SOUND} GROUP BY ALL HAVING count(*) > 1"
    # a count, not the key itself: DuckDB hands times with a zone to Python only by way of pytz
    if connection.execute(f"SELECT count(*) FROM ({repeated} LIMIT 1)").fetchall() == [(0,)]:
        return
    fields = ", ".join(f"{quote_text(name)}: {quote_name(name)}" for name in bound.columns)
    connection.execute(
        f"UPDATE {_CHECKED} SET {_BROKEN} = {broken}, {_SOUND} = false, "
        f"{_RAW} = CAST(to_json({{{fields}}}) AS VARCHAR) WHERE rowid IN ("
        f"SELECT place FROM (SELECT rowid AS place, row_number() OVER (PARTITION BY {key} "
        f"ORDER BY {', '.join(names)}) AS nth FROM {_CHECKED} WHERE {_SOUND} "
        f"AND ({key}) IN ({repeated})) WHERE nth > 1)"
    )


def _schema(bound: BoundTable) -> pa.Schema:
    return pa.schema([bound.contract.column(name).arrow for name in bound.columns])


def _summarise(connection: duckdb.DuckDBPyConnection, bound: BoundTable) -> dict[str, Any]:
    """Count the accepted rows, those of them with a value in each column, and the late ones."""
    event, known = quote_name(EVENT_TIME), quote_name(KNOWN_AT)
    counted = [f"count({quote_name(name)}) AS {quote_name(name)}" for name in bound.columns]
    counted += [
        f"count(*) AS {quote_name('rows')}",
        f"min({event}) AS {quote_name('first event')}",
        f"max({event}) AS {quote_name('last event')}",
        f"count(*) FILTER ({known} > {event}) AS {quote_name('late rows')}",
    ]
    found = connection.sql(f"SELECT {', '.join(counted)} FROM {_CHECKED} WHERE {_SOUND}")
    summary: dict[str, Any] = found.to_arrow_table().to_pylist()[0]
    return summary


def _accepted(connection: duckdb.DuckDBPyConnection, bound: BoundTable) -> Iterator[pa.RecordBatch]:
    schema = _schema(bound)
    names = ", ".join(quote_name(name) for name in schema.names)
    order = ", ".join(
        quote_name(name) for name in dict.fromkeys((EVENT_TIME, KNOWN_AT, *bound.contract.key))
    )
    rows = f"SELECT {names} FROM {_CHECKED} WHERE {_SOUND} ORDER BY {order}"
    for batch in _batches(connection, rows):
        yield batch.cast(schema)


def _count(
    connection: duckdb.DuckDBPyConnection, table: str, checks: tuple[Check, ...]
) -> tuple[list[Finding], int]:
    """Count how many rows broke each rule, and how many were read."""
    by_mask = dict(
        connection.execute(f"SELECT {_BROKEN}, count(*) FROM {_CHECKED} GROUP BY ALL").fetchall()
    )
    counts: Counter[Check] = Counter()
    for mask, count in by_mask.items():
        counts.update(dict.fromkeys(broken_checks(mask, checks), count))
    reasons = [_finding(table, check, counts[check]) for check in checks if counts[check]]
    return reasons, sum(by_mask.values())


def _refused(
    connection: duckdb.DuckDBPyConnection, bound: BoundTable, checks: tuple[Check, ...]
) -> Iterator[pa.Table]:
    """Give the refused rows with their reasons."""
    row_id = quote_name(bound.contract.key[0])
    rows = (
        f"SELECT {row_id} AS row_id, {_BROKEN} AS mask, {_RAW} AS raw FROM {_CHECKED} "
        f"WHERE NOT {_SOUND} ORDER BY ALL"
    )
    for batch in _batches(connection, rows):
        reasons = [
            [check.reason for check in broken_checks(mask, checks)]
            for mask in batch["mask"].to_pylist()
        ]
        columns: dict[str, Any] = {
            "table": pa.repeat(pa.scalar(bound.contract.name), batch.num_rows),
            "row_id": batch["row_id"],
            "file": pa.nulls(batch.num_rows, pa.string()),
            "line": pa.nulls(batch.num_rows, pa.int64()),
            "reasons": pa.array(reasons, pa.list_(pa.string())),
            "raw": batch["raw"],
        }
        yield pa.table(columns).cast(QUARANTINE_SCHEMA)


def _batches(connection: duckdb.DuckDBPyConnection, sql: str) -> Iterator[pa.RecordBatch]:
    yield from connection.sql(sql).to_arrow_reader(_BATCH_ROWS)


def _finding(table: str, check: Check, count: int) -> Finding:
    return Finding(table=table, column=check.column, rule=check.rule, count=count, cure=check.cure)
