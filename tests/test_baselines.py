"""The baseline takes whatever the model takes, and answers with finite log-odds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml import baselines
from kyc_ml.baselines import fit_logistic, logistic_margin
from kyc_ml.metrics import auc_interval

KINDS = np.array([False, False, False, False, True])


@pytest.fixture(scope="module")
def fitted(small):
    """Fit the baseline on gaps, a constant, an all-missing column and a category."""
    return fit_logistic(small.matrix, small.target, categories=KINDS, seed=0)


@given(data=st.data())
def test_every_row_has_a_finite_margin(fitted, data):
    odd = st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -1.0, 2.0, 1e6])
    rows = np.array(data.draw(st.lists(st.tuples(*[odd] * 5), min_size=1, max_size=5)))
    assert np.isfinite(logistic_margin(fitted, rows)).all()


def test_it_learns_the_signal_and_the_category(fitted, small):
    margin = logistic_margin(fitted, small.matrix)
    assert auc_interval(small.target, margin)[0] > 0.8
    rows = np.zeros((3, 5))
    rows[:, 4] = [0.0, 1.0, 2.0]  # app, branch, web
    assert logistic_margin(fitted, rows).argmax() == 2


def test_a_row_scores_the_same_alone_and_in_a_batch(fitted, small):
    batch = logistic_margin(fitted, small.matrix[:20])
    alone = [logistic_margin(fitted, small.matrix[[row]])[0] for row in range(20)]
    np.testing.assert_allclose(alone, batch, atol=1e-12)


def test_a_category_never_seen_says_nothing(fitted):
    rows = np.zeros((2, 5))
    rows[:, 4] = [77.0, 78.0]
    one, other = logistic_margin(fitted, rows)
    assert one == other


def test_infinity_counts_as_missing_when_fitting_too(small):
    holes, infinite = small.matrix.copy(), small.matrix.copy()
    holes[:50, 0], infinite[:50, 0] = np.nan, np.inf
    one = fit_logistic(holes, small.target, categories=KINDS, seed=0)
    two = fit_logistic(infinite, small.target, categories=KINDS, seed=0)
    np.testing.assert_array_equal(
        logistic_margin(one, small.matrix), logistic_margin(two, small.matrix)
    )
    assert np.isinf(infinite[:50, 0]).all()  # the caller's matrix stays as it was


def test_numbers_alone_and_categories_alone_can_be_fitted(small):
    for columns in (slice(0, 4), slice(4, 5)):
        matrix = small.matrix[:, columns]
        fit = fit_logistic(matrix, small.target, categories=KINDS[columns], seed=0)
        assert np.isfinite(logistic_margin(fit, matrix)).all()


def test_columns_without_any_value_leave_the_prevalence():
    target = np.repeat([1.0, 0.0], [25, 75])
    blank = np.full((100, 2), np.nan)
    fit = fit_logistic(blank, target, categories=np.array([False, False]), seed=0)
    np.testing.assert_allclose(logistic_margin(fit, blank), np.log(25 / 75), atol=1e-2)


def test_two_fits_of_the_same_rows_are_the_same(small, fitted):
    again = fit_logistic(small.matrix, small.target, categories=KINDS, seed=0)
    np.testing.assert_array_equal(
        logistic_margin(again, small.matrix), logistic_margin(fitted, small.matrix)
    )


def test_only_the_latest_rows_are_fitted(monkeypatch, small):
    monkeypatch.setattr(baselines, "MOST_ROWS", 300)
    capped = fit_logistic(small.matrix, small.target, categories=KINDS, seed=0)
    latest = fit_logistic(small.matrix[300:], small.target[300:], categories=KINDS, seed=0)
    np.testing.assert_array_equal(
        logistic_margin(capped, small.matrix), logistic_margin(latest, small.matrix)
    )
