"""Columns that each row gets before features read it, as known when the row happened."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from kyc_ml.contract import AMOUNT, CUSTOMER_ID, DIRECTION
from kyc_ml.features.history import build_history
from kyc_ml.features.how import OBSERVED, How, RowColumn
from kyc_ml.features.kernels import flow
from kyc_ml.features.kinds.matched import Matched
from kyc_ml.features.kinds.rows_of_key import LatestValue
from kyc_ml.features.reading import Request, read_rows
from kyc_ml.features.spec import FeatureSpec
from kyc_ml.features.timed_rows import TimedRows
from kyc_ml.metrics import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A row column that a table needs, or the observations."""

    table: str
    column: RowColumn


def needed_columns(specs: Iterable[FeatureSpec]) -> list[list[Need]]:
    """List the row columns that features read, inputs of others first.

    Columns of a level read columns of the levels before it only.
    """
    depth: dict[Need, int] = {}
    named: dict[tuple[str, str], RowColumn] = {}

    def visit(need: Need) -> int:
        if named.setdefault((need.table, need.column.name), need.column) != need.column:
            raise ValueError(f"two different row columns are named {need.column.name!r}")
        if need.table == OBSERVED and isinstance(need.column.how, Matched):
            raise ValueError(
                f"row column {need.column.name!r} matches bookings of a table: an observation "
                "is not booked yet; compare its amount with a window of money in instead"
            )
        if need not in depth:
            depth[need] = 1 + max(
                (visit(each) for each in _needed(need.column.how, need.table)), default=-1
            )
        return depth[need]

    for spec in specs:
        for need in _needed(spec.how, OBSERVED):
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
    """Compute columns of one table; those read from other rows together, in one pass."""
    for column in columns:
        if not isinstance(column.how, LatestValue | Matched):
            values = column.how.read(place, tables=tables, timezone=timezone)
            place.append(column.name, values)
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
            place.append(name, texts[name] if how.is_text() else numbers[:, at])
    matched = {column.name: column.how for column in columns if isinstance(column.how, Matched)}
    for name, values in _match(place, matched).items():
        place.append(name, values)


def _match(place: TimedRows, wanted: Mapping[str, Matched]) -> dict[str, Floats]:
    """Match money out with money in before it, per customer; see `flow.match_flow`."""
    if not wanted:
        return {}
    history = build_history(place, place, key=(CUSTOMER_ID,))
    direction = place.table[DIRECTION].combine_chunks()
    # a booking without a direction is not money out
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


def _needed(how: How, place: str) -> Iterator[Need]:
    """List the row columns that a reading reads, on its table and on the place that looks."""
    for table, column in how.columns(place):
        if isinstance(column, RowColumn):
            yield Need(table=table, column=column)
