"""Perturbed rows: what moves, what stays, and that scoring again is scoring."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kyc_ml.features import FeatureSpec, Own
from kyc_ml.validation.perturbing import Sample, add_noise

NUMBER = FeatureSpec(
    name="x", family="amounts", how=Own(reading="night"), kind="number", unit="ratio",
    description="x", description_zh="x",
)  # fmt: skip
VALUES = st.floats(-1e6, 1e6) | st.just(np.nan)


@given(column=arrays(np.float64, st.integers(1, 40), elements=VALUES), size=st.floats(0.0, 1.0))
def test_noise_gives_values_that_the_column_holds(column, size):
    noisy = add_noise(column[:, None], (NUMBER,), size=size, rng=np.random.default_rng(0))[:, 0]
    np.testing.assert_array_equal(np.isnan(noisy), np.isnan(column))
    known = column[~np.isnan(column)]
    assert set(noisy[~np.isnan(noisy)]) <= set(known)


@given(column=arrays(np.float64, st.integers(1, 40), elements=VALUES))
def test_no_noise_changes_nothing(column):
    same = add_noise(column[:, None], (NUMBER,), size=0.0, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(same[:, 0], column)


def test_a_value_that_most_rows_share_mostly_stays():
    column = np.where(np.arange(1000) < 900, 0.0, np.arange(1000.0))
    noisy = add_noise(column[:, None], (NUMBER,), size=0.02, rng=np.random.default_rng(0))[:, 0]
    assert (noisy[:900] == 0.0).mean() > 0.95


def test_noise_leaves_the_rows_as_they_were(evidence):
    before = evidence.current.matrix.copy()
    add_noise(
        evidence.current.matrix, evidence.current.features.specs, size=0.5,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    np.testing.assert_array_equal(evidence.current.matrix, before)


def test_unchanged_rows_score_as_before(evidence):
    sample = Sample.of(evidence, most=500, seed=0)
    margin, proba, tier = sample.again(sample.matrix)
    np.testing.assert_array_equal(margin, sample.margin)
    np.testing.assert_array_equal(proba, sample.probability)
    np.testing.assert_array_equal(tier, sample.tier)


@pytest.mark.parametrize("most", [100, 2_000, 10**6])
def test_positives_come_first_but_fill_at_most_half(evidence, most):
    sample = Sample.of(evidence, most=most, seed=0)
    n = len(evidence.current)
    assert sample.rows.size == min(most, n)
    if most < n:
        everything = int(evidence.current.target.sum())
        assert sample.target.sum() == min(everything, most // 2)
