"""Rates of grades against the literature and other code."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kyc_ml.metrics import (
    binomial_p,
    compute_grade_calibration,
    compute_ordering,
    holm,
    jeffreys_interval,
    jeffreys_p,
)


@pytest.mark.parametrize(
    ("rows", "defaults", "rate", "p_under"),
    [  # Source: published golden numbers, "jeffreys_*": posterior mass below the forecast rate.
        (500, 8, 0.01, 0.09533523262340154),
        (100, 0, 0.005, 0.6839008568151399),
        (1000, 3, 0.01, 0.9945911395590878),
    ],
)
def test_a_rate_is_inside_exactly_when_the_ecb_test_does_not_reject_it(
    rows, defaults, rate, p_under
):
    (low,), (high,) = jeffreys_interval([defaults], [rows])
    assert stats.beta.cdf(rate, defaults + 0.5, rows - defaults + 0.5) == pytest.approx(p_under)
    assert (low <= rate <= high) == (0.025 <= p_under <= 0.975)


@pytest.mark.parametrize(
    ("hits", "rows", "rate", "expected"),
    [  # Source: published golden numbers, "jeffreys_*".
        (8, 500, 0.01, (0.09533523262340154, 0.9046647673765983)),
        (0, 100, 0.005, (0.6839008568151399, 0.3160991431848602)),
        (3, 1000, 0.01, (0.9945911395590878, 0.005408860440912184)),
    ],
)
def test_jeffreys_p_values_are_the_golden_ones(hits, rows, rate, expected):
    under, over = jeffreys_p(hits, rows, rate)
    assert (float(under), float(over)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("hits", "rows", "rate", "expected"),
    [  # Source: published golden numbers, "binom_upper" and "binom_lower".
        (8, 500, 0.01, (0.132319866131811, 0.9328898400862952)),
        (0, 100, 0.005, (1.0, 0.6057704364907283)),
        (3, 1000, 0.01, (0.9973205680062085, 0.010072654772014291)),
    ],
)
def test_binomial_p_values_are_the_golden_ones(hits, rows, rate, expected):
    under, over = binomial_p(hits, rows, rate)
    assert (float(under), float(over)) == pytest.approx(expected)


@given(rows=st.integers(1, 400), rate=st.floats(0.001, 0.999), data=st.data())
def test_binomial_p_values_are_scipys(rows, rate, data):
    hits = data.draw(st.integers(0, rows))
    under, over = binomial_p(hits, rows, rate)
    for got, side in ((under, "greater"), (over, "less")):
        theirs = stats.binomtest(hits, rows, rate, alternative=side).pvalue
        assert float(got) == pytest.approx(theirs, abs=1e-9)


@given(rows=st.integers(1, 400), rate=st.floats(0.001, 0.999), data=st.data())
def test_one_more_positive_says_more_of_under_prediction(rows, rate, data):
    hits = data.draw(st.integers(0, rows - 1))
    for test in (jeffreys_p, binomial_p):
        under, over = test(np.array([hits, hits + 1]), np.full(2, rows), np.full(2, rate))
        assert under[1] <= under[0] + 1e-12
        assert over[0] <= over[1] + 1e-12
    under, over = jeffreys_p(hits, rows, rate)
    assert float(under + over) == pytest.approx(1.0)


def test_grades_are_held_against_their_own_mean_probability():
    grade = np.repeat([0, 1, 3], [500, 100, 4])
    target = np.zeros(604)
    target[:8] = 1.0
    proba = np.repeat([0.01, 0.005, 0.5], [500, 100, 4])
    table = compute_grade_calibration(grade, target, proba, names=["a", "b", "c", "d"])
    assert table["grade"].tolist() == ["a", "b", "c", "d"]
    assert table["rows"].tolist() == [500, 100, 0, 4]
    assert table["positives"].tolist() == [8, 0, 0, 0]
    assert table["expected_rate"].tolist() == pytest.approx([0.01, 0.005, np.nan, 0.5], nan_ok=True)
    assert table["jeffreys_under"].tolist()[:2] == pytest.approx([0.0953352326, 0.6839008568])
    assert table["binomial_over"].tolist()[:2] == pytest.approx([0.9328898401, 0.6057704365])
    adjusted = holm(table["jeffreys_under"])
    assert table["jeffreys_under_holm"].tolist() == pytest.approx(adjusted.tolist(), nan_ok=True)
    assert table.loc[2, "observed_rate":].isna().all()


# --- ordering ---------------------------------------------------------------------------


@given(rows=st.tuples(st.integers(1, 60), st.integers(1, 60)), data=st.data())
def test_the_mid_p_value_is_fishers_less_half_the_chance_of_what_was_seen(rows, data):
    hits = [data.draw(st.integers(0, n)) for n in rows]
    table = compute_ordering(np.array(hits), np.array(rows), names=["low", "high"])
    exact = stats.fisher_exact(
        [[hits[0], rows[0] - hits[0]], [hits[1], rows[1] - hits[1]]], alternative="greater"
    ).pvalue
    seen = stats.hypergeom.pmf(hits[0], sum(rows), sum(hits), rows[0])
    assert table["p_value"][0] == pytest.approx(exact - seen / 2, abs=1e-9)
    assert bool(table["inverted"][0]) == (hits[0] / rows[0] > hits[1] / rows[1])


@given(rows=st.tuples(st.integers(1, 60), st.integers(1, 60)), data=st.data())
def test_both_directions_of_a_pair_share_one_chance(rows, data):
    hits = np.array([data.draw(st.integers(0, n)) for n in rows])
    n = np.array(rows)
    up, down = (
        compute_ordering(hits[way], n[way], names=["x", "y"])["p_value"][0]
        for way in ([0, 1], [1, 0])
    )
    assert up + down == pytest.approx(1.0)


def test_rising_rates_are_ordered_and_empty_grades_are_passed_over():
    table = compute_ordering(
        np.array([1, 0, 20, 5]), np.array([1000, 0, 500, 300]), names=["a", "b", "c", "d"]
    )
    assert table[["lower", "higher"]].to_numpy().tolist() == [["a", "c"], ["c", "d"]]
    assert table["inverted"].tolist() == [False, True]
    assert table["p_value"][0] > 0.99
    assert 0.01 < table["p_value"][1] < 0.1
    assert table["p_holm"].tolist() == pytest.approx(holm(table["p_value"]).tolist())


def test_one_grade_has_no_neighbour():
    none = compute_ordering(np.array([3, 0]), np.array([9, 0]), names=["a", "b"])
    assert none.empty
    assert (none["higher"] + " below " + none["lower"]).empty
