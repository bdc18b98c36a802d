"""First-in-first-out matching of money in to money out, for each key.

Money that leaves soon after it came is the mark of pass-through accounts: FFIEC BSA/AML
Examination Manual, appendix F, funds transfers. Which money leaves is a convention, as
money has no name: here the oldest goes first, as stock does in inventory accounting.
"""

from heapq import heappop, heappush
from typing import Final

import numpy as np

from kyc_ml.features.kernels.timeline import most_rows, order_by_instant
from kyc_ml.features.periods import HOUR_US
from kyc_ml.metrics import Floats, Ints, Ints32, Mask
from kyc_ml.storage import kernel

GONE: Final = 1e-9
"""Money in of which no more than this share is left is used up: what subtracting rounds
off is not money."""

SETTLED: Final = 1e-12
"""A booking out of which no more than this share is unmatched is matched as a whole: the rest is
rounding, not money."""


@kernel()
def match_flow(
    starts: Ints,
    event_time: Ints,
    known_at: Ints,
    is_out: Mask,
    amount: Floats,
    within_us: Ints,
) -> tuple[Floats, Floats]:
    """Match each booking out to the oldest money in that is left, as it was known then.

    Bookings out of one instant share what met them in proportion to their amounts, so that
    their order does not matter.

    A booking is matched once, at its entry: ``max(event_time, known_at)``. A booking out meets the
    money in that happened strictly before it and has entered by its own entry. Money in that
    arrives late takes its place by event time among what is left; what was matched before is not
    matched again. So no booking changes the match of one that entered before it.

    `starts`: int64 array of shape (n_keys + 1,); rows ``starts[k]:starts[k + 1]`` are those of key
    k, in order of event time.
    `event_time`, `known_at`: int64 arrays of shape (n_rows,); microseconds.
    `is_out`: bool array of shape (n_rows,); whether the row books money out; otherwise it books
    money in.
    `amount`: float64 array of shape (n_rows,); finite and not negative; a row of 0 neither brings
    nor takes money.
    `within_us`: int64 array of shape (n_limits,); ages of money in, in microseconds. A limit is
    inclusive.
    Returns `matched`: float64 array of shape (n_rows, n_limits); part of a booking out that was met
    by money in no older than each limit, in the unit of `amount`; 0 where none was, NaN for
    bookings in.
    Returns `dwell_hours`: float64 array of shape (n_rows,); mean age of all money that met a
    booking out, whatever its age, weighted by amount, in hours; NaN where none met it, and for
    bookings in.

    Notes
    -----
    Linear in the number of rows, but for money in that arrives late, which passes
    through a heap.
    """
    widest = most_rows(starts)
    matched = np.full((amount.size, within_us.size), np.nan)
    dwell_hours = np.full(amount.size, np.nan)
    met = np.zeros(amount.size)
    # a row counts from when it has happened and is known
    entry = np.maximum(event_time, known_at)
    by_entry = order_by_instant(starts, entry)
    left = amount.copy()
    queue = np.empty(widest, np.int32)  # money in that entered in order of event time
    late = [np.int32(0)]  # a heap of the money that did not
    for key in range(starts.size - 1):
        head, tail = 0, 0
        late.clear()
        # Rows that enter at the same instant stay in order of event time: none can meet
        # money that comes after it here.
        for place in range(starts[key], starts[key + 1]):
            # an empty `by_entry` means that positions are in order already
            row = by_entry[place] if by_entry.size > 0 else np.int32(place)
            if is_out[row]:
                matched[row] = 0.0
            elif amount[row] > 0.0:
                # the queue takes only rows after its last one, so that its head is the oldest
                if head == tail or row > queue[tail - 1]:
                    queue[tail] = row
                    tail += 1
                else:
                    heappush(late, row)
                continue
            else:
                continue
            wanted, weight = amount[row], 0.0
            while wanted > SETTLED * amount[row] and (head < tail or len(late) > 0):
                # positions follow event time: the smaller of the two heads is the older money
                from_late = head == tail or (len(late) > 0 and late[0] < queue[head])
                oldest = late[0] if from_late else queue[head]
                age = event_time[row] - event_time[oldest]
                # money of the same instant or later cannot pay this booking; what follows is later
                # still
                if age <= 0:
                    break
                taken = min(wanted, left[oldest])
                wanted -= taken
                left[oldest] -= taken
                for limit in range(within_us.size):
                    if age <= within_us[limit]:
                        matched[row, limit] += taken
                # `dwell_hours` is NaN until the first match: the running mean starts at 0
                mean = dwell_hours[row] if weight > 0.0 else 0.0
                weight += taken
                dwell_hours[row] = mean + (age / HOUR_US - mean) * (taken / weight)
                if left[oldest] <= GONE * amount[oldest]:
                    if from_late:
                        heappop(late)
                    else:
                        head += 1
            for limit in range(within_us.size):
                matched[row, limit] = _settled(matched[row, limit], amount[row])
            met[row] = weight
        _share_instants(
            starts[key], starts[key + 1], by_entry, event_time, entry, is_out, amount,
            met, matched, dwell_hours,
        )  # fmt: skip
    return matched, dwell_hours


@kernel(inline="always")
def _settled(matched: float, amount: float) -> float:
    """Return the amount itself where it is matched except for rounding: its share is then 1."""
    return amount if abs(amount - matched) <= SETTLED * amount else matched


@kernel()
def _share_instants(
    start: int,
    end: int,
    by_entry: Ints32,
    event_time: Ints,
    entry: Ints,
    is_out: Mask,
    amount: Floats,
    met: Floats,
    matched: Floats,
    dwell_hours: Floats,
) -> None:
    """Share what met the bookings out of one instant in proportion to their amounts."""
    place = start
    while place < end:
        first = by_entry[place] if by_entry.size > 0 else np.int32(place)
        last, total, weight, hours, outs = place, 0.0, 0.0, 0.0, 0
        shortest, longest = np.inf, -np.inf
        matched_all = np.zeros(matched.shape[1])
        while last < end:
            row = by_entry[last] if by_entry.size > 0 else np.int32(last)
            # rows of one instant are neighbours, because they are ordered by entry and then by
            # event time
            if event_time[row] != event_time[first] or entry[row] != entry[first]:
                break
            if is_out[row]:
                outs += 1
                total += amount[row]
                matched_all += matched[row]
                weight += met[row]
                if met[row] > 0.0:
                    hours += met[row] * dwell_hours[row]
                    shortest = min(shortest, dwell_hours[row])
                    longest = max(longest, dwell_hours[row])
            last += 1
        # a single booking has nothing to share: it keeps its exact figures
        if outs > 1 and total > 0.0:
            for limit in range(matched_all.size):
                matched_all[limit] = _settled(matched_all[limit], total)
            mean = hours / weight if weight > 0.0 else np.nan
            for at in range(place, last):
                row = by_entry[at] if by_entry.size > 0 else np.int32(at)
                if is_out[row]:
                    for limit in range(matched_all.size):
                        part = matched_all[limit] * (amount[row] / total)
                        matched[row, limit] = _settled(part, amount[row])
                    # equal times stay exact: their weighted mean could differ in the last bit
                    dwell_hours[row] = longest if shortest == longest else mean
        place = last
