"""A ranking counts a sample as if its rows were repeated."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from kyc_ml.metrics import Ranking
from kyc_ml.metrics.ranking import ks, partial_auc_of_ranks, standardise_partial_auc


@st.composite
def counted(draw):
    """Draw outcomes, tied scores, and how often each row is there; both classes are."""
    n = draw(st.integers(2, 30))
    labels = draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=n - 2, max_size=n - 2))
    score = draw(st.lists(st.integers(0, 6), min_size=n, max_size=n))
    times = draw(st.lists(st.integers(0, 3), min_size=n - 2, max_size=n - 2))
    return np.array([1.0, 0.0, *labels]), np.array(score) / 4, np.array([1, 1, *times])


@given(rows=counted())
def test_corners_are_points_of_the_curve_and_the_last_counts_all_rows(rows):
    target, score, times = rows
    hits, false = Ranking.of(target, score).found(times)
    assert (np.diff(hits) >= 0).all()
    assert (np.diff(false) >= 0).all()
    assert (hits[-1], false[-1]) == ((times * target).sum(), (times * (1 - target)).sum())
    corners = {
        ((times * target)[score >= cut].sum(), (times * (1 - target))[score >= cut].sum())
        for cut in [*np.unique(score), np.inf]
    }
    assert set(zip(hits.tolist(), false.tolist(), strict=True)) <= corners


@given(rows=counted(), max_fpr=st.sampled_from([0.05, 0.3, 0.8]))
def test_the_partial_area_and_ks_are_those_of_repeated_rows(rows, max_fpr):
    target, score, times = rows
    hits, false = Ranking.of(target, score).found(times)
    y, s = np.repeat(target, times), np.repeat(score, times)
    raw = partial_auc_of_ranks(hits, false, max_fpr=max_fpr)
    assert standardise_partial_auc(raw, max_fpr=max_fpr) == pytest.approx(
        roc_auc_score(y, s, max_fpr=max_fpr)
    )
    cuts = np.unique(s)[:, None]
    one, other = ((s[y == label] <= cuts).mean(axis=1) for label in (1, 0))
    assert ks(hits, false) == pytest.approx(np.abs(one - other).max())


@pytest.mark.parametrize(("target", "expected"), [([0.0, 0.0], ([0], [2])), ([], ([0], [0]))])
def test_without_positives_only_the_end_is_counted(target, expected):
    rows = np.array(target)
    hits, false = Ranking.of(rows, np.arange(rows.size) * 1.0).found(np.ones(rows.size, np.int64))
    assert (hits.tolist(), false.tolist()) == expected
