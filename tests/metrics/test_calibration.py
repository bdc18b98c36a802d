"""Calibration figures against the literature and by hand."""

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import brier_score_loss

from kyc_ml.metrics import (
    calibration_error,
    compute_reliability,
    decompose_brier,
    hosmer_lemeshow,
    largest_calibration_error,
    spiegelhalter,
)

BRIER_P = np.array([0.1, 0.1, 0.1, 0.1, 0.4, 0.4, 0.4, 0.8, 0.8, 0.8])
BRIER_O = np.array([0.0, 0, 0, 1, 0, 1, 0, 1, 1, 0])


@st.composite
def judged(draw, *, levels=20, least=1):
    """Draw outcomes of both classes beside scores with many ties, in [0, 1]."""
    positives = draw(st.integers(least, 15))
    negatives = draw(st.integers(least, 15))
    n = positives + negatives
    scores = draw(st.lists(st.integers(0, levels), min_size=n, max_size=n))
    return np.repeat([1.0, 0.0], [positives, negatives]), np.array(scores) / levels


@given(rows=judged(), n_bins=st.integers(1, 40))
def test_reliability_bins_hold_every_row_and_every_positive_once(rows, n_bins):
    target, proba = rows
    bins = compute_reliability(target, proba, n_bins=n_bins)
    assert bins["n"].sum() == target.size
    assert (bins["event_rate"] * bins["n"]).sum() == pytest.approx(target.sum())
    assert (bins["mean_proba"] * bins["n"]).sum() == pytest.approx(proba.sum())
    if np.unique(proba).size == proba.size:
        assert bins["n"].max() - bins["n"].min() <= 1
    assert bins["mean_proba"].diff().dropna().ge(-1e-12).all()
    assert bins["bin"].tolist() == list(range(1, len(bins) + 1))
    assert (bins["ci_low"] <= bins["event_rate"]).all()
    assert (bins["event_rate"] <= bins["ci_high"]).all()


