"""A pass of the plan for one observation: rows of its key, held in memory, and what it sees."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Final

import numpy as np
import pyarrow as pa

from kyc_ml.features.buckets.anchors import AnchorRows, Pass
from kyc_ml.features.how import OBSERVED
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

_WHOLE: Final = AnchorRows(observed="", rows="")
"""Of a pass without an anchor, whose key, "", is that of every row."""

_NO_KEY: Final = np.empty(0, np.int32)
_NO_NUMBERS: Final = np.empty(0)


class Looking:
    """One observation, or one row that looks back: its time, and its own fields as they are."""

    def __init__(self, rows: TimedRows) -> None:
        self.rows = rows
        self.now = int(rows.event_time[0])
        self.names = set(rows.table.column_names)
        self._fields: dict[str, Any] = {"": ""}

    def field(self, name: str) -> Any:  # noqa: ANN401  a value of a row
        """Return a field of the observation; None where it is missing."""
        if name not in self._fields:
            self._fields[name] = self.rows.table[name][0].as_py()
        return self._fields[name]

    def append(self, name: str, values: pa.Array) -> None:
        """Add a field."""
        self.rows.append(name, values)
        self.names.add(name)


class RowsOfKey:
    """The rows of one key in every table of a pass."""

    def __init__(self, tables: Mapping[str, KeyRows]) -> None:
        self.tables = tables
        self.held: dict[tuple[Group, tuple[int, ...]], Held] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of the rows, and of what kernels go on with."""
        held = sum(each.nbytes for each in self.held.values())
        return held + sum(rows.nbytes for rows in self.tables.values())

    def forget_positions(self, table: str) -> None:
        """Begin anew with every group of a table: a row has come between others."""
        self.held = {key: held for key, held in self.held.items() if key[0].table != table}


