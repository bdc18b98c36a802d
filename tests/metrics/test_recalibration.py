"""The calibration line against other code."""

import numpy as np
import pytest
from scipy.special import logit
from sklearn.linear_model import LogisticRegression

from kyc_ml.metrics import calibration_line, fit_calibration_line


def test_the_calibration_line_is_the_logistic_regression_on_log_odds():
    rng = np.random.default_rng(1)
    proba = np.clip(rng.beta(0.5, 20, size=4000), 1e-6, 1 - 1e-6)
    target = (rng.random(4000) < proba**0.8).astype(float)
    fit = LogisticRegression(C=np.inf, max_iter=1000, tol=1e-10).fit(logit(proba)[:, None], target)
    intercept, slope = calibration_line(target, proba)
    assert slope == pytest.approx(fit.coef_[0, 0], rel=1e-4)
    assert intercept == pytest.approx(fit.intercept_[0], rel=1e-4)


def test_honest_probabilities_have_the_line_of_equality():
    proba = np.repeat([0.1, 0.2, 0.5], [100, 100, 100])
    target = np.concatenate([np.arange(100) < hits for hits in (10, 20, 50)]).astype(float)
    assert calibration_line(target, proba) == pytest.approx((0.0, 1.0), abs=1e-9)


@pytest.mark.parametrize(
    ("target", "proba"),
    [
        ([0.0, 0, 1, 1], [0.1, 0.2, 0.6, 0.7]),  # a threshold separates the classes
        ([0.0, 1, 0, 1], [0.3, 0.3, 0.3, 0.3]),
        ([0.0, 0, 0, 0], [0.1, 0.2, 0.3, 0.4]),
    ],
)
def test_where_no_line_is_likeliest_there_is_none(target, proba):
    assert np.isnan(calibration_line(np.array(target), np.array(proba))).all()


def test_a_far_start_still_converges():
    rng = np.random.default_rng(2)
    proba = np.clip(rng.uniform(size=500) ** 30, 1e-12, 0.999)
    target = (rng.random(500) < 0.5).astype(float)
    intercept, slope = calibration_line(target, proba)
    assert abs(slope) < 0.1
    assert abs(intercept) < 2


def test_the_line_and_its_errors_are_those_of_statsmodels():
    # Source: statsmodels 0.15.0, GLM(Binomial) with bse and conf_int(), on these 60 rows.
    place = np.arange(60)
    proba = (place % 12 + 1) / 16
    target = ((place * 7) % 10 < 8 * proba).astype(float)
    got = fit_calibration_line(target, proba)
    assert got.intercept == pytest.approx(-0.3487893363918486)
    assert (got.intercept_low, got.intercept_high) == pytest.approx(
        (-0.9285140137614992, 0.230935340977802)
    )
    assert got.slope == pytest.approx(0.7251476975450406)
    assert (got.slope_low, got.slope_high) == pytest.approx((0.13625453079001115, 1.31404086430007))
    assert got.p_value == pytest.approx(0.4145993486381636)
    assert calibration_line(target, proba) == (got.intercept, got.slope)


def test_without_a_line_there_is_no_interval_and_no_p_value():
    got = fit_calibration_line(np.zeros(4), np.array([0.1, 0.2, 0.3, 0.4]))
    assert np.isnan([got.intercept_low, got.intercept, got.slope_high, got.p_value]).all()
