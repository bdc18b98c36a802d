"""What the model must beat: a logistic regression on binned features."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import logit
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from kyc_ml.errors import require_both_classes
from kyc_ml.metrics import Floats, Ints, Mask, Names, number_customers

MOST_ROWS: Final = 100_000
"""Latest training rows the baseline is fitted on. Convention: enough for a linear model
of some hundred columns, and its fit stays shorter than the model's."""

# Chosen by log loss on the calibration rows of the synthetic bank's fraud model and of the
# Handbook: 10, 20 and 50 bins, with and without tails, 1 to 5 pseudo-positives, C from 0.001
# to 1. Without the tails average precision on the Handbook falls from 0.73 to 0.51: what
# gives fraud away lies in the highest hundredth of a feature.
_TAIL: Final = (0.001, 0.002, 0.005, 0.01, 0.02)
_SHARES: Final = np.concatenate([np.arange(1, 20) / 20, _TAIL, 1.0 - np.array(_TAIL)])
_PSEUDO_POSITIVES: Final = 1.0
"""Each bin is shrunk to the common rate as if it had rows with this many more positives."""
_C: Final = 0.01
_FOLDS: Final = 5

_MISSING: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bins:
    """The bins of one column."""

    edges: Floats
    """float64 array; of a number, the highest value of each bin but the last; of a category, its
    codes."""
    category: bool

    @property
    def count(self) -> int:
        """Number of bins: for missing, for each range or code, and for codes never seen."""
        return self.edges.size + 2

    def place(self, values: Floats) -> Ints:
        """Return the bin of each value, from 0 (missing, or infinite) to `count` - 1."""
        at = np.searchsorted(self.edges, values, side="left")
        if self.category:
            # NaN behind the last edge: a code above all known ones then equals nothing
            found = np.append(self.edges, np.nan)[at] == values
            # codes that were never seen share the last bin
            at = np.where(found, at, self.edges.size)
        return np.where(np.isfinite(values), at + 1, _MISSING)


@dataclass(frozen=True, slots=True, kw_only=True)
class BinnedLogistic:
    """A logistic regression that reads each feature's bin by its weight of evidence."""

    bins: tuple[Bins, ...]
    """Tuple of Bins, one a column."""
    evidence: tuple[Floats, ...]
    """Tuple of float64 arrays, one a column; log-odds of each bin less those of all rows; 0 where
    training had no row."""
    slopes: Floats
    """float64 array of shape (number of columns,)."""
    intercept: float

    def margin(self, matrix: Floats) -> Floats:
        """Predict the log-odds of rows of shape (n, p); a row's own depend on no other row."""
        total = np.full(matrix.shape[0], self.intercept)
        for column, (bins, evidence) in enumerate(zip(self.bins, self.evidence, strict=True)):
            total += self.slopes[column] * evidence[bins.place(matrix[:, column])]
        return total


def fit_logistic(
    matrix: Floats,
    target: Floats,
    *,
    categories: Mask,
    customers: Names,
    seed: int,
) -> BinnedLogistic:
    """Fit a logistic regression on features cut into bins, as a scorecard does.

    Numbers are cut at quantiles, finer in both tails; equal values share a bin, so zeros,
    often the commonest value, have a separate bin. Missing is a bin, infinity counts as
    missing. A category's values are its bins; an unknown one has weight 0, and a rare one
    little: each bin is pulled to the common rate. So that no row's own outcome is in what
    it is fitted on, the weight of evidence of a training row comes from other customers.
    Rows must be in order of time: the latest `MOST_ROWS` are used, or more where those hold
    one class only. The number of threads changes nothing.

    Source: Siddiqi 2006, Credit Risk Scorecards, Wiley, for weight of evidence;
    Micci-Barreca 2001, SIGKDD Explorations 3(1), 27-32, for the pull to the whole.

    `matrix`: float64 array of shape (n, p); categories as codes; NaN is missing.
    `target`: array of 0 and 1, shape (n,).
    `categories`: bool array of shape (p,); True for columns that hold category codes.
    `customers`: array of shape (n,); with one customer only, there are no others to learn from: the
    common rate is all that is learnt.
    `seed`: deals customers to folds.
    Raises DatasetError if the rows have one class only.
    """
    latest = latest_rows(target)
    matrix, target = matrix[latest], target[latest]
    folds = _deal(number_customers(customers[latest]), seed=seed)
    bins = tuple(
        _cut(matrix[:, column], category=bool(category))
        for column, category in enumerate(categories)
    )
    evidence = []
    # columns are written one after the other
    known = np.empty(matrix.shape, order="F")
    for column, each in enumerate(bins):
        place = each.place(matrix[:, column])
        # a row's evidence comes from other folds: its own outcome must not leak into it
        whole, known[:, column] = _weigh(place, target, folds, count=each.count)
        evidence.append(whole)
    with threadpool_limits(1):  # threads add up in another order: the last digits would differ
        line = LogisticRegression(C=_C, max_iter=1000).fit(known, target)
    return BinnedLogistic(
        bins=bins,
        evidence=tuple(evidence),
        slopes=np.asarray(line.coef_[0], dtype=np.float64),
        intercept=float(line.intercept_[0]),
    )


def latest_rows(target: Floats) -> slice:
    """Choose the rows that `fit_logistic` fits on, so that a caller need not copy others.

    They are the latest ones, reaching back until there is one of each class.

    Raises DatasetError if the rows have one class only.
    """
    found = [np.flatnonzero(target == outcome) for outcome in (0.0, 1.0)]
    require_both_classes(
        "the baseline",
        found[1].size,
        target.size,
        cure="widen the training part, or check cases and label_maturity_days",
    )
    last_of_each = min(int(rows[-1]) for rows in found)
    # the latest rows, but at least one of each class
    return slice(max(0, min(target.size - MOST_ROWS, last_of_each)), None)


def _deal(groups: Ints, *, seed: int) -> Ints:
    """Assign customers, with all their rows, to folds of nearly equal number."""
    order = np.random.default_rng(seed).permutation(int(groups.max()) + 1)
    # by the number of a shuffled customer: folds differ by one customer at most
    return order[groups] % _FOLDS


def _cut(values: Floats, *, category: bool) -> Bins:
    known = values[np.isfinite(values)]
    if category or not known.size:
        return Bins(edges=np.unique(known), category=category)
    # edges are values that occur, not means of two
    edges = np.quantile(known, _SHARES, method="inverted_cdf")
    # a frequent value is several quantiles: one edge of it is enough
    return Bins(edges=np.unique(edges), category=False)


def _weigh(place: Ints, target: Floats, folds: Ints, *, count: int) -> tuple[Floats, Floats]:
    """Return the weight of evidence of each bin, and of each row from the other folds."""
    cell, size = place * _FOLDS + folds, count * _FOLDS
    rows = np.bincount(cell, minlength=size).reshape(count, _FOLDS)
    hits = np.bincount(cell, weights=target, minlength=size).reshape(count, _FOLDS)
    all_rows, all_hits = rows.sum(axis=1), hits.sum(axis=1)
    rate = float(target.mean())

    def weight(hits: Floats, rows: Ints) -> Floats:
        pulled = (hits + _PSEUDO_POSITIVES) / (rows + _PSEUDO_POSITIVES / rate)
        return np.asarray(logit(pulled) - logit(rate), dtype=np.float64)

    others = weight(all_hits[:, None] - hits, all_rows[:, None] - rows)
    return weight(all_hits, all_rows), others.ravel()[cell]
