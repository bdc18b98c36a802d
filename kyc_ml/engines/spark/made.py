"""Tables made of contracted ones, on the workers: labels, outcomes, patterns, current accounts."""

import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from kyc_ml.contract import (
    CASES,
    CUSTOMER_ID,
    EVENT_TIME,
    KNOWN_AT,
    TRANSACTION_ID,
    TRANSACTIONS,
    Columns,
    FileColumns,
    TableColumns,
)
from kyc_ml.engines.spark.parts import LandedTables, Part
from kyc_ml.engines.spark.tasks import Report, run_each
from kyc_ml.features import LABELS, MADE_FROM, OUTCOMES, make_tables, write_pieces


def make_on_workers(
    spark: SparkSession, tables: LandedTables, needed: Mapping[str, Collection[str]], folder: Path
) -> tuple[dict[str, list[Path]], list[str]]:
    """Make the tables that features read, in the rows and the order of one machine's.

    Outcomes are made part by part, labels of the payments that cases name. Patterns and current
    accounts are made by one worker, which holds all their rows.

    `needed`: see `make_tables`.
    Returns the files of each table in the order of its rows, and notes.
    """
    made: dict[str, list[Path]] = {}
    notes: list[str] = []
    for name, columns in needed.items():
        reports = _made(spark, tables, name, sorted(columns), folder)
        made[name] = [Path(path) for report in reports for path in report["paths"]]
        notes += [note for report in reports for note in report["notes"]]
    return made, notes


def _made(
    spark: SparkSession, tables: LandedTables, name: str, wanted: Collection[str], folder: Path
) -> list[Report]:
    """Make one table."""
    by_part = bool(tables.parts.get(TRANSACTIONS))
    if name == OUTCOMES and by_part:
        return _each(spark, tables, lambda at: _outcomes(tables, at, wanted, folder))
    if name == LABELS and by_part:
        found = _each(spark, tables, lambda at: _named(tables, at, folder))
        named = [Path(path) for report in found for path in report["paths"]]
        return run_each(spark, lambda _: _labels(tables, named, wanted, folder), [name])
    sources = {table: tables.columns(table) for table in MADE_FROM[name]}
    return run_each(spark, lambda _: _make(name, sources, wanted, folder), [name])


def _each(spark: SparkSession, tables: LandedTables, task: Callable[[int], Report]) -> list[Report]:
    """Run a task for each part of the transactions."""
    return run_each(spark, task, range(len(tables.parts[TRANSACTIONS])))


def _make(
    name: str, sources: Mapping[str, Columns], wanted: Collection[str], folder: Path
) -> Report:
    """Make a table of these contracted ones, and write it."""
    made, notes = make_tables(sources, {name: wanted})
    return {"paths": [_write(made[name], name, folder)], "notes": notes}


def _write(pieces: Iterator[pa.Table], name: str, folder: Path) -> str:
    # a new name each time: what a task leaves that is run again is in no report
    path = folder / f"{name}-{uuid.uuid4().hex}.parquet"
    write_pieces(pieces, path)
    return str(path)


def _named(tables: LandedTables, at: int, folder: Path) -> Report:
    """Write the payments of a part that cases name."""
    cases = tables.columns(CASES)
    if TRANSACTION_ID not in cases.column_names:
        return {"paths": []}
    pieces = cases.pieces(TRANSACTION_ID)
    ids = pa.Table.from_batches(pieces, cases.schema(TRANSACTION_ID))[TRANSACTION_ID]
    rows = tables.parts[TRANSACTIONS][at].read(tables.columns(TRANSACTIONS).column_names)
    chosen = pc.is_in(rows[TRANSACTION_ID], value_set=ids.combine_chunks().unique().drop_null())
    found = rows.filter(chosen)
    return {"paths": [_write(iter([found]), TRANSACTIONS, folder)] if len(found) else []}


def _labels(
    tables: LandedTables, named: Sequence[Path], wanted: Collection[str], folder: Path
) -> Report:
    """Make the labels of all cases and the payments that they name."""
    none = TableColumns(tables.schemas[TRANSACTIONS].empty_table())
    sources: dict[str, Columns] = {
        CASES: tables.columns(CASES),
        TRANSACTIONS: FileColumns(*named) if named else none,
    }
    return _make(LABELS, sources, wanted, folder)


def _outcomes(tables: LandedTables, at: int, wanted: Collection[str], folder: Path) -> Report:
    """Make the outcomes of the instants that begin in a part."""
    available = tables.columns(TRANSACTIONS).column_names
    always = (TRANSACTION_ID, CUSTOMER_ID, EVENT_TIME, KNOWN_AT)
    names = [name for name in available if name in always or name in wanted]
    rows = _whole_instants(tables.parts[TRANSACTIONS], at, names)
    sources: dict[str, Columns] = {
        CASES: tables.columns(CASES),
        TRANSACTIONS: TableColumns(rows),
    }
    return _make(OUTCOMES, sources, wanted, folder)


def _whole_instants(parts: Sequence[Part], at: int, names: Sequence[str]) -> pa.Table:
    """Read a part without the instant that began in the one before, and with all of its last."""
    rows, own = parts[at].read(names), parts[at].span
    if own is None:
        return rows
    before = next((each.span for each in reversed(parts[:at]) if each.span), None)
    if before and before.last_event == own.first_event:
        rows = _at(rows, before.last_event, pc.greater)
    if not len(rows):
        return rows
    for part in parts[at + 1 :]:
        if part.span and part.span.first_event > own.last_event:
            break
        rows = pa.concat_tables([rows, _at(part.read(names), own.last_event, pc.equal)])
    return rows


def _at(rows: pa.Table, instant: int, compare: Callable[..., pa.Array]) -> pa.Table:
    return rows.filter(compare(rows[EVENT_TIME].cast(pa.int64()), instant))
