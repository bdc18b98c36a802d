"""Figures against the literature, against other code, and against simulated truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

from kyc_ml.metrics import (
    auc_interval,
    calibration_error,
    calibration_line,
    compare_aucs,
    compute_precision_recall,
    compute_quality,
    compute_reliability,
    compute_roc,
    compute_score_distribution,
    jeffreys_interval,
    poisson_interval,
    recall_at_fpr,
)

# Source: golden/validation.json, "delong": 12 rows judged by two scores.
DELONG_Y = np.array([0.0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 1, 0])
DELONG_A = np.array([0.05, 0.1, 0.1, 0.2, 0.3, 0.35, 0.3, 0.6, 0.8, 0.5, 0.9, 0.7])
DELONG_B = np.array([0.1, 0.2, 0.05, 0.4, 0.3, 0.6, 0.2, 0.5, 0.7, 0.45, 0.6, 0.3])
# Source: golden/validation.json, "brier" and "ece_groups": three groups of equal probability.
BRIER_P = np.array([0.1, 0.1, 0.1, 0.1, 0.4, 0.4, 0.4, 0.8, 0.8, 0.8])
BRIER_O = np.array([0.0, 0, 0, 1, 0, 1, 0, 1, 1, 0])

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
    assert auc_interval(target, score)[0] == roc_auc_score(target, score)


@given(rows=judged())
def test_the_interval_holds_the_auc_and_stays_a_share(rows):
    auc, low, high = auc_interval(*rows)
    assert 0.0 <= low <= auc <= high <= 1.0


@given(rows=judged(least=2))
def test_a_reversed_score_mirrors_the_interval(rows):
    target, score = rows
    auc, low, high = auc_interval(target, score)
    mirrored = auc_interval(target, -score)
    assert mirrored == pytest.approx((1 - auc, 1 - high, 1 - low), abs=1e-12)


@pytest.mark.parametrize(
    ("score", "auc", "variance"),
    [(DELONG_A, 0.859375, 0.014811197916666666), (DELONG_B, 0.78125, 0.029947916666666668)],
)
def test_the_interval_is_delongs(score, auc, variance):
    reach = Z95 * np.sqrt(variance)
    expected = (auc, auc - reach, min(1.0, auc + reach))
    assert auc_interval(DELONG_Y, score) == pytest.approx(expected, abs=1e-12)


def test_delongs_variance_with_ties_is_that_of_the_pairs():
    rng = np.random.default_rng(1)
    target = np.repeat([1.0, 0.0], [30, 70])
    score = rng.integers(0, 5, 100).astype(float)
    above, below = score[:30, None], score[None, 30:]
    wins = (above > below) + 0.5 * (above == below)
    variance = wins.mean(1).var(ddof=1) / 30 + wins.mean(0).var(ddof=1) / 70
    auc, low, high = auc_interval(target, score)
    assert (high - low) / 2 == pytest.approx(Z95 * np.sqrt(variance), abs=1e-12)
    assert auc == pytest.approx(wins.mean(), abs=1e-12)


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


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [  # Source: Garwood 1936, as tabled in every text on exact Poisson limits.
        (0, 0.0, 3.6889),
        (1, 0.0253, 5.5716),
        (5, 1.6235, 11.6683),
        (10, 4.7954, 18.3904),
        (100, 81.3640, 121.6268),
    ],
)
def test_the_poisson_interval_is_garwoods(count, low, high):
    assert poisson_interval(count) == pytest.approx((low, high), abs=1e-4)


@given(count=st.integers(1, 10_000))
def test_poisson_bounds_leave_a_fortieth_in_each_tail(count):
    low, high = poisson_interval(count)
    assert stats.poisson.sf(count - 1, low) == pytest.approx(0.025, rel=1e-6)
    assert stats.poisson.cdf(count, high) == pytest.approx(0.025, rel=1e-6)


@given(n=st.integers(1, 5000), data=st.data())
def test_the_jeffreys_interval_is_the_middle_of_the_posterior(n, data):
    hits = data.draw(st.integers(0, n))
    (low,), (high,) = jeffreys_interval([hits], [n])
    posterior = stats.beta(hits + 0.5, n - hits + 0.5)
    assert low == (0.0 if hits == 0 else pytest.approx(posterior.ppf(0.025), abs=1e-12))
    assert high == (1.0 if hits == n else pytest.approx(posterior.ppf(0.975), abs=1e-12))
    assert 0.0 <= low <= hits / n <= high <= 1.0


@pytest.mark.parametrize(
    ("rows", "defaults", "rate", "p_under"),
    [  # Source: golden/validation.json, "jeffreys_*": posterior mass below the forecast rate.
        (500, 8, 0.01, 0.09533523262340154),
        (100, 0, 0.005, 0.6839008568151399),
        (1000, 3, 0.01, 0.9945911395590878),
    ],
)
def test_a_rate_is_inside_exactly_when_the_ecb_test_does_not_reject_it(
    rows, defaults, rate, p_under
):
    (low,), (high,) = jeffreys_interval([defaults], [rows])
    assert stats.beta.cdf(rate, defaults + 0.5, rows - defaults + 0.5) == pytest.approx(p_under)
    assert (low <= rate <= high) == (0.025 <= p_under <= 0.975)


@given(rows=judged(), n_bins=st.integers(1, 40))
def test_reliability_bins_hold_every_row_and_every_positive_once(rows, n_bins):
    target, proba = rows
    bins = compute_reliability(target, proba, n_bins=n_bins)
    assert bins["n"].sum() == target.size
    assert (bins["event_rate"] * bins["n"]).sum() == pytest.approx(target.sum())
    assert (bins["mean_proba"] * bins["n"]).sum() == pytest.approx(proba.sum())
    if np.unique(proba).size == proba.size:
        assert bins["n"].max() - bins["n"].min() <= 1
    assert bins["mean_proba"].diff().dropna().ge(-1e-12).all()
    assert bins["bin"].tolist() == list(range(1, len(bins) + 1))
    assert (bins["ci_low"] <= bins["event_rate"]).all()
    assert (bins["event_rate"] <= bins["ci_high"]).all()


@given(rows=judged(), random=st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_no_reliability_bin(rows, random):
    target, proba = rows
    proba = np.round(proba, 1)  # many ties
    order = list(range(target.size))
    random.shuffle(order)
    ours = compute_reliability(target, proba, n_bins=7)
    theirs = compute_reliability(target[order], proba[order], n_bins=7)
    assert ours["n"].tolist() == theirs["n"].tolist()
    np.testing.assert_allclose(ours["event_rate"], theirs["event_rate"])


def test_equal_and_right_probabilities_have_no_calibration_error():
    target = np.repeat([0.0, 1.0], [95, 5])
    assert calibration_error(target, np.full(100, 0.05)) == pytest.approx(0.0)


def test_brier_score_and_calibration_error_are_those_of_the_golden_groups():
    quality = compute_quality(BRIER_O, BRIER_P, BRIER_P)
    assert quality.brier == pytest.approx(0.224, abs=1e-12)
    assert calibration_error(BRIER_O, BRIER_P, n_bins=3) == pytest.approx(0.12, abs=1e-12)
    assert quality.observed_over_expected == pytest.approx(4 / 4.0)
    assert (quality.rows, quality.positives, quality.prevalence) == (10, 4, 0.4)


def test_on_calibrated_data_the_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(4)
    held_ratio = held_bins = 0
    for _ in range(200):
        proba = rng.beta(1, 9, size=1000)
        target = (rng.random(1000) < proba).astype(float)
        low, high = poisson_interval(int(target.sum()))
        held_ratio += low <= proba.sum() <= high
        bins = compute_reliability(target, proba, n_bins=10)
        inside = (bins["ci_low"] <= bins["mean_proba"]) & (bins["mean_proba"] <= bins["ci_high"])
        held_bins += int(inside.sum())
    assert held_ratio / 200 >= 0.93  # an exact interval holds at least what it says
    assert 0.93 <= held_bins / 2000 <= 0.98


def test_probabilities_twice_too_high_are_found_out():
    rng = np.random.default_rng(5)
    proba = rng.beta(1, 9, size=5000)
    target = (rng.random(5000) < proba).astype(float)
    quality = compute_quality(target, proba, np.minimum(1.0, 2 * proba))
    assert quality.observed_over_expected == pytest.approx(0.5, abs=0.06)
    assert quality.observed_over_expected_high < 1.0
    assert quality.calibration_error > 4 * compute_quality(target, proba, proba).calibration_error


def test_quality_ranks_by_the_score_and_believes_the_probability():
    level = np.full(12, DELONG_Y.mean())
    quality = compute_quality(DELONG_Y, DELONG_A, level)
    assert quality.auc == 0.859375
    assert quality.average_precision == average_precision_score(DELONG_Y, DELONG_A)
    assert quality.calibration_error == pytest.approx(
        (compute_reliability(DELONG_Y, level)["event_rate"] - level[0]).abs().mean()
    )
    assert quality.as_dict()["auc"] == quality.auc


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_has_no_ranking_figures_but_a_calibration(label):
    proba = np.full(5, 0.1)
    quality = compute_quality(np.full(5, label), proba, proba)
    for figure in ("auc", "auc_low", "auc_high", "average_precision", "recall_at_5_percent_fpr"):
        assert np.isnan(quality.as_dict()[figure])
    assert quality.brier == pytest.approx((label - 0.1) ** 2)
    assert quality.observed_over_expected == pytest.approx(label * 5 / 0.5)


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


# --- two scores of the same rows -----------------------------------------------------


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
    # Source: golden/validation.json, "delong": difference .078125, z = .8773794626.
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


# --- the calibration line -------------------------------------------------------------


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
