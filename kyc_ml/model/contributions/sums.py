"""Explain a block of rows: look up every group of leaves, and add up in their order.

All that happens to a row depends on its own codes only, and is added up in the order of
the trees: alone or in any batch, its contributions are the same to the last bit.
"""

from typing import Final

import numpy as np

from kyc_ml.metrics import Codes, Floats, Ints, Mask
from kyc_ml.model.contributions.codes import Coding, encode_rows
from kyc_ml.model.contributions.tables import Rules, Tables
from kyc_ml.storage import kernel

_SO_FEW: Final = 4
"""Rows below which it is faster to take them one by one than column by column."""


@kernel()
def explain_block(
    matrix: Floats, coding: Coding, tables: Tables, rules: Rules, out: Floats
) -> None:
    """Write the contributions of rows, shape (n_rows, n_features).

    `out`: float64 array of shape (n_rows, n_features); columns of features that the model does not
    split on are left as they are.
    """
    n_rows, n_slots = matrix.shape[0], coding.features.size
    codes = np.empty((n_slots, n_rows), np.uint16)
    encode_rows(matrix, coding, codes)
    sums = np.zeros((n_slots, n_rows))
    cell = np.empty(n_rows, np.uint16)
    passes = np.empty((n_slots, n_rows), np.bool_)
    product, crown = np.empty(n_rows), np.empty(n_rows)
    group = 0
    while group < tables.n_points.size:
        if n_rows < _SO_FEW and not tables.n_points[group]:
            group = _add_row_by_row(tables, group, codes, sums)
            continue
        _find_cells(tables, group, codes, cell)
        if tables.n_points[group]:
            _find_passes(tables, group, codes, passes)
            _add_integrated(tables, group, rules, cell, passes, product, crown, sums)
        else:
            _add_looked_up(tables, group, cell, sums)
        group += 1
    # eight rows at a time: as many as a line of the cache holds of each sum
    for first in range(0, n_rows, 8):
        for slot in range(n_slots):
            column = coding.features[slot]
            for row in range(first, min(first + 8, n_rows)):
                out[row, column] = sums[slot, row]


@kernel()
def sum_leaves(
    matrix: Floats,
    coding: Coding,
    starts: tuple[Ints, Ints],
    children: tuple[Ints, Ints],
    leaf_value: Floats,
    out: Floats,
) -> None:
    """Write the margin of each row: its leaves' values, added up in the order of the trees.

    `starts`: where the splits and the leaves of each tree are; `children`: those of each split to
    the left and to the right; see `Forest`.
    """
    codes = np.empty((coding.features.size, matrix.shape[0]), np.uint16)
    encode_rows(matrix, coding, codes)
    for row in range(matrix.shape[0]):
        margin = 0.0
        for tree in range(starts[0].size - 1):
            first, stop = starts[0][tree], starts[0][tree + 1]
            node = 0 if stop > first else -1
            while node >= 0:
                split = first + node
                left = coding.goes_left[coding.left_start[split] + codes[coding.slot[split], row]]
                node = children[0][split] if left else children[1][split]
            margin += leaf_value[starts[1][tree] + ~node]
        out[row] = margin


@kernel()
def _add_row_by_row(tables: Tables, group: int, codes: Codes, sums: Floats) -> int:
    """Do for few rows what `_find_cells` and `_add_looked_up` do, up to a group with points."""
    while group < tables.n_points.size and not tables.n_points[group]:
        first, stop = tables.member_start[group], tables.member_start[group + 1]
        for row in range(codes.shape[1]):
            cell = 0
            for member in range(first, stop):
                cell += tables.steps[tables.step_start[member] + codes[tables.slot[member], row]]
            place = tables.value_start[group] + cell * (stop - first)
            for member in range(first, stop):
                sums[tables.slot[member], row] += tables.values[place + member - first]
        group += 1
    return group


@kernel(inline="always")
def _find_cells(tables: Tables, group: int, codes: Codes, cell: Codes) -> None:
    """Find the cell of each row, four members at a time."""
    member = tables.member_start[group] + tables.n_stem[group]
    stop = tables.member_start[group + 1]
    slot, start, steps = tables.slot, tables.step_start, tables.steps
    n_rows = cell.size
    cell[:] = 0
    while stop - member >= 4:
        slot_0, slot_1, slot_2, slot_3 = slot[member : member + 4]
        start_0, start_1, start_2, start_3 = start[member : member + 4]
        for row in range(n_rows):
            cell[row] += (
                steps[start_0 + codes[slot_0, row]]
                + steps[start_1 + codes[slot_1, row]]
                + steps[start_2 + codes[slot_2, row]]
                + steps[start_3 + codes[slot_3, row]]
            )
        member += 4
    for last in range(member, stop):
        slot_0, start_0 = slot[last], start[last]
        for row in range(n_rows):
            cell[row] += steps[start_0 + codes[slot_0, row]]


@kernel(inline="always")
def _add_looked_up(tables: Tables, group: int, cell: Codes, sums: Floats) -> None:
    start, values = tables.value_start[group], tables.values
    first, stop = tables.member_start[group], tables.member_start[group + 1]
    for member in range(first, stop):
        slot = tables.slot[member]
        for row in range(cell.size):
            sums[slot, row] += values[start + cell[row] * (stop - first)]
        start += 1


@kernel(inline="always")
def _find_passes(tables: Tables, group: int, codes: Codes, passes: Mask) -> None:
    """Find which features of the stem each row passes."""
    first = tables.member_start[group]
    for member in range(first, first + tables.n_stem[group]):
        slot, start = tables.slot[member], tables.step_start[member]
        for row in range(codes.shape[1]):
            passes[member - first, row] = tables.steps[start + codes[slot, row]] != 0


@kernel(inline="always")
def _add_integrated(
    tables: Tables,
    group: int,
    rules: Rules,
    cell: Codes,
    passes: Mask,
    product: Floats,
    crown: Floats,
    sums: Floats,
) -> None:
    """Integrate a group with a stem, as the module of tables says."""
    # the product over the other features is that over all divided by the feature's own factor,
    # which is never 0: no share is 0 and no point is 0 or 1
    first, stop = tables.member_start[group], tables.member_start[group + 1]
    n_stem, n_points, n_cells = tables.n_stem[group], tables.n_points[group], tables.n_cells[group]
    shares, values = tables.value_start[group], tables.values
    table = shares + n_stem
    for point in range(n_points):
        t = rules.points[n_points, point]
        product[:] = 1.0
        for at in range(n_stem):
            missed = (1.0 - t) * values[shares + at]
            passed = missed + t
            for row in range(product.size):
                product[row] *= passed if passes[at, row] else missed
        for row in range(product.size):
            crown[row] = product[row] * values[table + cell[row]]
        for at in range(n_stem):
            share, slot = values[shares + at], tables.slot[first + at]
            missed = -1.0 / (1.0 - t)
            passed = (1.0 - share) / ((1.0 - t) * share + t)
            for row in range(product.size):
                sums[slot, row] += crown[row] * (passed if passes[at, row] else missed)
        table += n_cells
        for member in range(first + n_stem, stop):
            slot = tables.slot[member]
            for row in range(product.size):
                sums[slot, row] += product[row] * values[table + cell[row]]
            table += n_cells
