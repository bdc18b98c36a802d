"""The share of positives known at an age, from positives that are seen only if reported."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.metrics import ReportingCurve


@given(delay=st.lists(st.integers(0, 30), min_size=1, max_size=30))
def test_without_truncation_it_is_the_share_of_delays(delay):
    values = np.array(delay, np.float64)
    curve = ReportingCurve.of(values, np.full(values.size, 30.0))
    ages = np.arange(31.0)
    np.testing.assert_allclose(curve.at(ages), [(values <= age).mean() for age in ages], atol=1e-12)


@given(
    pairs=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=20),
    times=st.data(),
)
def test_a_weight_is_a_row_repeated(pairs, times):
    delay = np.array([min(each) for each in pairs], np.float64)
    age = np.array([max(each) for each in pairs], np.float64)
    weight = np.array(times.draw(st.lists(st.integers(1, 3), min_size=age.size, max_size=age.size)))
    ages = np.arange(10.0)
    repeated = ReportingCurve.of(np.repeat(delay, weight), np.repeat(age, weight))
    weighted = ReportingCurve.of(delay, age, weight=weight)
    np.testing.assert_allclose(weighted.at(ages), repeated.at(ages), atol=1e-12)


def test_by_hand():
    # delays 1, 2, 3 seen by ages 3, 2, 3: 1 - 1/2 of the older two have a delay of 3;
    # of those with a delay up to 2 and an age of at least 2, one of two has it
    curve = ReportingCurve.of(np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 3.0]))
    np.testing.assert_allclose(curve.at(np.array([0.9, 1.0, 2.0, 3.0])), [0.0, 0.25, 0.5, 1.0])


def test_it_finds_the_true_curve_where_young_rows_show_quick_reports_only():
    rng = np.random.default_rng(0)
    delay, age = rng.exponential(10.0, 40_000), rng.uniform(0.0, 60.0, 40_000)
    seen = (delay <= age) & (delay <= 30.0)
    curve = ReportingCurve.of(delay[seen], age[seen])
    ages = np.array([2.0, 5.0, 10.0, 20.0])
    true = -np.expm1(-ages / 10.0) / -np.expm1(-3.0)
    np.testing.assert_allclose(curve.at(ages), true, atol=0.015)
    naive = np.array([(delay[seen] <= each).mean() for each in ages])
    assert (naive - true > 0.02).all()


def test_no_positive_yet():
    assert ReportingCurve.of(np.zeros(0), np.zeros(0)).at(np.array([3.0])).tolist() == [1.0]
