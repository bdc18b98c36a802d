"""A tier follows from the probability alone, and never falls as it rises."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kyc_ml.tiers import assign_tiers, compute_tier_table, next_reviews

PROBA = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=50).map(np.array)


@given(proba=PROBA)
def test_a_larger_probability_never_has_a_lower_tier(policy, proba):
    tiers = assign_tiers(np.sort(proba), policy=policy)
    assert (np.diff(tiers) >= 0).all()
    assert tiers.min() >= 0
    assert tiers.max() < len(policy.tiers)


@given(proba=PROBA)
def test_every_row_is_in_the_one_tier_whose_bounds_hold_it(policy, proba):
    bounds = [*(tier.from_probability for tier in policy.tiers), np.inf]
    for value, place in zip(proba, assign_tiers(proba, policy=policy), strict=True):
        assert bounds[place] <= value < bounds[place + 1]


def test_a_cut_off_belongs_to_the_tier_above_it(policy):
    for place, tier in enumerate(policy.tiers[1:], start=1):
        cut = tier.from_probability
        around = np.array([np.nextafter(cut, 0), cut, np.nextafter(cut, 1)])
        assert assign_tiers(around, policy=policy).tolist() == [place - 1, place, place]


def test_certainty_and_impossibility_have_tiers(policy):
    assert assign_tiers(np.array([0.0, 1.0]), policy=policy).tolist() == [0, 4]
    assert assign_tiers(np.array([]), policy=policy).size == 0


def test_what_is_no_probability_is_refused_with_the_count(policy):
    proba = np.array([0.1, np.nan, -1e-9, 1.1, np.inf, 0.9])
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\], got 4 of 6 outside it"):
        assign_tiers(proba, policy=policy)


@given(proba=PROBA, seed=st.integers(0, 99))
def test_the_table_counts_every_row_and_every_positive_once(policy, proba, seed):
    target = np.random.default_rng(seed).integers(0, 2, proba.size).astype(float)
    tier = assign_tiers(proba, policy=policy)
    table = compute_tier_table(tier, proba, policy=policy, target=target)
    assert table["tier"].tolist() == [each.name for each in policy.tiers]
    assert table["rows"].sum() == proba.size
    assert table["share"].sum() == pytest.approx(1.0)
    assert table["positives"].sum() == target.sum()
    expected = (table["expected_rate"] * table["rows"]).sum()  # an empty tier's NaN adds nothing
    assert expected == pytest.approx(proba.sum())


def test_observed_rates_have_jeffreys_intervals_and_empty_tiers_have_none(policy):
    proba = np.repeat([0.001, 0.3], [100, 10])
    target = np.concatenate([np.zeros(100), np.ones(4), np.zeros(6)])
    tier = assign_tiers(proba, policy=policy)
    table = compute_tier_table(tier, proba, policy=policy, target=target).set_index("tier")
    low = table.loc["low"]
    assert (low["rows"], low["positives"], low["observed_rate"], low["ci_low"]) == (100, 0, 0, 0)
    assert low["ci_high"] == pytest.approx(stats.beta.ppf(0.975, 0.5, 100.5))
    high = table.loc["medium_high"]
    assert high["observed_rate"] == 0.4
    assert high["ci_low"] == pytest.approx(stats.beta.ppf(0.025, 4.5, 6.5))
    assert high["ci_high"] == pytest.approx(stats.beta.ppf(0.975, 4.5, 6.5))
    figures = ["expected_rate", "observed_rate", "ci_low", "ci_high"]
    assert table.loc["medium", figures].isna().all()


def test_without_outcomes_there_is_no_observed_rate(policy):
    table = compute_tier_table(np.array([0, 4]), np.array([0.0, 1.0]), policy=policy)
    assert "observed_rate" not in table
    assert table["share"].tolist() == [0.5, 0, 0, 0, 0.5]


def test_no_rows_have_a_table_of_empty_tiers(policy):
    table = compute_tier_table(np.array([], int), np.array([]), policy=policy)
    assert table["rows"].tolist() == [0] * 5
    assert table[["share", "expected_rate"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("decision", "tier", "due"),
    [
        ("2024-01-15 23:59:59", "high", "2024-07-15"),
        ("2024-08-31 00:00:00", "high", "2025-02-28"),  # no 31 February
        ("2023-08-31 12:00:00", "high", "2024-02-29"),
        ("2024-02-29 12:00:00", "medium", "2025-02-28"),
        ("2024-02-29 12:00:00", "medium_low", "2026-02-28"),
        ("2024-03-31 12:00:00", "low", "2027-03-31"),
        ("2024-12-31 12:00:00", "high", "2025-06-30"),
    ],
)
def test_a_review_is_due_so_many_calendar_months_later(policy, decision, tier, due):
    place = [each.name for each in policy.tiers].index(tier)
    when = pd.DatetimeIndex([decision], tz="UTC")
    got = next_reviews(when, np.array([place]), policy=policy)
    assert got.tolist() == [pd.Timestamp(due, tz="UTC")]


def test_reviews_keep_the_order_of_the_rows_and_repeat_dates(policy):
    when = pd.DatetimeIndex(["2024-01-01", "2023-01-01", "2024-01-01"], tz="UTC")
    got = next_reviews(when, np.array([4, 0, 2]), policy=policy)
    assert got.strftime("%Y-%m-%d").tolist() == ["2024-07-01", "2026-01-01", "2025-01-01"]


def test_no_rows_have_no_reviews(policy):
    assert len(next_reviews(pd.DatetimeIndex([], tz="UTC"), np.array([], int), policy=policy)) == 0
