"""Rates by group against other code, by law, and their intervals against simulated truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.metrics import compute_fairness
from kyc_ml.metrics.fairness import _surest


def grouped(n, seed):
    """Outcomes, flags, probabilities and three groups, at random."""
    rng = np.random.default_rng(seed)
    proba = rng.uniform(0.05, 0.95, n)
    target = (rng.random(n) < proba).astype(float)
    return target, rng.random(n) < proba, proba, rng.choice(["x", "y", "z"], n)


def rate_of(fairness, group, figure):
    rates = fairness.rates
    return rates.loc[(rates["group"] == group) & (rates["figure"] == figure)].iloc[0]


@given(seed=st.integers(0, 200))
def test_rates_are_those_of_each_group_alone(seed):
    target, flagged, proba, group = grouped(40, seed)
    got = compute_fairness(target, flagged, proba, group, groups=np.arange(40), draws=2)
    for name in np.unique(group):
        here = group == name
        y, f = target[here], flagged[here]
        expected = {
            "selection_rate": f.mean(),
            "fpr": f[y == 0].mean() if (y == 0).any() else np.nan,
            "tpr": f[y == 1].mean() if (y == 1).any() else np.nan,
            "observed_over_expected": y.sum() / proba[here].sum(),
        }
        for figure, value in expected.items():
            row = rate_of(got, name, figure)
            assert row["value"] == pytest.approx(value, nan_ok=True)
            assert (row["rows"], row["positives"]) == (here.sum(), y.sum())


def test_rates_and_parities_are_those_of_fairlearn():
    # Source: fairlearn 0.15.0, MetricFrame and its ratio(), on these 60 rows.
    place = np.arange(60)
    proba = (place % 12 + 1) / 16
    target = ((place * 7) % 10 < 8 * proba).astype(float)
    group = np.array(list("abc"))[(place * 5) % 7 % 3]
    flagged = (place * 11) % 13 < 5
    got = compute_fairness(target, flagged, proba, group, groups=place, draws=50)
    expected = {
        "selection_rate": (0.38461538461538464, 0.5294117647058824, 0.23529411764705882),
        "fpr": (0.5, 0.7272727272727273, 0.16666666666666666),
        "tpr": (0.2, 0.16666666666666666, 0.4),
    }
    for figure, values in expected.items():
        found = [rate_of(got, name, figure)["value"] for name in "abc"]
        assert found == pytest.approx(list(values))
    parity = got.parity.set_index("figure")
    assert parity["value"].to_dict() == pytest.approx(
        {
            "demographic_parity": 0.4444444444444444,
            "predictive_equality": 0.22916666666666666,
            "equal_opportunity": 0.41666666666666663,
        }
    )
    assert parity["lowest"].to_dict()["equal_opportunity"] == "b"
    assert parity["highest"].to_dict()["equal_opportunity"] == "c"


@given(seed=st.integers(0, 100))
def test_names_of_groups_and_order_of_rows_change_nothing(seed):
    target, flagged, proba, group = grouped(30, seed)
    one = compute_fairness(target, flagged, proba, group, groups=np.arange(30), draws=3)
    order = np.random.default_rng(seed).permutation(30)
    other = compute_fairness(
        *(values[order] for values in (target, flagged, proba, np.char.add("g_", group))),
        groups=order,
        draws=3,
    )
    np.testing.assert_allclose(other.rates["value"], one.rates["value"])
    np.testing.assert_allclose(other.rates["low"], one.rates["low"])
    np.testing.assert_allclose(other.parity["value"], one.parity["value"])


def test_a_missing_group_is_a_group_and_absent_rates_are_passed_over():
    target = np.array([1.0, 0, 0, 0, 0, 0])
    flagged = np.array([True, True, False, True, False, False])
    group = np.array(["a", "a", "a", None, None, None], dtype=object)
    got = compute_fairness(target, flagged, np.full(6, 0.2), group, groups=np.arange(6), draws=20)
    assert set(got.rates["group"]) == {"a", "missing"}
    assert np.isnan(rate_of(got, "missing", "tpr")["value"])
    parity = got.parity.set_index("figure")
    assert parity.loc["predictive_equality", "value"] == pytest.approx((1 / 3) / (1 / 2))
    assert parity.loc["equal_opportunity", "value"] == 1.0


def test_where_nobody_is_flagged_there_is_no_parity():
    target, _, proba, group = grouped(20, 1)
    got = compute_fairness(target, np.zeros(20, bool), proba, group, groups=np.arange(20), draws=5)
    assert got.parity["value"].isna().all()
    assert (got.rates.loc[got.rates["figure"] == "fpr", "value"].dropna() == 0.0).all()


def test_intervals_over_customers_hold_the_true_rate_about_95_times_in_100():
    rng = np.random.default_rng(7)
    held = trials = 0
    rows_held = 0
    for seed in range(60):
        # each customer has 8 rows that are flagged alike: a rate of 0.3 in truth
        often = rng.random(100) < 0.3
        flagged = np.repeat(often, 8)
        group = np.repeat(np.array(["x", "y"])[rng.integers(0, 2, 100)], 8)
        who = np.repeat(np.arange(100), 8)
        for groups, own in ((who, True), (np.arange(800), False)):
            rows = (np.zeros(800), flagged, np.full(800, 0.1), group)
            got = compute_fairness(*rows, groups=groups, draws=120, seed=seed)
            for name in ("x", "y"):
                row = rate_of(got, name, "selection_rate")
                inside = row["low"] <= 0.3 <= row["high"]
                held += own and inside
                trials += own
                rows_held += (not own) and inside
    assert 0.89 <= held / trials <= 0.98
    assert rows_held / trials < 0.7  # rows taken for independent are far too sure


# --- the end of a parity that a gate holds ----------------------------------------------


def flags_of(groups, *, positives, negatives, rates, rng, repeats=1):
    """Flag rows by chance, a customer's alike; `rates` of positives, then of negatives."""
    one = np.repeat([1.0, 0.0], [positives, negatives])
    target, group = np.tile(one, groups), np.repeat(np.arange(groups), one.size)
    often = np.where(target == 1.0, *(np.asarray(rate)[group] for rate in rates))
    flagged = rng.random(target.size) < often
    who = np.repeat(np.arange(target.size), repeats)
    return [np.repeat(each, repeats) for each in (target, flagged, group)], who


