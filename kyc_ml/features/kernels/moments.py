"""Compiled one-pass sweeps over a timeline: moments, extremes, distinct values, gaps.

Every kernel reads the timeline of `kyc_ml.features.kernels.timeline`, key after key, and writes
what each observation sees straight into its row of the feature matrix. Shared arguments:

laid : Timeline
out : float64 array of shape (n, p), column-major, written
    The feature matrix, filled with NaN. A kernel does not write missing values.
columns : int64 array
    Where in `out` each of the kernel's statistics goes; negative if not wanted.
kept, room
    State that a sweep of one key continues with; see `timeline.begin_room`.
"""

from typing import Final

import numpy as np

from kyc_ml.features.kernels.exact import mean_of, squared_distance, two_product, two_sum
from kyc_ml.features.kernels.timeline import ENTER, OBSERVE, Timeline, begin_room, most_rows
from kyc_ml.metrics import Floats, Ints, Ints32
from kyc_ml.storage import kernel

_HOUR_US: Final = 3.6e9


@kernel()
def sweep_moments(
    laid: Timeline,
    value: Floats,
    out: Floats,
    columns: Ints,
    kept: Floats,
) -> None:
    """Count, sum, mean and sample standard deviation of the visible rows.

    Sums are kept in twice the working precision, so that adding and removing millions of
    rows does not drift; a window that empties holds exactly 0. The mean is missing without
    rows, the deviation below two.

    `value`: float64 array, one value a row, finite.
    """
    at_count, at_sum, at_mean, at_std = columns[0], columns[1], columns[2], columns[3]
    for key in range(laid.row_starts.size - 1):
        count = 0
        total, total_low, square, square_low = 0.0, 0.0, 0.0, 0.0
        steps, peak = 0, 0.0
        if kept.size:
            total, total_low, square, square_low, peak = kept[0], kept[1], kept[2], kept[3], kept[4]
            count, steps = int(kept[5]), int(kept[6])
        # each key has room for two entries for a row and one for an observation
        first = 2 * laid.row_starts[key] + laid.observed_starts[key]
        for at in range(first, first + laid.lengths[key]):
            # the lowest two bits hold the kind of entry, the others the position
            kind, position = laid.entries[at] & 3, laid.entries[at] >> 2
            if kind == OBSERVE:
                row = laid.place[position]
                if at_count >= 0:
                    out[row, at_count] = count
                if at_sum >= 0:
                    out[row, at_sum] = total
                if at_mean >= 0 and count > 0:
                    out[row, at_mean] = mean_of(count, total, total_low)
                if at_std >= 0 and count > 1:
                    spread = squared_distance(
                        count, total, total_low, square, square_low, steps, peak
                    )
                    out[row, at_std] = np.sqrt(spread / (count - 1))
                continue
            sign = 1.0 if kind == ENTER else -1.0
            count += 1 if kind == ENTER else -1
            # an empty window starts from exact zeros: subtraction would leave rounding behind
            if count == 0:
                total, total_low, square, square_low = 0.0, 0.0, 0.0, 0.0
                steps, peak = 0, 0.0
                continue
            total, total_low = two_sum(total, total_low, sign * value[position])
            if at_std >= 0:
                above, below = two_product(value[position], value[position])
                square, square_low = two_sum(square, square_low, sign * above)
                square, square_low = two_sum(square, square_low, sign * below)
                steps += 1
                peak = max(peak, square)
        if kept.size:
            kept[0], kept[1], kept[2], kept[3], kept[4] = total, total_low, square, square_low, peak
            kept[5], kept[6] = count, steps


@kernel()
def sweep_count(
    laid: Timeline,
    out: Floats,
    column: int,
    kept: Floats,
) -> None:
    """Count the visible rows."""
    for key in range(laid.row_starts.size - 1):
        count = int(kept[0]) if kept.size else 0
        first = 2 * laid.row_starts[key] + laid.observed_starts[key]
        for at in range(first, first + laid.lengths[key]):
            kind = laid.entries[at] & 3
            if kind == OBSERVE:
                out[laid.place[laid.entries[at] >> 2], column] = count
            else:
                count += 1 if kind == ENTER else -1
        if kept.size:
            kept[0] = count


