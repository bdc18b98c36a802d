"""Fill the tables of one tree: what a group of leaves gives to each feature, cell by cell.

A leaf of value v gives a feature with share z of the rows, passed (o = 1) or not (o = 0),

    v * (o - z) * integral over t in (0, 1) of prod((1 - t) * z' + t * o')

with the product over the path's other features: each joins a coalition that is formed with
probability t. The product is a polynomial of t, so a Gauss-Legendre rule of half as many
points as there are features is exact.

Source: Owen 1972, Management Science 18, P64-P79 (multilinear extension); Lundberg et al.
2020, Nature Machine Intelligence 2, 56-67 (path-dependent values).
"""

from typing import Any, NamedTuple

import numpy as np

from kyc_ml.metrics import Codes, Floats, Ints, Mask
from kyc_ml.model.contributions.groups import add_leaf, count_cells
from kyc_ml.model.contributions.paths import Paths
from kyc_ml.storage import kernel


class Rules(NamedTuple):
    """Gauss-Legendre rules on (0, 1); row n has the n points and weights of its rule."""

    points: Floats
    weights: Floats


class Tables(NamedTuple):
    """Tables of groups of leaves, one after the other."""

    n_points: Ints
    """int64 array of shape (n_groups,); points of integration; 0 for a group with one table."""
    n_cells: Ints
    """int64 array of shape (n_groups,); cells of a table of the group."""
    member_start: Ints
    """int64 array of shape (n_groups + 1,); where the members of each group are: the features of
    its stem, then others."""
    n_stem: Ints
    """int64 array of shape (n_groups,); members of the stem. A group with one table has none."""
    slot: Ints
    """int64 array of shape (n_members,)."""
    step_start: Ints
    """int64 array of shape (n_members + 1,)."""
    steps: Codes
    """uint16 array; for each member, what a code adds to the number of a row's cell; in a stem,
    whether the code passes."""
    value_start: Ints
    """int64 array of shape (n_groups + 1,)."""
    values: Floats
    """float64 array. For one table its cells: the contributions to all members, side by side. Else
    the share of each member of the stem; then for each point the product of the crown, and the
    contributions to each member of it that the stem multiplies, cell by cell."""


def make_rules(most: int) -> Rules:
    """Make the rules of up to `most` points."""
    points, weights = np.zeros((most + 1, most)), np.zeros((most + 1, most))
    for n in range(1, most + 1):
        point, weight = np.polynomial.legendre.leggauss(n)
        points[n, :n], weights[n, :n] = (point + 1.0) / 2.0, weight / 2.0
    return Rules(points, weights)


def join_tables(parts: list[Tables]) -> Tables:
    """Put the tables of all trees one after the other."""
    starts = {"member_start", "step_start", "value_start"}
    columns: dict[str, Any] = {}
    for name in Tables._fields:
        pieces = [getattr(part, name) for part in parts]
        if name in starts:
            offsets = np.cumsum([0, *(piece[-1] for piece in pieces)])
            shifted = [piece[1:] + at for piece, at in zip(pieces, offsets[:-1], strict=True)]
            pieces = [offsets[:1], *shifted]
        columns[name] = np.concatenate(pieces)
    return Tables(**columns)


@kernel()
def tabulate_tree(paths: Paths, slots: Ints, bounds: Ints, n_points: Ints, rules: Rules) -> Tables:
    """Make the tables of one tree.

    `slots`: int64 array of shape (n_features,); the slot of each of the tree's features.
    `bounds`, `n_points`: as `group_leaves` returns them.
    """
    n_groups, n_features = n_points.size, slots.size
    labels = np.zeros((n_groups, paths.cell_start[-1]), np.int64)
    counts = np.zeros((n_groups, n_features), np.int64)
    stem = np.ones((n_groups, n_features), np.bool_)
    for group in range(n_groups):
        first = bounds[group]
        for leaf in range(first, bounds[group + 1]):
            add_leaf(paths, first, leaf, labels[group], counts[group], stem[group])
        for at in range(n_features):
            stem[group, at] &= n_points[group] > 0
    member_start, n_stem, slot, step_start, steps = _list_members(
        paths, slots, bounds, labels, counts, stem
    )
    n_cells, value_start = np.empty(n_groups, np.int64), np.zeros(n_groups + 1, np.int64)
    for group in range(n_groups):
        n_crown = member_start[group + 1] - member_start[group] - n_stem[group]
        rows = n_points[group] * (1 + n_crown) if n_points[group] else n_crown
        n_cells[group] = int(count_cells(counts[group], stem[group]))
        value_start[group + 1] = value_start[group] + n_stem[group] + rows * n_cells[group]
    values = np.zeros(value_start[-1])
    for group in range(n_groups):
        part = values[value_start[group] : value_start[group + 1]]
        _fill_group(
            part,
            paths,
            bounds[group : group + 2],
            labels[group],
            counts[group],
            stem[group],
            n_points[group],
            rules,
        )
    return Tables(
        n_points, n_cells, member_start, n_stem, slot, step_start, steps, value_start, values
    )


