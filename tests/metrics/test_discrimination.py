"""Ranking figures against all pairs, other code, and simulated truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score

from kyc_ml.metrics import auc_decline, auc_interval, compare_aucs, ks_statistic
from kyc_ml.metrics.areas import _Area
from kyc_ml.metrics.discrimination import recall_at_fpr
from kyc_ml.metrics.ranking import Ranking, partial_auc_of_ranks, standardise_partial_auc

DELONG_Y = np.array([0.0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 1, 0])
DELONG_A = np.array([0.05, 0.1, 0.1, 0.2, 0.3, 0.35, 0.3, 0.6, 0.8, 0.5, 0.9, 0.7])
DELONG_B = np.array([0.1, 0.2, 0.05, 0.4, 0.3, 0.6, 0.2, 0.5, 0.7, 0.45, 0.6, 0.3])
Z95 = 1.959963984540054


@st.composite
def judged(draw, *, levels=20, least=1):
    """Draw outcomes of both classes beside scores with many ties, in [0, 1]."""
    positives = draw(st.integers(least, 15))
    negatives = draw(st.integers(least, 15))
    n = positives + negatives
    scores = draw(st.lists(st.integers(0, levels), min_size=n, max_size=n))
    return np.repeat([1.0, 0.0], [positives, negatives]), np.array(scores) / levels


def recall_by_hand(target, score, fpr):
    """Try every threshold."""
    best = 0.0
    for threshold in [*np.unique(score), np.inf]:
        alarmed = score >= threshold
        if alarmed[target == 0].mean() <= fpr:
            best = max(best, float(alarmed[target == 1].mean()))
    return best


@given(rows=judged())
def test_the_auc_is_the_share_of_pairs_in_the_right_order(rows):
    target, score = rows
    above, below = score[target == 1][:, None], score[target == 0][None, :]
    pairs = (above > below).mean() + 0.5 * (above == below).mean()
    assert auc_interval(target, score)[0] == pytest.approx(pairs, abs=1e-12)
    assert auc_interval(target, score)[0] == pytest.approx(roc_auc_score(target, score))


@given(rows=judged())
def test_the_interval_holds_the_auc_and_stays_a_share(rows):
    auc, low, high = auc_interval(*rows)
    assert 0.0 <= low <= auc + 1e-12
    assert auc <= high + 1e-12 <= 1.0 + 1e-12


@given(rows=judged(least=2))
def test_a_reversed_score_mirrors_the_interval(rows):
    target, score = rows
    auc, low, high = auc_interval(target, score)
    mirrored = auc_interval(target, -score)
    assert mirrored == pytest.approx((1 - auc, 1 - high, 1 - low), abs=1e-12)


def in_log_odds(auc, variance, degrees):
    slope = auc * (1 - auc)
    reach = stats.t.isf(0.025, degrees) * np.sqrt(variance) / slope
    return auc, expit(logit(auc) - reach), expit(logit(auc) + reach)


@pytest.mark.parametrize(
    ("score", "auc", "variance"),
    [(DELONG_A, 0.859375, 0.014811197916666666), (DELONG_B, 0.78125, 0.029947916666666668)],
)
def test_the_interval_has_delongs_variance_in_log_odds(score, auc, variance):
    # Source: published golden numbers, "delong".
    area = _Area.of(DELONG_Y, score, None)
    assert area.variance == pytest.approx(variance, abs=1e-12)
    assert auc_interval(DELONG_Y, score) == pytest.approx(in_log_odds(auc, variance, area.degrees))


def test_the_variance_by_customer_is_that_of_all_pairs_of_rows_of_a_customer():
    """Obuchowski's sums over pairs of rows, by brute force."""
    rng = np.random.default_rng(1)
    target = rng.permutation(np.repeat([1.0, 0.0], [30, 70]))
    score, groups = rng.integers(0, 5, 100).astype(float), rng.integers(0, 25, 100)
    above, below = np.flatnonzero(target == 1), np.flatnonzero(target == 0)
    win = np.sign(score[above][:, None] - score[below][None, :]) / 2 + 0.5
    auc = win.mean()
    share = np.zeros(100)
    share[above], share[below] = (win.mean(1) - auc) / 30, (win.mean(0) - auc) / 70
    for rows in (above, below):
        customers = len(set(groups[rows]))
        share[rows] *= np.sqrt(customers / (customers - 1))
    together = groups[:, None] == groups[None, :]
    variance = (share[:, None] * share[None, :])[together].sum()
    assert _Area.of(target, score, groups).variance == pytest.approx(variance)


