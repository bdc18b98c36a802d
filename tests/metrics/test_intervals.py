"""Exact intervals of counts and rates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kyc_ml.metrics import jeffreys_interval
from kyc_ml.metrics.intervals import ratio_upper


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