@kernel()
def _fill_group(
    values: Floats,
    paths: Paths,
    bounds: Ints,
    labels: Ints,
    counts: Ints,
    stem: Mask,
    n_points: int,
    rules: Rules,
) -> None:
    """Write the shares of a group's stem, and add up its leaves in its tables."""
    written = 0
    for at in range(stem.size):
        if stem[at]:
            values[written] = paths.share[bounds[0], at]
            written += 1
    n_cells = int(count_cells(counts, stem))
    grid = values[written:].reshape((max(1, n_points), -1, n_cells))
    in_crown = (counts > 0) & ~stem
    for leaf in range(bounds[0], bounds[1]):
        _add_leaf_table(grid, paths, leaf, labels, counts, in_crown, n_points, rules)
    if not n_points:  # a single row finds all of its cell in one or two lines of memory
        values[:] = np.ascontiguousarray(grid[0].T).reshape(-1)


@kernel()
def _list_members(
    paths: Paths, slots: Ints, bounds: Ints, labels: Ints, counts: Ints, stem: Mask
) -> tuple[Ints, Ints, Ints, Ints, Codes]:
    """List each group's stem and crown, and what each code of a member adds."""
    n_groups, n_features = counts.shape
    n_codes = 0
    for group in range(n_groups):
        for at in range(n_features):
            if counts[group, at]:
                n_codes += paths.code_start[at + 1] - paths.code_start[at]
    n_members = np.count_nonzero(counts)
    member_start, n_stem = np.zeros(n_groups + 1, np.int64), np.zeros(n_groups, np.int64)
    slot, step_start = np.empty(n_members, np.int64), np.zeros(n_members + 1, np.int64)
    steps = np.empty(n_codes, np.uint16)
    member, written = 0, 0
    for group in range(n_groups):
        stride = 1
        for in_stem in (True, False):
            for at in range(n_features):
                if counts[group, at] == 0 or stem[group, at] != in_stem:
                    continue
                for code in range(paths.code_start[at], paths.code_start[at + 1]):
                    cell = paths.cell[code]
                    if in_stem:
                        steps[written] = paths.inside[bounds[group], cell]
                    else:
                        steps[written] = stride * labels[group, cell]
                    written += 1
                if in_stem:
                    n_stem[group] += 1
                else:
                    stride *= counts[group, at]
                slot[member] = slots[at]
                member += 1
                step_start[member] = written
        member_start[group + 1] = member
    return member_start, n_stem, slot, step_start, steps


@kernel()
def _add_leaf_table(
    grid: Floats,
    paths: Paths,
    leaf: int,
    labels: Ints,
    counts: Ints,
    in_crown: Mask,
    n_points: int,
    rules: Rules,
) -> None:
    """Add one leaf to the tables of its group, of shape (n_tables, n_rows, n_cells)."""
    n_cells, first_row = grid.shape[2], 1 if n_points else 0
    pattern, share = np.zeros(n_cells, np.int64), np.empty(counts.size)
    rows = np.zeros(counts.size + 1, np.int64)
    row, known, stride = first_row, 0, 1
    for at in range(counts.size):
        if not in_crown[at]:
            continue
        if paths.share[leaf, at] >= 0.0:
            passes = np.zeros(counts[at], np.int64)
            for cell in range(paths.cell_start[at], paths.cell_start[at + 1]):
                passes[labels[cell]] = paths.inside[leaf, cell]
            for cell in range(n_cells):
                pattern[cell] |= passes[cell // stride % counts[at]] << known
            rows[known], share[known] = row, paths.share[leaf, at]
            known += 1
            rows[known] = 0
        stride *= counts[at]
        row += 1
    # this many points integrate a polynomial of degree known - 1 exactly
    used = n_points if n_points else (known + 1) // 2
    for point in range(used):
        weight = paths.value[leaf] * rules.weights[used, point]
        part = _share_out(share[:known], rules.points[used, point])
        table = grid[point if n_points else 0]
        # the last of the part, the whole product, is row 0 of an integration
        for at in range(known + first_row):
            for cell in range(n_cells):
                table[rows[at], cell] += weight * part[at, pattern[cell]]


@kernel()
def _share_out(share: Floats, t: float) -> Floats:
    """Form what stands below the integral at t, for every pattern of features passed.

    Returns float64 array of shape (n_features + 1, 2**n_features); for each feature (o - z) times
    the product over the others; then the product over all. Bit k of the column says whether feature
    k passes.
    """
    n = share.size
    out, before = np.empty((n + 1, 1 << n)), np.empty(n)
    for pattern in range(1 << n):
        product, after = 1.0, 1.0
        for at in range(n):
            before[at] = product
            product *= (1.0 - t) * share[at] + t * (pattern >> at & 1)
        # products from both sides instead of a division by a factor that may be 0
        for at in range(n - 1, -1, -1):
            passed = pattern >> at & 1
            out[at, pattern] = before[at] * after * (passed - share[at])
            after *= (1.0 - t) * share[at] + t * passed
        out[n, pattern] = product
    return out