class LivePass:
    """Reads the rows of the key of one observation after the other.

    Parameters
    ----------
    each : Pass
        A pass of the plan.
    place : mapping of feature to its column in the matrix
    looking : sequence of str
        Tables whose rows are put in one after the other.
    """

    def __init__(
        self,
        each: Pass,
        keyed: KeyedRows,
        *,
        timezone: str,
        place: Mapping[str, int],
        looking: Sequence[str],
    ) -> None:
        self.anchor = each.site.anchor or _WHOLE
        self.tables = each.rows
        self.place = place
        self.levels = needed_columns(each.specs)
        self._matches = any(isinstance(n.column.how, Matched) for n in chain(*self.levels))
        self._keyed = keyed
        self._timezone = timezone
        self._wanted = {table: Wanted() for table in each.rows}
        self._shared: dict[tuple[Program, int], Held] = {}
        self._nearest = np.empty(1, np.int64)
        self._features = self._compile(
            [
                Request(name=spec.name, how=spec.how, column=place[spec.name])
                for spec in each.specs
                if isinstance(spec.how, Window | Latest)
            ]
        )
        self._own = [
            (spec.name, spec.how, place[spec.name])
            for spec in each.specs
            if not isinstance(spec.how, Window | Latest)
        ]
        # the columns that the observation and rows of these tables get, level after level
        self._columns = {
            name: [self._compile_level(level, name) for level in self.levels]
            for name in (OBSERVED, *looking)
        }

    def _compile(self, requests: Sequence[Request]) -> list[Program]:
        by_table: dict[str, list[Request]] = defaultdict(list)
        for request in requests:
            by_table[request.how.table].append(request)
        return [
            Program(table, asked, self._wanted[table], anchor=self.anchor.rows)
            for table, asked in by_table.items()
        ]

    def _compile_level(
        self, level: Sequence[Need], place: str
    ) -> tuple[list[Need], list[Request], list[Program]]:
        here = [need for need in level if need.table == place]
        back = [
            (need.column.name, need.column.how.how)
            for need in here
            if isinstance(need.column.how, LatestValue)
        ]
        requests = [Request(name=name, how=how, column=at) for at, (name, how) in enumerate(back)]
        alone = [need for need in here if not isinstance(need.column.how, LatestValue)]
        return alone, requests, self._compile(requests)

    def load(self, value: str) -> RowsOfKey:
        """Read the rows of a key, with the columns that rows get."""
        values = pa.array([value], pa.string())
        tables = {
            name: TimedRows(self._keyed.rows(name, self.anchor.rows, values, sorted(columns)))
            for name, columns in self.tables.items()
        }
        levels = [[need for need in level if need.table != OBSERVED] for level in self.levels]
        for nobody in list(tables.values())[:1]:
            add_row_columns(
                levels, tables=tables, observed=nobody, timezone=self._timezone, threads=1
            )
        return RowsOfKey({name: KeyRows(self._wanted[name], rows) for name, rows in tables.items()})

    def add_columns(self, looking: Looking, found: RowsOfKey | None, place: str = OBSERVED) -> None:
        """Add the columns that an observation gets, or a row of a table, before it is read."""
        for alone, requests, programs in self._columns[place]:
            for need in alone:
                if need.column.name not in looking.names:
                    looking.append(need.column.name, self._read_alone(need.column.how, looking))
            if all(request.name in looking.names for request in requests):
                continue
            numbers = np.full((1, len(requests)), np.nan, order="F")
            texts: dict[str, pa.Array] = {}
            self._read(programs, looking, found, numbers, texts)
            for request in requests:
                if request.name not in looking.names:
                    text = request.how.is_text()
                    column = texts[request.name] if text else as_column(numbers[:, request.column])
                    looking.append(request.name, column)

    def read(
        self, looking: Looking, found: RowsOfKey | None, out: Floats, texts: dict[str, pa.Array]
    ) -> None:
        """Write what an observation reads of rows and of itself; without the key it sees nothing.

        `out`: float64 array of shape (1, p), NaN.
        """
        self._read(self._features, looking, found, out, texts)
        for name, how, column in self._own:
            value = self._read_alone(how, looking)
            if how.is_text():
                texts[name] = value
            else:
                out[0, column] = value[0]

    def insert(self, found: RowsOfKey, table: str, row: TimedRows) -> bool:
        """Put a row into the rows of its key; return False if they must be read again."""
        if self._matches:
            return False
        self.add_columns(Looking(row), found, table)
        place = found.tables[table].insert(row)
        if place is not None and place < found.tables[table].size - 1:
            found.forget_positions(table)
        return place is not None

    def _read_alone(self, how: Any, looking: Looking) -> Any:  # noqa: ANN401  of any kind
        return how.read(looking.rows, tables={}, timezone=self._timezone)

    def _read(
        self,
        programs: Sequence[Program],
        looking: Looking,
        found: RowsOfKey | None,
        out: Floats,
        texts: dict[str, pa.Array],
    ) -> None:
        for program in programs:
            source = None if found is None else found.tables[program.table]
            for group in program.groups(frozenset() if source is None else source.nulls):
                keys = [looking.field(name) for name in group.at]
                row = -1
                if source is not None and found is not None and None not in keys:
                    row = self._observe(program, group, found, looking, keys=keys, out=out)
                    for column, copied in group.repeated:
                        out[0, column] = out[0, copied]
                for request, how, name in group.latest:
                    value = None
                    if source is not None and row >= 0:
                        value = self._read_latest(how, name, source, row, looking.now)
                    if how.is_text():
                        texts[request.name] = pa.array([value], pa.string())
                    elif value is not None:
                        out[0, request.column] = value

    def _observe(
        self,
        program: Program,
        group: Group,
        found: RowsOfKey,
        looking: Looking,
        *,
        keys: Sequence[object],
        out: Floats,
    ) -> int:
        """Run a group; return the row of the source that is the latest it sees, -1 without."""
        source = found.tables[program.table]
        codes = _NO_KEY
        if keys:
            places = zip(group.key_places, keys, strict=True)
            codes = np.array([source.code(at, key) for at, key in places], np.int32)
        goes_on = source.size > FEW_ROWS and not (codes < 0).any()
        begin = self._held if goes_on else self._begin
        held = begin(program, group, found, codes)
        conditions = source.masks, source.codes, source.size, group.condition
        last = select_rows(*conditions, group.key_columns, codes, held.taken, held.marks)
        if last > held.room:
            held = Held([group], program.wanted, last + last // 2)
            found.held[group, tuple(codes)] = held
            return self._observe(program, group, found, looking, keys=keys, out=out)
        held.marks[TAKEN] = source.size
        own = _NO_NUMBERS
        if group.own:
            own = np.array([looking.rows.number(name)[0] for name in group.own])
        rows = source.times, source.numbers, source.codes
        asked = last, looking.now, own, int(goes_on)
        self._nearest[0] = -1
        observe(rows, group.program, held.arrays(), *asked, out, self._nearest)
        return int(self._nearest[0])

    def _held(self, program: Program, group: Group, found: RowsOfKey, codes: Ints32) -> Held:
        """Return what a group goes on with for a key of many rows."""
        key = (group, tuple(codes))
        if key not in found.held:
            found.held[key] = Held([group], program.wanted, FEW_ROWS)
        found.held[key].reserve(found.tables[program.table].n_codes())
        return found.held[key]

    def _begin(self, program: Program, _: Group, found: RowsOfKey, __: Ints32) -> Held:
        """Return the memory that keys of few rows share."""
        key = (program, program.n_groups)
        if key not in self._shared:
            self._shared[key] = Held(program.all_groups(), program.wanted, FEW_ROWS)
        self._shared[key].begin(found.tables[program.table].n_codes())
        return self._shared[key]

    def _read_latest(self, how: Latest, name: str, source: KeyRows, row: int, now: int) -> Any:  # noqa: ANN401  a text or a number
        """Read the latest row; a value is levelled with rows of the same times when it is found."""
        wanted = source.wanted
        if how.reading in TEXT:
            return source.text(wanted.texts.index(name), row)
        decision = np.array([now])
        if how.reading == "listed":
            text = pa.array([source.text(wanted.texts.index(name), row)], pa.string())
            return read_column(text, "listed", decision=decision, listing=how.listing)[0]
        if how.column is None:
            moment, missing = source.times[0, row : row + 1], np.zeros(1)
        elif name in wanted.numbers:
            return (
                None if how.reading == "value" else source.numbers[wanted.numbers.index(name), row]
            )
        else:
            moment = source.moments[wanted.moments.index(name), row : row + 1]
            missing = np.where(moment == NO_MOMENT, np.nan, 0.0)
        return read_time(how.reading, decision=decision, moment=moment, missing=missing)[0]
