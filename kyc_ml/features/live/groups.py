"""Readings of a pass as programs of numbers: which rows, windows, kernels and columns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from kyc_ml.features.how import Where, name_of
from kyc_ml.features.kernels import observe
from kyc_ml.features.kernels.timeline import FOREVER_US
from kyc_ml.features.kinds.rows_of_key import RUNS, Latest, Statistic, Window
from kyc_ml.features.live.rows import Wanted, place_of
from kyc_ml.features.made import CURRENT_ACCOUNTS, LABELS, OUTCOMES
from kyc_ml.features.reading import Request
from kyc_ml.features.sweeps import GAPS, MOMENTS, RANKS, SHARES, Pass, passes_of
from kyc_ml.metrics import Floats, Ints32

_KINDS: Final[Mapping[str, tuple[int, tuple[Statistic, ...]]]] = {
    "moments": (observe.MOMENTS, MOMENTS),
    "shares": (observe.SHARES, SHARES),
    "ranks": (observe.RANKS, RANKS),
    "gaps": (observe.GAPS, GAPS),
    "distinct": (observe.DISTINCT, ("distinct",)),
    "decayed": (observe.DECAYED, ()),
    "runs": (observe.RUNS, RUNS),
    "trend": (observe.TREND, ("trend",)),
    "max": (observe.LARGEST, ("max",)),
    "min": (observe.LARGEST, ("min",)),
}
_SUPERSEDED: Final = {LABELS, OUTCOMES, CURRENT_ACCOUNTS}

_Rows = tuple[tuple[str, ...], tuple[str, ...], Where | None, str | None]
"""The rest of the key, of the rows and of the observation, and the condition."""


class Program:
    """Readings of the rows of one table by one anchor.

    Which readings share rows depends on which columns have missing values, as in
    `features.reading`: the groups are made when a key with such columns is met.
    """

    def __init__(self, table: str, requests: Sequence[Request], wanted: Wanted) -> None:
        self.table = table
        self.wanted = wanted
        # rows that are superseded, or put in as they come, leave in any order
        self.any_order = table in _SUPERSEDED or not wanted.in_order
        self.made: dict[frozenset[str], list[Group]] = {}
        self._requests = requests
        for request in requests:
            wanted.add(request.how, having=_having(request.how))
        self._valued = frozenset(filter(None, (_having(each.how) for each in requests)))

    def groups(self, nulls: frozenset[str]) -> list[Group]:
        """Return the groups for a key in whose rows these columns have missing values."""
        nulls &= self._valued
        if nulls not in self.made:
            by_rows: dict[_Rows, list[Request]] = defaultdict(list)
            for request in self._requests:
                how, having = request.how, _having(request.how)
                key = tuple(map(name_of, how.key))
                pairs = zip(key, key if how.at is None else how.at, strict=True)
                rest = [(name, at) for name, at in pairs if name != self.wanted.anchor]
                keys = tuple(name for name, _ in rest), tuple(at for _, at in rest)
                by_rows[(*keys, how.where, having if having in nulls else None)].append(request)
            self.made[nulls] = [Group(self, rows, asked) for rows, asked in by_rows.items()]
        return self.made[nulls]


def _having(how: Window | Latest) -> str | None:
    if isinstance(how, Latest) or how.value is None or how.statistic == "distinct":
        return None
    return name_of(how.value)


class Group:
    """Readings of the same rows of a key: one rest of the key, and one condition.

    Attributes
    ----------
    at : tuple of str
        Columns of the observation that hold the rest of the key; `keys` those of the rows.
    own : list of str
        Columns of the observation that ranks are asked for.
    repeated : list of (column, column to copy)
    latest : list of (Request, Latest)
        Read from the latest row.
    is_count : bool
        Whether nothing but rows is counted.
    """

    def __init__(self, program: Program, rows: _Rows, requests: Sequence[Request]) -> None:
        columns, self.at, where, having = rows
        self._wanted = wanted = program.wanted
        self._superseded = program.table in _SUPERSEDED
        self.any_order = program.any_order
        self._lags: list[int] = []
        self._calls: list[list[int]] = []
        self.own: list[str] = []
        self.repeated: list[tuple[int, int]] = []
        self.latest = [(each, each.how) for each in requests if isinstance(each.how, Latest)]
        self.sums = 0
        windows: dict[tuple[int | None, int], list[Request]] = defaultdict(list)
        for each in requests:
            how = each.how
            length = (how.period.us, how.lag_us) if isinstance(how, Window) else (None, 0)
            windows[length].append(each)
        laid = [self._add_window(*length, asked) for length, asked in windows.items()]
        calls = np.array(self._calls, np.int64)
        self.is_count = bool((calls[:, 0] == observe.COUNT).all()) and not self.latest
        read = [
            np.isin(np.arange(len(wanted.numbers)), calls[:, 1]),
            np.isin(np.arange(len(wanted.texts)), calls[:, 2]),
        ]
        self.keys = [wanted.texts.index(name) for name in columns]
        self.program: observe.Program = (
            wanted.condition(where, having),
            np.array(self.keys, np.int32),
            np.array(self._lags, np.int64),
            np.array(laid, np.int64),
            calls,
            np.concatenate(read).astype(np.int32),
            int(program.any_order),
        )

    def _add_window(
        self, window_us: int | None, lag_us: int, asked: Sequence[Request]
    ) -> tuple[int, int, int, int]:
        begin = len(self._calls)
        windowed = [(each.how, each.column) for each in asked if isinstance(each.how, Window)]
        # rows are in order or not: the kernels of a timeline give the same
        passes, repeated = passes_of(windowed, in_order=False)
        self.repeated += repeated
        for served, columns in passes.items():
            self._add_pass(served, columns)
        if len(windowed) < len(asked):
            self._call(observe.NEAREST)
            for each in asked:
                how = each.how
                if isinstance(how, Latest) and how.reading == "value" and how.column is not None:
                    place = self._wanted.numbers.index(name_of(how.column))
                    self._call(observe.LEVEL, each.column, value=place)
        reach = FOREVER_US if window_us is None else lag_us + window_us
        return reach, place_of(self._lags, lag_us), begin, len(self._calls)

    def _add_pass(self, served: Pass, columns: Mapping[Statistic, int]) -> None:
        name, value, weight, own, span = served
        kind, statistics = _KINDS[name]
        coded = name in {"shares", "distinct"}
        number = weight if coded else value
        if name == "moments" and value is None:
            kind = observe.COUNT
        if self._superseded and name == "decayed":
            msg = "decayed statistics cannot be declared over a table of superseded rows"
            raise ValueError(msg)
        if self._superseded and kind == observe.LARGEST:
            # superseded rows do not leave in the order in which they came
            kind = observe.LARGEST_ANEW
        self._call(
            kind,
            *(columns.get(each, -1) for each in statistics or columns),
            value=-1 if number is None else self._wanted.numbers.index(number),
            code=self._wanted.texts.index(str(value)) if coded else -1,
            own=-1 if own is None else place_of(self.own, own),
            span=span or 0,
            sign=-1 if name == "min" else 1,
        )
        self.sums += kind == observe.SHARES

    def _call(
        self, kind: int, *columns: int, value: int = -1, code: int = -1, own: int = -1,
        span: int = 0, sign: int = 1,
    ) -> None:  # fmt: skip
        padded = (*columns, *[-1] * (7 - len(columns)))
        self._calls.append([kind, value, code, own, span, sign, self.sums, *padded])


class Held:
    """Memory of `observe`: rows of groups in their order, and the state of kernels.

    Keys of few rows use it one after the other, with no state; a key of many rows has its own.
    """

    def __init__(self, groups: Sequence[Group], wanted: Wanted, room: int, *, codes: int) -> None:
        programs = [group.program for group in groups]
        lags, windows, calls = (max(len(each[at]) for each in programs) for at in (2, 3, 4))  # type: ignore[arg-type]
        leaving = windows if any(group.any_order for group in groups) else 0
        orders = np.empty((lags + leaving, room), np.int32)
        orders[:] = np.arange(room)
        values: Floats = np.zeros((len(wanted.numbers), room))
        self.room, self.codes = room, codes
        self.arrays: observe.Held = (
            np.zeros(3, np.int64),
            np.zeros(room, np.int32),
            orders,
            # rows to come happen never, so that the width of the key does not change
            np.full((3 + lags + leaving, room), FOREVER_US),
            values,
            np.zeros((len(wanted.texts), room), np.int32),
            np.zeros((windows + calls, 8)),
            np.zeros((windows + calls) * (3 * room + 2), np.int32),
            np.zeros(max(group.sums for group in groups) * (4 * room + 2)),
            np.zeros((len(wanted.texts), codes), np.int32),
            np.zeros(len(wanted.texts), np.int64),
            np.empty(2 * room + 1, np.int32),
        )
        # of the memory of kernels, most is never touched
        self.nbytes = 2 * sum(each.nbytes for each in self.arrays[:7])


class Counts:
    """When the rows of a group enter and leave its windows, in order, if they are only counted.

    An observation of any time is then answered by searching.
    """

    def __init__(self, group: Group) -> None:
        self._condition, _, self._lags, self._windows, self._calls, *_ = group.program
        self._taken = self._size = 0
        self.moments = np.empty((2 * len(self._windows), 0), np.int64)

    def take(self, rows: observe.Rows, chosen: Ints32, size: int) -> None:
        """Take in the rows up to `size` that are new; see `observe.observe`."""
        new = np.arange(self._taken, size, dtype=np.int32)
        self._taken = size
        new = chosen[new] if chosen.size else new
        new = new[rows[3][self._condition, new]] if self._condition >= 0 else new
        if not new.size:
            return
        event, known, *until = rows[0][:, new]
        first, self._size = self._size, self._size + new.size
        if self._size > self.moments.shape[1]:
            wider = np.empty((len(self.moments), self._size * 9 // 8), np.int64)
            wider[:, :first] = self.moments[:, :first]
            self.moments = wider
        for number, (reach, lag, *_) in enumerate(self._windows):
            enters = np.maximum(event + self._lags[lag] + 1, known)
            # a row that is known after it has left enters as it leaves
            leaves = np.maximum(enters, np.minimum(event + reach + 1, *until or [FOREVER_US]))
            for held, each in zip(self.moments[2 * number :], (enters, leaves), strict=False):
                begin = held[:first].searchsorted(each.min())
                held[first : self._size] = each
                held[begin : self._size].sort(kind="stable")

    def read(self, now: int, out: Floats) -> None:
        """Write the counts that an observation sees."""
        entered = [held[: self._size].searchsorted(now, "right") for held in self.moments]
        for number, (_, _, begin, end) in enumerate(self._windows):
            out[0, self._calls[begin:end, 7]] = entered[2 * number] - entered[2 * number + 1]
