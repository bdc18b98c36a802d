"""The bootstrap draws whole customers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.metrics import (
    bootstrap,
    draw_customers,
    drawn_rows,
    number_customers,
    percentile_interval,
)


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


# --- many draws ---------------------------------------------------------------------------


def test_draws_of_a_mean_spread_as_its_standard_error_does():
    rng = np.random.default_rng(1)
    values = rng.normal(size=400)
    drawn = bootstrap(
        lambda times: [(times * values).sum() / times.sum()], np.arange(400), draws=3000, seed=2
    )
    assert drawn.std() == pytest.approx(values.std() / np.sqrt(400), rel=0.05)
    low, high = percentile_interval(drawn)
    assert (high - low)[0] == pytest.approx(2 * 1.96 * drawn.std(), rel=0.05)


def test_a_seed_gives_the_same_draws_and_progress_is_told():
    told = []
    runs = [
        bootstrap(
            lambda times: times[:3],
            np.arange(9),
            draws=4,
            seed=seed,
            progress=lambda done, of: told.append((done, of)),
        )
        for seed in (0, 0, 1)
    ]
    assert (runs[0] == runs[1]).all()
    assert (runs[0] != runs[2]).any()
    assert told[:4] == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_no_draws_are_no_bootstrap():
    with pytest.raises(ValueError, match=r"draws.*\b1\b.*\b0\b"):
        bootstrap(lambda times: times, np.arange(2), draws=0, seed=0)


def test_intervals_are_of_the_draws_that_have_the_figure():
    drawn = np.array([[1.0, np.nan, np.nan], [3.0, 5.0, np.nan], [2.0, 7.0, 4.0]])
    low, high = percentile_interval(drawn, confidence=0.5)
    assert low.tolist() == pytest.approx([1.5, 5.5, np.nan], nan_ok=True)
    assert high.tolist() == pytest.approx([2.5, 6.5, np.nan], nan_ok=True)