@kernel()
def sweep_extremes(
    laid: Timeline,
    value: Floats,
    sign: float,
    out: Floats,
    column: int,
    kept: Floats,
    room: Ints32,
) -> None:
    """Largest value of the visible rows, or smallest with `sign` -1; missing without rows.

    A queue keeps the rows that can still become the largest: in order of leaving, values
    falling. Rows leave in order of event time, so a late row is put into its place.
    """
    # one buffer for the longest key, reused by all
    queue = begin_room(room, most_rows(laid.row_starts))
    for key in range(laid.row_starts.size - 1):
        head, tail = (int(kept[0]), int(kept[1])) if kept.size else (0, 0)
        first = 2 * laid.row_starts[key] + laid.observed_starts[key]
        for at in range(first, first + laid.lengths[key]):
            kind, position = laid.entries[at] & 3, laid.entries[at] >> 2
            if kind == OBSERVE:
                if tail > head:
                    out[laid.place[position], column] = value[queue[head]]
            elif kind == ENTER:
                new = sign * value[position]
                where = tail
                # a row that became known late enters after later ones: find its place from the back
                while where > head and queue[where - 1] > position:
                    where -= 1
                # a later row that is as large stays longer: this one can never be the largest
                if where < tail and sign * value[queue[where]] >= new:
                    continue
                keep = where
                # rows before it that are not larger can never be the largest either
                while keep > head and sign * value[queue[keep - 1]] <= new:
                    keep -= 1
                if keep == where:
                    for moved in range(tail, where, -1):
                        queue[moved] = queue[moved - 1]
                    queue[where] = position
                    tail += 1
                else:
                    queue[keep] = position
                    gap = where - keep - 1
                    for moved in range(where, tail):
                        queue[moved - gap] = queue[moved]
                    tail -= gap
            # a row that is not the head was removed already when a larger one entered
            elif tail > head and queue[head] == position:
                head += 1
                if head == tail:
                    head, tail = 0, 0
        if kept.size:
            kept[0], kept[1] = head, tail


@kernel()
def sweep_distinct(
    laid: Timeline,
    codes: Ints32,
    n_codes: int,
    out: Floats,
    column: int,
    kept: Floats,
    room: Ints32,
) -> None:
    """Count the distinct codes of the visible rows.

    `codes`: int32 array; code of each row, unique to its (key, value) pair, below `n_codes`;
    negative is missing and is not counted.
    """
    seen = begin_room(room, n_codes)
    for key in range(laid.row_starts.size - 1):
        count = int(kept[0]) if kept.size else 0
        first = 2 * laid.row_starts[key] + laid.observed_starts[key]
        for at in range(first, first + laid.lengths[key]):
            kind, position = laid.entries[at] & 3, laid.entries[at] >> 2
            if kind == OBSERVE:
                out[laid.place[position], column] = count
                continue
            code = codes[position]
            # missing values are not a value
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
        if kept.size:
            kept[0] = count


@kernel()
def sweep_nearest(
    laid: Timeline,
    rows: Ints32,
    nearest: Ints32,
    kept: Floats,
    room: Ints32,
) -> None:
    """Find the visible row with the latest event time, into `nearest`.

    Rows are in order of event time, later-known rows last among equals, so this is also
    the version of a profile that is in force. A row that arrives late does not replace a
    row that happened after it; a row that is superseded gives way to the one before it.

    `rows`: int32 array; row number in the table of each position.
    `nearest`: int32 array, one an observation's row, written where a row is visible.
    """
    inside = begin_room(room, most_rows(laid.row_starts))
    for key in range(laid.row_starts.size - 1):
        low = laid.row_starts[key]
        latest = int(kept[0]) - 1 if kept.size else -1
        if not kept.size:  # the buffer is shared: the last key may have left rows inside
            inside[: laid.row_starts[key + 1] - low] = 0
        first = 2 * low + laid.observed_starts[key]
        for at in range(first, first + laid.lengths[key]):
            kind, position = laid.entries[at] & 3, laid.entries[at] >> 2
            if kind == OBSERVE:
                if latest >= 0:
                    nearest[laid.place[position]] = rows[low + latest]
            elif kind == ENTER:
                inside[position - low] = 1
                latest = max(latest, position - low)
            else:
                inside[position - low] = 0
                # the next latest is searched backwards: rows may leave in any order
                while latest >= 0 and not inside[latest]:
                    latest -= 1
        if kept.size:
            kept[0] = latest + 1


