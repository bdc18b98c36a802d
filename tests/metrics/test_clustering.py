"""Design effects: independent rows have none, repeated rows as many as there are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.metrics import (
    compute_drift,
    design_effect,
    effective_customers,
    jeffreys_p,
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
