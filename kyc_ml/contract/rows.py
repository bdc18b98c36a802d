"""One bound table -> its accepted rows, its quarantine and its quality, in one SQL pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.contract.binding import BoundTable
from kyc_ml.contract.checks import (
    CURES,
    MALFORMED,
    Check,
    broken_checks,
    checks_of,
    mask_sql,
    raw_name,
    typed_sql,
)
from kyc_ml.contract.quality import Finding, TableQuality
from kyc_ml.contract.quarantine import QUARANTINE_SCHEMA, MalformedLine, malformed_rows
from kyc_ml.contract.tables import EVENT_TIME, KNOWN_AT
from kyc_ml.engine.local import quote_name, quote_text
from kyc_ml.errors import SourceError

_CHECKED = quote_name("checked rows")
_BROKEN = quote_name("broken rules")
_RAW = quote_name("raw row")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractedRows:
    """What one table came to."""

    accepted: pa.Table
    quarantine: pa.Table
    quality: TableQuality


def contract_rows(
    connection: duckdb.DuckDBPyConnection,
    bound: BoundTable,
    *,
    zone: str,
    malformed: Sequence[MalformedLine],
) -> ContractedRows:
    """Read, type and check the rows of one table.

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
        _mark_duplicates(connection, bound, bit=len(checks) - 1)
        accepted = _accepted(connection, bound)
        quarantine, reasons, read = _quarantine(connection, bound, checks)
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
    finally:
        connection.execute(f"DROP TABLE IF EXISTS {_CHECKED}")
    if malformed:
        lines = malformed_rows(table, malformed, reason=MALFORMED)
        quarantine = pa.concat_tables([quarantine, lines])
        reasons.append(_finding(table, Check(column="", rule=MALFORMED, cure=CURES[MALFORMED]),
                                len(malformed)))  # fmt: skip
    quality = TableQuality(
        table=table,
        read=read + len(malformed),
        accepted=accepted.num_rows,
        quarantined=quarantine.num_rows,
        reasons=tuple(reasons),
        missing=_missing(accepted),
        first_event_time=_edge(accepted, 0),
        last_event_time=_edge(accepted, -1),
        late_rows=pc.sum(pc.greater(accepted[KNOWN_AT], accepted[EVENT_TIME])).as_py() or 0,
    )
    return ContractedRows(accepted=accepted, quarantine=quarantine, quality=quality)


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
        f"CASE WHEN {_BROKEN} <> 0 THEN CAST(to_json({{{fields}}}) AS VARCHAR) END AS {_RAW} "
        f"FROM (SELECT *, {mask_sql(checks)} AS {_BROKEN} "
        f"FROM (SELECT *, {', '.join(typed)} FROM (SELECT {', '.join(raw)} "
        f"FROM (SELECT {', '.join(computed)} {bound.rows}))))"
    )
    return checks


def _mark_duplicates(connection: duckdb.DuckDBPyConnection, bound: BoundTable, *, bit: int) -> None:
    """Set the duplicate bit on all but the first of the sound rows with an equal key."""
    key = ", ".join(quote_name(name) for name in bound.contract.key)
    names = [quote_name(name) for name in bound.columns]
    repeated = f"SELECT {key} FROM {_CHECKED} WHERE {_BROKEN} = 0 GROUP BY ALL HAVING count(*) > 1"
    if not connection.execute(f"{repeated} LIMIT 1").fetchall():
        return
    fields = ", ".join(f"{quote_text(name)}: {quote_name(name)}" for name in bound.columns)
    connection.execute(
        f"UPDATE {_CHECKED} SET {_BROKEN} = {1 << bit}, "
        f"{_RAW} = CAST(to_json({{{fields}}}) AS VARCHAR) WHERE rowid IN ("
        f"SELECT place FROM (SELECT rowid AS place, row_number() OVER (PARTITION BY {key} "
        f"ORDER BY {', '.join(names)}) AS nth FROM {_CHECKED} WHERE {_BROKEN} = 0 "
        f"AND ({key}) IN ({repeated})) WHERE nth > 1)"
    )


def _accepted(connection: duckdb.DuckDBPyConnection, bound: BoundTable) -> pa.Table:
    schema = pa.schema([bound.contract.column(name).arrow for name in bound.columns])
    names = ", ".join(quote_name(name) for name in schema.names)
    order = ", ".join(
        quote_name(name) for name in dict.fromkeys((EVENT_TIME, KNOWN_AT, *bound.contract.key))
    )
    rows = _arrow(
        connection, f"SELECT {names} FROM {_CHECKED} WHERE {_BROKEN} = 0 ORDER BY {order}"
    )
    return rows.cast(schema)


def _quarantine(
    connection: duckdb.DuckDBPyConnection, bound: BoundTable, checks: tuple[Check, ...]
) -> tuple[pa.Table, list[Finding], int]:
    """Return the refused rows, how many broke each rule, and how many rows were read."""
    table = bound.contract.name
    by_mask = dict(
        connection.execute(f"SELECT {_BROKEN}, count(*) FROM {_CHECKED} GROUP BY ALL").fetchall()
    )
    counts: Counter[Check] = Counter()
    for mask, count in by_mask.items():
        counts.update(dict.fromkeys(broken_checks(mask, checks), count))
    reasons = [_finding(table, check, counts[check]) for check in checks if counts[check]]
    row_id = quote_name(bound.contract.key[0])
    rows = _arrow(
        connection,
        f"SELECT {row_id} AS row_id, {_BROKEN} AS mask, {_RAW} AS raw FROM {_CHECKED} "
        f"WHERE {_BROKEN} <> 0 ORDER BY ALL",
    )
    texts = {mask: [check.reason for check in broken_checks(mask, checks)] for mask in by_mask}
    columns: dict[str, Any] = {
        "table": pa.repeat(pa.scalar(table), rows.num_rows),
        "row_id": rows["row_id"],
        "file": pa.nulls(rows.num_rows, pa.string()),
        "line": pa.nulls(rows.num_rows, pa.int64()),
        "reasons": pa.array([texts[mask] for mask in rows["mask"].to_pylist()],
                            pa.list_(pa.string())),
        "raw": rows["raw"],
    }  # fmt: skip
    quarantine = pa.table(columns).cast(QUARANTINE_SCHEMA)
    return quarantine, reasons, sum(by_mask.values())


def _arrow(connection: duckdb.DuckDBPyConnection, sql: str) -> pa.Table:
    table: Any = connection.sql(sql).to_arrow_table()
    return table


def _finding(table: str, check: Check, count: int) -> Finding:
    return Finding(table=table, column=check.column, rule=check.rule, count=count, cure=check.cure)


def _missing(accepted: pa.Table) -> dict[str, float]:
    rows = max(accepted.num_rows, 1)
    return {name: accepted[name].null_count / rows for name in accepted.column_names}


def _edge(accepted: pa.Table, position: int) -> datetime | None:
    """First or last event time; the rows are sorted by it."""
    if not accepted.num_rows:
        return None
    value: datetime = accepted[EVENT_TIME][position].as_py()
    return value
