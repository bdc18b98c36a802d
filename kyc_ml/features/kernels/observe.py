"""What one observation sees of one key: every window and statistic in one compiled call.

The statistics are those of `kyc_ml.features.kernels`, which begin anew for a key of few rows, and
go on where the last observation stopped for a key of many.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from kyc_ml.features.kernels import moments, ranks, runs, shares, timeline, trends
from kyc_ml.metrics import Floats, Ints, Ints32, Mask
from kyc_ml.storage import kernel

COUNT: Final = 0
MOMENTS: Final = 1
SHARES: Final = 2
RANKS: Final = 3
GAPS: Final = 4
DISTINCT: Final = 5
DECAYED: Final = 6
RUNS: Final = 7
TREND: Final = 8
EXTREME: Final = 9
EXTREME_ANEW: Final = 10
NEAREST: Final = 11
LEVEL: Final = 12

ROOM: Final = np.array([0, 0, 1, 0, 2, 1, 0, 3, 1, 1, 1, 1, 0])
"""Working memory of each kind of call, in widths of the key."""

OP: Final = 8
"""Numbers of a call before its columns: kind, value, codes, own, span, sign, its room, its sums."""

TAKEN: Final = 0
ROWS: Final = 1
SEEN_AT: Final = 2
NEVER_AT: Final = -(2**62)


@kernel()
def select_rows(
    masks: Mask,
    codes: Ints32,
    last: int,
    condition: int,
    key_columns: Ints32,
    key_codes: Ints32,
    taken: Ints32,
    marks: Ints,
) -> int:
    """Append the numbers of further rows that pass the condition and have the rest of the key.

    Returns how many rows there are; not all are appended if `taken` is shorter.
    """
    count = int(marks[ROWS])
    for row in range(marks[TAKEN], last):
        wanted = condition < 0 or masks[condition, row]
        for column in range(key_columns.size):
            # a key that no row has is -1, and so is a missing one of a row
            if codes[key_columns[column], row] != key_codes[column] or key_codes[column] < 0:
                wanted = False
        if wanted:
            if count < taken.size:
                taken[count] = row
            count += 1
    return count


@kernel()
def put_in_order(order: Ints32, instants: Ints, first: int, last: int) -> None:
    """Put positions from `first` on among those before, in order of instant; ties keep theirs."""
    if first == 0:
        ranks = timeline.order_by_instant(np.array([0, last]), instants[:last])
        for position in range(last):
            order[position] = ranks[position] if ranks.size > 0 else position
        return
    for position in range(first, last):
        at = position
        while at > 0 and instants[order[at - 1]] > instants[position]:
            order[at] = order[at - 1]
            at -= 1
        order[at] = position


Rows = tuple[Ints, Floats, Ints32]
"""Times, numbers and codes of the rows of a key, each of shape (columns, rows)."""
Program = tuple[Ints, Ints, Ints, Ints32]
"""See `live.groups.Group`."""
Held = tuple[
    Ints, Ints32, Ints32, Ints, Floats, Ints32, Floats, Ints32, Floats, Ints32, Ints, Ints32
]
"""See `live.groups.Held`."""


@kernel()
def observe(
    rows: Rows,
    program: Program,
    held: Held,
    last: int,
    now: int,
    own: Floats,
    goes_on: int,
    out: Floats,
    nearest: Ints,
) -> None:
    """Write every statistic of a group's windows that one observation sees.

    `last`: rows of the group, of which `held` has the numbers in `taken`, and those that it knew at
    the last observation in the order of positions.
    `own`: the observation's values that ranks are asked for.
    `goes_on`: 1 to go on where the last observation stopped, 0 to begin anew.
    `nearest`: int64 array of shape (1,), written; the latest row, where a window asks for it.
    """
    times, numbers, codes = rows
    lags, windows, calls, reads = program
    marks, taken, orders, held_times, held_values, held_codes = held[:6]
    kept, room, sums, recoded, different, entries = held[6:]
    cap = taken.size
    supersedes = times.shape[0] == 3
    first = marks[ROWS]
    anew = not goes_on or first == 0 or now < marks[SEEN_AT]
    for position in range(first, last):
        row = taken[position]
        for each in range(times.shape[0]):
            held_times[each, position] = times[each, row]
        for each in range(numbers.shape[0]):
            if reads[each] >= 0:
                held_values[each, position] = numbers[each, row]
        for each in range(codes.shape[0]):
            if reads[numbers.shape[0] + each] >= 0:
                code = codes[each, row]
                # numbered anew: a group has few of the key's values
                if code >= 0 and recoded[each, code] < 0:
                    recoded[each, code] = different[each]
                    different[each] += 1
                held_codes[each, position] = recoded[each, code] if code >= 0 else -1
    event, known = held_times[0], held_times[1]
    for lag in range(lags.size):
        enters = held_times[3 + lag]
        for position in range(first, last):
            enters[position] = max(event[position] + lags[lag] + 1, known[position])
            # a row that should have been there before changes what was summed
            anew = anew or enters[position] <= marks[SEEN_AT]
        put_in_order(orders[lag], enters, first, last)
    marks[ROWS], marks[SEEN_AT] = last, now
    # rows to come are far in the future: the width of a key that goes on does not change
    width = cap if goes_on else last
    observed_at, starts, place = np.array([now]), np.array([0, 1]), np.zeros(1, np.int32)
    row_starts, full = np.array([0, width]), np.array([0, last])
    lengths = np.empty(1, np.int64)
    unit = cap + 2
    for number in range(windows.shape[0]):
        reach, lag = windows[number, 0], windows[number, 1]
        begin, end = windows[number, 2], windows[number, 3]
        fresh = anew or windows[number, 4] == 1
        inside = room[number * unit : number * unit + width]
        if fresh:
            kept[number] = 0.0
            inside[:] = 0
        leaves, by_leave, delay = event, orders[lag, :0], reach + 1
        if supersedes:
            at = lags.size + number
            leaves, by_leave, delay = held_times[3 + at], orders[at], 0
            for position in range(first, last):
                leaves[position] = min(event[position] + (reach + 1), held_times[2, position])
            put_in_order(by_leave, leaves, first, last)
            by_leave = by_leave[:width]
        timeline.build_timeline(
            observed_at,
            starts,
            held_times[3 + lag],
            orders[lag, :width],
            leaves,
            by_leave,
            delay,
            full if windows[number, 4] == 1 else row_starts,
            entries,
            lengths,
            kept[number],
            inside,
        )
        laid = timeline.Timeline(entries, lengths, row_starts, starts, place)
        for index in range(begin, end):
            call = calls[index]
            kind, columns = call[0], call[OP:]
            value = held_values[max(call[1], 0), : width if call[1] >= 0 else 0]
            coded = held_codes[max(call[2], 0), : width if call[2] >= 0 else 0]
            several = width
            if call[2] >= 0:
                several = width if goes_on else different[call[2]]
            memory = kept[windows.shape[0] + index]
            here = room[call[6] * unit : call[6] * unit + 3 * width + 2]
            if fresh:
                memory[:] = 0.0
                if ROOM[kind] == 3:
                    here[:] = 0
                elif ROOM[kind] > 0:
                    here[: ROOM[kind] * max(several, width)] = 0
            if kind == COUNT:
                moments.sweep_count(laid, out, columns[0], memory)
            elif kind == MOMENTS:
                moments.sweep_moments(laid, value, out, columns, memory)
            elif kind == SHARES:
                flows = sums[call[7] * unit : call[7] * unit + 4 * several + 2]
                if fresh:
                    flows[:] = 0.0
                pairs = np.array([0, several])
                shares.sweep_shares(laid, coded, pairs, value, out, columns, memory, here, flows)
            elif kind == RANKS:
                ranked, ordered = ranks.rank_values(full, value[:last])
                whole = timeline.Timeline(entries, lengths, full, starts, place)
                asked = own[call[3] : call[3] + 1] if call[3] >= 0 else own[:0]
                ranks.sweep_ranks(whole, ranked, ordered, asked, out, columns)
            elif kind == GAPS:
                moments.sweep_gaps(laid, event, out, columns, memory, here)
            elif kind == DISTINCT:
                moments.sweep_distinct(laid, coded, several, out, columns[0], memory, here)
            elif kind == DECAYED:
                life = float(call[4])
                moments.sweep_decayed(
                    laid, value, event, observed_at, life, out, columns[0], memory
                )
            elif kind == RUNS:
                runs.sweep_runs(
                    laid, value, event, observed_at, call[4], out, columns, memory, here
                )
            elif kind == TREND:
                trends.sweep_trend(laid, value, event, out, columns[0], memory, here)
            elif kind == EXTREME:
                sign = float(call[5])
                moments.sweep_extremes(laid, value, sign, out, columns[0], memory, here)
            elif kind == EXTREME_ANEW:
                sign = float(call[5])
                trends.sweep_extremes_anew(laid, value, sign, out, columns[0], memory, here)
            elif kind == NEAREST:
                found = np.full(1, -1, np.int32)
                moments.sweep_nearest(laid, taken, found, memory, here)
                nearest[0] = found[0]
            elif nearest[0] >= 0:  # the latest row was found by the call before
                low = int(kept[windows.shape[0] + columns[1], 0]) - 1
                high = low + 1
                while high < last and event[high] == event[low] and known[high] == known[low]:
                    high += 1
                while low > 0 and event[low - 1] == event[low] and known[low - 1] == known[low]:
                    low -= 1
                ties = np.array([0, high - low])
                out[0, columns[0]] = timeline.level_ties(
                    ties, event[low:high], known[low:high], value[low:high]
                )[-1]