@given(rows=judged(), random=st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_no_reliability_bin(rows, random):
    target, proba = rows
    proba = np.round(proba, 1)  # many ties
    order = list(range(target.size))
    random.shuffle(order)
    ours = compute_reliability(target, proba, n_bins=7)
    theirs = compute_reliability(target[order], proba[order], n_bins=7)
    assert ours["n"].tolist() == theirs["n"].tolist()
    np.testing.assert_allclose(ours["event_rate"], theirs["event_rate"])


def test_equal_and_right_probabilities_have_no_calibration_error():
    target = np.repeat([0.0, 1.0], [95, 5])
    assert calibration_error(target, np.full(100, 0.05)) == pytest.approx(0.0)


def test_on_calibrated_data_the_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(4)
    held_bins = 0
    for _ in range(200):
        proba = rng.beta(1, 9, size=1000)
        target = (rng.random(1000) < proba).astype(float)
        bins = compute_reliability(target, proba, n_bins=10)
        inside = (bins["ci_low"] <= bins["mean_proba"]) & (bins["mean_proba"] <= bins["ci_high"])
        held_bins += int(inside.sum())
    assert 0.93 <= held_bins / 2000 <= 0.98


@given(rows=judged(), n_bins=st.integers(1, 20))
def test_the_largest_error_is_at_least_the_mean_error(rows, n_bins):
    mean, largest = (
        figure(*rows, n_bins=n_bins) for figure in (calibration_error, largest_calibration_error)
    )
    assert 0.0 <= mean <= largest + 1e-12 <= 1.0 + 1e-12


def test_the_largest_error_of_the_golden_groups():
    # rates 1/4, 1/3, 2/3 beside 0.1, 0.4, 0.8
    assert largest_calibration_error(BRIER_O, BRIER_P, n_bins=10) == pytest.approx(0.15)
    assert calibration_error(BRIER_O, BRIER_P, n_bins=10) == pytest.approx(0.12)


# --- Brier -----------------------------------------------------------------------------


@given(rows=judged(), n_bins=st.none() | st.integers(1, 20))
def test_the_parts_make_up_the_brier_score(rows, n_bins):
    got = decompose_brier(*rows, n_bins=n_bins)
    whole = got.reliability - got.resolution + got.uncertainty + got.within_bins
    assert got.score == pytest.approx(whole, abs=1e-12)
    assert got.score == pytest.approx(brier_score_loss(*rows), abs=1e-12)
    assert min(got.reliability, got.resolution, got.uncertainty) >= 0.0
    if n_bins is None:
        assert got.within_bins == pytest.approx(0.0, abs=1e-12)


def test_the_parts_of_the_golden_groups():
    # Source: published golden numbers, "brier".
    got = decompose_brier(BRIER_O, BRIER_P)
    assert got.score == pytest.approx(0.224, abs=1e-12)
    assert got.reliability == pytest.approx(0.015666666666666672, abs=1e-12)
    assert got.resolution == pytest.approx(0.03166666666666666, abs=1e-12)
    assert got.uncertainty == pytest.approx(0.24, abs=1e-12)
    assert got.skill == pytest.approx(1.0 - 0.224 / 0.24)
    assert decompose_brier(BRIER_O, BRIER_P, n_bins=10) == got


def test_the_prevalence_said_of_every_row_has_no_skill_and_no_resolution():
    target = np.repeat([1.0, 0.0], [3, 9])
    got = decompose_brier(target, np.full(12, 0.25))
    assert (got.reliability, got.resolution, got.skill) == pytest.approx((0.0, 0.0, 0.0))
    assert np.isnan(decompose_brier(np.zeros(2), np.array([0.1, 0.2])).skill)


# --- tests of calibration --------------------------------------------------------------


@given(rows=judged())
def test_spiegelhalter_is_the_brier_score_in_its_own_deviations(rows):
    target, proba = rows
    score = ((proba - target) ** 2).sum()
    mean = (proba * (1 - proba)).sum()
    deviation = np.sqrt((proba * (1 - proba) * (1 - 2 * proba) ** 2).sum())
    got = spiegelhalter(target, proba)
    if deviation == 0.0:
        assert np.isnan([got.statistic, got.p_value]).all()
    else:
        assert got.statistic == pytest.approx((score - mean) / deviation, abs=1e-9)
        assert got.p_value == pytest.approx(2 * stats.norm.sf(abs(got.statistic)))


def test_spiegelhalter_of_the_golden_groups():
    # Source: published golden numbers, "spiegelhalter".
    got = spiegelhalter(BRIER_O, BRIER_P)
    assert (got.statistic, got.p_value) == pytest.approx((1.034587053065314, 0.3008618029033997))


@pytest.mark.parametrize(
    ("fitted", "degrees", "p_value"),
    [(False, 3, 0.7081412920725234), (True, 1, 0.23859282931643197)],
)
def test_hosmer_and_lemeshow_of_the_golden_groups(fitted, degrees, p_value):
    # Source: published golden numbers, "hl".
    got = hosmer_lemeshow(BRIER_O, BRIER_P, fewest=0.0, fitted=fitted)
    assert got.statistic == pytest.approx(1.3888888888888895)
    assert (got.degrees, got.p_value) == (degrees, pytest.approx(p_value, abs=0.025))


def test_hosmer_and_lemeshow_is_pearsons_statistic_of_bins_that_expect_as_much():
    rng = np.random.default_rng(6)
    proba = np.sort(rng.uniform(0.1, 0.9, 500))
    target = (rng.random(500) < proba).astype(float)
    share = (np.cumsum(proba) - proba / 2) / proba.sum()
    h = 0.0
    for low, high in pairwise(np.arange(9) / 8):
        here = (low <= share) & (share < high)
        assert proba[here].sum() == pytest.approx(proba.sum() / 8, rel=0.05)
        variance = (proba[here] * (1 - proba[here])).sum()
        h += (target[here].sum() - proba[here].sum()) ** 2 / variance
    found = hosmer_lemeshow(target, proba, n_bins=8)
    assert (found.statistic, found.degrees) == (pytest.approx(h), 8)
    assert found.p_value == pytest.approx(stats.chi2.sf(h, 8), abs=0.02)


def test_bins_of_a_rare_class_expect_five_positives():
    proba = np.full(1000, 0.02) + np.arange(1000) * 1e-6
    found = hosmer_lemeshow(np.zeros(1000), proba)
    assert found.degrees == 4  # 20.5 expected


def test_rows_that_repeat_a_customer_change_no_p_value():
    rng = np.random.default_rng(7)
    proba = rng.uniform(0.01, 0.2, 400)
    target = (rng.random(400) < proba).astype(float)
    groups = np.repeat(np.arange(400), 5)
    for test in (spiegelhalter, partial(hosmer_lemeshow, n_bins=3)):
        once = test(target, proba)
        five = test(np.repeat(target, 5), np.repeat(proba, 5), groups)
        assert five.statistic == pytest.approx(once.statistic, rel=0.1)


def test_certainty_that_is_wrong_is_infinitely_far_and_right_costs_nothing():
    proba = np.repeat([0.0, 0.5], [4, 4])
    right = hosmer_lemeshow(np.array([0.0, 0, 0, 0, 1, 1, 0, 0]), proba, n_bins=2, fewest=0.0)
    wrong = hosmer_lemeshow(np.array([0.0, 0, 0, 1, 1, 1, 0, 0]), proba, n_bins=2, fewest=0.0)
    assert (right.statistic, right.p_value) == (0.0, 1.0)
    assert (wrong.statistic, wrong.p_value) == (np.inf, 0.0)


def test_two_bins_of_fitted_probabilities_leave_nothing_to_test():
    got = hosmer_lemeshow(
        np.array([0.0, 1]), np.array([0.2, 0.7]), n_bins=2, fewest=0.0, fitted=True
    )
    assert got.degrees == 0
    assert np.isnan([got.statistic, got.p_value]).all()
