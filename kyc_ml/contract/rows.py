"""Check the rows of one bound table in one SQL pass: accepted and refused rows, and quality."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import duckdb
import pyarrow as pa

from kyc_ml.contract.binding import BoundTable
from kyc_ml.contract.checks import (
    ContractCheck,
    RowRules,
    broken_checks,
    checks_of,
    mask_literal,
    mask_sql,
    raw_name,
    typed_sql,
)
from kyc_ml.contract.quality import RuleFinding, TableQuality
from kyc_ml.contract.quarantine import QUARANTINE_SCHEMA, MalformedLine, malformed_rows
from kyc_ml.contract.remarks import remarks_of
from kyc_ml.contract.sinks import TableSink
from kyc_ml.contract.strays import Strays, find_strays
from kyc_ml.contract.tables import EVENT_TIME, KNOWN_AT
from kyc_ml.errors import CapacityError, SourceError
from kyc_ml.storage import NO_MEMORY, is_out_of_memory, quote_name, quote_text, read_batches

_CHECKED = quote_name("checked rows")
_BROKEN = quote_name("broken rules")
_SOUND = quote_name("sound row")
_NOTED = quote_name("noted remarks")
_RAW = quote_name("raw row")


_DAY_US: Final = 86_400_000_000
_BATCH_ROWS: Final = 1 << 17
"""Rows in one batch."""


def contract_rows(
    connection: duckdb.DuckDBPyConnection,
    bound: BoundTable,
    *,
    rules: RowRules,
    horizon: datetime | None,
    malformed: Sequence[MalformedLine],
    sink: TableSink,
) -> tuple[TableQuality, list[RuleFinding]]:
    """Read, type and check the rows of one table, and put them into a sink.

    Returns its quality, and what was noted of accepted rows.

    A row that breaks a rule is quarantined with every rule it breaks. Of rows with an
    equal key the first by all columns is kept, so the choice does not depend on their
    order; copies of it and rows that differ are counted separately. An expression that fails on
    some rows costs those rows only: the pass is then repeated with every expression guarded.

    `horizon`: last time of the other tables; see `remarks_of`.
    Raises SourceError if the rows cannot be computed at all. DuckDB's own text may quote a value
    and is not passed on; CapacityError if memory, or the room to spill, is used up.
    """
    table = bound.contract.name
    try:
        try:
            checks, remarks = _check_rows(connection, bound, rules, horizon, guarded=False)
        except (duckdb.DataError, duckdb.InvalidInputException):
            checks, remarks = _check_rows(connection, bound, rules, horizon, guarded=True)
        copy, other = (mask_literal(1 << len(checks) - back, checks) for back in (2, 1))
        _mark_duplicates(connection, bound, copy=copy, other=other)
        summary = _summarise(connection, bound)
        strays = _strays(connection)
        schema = pa.schema([bound.contract.column(name).arrow for name in bound.columns])
        sink.put(table, schema, _accepted(connection, bound, schema))
        reasons, read = _count(connection, table, checks)
        noted = _count_noted(connection, table, remarks)
        refused = sink.refuse(_refused(connection, bound, checks))
        # only here: after an error a result may be open still, and the connection ends anyway
        connection.execute(f"DROP TABLE IF EXISTS {_CHECKED}")
    except (duckdb.Error, MemoryError) as error:
        if is_out_of_memory(error):
            raise CapacityError(f"table {table!r} {NO_MEMORY}") from None
        raise SourceError(
            f"table {table!r}: its rows cannot be read ({type(error).__name__}): a file is "
            "corrupt, holds text that is not UTF-8, or `from`, `where` or an expression fails "
            "on some row: use TRY_CAST or try_strptime there"
        ) from None
    for key in ("malformed", "no text"):
        lines = [line for line in malformed if line.no_text == (key == "no text")]
        if lines:
            finding = RuleFinding.of(key, table, count=len(lines))
            refused += sink.refuse([malformed_rows(table, lines, reason=finding.rule)])
            reasons.append(finding)
    rows = summary["rows"]
    quality = TableQuality(
        table=table,
        read=read + len(malformed),
        accepted=rows,
        quarantined=refused,
        reasons=tuple(reasons),
        missing={name: (rows - summary[name]) / max(rows, 1) for name in bound.columns},
        first_event_time=summary["first event"],
        last_event_time=summary["last event"],
        late_rows=summary["late rows"],
        strays=strays,
    )
    return quality, noted


def _check_rows(
    connection: duckdb.DuckDBPyConnection,
    bound: BoundTable,
    rules: RowRules,
    horizon: datetime | None,
    *,
    guarded: bool,
) -> tuple[tuple[ContractCheck, ...], tuple[ContractCheck, ...]]:
    """Make the table of typed columns, broken rules and, for broken rows, the raw values.

    Returns the rules that refuse a row, and the remarks that do not.
    """
    checks = checks_of(bound.contract, bound.types, guarded=guarded, rules=rules)
    remarks = remarks_of(bound.contract, bound.types, rules=rules, horizon=horizon)
    computed, raw, typed = [], [], []
    for name, sql in bound.expressions.items():
        value = quote_name(f"value:{name}")
        # One TRY over a struct separates "fails" (no struct) from "is empty" (no value in it).
        # A second TRY of the same expression would not: DuckDB 2.0.0 computes what the two
        # have in common once, outside of both.
        plain = f"(\n{sql}\n)"
        packed = f"struct_pack(value := {plain})"
        computed.append(f"{f'TRY({packed})' if guarded else plain} AS {value}")
        raw.append(f"{f'{value}.value' if guarded else value} AS {raw_name(name)}")
        if guarded:
            raw.append(f"{value} IS NULL AS {quote_name(f'failed:{name}')}")
        of_type = typed_sql(bound.contract.column(name), bound.types[name], rules)
        typed.append(f"{of_type} AS {quote_name(name)}")
    if KNOWN_AT not in bound.expressions:
        typed.append(f"{quote_name(EVENT_TIME)} AS {quote_name(KNOWN_AT)}")
    names = ", ".join(_used(name, remarks) for name in bound.columns)
    fields = ", ".join(f"{quote_text(name)}: {raw_name(name)}" for name in bound.expressions)
    connection.execute(
        f"CREATE TEMP TABLE {_CHECKED} AS SELECT {names}, {_BROKEN}, {_NOTED}, "
        f"{_BROKEN} = {mask_literal(0, checks)} AS {_SOUND}, "
        f"CASE WHEN NOT {_SOUND} THEN CAST(to_json({{{fields}}}) AS VARCHAR) END AS {_RAW} "
        f"FROM (SELECT *, {mask_sql(checks)} AS {_BROKEN}, {mask_sql(remarks)} AS {_NOTED} "
        f"FROM (SELECT *, {', '.join(typed)} FROM (SELECT {', '.join(raw)} "
        f"FROM (SELECT {', '.join(computed)} {bound.rows}))))"
    )
    return checks, remarks


def _used(name: str, remarks: Sequence[ContractCheck]) -> str:
    """Write a column as SQL, without the values that a remark makes void."""
    void = sum(1 << bit for bit, each in enumerate(remarks) if each.voids and each.column == name)
    column = quote_name(name)
    return f"CASE WHEN {_NOTED} & {void} = 0 THEN {column} END AS {column}" if void else column


def _mark_duplicates(
    connection: duckdb.DuckDBPyConnection, bound: BoundTable, *, copy: str, other: str
) -> None:
    """Mark all but the first of the sound rows with an equal key.

    A copy of the first gets the mask `copy`, a row that differs from it the mask `other`.
    """
    key = ", ".join(quote_name(name) for name in bound.contract.key)
    names = [quote_name(name) for name in bound.columns]
    repeated = f"SELECT {key} FROM {_CHECKED} WHERE {_SOUND} GROUP BY ALL HAVING count(*) > 1"
    # a count, not the key itself: DuckDB needs pytz to return times with a zone to Python
    if connection.execute(f"SELECT count(*) FROM ({repeated} LIMIT 1)").fetchall() == [(0,)]:
        return
    fields = ", ".join(f"{quote_text(name)}: {quote_name(name)}" for name in bound.columns)
    connection.execute(
        f"UPDATE {_CHECKED} SET {_BROKEN} = CASE WHEN other THEN {other} ELSE {copy} END, "
        f"{_SOUND} = false, {_RAW} = CAST(to_json({{{fields}}}) AS VARCHAR) FROM ("
        f"SELECT rowid AS place, row_number() OVER first_to_last AS nth, "
        f"rank() OVER first_to_last > 1 AS other FROM {_CHECKED} "
        f"WHERE {_SOUND} AND ({key}) IN ({repeated}) "
        f"WINDOW first_to_last AS (PARTITION BY {key} ORDER BY {', '.join(names)})) AS again "
        f"WHERE again.nth > 1 AND {_CHECKED}.rowid = again.place"
    )


def _strays(connection: duckdb.DuckDBPyConnection) -> Strays:
    """Find the few accepted rows that happened far from all others."""
    event = quote_name(EVENT_TIME)
    days = connection.sql(
        f"SELECT epoch_us({event}) // {_DAY_US} AS day, count(*) AS rows, min({event}) AS first, "
        f"max({event}) AS last FROM {_CHECKED} WHERE {_SOUND} GROUP BY 1 ORDER BY 1"
    ).to_arrow_table()
    return find_strays(days, today=datetime.now(UTC).date())


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


def _accepted(
    connection: duckdb.DuckDBPyConnection, bound: BoundTable, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    names = ", ".join(quote_name(name) for name in schema.names)
    order = ", ".join(
        quote_name(name) for name in dict.fromkeys((EVENT_TIME, KNOWN_AT, *bound.contract.key))
    )
    rows = f"SELECT {names} FROM {_CHECKED} WHERE {_SOUND} ORDER BY {order}"
    for batch in read_batches(connection, rows, rows=_BATCH_ROWS):
        yield batch.cast(schema)


def _count(
    connection: duckdb.DuckDBPyConnection, table: str, checks: tuple[ContractCheck, ...]
) -> tuple[list[RuleFinding], int]:
    """Count how many rows broke each rule, and how many were read."""
    by_mask = dict(
        connection.execute(f"SELECT {_BROKEN}, count(*) FROM {_CHECKED} GROUP BY ALL").fetchall()
    )
    counts: Counter[ContractCheck] = Counter()
    for mask, count in by_mask.items():
        counts.update(dict.fromkeys(broken_checks(mask, checks), count))
    reasons = [_finding(table, check, counts[check]) for check in checks if counts[check]]
    return reasons, sum(by_mask.values())


def _count_noted(
    connection: duckdb.DuckDBPyConnection, table: str, remarks: tuple[ContractCheck, ...]
) -> list[RuleFinding]:
    """Count the accepted rows of which each remark was noted."""
    if not remarks:
        return []
    sums = ", ".join(f"count(*) FILTER ({_NOTED} & {1 << n} <> 0)" for n in range(len(remarks)))
    rows = f"FROM {_CHECKED} WHERE {_SOUND} AND {_NOTED} <> 0"
    counts = connection.execute(f"SELECT {sums} {rows}").fetchall()[0]
    return [
        _finding(table, remark, count)
        for remark, count in zip(remarks, counts, strict=True)
        if count
    ]


def _refused(
    connection: duckdb.DuckDBPyConnection, bound: BoundTable, checks: tuple[ContractCheck, ...]
) -> Iterator[pa.Table]:
    """Return the refused rows with their reasons."""
    row_id = quote_name(bound.contract.key[0])
    rows = (
        f"SELECT {row_id} AS row_id, {_BROKEN} AS mask, {_RAW} AS raw FROM {_CHECKED} "
        f"WHERE NOT {_SOUND} ORDER BY ALL"
    )
    for batch in read_batches(connection, rows, rows=_BATCH_ROWS):
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


def _finding(table: str, check: ContractCheck, count: int) -> RuleFinding:
    return RuleFinding(
        table=table, column=check.column, rule=check.rule, count=count, cure=check.cure
    )
