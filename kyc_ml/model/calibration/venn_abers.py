"""The inductive Venn-Abers map: two isotonic fits a margin, merged, as steps."""

import numpy as np

from kyc_ml.metrics import Floats, Ints

Point = tuple[int, int]


def fit_venn_abers(margin: Floats, target: Floats) -> tuple[Floats, Floats]:
    """Fit the merged inductive Venn-Abers map on margins and outcomes of shape (n,).

    For a margin, p0 and p1 are the values there of the isotonic regressions of the n rows
    and one more row with that margin, negative for p0 and positive for p1. They are merged
    so as to lose least in log loss at worst: ``p = p1 / (1 - p0 + p1)``.

    - Monotone by construction: an isotonic value is ``max over l <= i of min over u >= i``
      of the mean of rows l..u, the row at i counted in, and moving i up takes the maximum
      over more and the minimum over less. So p0 and p1 do not fall, and p rises with both.
    - Never 0 or 1: the row more keeps p1 >= 1 / (n + 1) and p0 <= n / (n + 1), hence
      ``1 / (n + 2) <= p <= (n + 1) / (n + 2)``.

    Validity (calibration of one of p0, p1) rests on rows exchangeable with those to come;
    it fails where rates drift. Equal margins share a probability: ranks within a step go.

    Source: Vovk, Petej and Fedorova 2015, Large-scale probabilistic predictors with and
    without guarantees of validity, NeurIPS 28, sections 3 and 5; O(n log n).

    Returns `knots`: array of shape (k,); increasing; margins at which p jumps.
    Returns `levels`: array of shape (2 k + 1,); not decreasing; p below the first knot, at it,
    between it and the next, and so on.
    """
    knots, place = np.unique(margin, return_inverse=True)
    rows = np.bincount(place, minlength=knots.size).astype(np.int64)
    hits = np.bincount(place, weights=target, minlength=knots.size).astype(np.int64)
    p1 = _fits_with_a_positive(rows, hits)
    # a negative more, seen from above with the classes swapped, is a positive more
    p0 = 1.0 - _fits_with_a_positive(rows[::-1], (rows - hits)[::-1])[::-1]
    levels = np.empty(2 * knots.size + 1)
    levels[1::2] = _merge(p0, p1)
    # between knots p0 is that of the knot below and p1 that of the knot above
    levels[0::2] = _merge(np.append(0.0, p0), np.append(p1, 1.0))
    levels = np.maximum.accumulate(levels)  # rounding may not undo what is proven
    at, behind = levels[1::2], levels[2::2]
    jumps = (levels[:-1:2] < at) | (at < behind)
    kept = np.column_stack([at[jumps], behind[jumps]]).ravel()
    return knots[jumps], np.append(levels[0], kept)


def apply_steps(margin: Floats, knots: Floats, levels: Floats) -> Floats:
    """Look up the levels of margins of shape (n,), knots and levels as fitted above."""
    # left + right is 2i + 1 at knot i and even between knots
    below = np.searchsorted(knots, margin, side="left")
    up_to = np.searchsorted(knots, margin, side="right")
    return np.asarray(levels[below + up_to])


def _merge(p0: Floats, p1: Floats) -> Floats:
    return p1 / (1.0 - p0 + p1)


def _fits_with_a_positive(rows: Ints, hits: Ints) -> Floats:
    """For each of k margins, the isotonic value there after adding a positive row to it."""
    # an isotonic value is a slope of the greatest convex minorant of the points (rows so far,
    # positives so far). The positive row at margin i moves the points before it by (-1, -1) against
    # those behind it, and the value is the slope of the edge across the gap. From i to i + 1 one
    # point changes sides: if it lies below that edge it becomes the edge's left end. Each point
    # enters the stack and leaves it once: O(k).
    # Whole numbers throughout: no rounding before the last division.
    # Python's integers: the cross products of corners are then exact
    xs, ys = np.cumsum(rows).tolist(), np.cumsum(hits).tolist()
    corners: list[Point] = []  # the leftmost corner is last
    for point in zip(reversed(xs), reversed(ys), strict=True):
        _put(corners, point)
    _put(corners, (-1, -1))
    values = np.empty(len(xs))
    for i, (x, y) in enumerate(zip(xs, ys, strict=True)):
        (left_x, left_y), (right_x, right_y) = corners[-1], corners[-2]
        run, rise = right_x - left_x, right_y - left_y
        values[i] = rise / run
        moved = (x - 1, y - 1)
        if i + 1 < len(xs) and (moved[1] - left_y) * run < rise * (moved[0] - left_x):
            corners.pop()
            _put(corners, moved)
    return values


def _put(corners: list[Point], point: Point) -> None:
    """Put a point left of all corners, and drop the corners it lifts off the minorant."""
    x, y = point
    while len(corners) > 1:
        (near_x, near_y), (far_x, far_y) = corners[-1], corners[-2]
        if (near_y - y) * (far_x - x) < (far_y - y) * (near_x - x):
            break
        corners.pop()
    corners.append(point)
