"""Compiled one-pass sweeps over rows grouped by key and ordered by time.

This is the only code of the package that compares times. Its one rule:

    a row is visible at t when  ``max(event_time + lag + 1, known_at) <= t``
                          and   ``t < event_time + lag + window + 1``

that is, it happened in the half-open window ``[t - lag - window, t - lag)`` and was
known by t. Times are int64 microseconds, so the rule is exact.

`build_timeline` turns the rule into a timeline for each key: an order of "row enters",
"row leaves" and "observe now". Each statistic is then one linear pass over that
timeline, and cannot see a row that the timeline has not let in. Rows that arrive late
enter late: an observation before their ``known_at`` never meets them.

All kernels release the GIL, so that several windows can be swept at once on threads.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit

Int64s = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]

OBSERVE: Final = 0
ENTER: Final = 1
LEAVE: Final = 2

FOREVER_US: Final = 2**61
"""A window without a left end, in microseconds: about 73,000 years."""

MOST_ROWS: Final = 2**29 - 1
"""Rows, or observations, that a timeline can number: two bits of 31 say what happens."""

EQUAL: Final = 1e-18
"""Squared distances below this share of the sum of squares are 0: values that agree to
nine digits are equal."""

ROUNDING: Final = 1e-31
"""What one step may round off of the largest sum of squares since the window was empty:
twice the unit of double-double arithmetic, 2**-104."""


@njit(cache=True, nogil=True)
def group_rows(codes: Int32s, n_keys: int) -> tuple[Int32s, Int64s]:
    """Group row numbers by key, keeping their order inside a key.

    Parameters
    ----------
    codes : int32 array of shape (n_rows,)
        Key of each row, ``0 <= code < n_keys``; negative leaves the row out.

    Returns
    -------
    order : int32 array
        Row numbers, key after key.
    starts : int64 array of shape (n_keys + 1,)
        ``order[starts[k]:starts[k + 1]]`` are the rows of key k.
    """
    starts = np.zeros(n_keys + 1, np.int64)
    for code in codes:
        if code >= 0:
            starts[code + 1] += 1
    for key in range(n_keys):
        starts[key + 1] += starts[key]
    place = starts[:-1].copy()
    order = np.empty(starts[-1], np.int32)
    for row in range(codes.size):
        code = codes[row]
        if code >= 0:
            order[place[code]] = row
            place[code] += 1
    return order, starts


@njit(cache=True, nogil=True)
def order_by_entry(starts: Int64s, enters: Int64s) -> Int32s:
    """Order positions inside each key by the instant a row becomes visible.

    Rows that arrive on time are in that order already; only keys with late rows are
    sorted. Ties keep their order.
    """
    positions = np.empty(enters.size, np.int32)
    for key in range(starts.size - 1):
        low, high = starts[key], starts[key + 1]
        on_time = True
        for position in range(low, high):
            positions[position] = position
            if position > low and enters[position] < enters[position - 1]:
                on_time = False
        if not on_time:
            ranks = np.argsort(enters[low:high], kind="mergesort")
            for offset in range(high - low):
                positions[low + offset] = low + ranks[offset]
    return positions


@njit(cache=True, nogil=True)
def build_timeline(
    observed_at: Int64s,
    observed_starts: Int64s,
    event_time: Int64s,
    enters: Int64s,
    by_entry: Int32s,
    row_starts: Int64s,
    reach: int,
    timeline: Int32s,
    lengths: Int64s,
) -> None:
    """Write each key's timeline of entering rows, leaving rows and observations.

    Parameters
    ----------
    observed_at, observed_starts
        Decision times, ascending inside a key, and where each key begins.
    event_time, enters, by_entry, row_starts
        Rows of each key in order of event time, the instant each becomes visible, and
        the positions in order of that instant.
    reach : int
        ``lag + window``: a row leaves at ``event_time + reach + 1``.
    timeline : int32 array, written
        ``4 * position + kind``; key k writes from ``2 * row_starts[k] +
        observed_starts[k]`` on. Positions count from the first row or observation of
        the sweep, not of the key.
    lengths : int64 array of shape (n_keys,), written
        How many entries the timeline of each key has.
    """
    widest = 0
    for key in range(row_starts.size - 1):
        widest = max(widest, row_starts[key + 1] - row_starts[key])
    inside = np.zeros(widest, np.bool_)
    for key in range(row_starts.size - 1):
        low, high = row_starts[key], row_starts[key + 1]
        first = 2 * low + observed_starts[key]
        at = first
        entering, leaving = low, low
        for position in range(high - low):
            inside[position] = False
        for observation in range(observed_starts[key], observed_starts[key + 1]):
            now = observed_at[observation]
            while entering < high and enters[by_entry[entering]] <= now:
                row = by_entry[entering]
                if now <= event_time[row] + reach:
                    inside[row - low] = True
                    timeline[at] = 4 * row + ENTER
                    at += 1
                entering += 1
            while leaving < high and event_time[leaving] + reach < now:
                if inside[leaving - low]:
                    timeline[at] = 4 * leaving + LEAVE
                    at += 1
                leaving += 1
            timeline[at] = 4 * observation + OBSERVE
            at += 1
        lengths[key] = at - first


@njit(cache=True, nogil=True, inline="always")
def _two_sum(high: float, low: float, value: float) -> tuple[float, float]:
    """Add `value` to the double-double ``high + low`` without losing what rounds off.

    Source: Knuth, The Art of Computer Programming 2, 4.2.2, theorem B.
    """
    total = high + value
    part = total - high
    lost = (high - (total - part)) + (value - part)
    low += lost
    renewed = total + low
    return renewed, low - (renewed - total)


@njit(cache=True, nogil=True, inline="always")
def _two_product(left: float, right: float) -> tuple[float, float]:
    """Multiply exactly, as the double-double ``high + low``.

    Source: Dekker 1971, Numerische Mathematik 18, 224-242.
    """
    high = left * right
    split = left * 134217729.0
    left_upper = split - (split - left)
    left_lower = left - left_upper
    split = right * 134217729.0
    right_upper = split - (split - right)
    right_lower = right - right_upper
    low = left_upper * right_upper - high
    low += left_upper * right_lower
    low += left_lower * right_upper
    return high, low + left_lower * right_lower


@njit(cache=True, nogil=True)
def sweep_moments(
    timeline: Int32s,
    lengths: Int64s,
    row_starts: Int64s,
    observed_starts: Int64s,
    value: Floats,
    moments: Floats,
) -> None:
    """Count, sum, mean and sample standard deviation of the visible rows.

    Sums are kept in twice the working precision, so that adding and removing millions of
    rows does not drift; a window that empties holds exactly 0.

    Parameters
    ----------
    value : float64 array, one value a row, finite
    moments : float64 array of shape (n_observations, 4), written
        Count, sum, mean (NaN without rows), standard deviation (NaN below two rows).
    """
    for key in range(row_starts.size - 1):
        count = 0
        total, total_low, square, square_low = 0.0, 0.0, 0.0, 0.0
        steps, peak = 0, 0.0
        first = 2 * row_starts[key] + observed_starts[key]
        for at in range(first, first + lengths[key]):
            kind, position = timeline[at] & 3, timeline[at] >> 2
            if kind == OBSERVE:
                moments[position, 0] = count
                moments[position, 1] = total
                if count > 0:
                    moments[position, 2] = (total + total_low) / count
                if count > 1:
                    scaled, scaled_low = _two_product(float(count), square)
                    scaled_low += count * square_low
                    squared, squared_low = _two_product(total, total)
                    squared_low += 2.0 * total * total_low
                    spread = ((scaled - squared) + (scaled_low - squared_low)) / count
                    if spread < max(EQUAL * square, ROUNDING * steps * peak):
                        spread = 0.0
                    moments[position, 3] = np.sqrt(spread / (count - 1))
                continue
            sign = 1.0 if kind == ENTER else -1.0
            count += 1 if kind == ENTER else -1
            if count == 0:
                total, total_low, square, square_low = 0.0, 0.0, 0.0, 0.0
                steps, peak = 0, 0.0
                continue
            above, below = _two_product(value[position], value[position])
            total, total_low = _two_sum(total, total_low, sign * value[position])
            square, square_low = _two_sum(square, square_low, sign * above)
            square, square_low = _two_sum(square, square_low, sign * below)
            steps += 1
            peak = max(peak, square)


@njit(cache=True, nogil=True)
def sweep_extremes(
    timeline: Int32s,
    lengths: Int64s,
    row_starts: Int64s,
    observed_starts: Int64s,
    value: Floats,
    largest: Floats,
) -> None:
    """Largest value of the visible rows; NaN without rows. Negate for the smallest.

    A queue keeps the rows that can still become the largest: in order of leaving, values
    falling. Rows leave in order of event time, so a late row is put into its place.
    """
    widest = 0
    for key in range(row_starts.size - 1):
        widest = max(widest, row_starts[key + 1] - row_starts[key])
    queue = np.empty(widest, np.int32)
    for key in range(row_starts.size - 1):
        head, tail = 0, 0
        first = 2 * row_starts[key] + observed_starts[key]
        for at in range(first, first + lengths[key]):
            kind, position = timeline[at] & 3, timeline[at] >> 2
            if kind == OBSERVE:
                if tail > head:
                    largest[position] = value[queue[head]]
            elif kind == LEAVE:
                if tail > head and queue[head] == position:
                    head += 1
            else:
                place = tail
                while place > head and queue[place - 1] > position:
                    place -= 1
                if place < tail and value[queue[place]] >= value[position]:
                    continue
                keep = place
                while keep > head and value[queue[keep - 1]] <= value[position]:
                    keep -= 1
                if keep == place:
                    for moved in range(tail, place, -1):
                        queue[moved] = queue[moved - 1]
                    queue[place] = position
                    tail += 1
                else:
                    queue[keep] = position
                    gap = place - keep - 1
                    for moved in range(place, tail):
                        queue[moved - gap] = queue[moved]
                    tail -= gap


@njit(cache=True, nogil=True)
def sweep_distinct(
    timeline: Int32s,
    lengths: Int64s,
    row_starts: Int64s,
    observed_starts: Int64s,
    codes: Int32s,
    seen: Int32s,
    distinct: Floats,
) -> None:
    """Count the distinct codes of the visible rows.

    Parameters
    ----------
    codes : int32 array
        Code of each row, unique to its (key, value) pair; negative is missing and is
        not counted.
    seen : int32 array of zeros, one a code; written
    distinct : float64 array of shape (n_observations,), written
    """
    for key in range(row_starts.size - 1):
        count = 0
        first = 2 * row_starts[key] + observed_starts[key]
        for at in range(first, first + lengths[key]):
            kind, position = timeline[at] & 3, timeline[at] >> 2
            if kind == OBSERVE:
                distinct[position] = count
                continue
            code = codes[position]
            if code < 0:
                continue
            if kind == ENTER:
                if seen[code] == 0:
                    count += 1
                seen[code] += 1
            else:
                seen[code] -= 1
                if seen[code] == 0:
                    count -= 1


@njit(cache=True, nogil=True)
def sweep_nearest(
    timeline: Int32s,
    lengths: Int64s,
    row_starts: Int64s,
    observed_starts: Int64s,
    nearest: Int32s,
) -> None:
    """Position of the visible row with the latest event time; -1 without rows.

    Rows are in order of event time, later-known rows last among equals, so this is also
    the version of a profile that is in force. A row that arrives late does not replace a
    row that happened after it.
    """
    for key in range(row_starts.size - 1):
        latest = -1
        first = 2 * row_starts[key] + observed_starts[key]
        for at in range(first, first + lengths[key]):
            kind, position = timeline[at] & 3, timeline[at] >> 2
            if kind == OBSERVE:
                nearest[position] = latest
            elif kind == ENTER:
                latest = max(latest, position)
            elif position == latest:
                latest = -1  # rows leave in order: the last to leave leaves none behind
