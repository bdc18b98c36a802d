"""One window over one history: a timeline, and the statistics computed from it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from typing import Final

import numpy as np

from kyc_ml.errors import DatasetError
from kyc_ml.features.history import History
from kyc_ml.features.how import name_of
from kyc_ml.features.kernels import contiguous, moments, ranks, runs, shares, timeline, trends
from kyc_ml.features.kernels.ranks import rank_values
from kyc_ml.features.kinds.rows_of_key import RUNS, Statistic, Window
from kyc_ml.features.timed_rows import TimedRows
from kyc_ml.metrics import Floats, Ints, Ints32

MOMENTS: Final[tuple[Statistic, ...]] = ("count", "sum", "mean", "std")
_EXTREMES: Final[tuple[Statistic, ...]] = ("max", "min")
SHARES: Final[tuple[Statistic, ...]] = ("first_share", "herfindahl", "entropy")
RANKS: Final[tuple[Statistic, ...]] = ("median", "rank")
GAPS: Final[tuple[Statistic, ...]] = ("gap_mean", "gap_std")

Pass = tuple[str, str | None, str | None, str | None, int | None]
"""What one kernel call serves: kind, value, weight, own, and half-life or age of good rows."""


class ColumnsRead:
    """Columns of a history, computed once for all windows."""

    def __init__(self, history: History) -> None:
        values = cache(history.values)
        self.entries = cache(history.entries)
        self.values = values
        self.pair_codes = cache(history.pair_codes)
        self.ranked = cache(lambda name: rank_values(history.row_starts, values(name)))


class Sweep:
    """What each observation sees of its key in ``[t - lag - window, t - lag)``.

    Parameters
    ----------
    window_us : int or None
        Microseconds; None for all history.
    columns : ColumnsRead, optional
        Shared by the windows of one history.

    Raises
    ------
    DatasetError
        If there are more rows than a timeline can number.
    """

    def __init__(
        self,
        history: History,
        *,
        window_us: int | None,
        lag_us: int = 0,
        columns: ColumnsRead | None = None,
    ) -> None:
        widest = max(history.rows.size, history.observations.size)
        if widest > timeline.MOST_ROWS:
            raise DatasetError(
                f"one sweep holds at most {timeline.MOST_ROWS:,} rows or observations, got "
                f"{widest:,}: part the customers and build the features of each part"
            )
        self._history = history
        self._columns = ColumnsRead(history) if columns is None else columns
        self._lag_us = lag_us
        self._reach_us = timeline.FOREVER_US if window_us is None else lag_us + window_us

    @cached_property
    def _timeline(self) -> timeline.Timeline:
        """The window as a timeline, laid out when the first kernel asks for one."""
        history = self._history
        enters, by_entry = self._columns.entries(self._lag_us)
        entries = np.empty(2 * history.rows.size + history.observations.size, np.int32)
        lengths = np.empty(history.n_keys, np.int64)
        timeline.build_timeline(
            history.observed_at,
            history.observed_starts,
            enters,
            by_entry,
            *history.leaves(self._reach_us),
            history.row_starts,
            entries,
            lengths,
            *timeline.ANEW,
        )
        starts = history.row_starts, history.observed_starts
        return timeline.Timeline(entries, lengths, *starts, history.observations)

    @cached_property
    def _ends(self) -> tuple[Ints32, Ints32]:
        """The run of rows that each observation sees, where rows enter and leave in order."""
        history = self._history
        first, last = np.empty((2, history.observations.size), np.int32)
        leaves, _, delay = history.leaves(self._reach_us)
        timeline.find_ends(
            history.observed_at,
            history.observed_starts,
            self._columns.entries(self._lag_us)[0],
            leaves,
            delay,
            history.row_starts,
            first,
            last,
        )
        return first, last

    def _in_order(self) -> bool:
        """Return whether rows enter and leave in the order they happened in."""
        return self._history.until is None and not self._columns.entries(self._lag_us)[1].size

    def fill(
        self,
        wanted: Sequence[tuple[Window, int]],
        out: Floats,
        *,
        observations: TimedRows | None = None,
    ) -> None:
        """Write statistics into columns of `out`; one pass serves all of a kind.

        `wanted`: sequence of (Window, column); windows of this length, lag, key and filter.
        `out`: float64 array of shape (n_observations, p), column-major, NaN.
        `observations`: where the own values of `rank` are; needed for it only.
        """
        passes, repeated = passes_of(wanted, in_order=self._in_order())
        for each, asked in passes.items():
            self._run(each, asked, out, observations)
        # after all passes: the columns copied from are complete only now
        for column, served_column in repeated:
            out[:, column] = out[:, served_column]

    def find_nearest(self, nearest: Ints32) -> None:
        """Write, for each observation that sees one, the table's row that happened last."""
        moments.sweep_nearest(self._timeline, self._history.rows, nearest, *timeline.ANEW)

    def _run(
        self,
        served: Pass,
        columns: Mapping[Statistic, int],
        out: Floats,
        observations: TimedRows | None,
    ) -> None:
        """Call the kernel that serves these statistics."""
        kind, name, weight, own, _ = served
        history, read = self._history, self._columns
        value = str(name)
        match kind:
            case "moments" if self._in_order():
                values = np.empty(0) if name is None else read.values(value)
                contiguous.sweep_contiguous(
                    *self._ends,
                    history.row_starts,
                    history.observed_starts,
                    history.observations,
                    values,
                    out,
                    _columns(MOMENTS + _EXTREMES, columns),
                )
            case "moments" if name is None:
                moments.sweep_count(self._timeline, out, columns["count"], timeline.ANEW[0])
            case "moments":
                wanted = _columns(MOMENTS, columns)
                summed = read.values(value), out, wanted, timeline.ANEW[0]
                moments.sweep_moments(self._timeline, *summed)
            case "shares":
                weights = np.empty(0) if weight is None else read.values(weight)
                codes, starts = read.pair_codes(value)
                wanted = _columns(SHARES, columns)
                held = (*timeline.ANEW, timeline.ANEW[0])
                shares.sweep_shares(self._timeline, codes, starts, weights, out, wanted, *held)
            case "ranks":
                owned = np.empty(0)
                if own is not None:
                    assert observations is not None  # noqa: S101  the caller's promise
                    owned = observations.number(own)
                ranked = (*read.ranked(value), owned)
                ranks.sweep_ranks(self._timeline, *ranked, out, _columns(RANKS, columns))
            case "gaps":
                wanted = _columns(GAPS, columns)
                timed = history.event_time, out, wanted
                moments.sweep_gaps(self._timeline, *timed, *timeline.ANEW)
            case "distinct":
                codes, starts = read.pair_codes(value)
                counted = codes, int(starts[-1]), out, columns["distinct"]
                moments.sweep_distinct(self._timeline, *counted, *timeline.ANEW)
            case "decayed" | "runs" | "trend":
                self._run_timed(served, columns, out)
            case "max" | "min":
                # superseded rows do not leave in the order in which they came
                in_turn = history.until is None
                sweep = moments.sweep_extremes if in_turn else trends.sweep_extremes_anew
                sign = 1.0 if kind == "max" else -1.0
                signed = read.values(value), sign, out, columns[kind]
                sweep(self._timeline, *signed, *timeline.ANEW)

    def _run_timed(self, served: Pass, columns: Mapping[Statistic, int], out: Floats) -> None:
        """Call the kernel of statistics that read the times of rows."""
        kind, name, _, _, span_us = served
        history = self._history
        values = np.empty(0) if name is None else self._columns.values(name)
        column = next(iter(columns.values()))
        if kind == "runs":
            timed = (values, history.event_time, history.observed_at, int(span_us or 0))
            wanted = _columns(RUNS, columns)
            runs.sweep_runs(self._timeline, *timed, out, wanted, *timeline.ANEW)
        elif kind == "trend":
            timed_out = values, history.event_time, out, column
            trends.sweep_trend(self._timeline, *timed_out, *timeline.ANEW)
        elif history.until is not None:
            msg = "decayed statistics cannot be declared over a table of superseded rows"
            raise ValueError(msg)
        else:
            aged = (values, history.event_time, history.observed_at, float(span_us or 0))
            moments.sweep_decayed(self._timeline, *aged, out, column, timeline.ANEW[0])


