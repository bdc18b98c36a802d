"""Leaving out negatives multiplies the odds by a known factor, and nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lightgbm import LGBMClassifier
from scipy.special import expit

from kyc_ml.metrics import compute_metrics
from kyc_ml.model.calibration.sampling import undo_downsampling

margins = st.floats(-15.0, 15.0)
shares = st.floats(0.001, 1.0)


@given(margin=margins, kept=shares)
def test_on_the_probability_it_is_the_formula_of_bayes(margin, kept):
    p = expit(margin)
    expected = kept * p / (kept * p + 1.0 - p)
    got = expit(undo_downsampling(np.array([margin]), negatives_kept=kept))
    assert got[0] == pytest.approx(expected, rel=1e-9)


@given(margin=margins, first=shares, second=shares)
def test_keeping_twice_is_keeping_the_product(margin, first, second):
    once = undo_downsampling(np.array([margin]), negatives_kept=first * second)
    twice = undo_downsampling(
        undo_downsampling(np.array([margin]), negatives_kept=first), negatives_kept=second
    )
    assert once == pytest.approx(twice, abs=1e-12)


def test_keeping_all_changes_nothing():
    margin = np.array([-3.0, 0.1])
    assert undo_downsampling(margin, negatives_kept=1.0).tolist() == margin.tolist()


@pytest.mark.parametrize("kept", [0.0, -0.1, 1.01, np.nan, np.inf])
def test_a_share_is_above_0_and_at_most_1(kept):
    with pytest.raises(ValueError, match=r"above \b0\b.*\b1\b"):
        undo_downsampling(np.zeros(2), negatives_kept=kept)


def test_rates_among_kept_rows_become_rates_among_all_rows():
    rng = np.random.default_rng(0)
    cell = rng.integers(0, 5, 400_000)
    target = rng.random(cell.size) < np.array([0.002, 0.01, 0.05, 0.2, 0.6])[cell]
    kept = target | (rng.random(cell.size) < 0.1)
    for each in range(5):
        among_kept = target[kept & (cell == each)].mean()
        all_rows = target[cell == each].mean()
        margin = np.log(among_kept / (1.0 - among_kept))
        got = expit(undo_downsampling(np.array([margin]), negatives_kept=0.1))[0]
        assert got == pytest.approx(all_rows, rel=0.03)


def test_a_model_of_kept_rows_is_calibrated_on_all_rows_once_corrected():
    rng = np.random.default_rng(1)
    features = rng.normal(size=(60_000, 2))
    truth = -4.0 + features[:, 0] + 0.5 * features[:, 1]
    target = (rng.random(60_000) < expit(truth)).astype(float)
    fitted, judged = np.arange(60_000) < 40_000, np.arange(60_000) >= 40_000
    kept = fitted & ((target == 1) | (rng.random(60_000) < 0.1))
    settings = {"n_estimators": 40, "num_leaves": 4, "learning_rate": 0.1, "verbose": -1,
                "num_threads": 1}  # fmt: skip
    whole = LGBMClassifier(**settings).fit(features[fitted], target[fitted])
    part = LGBMClassifier(**settings).fit(features[kept], target[kept])
    raw = part.predict(features[judged], raw_score=True)
    margin = undo_downsampling(raw, negatives_kept=0.1)
    full = whole.predict(features[judged], raw_score=True)
    quality = compute_metrics(target[judged], margin, expit(margin))
    assert quality.observed_over_expected_low <= 1.0 <= quality.observed_over_expected_high
    assert expit(raw).sum() > 4 * target[judged].sum()
    assert np.abs(margin - full).mean() < 0.2
    assert abs((margin - full).mean()) < 0.1
