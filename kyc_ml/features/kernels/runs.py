"""Compiled sweep of how adverse and good outcomes follow each other at a key."""

from kyc_ml.features.kernels.timeline import ENTER, OBSERVE, Timeline, begin_room, most_rows
from kyc_ml.metrics import Floats, Ints, Ints32
from kyc_ml.storage import kernel

_HOUR_US = 3.6e9


@kernel()
def sweep_runs(
    laid: Timeline,
    value: Floats,
    event_time: Ints,
    observed_at: Ints,
    good_after: int,
    out: Floats,
    columns: Ints,
    kept: Floats,
    room: Ints32,
) -> None:
    """Where the adverse outcomes of the visible rows begin and end, in order of event time.

    The latest run is made of the adverse rows after the last good row that precedes the latest
    adverse row. A row with value 0 is good once it is `good_after` old, and unknown before: it
    neither ends a run nor counts. Statistics of a run are missing without an adverse row, and
    the age of a good row without one; the number of rows in the run is then 0.

    `laid`, `out`, `kept`, `room`: see `kyc_ml.features.kernels.moments`.
    `value`: float64 array, one value a row; 1 is adverse, 0 is good.
    `event_time`, `observed_at`: int64 arrays, microseconds, ascending inside a key.
    `good_after`: microseconds.
    `columns`: int64 array of shape (7,); rows of the latest run, hours from its first to its last
    row, hours since its first row, good rows after it, hours since the first adverse row, share of
    adverse rows from that row on, hours since the last good row.

    Notes
    -----
    Two Fenwick trees a key count the adverse and the good rows up to a position: each step
    takes the logarithm of the key's rows. Source: Fenwick 1994, Software: Practice and
    Experience 24(3), 327-336.
    """
    widest = most_rows(laid.row_starts)
    all_three = begin_room(room, 3 * widest + 2)
    adverse, good = all_three[: widest + 1], all_three[widest + 1 : 2 * widest + 2]
    inside = all_three[2 * widest + 2 :]
    for key in range(laid.row_starts.size - 1):
        start = laid.row_starts[key]
        width = laid.row_starts[key + 1] - start
        n_adverse, n_good, old = 0, 0, 0
        if kept.size:
            n_adverse, n_good, old = int(kept[0]), int(kept[1]), int(kept[2])
        else:
            adverse[: width + 1] = 0
            good[: width + 1] = 0
            inside[:width] = 0
        entry = 2 * start + laid.observed_starts[key]
        for at in range(entry, entry + laid.lengths[key]):
            kind, position = laid.entries[at] & 3, laid.entries[at] >> 2
            if kind != OBSERVE:
                step, row = 1 if kind == ENTER else -1, position - start
                if value[position] != 0.0:
                    n_adverse += step
                    _add(adverse, width, row, step)
                else:
                    inside[row] = kind == ENTER
                    if row < old:
                        n_good += step
                        _add(good, width, row, step)
                continue
            now = observed_at[position]
            while old < width and event_time[start + old] + good_after < now:
                if inside[old]:
                    n_good += 1
                    _add(good, width, old, 1)
                old += 1
            target = laid.place[position]
            if columns[6] >= 0 and n_good > 0:
                last_good = _find(good, width, n_good)
                out[target, columns[6]] = (now - event_time[start + last_good]) / _HOUR_US
            if n_adverse == 0:
                if columns[0] >= 0:
                    out[target, columns[0]] = 0.0
                continue
            last = _find(adverse, width, n_adverse)
            before = _count(good, last)
            earlier = 0 if before == 0 else _count(adverse, _find(good, width, before))
            began = event_time[start + _find(adverse, width, earlier + 1)]
            first = _find(adverse, width, 1)
            if columns[0] >= 0:
                out[target, columns[0]] = n_adverse - earlier
            if columns[1] >= 0:
                out[target, columns[1]] = (event_time[start + last] - began) / _HOUR_US
            if columns[2] >= 0:
                out[target, columns[2]] = (now - began) / _HOUR_US
            if columns[3] >= 0:
                out[target, columns[3]] = n_good - before
            if columns[4] >= 0:
                out[target, columns[4]] = (now - event_time[start + first]) / _HOUR_US
            if columns[5] >= 0:
                since = n_adverse + n_good - _count(good, first)
                out[target, columns[5]] = n_adverse / since
        if kept.size:
            kept[0], kept[1], kept[2] = n_adverse, n_good, old


@kernel(inline="always")
def _add(tree: Ints32, width: int, row: int, step: int) -> None:
    """Count a row in or out."""
    node = row + 1
    while node <= width:
        tree[node] += step
        node += node & -node


@kernel(inline="always")
def _count(tree: Ints32, row: int) -> int:
    """Count the rows before a row."""
    found, node = 0, row
    while node > 0:
        found += tree[node]
        node -= node & -node
    return found


@kernel(inline="always")
def _find(tree: Ints32, width: int, number: int) -> int:
    """Return the row that is the `number`-th of those counted, which must exist."""
    step = 1
    while 2 * step <= width:
        step *= 2
    node = 0
    while step > 0:
        if node + step <= width and tree[node + step] < number:
            node += step
            number -= tree[node]
        step //= 2
    return node
