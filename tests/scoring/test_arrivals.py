"""How many rows a day should bring: laws of the expectation, and what the floor lets pass."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.scoring.arrivals import expect_arrivals

LAST = date(2024, 6, 25)


def calm(days=430, *, size=500, weekend=0.4, seed=0, month_end=1.0):
    """Draw the rows of each day, the last first."""
    dates = [LAST - timedelta(days=back) for back in range(days)]
    mean = [
        size * (weekend if day.weekday() >= 5 else 1) * (month_end if day.day >= 28 else 1)
        for day in dates
    ]
    return np.random.default_rng(seed).poisson(mean)


@given(seed=st.integers(0, 10_000), back=st.integers(0, 20), month_end=st.sampled_from([1.0, 2.0]))
def test_a_calm_day_is_enough_and_half_of_it_is_not(seed, back, month_end):
    rows = calm(seed=seed, month_end=month_end)[back:]
    last = LAST - timedelta(days=back)
    found = expect_arrivals(rows, last=last)
    assert found.rows == rows[0] >= found.fewest
    assert found.expected == pytest.approx(rows[0], rel=0.35)
    rows[0] //= 2
    assert rows[0] < expect_arrivals(rows, last=last).fewest


def test_a_day_as_quiet_as_the_past_has_seen_is_enough():
    rows = calm()
    rows[[40, 110, 200]] = rows[[40, 110, 200]] // 2
    rows[0] //= 2
    assert rows[0] >= expect_arrivals(rows, last=LAST).fewest
    holidays = [LAST - timedelta(days=back) for back in (40, 110, 200)]
    assert rows[0] < expect_arrivals(rows, last=LAST, holidays=holidays).fewest
    assert expect_arrivals(rows, last=LAST, holidays=[LAST]) is None


def test_a_quiet_day_of_two_tables_is_told_from_half_of_one():
    one, other = calm(seed=1), calm(seed=2, size=200)
    holidays = [0, 40, 110, 200]
    one[holidays], other[holidays] = one[holidays] // 2, other[holidays] // 2
    both = expect_arrivals(one, last=LAST), expect_arrivals(other, last=LAST)
    assert one[0] >= max(both[0].fewest, both[0].fewest_beside(both[1]))
    other[0] *= 2
    alone = expect_arrivals(other, last=LAST)
    assert both[0].fewest <= one[0] < both[0].fewest_beside(alone)


def test_a_first_year_without_holidays_lets_a_holiday_pass():
    rows = calm(120)
    rows[0] = 0.4 * rows[7]
    assert rows[0] >= expect_arrivals(rows, last=LAST).fewest
    rows[0] = 0.2 * rows[7]
    assert rows[0] < expect_arrivals(rows, last=LAST).fewest


@pytest.mark.parametrize("days", [0, 1, 28, 84])
def test_few_days_are_no_law(days):
    assert expect_arrivals(calm(days), last=LAST) is None


def test_small_counts_prove_nothing():
    rows = calm(size=4)
    rows[0] = 0
    assert expect_arrivals(rows, last=LAST).fewest <= 0
