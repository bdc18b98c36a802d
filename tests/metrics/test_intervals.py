"""Exact intervals of counts and rates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kyc_ml.metrics import jeffreys_interval, poisson_interval
from kyc_ml.metrics.intervals import ratio_upper


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [  # Source: Garwood 1936, as tabled in every text on exact Poisson limits.
        (0, 0.0, 3.6889),
        (1, 0.0253, 5.5716),
        (5, 1.6235, 11.6683),
        (10, 4.7954, 18.3904),
        (100, 81.3640, 121.6268),
    ],
)
def test_the_poisson_interval_is_garwoods(count, low, high):
    assert poisson_interval(count) == pytest.approx((low, high), abs=1e-4)


@given(count=st.integers(1, 10_000))
def test_poisson_bounds_leave_a_fortieth_in_each_tail(count):
    low, high = poisson_interval(count)
    assert stats.poisson.sf(count - 1, low) == pytest.approx(0.025, rel=1e-6)
    assert stats.poisson.cdf(count, high) == pytest.approx(0.025, rel=1e-6)


@given(n=st.integers(1, 5000), data=st.data())
def test_the_jeffreys_interval_is_the_middle_of_the_posterior(n, data):
    hits = data.draw(st.integers(0, n))
    (low,), (high,) = jeffreys_interval([hits], [n])
    posterior = stats.beta(hits + 0.5, n - hits + 0.5)
    assert low == (0.0 if hits == 0 else pytest.approx(posterior.ppf(0.025), abs=1e-12))
    assert high == (1.0 if hits == n else pytest.approx(posterior.ppf(0.975), abs=1e-12))
    assert 0.0 <= low <= hits / n <= high <= 1.0


def test_the_jeffreys_interval_is_that_of_statsmodels():
    # Source: statsmodels 0.15.0, proportion_confint(7, 90, method="jeffreys").
    low, high = jeffreys_interval(7, 90)
    assert (float(low), float(high)) == pytest.approx((0.03546401090591642, 0.1466295487958047))


def test_rates_that_are_known_leave_their_ratio():
    assert ratio_upper(0.2, 0.2, 0.5, 0.5) == pytest.approx(0.4)


def test_a_rate_of_nothing_has_an_upper_end_and_an_unsure_one_below_none():
    # Donner and Zou's formula at a rate of 0: high / sqrt(low (2 below - low))
    assert ratio_upper(0.0, 0.1, 0.5, 0.4) == pytest.approx(0.1 / np.sqrt(0.4 * 0.6))
    assert ratio_upper(0.2, 0.3, 0.5, 0.0) == np.inf
    assert np.isnan(ratio_upper(np.nan, 1.0, 0.5, 0.4))


@pytest.mark.parametrize(("above", "below"), [(0.04, 0.05), (0.5, 0.6), (0.02, 0.2)])
def test_the_upper_end_of_a_ratio_misses_about_a_fortieth(above, below):
    rng = np.random.default_rng(0)
    rates = [rng.binomial(400, rate, 20_000) for rate in (above, below)]
    high, low = jeffreys_interval(rates[0], 400)[1], jeffreys_interval(rates[1], 400)[0]
    upper = ratio_upper(rates[0] / 400, high, rates[1] / 400, low)
    assert np.mean(upper < above / below) == pytest.approx(0.025, abs=0.008)