def passes_of(
    wanted: Sequence[tuple[Window, int]], *, in_order: bool
) -> tuple[dict[Pass, dict[Statistic, int]], list[tuple[int, int]]]:
    """Return the kernel calls that serve statistics, and (column, column to copy) after them.

    `in_order`: whether rows enter and leave in the order they happened in.
    """
    passes: dict[Pass, dict[Statistic, int]] = defaultdict(dict)
    # a kernel writes a statistic once: a second feature of the same one is a copy
    repeated: list[tuple[int, int]] = []
    for how, column in wanted:
        served = passes[_pass_of(how)]
        if how.statistic in served:
            repeated.append((column, served[how.statistic]))
        served.setdefault(how.statistic, column)
    if in_order:
        passes = _extremes_beside_moments(passes)
    _count_beside_a_value(passes)
    return passes, repeated


def _pass_of(how: Window) -> Pass:
    """Return which kernel call computes a statistic."""
    value = None if how.value is None else name_of(how.value)
    weight = None if how.weight is None else name_of(how.weight)
    match how.statistic:
        case "count" | "sum" | "mean" | "std":
            return "moments", value, None, None, None
        case "first_share" | "herfindahl" | "entropy":
            return "shares", value, weight, None, None
        case "median" | "rank":
            return "ranks", value, None, how.own, None
        case "gap_mean" | "gap_std":
            return "gaps", None, None, None, None
        case "decayed_count" | "decayed_sum":
            return "decayed", value, None, None, how.half_life_us
        case _:
            kind = "runs" if how.statistic in RUNS else how.statistic
            return kind, value, None, None, how.good_after_us


def _extremes_beside_moments(
    passes: Mapping[Pass, dict[Statistic, int]],
) -> dict[Pass, dict[Statistic, int]]:
    """Merge passes so that one finds both sums and extremes of a value."""
    merged: dict[Pass, dict[Statistic, int]] = defaultdict(dict)
    for key, columns in passes.items():
        merged[("moments", *key[1:]) if key[0] in _EXTREMES else key].update(columns)
    return merged


def _count_beside_a_value(passes: dict[Pass, dict[Statistic, int]]) -> None:
    """Add the count to a pass that sums a value: both read the same rows."""
    alone: Pass = ("moments", None, None, None, None)
    others = [key for key in passes if key[0] == "moments" and key != alone]
    if alone in passes and others:
        passes[others[0]].update(passes.pop(alone))


def _columns(names: Sequence[Statistic], columns: Mapping[Statistic, int]) -> Ints:
    """Return the column of each statistic in the matrix; -1 where it is not wanted."""
    return np.array([columns.get(name, -1) for name in names], np.int64)
