"""Check the rows of one bound table in one SQL pass: accepted and refused rows, and quality."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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
from kyc_ml.contract.strays import find_strays
from kyc_ml.contract.tables import EVENT_TIME, KNOWN_AT
from kyc_ml.errors import CapacityError, KycMlError, SourceError
from kyc_ml.storage import NO_MEMORY, is_out_of_memory, quote_name, quote_text, read_batches

CHECKED = quote_name("checked rows")
BROKEN = quote_name("broken rules")
SOUND = quote_name("sound row")
NOTED = quote_name("noted remarks")
RAW = quote_name("raw row")
SOUND_ROWS = f"(SELECT * FROM {CHECKED} WHERE {SOUND})"


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
        checks = check_rows(connection, bound, rules, horizon)
        mark_duplicates(connection, bound, checks)
        [summary] = connection.sql(summary_sql(bound, SOUND_ROWS)).to_arrow_table().to_pylist()
        days = connection.sql(days_sql(SOUND_ROWS)).to_arrow_table()
        schema = pa.schema([bound.contract.column(name).arrow for name in bound.columns])
        sink.put(table, schema, _accepted(connection, bound, schema))
        broken = count_broken(connection, checks)
        noted = count_noted(connection)
        refused = sink.refuse(refused_rows(connection, bound, checks))
        # only here: after an error a result may be open still, and the connection ends anyway
        connection.execute(f"DROP TABLE IF EXISTS {CHECKED}")
    except (duckdb.Error, MemoryError) as error:
        raise reading_error(table, error) from None
    reasons, read = find_broken(bound, rules, broken), sum(broken.values())
    for key in ("malformed", "no text"):
        lines = [line for line in malformed if line.no_text == (key == "no text")]
        if lines:
            finding = RuleFinding.of(key, table, count=len(lines))
            refused += sink.refuse([malformed_rows(table, lines, reason=finding.rule)])
            reasons.append(finding)
    read += len(malformed)
    quality = summed_up(bound, summary, days, read=read, refused=refused, reasons=reasons)
    return quality, find_noted(bound, rules, horizon, noted)


def summed_up(
    bound: BoundTable,
    summary: Mapping[str, Any],
    days: pa.Table,
    *,
    read: int,
    refused: int,
    reasons: Sequence[RuleFinding],
) -> TableQuality:
    """Return the quality of a table; `summary` and `days` as their SQL gives them."""
    rows = summary["rows"]
    return TableQuality(
        table=bound.contract.name,
        read=read,
        accepted=rows,
        quarantined=refused,
        reasons=tuple(reasons),
        missing={name: (rows - summary[name]) / max(rows, 1) for name in bound.columns},
        first_event_time=summary["first event"],
        last_event_time=summary["last event"],
        late_rows=summary["late rows"],
        strays=find_strays(days, today=datetime.now(UTC).date()),
    )


def reading_error(table: str, error: BaseException) -> KycMlError:
    """Return what is wrong with a table whose rows cannot be computed; no text of DuckDB."""
    if is_out_of_memory(error):
        return CapacityError(f"table {table!r} {NO_MEMORY}")
    return SourceError(
        f"table {table!r}: its rows cannot be read ({type(error).__name__}): a file is "
        "corrupt, holds text that is not UTF-8, or `from`, `where` or an expression fails "
        "on some row: use TRY_CAST or try_strptime there"
    )


def check_rows(
    connection: duckdb.DuckDBPyConnection,
    bound: BoundTable,
    rules: RowRules,
    horizon: datetime | None,
) -> tuple[ContractCheck, ...]:
    """Make the table of typed columns, broken rules and, for broken rows, the raw values.

    Returns the rules that refuse a row; the remarks do not.
    """
    try:
        return _make_checked(connection, bound, rules, horizon, guarded=False)
    except (duckdb.DataError, duckdb.InvalidInputException):
        return _make_checked(connection, bound, rules, horizon, guarded=True)


def _make_checked(
    connection: duckdb.DuckDBPyConnection,
    bound: BoundTable,
    rules: RowRules,
    horizon: datetime | None,
    *,
    guarded: bool,
) -> tuple[ContractCheck, ...]:
    """Do what `check_rows` does, with or without every expression guarded."""
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
        f"CREATE TEMP TABLE {CHECKED} AS SELECT {names}, {BROKEN}, {NOTED}, "
        f"{BROKEN} = {mask_literal(0, checks)} AS {SOUND}, "
        f"CASE WHEN NOT {SOUND} THEN CAST(to_json({{{fields}}}) AS VARCHAR) END AS {RAW} "
        f"FROM (SELECT *, {mask_sql(checks)} AS {BROKEN}, {mask_sql(remarks)} AS {NOTED} "
        f"FROM (SELECT *, {', '.join(typed)} FROM (SELECT {', '.join(raw)} "
        f"FROM (SELECT {', '.join(computed)} {bound.rows}))))"
    )
    return checks


def _used(name: str, remarks: Sequence[ContractCheck]) -> str:
    """Write a column as SQL, without the values that a remark makes void."""
    void = sum(1 << bit for bit, each in enumerate(remarks) if each.voids and each.column == name)
    column = quote_name(name)
    return f"CASE WHEN {NOTED} & {void} = 0 THEN {column} END AS {column}" if void else column


def mark_duplicates(
    connection: duckdb.DuckDBPyConnection, bound: BoundTable, checks: Sequence[ContractCheck]
) -> None:
    """Mark all but the first of the sound rows with an equal key, by the last two of the checks."""
    copy, other = (mask_literal(1 << len(checks) - back, checks) for back in (2, 1))
    key = ", ".join(quote_name(name) for name in bound.contract.key)
    names = [quote_name(name) for name in bound.columns]
    repeated = f"SELECT {key} FROM {CHECKED} WHERE {SOUND} GROUP BY ALL HAVING count(*) > 1"
    # a count, not the key itself: DuckDB needs pytz to return times with a zone to Python
    if connection.execute(f"SELECT count(*) FROM ({repeated} LIMIT 1)").fetchall() == [(0,)]:
        return
    fields = ", ".join(f"{quote_text(name)}: {quote_name(name)}" for name in bound.columns)
    connection.execute(
        f"UPDATE {CHECKED} SET {BROKEN} = CASE WHEN other THEN {other} ELSE {copy} END, "
        f"{SOUND} = false, {RAW} = CAST(to_json({{{fields}}}) AS VARCHAR) FROM ("
        f"SELECT rowid AS place, row_number() OVER first_to_last AS nth, "
        f"rank() OVER first_to_last > 1 AS other FROM {CHECKED} "
        f"WHERE {SOUND} AND ({key}) IN ({repeated}) "
        f"WINDOW first_to_last AS (PARTITION BY {key} ORDER BY {', '.join(names)})) AS again "
        f"WHERE again.nth > 1 AND {CHECKED}.rowid = again.place"
    )


def days_sql(rows: str) -> str:
    """Write SQL that counts rows by the day of their event, as `find_strays` takes them."""
    event = quote_name(EVENT_TIME)
    return (
        f"SELECT epoch_us({event}) // {_DAY_US} AS day, count(*) AS rows, min({event}) AS first, "
        f"max({event}) AS last FROM {rows} GROUP BY 1 ORDER BY 1"
    )


def summary_sql(bound: BoundTable, rows: str) -> str:
    """Write SQL that counts rows, those of them with a value in each column, and the late ones."""
    event, known = quote_name(EVENT_TIME), quote_name(KNOWN_AT)
    counted = [f"count({quote_name(name)}) AS {quote_name(name)}" for name in bound.columns]
    counted += [
        f"count(*) AS {quote_name('rows')}",
        f"min({event}) AS {quote_name('first event')}",
        f"max({event}) AS {quote_name('last event')}",
        f"count(*) FILTER ({known} > {event}) AS {quote_name('late rows')}",
    ]
    return f"SELECT {', '.join(counted)} FROM {rows}"


def order_of(bound: BoundTable) -> list[str]:
    """Return the columns by which accepted rows are in order."""
    return list(dict.fromkeys((EVENT_TIME, KNOWN_AT, *bound.contract.key)))


def order_sql(bound: BoundTable) -> str:
    """Write the order of accepted rows as SQL."""
    return ", ".join(quote_name(name) for name in order_of(bound))


def _accepted(
    connection: duckdb.DuckDBPyConnection, bound: BoundTable, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    names = ", ".join(quote_name(name) for name in schema.names)
    rows = f"SELECT {names} FROM {CHECKED} WHERE {SOUND} ORDER BY {order_sql(bound)}"
    for batch in read_batches(connection, rows, rows=_BATCH_ROWS):
        yield batch.cast(schema)


def count_broken(
    connection: duckdb.DuckDBPyConnection, checks: Sequence[ContractCheck]
) -> Counter[tuple[str, ...]]:
    """Count the rows that were read by the rules they break; `find_broken` takes the counts."""
    by_mask = connection.execute(f"SELECT {BROKEN}, count(*) FROM {CHECKED} GROUP BY ALL")
    return Counter(
        {
            tuple(check.reason for check in broken_checks(mask, checks)): count
            for mask, count in by_mask.fetchall()
        }
    )


def find_broken(
    bound: BoundTable, rules: RowRules, broken: Mapping[tuple[str, ...], int]
) -> list[RuleFinding]:
    """Return a finding for each rule that rows break, in the order of the contract."""
    counts: Counter[str] = Counter()
    for reasons, count in broken.items():
        counts.update(dict.fromkeys(reasons, count))
    checks = checks_of(bound.contract, bound.types, guarded=True, rules=rules)
    table = bound.contract.name
    return [_finding(table, each, counts[each.reason]) for each in checks if counts[each.reason]]


def count_noted(connection: duckdb.DuckDBPyConnection) -> Counter[int]:
    """Count the accepted rows by their remarks; `find_noted` takes the counts."""
    rows = f"FROM {CHECKED} WHERE {SOUND} AND {NOTED} <> 0"
    return Counter(
        dict(connection.execute(f"SELECT {NOTED}, count(*) {rows} GROUP BY 1").fetchall())
    )


def find_noted(
    bound: BoundTable, rules: RowRules, horizon: datetime | None, noted: Mapping[int, int]
) -> list[RuleFinding]:
    """Return a finding for each remark of accepted rows."""
    remarks = remarks_of(bound.contract, bound.types, rules=rules, horizon=horizon)
    counts = [sum(n for mask, n in noted.items() if mask >> bit & 1) for bit in range(len(remarks))]
    found = zip(remarks, counts, strict=True)
    return [_finding(bound.contract.name, remark, count) for remark, count in found if count]


def refused_rows(
    connection: duckdb.DuckDBPyConnection, bound: BoundTable, checks: tuple[ContractCheck, ...]
) -> Iterator[pa.Table]:
    """Return the refused rows with their reasons."""
    row_id = quote_name(bound.contract.key[0])
    rows = (
        f"SELECT {row_id} AS row_id, {BROKEN} AS mask, {RAW} AS raw FROM {CHECKED} "
        f"WHERE NOT {SOUND} ORDER BY ALL"
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
