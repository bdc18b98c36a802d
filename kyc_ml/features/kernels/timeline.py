"""The time rule: which rows an observation may see, compiled.

This is the only code of the package that compares times of rows with times of decisions
for a window. Its one rule:

    a row is visible at t when  ``max(event_time + lag + 1, known_at) <= t``
                          and   ``t < min(event_time + lag + window + 1, until)``

that is, it happened in the half-open window ``[t - lag - window, t - lag)``, was known by
t, and had not been superseded by t. Times are int64 microseconds, so the rule is exact.

`build_timeline` turns the rule into a timeline for each key: an order of "row leaves",
"row enters" and "observe now". Each statistic is then one linear pass over that
timeline, and cannot see a row that has not entered. Rows that arrive late
enter late: an observation before their ``known_at`` never meets them. Where no row is
late or superseded, `find_ends` finds the same rows as a run from first to last.

All kernels release the GIL, so that threads can sweep several windows in parallel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from kyc_ml.metrics import AnyArray, Floats, Ints, Ints32, Mask
from kyc_ml.storage import kernel

OBSERVE: Final = 0
ENTER: Final = 1
LEAVE: Final = 2

FOREVER_US: Final = 2**61
"""A window without a left end, in microseconds: about 73,000 years."""

ANEW: Final = np.empty(0), np.empty(0, np.int32)
"""`kept` and `room` of a sweep that begins with no state; see `begin_room`."""

MOST_ROWS: Final = 2**29 - 1
"""Rows, or observations, that a timeline can number: two bits of 31 hold the kind of entry."""


class Timeline(NamedTuple):
    """One window over one history, key after key; `build_timeline` writes entries and lengths."""

    entries: Ints32
    lengths: Ints
    row_starts: Ints
    observed_starts: Ints
    """`entries`, `lengths`, `row_starts` and `observed_starts`: see `build_timeline`."""
    place: Ints32
    """int32 array; row of the feature matrix of each observation, by position."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The outermost times of some rows, in microseconds, and what follows for all of them."""

    first_event: int
    last_event: int
    last_known: int
    first_until: int

    def joined(self, other: Span) -> Span:
        """Return the outermost times of these rows and of others."""
        return Span(
            first_event=min(self.first_event, other.first_event),
            last_event=max(self.last_event, other.last_event),
            last_known=max(self.last_known, other.last_known),
            first_until=min(self.first_until, other.first_until),
        )

    def is_hidden(self, first: int, last: int, *, lag_us: int, window_us: int) -> bool:
        """Return whether no decision from `first` to `last` sees any of the rows."""
        # + 1: an event at the instant of a decision is not yet visible
        not_yet = self.first_event + lag_us + 1 > last
        no_more = self.last_event + lag_us + window_us + 1 <= first
        return not_yet or no_more

    def is_visible(self, first: int, last: int, *, lag_us: int, window_us: int) -> bool:
        """Return whether every decision from `first` to `last` sees all of the rows."""
        entered = max(self.last_event + lag_us + 1, self.last_known) <= first
        return entered and last < min(self.first_event + lag_us + window_us + 1, self.first_until)


def visible(
    event_time: Ints,
    known_at: Ints,
    until: Ints | None,
    *,
    now: int,
    lag_us: int = 0,
    window_us: int | None = None,
) -> Mask:
    """Mark the rows that one decision sees: the rule of this module, row by row.

    `event_time`, `known_at`, `until`: int64 arrays of shape (n,); `until` is None where no row is
    ever superseded.
    `now`: the instant of the decision.
    `window_us`: without it the window has no left end.
    """
    seen = np.maximum(event_time + (lag_us + 1), known_at) <= now
    if window_us is not None:
        seen &= now < event_time + (lag_us + window_us + 1)
    return seen if until is None else seen & (now < until)


@kernel(inline="always")
def most_rows(starts: Ints) -> int:
    """Return the number of rows of the longest key."""
    most = 0
    for key in range(starts.size - 1):
        most = max(most, starts[key + 1] - starts[key])
    return most


@kernel(inline="always")
def begin_room(room: Ints32, size: int) -> Ints32:
    """Return working memory of zeros, or that which an earlier sweep of one key left.

    A kernel that is given `kept`, float64 array of shape (8,), and `room`, int32 array, begins with
    what they hold and leaves there what the next sweep of that key continues with; zeros are no
    state. Without them, each an array of no length, every key begins with no state.
    """
    return room if room.size > 0 else np.zeros(size, np.int32)


