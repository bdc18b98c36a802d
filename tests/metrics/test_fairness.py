"""Rates by group against other code, by law, and their intervals against simulated truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.metrics import (
    compute_fairness,
)


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
