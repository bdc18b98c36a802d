"""Statistics recomputed from the visible rows at each observation: trends, extremes, ranks.

The work grows with the rows in a window. That suits versions of customers and accounts, of which
a window holds tens, not bookings.
"""

from typing import Final

import numpy as np

from kyc_ml.features.kernels.timeline import ENTER, OBSERVE, Timeline, begin_room, most_rows
from kyc_ml.metrics import Floats, Ints, Ints32
from kyc_ml.storage import kernel

_MONTH_US: Final = 30 * 86_400e6


@kernel()
def sweep_trend(
    laid: Timeline,
    value: Floats,
    event_time: Ints,
    out: Floats,
    column: int,
    kept: Floats,
    room: Ints32,
) -> None:
    """Least-squares slope of the visible rows' values over their event times, in 30 days.

    Missing with fewer than two different times; exactly 0 where all values are equal. Times
    and values are centred, and each slope is recomputed from the visible rows, in the order
    of their event times: it depends on nothing that has left, and not on who was late.

    Source: the simple linear regression of Draper and Smith 1998, Applied Regression Analysis,
    section 1.2; the centred form of Chan, Golub and LeVeque 1983, The American Statistician 37.

    `laid`, `out`, `kept`, `room`: see `kyc_ml.features.kernels.moments`.
    `value`: float64 array, one value a row, finite.
    `event_time`: int64 array, one a row, microseconds, ascending inside a key.
    `column`: where in `out` the slope goes.
    """
    inside = begin_room(room, most_rows(laid.row_starts))
    for key in range(laid.row_starts.size - 1):
        start = laid.row_starts[key]
        low, high = 0, -1  # where the visible rows begin and end, counted from the key's first
        if kept.size:
            low, high = int(kept[0]), int(kept[1]) - 1
        else:
            inside[: laid.row_starts[key + 1] - start] = 0
        entry = 2 * start + laid.observed_starts[key]
        for at in range(entry, entry + laid.lengths[key]):
            kind, position = laid.entries[at] & 3, laid.entries[at] >> 2
            if kind != OBSERVE:
                row = position - start
                inside[row] = kind == ENTER
                if kind == ENTER:
                    low, high = (min(low, row), max(high, row)) if low <= high else (row, row)
                while low <= high and not inside[low]:
                    low += 1
                while low <= high and not inside[high]:
                    high -= 1
                continue
            # at a single instant no line has a slope: the value stays missing
            if low > high or event_time[start + low] == event_time[start + high]:
                continue
            # subtract before squaring: times since 1970 would cost the digits of the slope
            first_time, first_value = event_time[start + low], value[start + low]
            count, time_sum, value_sum = 0, 0.0, 0.0
            for row in range(low, high + 1):
                if inside[row]:
                    count += 1
                    time_sum += (event_time[start + row] - first_time) / _MONTH_US
                    value_sum += value[start + row] - first_value
            time_mean, value_mean = time_sum / count, value_sum / count
            # a second pass around the means: the formula of one pass would cancel
            spread, together = 0.0, 0.0
            for row in range(low, high + 1):
                if inside[row]:
                    when = (event_time[start + row] - first_time) / _MONTH_US - time_mean
                    spread += when * when
                    together += when * (value[start + row] - first_value - value_mean)
            out[laid.place[position], column] = together / spread
        if kept.size:
            kept[0], kept[1] = low, high + 1


@kernel()
def sweep_extremes_anew(
    laid: Timeline,
    value: Floats,
    sign: float,
    out: Floats,
    column: int,
    kept: Floats,
    room: Ints32,
) -> None:
    """Largest value of the visible rows, or smallest with `sign` -1; missing without rows.

    As `kyc_ml.features.kernels.moments.sweep_extremes`, for rows that leave in any order.
    """
    visible = begin_room(room, most_rows(laid.row_starts))
    for key in range(laid.row_starts.size - 1):
        count = int(kept[0]) if kept.size else 0
        first = 2 * laid.row_starts[key] + laid.observed_starts[key]
        for at in range(first, first + laid.lengths[key]):
            kind, position = laid.entries[at] & 3, laid.entries[at] >> 2
            if kind == ENTER:
                visible[count] = position
                count += 1
            elif kind == OBSERVE:
                if count > 0:
                    largest = sign * value[visible[0]]
                    for each in range(1, count):
                        largest = max(largest, sign * value[visible[each]])
                    out[laid.place[position], column] = sign * largest
            else:
                for each in range(count):
                    if visible[each] == position:
                        # the last one takes the free place: the order of the visible rows does not
                        # matter
                        count -= 1
                        visible[each] = visible[count]
                        break
        if kept.size:
            kept[0] = count


@kernel()
def sweep_ranks_anew(
    laid: Timeline,
    value: Floats,
    own: Floats,
    out: Floats,
    columns: Ints,
    kept: Floats,
    room: Ints32,
) -> None:
    """As `ranks.sweep_ranks` of one key, which need not know all its rows beforehand."""
    low, high = int(kept[0]), int(kept[1])  # where the visible rows begin and end
    for at in range(laid.lengths[0]):
        kind, row = laid.entries[at] & 3, laid.entries[at] >> 2
        if kind != OBSERVE:
            room[row] = kind == ENTER
            low, high = min(low, row), max(high, row + 1)
    while low < high and not room[low]:
        low += 1
    kept[0], kept[1] = low, high
    seen = value[low:high][room[low:high] == 1]
    if seen.size > 0 and columns[0] >= 0:
        ordered = np.partition(seen, seen.size // 2)
        upper = ordered[seen.size // 2]
        lower = upper if seen.size % 2 else ordered[: seen.size // 2].max()
        out[0, columns[0]] = lower + 0.5 * (upper - lower)
    if seen.size > 0 and columns[1] >= 0 and not np.isnan(own[0]):
        below, up_to = np.sum(seen < own[0]), np.sum(seen <= own[0])
        out[0, columns[1]] = 0.5 * (below + up_to) / seen.size
