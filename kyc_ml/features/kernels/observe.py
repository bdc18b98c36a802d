"""What one observation sees of one key: every window and statistic in one compiled call.

The statistics are those of the other kernels. They begin with no state for a key of few rows,
and continue where the last observation stopped for a key of many; see `timeline.begin_room`.
"""

import numpy as np

from kyc_ml.features.kernels import moments, runs, shares, timeline, trends
from kyc_ml.metrics import Floats, Ints, Ints32, Mask
from kyc_ml.storage import kernel

(COUNT, MOMENTS, SHARES, RANKS, GAPS, DISTINCT, DECAYED, RUNS, TREND) = range(9)
(LARGEST, LARGEST_ANEW, NEAREST, LEVEL) = range(9, 13)
"""Kinds of call. The columns of a call: kind, value, codes, own, span, sign, sums, 7 columns of
`out`; -1 for none."""

Rows = tuple[Ints, Floats, Ints32, Mask]
"""Times, numbers, codes and conditions of the rows of a key, each of shape (columns, rows)."""
Program = tuple[int, Ints32, Ints, Ints, Ints, Ints32, int]
"""Condition, columns of the rest of the key, lags, windows (reach, lag, first and last call),
calls, which numbers and codes are read, and 1 where rows leave in any order."""
Held = tuple[
    Ints, Ints32, Ints32, Ints, Floats, Ints32, Floats, Ints32, Floats, Ints32, Ints, Ints32
]  # fmt: skip
"""See `live.groups.Held`."""


