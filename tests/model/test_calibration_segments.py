"""A segment is believed as far as its rows can tell; the rest is borrowed from the whole."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from kyc_ml.config import CalibrationConfig
from kyc_ml.model import Calibrator, SegmentRows, choose_calibrator, to_probability
from kyc_ml.model.calibration.fitting import fit_calibrator
from kyc_ml.model.calibration.segments import (
    Segments,
    SegmentShift,
    estimate_strength,
    fit_segments,
)

TRUTH = {"retail": -0.3, "corporate": 0.9, "private": -0.8}
METHODS = ("none", "platt", "beta", "isotonic", "venn_abers")


def drawn(n=4000, *, seed=0, shifts=TRUTH, weights=(0.7, 0.25, 0.05)):
    """Draw margins, segments, and outcomes whose log-odds are the margin and a shift."""
    rng = np.random.default_rng(seed)
    segment = rng.choice(np.array(list(shifts), dtype=object), n, p=weights)
    margin = rng.normal(-2.0, 1.0, n)
    log_odds = margin + np.array([shifts[each] for each in segment])
    return margin, (rng.random(n) < expit(log_odds)).astype(float), segment


def rows_of(segment, *, strength):
    return SegmentRows.of(segment, n=len(segment), feature="s", strength=strength)


def segmented(shift=0.5, *, method="platt", **settings):
    only = SegmentShift(name="a", rows=9, positives=1, expected=1.0, credibility=0.5, shift=shift)
    return Calibrator(
        method=method, segments=Segments(feature="s", strength=1.0, shifts=(only,)), **settings
    )


@pytest.mark.parametrize("strength", [0.0, 0.7, 20.0, 1e9])
def test_the_mean_probability_of_a_segment_is_its_credibility_estimate(strength):
    margin, target, segment = drawn()
    whole = to_probability(margin)
    fit = fit_segments(whole, target, rows_of(segment, strength=strength))
    proba = fit.shift(whole, segment)
    for each in fit.shifts:
        own = segment == each.name
        weight = (whole[own] * (1 - whole[own])).sum()
        z = weight / (weight + strength)
        assert each.credibility == pytest.approx(z)
        expected = z * target[own].mean() + (1 - z) * whole[own].mean()
        assert proba[own].mean() == pytest.approx(expected, abs=1e-10)


def test_without_pseudo_observations_a_segment_has_its_own_rate():
    margin, target, segment = drawn()
    rows = rows_of(segment, strength=0.0)
    fit = fit_calibrator(margin, target, method="platt", segments=rows)
    proba = fit.probability(margin, segment)
    for name in TRUTH:
        own = segment == name
        assert proba[own].mean() == pytest.approx(target[own].mean(), abs=1e-10)


def test_with_pseudo_observations_without_end_a_segment_is_the_whole():
    margin, target, segment = drawn()
    rows = rows_of(segment, strength=np.inf)
    fit = fit_calibrator(margin, target, method="platt", segments=rows)
    assert {each.shift for each in fit.segments.shifts} == {0.0}
    assert {each.credibility for each in fit.segments.shifts} == {0.0}
    assert fit.segments.strength is None
    proba = fit.probability(margin, segment)
    assert proba.tobytes() == fit.without_segments().probability(margin).tobytes()


@given(low=st.floats(0.0, 1e4), more=st.floats(1e-3, 1e4))
def test_the_stronger_the_whole_the_smaller_the_shift(low, more):
    margin, target, segment = drawn(400)
    whole = to_probability(margin)
    weak, strong = (
        fit_segments(whole, target, rows_of(segment, strength=strength)).shifts
        for strength in (low, low + more)
    )
    for loose, tight in zip(weak, strong, strict=True):
        assert abs(tight.shift) <= abs(loose.shift) + 1e-9
        assert tight.shift * loose.shift >= -1e-9


def test_a_small_segment_borrows_more():
    margin, target, segment = drawn()
    table = fit_segments(to_probability(margin), target, rows_of(segment, strength=20.0)).to_frame()
    by_size = table.sort_values("rows", ascending=False)
    assert by_size["segment"].tolist() == ["retail", "corporate", "private"]
    assert by_size["borrowed"].is_monotonic_increasing
    assert (table["borrowed"] + table["credibility"]).tolist() == pytest.approx([1.0] * 3)
    assert (table["event_rate"] * table["rows"]).tolist() == pytest.approx(table["positives"])
    assert (table["ci_low"] < table["event_rate"]).all()
    assert (table["event_rate"] < table["ci_high"]).all()


def test_the_shifts_are_those_the_outcomes_were_drawn_with():
    margin, target, segment = drawn(60_000)
    fit = fit_segments(to_probability(margin), target, rows_of(segment, strength=0.0))
    found = {each.name: each.shift for each in fit.shifts}
    assert found == pytest.approx(TRUTH, abs=0.12)


def test_a_shift_by_hand():
    # one probability, so the shift is the difference of log-odds: w = 100 * 0.1 * 0.9 = 9
    target = np.repeat([1.0, 0.0], [30, 70])
    fit = fit_segments(np.full(100, 0.1), target, rows_of(["a"] * 100, strength=3.0))
    (only,) = fit.shifts
    assert only.credibility == pytest.approx(0.75)
    assert only.shift == pytest.approx(logit(0.75 * 0.3 + 0.25 * 0.1) - logit(0.1), abs=1e-9)
    assert (only.rows, only.positives, only.expected) == (100, 30, pytest.approx(10.0))


@pytest.mark.parametrize(("label", "rate"), [(0.0, 0.05), (1.0, 0.95)])
def test_a_segment_of_one_class_stays_half_an_observation_away(label, rate):
    whole = np.full(10, 0.3)
    fit = fit_segments(whole, np.full(10, label), rows_of(["a"] * 10, strength=0.0))
    np.testing.assert_allclose(fit.shift(whole, ["a"] * 10), rate, atol=1e-10)


def test_a_rare_event_that_a_small_segment_lacks_does_not_raise_it():
    whole = np.full(10, 0.001)
    fit = fit_segments(whole, np.zeros(10), rows_of(["a"] * 10, strength=0.0))
    assert fit.shifts[0].shift == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("tau", [0.0, 0.4, 1.0])
def test_the_strength_is_estimated_from_how_far_segments_differ(tau):
    rng = np.random.default_rng(5)
    estimates = []
    for _ in range(30):
        names = [f"s{place:02d}" for place in range(40)]
        shifts = dict(zip(names, rng.normal(0.0, tau, 40), strict=True))
        margin, target, segment = drawn(
            8000, seed=int(rng.integers(1 << 30)), shifts=shifts, weights=[1 / 40] * 40
        )
        found = estimate_strength(to_probability(margin), target, rows_of(segment, strength=None))
        estimates.append(0.0 if np.isinf(found) else 1.0 / found)
    assert np.mean(estimates) == pytest.approx(tau**2, rel=0.35, abs=0.02)


def test_one_segment_says_nothing_of_differences():
    rows = rows_of(["a"] * 50, strength=None)
    assert np.isinf(estimate_strength(np.full(50, 0.2), np.tile([0.0, 1.0], 25), rows))


@pytest.mark.parametrize("method", METHODS)
@given(
    seed=st.integers(0, 99),
    margin=st.lists(st.floats(-50, 50), min_size=1, max_size=30).map(np.array),
)
def test_within_a_segment_a_larger_margin_never_has_a_smaller_probability(method, seed, margin):
    rows, target, segment = drawn(300, seed=seed)
    target[:2] = [0.0, 1.0]
    fit = fit_calibrator(rows, target, method=method, segments=rows_of(segment, strength=1.0))
    for name in (*TRUTH, None):
        proba = fit.probability(np.sort(margin), [name] * margin.size)
        assert (np.diff(proba) >= 0).all()
        assert (proba > 0).all()
        assert (proba < 1).all()


@given(p=st.floats(1e-12, 1 - 1e-12), steps=st.integers(1, 3), shift=st.floats(-20, 20))
def test_rounding_does_not_change_the_order(p, steps, shift):
    low = high = p
    for _ in range(steps):
        high = np.nextafter(high, 1.0)
    shifts = segmented(shift).segments
    got = shifts.shift(np.array([low, high]), ["a", "a"])
    assert got[0] <= got[1]


def test_missing_and_unknown_segments_are_the_whole():
    calibrator = segmented(0.5)
    margin = np.array([0.0, 0.0, 0.0, 0.0, 0.0])
    got = calibrator.probability(margin, ["a", "b", None, np.nan, ""])
    assert got.tolist() == [pytest.approx(expit(0.5)), 0.5, 0.5, 0.5, 0.5]
    assert calibrator.probability(margin).tolist() == [0.5] * 5
    array = np.array(["a", None, "a", "a", "a"], dtype=object)
    assert calibrator.probability(margin, array)[1] == 0.5


def test_a_map_without_segments_takes_no_notice_of_them():
    assert Calibrator(method="none").probability(np.zeros(2), ["a", "b"]).tolist() == [0.5, 0.5]


def test_there_is_one_segment_a_row():
    with pytest.raises(ValueError, match="segment"):
        segmented().probability(np.zeros(2), ["a"])


def test_rows_without_a_segment_shift_none():
    margin, target, segment = drawn(1000)
    gone = segment == "private"
    lacking = np.where(gone, None, segment)
    whole = to_probability(margin)
    with_missing = fit_segments(whole, target, rows_of(lacking, strength=5.0))
    without = fit_segments(whole[~gone], target[~gone], rows_of(segment[~gone], strength=5.0))
    assert [each.name for each in with_missing.shifts] == ["corporate", "retail"]
    assert with_missing == without


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("strength", [None, 0.0, 5.0, np.inf])
def test_json_keeps_segments_to_the_last_bit(method, strength):
    margin, target, segment = drawn(600)
    rows = rows_of(segment, strength=strength)
    fit = fit_calibrator(margin, target, method=method, segments=rows)
    again = Calibrator.from_dict(json.loads(json.dumps(fit.to_dict(), allow_nan=False)))
    assert again == fit
    assert (
        again.probability(margin, segment).tobytes() == fit.probability(margin, segment).tobytes()
    )


def test_the_order_of_rows_changes_no_bit_of_the_shifts():
    margin, target, segment = drawn(500)
    margin = np.round(margin, 1)
    config = CalibrationConfig(segment="s")
    order = np.random.default_rng(7).permutation(500)
    ours = choose_calibrator(margin, target, config=config, segment=segment)
    theirs = choose_calibrator(margin[order], target[order], config=config, segment=segment[order])
    assert ours.calibrator == theirs.calibrator
    assert ours.candidates["log_loss"].tolist() == theirs.candidates["log_loss"].tolist()


def test_the_choice_says_what_segments_are_worth():
    margin, target, segment = drawn(6000)
    config = CalibrationConfig(segment="profile_segment", segment_strength=10.0)
    choice = choose_calibrator(margin, target, config=config, segment=segment)
    assert (choice.candidates["log_loss"] < choice.candidates["without_segments"]).all()
    assert choice.calibrator.segments.feature == "profile_segment"
    pd.testing.assert_frame_equal(choice.segments, choice.calibrator.segments.to_frame())
    for name in ("retail", "corporate"):  # the third is small and borrows
        own = segment == name
        assert choice.held_out[own].mean() == pytest.approx(target[own].mean(), rel=0.15)


def test_segments_that_do_not_differ_borrow_nearly_all():
    margin, target, segment = drawn(6000, shifts=dict.fromkeys(TRUTH, 0.0))
    choice = choose_calibrator(
        margin, target, config=CalibrationConfig(segment="s"), segment=segment
    )
    whole = choose_calibrator(margin, target, config=CalibrationConfig())
    assert choice.segments["shift"].abs().max() < 0.15
    assert choice.candidates["log_loss"].min() == pytest.approx(
        whole.candidates["log_loss"].min(), rel=2e-3
    )


@pytest.mark.parametrize(("feature", "given"), [("s", False), (None, True)])
def test_segments_are_given_exactly_where_they_are_configured(feature, given):
    margin, target, segment = drawn(200)
    with pytest.raises(ValueError, match="calibration"):
        choose_calibrator(
            margin,
            target,
            config=CalibrationConfig(segment=feature),
            segment=segment if given else None,
        )
