"""Columns that each row gets before features read it, as known when the row happened."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.contract import AMOUNT, CUSTOMER_ID, DIRECTION
from kyc_ml.features.clock import NIGHT_ENDS_HOUR, local_time
from kyc_ml.features.formulas import evaluate
from kyc_ml.features.history import TimedRows, build_history
from kyc_ml.features.kernels import flow
from kyc_ml.features.listings import on_listing
from kyc_ml.features.reading import TEXT, Request, as_column, read_rows
from kyc_ml.features.spec import (
    CellOperation,
    FeatureSpec,
    Latest,
    LatestValue,
    Matched,
    Own,
    RowColumn,
    RowFormula,
    RowFunction,
    Window,
    columns_of_observer,
    columns_of_table,
    name_of,
)
from kyc_ml.metrics import Floats, Ints

OBSERVED: Final = ""
"""Stands for the observations among the names of tables."""

_CENTS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A row column that a table needs, or the observations."""

    table: str
    column: RowColumn


def needed_columns(specs: Iterable[FeatureSpec]) -> list[list[Need]]:
    """List the row columns that features read, those that others are made of first.

    Returns
    -------
    list of levels
        Columns of a level read columns of the levels before it only.
    """
    depth: dict[Need, int] = {}
    named: dict[tuple[str, str], RowColumn] = {}

    def visit(need: Need) -> int:
        if named.setdefault((need.table, need.column.name), need.column) != need.column:
            msg = f"two different row columns are named {need.column.name!r}"
            raise ValueError(msg)
        if need.table == OBSERVED and isinstance(need.column.how, Matched):
            msg = (
                f"row column {need.column.name!r} matches bookings of a table: an observation "
                "is not booked yet; compare its amount with a window of money in instead"
            )
            raise ValueError(msg)
        if need not in depth:
            depth[need] = 1 + max((visit(each) for each in _inputs(need)), default=-1)
        return depth[need]

    for spec in specs:
        for need in _of_how(spec.how, OBSERVED):
            visit(need)
    levels: list[list[Need]] = [[] for _ in range(1 + max(depth.values(), default=-1))]
    for need, level in depth.items():
        levels[level].append(need)
    return levels


def add_row_columns(
    levels: Sequence[Sequence[Need]],
    *,
    tables: Mapping[str, TimedRows],
    observed: TimedRows,
    timezone: str,
    threads: int,
) -> None:
    """Compute the columns of each level and append them to their tables, each once."""
    places = {**tables, OBSERVED: observed}
    for level in levels:
        for name in dict.fromkeys(need.table for need in level):
            there = set(places[name].table.column_names)
            columns = [
                need.column
                for need in level
                if need.table == name and need.column.name not in there
            ]
            _add_to(places[name], columns, tables=tables, timezone=timezone, threads=threads)


def _add_to(
    place: TimedRows,
    columns: Sequence[RowColumn],
    *,
    tables: Mapping[str, TimedRows],
    timezone: str,
    threads: int,
) -> None:
    """Compute columns of one table: those read from other rows all at once."""
    for column in columns:
        match column.how:
            case RowFunction() as cell:
                place.append(column.name, _cell(cell, place, timezone=timezone))
            case RowFormula(operation=operation, inputs=inputs, parameter=parameter):
                read = [place.number(name_of(each)) for each in inputs]
                mixed = evaluate(operation, read, parameter=parameter)
                place.append(column.name, as_column(mixed))
    looks_back = [
        (column.name, column.how.how) for column in columns if isinstance(column.how, LatestValue)
    ]
    if looks_back:
        numbers = np.full((len(place), len(looks_back)), np.nan, order="F")
        requests = [
            Request(name=name, how=how, column=at) for at, (name, how) in enumerate(looks_back)
        ]
        texts = read_rows(tables, place, requests, out=numbers, threads=threads)
        for at, (name, how) in enumerate(looks_back):
            text = isinstance(how, Latest) and how.reading in TEXT
            place.append(name, texts[name] if text else as_column(numbers[:, at]))
    matched = {column.name: column.how for column in columns if isinstance(column.how, Matched)}
    for name, values in _match(place, matched).items():
        place.append(name, as_column(values))


def _cell(how: RowFunction, place: TimedRows, *, timezone: str) -> pa.Array:
    """Compute a column from the row alone."""
    if how.operation in {"hour", "weekday", "night"}:
        return _clock(how.operation, place.event_time, timezone=timezone)
    names = [name_of(each) for each in how.inputs]
    if how.operation in _ON_TEXT:
        texts = [place.table[name].combine_chunks() for name in names]
        return _ON_TEXT[how.operation](how, texts, place.event_time)
    if how.operation == "text":
        cents = _cents(place.number(names[0]))
        return pa.array(cents, mask=cents < 0).cast(pa.string())
    return as_column(_ON_NUMBERS[how.operation](how, place.number(names[0])))


