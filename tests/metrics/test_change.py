"""Changes over nights: evidence is fair, alarms are rare, a lasting change is found and ends."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.metrics import ALARM, calendar_of, evidence_of_ranks, find_changes


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def found_in(values, **options):
    n, k = values.shape
    days = pd.date_range("2025-01-01", periods=n)
    given_ = {"feature": np.arange(k), "family": np.zeros(k, np.int64), **options}
    return find_changes(values, np.ones(values.shape), calendar=calendar_of(days), **given_)


@given(st.integers(21, 400))
def test_evidence_of_a_rank_is_one_on_average(nights):
    earlier = np.arange(nights, dtype=float)[:, None]
    # the last night has each rank equally often
    e = [evidence_of_ranks(earlier, np.array([rank - 0.5]))[0] for rank in range(nights + 1)]
    assert np.mean(e) <= 1.0 + 1e-9
    assert all(high >= low for low, high in pairwise(e))


def test_too_few_nights_are_no_evidence():
    assert evidence_of_ranks(np.zeros((0, 2)), np.array([5.0, np.nan])).tolist() == [1.0, 1.0]
    assert evidence_of_ranks(np.zeros((20, 1)), np.array([9.0])).tolist() == [1.0]


@pytest.mark.parametrize("features", [1, 40])
def test_a_lasting_shift_is_found_on_its_second_night_and_once(features, rng):
    values = rng.normal(size=(300, features))
    values[200:, 0] += 9.0
    found = found_in(values)
    late = [each for each in found.alarms if each.night >= 200]
    assert [(each.night, each.since, each.features[0]) for each in late] == [(201, 200, 0)]
    assert found.evidence[201, 0] >= ALARM


def test_one_strange_night_raises_no_alarm(rng):
    banks = 40
    values = rng.normal(size=(300, banks))
    values[200] += 30.0
    nights = [each.night for each in found_in(values, family=np.arange(banks)).alarms]
    assert 200 not in nights
    # unless the next one happens to be strange too
    assert sum(201 <= night <= 205 for night in nights) <= banks // 10


def test_weekdays_ends_of_month_and_growth_are_expected(rng):
    days = pd.date_range("2025-01-01", periods=400)
    usual = 3.0 * (days.day_of_week >= 5) + 0.02 * np.arange(400)
    values = rng.normal(size=(400, 1)) + np.asarray(usual)[:, None]
    assert abs(np.nanmean(found_in(values).left[100:])) < 0.2


def test_nights_are_alarmed_about_rarely(rng):
    banks = 60
    found = found_in(rng.normal(size=(365, banks)), family=np.arange(banks))
    assert len(found.alarms) <= banks


def test_columns_and_nights_may_lack_values(rng):
    values = rng.normal(size=(120, 3))
    values[:60, 0] = np.nan
    values[40] = np.nan
    values[:, 2] = np.nan
    found = found_in(values)
    assert np.isfinite(found.evidence).all()
    assert np.isnan(found.strangeness[:, 2]).all()
    assert np.isfinite(found.strangeness[100, :2]).all()
    assert found_in(np.zeros((0, 2))).alarms == ()
    assert found_in(np.zeros((4, 0)), feature=np.zeros(0, np.int64)).alarms == ()


def test_refused_nights_teach_nothing(rng):
    values = rng.normal(size=(200, 1))
    wild = values.copy()
    wild[150] = 1e6
    skip = np.arange(200) == 150
    one, two = found_in(values, skip=skip), found_in(wild, skip=skip)
    np.testing.assert_array_equal(one.left[151:], two.left[151:])
