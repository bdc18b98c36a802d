"""Compiled sweep of how a window's flow is spread over values: first share, Herfindahl, entropy."""

import numpy as np

from kyc_ml.features.kernels.exact import EVEN, two_sum
from kyc_ml.features.kernels.timeline import ENTER, OBSERVE, Timeline, begin_room
from kyc_ml.metrics import Floats, Ints, Ints32
from kyc_ml.storage import kernel


@kernel()
def code_pairs(row_starts: Ints, values: Ints32, n_values: int) -> tuple[Ints32, Ints]:
    """Assign a code to each (key, value) pair, consecutive for the pairs of a key.

    `values`: int32 array; code of each row's value, below `n_values`; negative is missing.
    Returns `codes`: int32 array; code of each row's pair; -1 where the value is missing.
    Returns `code_starts`: int64 array of shape (n_keys + 1,); codes of key k are ``code_starts[k]``
    up to, not including, ``code_starts[k + 1]``.
    """
    n_keys = row_starts.size - 1
    codes = np.empty(values.size, np.int32)
    code_starts = np.zeros(n_keys + 1, np.int64)
    # notes which key used a value last: nothing needs clearing between keys
    last_key = np.full(n_values, -1, np.int64)
    code_of = np.empty(n_values, np.int32)
    following = 0
    for key in range(n_keys):
        for position in range(row_starts[key], row_starts[key + 1]):
            value = values[position]
            if value < 0:
                codes[position] = -1
                continue
            if last_key[value] != key:
                last_key[value] = key
                code_of[value] = following
                following += 1
            codes[position] = code_of[value]
        code_starts[key + 1] = following
    return codes, code_starts


@kernel()
def sweep_shares(
    laid: Timeline,
    codes: Ints32,
    code_starts: Ints,
    weight: Floats,
    out: Floats,
    columns: Ints,
    kept: Floats,
    room: Ints32,
    sums: Floats,
) -> None:
    """Largest share, sum of squared shares and entropy (nats) of the values seen.

    A value's share is its number of visible rows, or their summed weight, over that of all
    values. All three are missing where nothing is visible or the weights sum to 0. What a
    row added when it came is taken away exactly when it leaves, so nothing drifts. Of n
    values with equal shares they are exactly 1 / n, 1 / n and ln n: of one value 1, 1 and 0.

    `codes`, `code_starts`: as `code_pairs` gives them.
    `weight`: float64 array, one weight >= 0 a row; empty to count rows.
    `columns`: int64 array of shape (3,); first share, Herfindahl index, entropy.
    `kept`, `room`, `sums`: see `timeline.begin_room`; `sums` is float64, of ``4 * n + 2``.

    Notes
    -----
    The largest share is kept in a tournament over the key's values: entry 1 is the largest
    of all, entries ``n`` to ``2 n - 1`` are the values' own.
    """
    n_codes = code_starts[-1]
    count = begin_room(room, n_codes)
    held = sums if sums.size > 0 else np.zeros(4 * n_codes + 2)
    high, low, tree = held[:n_codes], held[n_codes : 2 * n_codes], held[2 * n_codes :]
    at_first, at_herfindahl, at_entropy = columns[0], columns[1], columns[2]
    for key in range(laid.row_starts.size - 1):
        code_low = code_starts[key]
        width = code_starts[key + 1] - code_low
        rows, different, total, total_low = 0, 0, 0.0, 0.0
        square, square_low, logged, logged_low = 0.0, 0.0, 0.0, 0.0
        if kept.size:
            rows, different = int(kept[0]), int(kept[1])
            total, total_low, square, square_low = kept[2], kept[3], kept[4], kept[5]
            logged, logged_low = kept[6], kept[7]
        first = 2 * laid.row_starts[key] + laid.observed_starts[key]
        for at in range(first, first + laid.lengths[key]):
            kind, position = laid.entries[at] & 3, laid.entries[at] >> 2
            if kind == OBSERVE:
                if total > 0.0:
                    row = laid.place[position]
                    if at_first >= 0:
                        # node 1 of a key's tournament holds its largest value
                        share = tree[2 * code_low + 1] / total
                        # even shares give exactly 1 / n, whatever the order of the rows rounded off
                        even = abs(share * different - 1.0) <= EVEN
                        # rounding could pass 1
                        out[row, at_first] = 1.0 / different if even else min(share, 1.0)
                    index = square / total / total
                    even = abs(index * different - 1.0) <= EVEN
                    if at_herfindahl >= 0:
                        out[row, at_herfindahl] = 1.0 / different if even else min(index, 1.0)
                    if at_entropy >= 0:
                        spread = np.log(total) - logged / total
                        # rounding could give an entropy just below 0
                        out[row, at_entropy] = np.log(different) if even else max(spread, 0.0)
                continue
            code = codes[position]
            new = weight[position] if weight.size else 1.0
            if code < 0 or new == 0.0:  # what weighs nothing has no share
                continue
            sign = 1.0 if kind == ENTER else -1.0
            old = high[code]
            different += 1 if count[code] == 0 else 0
            count[code] += 1 if kind == ENTER else -1
            different -= 1 if count[code] == 0 else 0
            rows += 1 if kind == ENTER else -1
            # the last row of a value has left: an exact zero, not what subtraction leaves
            if count[code] == 0:
                high[code], low[code] = 0.0, 0.0
            else:
                high[code], low[code] = two_sum(old, low[code], sign * new)
            now = high[code]
            # an empty window starts from exact zeros
            if rows == 0:
                total, total_low = 0.0, 0.0
                square, square_low, logged, logged_low = 0.0, 0.0, 0.0, 0.0
            else:
                total, total_low = two_sum(total, total_low, sign * new)
                # the old square is replaced by the new one: only this value's weight changed
                square, square_low = two_sum(square, square_low, -(old * old))
                square, square_low = two_sum(square, square_low, now * now)
                logged, logged_low = two_sum(logged, logged_low, -_log_part(old))
                logged, logged_low = two_sum(logged, logged_low, _log_part(now))
            if at_first >= 0:
                _update_largest(tree, 2 * code_low, width, code - code_low, now)
        if kept.size:
            kept[0], kept[1], kept[2], kept[3] = rows, different, total, total_low
            kept[4], kept[5], kept[6], kept[7] = square, square_low, logged, logged_low


@kernel(inline="always")
def _log_part(weight: float) -> float:
    return weight * np.log(weight) if weight > 0.0 else 0.0


@kernel(inline="always")
def _update_largest(tree: Floats, base: int, width: int, leaf: int, value: float) -> None:
    """Set one value of the tournament of `width` values that begins at `base`."""
    node = leaf + width
    tree[base + node] = value
    while node > 1:
        # `node ^ 1` is the sibling
        tree[base + (node >> 1)] = max(tree[base + node], tree[base + (node ^ 1)])
        node >>= 1