def _clock(operation: CellOperation, moments: Ints, *, timezone: str) -> pa.Array:
    """Read the row's time on the clock that customers live by."""
    local = local_time(moments, timezone=timezone)
    if operation == "night":
        return pa.array((local.hour < NIGHT_ENDS_HOUR).astype(np.float64))
    number = local.hour if operation == "hour" else local.day_of_week
    return pa.array(np.asarray(number, dtype=np.int32)).cast(pa.string())


def _is_any_of(how: RowFunction, texts: Sequence[pa.Array], _: Ints) -> pa.Array:
    found = pc.is_in(texts[0], value_set=pa.array(how.values, pa.string()))
    return pc.if_else(texts[0].is_valid(), found.cast(pa.float64()), None)


def _differs(_: RowFunction, texts: Sequence[pa.Array], __: Ints) -> pa.Array:
    return pc.not_equal(texts[0], texts[1]).cast(pa.float64())


def _listed(how: RowFunction, texts: Sequence[pa.Array], moments: Ints) -> pa.Array:
    return as_column(on_listing(texts[0], moments, how.listing))


def _between(how: RowFunction, values: Floats) -> Floats:
    low, high = how.parameters
    inside = ((values >= low) & (values < high)).astype(np.float64)
    return np.where(np.isnan(values), np.nan, inside)


def _multiple_of(how: RowFunction, amounts: Floats) -> Floats:
    cents = _cents(amounts)
    whole = (cents > 0) & (cents % round(how.parameters[0] * _CENTS) == 0)
    return np.where(cents < 0, np.nan, whole.astype(np.float64))


def _trailing_zeros(_: RowFunction, amounts: Floats) -> Floats:
    cents = _cents(amounts)
    zeros = np.zeros(amounts.size)
    unit = _CENTS
    while True:
        unit *= 10
        whole = (cents > 0) & (cents % unit == 0)
        if not whole.any():
            return np.where(cents < 0, np.nan, zeros)
        zeros += whole


def _cents(amounts: Floats) -> Ints:
    """Amounts in hundredths; -1 where missing."""
    return np.where(np.isnan(amounts), -1.0, np.rint(amounts * _CENTS)).astype(np.int64)


_ON_TEXT: Final[
    dict[CellOperation, Callable[[RowFunction, Sequence[pa.Array], Ints], pa.Array]]
] = {
    "is_any_of": _is_any_of,
    "differs": _differs,
    "listed": _listed,
}
_ON_NUMBERS: Final[dict[CellOperation, Callable[[RowFunction, Floats], Floats]]] = {
    "between": _between,
    "multiple_of": _multiple_of,
    "trailing_zeros": _trailing_zeros,
}


def _match(place: TimedRows, wanted: Mapping[str, Matched]) -> dict[str, Floats]:
    """Match money out with money in before it, per customer; see `flow.match_flow`."""
    if not wanted:
        return {}
    history = build_history(place, place, key=(CUSTOMER_ID,))
    direction = place.table[DIRECTION].combine_chunks()
    out = np.asarray(pc.equal(direction, "out").fill_null(False))  # noqa: FBT003  Arrow's own
    within = sorted({how.within_us for how in wanted.values() if how.within_us is not None})
    matched, dwell = flow.match_flow(
        history.row_starts,
        history.event_time,
        history.known_at,
        out[history.rows],
        history.values(AMOUNT),
        np.array(within, np.int64),
    )
    found = {}
    for name, how in wanted.items():
        by_position = dwell
        if how.reading == "matched":
            assert how.within_us is not None  # noqa: S101  a matched share has a limit
            by_position = matched[:, within.index(how.within_us)]
        found[name] = np.full(len(place), np.nan)
        found[name][history.rows] = by_position
    return found


def _inputs(need: Need) -> Iterator[Need]:
    """Row columns that one is made of."""
    how = need.column.how
    match how:
        case RowFunction(inputs=inputs) | RowFormula(inputs=inputs):
            yield from _on(need.table, *inputs)
        case LatestValue(how=looked):
            yield from _of_how(looked, need.table)


def _of_how(how: object, observing: str) -> Iterator[Need]:
    """Row columns that a feature reads, on its table and on the observations."""
    match how:
        case Window() | Latest():
            yield from _on(how.table, *columns_of_table(how))
            yield from _on(observing, *columns_of_observer(how))
        case Own(column=column):
            yield from _on(observing, column)


def _on(table: str, *columns: str | RowColumn | None) -> Iterator[Need]:
    for column in columns:
        if isinstance(column, RowColumn):
            yield Need(table=table, column=column)