def test_rows_that_repeat_a_customer_are_no_evidence_of_their_own():
    target, score = np.repeat(DELONG_Y, 4), np.repeat(DELONG_A, 4)
    found = auc_interval(target, score, np.repeat(np.arange(12), 4))
    assert found == pytest.approx(auc_interval(DELONG_Y, DELONG_A))
    assert found[1] < auc_interval(target, score)[1]


def test_one_positive_says_nothing_of_the_auc():
    assert auc_interval(np.array([1.0, 0, 0]), np.array([0.5, 0.2, 0.6])) == (0.5, 0.0, 1.0)


def test_equal_scores_rank_nothing():
    auc, low, high = auc_interval(DELONG_Y, np.zeros(12))
    assert (auc, low, high) == (0.5, 0.5, 0.5)


def test_delongs_interval_covers_the_true_auc_about_95_times_in_100():
    rng = np.random.default_rng(2)
    shift = 1.2
    truth = stats.norm.cdf(shift / np.sqrt(2))
    target = np.repeat([1.0, 0.0], [60, 200])
    hits = 0
    for _ in range(400):
        _, low, high = auc_interval(target, rng.normal(size=260) + shift * target)
        hits += low <= truth <= high
    assert 0.92 <= hits / 400 <= 0.98


def test_shuffled_labels_give_an_auc_of_about_a_half():
    rng = np.random.default_rng(3)
    target = np.repeat([1.0, 0.0], [200, 1800])
    score = rng.normal(size=2000) + 3 * target
    inside = 0
    for _ in range(100):
        _, low, high = auc_interval(rng.permutation(target), score)
        inside += low <= 0.5 <= high
    assert inside >= 88


@given(rows=judged(), fpr=st.sampled_from([0.0, 0.05, 0.2, 0.5, 1.0]))
def test_recall_at_a_false_positive_rate_is_the_best_of_all_thresholds(rows, fpr):
    assert recall_at_fpr(*rows, fpr=fpr) == recall_by_hand(*rows, fpr)


def test_recall_counts_thresholds_on_a_straight_piece_of_the_curve():
    target = np.tile([1.0, 0.0], 100)  # each score is shared by a positive and a negative
    score = np.repeat(np.arange(100.0), 2)
    assert recall_at_fpr(target, score, fpr=0.05) == pytest.approx(0.05)


def test_a_rate_of_exactly_5_in_100_is_allowed():
    target = np.repeat([1.0, 0.0], [2, 20])
    score = np.concatenate([[3.0, 1.0], [2.0], np.zeros(19)])
    assert recall_at_fpr(target, score, fpr=0.05) == 1.0
    assert recall_at_fpr(target, score, fpr=0.0499) == 0.5


def delong_by_hand(target, first, second):
    """Variance of the difference from placement values over all pairs, as in the paper."""
    placed = []
    for score in (first, second):
        above, below = score[target == 1][:, None], score[target == 0][None, :]
        won = (above > below) + 0.5 * (above == below)
        placed.append((won.mean(axis=1), won.mean(axis=0)))
    variance = 0.0
    for side in (0, 1):
        cov = np.cov(placed[0][side], placed[1][side], ddof=1)
        variance += (cov[0, 0] + cov[1, 1] - 2 * cov[0, 1]) / placed[0][side].size
    return placed[0][0].mean() - placed[1][0].mean(), variance


