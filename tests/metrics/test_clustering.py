"""Design effects: independent rows have none, repeated rows as many as there are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.metrics import (
    clustered_observed_over_expected,
    compute_drift,
    design_effect,
    effective_customers,
    jeffreys_p,
    observed_over_expected,
    residual_at_observed_level,
)

ONE = {"parts": 1}


@given(n=st.integers(2, 50), seed=st.integers(0, 100))
def test_a_row_a_customer_has_no_effect(n, seed):
    residual = np.random.default_rng(seed).normal(size=n)
    part = np.zeros(n, np.int64)
    assert design_effect(residual, np.arange(n), part=part, **ONE)[0] == pytest.approx(1.0)


@given(n=st.integers(2, 30), times=st.integers(1, 6), seed=st.integers(0, 100))
def test_rows_that_are_repeated_count_once(n, times, seed):
    residual = np.repeat(np.random.default_rng(seed).normal(size=n), times)
    groups, part = np.repeat(np.arange(n), times), np.zeros(n * times, np.int64)
    assert design_effect(residual, groups, part=part, **ONE)[0] == pytest.approx(times)


def test_rows_that_cancel_out_count_as_independent_ones():
    part = np.zeros(2, np.int64)
    assert design_effect(np.array([1.0, -1.0]), np.zeros(2, np.int64), part=part, **ONE)[0] == 1.0


def test_parts_have_effects_of_their_own_and_empty_ones_have_none():
    residual = np.array([1.0, 1.0, 1.0, 1.0])
    part = np.array([0, 0, 2, 2])
    groups = np.array([0, 0, 0, 1])
    assert design_effect(residual, groups, part=part, parts=3).tolist() == [2.0, 1.0, 1.0]


def test_without_clusters_the_interval_is_that_of_rows():
    rng = np.random.default_rng(0)
    proba = rng.uniform(0.01, 0.3, 500)
    target = (rng.random(500) < proba).astype(float)
    rows = observed_over_expected(target, proba)
    found = clustered_observed_over_expected(target, proba, np.arange(500))
    assert (found.ratio, found.low, found.high) == pytest.approx((rows.ratio, rows.low, rows.high))


def test_nothing_expected_is_undefined():
    found = clustered_observed_over_expected(np.ones(2), np.zeros(2), np.arange(2))
    assert np.isnan(found.ratio)


def test_counts_by_customer_keep_the_level_where_rows_do_not():
    """Outcomes of a customer's five rows are one draw; the rate is right on average."""
    rng = np.random.default_rng(1)
    customers, rate, draws = 400, 0.1, 2_000
    groups = np.repeat(np.arange(customers), 5)
    part, n = np.zeros(groups.size, np.int64), groups.size
    by_rows = by_customer = 0
    for _ in range(draws):
        target = np.repeat((rng.random(customers) < rate).astype(float), 5)
        hits = target.sum()
        effect = design_effect(target - rate, groups, part=part, parts=1)[0]
        by_rows += float(jeffreys_p(hits, n, rate)[0]) < 0.05
        by_customer += float(jeffreys_p(hits / effect, n / effect, rate)[0]) < 0.05
    assert by_rows / draws > 0.15
    assert by_customer / draws == pytest.approx(0.05, abs=0.02)


@given(n=st.integers(1, 40), seed=st.integers(0, 100))
def test_residuals_sum_to_nothing_in_each_part(n, seed):
    rng = np.random.default_rng(seed)
    target, proba, part = (rng.random(n) < 0.3) * 1.0, rng.random(n), rng.integers(0, 3, n)
    residual = residual_at_observed_level(target, proba, part=part, parts=3)
    assert np.bincount(part, weights=residual, minlength=3) == pytest.approx(0.0, abs=1e-9)


def test_where_nothing_is_expected_the_outcome_is_left():
    residual = residual_at_observed_level(
        np.array([1.0, 0.0]), np.zeros(2), part=np.zeros(2, np.int64), parts=1
    )
    assert residual.tolist() == [1.0, 0.0]


def test_a_level_that_is_wrong_is_no_dependence_of_rows():
    """24 positives are expected of 200 customers with twelve rows each, and none came."""
    groups = np.repeat(np.arange(200), 12)
    found = clustered_observed_over_expected(np.zeros(2400), np.full(2400, 0.01), groups)
    assert (found.ratio, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(
        observed_over_expected(np.zeros(2400), np.full(2400, 0.01)).high
    )
    rng = np.random.default_rng(2)
    target = (rng.random(2400) < 0.6).astype(float)
    whole = np.zeros(2400, np.int64)
    level = residual_at_observed_level(target, np.full(2400, 0.3), part=whole, parts=1)
    assert design_effect(level, groups, part=whole, parts=1)[0] < 1.3
    # about the expectation it would be taken for dependence
    assert design_effect(target - 0.3, groups, part=whole, parts=1)[0] > 3.0


@given(count=st.lists(st.integers(1, 9), min_size=1, max_size=30))
def test_effective_customers_are_at_most_the_customers_there_are(count):
    found = effective_customers(np.repeat(np.arange(len(count)), count))
    assert 1.0 - 1e-9 <= found <= len(count) + 1e-9
    assert (found == pytest.approx(len(count))) == (len(set(count)) == 1)


def test_no_rows_are_worth_no_customer():
    assert effective_customers(np.zeros(0, np.int64)) == 0.0


def test_drift_keeps_its_level_where_some_customers_have_most_of_the_rows():
    """A customer's rows all lie in one bin; customers have from one row to hundreds."""
    rng = np.random.default_rng(3)
    by_effective, by_customers = [], []
    for _ in range(2_000):
        counts, worth = [], []
        for customers in (2_000, 1_000):
            size = np.ceil(rng.lognormal(1.0, 1.0, customers)).astype(np.int64)
            bins = rng.integers(10, size=customers)
            counts.append(np.bincount(bins, weights=size, minlength=10))
            worth.append(effective_customers(np.repeat(np.arange(customers), size)))
        sizes = {"n_expected": worth[0], "n_actual": worth[1]}
        by_effective.append(compute_drift(*counts, **sizes).p_value)
        plain = compute_drift(*counts, n_expected=2_000.0, n_actual=1_000.0)
        by_customers.append(plain.p_value)
    assert np.mean(np.array(by_effective) < 0.05) == pytest.approx(0.05, abs=0.02)
    assert np.mean(np.array(by_customers) < 0.05) > 0.4


@pytest.mark.parametrize(
    ("customers", "rate", "least", "most"), [(500, 0.01, 0.05, 0.10), (50, 0.01, 0.18, 0.29)]
)
def test_over_prediction_is_reported_too_often_of_few_customers(customers, rate, least, most):
    """What the limits of the check say: rows of a customer depend on each other."""
    rng = np.random.default_rng(4)
    dependence, false_alarms = 0.3, 0
    weight = (1.0 - dependence) / dependence
    for _ in range(2_000):
        groups = np.repeat(np.arange(customers), rng.poisson(11, customers) + 1)
        own = rng.beta(rate * weight, (1.0 - rate) * weight, customers)
        target = (rng.random(groups.size) < own[groups]).astype(float)
        whole = np.zeros(groups.size, np.int64)
        residual = residual_at_observed_level(
            target, np.full(groups.size, rate), part=whole, parts=1
        )
        effect = design_effect(residual, groups, part=whole, parts=1)[0]
        over = jeffreys_p(target.sum() / effect, groups.size / effect, rate)[1]
        false_alarms += float(over) < 0.05
    assert least < false_alarms / 2_000 < most
