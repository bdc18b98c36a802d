"""Curves and distributions as tables."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.metrics import compute_precision_recall, compute_roc, compute_score_distribution

DELONG_Y = np.array([0.0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 1, 0])
DELONG_A = np.array([0.05, 0.1, 0.1, 0.2, 0.3, 0.35, 0.3, 0.6, 0.8, 0.5, 0.9, 0.7])


@st.composite
def judged(draw, *, levels=20, least=1):
    """Draw outcomes of both classes beside scores with many ties, in [0, 1]."""
    positives = draw(st.integers(least, 15))
    negatives = draw(st.integers(least, 15))
    n = positives + negatives
    scores = draw(st.lists(st.integers(0, levels), min_size=n, max_size=n))
    return np.repeat([1.0, 0.0], [positives, negatives]), np.array(scores) / levels


@given(rows=judged(), n_bins=st.integers(1, 40))
def test_the_shares_of_each_label_sum_to_one(rows, n_bins):
    table = compute_score_distribution(*rows, n_bins=n_bins)
    shares = table.groupby("label")["share"].sum()
    assert shares.to_dict() == pytest.approx({"negative": 1.0, "positive": 1.0})
    assert len(table) == 2 * n_bins
    assert (table["low"] < table["high"]).all()


@pytest.mark.parametrize("proba", [0.0, 1e-9, 0.3, 1.0])
def test_one_probability_still_has_bins_of_some_width(proba):
    table = compute_score_distribution(np.zeros(3), np.full(3, proba))
    assert table["share"].sum() == pytest.approx(1.0)
    assert set(table["label"]) == {"negative"}
    assert (table["low"] < table["high"]).all()


def test_no_rows_have_no_distribution():
    assert compute_score_distribution(np.array([]), np.array([])).empty


def test_the_curves_run_from_corner_to_corner():
    roc = compute_roc(DELONG_Y, DELONG_A)
    assert roc.iloc[0].tolist() == [0.0, 0.0]
    assert roc.iloc[-1].tolist() == [1.0, 1.0]
    assert np.trapezoid(roc["recall"], roc["false_positive_rate"]) == pytest.approx(0.859375)
    curve = compute_precision_recall(DELONG_Y, DELONG_A)
    assert curve["recall"].max() == 1.0
    assert curve["precision"].between(0, 1).all()


def test_the_precision_at_the_head_is_that_of_the_highest_row_and_no_made_up_1():
    target, score = np.array([0.0, 1.0, 0.0, 1.0, 0.0]), np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    curve = compute_precision_recall(target, score)
    assert curve.iloc[-1].tolist() == [0.0, 0.0]
    assert len(curve) == 5
