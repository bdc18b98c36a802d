"""A pass of the plan for one observation: rows of its key, held in memory, and what it sees."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Final

import numpy as np
import pyarrow as pa

from kyc_ml.features.buckets.anchors import AnchorRows, Pass
from kyc_ml.features.how import OBSERVED, name_of
from kyc_ml.features.kernels.observe import TAKEN, observe, select_rows
from kyc_ml.features.keyed import KeyedRows
from kyc_ml.features.kinds.matched import Matched
from kyc_ml.features.kinds.rows_of_key import Latest, LatestValue, Window
from kyc_ml.features.live.groups import Group, Held, Program
from kyc_ml.features.live.rows import NO_MOMENT, KeyRows, Wanted
from kyc_ml.features.reading import Request
from kyc_ml.features.row_columns import Need, add_row_columns, needed_columns
from kyc_ml.features.timed_rows import TimedRows, as_column
from kyc_ml.features.values import TEXT, read_column, read_time
from kyc_ml.metrics import Floats, Ints32

FEW_ROWS: Final = 2_048
"""A key of more rows goes on where its last observation stopped; others begin anew, in memory
that all share."""

Readings = tuple[Floats, dict[str, pa.Array]]
"""Numbers of shape (1, p), NaN where missing, and texts by name."""


class Looking:
    """One observation, or one row that looks back: its time, and its own fields as they are."""

    def __init__(self, rows: TimedRows) -> None:
        self.rows = rows
        self.now = int(rows.event_time[0])
        self._texts: dict[str, object] = {}

    def field(self, name: str) -> object:
        """Return a field of the observation; None where it is missing."""
        if name not in self._texts:
            self._texts[name] = self.rows.table[name][0].as_py()
        return self._texts[name]


class RowsOfKey:
    """The rows of one key in every table of a pass."""

    def __init__(self, tables: Mapping[str, KeyRows]) -> None:
        self.tables = tables
        self.held: dict[tuple[Group, tuple[int, ...]], Held] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of the rows; what kernels go on with is about three times as much."""
        n = sum(rows.nbytes for rows in self.tables.values())
        return n * 4 if self.held else n

    def forget_positions(self, table: str) -> None:
        """Begin anew with every group of a table: a row has come between others."""
        self.held = {key: held for key, held in self.held.items() if key[0].table != table}


