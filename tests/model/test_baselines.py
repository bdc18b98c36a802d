"""The baseline takes whatever the model takes, and answers with finite log-odds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logit
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import TargetEncoder
from threadpoolctl import threadpool_limits

from kyc_ml.errors import DatasetError
from kyc_ml.metrics import auc_interval
from kyc_ml.model import baselines, fit_logistic
from kyc_ml.model.baselines import Bins

KINDS = np.array([False, False, False, False, True])


def customers_of(n, *, rows_each=1):
    return np.array([f"c{row // rows_each}" for row in range(n)], dtype=object)


def fit(matrix, target, *, categories=KINDS, customers=None, seed=0):
    own = customers_of(target.size) if customers is None else customers
    return fit_logistic(matrix, target, categories=categories, customers=own, seed=seed)


@pytest.fixture(scope="module")
def fitted(small):
    """Fit the baseline on gaps, a constant, an all-missing column and a category."""
    return fit(small.matrix, small.target)


@given(data=st.data())
def test_every_row_has_a_finite_margin(fitted, data):
    odd = st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -1.0, 2.0, 1e6])
    rows = np.array(data.draw(st.lists(st.tuples(*[odd] * 5), min_size=1, max_size=5)))
    assert np.isfinite(fitted.margin(rows)).all()


def test_it_learns_the_signal_and_the_category(fitted, small):
    assert auc_interval(small.target, fitted.margin(small.matrix))[0] > 0.8
    rows = np.zeros((3, 5))
    rows[:, 4] = [0.0, 1.0, 2.0]  # app, branch, web
    assert fitted.margin(rows).argmax() == 2


def test_it_learns_what_no_line_can():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4_000, 1))
    target = (np.abs(x[:, 0]) > 1.5).astype(float)
    found = fit(x, target, categories=np.array([False]))
    assert auc_interval(target, found.margin(x))[0] > 0.99


def test_a_row_scores_the_same_alone_and_in_a_batch(fitted, small):
    batch = fitted.margin(small.matrix[:20])
    alone = [fitted.margin(small.matrix[[row]])[0] for row in range(20)]
    np.testing.assert_array_equal(alone, batch)


def test_a_category_never_seen_says_nothing(fitted):
    rows = np.zeros((2, 5))
    rows[:, 4] = [77.0, -3.0]
    one, other = fitted.margin(rows)
    assert one == other
    assert fitted.evidence[4][-1] == 0.0


def test_a_rare_category_says_less_than_a_common_one():
    codes = np.repeat([0.0, 1.0, 2.0], [500, 490, 10])
    target = np.concatenate([np.zeros(495), np.ones(5), np.tile([0.0, 1.0], 245), [0.0, 1.0] * 5])
    found = fit(codes[:, None], target, categories=np.array([True]))
    _, _, common, rare, _ = found.evidence[0]
    assert 0 < rare < common


@given(
    edges=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8, unique=True),
    values=st.lists(st.floats(-2e6, 2e6), min_size=1, max_size=20),
)
def test_bins_keep_the_order_of_numbers(edges, values):
    bins = Bins(edges=np.sort(np.array(edges)), category=False)
    place = bins.place(np.sort(np.array(values)))
    assert (np.diff(place) >= 0).all()
    assert place.min() >= 1
    assert place.max() <= bins.count - 1


def test_a_bin_reaches_up_to_its_edge_and_missing_is_one_of_its_own():
    bins = Bins(edges=np.array([0.0, 5.0]), category=False)
    values = np.array([np.nan, np.inf, -np.inf, -1.0, 0.0, 0.1, 5.0, 5.1])
    assert bins.place(values).tolist() == [0, 0, 0, 1, 1, 2, 2, 3]
    codes = Bins(edges=np.array([0.0, 2.0]), category=True)
    assert codes.place(np.array([np.nan, 0.0, 1.0, 2.0, 9.0, -1.0])).tolist() == [0, 1, 3, 2, 3, 3]
    assert (bins.count, codes.count) == (4, 4)


def test_infinity_counts_as_missing_when_fitting_too(small):
    holes, infinite = small.matrix.copy(), small.matrix.copy()
    holes[:50, 0], infinite[:50, 0] = np.nan, np.inf
    one, two = fit(holes, small.target), fit(infinite, small.target)
    np.testing.assert_array_equal(one.margin(small.matrix), two.margin(small.matrix))
    assert np.isinf(infinite[:50, 0]).all()  # the caller's matrix stays as it was


def test_numbers_alone_and_categories_alone_can_be_fitted(small):
    for columns in (slice(0, 4), slice(4, 5)):
        matrix = small.matrix[:, columns]
        found = fit(matrix, small.target, categories=KINDS[columns])
        assert np.isfinite(found.margin(matrix)).all()


@pytest.mark.parametrize("customers", [None, np.full(100, "one", dtype=object)])
def test_what_cannot_be_learnt_leaves_the_prevalence(customers):
    target = np.repeat([1.0, 0.0], [25, 75])
    matrix = np.full((100, 2), np.nan) if customers is None else np.eye(100)[:, :2]
    found = fit(matrix, target, categories=np.array([False, False]), customers=customers)
    np.testing.assert_allclose(found.margin(matrix), np.log(25 / 75), atol=1e-3)


def test_a_row_is_never_fitted_on_its_own_customers_outcome():
    """A column that names the customer knows every outcome, and must say nothing."""
    n, each = 2_000, 10
    rng = np.random.default_rng(0)
    target = np.repeat(rng.random(n // each) < 0.3, each).astype(float)
    who = np.repeat(np.arange(n // each, dtype=float), each)[:, None]
    found = fit(who, target, categories=np.array([True]), customers=customers_of(n, rows_each=each))
    assert abs(found.slopes[0]) < 1e-6
    open_book = fit(who, target, categories=np.array([True]))
    assert open_book.slopes[0] > 0.5


def test_the_order_of_rows_and_the_threads_change_nothing(small):
    names = customers_of(600, rows_each=3)
    expected = fit(small.matrix, small.target, customers=names)
    order = np.random.default_rng(3).permutation(600)
    mixed = fit(small.matrix[order], small.target[order], customers=names[order])
    np.testing.assert_allclose(mixed.slopes, expected.slopes, rtol=1e-6)
    for threads in (1, 2):
        with threadpool_limits(threads):
            again = fit(small.matrix, small.target, customers=names)
        np.testing.assert_array_equal(again.slopes, expected.slopes)


def test_weights_of_evidence_are_those_of_scikit_learns_target_encoder(small):
    found = fit(small.matrix, small.target, categories=KINDS)
    known = np.nan_to_num(small.matrix[:, [4]], nan=-1.0)
    rate = small.target.mean()
    encoder = TargetEncoder(target_type="binary", smooth=1.0 / rate).fit(known, small.target)
    expected = logit(encoder.encodings_[0]) - logit(rate)
    np.testing.assert_allclose(found.evidence[4][:-1], expected, atol=1e-12)


def test_one_column_is_scikit_learns_logistic_regression_on_evidence_from_other_folds():
    rng = np.random.default_rng(1)
    x = rng.integers(4, size=400).astype(float)
    target = (rng.random(400) < 0.1 + 0.2 * x).astype(float)
    found = fit(x[:, None], target, categories=np.array([True]))
    names = customers_of(400)
    ranks = np.unique(names, return_inverse=True)[1]
    fold = np.random.default_rng(0).permutation(400)[ranks] % 5
    rate = target.mean()
    known = np.empty((400, 1))
    for row in range(400):
        others = (fold != fold[row]) & (x == x[row])
        pulled = (target[others].sum() + 1.0) / (others.sum() + 1.0 / rate)
        known[row] = logit(pulled) - logit(rate)
    line = LogisticRegression(C=0.01, max_iter=1000).fit(known, target)
    np.testing.assert_allclose(found.slopes, line.coef_[0], rtol=1e-6)


def test_only_the_latest_rows_are_fitted(monkeypatch, small):
    monkeypatch.setattr(baselines, "MOST_ROWS", 300)
    names = customers_of(600)
    capped = fit(small.matrix, small.target, customers=names)
    latest = fit(small.matrix[300:], small.target[300:], customers=names[300:])
    np.testing.assert_array_equal(capped.margin(small.matrix), latest.margin(small.matrix))


def test_it_reaches_back_to_the_last_row_of_a_class(monkeypatch, small):
    monkeypatch.setattr(baselines, "MOST_ROWS", 300)
    target = np.zeros(600)
    target[100] = 1.0
    assert baselines.latest_rows(target) == slice(100, None)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_is_refused(small, label):
    with pytest.raises(DatasetError, match=rf"\b{label * 600:.0f}\b.*\b600\b"):
        fit(small.matrix, np.full(600, label))
