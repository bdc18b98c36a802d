"""A calibrator keeps the order of the margins and stays inside (0, 1)."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, log_expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from kyc_ml.config import CalibrationConfig
from kyc_ml.errors import DatasetError
from kyc_ml.metrics import calibration_error, compute_metrics, compute_reliability
from kyc_ml.model import Calibrator, choose_calibrator, to_probability
from kyc_ml.model.calibration.choosing import _cross
from kyc_ml.model.calibration.fitting import ReversedRankingError, fit_calibrator

METHODS = ("none", "platt", "beta", "isotonic", "venn_abers")
FITTED = METHODS[1:]


def cross_calibrate(margin, target, *, method, folds, seed=20130105):
    return _cross(margin, target, method=method, folds=folds, seed=seed, segments=None)[0]


def drawn(n=400, *, slope=1.0, intercept=-1.0, seed=0):
    """Draw margins, and outcomes with log-odds ``slope * margin + intercept``."""
    rng = np.random.default_rng(seed)
    margin = rng.normal(size=n)
    target = (rng.random(n) < expit(slope * margin + intercept)).astype(np.float64)
    target[np.argmax(margin)], target[np.argmin(margin)] = 1.0, 0.0  # both classes
    return margin, target


margins = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30).map(np.array)


@pytest.mark.parametrize("method", METHODS)
@given(seed=st.integers(0, 999), n=st.integers(60, 200), margin=margins)
def test_a_larger_margin_never_has_a_smaller_probability(method, seed, n, margin):
    calibrator = fit_calibrator(*drawn(n, slope=2.0, seed=seed), method=method)
    proba = calibrator.probability(np.sort(margin))
    assert (np.diff(proba) >= 0).all()
    assert (proba > 0).all()
    assert (proba < 1).all()


@pytest.mark.parametrize("method", METHODS)
@given(seed=st.integers(0, 999), random=st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_no_bit_of_a_map(method, seed, random):
    margin, target = drawn(80, seed=seed)
    margin = np.round(margin, 1)  # many ties
    order = list(range(margin.size))
    random.shuffle(order)
    again = fit_calibrator(margin[order], target[order], method=method)
    assert again == fit_calibrator(margin, target, method=method)


@pytest.mark.parametrize("method", FITTED)
def test_what_was_calibrated_on_other_rows_of_the_same_law_is_calibrated(method):
    fit = fit_calibrator(*drawn(20_000, slope=1.5, intercept=-3.0, seed=1), method=method)
    margin, target = drawn(20_000, slope=1.5, intercept=-3.0, seed=2)
    quality = compute_metrics(target, margin, fit.probability(margin))
    assert quality.observed_over_expected_low <= 1.0 <= quality.observed_over_expected_high
    assert quality.calibration_error < 0.01


def test_margins_that_are_log_odds_are_left_calibrated():
    margin, target = drawn(20_000, slope=1.0, intercept=0.0)
    for method in METHODS:
        proba = cross_calibrate(margin, target, method=method, folds=5)
        quality = compute_metrics(target, margin, proba)
        assert quality.observed_over_expected_low <= 1.0 <= quality.observed_over_expected_high


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


@pytest.mark.parametrize("method", ["none", "platt"])
def test_the_farthest_margins_are_not_certain(method):
    got = Calibrator(method=method).probability(np.array([-1e308, -800.0, 800.0, 1e308]))
    assert got[0] == got[1] == pytest.approx(2.3e-16, rel=0.02)
    assert got[2] == got[3] == pytest.approx(1.0, abs=3e-16)
    assert got[3] < 1.0


def test_beta_gives_as_many_positives_as_there_were():
    margin, target = drawn()
    proba = fit_calibrator(margin, target, method="beta").probability(margin)
    assert proba.sum() == pytest.approx(target.sum(), abs=1e-4)


def test_beta_is_the_logistic_regression_of_the_paper():
    margin, target = drawn(5000, slope=1.3)
    fit = fit_calibrator(margin, target, method="beta")
    columns = np.column_stack([log_expit(margin), -log_expit(-margin)])
    paper = LogisticRegression(C=np.inf, tol=1e-10, solver="newton-cholesky").fit(columns, target)
    assert (paper.coef_ > 0).all()
    assert [fit.slope, fit.upper_slope] == pytest.approx(paper.coef_[0], rel=1e-3)
    assert fit.intercept == pytest.approx(paper.intercept_[0], abs=1e-3)
    np.testing.assert_allclose(
        fit.probability(margin), paper.predict_proba(columns)[:, 1], atol=1e-5
    )


def test_beta_finds_a_map_that_bends():
    rng = np.random.default_rng(3)
    margin = rng.normal(0.0, 2.0, 60_000)
    truth = expit(0.5 * log_expit(margin) - 2.0 * log_expit(-margin) - 1.0)
    fit = fit_calibrator(margin, (rng.random(60_000) < truth).astype(float), method="beta")
    found = (fit.slope, fit.upper_slope, fit.intercept)
    assert found == pytest.approx((0.5, 2.0, -1.0), abs=0.12)


def test_beta_with_equal_slopes_is_platt():
    margin = np.linspace(-5.0, 5.0, 11)
    beta = Calibrator(method="beta", slope=1.7, upper_slope=1.7, intercept=-0.4, knots=(-5.0, 5.0))
    platt = Calibrator(method="platt", slope=1.7, intercept=-0.4)
    np.testing.assert_allclose(beta.probability(margin), platt.probability(margin), atol=1e-14)


def test_a_beta_slope_that_would_be_negative_is_0():
    rng = np.random.default_rng(4)
    margin = rng.normal(0.0, 2.0, 20_000)
    truth = expit(-0.6 * log_expit(margin) - 1.5 * log_expit(-margin) - 1.0)
    target = (rng.random(20_000) < truth).astype(float)
    fit = fit_calibrator(margin, target, method="beta")
    alone = LogisticRegression(C=np.inf, tol=1e-10).fit(-log_expit(-margin)[:, None], target)
    assert fit.slope == 0.0
    assert fit.upper_slope == pytest.approx(alone.coef_[0, 0], rel=1e-3)


def test_beta_goes_on_with_slope_1_outside_the_margins_it_saw():
    beta = Calibrator(method="beta", slope=2.0, upper_slope=30.0, intercept=0.5, knots=(-6.0, -2.0))
    edge, far = beta.probability(np.array([-2.0, 1.0]))
    assert np.log(far / (1 - far)) == pytest.approx(np.log(edge / (1 - edge)) + 3.0)


def test_isotonic_is_that_of_scikit_learn_kept_off_0_and_1():
    margin, target = drawn()
    fit = IsotonicRegression(out_of_bounds="clip").fit(margin, target)
    expected = np.clip(fit.predict(margin), 0.5 / 400, 1 - 0.5 / 400)
    got = fit_calibrator(margin, target, method="isotonic").probability(margin)
    np.testing.assert_allclose(got, expected, atol=1e-12)


class Margin(ClassifierMixin, BaseEstimator):
    """A fitted classifier whose margin is its only column."""

    def fit(self, margin, target):
        del margin
        self.classes_ = np.unique(target)
        return self

    def decision_function(self, margin):
        return margin[:, 0]

    def predict(self, margin):
        return (margin[:, 0] > 0).astype(float)


@pytest.mark.parametrize(("method", "name"), [("platt", "sigmoid"), ("isotonic", "isotonic")])
def test_maps_are_those_of_calibrated_classifier_cv(method, name):
    margin, target = drawn(20_000, slope=1.5)
    column = margin[:, None]
    theirs = CalibratedClassifierCV(FrozenEstimator(Margin().fit(column, target)), method=name)
    expected = theirs.fit(column, target).predict_proba(column)[:, 1]
    got = fit_calibrator(margin, target, method=method).probability(margin)
    np.testing.assert_allclose(got, expected, atol=1e-3)  # they smooth the outcomes


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
    text = json.dumps(calibrator.to_dict(), allow_nan=False)
    again = Calibrator.from_dict(json.loads(text))
    assert again == calibrator
    assert again.probability(margin).tobytes() == calibrator.probability(margin).tobytes()


@pytest.mark.parametrize(
    ("old", "now"),
    [  # Source: models/reference/format_1 and 2, and the isotonic form of the same time.
        (
            {"intercept": 1.0775046036207807, "knots": [], "levels": [], "method": "platt",
             "slope": 1.0994064463708588},
            Calibrator(method="platt", slope=1.0994064463708588, intercept=1.0775046036207807),
        ),
        (
            {"intercept": 0.0, "knots": [-1.0, 2.0], "levels": [0.1, 0.4], "method": "isotonic",
             "slope": 1.0},
            Calibrator(method="isotonic", knots=(-1.0, 2.0), levels=(0.1, 0.4)),
        ),
    ],
)  # fmt: skip
def test_maps_of_old_bundles_load(old, now):
    assert Calibrator.from_dict(old) == now


@pytest.mark.parametrize("method", FITTED)
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_has_no_map(method, label):
    told = f"{int(label * 9)} positives of 9"
    with pytest.raises(DatasetError, match=told):
        fit_calibrator(np.arange(9.0), np.full(9, label), method=method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_margins_must_be_finite_to_be_calibrated(method, odd):
    margin, target = drawn(60)
    margin[7] = odd
    with pytest.raises(DatasetError, match="1 of 60"):
        fit_calibrator(margin, target, method=method)


@pytest.mark.parametrize("method", METHODS)
def test_a_margin_that_is_no_number_has_no_probability(method):
    calibrator = fit_calibrator(*drawn(), method=method)
    with pytest.raises(ValueError, match="got 1 NaN of 2"):
        calibrator.probability(np.array([0.0, np.nan]))


@pytest.mark.parametrize("method", METHODS)
def test_classes_that_a_margin_parts_are_calibrated_all_the_same(method):
    margin = np.concatenate([np.linspace(-3, -1, 20), np.linspace(1, 3, 20)])
    proba = fit_calibrator(margin, np.repeat([0.0, 1.0], 20), method=method).probability(margin)
    assert (proba[:20] < 0.5).all()
    assert (proba[20:] > 0.5).all()
    assert (proba < 1).all()


def test_a_map_that_would_reverse_the_ranking_is_refused():
    margin, target = drawn(slope=3.0)
    with pytest.raises(ReversedRankingError):
        fit_calibrator(-margin, target, method="platt")
    with pytest.raises(ReversedRankingError, match=r"slopes.*\b0\b"):
        fit_calibrator(-margin, target, method="beta")


def test_margins_without_any_order_have_no_platt_map():
    with pytest.raises(DatasetError, match="0"):
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
    found = choice.candidates.set_index("method")["log_loss"].to_dict()
    assert found == pytest.approx(losses, rel=1e-12)


def test_the_table_of_candidates_shows_how_sure_the_choice_is():
    margin, target = drawn(1000, slope=2.0)
    choice = choose_calibrator(margin, target, config=CalibrationConfig(seed=3))
    table = choice.candidates.set_index("method")
    assert table.index[table["chosen"]].tolist() == [choice.calibrator.method]
    proba = {
        method: cross_calibrate(margin, target, method=method, folds=5, seed=3)
        for method in METHODS
    }
    losses = {method: -np.log(np.where(target == 1, p, 1 - p)) for method, p in proba.items()}
    best = losses[choice.calibrator.method]
    for method in METHODS:
        row = table.loc[method]
        gap = losses[method] - best
        assert row["standard_error"] == pytest.approx(losses[method].std(ddof=1) / 1000**0.5)
        assert row["calibration_error"] == pytest.approx(calibration_error(target, proba[method]))
        assert row["behind"] == pytest.approx(gap.mean(), abs=1e-12)
        assert row["behind_error"] == pytest.approx(gap.std(ddof=1) / 1000**0.5, abs=1e-12)
    assert choice.held_out.tobytes() == proba[choice.calibrator.method].tobytes()
    pd.testing.assert_frame_equal(choice.reliability, compute_reliability(target, choice.held_out))


def test_the_order_of_rows_changes_no_bit_of_the_choice():
    margin, target = drawn(300)
    margin = np.round(margin, 1)
    order = np.random.default_rng(9).permutation(300)
    ours = choose_calibrator(margin, target, config=CalibrationConfig())
    theirs = choose_calibrator(margin[order], target[order], config=CalibrationConfig())
    assert ours.calibrator == theirs.calibrator
    pd.testing.assert_frame_equal(ours.candidates, theirs.candidates, rtol=1e-12)
    assert ours.candidates["log_loss"].tolist() == theirs.candidates["log_loss"].tolist()


def test_another_seed_draws_other_folds():
    margin, target = drawn(100)
    drawings = [
        cross_calibrate(margin, target, method="platt", folds=5, seed=seed) for seed in (0, 0, 1)
    ]
    assert drawings[0].tobytes() == drawings[1].tobytes()
    assert drawings[0].tobytes() != drawings[2].tobytes()


def test_of_equally_good_candidates_the_simpler_is_chosen():
    margin, target = np.zeros(100), np.tile([0.0, 1.0], 50)  # no order: 1 in 2 is all there is
    config = CalibrationConfig(candidates=("venn_abers", "isotonic", "none"))
    table = choose_calibrator(margin, target, config=config).candidates
    assert table["method"].tolist() == ["none", "isotonic", "venn_abers"]
    assert table["log_loss"].tolist() == pytest.approx([np.log(2.0)] * 3)


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
    assert choice.candidates["method"].tolist()[-2:] == ["platt", "beta"]
    assert np.isinf(choice.candidates["log_loss"].iloc[-2:]).all()
    assert choice.calibrator.method not in {"platt", "beta"}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"candidates": []}, r"\b1\b item"),
        ({"candidates": ["none", "none"]}, "candidate"),
        ({"segment_strength": 5.0}, "segment"),
        ({"segment": "s", "segment_strength": -1.0}, r"equal.*\b0\b"),
        ({"segment": "s", "segment_strength": np.inf}, "finite"),
    ],
)
def test_settings_that_make_no_sense_are_refused(content, told):
    with pytest.raises(ValueError, match=told):
        CalibrationConfig.model_validate(content)
