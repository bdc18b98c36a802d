"""The figures of one model on one set of rows."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from kyc_ml.metrics import (
    calibration_error,
    compute_metrics,
    compute_reliability,
    observed_over_expected,
)

DELONG_Y = np.array([0.0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 1, 0])
DELONG_A = np.array([0.05, 0.1, 0.1, 0.2, 0.3, 0.35, 0.3, 0.6, 0.8, 0.5, 0.9, 0.7])
BRIER_P = np.array([0.1, 0.1, 0.1, 0.1, 0.4, 0.4, 0.4, 0.8, 0.8, 0.8])
BRIER_O = np.array([0.0, 0, 0, 1, 0, 1, 0, 1, 1, 0])


def test_brier_score_and_calibration_error_are_those_of_the_golden_groups():
    quality = compute_metrics(BRIER_O, BRIER_P, BRIER_P)
    assert quality.brier == pytest.approx(0.224, abs=1e-12)
    assert calibration_error(BRIER_O, BRIER_P, n_bins=3) == pytest.approx(0.12, abs=1e-12)
    assert quality.observed_over_expected == pytest.approx(4 / 4.0)
    assert (quality.rows, quality.positives, quality.prevalence) == (10, 4, 0.4)


def test_probabilities_twice_too_high_are_found_out():
    rng = np.random.default_rng(5)
    proba = rng.beta(1, 9, size=5000)
    target = (rng.random(5000) < proba).astype(float)
    quality = compute_metrics(target, proba, np.minimum(1.0, 2 * proba))
    assert quality.observed_over_expected == pytest.approx(0.5, abs=0.06)
    assert quality.observed_over_expected_high < 1.0
    assert quality.calibration_error > 4 * compute_metrics(target, proba, proba).calibration_error


def test_quality_ranks_by_the_score_and_believes_the_probability():
    level = np.full(12, DELONG_Y.mean())
    quality = compute_metrics(DELONG_Y, DELONG_A, level)
    assert quality.auc == 0.859375
    assert quality.average_precision == average_precision_score(DELONG_Y, DELONG_A)
    assert quality.calibration_error == pytest.approx(
        (compute_reliability(DELONG_Y, level)["event_rate"] - level[0]).abs().mean()
    )
    assert quality.as_dict()["auc"] == quality.auc


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_has_no_ranking_figures_but_a_calibration(label):
    proba = np.full(5, 0.1)
    quality = compute_metrics(np.full(5, label), proba, proba)
    for figure in ("auc", "auc_low", "auc_high", "average_precision", "recall_at_5_percent_fpr"):
        assert np.isnan(quality.as_dict()[figure])
    assert quality.brier == pytest.approx((label - 0.1) ** 2)
    assert quality.observed_over_expected == pytest.approx(label * 5 / 0.5)


def test_rows_of_one_customer_widen_the_interval_of_observed_over_expected():
    rng = np.random.default_rng(3)
    customers = np.repeat(np.arange(200), 20)
    target = np.repeat((rng.random(200) < 0.2).astype(float), 20)  # a customer's rows agree
    proba = np.full(target.size, 0.2)
    alone = compute_metrics(target, proba, proba)
    together = compute_metrics(target, proba, proba, customers=customers)
    found = observed_over_expected(target, proba, customers)
    assert together.observed_over_expected == alone.observed_over_expected
    assert together.observed_over_expected_low == found.low
    assert together.observed_over_expected_high == found.high
    assert found.high - found.low > 3 * (
        alone.observed_over_expected_high - alone.observed_over_expected_low
    )


def test_average_precision_has_an_interval_by_customer_where_samples_are_drawn():
    rng = np.random.default_rng(4)
    customers = np.repeat(np.arange(300), 5)
    margin = np.repeat(rng.normal(size=300), 5)  # a customer's rows agree, outcome and score
    target = np.repeat((rng.random(300) < 1 / (1 + np.exp(2 - 2 * margin[::5]))).astype(float), 5)
    proba = 1 / (1 + np.exp(2 - 2 * margin))
    plain = compute_metrics(target, margin, proba)
    alone = compute_metrics(target, margin, proba, draws=200)
    together = compute_metrics(target, margin, proba, customers=customers, draws=200)
    assert np.isnan(plain.average_precision_low)
    assert plain.average_precision == together.average_precision
    low, high = together.average_precision_low, together.average_precision_high
    assert low < together.average_precision < high
    assert high - low > 1.7 * (alone.average_precision_high - alone.average_precision_low)
    # an independent bootstrap: whole customers, scikit-learn's figure
    draws = []
    for _ in range(400):
        rows = np.concatenate([5 * c + np.arange(5) for c in rng.integers(300, size=300)])
        draws.append(average_precision_score(target[rows], margin[rows]))
    assert (low, high) == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])), abs=0.03)
