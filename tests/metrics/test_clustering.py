"""Design effects: independent rows have none, repeated rows as many as there are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.metrics import (
    clustered_observed_over_expected,
    design_effect,
    jeffreys_p,
    observed_over_expected,
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