@kernel()
def group_rows(codes: Ints32, n_keys: int) -> tuple[Ints32, Ints]:
    """Group row numbers by key, keeping their order inside a key.

    `codes`: int32 array of shape (n_rows,); key of each row, ``0 <= code < n_keys``; negative
    leaves the row out.
    Returns `order`: int32 array; row numbers, key after key.
    Returns `starts`: int64 array of shape (n_keys + 1,); ``order[starts[k]:starts[k + 1]]`` are the
    rows of key k.
    """
    # a counting sort: stable and linear, so rows of a key stay in the order of time
    starts = np.zeros(n_keys + 1, np.int64)
    for code in codes:
        if code >= 0:
            starts[code + 1] += 1
    for key in range(n_keys):
        starts[key + 1] += starts[key]
    # a copy: filling moves the places, and the starts are returned
    place = starts[:-1].copy()
    order = np.empty(starts[-1], np.int32)
    for row in range(codes.size):
        code = codes[row]
        if code >= 0:
            order[place[code]] = row
            place[code] += 1
    return order, starts


@kernel()
def order_by_instant(starts: Ints, instants: Ints) -> Ints32:
    """Order positions inside each key by instant; ties keep their order.

    Returns int32 array; the positions, or none at all if they are in that order already: rows that
    arrive on time are. Only keys with late rows are sorted.
    """
    late = False
    for key in range(starts.size - 1):
        for position in range(starts[key] + 1, starts[key + 1]):
            if instants[position] < instants[position - 1]:
                late = True
    # most tables are in order: an empty array saves the second lookup of each row
    if not late:
        return np.empty(0, np.int32)
    positions = np.empty(instants.size, np.int32)
    for key in range(starts.size - 1):
        low, high = starts[key], starts[key + 1]
        in_order = True
        for position in range(low, high):
            positions[position] = position
            if position > low and instants[position] < instants[position - 1]:
                in_order = False
        if not in_order:
            # mergesort is stable: ties keep their order
            ranks = np.argsort(instants[low:high], kind="mergesort")
            for offset in range(high - low):
                positions[low + offset] = low + ranks[offset]
    return positions


@kernel()
def put_in_order(order: Ints32, instants: Ints, first: int, last: int) -> None:
    """Put positions from `first` on among those before, in order of instant; ties keep theirs."""
    if first == 0:
        ranks = order_by_instant(np.array([0, last]), instants[:last])
        for position in range(last):
            order[position] = ranks[position] if ranks.size > 0 else position
        return
    for position in range(first, last):
        at = position
        while at > 0 and instants[order[at - 1]] > instants[position]:
            order[at] = order[at - 1]
            at -= 1
        order[at] = position


@kernel()
def find_ends(
    observed_at: Ints,
    observed_starts: Ints,
    enters: Ints,
    leaves: Ints,
    delay: int,
    row_starts: Ints,
    first: Ints32,
    last: Ints32,
) -> None:
    """Find the run of rows that each observation sees, where rows enter and leave in order.

    `observed_at`, `observed_starts`, `enters`, `leaves`, `delay`, `row_starts`: as for
    `build_timeline`, both orders those of the positions.
    `first`, `last`: int32 arrays of shape (n_observations,), written; the positions
    ``first <= position < last`` are visible; equal where none is.
    """
    for key in range(row_starts.size - 1):
        begin = end = row_starts[key]
        high = row_starts[key + 1]
        for observation in range(observed_starts[key], observed_starts[key + 1]):
            now = observed_at[observation]
            # both ends only move forward, because observations are in order of time
            while end < high and enters[end] <= now:
                end += 1
            while begin < end and leaves[begin] + delay <= now:
                begin += 1
            first[observation] = begin
            last[observation] = end


