"""Compiled sweep of order statistics: a window's median, and where a value lies in it."""

import numpy as np

from kyc_ml.features.kernels.timeline import ENTER, OBSERVE, Timeline, most_rows
from kyc_ml.metrics import Floats, Ints, Ints32
from kyc_ml.storage import kernel


@kernel()
def rank_values(row_starts: Ints, value: Floats) -> tuple[Ints32, Floats]:
    """Rank the values of each key among themselves; equal values share a rank.

    Returns `ranks`: int32 array; 0 for the smallest value of the row's key.
    Returns `ordered`: float64 array; ``ordered[row_starts[k] + r]`` is the value of rank r of key
    k.
    """
    ranks = np.empty(value.size, np.int32)
    ordered = np.empty(value.size, np.float64)
    for key in range(row_starts.size - 1):
        low, high = row_starts[key], row_starts[key + 1]
        rank = -1
        for place in np.argsort(value[low:high], kind="mergesort"):
            position = low + place
            if rank < 0 or value[position] != ordered[low + rank]:
                rank += 1
                ordered[low + rank] = value[position]
            ranks[position] = rank
    return ranks, ordered


@kernel()
def sweep_ranks(
    laid: Timeline,
    ranks: Ints32,
    ordered: Floats,
    own: Floats,
    out: Floats,
    columns: Ints,
) -> None:
    """Median of the visible rows, and the share of them below the observation's own value.

    Rows equal to the own value count half, so the share is 0.5 among equals. Both are
    missing without rows, the share also without an own value.

    `ranks`, `ordered`: as `rank_values` gives them.
    `own`: float64 array, one a row of `out`; empty where only the median is wanted.
    `columns`: int64 array of shape (2,); median, share below.

    Notes
    -----
    A Fenwick tree over the key's ranks counts what is visible, so a row or an observation
    costs the logarithm of the key's number of different values.
    """
    widest = most_rows(laid.row_starts)
    tree = np.zeros(widest + 1, np.int32)
    for key in range(laid.row_starts.size - 1):
        low = laid.row_starts[key]
        values = 0
        for position in range(low, laid.row_starts[key + 1]):
            values = max(values, ranks[position] + 1)
        # only what this key uses is cleared: the buffer has the length of the longest key
        tree[: values + 1] = 0
        count = 0
        first = 2 * low + laid.observed_starts[key]
        for at in range(first, first + laid.lengths[key]):
            kind, position = laid.entries[at] & 3, laid.entries[at] >> 2
            if kind != OBSERVE:
                change = 1 if kind == ENTER else -1
                count += change
                # a Fenwick tree counts from 1
                node = ranks[position] + 1
                while node <= values:
                    tree[node] += change
                    node += node & -node
                continue
            if count == 0:
                continue
            row = laid.place[position]
            if columns[0] >= 0:
                # for an odd count both are the same row
                lower = ordered[low + _rank_at(tree, values, (count - 1) // 2)]
                upper = ordered[low + _rank_at(tree, values, count // 2)]
                out[row, columns[0]] = lower + 0.5 * (upper - lower)
            # a search for NaN would put it after all values
            if columns[1] >= 0 and not np.isnan(own[row]):
                values_of_key = ordered[low : low + values]
                below = _count_first(tree, np.searchsorted(values_of_key, own[row], "left"))
                up_to = _count_first(tree, np.searchsorted(values_of_key, own[row], "right"))
                # half of the equal values count as below
                out[row, columns[1]] = 0.5 * (below + up_to) / count


@kernel(inline="always")
def _rank_at(tree: Ints32, values: int, number: int) -> int:
    """Return the rank of the visible row that has `number` rows before it."""
    # the largest power of two among the nodes
    node, step = 0, 1
    while 2 * step <= values:
        step *= 2
    while step > 0:
        if node + step <= values and tree[node + step] <= number:
            node += step
            number -= tree[node]
        step //= 2
    return node


@kernel(inline="always")
def _count_first(tree: Ints32, ranks: int) -> int:
    """Count the visible rows of the `ranks` lowest ranks."""
    total, node = 0, ranks
    while node > 0:
        total += tree[node]
        node -= node & -node
    return total
