"""A score at a frozen threshold and at capacities, against rows repeated and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from kyc_ml.metrics import (
    ReviewQueue,
    auc_interval,
    compute_operating_points,
    compute_ranking_figures,
    jeffreys_interval,
    ks_statistic,
    rates_at_threshold,
    threshold_at_fpr,
)
from kyc_ml.metrics.discrimination import recall_at_fpr


@st.composite
def judged(draw):
    """Draw outcomes of both classes beside scores with many ties."""
    positives, negatives = draw(st.integers(1, 12)), draw(st.integers(1, 20))
    n = positives + negatives
    scores = draw(st.lists(st.integers(0, 9), min_size=n, max_size=n))
    return np.repeat([1.0, 0.0], [positives, negatives]), np.array(scores) / 4


# --- a frozen threshold -----------------------------------------------------------------


@given(rows=judged(), fpr=st.sampled_from([0.0, 0.05, 0.2, 0.5, 1.0]))
def test_on_its_own_rows_the_threshold_has_the_recall_of_that_rate(rows, fpr):
    target, score = rows
    threshold = threshold_at_fpr(target, score, fpr=fpr)
    got = rates_at_threshold(target, score, threshold=threshold)
    assert got.fpr <= fpr
    assert got.recall == pytest.approx(recall_at_fpr(target, score, fpr=fpr))
    lower = score[score < threshold]
    if lower.size:  # the next lower score would flag too many
        assert (score[target == 0] >= lower.max()).mean() > fpr


def test_a_frozen_threshold_shows_the_rate_it_has_later():
    target = np.repeat([1.0, 0.0], [4, 20])
    score = np.append([9.0, 8, 7, 1], np.arange(20.0) / 4)
    threshold = threshold_at_fpr(target, score, fpr=0.05)
    assert threshold == 4.75
    later = rates_at_threshold(target, score + 0.25, threshold=threshold)
    assert (later.rows, later.flagged) == (24, 5)
    assert (later.recall, later.fpr, later.precision) == (0.75, 0.1, 0.6)
    low, high = jeffreys_interval(2, 20)
    assert (later.fpr_low, later.fpr_high) == (low, high)
    assert later.recall_low < later.recall < later.recall_high


def test_a_threshold_nobody_reaches_has_no_precision():
    got = rates_at_threshold(np.array([1.0, 0]), np.array([0.2, 0.9]), threshold=np.inf)
    assert (got.flagged, got.recall, got.fpr) == (0, 0.0, 0.0)
    assert np.isnan([got.precision, got.precision_low, got.precision_high]).all()
    assert threshold_at_fpr(np.array([1.0, 0]), np.array([0.2, 0.9]), fpr=0.0) == np.inf


def test_one_class_has_no_threshold_or_no_recall():
    assert np.isnan(threshold_at_fpr(np.ones(2), np.array([0.2, 0.9]), fpr=0.1))
    assert np.isnan(rates_at_threshold(np.zeros(2), np.ones(2), threshold=0.5).recall)


# --- capacities -------------------------------------------------------------------------


@given(rows=judged(), data=st.data())
def test_precision_and_recall_are_those_of_the_reviewed_rows(rows, data):
    target, score = rows
    n = target.size
    day = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)))
    per_day = np.array([0.0, 0.5, 1.0, 3.0, 50.0])
    table = compute_operating_points(
        target, score, per_day=per_day, groups=np.arange(n), day=day, end_day=6, draws=2
    )
    queue = ReviewQueue.of(score, day, end_day=6)
    for row in table.itertuples():
        shares = queue.reviewed(row.per_day)
        assert row.reviewed == pytest.approx(shares.sum())
        assert row.recall == pytest.approx((shares * target).sum() / target.sum())
        if row.reviewed:
            assert row.precision == pytest.approx((shares * target).sum() / shares.sum())
        else:
            assert np.isnan(row.precision)


@given(rows=judged())
def test_more_capacity_never_finds_less_and_all_of_it_finds_the_prevalence(rows):
    target, score = rows
    table = compute_operating_points(
        target, score, per_day=np.arange(1.0, 21.0) * 2, groups=np.arange(target.size), draws=3
    )
    assert len(table) == 20
    assert table["recall"].is_monotonic_increasing
    last = table.iloc[-1]
    assert last["recall"] == pytest.approx(1.0)
    assert last["precision"] == pytest.approx(target.mean())
    assert last["reviewed"] == target.size


def test_without_positives_there_is_precision_but_no_recall():
    table = compute_operating_points(
        np.zeros(4), np.arange(4.0), per_day=np.array([2.0]), groups=np.arange(4), draws=5
    )
    assert table["precision"].tolist() == [0.0]
    assert table["recall"].isna().all()


# --- ranking figures ----------------------------------------------------------------------


@given(rows=judged())
def test_ranking_figures_are_those_of_their_own_functions(rows):
    target, score = rows
    table = compute_ranking_figures(
        target, score, groups=np.arange(target.size), max_fpr=0.2, draws=3
    ).set_index("figure")["value"]
    assert table["auc"] == pytest.approx(roc_auc_score(target, score))
    assert table["gini"] == pytest.approx(2 * roc_auc_score(target, score) - 1)
    assert table["average_precision"] == pytest.approx(average_precision_score(target, score))
    assert table["ks"] == pytest.approx(ks_statistic(target, score))
    assert table["recall_at_fpr"] == pytest.approx(recall_at_fpr(target, score, fpr=0.2))
    assert table["partial_auc"] == pytest.approx(roc_auc_score(target, score, max_fpr=0.2))


def test_bootstrap_and_delong_agree_on_independent_rows():
    rng = np.random.default_rng(8)
    target = np.repeat([1.0, 0.0], [150, 850])
    score = rng.normal(size=1000) + 1.2 * target
    table = compute_ranking_figures(target, score, groups=np.arange(1000), draws=800)
    row = table.set_index("figure").loc["auc"]
    _, low, high = auc_interval(target, score)
    assert row["low"] == pytest.approx(low, abs=0.01)
    assert row["high"] == pytest.approx(high, abs=0.01)
    assert row["draws"] == 800


def test_rows_of_one_customer_widen_the_interval():
    rng = np.random.default_rng(9)
    mood = np.repeat(rng.normal(size=60), 10)
    target = np.repeat((rng.random(60) < 0.4).astype(float), 10)
    score = mood + 0.5 * target
    own = compute_ranking_figures(target, score, groups=np.arange(600), draws=300)
    shared = compute_ranking_figures(target, score, groups=np.repeat(np.arange(60), 10), draws=300)
    width = [(table["high"] - table["low"])[0] for table in (own, shared)]
    assert width[1] > 2 * width[0]


def test_draws_of_one_class_are_left_out_and_counted():
    target, score = np.array([1.0, 0, 0, 0]), np.array([0.9, 0.1, 0.3, 0.2])
    table = compute_ranking_figures(target, score, groups=np.arange(4), draws=200)
    assert 100 < table["draws"][0] < 160  # a positive is drawn in 1 - (3/4)^4 of them
    one_class = compute_ranking_figures(np.zeros(4), score, groups=np.arange(4), draws=5)
    assert one_class[["value", "low", "high"]].isna().all(axis=None)