@kernel()
def sweep_decayed(
    laid: Timeline,
    value: Floats,
    event_time: Ints,
    observed_at: Ints,
    half_life: float,
    out: Floats,
    column: int,
    kept: Floats,
) -> None:
    """Sum of value * 2 ** -(age / half_life) over the visible rows; 0 without rows.

    For windows without a left end: the sum only ever shrinks or is added to, so nothing is
    subtracted and nothing can drift.

    `value`: float64 array, one value a row; empty to count each row as 1.
    `half_life`: float, microseconds.
    """
    for key in range(laid.row_starts.size - 1):
        total, last = (kept[0], int(kept[1]) - 1) if kept.size else (0.0, -1)
        moment = event_time[last] if last >= 0 else 0
        first = 2 * laid.row_starts[key] + laid.observed_starts[key]
        for at in range(first, first + laid.lengths[key]):
            kind, position = laid.entries[at] & 3, laid.entries[at] >> 2
            if kind == OBSERVE:
                age = observed_at[position] - moment
                out[laid.place[position], column] = total * 2.0 ** (-age / half_life)
                continue
            # an empty `value` means that rows are counted
            new = value[position] if value.size else 1.0
            age = event_time[position] - moment
            # decay only forward: an earlier row is decayed to the later moment, so no factor
            # exceeds 1
            if total == 0.0 or age >= 0:
                total = total * 2.0 ** (-max(age, 0) / half_life) + new
                moment, last = event_time[position], position
            else:
                total += new * 2.0 ** (age / half_life)
        if kept.size:
            kept[0], kept[1] = total, last + 1


@kernel()
def sweep_gaps(
    laid: Timeline,
    event_time: Ints,
    out: Floats,
    columns: Ints,
    kept: Floats,
    room: Ints32,
) -> None:
    """Mean and sample standard deviation of the hours between consecutive visible rows.

    The visible rows form a chain in order of event time, so a late row splits a gap in two and a
    row that leaves joins its gaps. The mean is missing below two rows, the deviation below three.
    """
    widest = most_rows(laid.row_starts)
    both = begin_room(room, 2 * widest)
    before, after = both[:widest], both[widest:]
    at_mean, at_std = columns[0], columns[1]
    for key in range(laid.row_starts.size - 1):
        low = laid.row_starts[key]
        head, tail, count = -1, -1, 0
        square, square_low, steps, peak = 0.0, 0.0, 0, 0.0
        if kept.size:
            head, tail = int(kept[0]) - 1, int(kept[1]) - 1
            count, steps = int(kept[2]), int(kept[3])
            square, square_low, peak = kept[4], kept[5], kept[6]
        first = 2 * low + laid.observed_starts[key]
        for at in range(first, first + laid.lengths[key]):
            kind, position = laid.entries[at] & 3, laid.entries[at] >> 2
            if kind == OBSERVE:
                gaps = count - 1
                if gaps < 1:
                    continue
                row = laid.place[position]
                # whole microseconds are subtracted before they become floats: the gaps' sum is
                # exact
                total = float(event_time[low + tail] - event_time[low + head])
                if at_mean >= 0:
                    out[row, at_mean] = total / gaps / _HOUR_US
                if at_std >= 0 and gaps > 1:
                    spread = squared_distance(gaps, total, 0.0, square, square_low, steps, peak)
                    out[row, at_std] = np.sqrt(spread / (gaps - 1)) / _HOUR_US
                continue
            place_in_key = position - low
            if kind == ENTER:
                left = tail
                # a row that became known late belongs before later ones
                while left > place_in_key:
                    left = before[left]
                right = head if left < 0 else after[left]
                sign = 1.0
                before[place_in_key], after[place_in_key] = left, right
                if left < 0:
                    head = place_in_key
                else:
                    after[left] = place_in_key
                if right < 0:
                    tail = place_in_key
                else:
                    before[right] = place_in_key
                count += 1
            else:
                left, right = before[place_in_key], after[place_in_key]
                sign = -1.0
                if left < 0:
                    head = right
                else:
                    after[left] = right
                if right < 0:
                    tail = left
                else:
                    before[right] = left
                count -= 1
            # without a gap the sum starts from an exact zero
            if count < 2:
                square, square_low, steps, peak = 0.0, 0.0, 0, 0.0
            # two gaps come (or go) for the one that was there (or will be)
            if left >= 0 and (count > 1 or kind == ENTER):
                gap = float(event_time[position] - event_time[low + left])
                square, square_low = _add_square(square, square_low, gap, sign)
            if right >= 0 and (count > 1 or kind == ENTER):
                gap = float(event_time[low + right] - event_time[position])
                square, square_low = _add_square(square, square_low, gap, sign)
            if left >= 0 and right >= 0:
                gap = float(event_time[low + right] - event_time[low + left])
                square, square_low = _add_square(square, square_low, gap, -sign)
            steps += 1
            peak = max(peak, square)
        if kept.size:
            kept[0], kept[1], kept[2], kept[3] = head + 1, tail + 1, count, steps
            kept[4], kept[5], kept[6] = square, square_low, peak


@kernel(inline="always")
def _add_square(square: float, square_low: float, value: float, sign: float) -> tuple[float, float]:
    # in twice the precision: squares of microseconds have more than 53 bits
    above, below = two_product(value, value)
    square, square_low = two_sum(square, square_low, sign * above)
    return two_sum(square, square_low, sign * below)