def bounds(groups, draws, *, seed, **how):
    """Give the ends of predictive equality and equal opportunity in each draw."""
    rng, names = np.random.default_rng(seed), np.arange(groups)
    found = []
    for _ in range(draws):
        (target, flagged, group), who = flags_of(groups, rng=rng, **how)
        parts = (target == 0.0, target == 1.0)
        found.append([_surest(flagged[at], group[at], who[at], names)["high"] for at in parts])
    return np.array(found)


def alike(groups, rate):
    return np.full(groups, rate)


@pytest.mark.parametrize(("groups", "positives", "negatives"), [(2, 20, 400), (20, 50, 1000)])
def test_groups_that_are_alike_hardly_ever_break_four_fifths(groups, positives, negatives):
    """By the bootstrap of the lowest rate over the highest, 20 such groups always did."""
    size = {"positives": positives, "negatives": negatives}
    high = bounds(groups, 300, seed=1, rates=(alike(groups, 0.6), alike(groups, 0.05)), **size)
    assert (high < 0.8).mean(axis=0).max() <= 0.025


@pytest.mark.parametrize("repeats", [1, 4])
def test_a_ratio_of_exactly_four_fifths_is_broken_no_more_often_than_the_level(repeats):
    often = (np.array([0.48, 0.6]), np.array([0.04, 0.05]))
    how = {"positives": 200, "negatives": 2_000, "rates": often, "repeats": repeats}
    assert (bounds(2, 600, seed=2, **how) < 0.8).mean(axis=0).max() <= 0.03


def test_groups_of_few_customers_hardly_ever_break_four_fifths():
    """A group of ten customers without a flag would seem to have a hundred independent rows."""
    how = {"positives": 0, "negatives": 10, "repeats": 10}
    rng, names = np.random.default_rng(5), np.arange(6)
    low = 0
    for _ in range(400):
        (_, flagged, group), who = flags_of(6, rates=(alike(6, 0.1),) * 2, rng=rng, **how)
        low += _surest(flagged, group, who, names)["high"] < 0.8
    assert low / 400 <= 0.025


def test_a_group_with_far_less_is_found_among_many():
    often = alike(10, 0.6), alike(10, 0.05)
    often[0][3] = often[1][3] = 0.01
    high = bounds(10, 50, seed=3, positives=100, negatives=2_000, rates=often)
    assert (high < 0.8).mean(axis=0).min() > 0.9


def test_a_small_group_without_a_flag_is_not_surely_low():
    group = np.repeat(["small", "large"], [20, 1_000])
    flagged = np.concatenate([np.zeros(20, bool), np.arange(1_000) < 50])
    got = compute_fairness(
        np.zeros(1_020), flagged, np.full(1_020, 0.1), group, groups=np.arange(1_020), draws=20
    )
    line = got.parity.set_index("figure").loc["predictive_equality"]
    assert (line["value"], line["lowest"], line["highest"]) == (0.0, "small", "large")
    assert line["high"] == 1.0


def test_where_nobody_is_flagged_nothing_is_sure():
    got = compute_fairness(
        np.zeros(20), np.zeros(20, bool), np.full(20, 0.1), np.arange(20) % 2,
        groups=np.arange(20), draws=2,
    )  # fmt: skip
    assert got.parity["high"].isna().all()


@given(seed=st.integers(0, 200))
def test_the_end_lies_above_the_ratio(seed):
    target, flagged, proba, group = grouped(60, seed)
    got = compute_fairness(target, flagged, proba, group, groups=np.arange(60), draws=2)
    known = got.parity.dropna(subset=["value", "high"])
    assert (known["high"] >= known["value"]).all()
    assert (known["high"] <= 1.0).all()