@given(data=st.data())
def test_delong_is_the_formula_over_all_pairs(data):
    n1, n0 = data.draw(st.integers(2, 12)), data.draw(st.integers(2, 12))
    target = np.repeat([1.0, 0.0], [n1, n0])
    scores = st.lists(st.integers(0, 8), min_size=n1 + n0, max_size=n1 + n0)
    first, second = (np.array(data.draw(scores), dtype=float) for _ in range(2))
    got = compare_aucs(target, first, second)
    difference, variance = delong_by_hand(target, first, second)
    assert got.difference == pytest.approx(difference, abs=1e-12)
    reach = Z95 * np.sqrt(max(variance, 0.0))
    assert got.low == pytest.approx(max(-1.0, difference - reach), abs=1e-6)
    assert got.high == pytest.approx(min(1.0, difference + reach), abs=1e-6)


def test_delong_of_the_golden_rows():
    # Source: published golden numbers, "delong": difference .078125, z = .8773794626.
    got = compare_aucs(DELONG_Y, DELONG_A, DELONG_B)
    assert got.difference == pytest.approx(0.859375 - 0.78125)
    assert got.p_value == pytest.approx(0.3802805643885464)
    error = got.difference / 0.8773794626087531
    assert got.high - got.low == pytest.approx(2 * Z95 * error)


def test_equal_scores_have_no_difference_and_no_p_value():
    target, score = np.array([1.0, 1, 0, 0, 0]), np.array([0.3, 0.7, 0.1, 0.7, 0.2])
    got = compare_aucs(target, score, score)
    assert (got.difference, got.low, got.high) == (0.0, 0.0, 0.0)
    assert np.isnan(got.p_value)


# --- decline against the initial validation -------------------------------------------


def declines(first, later, groups=None):
    """Test the decline from some rows, outcome and score, to others."""
    target, score = (np.concatenate(pair) for pair in zip(first, later, strict=True))
    which = np.arange(target.size) >= first[0].size
    rows = np.arange(target.size) if groups is None else groups
    return auc_decline(target, score, rows, later=which)


def test_the_decline_is_the_distance_in_the_errors_of_both_areas():
    got = declines((DELONG_Y, DELONG_A), (DELONG_Y, DELONG_B))
    one, two = _Area.of(DELONG_Y, DELONG_A, None), _Area.of(DELONG_Y, DELONG_B, None)
    assert (got.initial, got.current) == pytest.approx((0.859375, 0.78125))
    ends = got.initial_low, got.initial_high, got.current_low, got.current_high
    alone = (*auc_interval(DELONG_Y, DELONG_A)[1:], *auc_interval(DELONG_Y, DELONG_B)[1:])
    assert ends == pytest.approx(alone)
    error = np.sqrt(
        sum(each.variance / (each.value * (1 - each.value)) ** 2 for each in (one, two))
    )
    statistic = (logit(0.859375) - logit(0.78125)) / error
    own = np.concatenate([each.in_log_odds().own for each in (one, two)])
    degrees = 2 * (own**2).sum() ** 2 / (own**4).sum() - 1
    assert got.p_value == pytest.approx(stats.t.sf(statistic, degrees))
    reach = np.hypot(got.initial - got.initial_low, got.current_high - got.current)
    assert (got.drop, got.low) == pytest.approx((0.078125, 0.078125 - reach))


def test_the_same_rows_of_the_same_customers_did_not_decline():
    rows = DELONG_Y, DELONG_A
    got = declines(rows, rows, np.tile(np.arange(12), 2))
    assert (got.drop, got.p_value) == (0.0, 0.5)
    # errors in common cancel out: as far as both ends differ from each other
    assert got.high < declines(rows, rows).high


