"""A calibrator keeps the order of the margins and stays inside (0, 1)."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import log_loss

from kyc_ml.calibration import (
    Calibrator,
    choose_calibrator,
    cross_calibrate,
    fit_calibrator,
    to_probability,
)
from kyc_ml.config import CalibrationConfig
from kyc_ml.errors import DatasetError

METHODS = ("none", "platt", "isotonic")


def drawn(n=400, *, slope=1.0, intercept=-1.0, seed=0):
    """Draw margins, and outcomes with log-odds ``slope * margin + intercept``."""
    rng = np.random.default_rng(seed)
    margin = rng.normal(size=n)
    target = (rng.random(n) < expit(slope * margin + intercept)).astype(np.float64)
    target[np.argmax(margin)], target[np.argmin(margin)] = 1.0, 0.0  # both classes
    return margin, target


margins = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30).map(np.array)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=25)
@given(seed=st.integers(0, 999), n=st.integers(60, 200), margin=margins)
def test_a_larger_margin_never_has_a_smaller_probability(method, seed, n, margin):
    calibrator = fit_calibrator(*drawn(n, slope=2.0, seed=seed), method=method)
    proba = calibrator.probability(np.sort(margin))
    assert (np.diff(proba) >= 0).all()
    assert (proba >= 0).all()
    assert (proba <= 1).all()


@settings(max_examples=25)
@given(seed=st.integers(0, 999), n=st.integers(2, 200))
def test_isotonic_calls_nothing_impossible_and_nothing_certain(seed, n):
    calibrator = fit_calibrator(*drawn(n, slope=50.0, seed=seed), method="isotonic")
    proba = calibrator.probability(np.array([-1e300, -1.0, 0.0, 1.0, 1e300]))
    assert (proba >= 0.5 / n).all()
    assert (proba <= 1.0 - 0.5 / n).all()


def test_platt_keeps_the_ranking():
    margin, target = drawn()
    proba = fit_calibrator(margin, target, method="platt").probability(margin)
    assert np.array_equal(np.argsort(proba, kind="stable"), np.argsort(margin, kind="stable"))


def test_platt_finds_the_map_the_outcomes_were_drawn_from():
    fit = fit_calibrator(*drawn(60_000, slope=1.5, intercept=-2.0), method="platt")
    assert fit.slope == pytest.approx(1.5, abs=0.06)
    assert fit.intercept == pytest.approx(-2.0, abs=0.06)


def test_isotonic_finds_the_map_too():
    margin, target = drawn(60_000, slope=1.5, intercept=-1.0)
    fit = fit_calibrator(margin, target, method="isotonic")
    grid = np.linspace(-1.5, 1.5, 13)
    np.testing.assert_allclose(fit.probability(grid), expit(1.5 * grid - 1.0), atol=0.05)


def test_platt_gives_as_many_positives_as_there_were():
    margin, target = drawn()
    proba = fit_calibrator(margin, target, method="platt").probability(margin)
    assert proba.sum() == pytest.approx(target.sum(), abs=0.1)


def test_none_takes_the_margin_for_log_odds():
    margin = np.array([-np.log(3.0), 0.0, np.log(3.0)])
    np.testing.assert_allclose(to_probability(margin), [0.25, 0.5, 0.75], atol=1e-15)
    assert fit_calibrator(margin, np.zeros(3), method="none") == Calibrator(method="none")


def test_isotonic_is_straight_between_knots_and_flat_outside():
    calibrator = Calibrator(method="isotonic", knots=(0.0, 1.0, 3.0), levels=(0.1, 0.3, 0.7))
    got = calibrator.probability(np.array([-9.0, 0.0, 0.5, 2.0, 3.0, 9.0]))
    assert got.tolist() == pytest.approx([0.1, 0.1, 0.2, 0.5, 0.7, 0.7])


def test_margins_that_are_all_equal_get_one_probability():
    calibrator = fit_calibrator(np.zeros(10), np.repeat([0.0, 1.0], 5), method="isotonic")
    assert calibrator.probability(np.array([-5.0, 0.0, 5.0])).tolist() == [0.5, 0.5, 0.5]


@pytest.mark.parametrize("method", METHODS)
def test_json_keeps_a_map_to_the_last_bit(method):
    margin, target = drawn()
    calibrator = fit_calibrator(margin, target, method=method)
    again = Calibrator.from_dict(json.loads(json.dumps(calibrator.to_dict())))
    assert again == calibrator
    assert again.probability(margin).tobytes() == calibrator.probability(margin).tobytes()


def test_a_map_that_would_reverse_the_ranking_is_refused():
    margin, target = drawn(slope=3.0)
    with pytest.raises(DatasetError, match="ranks the calibration rows the wrong way round"):
        fit_calibrator(-margin, target, method="platt")


def test_margins_without_any_order_have_no_platt_map():
    with pytest.raises(DatasetError, match="must be above 0"):
        fit_calibrator(np.zeros(10), np.repeat([0.0, 1.0], 5), method="platt")


def test_the_choice_has_the_lowest_cross_validated_log_loss():
    margin, target = drawn(slope=3.0, intercept=-2.0)
    choice = choose_calibrator(margin, target, config=CalibrationConfig())
    losses = {
        method: log_loss(target, cross_calibrate(margin, target, method=method, folds=5))
        for method in METHODS
    }
    best = min(losses, key=losses.__getitem__)
    assert choice.calibrator == fit_calibrator(margin, target, method=best)
    assert choice.candidates["method"].tolist() == sorted(losses, key=losses.__getitem__)
    assert choice.candidates["log_loss"].is_monotonic_increasing
    assert choice.candidates.set_index("method")["log_loss"].to_dict() == losses


def test_a_margin_that_is_already_right_is_left_alone_and_a_wrong_one_is_mended():
    right = choose_calibrator(
        *drawn(3000, slope=1.0, intercept=0.0), config=CalibrationConfig(candidates=("none",))
    )
    wrong = choose_calibrator(*drawn(3000, slope=4.0, intercept=-3.0), config=CalibrationConfig())
    assert right.calibrator.method == "none"
    assert wrong.calibrator.method != "none"


def test_cross_calibration_gives_no_row_a_map_that_saw_it():
    margin, target = drawn(100)
    proba = cross_calibrate(margin, target, method="isotonic", folds=5)
    own = fit_calibrator(margin, target, method="isotonic").probability(margin)
    assert proba.shape == margin.shape
    assert log_loss(target, proba) > log_loss(target, own)


@pytest.mark.parametrize(("positives", "negatives"), [(4, 100), (100, 4), (0, 50), (50, 0)])
def test_too_few_rows_of_a_class_are_refused_with_the_counts(positives, negatives):
    target = np.repeat([1.0, 0.0], [positives, negatives])
    told = f"at least 5 rows of each class, got {positives} positives of {target.size}"
    with pytest.raises(DatasetError, match=told):
        choose_calibrator(np.arange(target.size, dtype=float), target, config=CalibrationConfig())


def test_as_many_positives_as_folds_are_enough():
    target = np.repeat([0.0, 1.0], [60, 5])
    margin = np.random.default_rng(0).normal(size=65) + target
    choice = choose_calibrator(margin, target, config=CalibrationConfig())
    assert isinstance(choice.candidates, pd.DataFrame)


def test_a_candidate_that_reverses_the_ranking_is_listed_last_not_fatal():
    rng = np.random.default_rng(2)
    margin = rng.normal(size=400)
    target = (rng.random(400) < 1 / (1 + np.exp(margin))).astype(float)
    choice = choose_calibrator(margin, target, config=CalibrationConfig())
    assert choice.candidates["method"].iloc[-1] == "platt"
    assert np.isinf(choice.candidates["log_loss"].iloc[-1])
    assert choice.calibrator.method != "platt"
