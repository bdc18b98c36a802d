"""A tier follows from the probability alone, and never falls as it rises."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kyc_ml.decision import assign_tiers, compute_tier_table
from kyc_ml.decision.tiers.cut_offs import name_segments
from kyc_ml.decision.tiers.sections import WHOLE
from kyc_ml.metrics import observed_over_expected

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
    with pytest.raises(ValueError, match=r"\[0, 1\].*4 of 6"):
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


def test_observed_rates_have_the_intervals_of_their_level_and_empty_tiers_have_none(policy):
    proba = np.repeat([0.001, 0.3], [100, 10])
    target = np.concatenate([np.zeros(100), np.ones(4), np.zeros(6)])
    tier = assign_tiers(proba, policy=policy)
    table = compute_tier_table(tier, proba, policy=policy, target=target).set_index("tier")
    low = table.loc["low"]
    assert (low["rows"], low["positives"], low["observed_rate"], low["ci_low"]) == (100, 0, 0, 0)
    assert stats.binom.pmf(0, 100, low["ci_high"]) / 2 == pytest.approx(0.025)
    high = table.loc["medium_high"]
    assert high["observed_rate"] == 0.4
    found = observed_over_expected(target[100:], proba[100:])
    assert (high["ci_low"], high["ci_high"]) == pytest.approx((found.low * 0.3, found.high * 0.3))
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


SEGMENTS = {
    "feature": "kind",
    "own": [
        {
            "name": "entity",
            "values": ["company", "trust"],
            "from_probability": {"medium": 0.005, "high": 0.05},
            "source": "convention",
        },
        {
            "name": "young",
            "values": ["student"],
            "from_probability": {"high": 0.2},
            "source": "convention",
        },
    ],
}


def test_a_segment_has_its_own_cut_offs_and_keeps_those_it_does_not_name(make_policy):
    policy = make_policy(segments=SEGMENTS)
    assert policy.cut_offs() == (0.0, 0.01, 0.1)
    assert policy.cut_offs("entity") == (0.0, 0.005, 0.05)
    assert policy.cut_offs("young") == (0.0, 0.01, 0.2)
    assert policy.cut_offs("nobody") == policy.cut_offs()


def test_missing_and_unlisted_values_have_the_whole_s_cut_offs_and_are_counted(make_policy):
    policy = make_policy(segments=SEGMENTS)
    values = pa.array(["company", None, "retired", "student", "trust", None])
    segment, without = name_segments(values, policy.segments)
    assert segment.tolist() == ["entity", WHOLE, WHOLE, "young", "entity", WHOLE]
    assert without == {"missing": 2, "unlisted": 1}
    proba = np.full(6, 0.1)
    got = assign_tiers(proba, policy=policy, segment=segment)
    assert got.tolist() == [2, 2, 2, 1, 2, 2]
    nobody, without = name_segments(pa.array([None, None], pa.string()), policy.segments)
    assert nobody.tolist() == [WHOLE, WHOLE]
    assert without == {"missing": 2, "unlisted": 0}


@given(proba=PROBA, name=st.sampled_from(["all", "entity", "young"]))
def test_tiers_are_monotone_in_probability_within_every_segment(make_policy, proba, name):
    policy = make_policy(segments=SEGMENTS)
    segment = np.full(proba.size, name, dtype=object)
    tiers = assign_tiers(np.sort(proba), policy=policy, segment=segment)
    assert (np.diff(tiers) >= 0).all()


@pytest.mark.parametrize("name", ["all", "entity", "young"])
def test_a_cut_off_of_a_segment_belongs_to_the_tier_above_it(make_policy, name):
    policy = make_policy(segments=SEGMENTS)
    for place, cut in enumerate(policy.cut_offs(name)[1:], start=1):
        around = np.array([np.nextafter(cut, 0), cut])
        segment = np.full(2, name, dtype=object)
        got = assign_tiers(around, policy=policy, segment=segment)
        assert got.tolist() == [place - 1, place]