@kernel()
def build_timeline(
    observed_at: Ints,
    observed_starts: Ints,
    enters: Ints,
    by_entry: Ints32,
    leaves: Ints,
    by_leave: Ints32,
    delay: int,
    row_starts: Ints,
    timeline: Ints32,
    lengths: Ints,
    kept: Floats,
    room: Ints32,
) -> None:
    """Write each key's timeline of entering rows, leaving rows and observations.

    `observed_at`, `observed_starts`: decision times, ascending inside a key, and where each key
    begins.
    `enters`, `by_entry`: the instant each row becomes visible, and the positions of each key in
    order of that instant; no positions mean that the rows are in that order already.
    `leaves`, `by_leave`, `delay`: a row leaves at ``leaves + delay``; the positions in order of
    that instant, none where the rows are in that order already.
    `timeline`: int32 array, written; ``4 * position + kind``; key k writes from
    ``2 * row_starts[k] + observed_starts[k]`` on. Positions count from the first row or observation
    of the sweep, not of the key.
    `lengths`: int64 array of shape (n_keys,), written; how many entries the timeline of each key
    has.
    `kept`, `room`: see `begin_room`; which rows are inside.
    """
    inside = begin_room(room, most_rows(row_starts))
    in_order, out_order = by_entry.size == 0, by_leave.size == 0
    for key in range(row_starts.size - 1):
        low, high = row_starts[key], row_starts[key + 1]
        first = 2 * low + observed_starts[key]
        at = first
        entering, leaving = low, low
        if kept.size:
            entering, leaving = int(kept[0]), int(kept[1])
        else:
            inside[: high - low] = 0
        for observation in range(observed_starts[key], observed_starts[key + 1]):
            now = observed_at[observation]
            # rows leave before others enter, so that no kernel sees both at one observation
            while leaving < high:
                row = leaving if out_order else np.int64(by_leave[leaving])
                if leaves[row] + delay > now:
                    break
                # a row that never entered must not leave
                if inside[row - low]:
                    inside[row - low] = 0
                    timeline[at] = 4 * row + LEAVE
                    at += 1
                leaving += 1
            while entering < high:
                row = entering if in_order else np.int64(by_entry[entering])
                if enters[row] > now:
                    break
                # a row that left before any observation saw it would only add rounding
                if now < leaves[row] + delay:
                    inside[row - low] = 1
                    timeline[at] = 4 * row + ENTER
                    at += 1
                entering += 1
            timeline[at] = 4 * observation + OBSERVE
            at += 1
        lengths[key] = at - first
        if kept.size:
            kept[0], kept[1] = entering, leaving


@kernel()
def level_ties(row_starts: Ints, event_time: Ints, known_at: Ints, value: Floats) -> Floats:
    """Replace values of rows of one key with equal event and known times by their mean.

    `value`: float64 array, one value a row by position; NaN is missing.
    Returns float64 array: a mean of one value could change its last bit, so others stay as they
    are.
    """
    levelled = value.copy()
    for key in range(row_starts.size - 1):
        first, end = row_starts[key], row_starts[key + 1]
        while first < end:
            last, total, known = first, 0.0, 0
            while (
                last < end
                and event_time[last] == event_time[first]
                and known_at[last] == known_at[first]
            ):
                if not np.isnan(value[last]):
                    total += value[last]
                    known += 1
                last += 1
            if last - first > 1:
                # without any value it stays missing
                levelled[first:last] = total / known if known else np.nan
            first = last
    return levelled


@kernel()
def supersede_versions(
    group: Ints32, event_time: Ints, known_at: Ints, never: int
) -> tuple[Ints, Mask]:
    """Find when each version of a thing gives way to a later one, and whether it is ever seen.

    `group`, `event_time`, `known_at`: arrays of shape (n,), in the order of all three; whose
    version each row is. Rows of one thing that are equal in both times are one version.
    `never`: stands for versions that no later one follows.
    Returns `until`: int64 array; the first instant at which a version that began later, or was
    known later, is visible.
    Returns `seen`: bool array; True where the version itself is visible before.
    """
    until = np.full(group.size, never, np.int64)
    seen = np.ones(group.size, np.bool_)
    # from the last version to the first: each takes over the end of its successor
    for row in range(group.size - 1, -1, -1):
        after = row + 1
        if after < group.size and group[after] == group[row]:
            until[row] = until[after]
            if event_time[after] > event_time[row] or known_at[after] > known_at[row]:
                until[row] = min(until[row], max(event_time[after] + 1, known_at[after]))
        # a version replaced before it became visible is never seen
        seen[row] = max(event_time[row] + 1, known_at[row]) < until[row]
    return until, seen


@kernel()
def gather(values: AnyArray, rows: Ints32) -> AnyArray:
    """Bring a table's column into the order of positions."""
    ordered = np.empty(rows.size, values.dtype)
    for position in range(rows.size):
        ordered[position] = values[rows[position]]
    return ordered
