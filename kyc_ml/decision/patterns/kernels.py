"""The searches for patterns in one customer's rows, compiled; rows are in order of time."""

from typing import NamedTuple

import numpy as np

from kyc_ml.metrics import Floats, Ints, Mask
from kyc_ml.storage import kernel


class PassRule(NamedTuple):
    """What counts as gathered or passed on; see `patterns.yaml`. Times are microseconds."""

    span: int
    pause: int
    least_number: int
    most_number: int
    least_share: float
    most_share: float
    least_part: float
    least: float


@kernel()
def mark_fan(  # noqa: PLR0917  numba calls are positional
    time: Ints, amount: Floats, way: Ints, party: Ints, new: Mask, rule: PassRule
) -> Mask:
    """Mark a burst of payments of way 1 from new parties, and the few of way -1 that follow it.

    Of several bursts the one of most parties is marked, then the last one. With times and ways
    negated and the rows in reverse the same search finds a fan-out.

    `time`, `amount`, `way`: arrays of shape (n,).
    `party`: int64 array of shape (n,); from 0; -1 where it is not known.
    `new`: bool array of shape (n,); whether the row's party is new.
    """
    n = time.size
    marked = np.zeros(n, np.bool_)
    counts = np.zeros(party.max() + 1 if n else 0, np.int64)
    first, parties, most, best_first, best_last = 0, 0, 0, 0, 0
    best = np.empty(0, np.int64)
    for last in range(n):
        if not (way[last] == 1 and new[last]):
            continue
        parties += counts[party[last]] == 0
        counts[party[last]] += 1
        while time[first] < time[last] - rule.span:
            if way[first] == 1 and new[first]:
                counts[party[first]] -= 1
                parties -= counts[party[first]] == 0
            first += 1
        if parties < max(rule.least_number, most):
            continue
        total = 0.0  # a running sum would keep the rounding errors of rows that have left the span
        for row in range(first, last + 1):
            total += amount[row] if way[row] == 1 and new[row] else 0.0
        taken = _send_on(time, amount, way, marked, last, total, rule)
        if taken.size:
            most = parties
            best_first, best_last, best = first, last, taken
    if most:
        for row in range(best_first, best_last + 1):
            marked[row] = way[row] == 1 and new[row]
        marked[best] = True
    return marked


@kernel()
def mark_passing(time: Ints, amount: Floats, way: Ints, rule: PassRule) -> Mask:
    """Mark the payments of way 1 that a few of way -1 send on soon after, and these.

    Each payment is sent on once; the largest later ones that fit are taken first. Marked are
    the most within a span, the last of several; nothing where they are too few.
    """
    used = np.zeros(time.size, np.bool_)
    sent_by = np.full(
        time.size, -1, np.int64
    )  # the row that a row sends on; itself where it is sent on
    for row in range(time.size):
        if way[row] == 1 and amount[row] >= rule.least:
            taken = _send_on(time, amount, way, used, row, amount[row], rule)
            if taken.size:
                used[taken] = True
                sent_by[taken] = row
                sent_by[row] = row
    first, count, most, best_first, best_last = 0, 0, 0, 0, -1
    for last in range(time.size):
        if sent_by[last] != last:
            continue
        count += 1
        while time[first] < time[last] - rule.span:
            count -= sent_by[first] == first
            first += 1
        if count >= max(rule.least_number, most):
            most, best_first, best_last = count, first, last
    return (sent_by >= best_first) & (sent_by <= best_last)


@kernel()
def _send_on(  # noqa: PLR0917  numba calls are positional
    time: Ints, amount: Floats, way: Ints, used: Mask, last: int, total: float, rule: PassRule
) -> Ints:
    """Choose the fewest largest payments of way -1 after a row that together send a sum on."""
    chosen = np.empty(rule.most_number, np.int64)
    n, left = 0, rule.most_share * total
    while n < rule.most_number:
        best = -1
        row = last + 1
        while row < time.size and time[row] <= time[last] + rule.pause:
            fits = rule.least_part * total <= amount[row] <= left and amount[row] > 0.0
            if way[row] == -1 and fits and not used[row] and time[row] > time[last]:
                again = False
                for place in range(n):
                    again = again or chosen[place] == row
                if not again and (best < 0 or amount[row] > amount[best]):
                    best = row
            row += 1
        if best < 0:
            break
        chosen[n] = best
        left -= amount[best]
        n += 1
        if rule.most_share * total - left >= rule.least_share * total:
            return chosen[:n]
    return chosen[:0]
