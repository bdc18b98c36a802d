"""A pass of the plan for one observation: rows of its key, held in memory, and what it sees."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Final

import numpy as np
import pyarrow as pa

from kyc_ml.features.buckets.anchors import AnchorRows, Pass
from kyc_ml.features.how import OBSERVED, name_of
from kyc_ml.features.kernels.observe import observe
from kyc_ml.features.keyed import KeyedRows
from kyc_ml.features.kinds.matched import Matched
from kyc_ml.features.kinds.rows_of_key import Latest, LatestValue, Window
from kyc_ml.features.live.groups import Group, Held, Program
from kyc_ml.features.live.rows import KeyRows, Wanted
from kyc_ml.features.reading import Request
from kyc_ml.features.row_columns import Need, add_row_columns, needed_columns
from kyc_ml.features.timed_rows import TimedRows, as_column
from kyc_ml.features.values import read_column, read_time
from kyc_ml.metrics import Floats

FEW_ROWS: Final = 2_048
"""A key of more rows goes on where its last observation stopped; others begin anew."""

_WHOLE: Final = AnchorRows(observed="", rows="")
"""Of a pass without an anchor, whose key, "", is that of every row."""

_NO_KEY: Final = np.empty(0, np.int32)
_NO_NUMBERS: Final = np.empty(0)

Texts = dict[str, pa.Array]


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
    """The rows of one key in every table of a pass, and what groups go on with."""

    def __init__(self, tables: Mapping[str, KeyRows]) -> None:
        self.tables = tables
        self.held: dict[tuple[Group, tuple[int, ...]], Held] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        held = sum(each.nbytes for each in self.held.values())
        return held + sum(rows.nbytes for rows in self.tables.values())


class LivePass:
    """Reads the rows of the key of one observation after the other.

    Parameters
    ----------
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
        levels = needed_columns(each.specs)
        self._of_rows = [[need for need in each if need.table != OBSERVED] for each in levels]
        self._matches = any(isinstance(n.column.how, Matched) for n in chain(*levels))
        self._keyed = keyed
        self._timezone = timezone
        self._wanted = {table: Wanted() for table in each.rows}
        self._shared: dict[tuple[Program, int], Held] = {}
        named = [(spec.name, spec.how, place[spec.name]) for spec in each.specs]
        self._features = self._compile([read for read in named if _looks_back(read[1])])
        self._own = [read for read in named if not _looks_back(read[1])]
        # the columns that the observation and rows of these tables get, level after level
        self._columns = {
            name: [self._level([need for need in level if need.table == name]) for level in levels]
            for name in (OBSERVED, *looking)
        }

    def _compile(self, named: Sequence[tuple[str, Any, int]]) -> list[Program]:
        by_table: dict[str, list[Request]] = defaultdict(list)
        for name, how, column in named:
            by_table[how.table].append(Request(name=name, how=how, column=column))
        return [
            Program(table, asked, self._wanted[table], anchor=self.anchor.rows)
            for table, asked in by_table.items()
        ]

    def _level(self, needs: Sequence[Need]) -> tuple[list[tuple[str, Any]], Any, list[Program]]:
        """Divide columns into those of the row alone, and those that look back."""
        hows = [(need.column.name, need.column.how) for need in needs]
        back = [(name, how.how) for name, how in hows if isinstance(how, LatestValue)]
        alone = [(name, how) for name, how in hows if not isinstance(how, LatestValue)]
        return alone, back, self._compile([(*each, at) for at, each in enumerate(back)])

    def load(self, value: str) -> RowsOfKey:
        """Read the rows of a key, with the columns that rows get."""
        values = pa.array([value], pa.string())
        tables = {
            name: TimedRows(self._keyed.rows(name, self.anchor.rows, values, sorted(columns)))
            for name, columns in self.tables.items()
        }
        for nobody in list(tables.values())[:1]:
            timezone = self._timezone
            add_row_columns(
                self._of_rows, tables=tables, observed=nobody, timezone=timezone, threads=1
            )
        return RowsOfKey({name: KeyRows(self._wanted[name], each) for name, each in tables.items()})

    def add_columns(self, looking: Looking, found: RowsOfKey | None, place: str = OBSERVED) -> None:
        """Add the columns that an observation gets, or a row of a table, before it is read."""
        for alone, back, programs in self._columns[place]:
            for name, how in alone:
                if name not in looking.names:
                    looking.append(name, self._read_alone(how, looking))
            if all(name in looking.names for name, _ in back):
                continue
            numbers, texts = np.full((1, len(back)), np.nan, order="F"), Texts()
            self._read(programs, looking, found, numbers, texts)
            for at, (name, _) in enumerate(back):
                if name not in looking.names:
                    looking.append(name, texts.get(name, as_column(numbers[:, at])))

    def read(self, looking: Looking, found: RowsOfKey | None, out: Floats, texts: Texts) -> None:
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
        rows = found.tables[table]
        place = rows.insert(row)
        if place is not None and place < rows.size - 1:  # between others: all begin anew
            found.held.clear()
        return place is not None

    def _read_alone(self, how: Any, looking: Looking) -> Any:  # noqa: ANN401  of any kind
        return how.read(looking.rows, tables={}, timezone=self._timezone)

    def _read(
        self,
        programs: Sequence[Program],
        looking: Looking,
        found: RowsOfKey | None,
        out: Floats,
        texts: Texts,
    ) -> None:
        for program in programs:
            rows = None if found is None else found.tables[program.table]
            for group in program.groups(frozenset() if rows is None else rows.nulls):
                row = -1
                has_key = None not in map(looking.field, group.at)
                if rows is not None and found is not None and has_key:
                    row = self._observe(program, group, found, looking, out)
                    for column, copied in group.repeated:
                        out[0, column] = out[0, copied]
                for request, how in group.latest:
                    value = None
                    if rows is not None and row >= 0 and how.reading != "value":
                        value = _read_latest(how, rows, row, looking.now)
                        out[0, request.column] = np.nan if how.is_text() else value
                    if how.is_text():
                        texts[request.name] = pa.array([value], pa.string())

    def _observe(
        self, program: Program, group: Group, found: RowsOfKey, looking: Looking, out: Floats
    ) -> int:
        """Run a group; return the row that is the latest it sees, -1 without one."""
        rows = found.tables[program.table]
        codes = _NO_KEY
        if group.keys:
            # no row has a key of the code -2
            keys = zip(group.keys, map(looking.field, group.at), strict=True)
            codes = np.array([rows.numbering[at].get(key, -2) for at, key in keys], np.int32)
        own = _NO_NUMBERS
        if group.own:
            own = np.array([looking.rows.number(name)[0] for name in group.own])
        goes_on = rows.size > FEW_ROWS
        key = group, tuple(codes.tolist())
        latest, room = -2, FEW_ROWS
        held = found.held.get(key) if goes_on else self._shared_by(program)
        while latest < -1:
            if held is None or held.codes < rows.n_codes:
                held = Held([group], program.wanted, room, codes=rows.n_codes * 3 // 2)
                found.held[key] = held
            asked = codes, held.arrays, looking.now, own, int(goes_on), out
            latest = observe(rows.arrays, rows.size, group.program, *asked)
            if latest < -1:
                room, held = max(room, (-2 - latest) * 3 // 2), None
        return latest

    def _shared_by(self, program: Program) -> Held:
        """Return the memory in which keys of few rows begin anew."""
        groups = list(chain(*program.made.values()))
        key = program, len(groups)
        if key not in self._shared:
            self._shared[key] = Held(groups, program.wanted, FEW_ROWS, codes=FEW_ROWS)
        return self._shared[key]


def _looks_back(how: object) -> bool:
    return isinstance(how, Window | Latest)


def _read_latest(how: Latest, rows: KeyRows, row: int, now: int) -> Any:  # noqa: ANN401  text or number
    """Read the latest row: its text, or a number."""
    decision = np.array([now])
    if how.column is None:
        moment = rows.arrays[0][0, row : row + 1]
        return read_time(how.reading, decision=decision, moment=moment, missing=np.zeros(1))[0]
    name = name_of(how.column)
    value = pa.array([rows.latest[name][row]], rows.types[name])
    if how.is_text():
        return value.cast(pa.string())[0].as_py()
    return read_column(value, how.reading, decision=decision, listing=how.listing)[0]