class LivePass:
    """Reads the rows of the key of one observation after the other.

    Parameters
    ----------
    each : Pass
        A pass of the plan that has an anchor, of the observations.
    """

    def __init__(
        self, each: Pass, keyed: KeyedRows, *, timezone: str, looking: Sequence[str]
    ) -> None:
        assert each.site.anchor is not None  # noqa: S101  the caller's promise
        self.anchor: AnchorRows = each.site.anchor
        self.tables = each.rows
        self.levels = needed_columns(each.specs)
        self._keyed = keyed
        self._timezone = timezone
        self._wanted = {table: Wanted() for table in each.rows}
        self._scratch: dict[tuple[Program, int], Held] = {}
        features = [
            Request(name=spec.name, how=spec.how, column=column)
            for column, spec in enumerate(each.specs)
            if isinstance(spec.how, Window | Latest)
        ]
        self._n_features = len(each.specs)
        self._features = self._compile(features)
        # the columns that the observation and rows of these tables get, level after level
        self._columns = {
            place: [self._compile_level(level, place) for level in self.levels]
            for place in (OBSERVED, *looking)
        }

    def _compile(self, requests: Sequence[Request]) -> list[tuple[str, Program]]:
        by_table: dict[str, list[Request]] = defaultdict(list)
        for request in requests:
            by_table[request.how.table].append(request)
        return [
            (table, Program(table, asked, self._wanted[table], anchor=self.anchor.rows))
            for table, asked in by_table.items()
        ]

    def _compile_level(
        self, level: Sequence[Need], place: str
    ) -> tuple[list[Need], list[Request], list[tuple[str, Program]]]:
        here = [need for need in level if need.table == place]
        back = [need.column for need in here if isinstance(need.column.how, LatestValue)]
        requests = [
            Request(name=column.name, how=column.how.how, column=at)
            for at, column in enumerate(back)
            if isinstance(column.how, LatestValue)
        ]
        alone = [need for need in here if not isinstance(need.column.how, LatestValue)]
        return alone, requests, self._compile(requests)

    def load(self, value: str) -> RowsOfKey:
        """Read the rows of a key, with the columns that rows get."""
        tables = {
            name: TimedRows(
                self._keyed.rows(name, self.anchor.rows, pa.array([value]), sorted(columns))
            )
            for name, columns in self.tables.items()
        }
        levels = [[need for need in level if need.table != OBSERVED] for level in self.levels]
        nobody = next(iter(tables.values()))
        add_row_columns(levels, tables=tables, observed=nobody, timezone=self._timezone, threads=1)
        return RowsOfKey({name: KeyRows(self._wanted[name], rows) for name, rows in tables.items()})

    def add_columns(self, looking: Looking, found: RowsOfKey | None, place: str = OBSERVED) -> None:
        """Add the columns that an observation gets, or a row of a table, before it is read."""
        for alone, requests, programs in self._columns[place]:
            there = set(looking.rows.table.column_names)
            add_row_columns(
                [[need for need in alone if need.column.name not in there]],
                tables={place: looking.rows},
                observed=looking.rows,
                timezone=self._timezone,
                threads=1,
            )
            if all(request.name in there for request in requests):
                continue
            numbers, texts = self._read(programs, len(requests), looking, found)
            for request in requests:
                if request.name not in there:
                    text = request.how.is_text()
                    column = texts[request.name] if text else as_column(numbers[:, request.column])
                    looking.rows.append(request.name, column)

    def read(self, looking: Looking, found: RowsOfKey | None) -> Readings:
        """Read the windows and latest rows of an observation; one without the key sees nothing."""
        return self._read(self._features, self._n_features, looking, found)

    def insert(self, found: RowsOfKey, table: str, rows: TimedRows) -> bool:
        """Put a row into the rows of its key; return False if they must be read again."""
        if any(isinstance(need.column.how, Matched) for need in chain(*self.levels)):
            return False
        self.add_columns(Looking(rows), found, table)
        place = found.tables[table].insert(rows)
        if place is not None and place < found.tables[table].size - 1:
            found.forget_positions(table)
        return place is not None

    def _read(
        self,
        programs: Sequence[tuple[str, Program]],
        width: int,
        looking: Looking,
        found: RowsOfKey | None,
    ) -> Readings:
        out = np.full((1, width), np.nan, order="F")
        texts: dict[str, pa.Array] = {}
        for table, program in programs:
            source = None if found is None else found.tables[table]
            for group in program.groups(frozenset() if source is None else source.nulls):
                keys = [looking.field(name) for name in group.at]
                if source is None or found is None or None in keys:
                    nothing = {each.name: None for each in group.latest if each.how.is_text()}
                    texts |= {name: pa.nulls(1, pa.string()) for name in nothing}
                    continue
                row = self._observe(program, group, found, source, keys, looking, out)
                for column, copied in group.repeated:
                    out[0, column] = out[0, copied]
                for request in group.latest:
                    value = self._read_latest(request, source, row, looking.now, out)
                    if request.how.is_text():
                        texts[request.name] = pa.array([value], pa.string())
        return out, texts

    def _observe(
        self,
        program: Program,
        group: Group,
        found: RowsOfKey,
        source: KeyRows,
        keys: Sequence[object],
        looking: Looking,
        out: Floats,
    ) -> int:
        """Run a group; return the row of the source that is the latest it sees, -1 without."""
        codes = np.array(
            [source.code(at, key) for at, key in zip(group.key_columns, keys, strict=True)],
            np.int32,
        )
        goes_on = source.size > FEW_ROWS and bool((codes >= 0).all())
        held = self._held(group, found, source, codes) if goes_on else self._shared(program, source)
        last = select_rows(
            source.masks,
            source.codes,
            source.size,
            group.condition,
            group.key_columns,
            codes,
            held.taken,
            held.marks,
        )
        if last > held.room:
            held = Held([group], self._wanted[group.table], last + last // 2)
            found.held[group, tuple(codes)] = held
            return self._observe(program, group, found, source, keys, looking, out)
        held.marks[TAKEN] = source.size
        own = np.array([looking.rows.number(name)[0] for name in group.own])
        nearest = np.full(1, -1)
        observe(
            source.times,
            source.numbers,
            source.codes,
            last,
            looking.now,
            own,
            group.lags,
            group.windows,
            group.calls,
            group.reads,
            held.marks,
            held.taken,
            held.orders,
            held.times,
            held.values,
            held.codes,
            held.kept,
            held.memory,
            held.sums,
            held.recoded,
            held.different,
            held.entries,
            goes_on,
            out,
            nearest,
        )
        return int(nearest[0])

    def _held(self, group: Group, found: RowsOfKey, source: KeyRows, codes: Ints32) -> Held:
        key = (group, tuple(codes))
        if key not in found.held:
            found.held[key] = Held([group], self._wanted[group.table], FEW_ROWS)
        found.held[key].reserve(source.n_codes())
        return found.held[key]

    def _shared(self, program: Program, source: KeyRows) -> Held:
        """Return the memory that keys of few rows share."""
        groups = program.all_groups()
        key = (program, len(groups))
        if key not in self._scratch:
            self._scratch[key] = Held(groups, program.wanted, FEW_ROWS)
        held = self._scratch[key]
        held.begin(source.n_codes())
        return held

    def _read_latest(
        self, request: Request, source: KeyRows, row: int, now: int, out: Floats
    ) -> object:
        """Read the latest row, -1 without one, into `out`, or return its text."""
        how, wanted = request.how, self._wanted[request.how.table]
        assert isinstance(how, Latest)  # noqa: S101  the caller's filter
        if row < 0:
            return None
        name = "" if how.column is None else name_of(how.column)
        if how.reading in TEXT:
            return source.text(wanted.texts.index(name), row)
        decision = np.array([now])
        if how.reading == "listed":
            text = pa.array([source.text(wanted.texts.index(name), row)], pa.string())
            value = read_column(text, "listed", decision=decision, listing=how.listing)[0]
        elif how.column is None:
            moment = source.times[0, row : row + 1]
            value = read_time(how.reading, decision=decision, moment=moment, missing=np.zeros(1))[0]
        elif name in wanted.numbers:
            if how.reading == "value":
                return None  # levelled with rows of the same times, when it was found
            value = source.numbers[wanted.numbers.index(name), row]
        else:
            moment = source.moments[wanted.moments.index(name), row : row + 1]
            missing = np.where(moment == NO_MOMENT, np.nan, 0.0)
            value = read_time(how.reading, decision=decision, moment=moment, missing=missing)[0]
        out[0, request.column] = value
        return None
