"""Observed over expected: the interval and both tests, where probabilities differ and rows hang."""

from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import expit, ndtri

from kyc_ml.metrics import observed_over_expected

STEEP = np.concatenate([expit(np.linspace(-1, 4, 40)), expit(np.linspace(-8, -4, 1500))])
FLAT = np.full(1500, 0.01)


def first(count, proba):
    return (np.arange(proba.size) < count) * 1.0


def exact(proba):
    """The law of the count, by convolution of all rows' own."""
    return reduce(np.convolve, np.column_stack([1.0 - proba, proba]))


@given(odds=st.lists(st.floats(-6, 3), min_size=3, max_size=80), share=st.floats(0.0, 1.0))
def test_the_tests_are_mid_p_values_of_the_sum_of_unequal_trials(odds, share):
    proba = expit(np.array(odds))
    count = round(share * proba.size)
    found, law = observed_over_expected(first(count, proba), proba), exact(proba)
    under = law[count:].sum() - law[count] / 2
    assert found.under_p == pytest.approx(under, abs=0.06)
    assert found.under_p + found.over_p == pytest.approx(1.0)


@pytest.mark.parametrize("proba", [STEEP, FLAT], ids=["steep", "flat"])
def test_of_twenty_positives_the_tests_are_exact_to_the_third_digit(proba):
    law = exact(proba)
    for count in np.flatnonzero(law > 1e-4):
        under = law[count:].sum() - law[count] / 2
        found = observed_over_expected(first(count, proba), proba).under_p
        assert found == pytest.approx(under, abs=0.002)


@given(
    odds=st.lists(st.floats(-6, 3), min_size=2, max_size=60),
    share=st.floats(0.0, 1.0),
    rows=st.integers(1, 5),
)
def test_the_interval_holds_the_levels_that_no_test_rejects(odds, share, rows):
    proba = expit(np.array(odds))
    target = first(round(share * proba.size), proba)
    groups = np.arange(proba.size) // rows
    found = observed_over_expected(target, proba, groups)
    assert 0.0 <= found.low <= found.ratio + 1e-9
    assert found.ratio <= found.high + 1e-9 <= proba.size / proba.sum() + 1e-6
    if abs(min(found.under_p, found.over_p) - 0.025) > 1e-6:
        assert (min(found.under_p, found.over_p) < 0.025) == (not found.low < 1.0 < found.high)


def test_the_ratio_and_its_ends_of_a_count_by_hand():
    # 10 of 100 at 0.05: mid-p interval of a binomial rate
    found = observed_over_expected(first(10, np.full(100, 0.05)), np.full(100, 0.05))
    ends = [(end * 0.05) for end in (found.low, found.high)]
    tails = [stats.binom.sf(10, 100, ends[0]), stats.binom.cdf(9, 100, ends[1])]
    halves = [stats.binom.pmf(10, 100, end) / 2 for end in ends]
    assert np.add(tails, halves) == pytest.approx(0.025, abs=5e-4)
    assert found.ratio == pytest.approx(2.0)
    assert found.design_effect == 1.0


@pytest.mark.parametrize(("count", "low", "high"), [(0, 0.0, 0.6), (100, 19.0, 20.0 + 1e-9)])
def test_no_positive_and_no_negative_have_one_end(count, low, high):
    found = observed_over_expected(first(count, np.full(100, 0.05)), np.full(100, 0.05))
    assert found.low >= low
    assert found.high <= high
    assert (found.low == 0.0) == (count == 0)


def test_where_nothing_is_expected_there_is_no_ratio():
    found = observed_over_expected(np.ones(3), np.zeros(3), np.arange(3))
    assert np.isnan([found.ratio, found.low, found.high, found.under_p, found.over_p]).all()


def test_certain_probabilities_are_no_evidence_of_their_own():
    found = observed_over_expected(np.array([1.0, 0.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.5, 0.5]))
    assert (found.ratio, found.under_p) == (1.0, pytest.approx(0.5, abs=0.05))
    wrong = observed_over_expected(np.array([0.0, 0.0]), np.array([1.0, 0.5]))
    assert wrong.over_p < 1e-6
    half = observed_over_expected(np.array([1.0, 0.0]), np.array([1.0, 0.5]))
    assert 0.05 < half.over_p < 0.5  # 0.25


def test_a_level_that_is_wrong_is_no_dependence_of_rows():
    """Of 200 customers with twelve rows each, 60 of 100 rows are positive for 30 expected."""
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(200), 12)
    target = (rng.random(2400) < 0.6).astype(float)
    found = observed_over_expected(target, np.full(2400, 0.3), groups)
    assert found.design_effect < 1.3
    assert found.under_p < 1e-30


def test_rows_that_repeat_a_customer_count_once():
    target, proba = np.repeat(first(60, STEEP), 5), np.repeat(STEEP, 5)
    groups = np.repeat(np.arange(STEEP.size), 5)
    once, five = (
        observed_over_expected(first(60, STEEP), STEEP),
        observed_over_expected(target, proba, groups),
    )
    assert five.design_effect == pytest.approx(5.0 * once.design_effect, rel=0.05)
    assert (five.low, five.high) == pytest.approx((once.low, once.high), rel=0.05)


@pytest.mark.parametrize("customers", [1, 2, 10])
def test_rows_of_few_customers_never_show_a_wrong_level(customers):
    """One customer's residuals sum to nothing: that is no independence of the rows."""
    target, groups = first(20, FLAT[:100]), np.arange(100) * customers // 100
    found = observed_over_expected(target, FLAT[:100], groups)
    assert found.under_p > 0.02
    assert found.low < 1.0 < found.high
    assert observed_over_expected(target, FLAT[:100]).under_p < 1e-9


def test_where_nobody_is_positive_rows_of_a_customer_may_still_hang_together():
    proba, groups = np.full(2400, 0.01), np.repeat(np.arange(200), 12)
    rows = observed_over_expected(np.zeros(2400), proba)
    customers = observed_over_expected(np.zeros(2400), proba, groups)
    assert customers.high > 3 * rows.high
    assert rows.over_p < customers.over_p < 0.001  # 24 expected and none seen is still found


def together(proba, groups, rng):
    """Outcomes of the right rates, those of a customer correlated through a normal copula."""
    own = rng.normal(size=proba.size)
    shared = rng.normal(size=groups.max() + 1)[groups]
    return (np.sqrt(0.4) * shared + np.sqrt(0.6) * own < ndtri(proba)) * 1.0


@pytest.mark.parametrize("rows", [1, 10], ids=["a row a customer", "ten rows a customer"])
@pytest.mark.parametrize("base", [STEEP, np.full(1600, 0.025)], ids=["steep", "flat"])
def test_of_forty_positives_the_interval_and_the_tests_are_as_sure_as_they_say(base, rows):
    rng = np.random.default_rng(5)
    proba = rng.permutation(base)
    groups = np.arange(proba.size) // rows
    found = []
    for _ in range(500):
        shared = groups if rows > 1 else np.arange(proba.size)
        found.append(observed_over_expected(together(proba, shared, rng), proba, groups))
    held = np.mean([each.low <= 1.0 <= each.high for each in found])
    assert 0.925 <= held <= 0.98
    for tail in ("under_p", "over_p"):
        assert 0.02 <= np.mean([getattr(each, tail) < 0.05 for each in found]) <= 0.08
