"""A pass of the plan for one observation: rows of its key, held in memory, and what it sees."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.contract import TRANSACTION_ID, TRANSACTIONS
from kyc_ml.features.buckets.anchors import AnchorRows, Pass
from kyc_ml.features.how import OBSERVED, How, name_of
from kyc_ml.features.kernels.observe import observe
from kyc_ml.features.kernels.timeline import group_rows
from kyc_ml.features.keyed import KeyedRows
from kyc_ml.features.kinds.matched import Matched
from kyc_ml.features.kinds.rows_of_key import Latest, LatestValue, Window
from kyc_ml.features.live.groups import Counts, Group, Held, Program
from kyc_ml.features.live.looking import Looking
from kyc_ml.features.live.rows import KeyRows, Wanted
from kyc_ml.features.made import OUTCOMES
from kyc_ml.features.reading import Request
from kyc_ml.features.row_columns import Need, add_row_columns, needed_columns
from kyc_ml.features.timed_rows import TimedRows, as_codes
from kyc_ml.features.values import read_column, read_time
from kyc_ml.metrics import Floats

FEW_ROWS: Final = 2_048
"""A key of more rows continues where its last observation stopped; others have no state."""

_WHOLE: Final = AnchorRows(observed="", rows="")
"""Of a pass without an anchor, whose key, "", is that of every row."""

_NO_KEY: Final = np.empty(0, np.int32)
_NO_NUMBERS: Final = np.empty(0)

Texts = dict[str, pa.Array]


class RowsOfKey:
    """The rows of one key in every table of a pass, and the state of groups."""

    def __init__(self, tables: Mapping[str, KeyRows]) -> None:
        self.tables = tables
        self.held: dict[tuple[Group, tuple[int, ...]], Held] = {}
        self.counts: dict[tuple[Group, tuple[int, ...]], Counts] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        held = sum(each.nbytes for each in self.held.values())
        held += sum(each.moments.nbytes for each in self.counts.values())
        return held + sum(rows.nbytes for rows in self.tables.values())


class LivePass:
    """Reads the rows of the key of one observation after the other.

    `place`: mapping of feature to its column in the matrix.
    """

    def __init__(
        self, each: Pass, keyed: KeyedRows, *, timezone: str, place: Mapping[str, int]
    ) -> None:
        self.anchor = each.site.anchor or _WHOLE
        self._tables = dict(each.rows)
        self._place = place
        self._keyed = keyed
        self._timezone = timezone
        levels = needed_columns(each.specs)
        self._of_rows = [[need for need in each if need.table != OBSERVED] for each in levels]
        hows = [need.column.how for need in chain(*levels)]
        self._matches = any(isinstance(how, Matched) for how in hows)
        # a count is the same in any order of rows
        in_order = any(isinstance(how, LatestValue | Matched) for how in hows) or not all(
            isinstance(spec.how, Window) and spec.how.statistic in {"count", "distinct"}
            for spec in each.specs
        )
        self._wanted = {name: Wanted(self.anchor.rows, in_order=in_order) for name in each.rows}
        if in_order and TRANSACTIONS in each.rows:
            # rows of one time are in the order of their identifiers
            self._wanted[TRANSACTIONS].latest.append(TRANSACTION_ID)
            self._tables[TRANSACTIONS] |= {TRANSACTION_ID}
        self._shared: dict[tuple[Program, int], Held] = {}
        self._features, self._own = self._compile([(s.name, s.how) for s in each.specs], place)
        # the columns that the observation gets, and rows put in, level after level
        self._columns = {
            name: [self._level([need for need in level if need.table == name]) for level in levels]
            for name in (OBSERVED, TRANSACTIONS, OUTCOMES)
        }

    def _compile(
        self, named: Sequence[tuple[str, How]], place: Mapping[str, int]
    ) -> tuple[list[Program], list[tuple[str, How]]]:
        """Return programs of what looks back on rows, and the others."""
        by_table: dict[str, list[Request]] = defaultdict(list)
        for name, how in named:
            if isinstance(how, Window | Latest):
                by_table[how.table].append(Request(name=name, how=how, column=place[name]))
        programs = [Program(table, asked, self._wanted[table]) for table, asked in by_table.items()]
        return programs, [each for each in named if not isinstance(each[1], Window | Latest)]

    def _level(
        self, needs: Sequence[Need]
    ) -> tuple[dict[str, int], list[Program], list[tuple[str, How]]]:
        named = {need.column.name: need.column.how for need in needs}
        back = {name: how.how for name, how in named.items() if isinstance(how, LatestValue)}
        place = {name: at for at, name in enumerate(back)}
        return place, *self._compile([*{**named, **back}.items()], place)

    def load(self, values: Sequence[str]) -> dict[str, RowsOfKey]:
        """Read the rows of keys, with the columns that rows get."""
        keys, by, zone = pa.array(values, pa.string()), self.anchor.rows, self._timezone
        tables = {
            name: TimedRows(self._keyed.rows(name, by, keys, sorted(columns)))
            for name, columns in self._tables.items()
        }
        for nobody in list(tables.values())[:1]:
            add_row_columns(self._of_rows, tables=tables, observed=nobody, timezone=zone, threads=1)
        divided = {name: _divide(rows, by, values) for name, rows in tables.items()}
        return {
            value: RowsOfKey(
                {
                    name: KeyRows(self._wanted[name], rows, parts[at])
                    for name, (rows, parts) in divided.items()
                }
            )
            for at, value in enumerate(values)
        }

    def read(self, looking: Looking, found: RowsOfKey | None, out: Floats, texts: Texts) -> None:
        """Write what an observation reads of rows and of itself; without the key it sees nothing.

        `out`: float64 array of shape (1, p), NaN.
        """
        self._add_columns(looking, found, OBSERVED)
        self._read(self._features, looking, found, out, texts)
        for name, how in self._own:
            self.put(name, self._read_alone(how, looking), out, texts)

    def put(self, name: str, value: Floats | pa.Array, out: Floats, texts: Texts) -> None:
        """Write one value, a number or a text."""
        if isinstance(value, np.ndarray):
            out[0, self._place[name]] = value[0]
        else:
            texts[name] = value

    def insert(self, found: RowsOfKey, table: str, row: Looking) -> bool:
        """Put a row into the rows of its key; return False if they must be read again."""
        if self._matches:
            return False
        self._add_columns(row, found, table)
        rows = found.tables[table]
        place = rows.insert(row)
        if place is not None and place < rows.size - 1:  # between others: positions change
            found.held.clear()
            found.counts.clear()
        return place is not None

    def _add_columns(self, looking: Looking, found: RowsOfKey | None, table: str) -> None:
        for place, programs, alone in self._columns[table]:
            for name, how in alone:
                if name not in looking.names:
                    looking.append(name, self._read_alone(how, looking))
            if not looking.names.issuperset(place):
                numbers, texts = np.full((1, len(place)), np.nan, order="F"), Texts()
                self._read(programs, looking, found, numbers, texts)
                for name, at in place.items():
                    looking.append(name, texts.get(name, numbers[:, at]))

    def _read_alone(self, how: How, looking: Looking) -> Floats | pa.Array:
        return how.read(looking, tables={}, timezone=self._timezone)

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
                    if how.is_text():
                        text = None if row < 0 or rows is None else _latest_text(how, rows, row)
                        texts[request.name] = pa.array([text], pa.string())
                    elif rows is not None and row >= 0 and how.reading != "value":
                        out[0, request.column] = _read_latest(how, rows, row, looking.now)

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
            own = np.array([looking.number(name)[0] for name in group.own])
        size, chosen, key = rows.size, _NO_KEY, (group, tuple(codes.tolist()))
        if size > FEW_ROWS and group.keys:
            chosen = rows.rows_with(tuple(group.keys), key[1])
            size = chosen.size
        goes_on = size > FEW_ROWS
        if goes_on and group.is_count:
            if key not in found.counts:
                found.counts[key] = Counts(group)
            found.counts[key].take(rows.arrays, chosen, size)
            found.counts[key].read(looking.now, out)
            return -1
        latest, room = -2, FEW_ROWS
        held = found.held.get(key) if goes_on else self._shared_by(program, rows.n_codes)
        while latest < -1:
            if held is None or held.codes < rows.n_codes:
                held = Held([group], program.wanted, room, codes=rows.n_codes * 3 // 2)
                found.held[key] = held
            asked = codes, held.arrays, looking.now, own, int(goes_on), out
            latest = observe(rows.arrays, size, chosen, group.program, *asked)
            if latest < -1:
                room, held = max(room, (-2 - latest) * 3 // 2), None
        return latest

    def _shared_by(self, program: Program, codes: int) -> Held:
        """Return the memory that keys of few rows use in turn."""
        groups = list(chain(*program.made.values()))
        key = program, len(groups)
        if key not in self._shared or self._shared[key].codes < codes:
            codes = max(FEW_ROWS, 2 * codes)
            self._shared[key] = Held(groups, program.wanted, FEW_ROWS, codes=codes)
        return self._shared[key]


def _divide(rows: TimedRows, by: str, values: Sequence[str]) -> tuple[TimedRows, list[slice]]:
    """Put rows in order of a column's value, and return the part of each value."""
    if len(values) == 1:
        return rows, [slice(0, len(rows))]
    codes = pc.index_in(rows.table[by], value_set=pa.array(values, pa.string())).combine_chunks()
    order, starts = group_rows(as_codes(codes), len(values))
    ordered = TimedRows(rows.table.take(pa.array(order)).combine_chunks())
    return ordered, list(map(slice, starts[:-1].tolist(), starts[1:].tolist()))


def _latest_text(how: Latest, rows: KeyRows, row: int) -> Any:  # noqa: ANN401  a text or None
    name = name_of(cast("str", how.column))
    return pa.array([rows.latest[name][row]], rows.types[name]).cast(pa.string())[0].as_py()


def _read_latest(how: Latest, rows: KeyRows, row: int, now: int) -> float:
    decision = np.array([now])
    if how.column is None:
        moment = rows.arrays[0][0, row : row + 1]
        read = read_time(how.reading, decision=decision, moment=moment, missing=np.zeros(1))
    else:
        name = name_of(how.column)
        value = pa.array([rows.latest[name][row]], rows.types[name])
        read = read_column(value, how.reading, decision=decision, listing=how.listing)
    return float(read[0])
