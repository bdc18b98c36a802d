"""Readings of a pass as programs of numbers: which rows, windows, kernels and columns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from kyc_ml.features.values import TEXT
from kyc_ml.metrics import Floats, Ints, Ints32

_TIMES: Final = frozenset({"years_since", "days_since", "days_until"})
_KINDS: Final[Mapping[str, tuple[int, tuple[Statistic, ...]]]] = {
    "moments": (observe.MOMENTS, MOMENTS),
    "shares": (observe.SHARES, SHARES),
    "ranks": (observe.RANKS, RANKS),
    "gaps": (observe.GAPS, GAPS),
    "distinct": (observe.DISTINCT, ("distinct",)),
    "decayed": (observe.DECAYED, ("decayed_count", "decayed_sum")),
    "runs": (observe.RUNS, RUNS),
    "trend": (observe.TREND, ("trend",)),
    "max": (observe.EXTREME, ("max",)),
    "min": (observe.EXTREME, ("min",)),
}


@dataclass(kw_only=True, eq=False)
class Group:
    """Readings of the same rows of a key: of one table, one rest of the key and one condition.

    Attributes
    ----------
    at : tuple of str
        Columns of the observation that hold the rest of the key; `key_columns` those of the rows.
    windows : int64 array of shape (n, 5)
        Reach, number of the lag, first and last call, 1 where the window always begins anew.
    calls : int64 array of shape (m, 8 + 7)
        See `observe.OP`.
    own : tuple of str
        Columns of the observation that ranks are asked for.
    repeated : tuple of (column, column to copy)
    latest : tuple of (Request, Latest, column)
        Read from the latest row.
    """

    table: str
    condition: int
    key_columns: Ints32
    at: tuple[str, ...]
    lags: Ints
    windows: Ints
    calls: Ints
    reads: Ints32
    own: tuple[str, ...]
    repeated: tuple[tuple[int, int], ...]
    latest: tuple[tuple[Request, Latest, str], ...]
    room: int
    sums: int

    def __post_init__(self) -> None:
        self.key_places = self.key_columns.tolist()
        self.program: tuple[Ints, Ints, Ints, Ints32] = (
            self.lags,
            self.windows,
            self.calls,
            self.reads,
        )


_Rows = tuple[tuple[str, ...], tuple[str, ...], Where | None, str | None]


class Program:
    """Readings of the rows of one table by one anchor.

    Which readings share rows depends on which columns have missing values, as in
    `features.reading`: the groups are made when a key with such columns is met.
    """

    def __init__(
        self, table: str, requests: Sequence[Request], wanted: Wanted, *, anchor: str
    ) -> None:
        self.table = table
        self._requests = requests
        self.wanted = wanted
        self._anchor = anchor
        self._groups: dict[frozenset[str], list[Group]] = {}
        self.supersedes = table in {LABELS, OUTCOMES, CURRENT_ACCOUNTS}
        self._valued: set[str] = set()
        for request in requests:
            self._note(request.how)

    def groups(self, nulls: frozenset[str]) -> list[Group]:
        """Return the groups for a key in whose rows these columns have missing values."""
        nulls &= self._valued
        if nulls not in self._groups:
            self._groups[nulls] = self._make(nulls)
        return self._groups[nulls]

    @property
    def n_groups(self) -> int:
        """How many groups were made so far."""
        return sum(map(len, self._groups.values()))

    def all_groups(self) -> list[Group]:
        """Return the groups made so far."""
        return [group for groups in self._groups.values() for group in groups]

    def _note(self, how: Window | Latest) -> None:
        """Add what a reading needs to what is read of the table."""
        wanted = self.wanted
        for column in how.key:
            if name_of(column) != self._anchor:
                place_of(wanted.texts, name_of(column))
        having = _having(how)
        if having is not None:
            self._valued.add(having)
        if isinstance(how, Latest):
            if how.column is not None:
                text = how.reading in TEXT or how.reading == "listed"
                numbers = wanted.moments if how.reading in _TIMES else wanted.numbers
                place_of(wanted.texts if text else numbers, name_of(how.column))
        else:
            coded = how.statistic == "distinct" or how.statistic in SHARES
            if how.value is not None:
                place_of(wanted.texts if coded else wanted.numbers, name_of(how.value))
            if how.weight is not None:
                place_of(wanted.numbers, name_of(how.weight))
        wanted.condition(how.where, None)
        wanted.condition(how.where, having)

    def _make(self, nulls: frozenset[str]) -> list[Group]:
        by_rows: dict[_Rows, list[Request]] = defaultdict(list)
        for request in self._requests:
            how, having = request.how, _having(request.how)
            key = tuple(map(name_of, how.key))
            at = key if how.at is None else how.at
            rest = [place for place, name in enumerate(key) if name != self._anchor]
            rows = tuple(key[place] for place in rest), tuple(at[place] for place in rest)
            by_rows[(*rows, how.where, having if having in nulls else None)].append(request)
        return [
            _Builder(self.wanted, supersedes=self.supersedes).build(self.table, rows, asked)
            for rows, asked in by_rows.items()
        ]


def _having(how: Window | Latest) -> str | None:
    if isinstance(how, Latest) or how.value is None or how.statistic == "distinct":
        return None
    return name_of(how.value)


class _Builder:
    """Writes the windows and calls of one group."""

    def __init__(self, wanted: Wanted, *, supersedes: bool) -> None:
        self._wanted = wanted
        self._supersedes = supersedes
        self._lags: list[int] = []
        self._windows: list[list[int]] = []
        self._calls: list[list[int]] = []
        self._own: list[str] = []
        self._repeated: list[tuple[int, int]] = []
        self._room, self._sums = 0, 0

    def build(self, table: str, rows: _Rows, requests: Sequence[Request]) -> Group:
        """Make a group of requests for the same rows."""
        columns, at, where, having = rows
        windows: dict[tuple[int | None, int], list[Request]] = defaultdict(list)
        for each in requests:
            how = each.how
            windows[(how.period.us, how.lag_us) if isinstance(how, Window) else (None, 0)].append(
                each
            )
        self._room = len(windows)
        for (window_us, lag_us), asked in windows.items():
            self._add_window(window_us, lag_us, asked)
        calls = np.array(self._calls, np.int64)
        names = self._wanted.numbers, self._wanted.texts
        return Group(
            table=table,
            condition=self._wanted.condition(where, having),
            key_columns=np.array([self._wanted.texts.index(name) for name in columns], np.int32),
            at=at,
            lags=np.array(self._lags, np.int64),
            windows=np.array(self._windows, np.int64),
            calls=calls,
            reads=np.concatenate(
                [
                    np.where(np.isin(np.arange(len(each)), calls[:, place]), 0, -1)
                    for place, each in enumerate(names, start=1)
                ]
            ).astype(np.int32),
            own=tuple(self._own),
            repeated=tuple(self._repeated),
            latest=tuple(
                (each, each.how, "" if each.how.column is None else name_of(each.how.column))
                for each in requests
                if isinstance(each.how, Latest)
            ),
            room=self._room,
            sums=self._sums,
        )

    def _add_window(self, window_us: int | None, lag_us: int, asked: Sequence[Request]) -> None:
        begin = len(self._calls)
        windowed = [(each.how, each.column) for each in asked if isinstance(each.how, Window)]
        # rows are in order or not: the kernels of a timeline give the same
        passes, repeated = passes_of(windowed, in_order=False)
        self._repeated += repeated
        for served, columns in passes.items():
            self._add_pass(served, columns)
        if len(windowed) < len(asked):
            nearest = len(self._calls)
            self._call(observe.NEAREST, ())
            for each in asked:
                how = each.how
                if isinstance(how, Latest) and how.reading == "value" and how.column is not None:
                    place = self._wanted.numbers.index(name_of(how.column))
                    self._call(observe.LEVEL, (each.column, nearest), value=place)
        anew = any(call[0] == observe.RANKS for call in self._calls[begin:])
        reach = FOREVER_US if window_us is None else lag_us + window_us
        lag = place_of(self._lags, lag_us)
        self._windows.append([reach, lag, begin, len(self._calls), int(anew)])

    def _add_pass(self, served: Pass, columns: Mapping[Statistic, int]) -> None:
        name, value, weight, own, span = served
        kind, statistics = _KINDS[name]
        coded = name in {"shares", "distinct"}
        number = weight if coded else value
        if kind == observe.MOMENTS and value is None:
            kind, statistics = observe.COUNT, ("count",)
        if name == "decayed":
            statistics = tuple(columns)
            if self._supersedes:
                msg = "decayed statistics cannot be declared over a table of superseded rows"
                raise ValueError(msg)
        if kind == observe.EXTREME and self._supersedes:
            # superseded rows do not leave in the order in which they came
            kind = observe.EXTREME_ANEW
        self._call(
            kind,
            tuple(columns.get(each, -1) for each in statistics),
            value=-1 if number is None else self._wanted.numbers.index(number),
            code=self._wanted.texts.index(str(value)) if coded else -1,
            own=-1 if own is None else place_of(self._own, own),
            span=span or 0,
            sign=-1 if name == "min" else 1,
        )

    def _call(
        self,
        kind: int,
        columns: tuple[int, ...],
        *,
        value: int = -1,
        code: int = -1,
        own: int = -1,
        span: int = 0,
        sign: int = 1,
    ) -> None:
        padded = (*columns, *[-1] * (7 - len(columns)))
        self._calls.append([kind, value, code, own, span, sign, self._room, self._sums, *padded])
        self._room += int(observe.ROOM[kind])
        self._sums += 4 if kind == observe.SHARES else 0


class Held:
    """What a group has of one key: its rows in their order, and what its kernels go on with."""

    def __init__(self, groups: Sequence[Group], wanted: Wanted, room: int) -> None:
        def most(lengths: Sequence[int]) -> int:
            return max(lengths, default=0)

        lags, windows = (
            most([each.lags.size for each in groups]),
            most([len(each.windows) for each in groups]),
        )
        calls, units = (
            most([len(each.calls) for each in groups]),
            most([each.room for each in groups]),
        )
        self.room = room
        self.marks = np.array([0, 0, observe.NEVER_AT])
        self.taken = np.zeros(room, np.int32)
        self.orders = np.empty((lags + windows, room), np.int32)
        self.orders[:] = np.arange(room)
        # rows to come happen never, so that the width of the key does not change
        self.times = np.full((3 + lags + windows, room), FOREVER_US)
        self.values: Floats = np.zeros((len(wanted.numbers), room))
        self.codes = np.full((len(wanted.texts), room), -1, np.int32)
        self.kept = np.zeros((windows + calls, 8))
        self.memory = np.zeros(units * (room + 2), np.int32)
        self.sums = np.zeros(most([each.sums for each in groups]) * (room + 2))
        self.entries = np.empty(2 * room + 1, np.int32)
        self.recoded = np.full((len(wanted.texts), 0), -1, np.int32)
        self.different = np.zeros(len(wanted.texts), np.int64)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(each.nbytes for each in self.arrays())

    def arrays(self) -> observe.Held:
        """Return the arrays in the order in which `observe` takes them."""
        rows = self.marks, self.taken, self.orders, self.times, self.values, self.codes
        memory = self.kept, self.memory, self.sums, self.recoded, self.different, self.entries
        return (*rows, *memory)

    def begin(self, n_codes: int) -> None:
        """Forget the rows of the key before."""
        self.marks[:] = (0, 0, observe.NEVER_AT)
        self.different[:] = 0
        if self.recoded.shape[1] < n_codes:
            self.recoded = np.full((self.recoded.shape[0], 2 * n_codes), -1, np.int32)
        else:
            self.recoded[:, :n_codes] = -1

    def reserve(self, n_codes: int) -> None:
        """Make room for further codes of the key."""
        lacking = n_codes - self.recoded.shape[1]
        if lacking > 0:
            more = np.full((self.recoded.shape[0], lacking + n_codes // 2), -1, np.int32)
            self.recoded = np.concatenate([self.recoded, more], axis=1)