@given(rows=judged(least=2), shift=st.floats(0.0, 1.0))
def test_the_better_it_was_the_surer_the_decline(rows, shift):
    target, score = rows
    early = declines((target, score + shift * target), rows)
    level = declines(rows, rows)
    assert level.p_value == pytest.approx(0.5)
    assert early.p_value <= 0.5 + 1e-12


def test_areas_without_variance_are_compared_by_their_sign():
    target = np.array([1.0, 1, 0, 0])
    best, none, worst = target, np.zeros(4), -target
    for later, expected in ((none, 0.0), (best, 0.5)):
        assert declines((target, best), (target, later)).p_value == expected
    assert declines((target, worst), (target, none)).p_value == 1.0


@pytest.mark.parametrize("positives", [0, 1, 4, 5])
def test_too_few_customers_of_a_class_cannot_decline(positives):
    target = np.repeat([1.0, 0.0], [positives, 5 - positives])
    got = declines((DELONG_Y, DELONG_A), (target, np.arange(5.0)))
    assert np.isnan([got.drop, got.low, got.high, got.p_value]).all()


# --- Kolmogorov-Smirnov, partial area --------------------------------------------------


@given(rows=judged())
def test_ks_is_that_of_two_samples(rows):
    target, score = rows
    # brute force: scipy's own warns of the p-value that nobody asks for
    cuts = np.unique(score)[:, None]
    one, other = ((score[target == y] <= cuts).mean(axis=1) for y in (1, 0))
    theirs = np.abs(one - other).max()
    assert ks_statistic(target, score) == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize(("score", "ks", "gini"), [(DELONG_A, 0.625, 0.71875)])
def test_ks_and_gini_of_the_golden_rows(score, ks, gini):
    # Source: published golden numbers, "ks_a" and "gini_a".
    assert ks_statistic(DELONG_Y, score) == pytest.approx(ks)
    assert 2 * auc_interval(DELONG_Y, score)[0] - 1 == pytest.approx(gini)


def partial_auc(target, score, *, max_fpr):
    """Return the area under the first piece of the curve, raw and standardised."""
    hits, false = Ranking.of(target, score).found(np.ones(target.size, np.int64))
    raw = partial_auc_of_ranks(hits, false, max_fpr=max_fpr)
    return raw, standardise_partial_auc(raw, max_fpr=max_fpr)


@given(rows=judged(), max_fpr=st.sampled_from([0.01, 0.05, 0.2, 0.5, 0.99]))
def test_the_partial_area_is_scikit_learns(rows, max_fpr):
    target, score = rows
    raw, standardised = partial_auc(target, score, max_fpr=max_fpr)
    assert standardised == pytest.approx(roc_auc_score(target, score, max_fpr=max_fpr))
    assert 0.0 <= raw <= max_fpr + 1e-12


@given(rows=judged())
def test_the_whole_partial_area_is_the_area(rows):
    target, score = rows
    assert partial_auc(target, score, max_fpr=1.0)[0] == pytest.approx(auc_interval(*rows)[0])
    assert partial_auc(target, target, max_fpr=0.1)[1] == pytest.approx(1.0)
    assert partial_auc(target, np.zeros(target.size), max_fpr=0.1)[1] == pytest.approx(0.5)


@given(rows=judged(least=2))
def test_a_monotone_transformation_changes_no_ranking_figure(rows):
    target, score = rows
    bent = np.exp(3.0 * score) - 7.0
    assert auc_interval(target, bent) == auc_interval(target, score)
    assert ks_statistic(target, bent) == ks_statistic(target, score)
    for fpr in (0.05, 0.3):
        assert partial_auc(target, bent, max_fpr=fpr) == partial_auc(target, score, max_fpr=fpr)
        assert recall_at_fpr(target, bent, fpr=fpr) == recall_at_fpr(target, score, fpr=fpr)
    first, second = (declines((target, values), (target, -values)) for values in (score, bent))
    assert first == second


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_has_no_distance(label):
    target, score = np.full(4, label), np.arange(4.0)
    assert np.isnan(ks_statistic(target, score))
