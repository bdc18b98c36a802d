"""The bootstrap draws whole customers."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.resampling import draw_customers, drawn_rows, number_customers


@given(names=st.lists(st.sampled_from("abcdef"), max_size=40), seed=st.integers(0, 99))
def test_every_row_of_a_customer_is_drawn_as_often(names, seed):
    groups = number_customers(np.array(names, dtype=object))
    times = draw_customers(groups, np.random.default_rng(seed))
    each = {group: set(times[groups == group].tolist()) for group in groups.tolist()}
    assert all(len(found) == 1 for found in each.values())
    assert sum(found.pop() for found in each.values()) == len(set(names))
    rows = drawn_rows(times)
    assert np.bincount(rows, minlength=len(names)).tolist() == times.tolist()


@given(names=st.lists(st.sampled_from("abcdef"), max_size=40), seed=st.integers(0, 99))
def test_the_order_of_rows_draws_the_same_customers(names, seed):
    order = np.random.default_rng(seed).permutation(len(names))
    one = np.array(names, dtype=object)
    times = draw_customers(number_customers(one), np.random.default_rng(seed))
    again = draw_customers(number_customers(one[order]), np.random.default_rng(seed))
    assert again.tolist() == times[order].tolist()


def test_customers_are_drawn_evenly():
    groups = np.repeat(np.arange(50), 2)
    rng = np.random.default_rng(0)
    mean = np.mean([draw_customers(groups, rng) for _ in range(2000)], axis=0)
    assert np.abs(mean - 1.0).max() < 5 * np.sqrt(1 / 2000)