@kernel()
def observe(
    rows: Rows,
    size: int,
    chosen: Ints32,
    program: Program,
    key_codes: Ints32,
    held: Held,
    now: int,
    own: Floats,
    goes_on: int,
    out: Floats,
) -> int:
    """Write every statistic of a group's windows that one observation sees into `out`.

    `size`: rows of the key, or of those `chosen` where a few are; those of the group have the codes
    `key_codes` in the key's columns.
    `held`: arrays of the group's rows, and the state that kernels continue with where `goes_on`.
    `own`: the observation's values that ranks are asked for.

    Returns the row that is the latest, -1 without one; ``-2 - n`` if nothing was written, because
    all must begin with no state and room for n rows.
    """
    times, numbers, codes, masks = rows
    condition, key_columns, lags, windows, calls, reads, any_order = program
    marks, taken, orders, held_times, held_values, held_codes = held[:6]
    kept, room, sums, recoded, different, entries = held[6:]
    if not goes_on:
        marks[:], different[:], kept[:] = 0, 0, 0.0
    # rows taken of the key, rows of the group, and 1 + time of the last observation
    first, cap = int(marks[1]), taken.size
    last = first
    for at in range(marks[0], size):
        row = chosen[at] if chosen.size > 0 else at
        wanted = condition < 0 or masks[condition, row]
        for column in range(key_columns.size):
            # a missing value has the code -1, which no key has
            wanted = wanted and codes[key_columns[column], row] == key_codes[column]
        if wanted:
            if last < cap:
                taken[last] = row
            last += 1
    if last > cap or (first > 0 and now < marks[2]):
        return -2 - last
    if not goes_on:  # all codes of the key would take longer to clear than those that it reads
        for each in range(codes.shape[0]):
            for position in range(last if reads[numbers.shape[0] + each] else 0):
                recoded[each, max(codes[each, taken[position]], 0)] = 0
    for position in range(first, last):
        row = taken[position]
        for each in range(times.shape[0]):
            held_times[each, position] = times[each, row]
        for each in range(numbers.shape[0]):
            if reads[each]:
                held_values[each, position] = numbers[each, row]
        for each in range(codes.shape[0]):
            if reads[numbers.shape[0] + each]:
                code = codes[each, row]
                # numbered again, from 1: a group has few of the key's values
                if code >= 0 and recoded[each, code] == 0:
                    different[each] += 1
                    recoded[each, code] = different[each]
                held_codes[each, position] = recoded[each, code] - 1 if code >= 0 else -1
    event, known = held_times[0], held_times[1]
    for lag in range(lags.size):
        enters = held_times[3 + lag]
        for position in range(first, last):
            enters[position] = max(event[position] + lags[lag] + 1, known[position])
            # a row that the last observation should have seen changes what was summed
            if first > 0 and enters[position] <= marks[2]:
                return -2 - last
        timeline.put_in_order(orders[lag], enters, first, last)
    marks[0], marks[1], marks[2] = size, last, now
    # rows to come are far in the future: the width of a key that has state does not change
    width = cap if goes_on else last
    observed_at, starts, place = np.array([now]), np.array([0, 1]), np.zeros(1, np.int32)
    row_starts, lengths, latest = np.array([0, width]), np.empty(1, np.int64), -1
    found = -1
    unit = 3 * cap + 2
    if not goes_on:
        for number in range(windows.shape[0] + calls.shape[0]):
            room[number * unit : number * unit + 3 * width + 2] = 0
    for number in range(windows.shape[0]):
        reach, lag = windows[number, 0], windows[number, 1]
        leaves, by_leave, delay = event, orders[lag, :0], reach + 1
        if any_order:
            at = lags.size + number
            leaves, by_leave, delay = held_times[3 + at], orders[at, :width], 0
            for position in range(first, last):
                leaves[position] = event[position] + reach + 1
                if times.shape[0] == 3:  # rows that are superseded
                    leaves[position] = min(leaves[position], held_times[2, position])
            timeline.put_in_order(by_leave, leaves, first, last)
        enters, by_entry = held_times[3 + lag], orders[lag, :width]
        inside = room[number * unit : number * unit + width]
        seen = observed_at, starts, enters, by_entry, leaves, by_leave, delay, row_starts
        timeline.build_timeline(*seen, entries, lengths, kept[number], inside)
        laid = timeline.Timeline(entries, lengths, row_starts, starts, place)
        for index in range(windows[number, 2], windows[number, 3]):
            call, here = calls[index], (windows.shape[0] + index) * unit
            kind, columns, sign, span = call[0], call[7:], float(call[5]), call[4]
            value = held_values[max(call[1], 0), : width if call[1] >= 0 else 0]
            coded = held_codes[max(call[2], 0)]
            memory, space = kept[windows.shape[0] + index], room[here : here + 3 * width + 2]
            if kind == COUNT:
                moments.sweep_count(laid, out, columns[0], memory)
            elif kind == MOMENTS:
                moments.sweep_moments(laid, value, out, columns, memory)
            elif kind == SHARES:
                # a tournament of at least one value: memory of no length would mean no state
                several = width if goes_on else max(different[call[2]], 1)
                flows = sums[call[6] * (4 * cap + 2) :][: 4 * several + 2]
                if not goes_on:
                    flows[:] = 0.0
                pairs = np.array([0, several])
                shares.sweep_shares(laid, coded, pairs, value, out, columns, memory, space, flows)
            elif kind == RANKS:
                asked = own[call[3] :] if call[3] >= 0 else own[:0]
                trends.sweep_ranks_anew(laid, value, asked, out, columns, memory, space)
            elif kind == GAPS:
                moments.sweep_gaps(laid, event, out, columns, memory, space)
            elif kind == DISTINCT:
                moments.sweep_distinct(laid, coded, width, out, columns[0], memory, space)
            elif kind == DECAYED:
                aged = laid, value, event, observed_at, float(span)
                moments.sweep_decayed(*aged, out, columns[0], memory)
            elif kind == RUNS:
                aged_rows = laid, value, event, observed_at, span
                runs.sweep_runs(*aged_rows, out, columns, memory, space)
            elif kind == TREND:
                trends.sweep_trend(laid, value, event, out, columns[0], memory, space)
            elif kind == LARGEST:
                moments.sweep_extremes(laid, value, sign, out, columns[0], memory, space)
            elif kind == LARGEST_ANEW:
                trends.sweep_extremes_anew(laid, value, sign, out, columns[0], memory, space)
            elif kind == NEAREST:
                nearest = np.full(1, -1, np.int32)
                moments.sweep_nearest(laid, taken, nearest, memory, space)
                latest, found = nearest[0], int(memory[0]) - 1
            elif latest >= 0:  # level the value of the row that the call before has found
                low, high = found, found + 1
                while high < last and event[high] == event[found] and known[high] == known[found]:
                    high += 1
                while low > 0 and event[low - 1] == event[found] and known[low - 1] == known[found]:
                    low -= 1
                ties = np.array([0, high - low]), event[low:high], known[low:high], value[low:high]
                out[0, columns[0]] = timeline.level_ties(*ties)[0]
    return latest
