"""Every test rejects as often as it says where nothing is wrong, and finds what is.

Each simulation has at least 2,000 draws. Asymptotic tests are allowed 3.5 standard errors of
the simulation and half a point of a hundred.
"""

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, logit

from kyc_ml.metrics import (
    FrozenBins,
    auc_decline,
    binomial_p,
    compare_aucs,
    compute_drift,
    compute_ordering,
    concentration_change,
    fit_calibration_line,
    holm,
    hosmer_lemeshow,
    jeffreys_p,
    migration_z,
    spiegelhalter,
)

DRAWS = 2000
LEVEL = 0.05


def assert_nominal(p_values, level=LEVEL):
    rate = float(np.mean(np.asarray(p_values) < level))
    error = np.sqrt(level * (1 - level) / len(p_values))
    assert abs(rate - level) < 3.5 * error + 0.005, f"rejects {rate:.4f} of {len(p_values)}"


def assert_powerful(p_values, least=0.8):
    assert np.mean(np.asarray(p_values) < LEVEL) > least


# --- discrimination ---------------------------------------------------------------------

SHIFT = 1.2
BOTH = np.repeat([1.0, 0.0], [100, 400])


def declines(positives, draws, seed, *, worse=0.0, rows=1):
    """Draw rows of two periods; those of a customer share half the variance of their score."""
    rng = np.random.default_rng(seed)
    target = np.repeat([1.0, 0.0], [positives, 5 * positives])
    groups = np.arange(2 * target.size) // rows
    later = np.repeat([False, True], target.size)
    for _ in range(draws):
        own = rng.normal(size=(2, later.size))
        own[1] = own[1][groups] if rows > 1 else own[1]
        score = own.sum(axis=0) / np.sqrt(2) + np.tile(SHIFT * target, 2) * (1 - worse * later)
        yield auc_decline(np.tile(target, 2), score, groups, later=later)


@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("positives", [20, 67])
def test_auc_decline(positives, rows):
    found = list(declines(positives, 600, seed=positives + rows, rows=rows))
    rejected = np.mean([each.p_value < LEVEL for each in found])
    assert 0.03 <= rejected <= 0.07 + 0.5 * np.sqrt(LEVEL / 600), rejected
    assert 0.925 <= np.mean([each.low <= 0.0 <= each.high for each in found]) <= 0.985


def test_an_auc_that_declined_is_found():
    assert_powerful([each.p_value for each in declines(150, 200, seed=2, worse=0.4)])


def test_two_correlated_aucs():
    rng = np.random.default_rng(4)

    def p_values(other, draws):
        for _ in range(draws):
            common = rng.normal(size=500)
            one, two = (common + rng.normal(size=500) for _ in range(2))
            yield compare_aucs(BOTH, one + SHIFT * BOTH, two + other * BOTH).p_value

    assert_nominal(list(p_values(SHIFT, DRAWS)))
    assert_powerful(list(p_values(SHIFT - 0.7, 300)))


# --- calibration ------------------------------------------------------------------------


def calibrated(draws, n, seed, *, bend=lambda proba: proba):
    """Give probabilities, and outcomes whose true probability is bent away from them."""
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        proba = np.clip(rng.beta(2, 8, n), 0.01, 0.99)
        yield (rng.random(n) < bend(proba)).astype(float), proba


@pytest.mark.parametrize(
    ("test", "n"),
    [
        (lambda y, p: spiegelhalter(y, p).p_value, 1000),
        (lambda y, p: hosmer_lemeshow(y, p).p_value, 2000),
        (lambda y, p: fit_calibration_line(y, p).p_value, 500),
    ],
    ids=["spiegelhalter", "hosmer-lemeshow", "calibration-line"],
)
def test_calibration(test, n):
    assert_nominal([test(*rows) for rows in calibrated(DRAWS, n, seed=5)])
    higher = calibrated(200, n, seed=6, bend=lambda proba: np.minimum(1.0, 1.4 * proba))
    assert_powerful([test(*rows) for rows in higher])


def test_the_calibration_line_finds_what_leaves_the_level_right():
    def extreme(proba):
        return expit(0.5 * logit(proba) - 0.78)  # about the same mean

    rows = list(calibrated(200, 1000, seed=7, bend=extreme))
    assert_powerful([fit_calibration_line(*pair).p_value for pair in rows])


def test_probabilities_fitted_on_the_rows_themselves_cost_two_degrees():
    rng = np.random.default_rng(8)
    found = []
    for _ in range(DRAWS):
        x = rng.normal(size=400)
        target = (rng.random(400) < expit(x - 1.0)).astype(float)
        line = fit_calibration_line(target, expit(x))
        proba = expit(line.intercept + line.slope * x)
        found.append(hosmer_lemeshow(target, proba, fitted=True))
    assert_nominal([test.p_value for test in found])
    unseen = stats.chi2.sf([test.statistic for test in found], 10)
    assert np.mean(unseen < LEVEL) < 0.035  # ten degrees are too many here


@pytest.mark.parametrize("side", [0, 1], ids=["under", "over"])
def test_jeffreys_and_binomial(side):
    rng = np.random.default_rng(9)
    n, rate = 50_000, 0.05
    hits = rng.binomial(n, rate, 20_000)
    assert_nominal(jeffreys_p(hits, n, rate)[side])
    assert_nominal(binomial_p(hits, n, rate)[side])
    shifted = rng.binomial(n, rate * (1.08 if side == 0 else 0.92), 500)
    assert_powerful(jeffreys_p(shifted, n, rate)[side])
    assert_powerful(binomial_p(shifted, n, rate)[side])


def exact_size(test, expected, side, n=10_000):
    """How often a test of n rows rejects the true rate, over all counts that may happen."""
    hits = np.arange(400)
    chance = stats.binom.pmf(hits, n, expected / n)
    return float(chance[test(hits, n, expected / n)[side] < LEVEL].sum())


@pytest.mark.parametrize("side", [0, 1], ids=["under", "over"])
def test_binomial_never_rejects_more_than_it_says(side):
    for expected in np.geomspace(0.1, 100, 60):
        assert exact_size(binomial_p, expected, side) <= LEVEL


@pytest.mark.parametrize(
    ("side", "of_few", "of_five"), [(0, 0.16, 0.072), (1, 0.147, 0.085)], ids=["under", "over"]
)
def test_jeffreys_rejects_more_than_it_says_of_few_positives(side, of_few, of_five):
    few = [exact_size(jeffreys_p, expected, side) for expected in np.linspace(0.1, 5, 200)]
    more = [exact_size(jeffreys_p, expected, side) for expected in np.linspace(5, 40, 200)]
    assert 0.9 * of_few < max(few) <= of_few
    assert 0.9 * of_five < max(more) <= of_five
    simulated = np.random.default_rng(10).binomial(10_000, 2 / 10_000, 20_000)
    rejected = np.mean(jeffreys_p(simulated, 10_000, 2 / 10_000)[side] < LEVEL)
    exact = exact_size(jeffreys_p, 2.0, side)
    assert rejected == pytest.approx(exact, abs=3.5 * np.sqrt(exact * (1 - exact) / 20_000))


def test_holm_keeps_false_alarms_of_a_family_at_the_level():
    rng = np.random.default_rng(11)
    rows, rates = np.array([40_000, 30_000, 20_000, 10_000]), np.array([0.01, 0.05, 0.1, 0.3])
    under, _ = jeffreys_p(rng.binomial(rows, rates, (5000, 4)), rows, rates)
    assert_nominal(np.array([holm(family).min() for family in under]))
    assert np.mean(under.min(axis=1) < LEVEL) > 0.15  # unadjusted, a family often rejects
    one_wrong = rng.binomial(rows, rates * [1, 1, 1.15, 1], (500, 4))
    found = np.array([holm(family) for family in jeffreys_p(one_wrong, rows, rates)[0]])
    assert_powerful(found[:, 2])
    assert np.mean(found[:, [0, 1, 3]] < LEVEL) < 0.05


# --- grades -----------------------------------------------------------------------------


def inversions(rates, draws, seed):
    rng = np.random.default_rng(seed)
    rows = np.array([5000, 4000, 3000])
    tables = (
        compute_ordering(rng.binomial(rows, rates), rows, names=["a", "b", "c"])
        for _ in range(draws)
    )
    return np.array([table[["p_value", "p_holm"]].to_numpy() for table in tables])


def test_ordering():
    level = inversions([0.05, 0.05, 0.05], DRAWS, seed=12)
    assert_nominal(level[:, 0, 0])
    assert_nominal(level[:, 1, 0])
    assert np.mean(level[:, :, 1].min(axis=1) < LEVEL) < LEVEL + 0.015
    rising = inversions([0.03, 0.05, 0.08], 200, seed=13)
    assert np.mean(rising[:, :, 0] < LEVEL) < 0.01
    inverted = inversions([0.03, 0.08, 0.05], 200, seed=14)
    assert_powerful(inverted[:, 1, 1])


def test_migration():
    rng = np.random.default_rng(15)
    rows = rng.multinomial(800, [0.5, 0.2, 0.2, 0.1], 5000)
    counts = np.zeros((5000, 4, 4), np.int64)
    counts[:, 0] = rows
    z_and_p = [migration_z(table)[1][0] for table in counts]
    near_equals_far, fading = np.array(z_and_p)[:, [2, 3]].T
    assert_nominal(near_equals_far)
    assert np.mean(fading < LEVEL) < 0.001
    jumps = rng.multinomial(800, [0.5, 0.15, 0.25, 0.1], 300)
    counts[:300, 0] = jumps
    assert_powerful([migration_z(table)[1][0, 2] for table in counts[:300]])


def test_concentration_of_few_classes_never_rejects_whatever_happens():
    rng = np.random.default_rng(16)
    share = [0.5, 0.3, 0.1, 0.07, 0.03]
    one, two = (rng.multinomial(9000, share, DRAWS) for _ in range(2))
    stable = [concentration_change(*pair).p_value for pair in zip(one, two, strict=True)]
    assert min(stable) > LEVEL
    assert concentration_change(np.array(share) * 9000, [9000, 0, 0, 0, 0]).p_value > LEVEL


def test_concentration_of_many_normal_shares():
    rng = np.random.default_rng(17)
    k, variation = 400, 0.2
    half = np.repeat([1.0 - variation, 1.0 + variation], k // 2)  # of exactly this variation
    draws = rng.normal(1.0, variation, (DRAWS, k))
    assert_nominal([concentration_change(half, current).p_value for current in draws])
    wider = rng.normal(1.0, 1.2 * variation, (300, k))
    assert_powerful([concentration_change(half, current).p_value for current in wider])


# --- stability --------------------------------------------------------------------------


def drift_of_numbers(draws, seed, *, shift=0.0, repeats=1, counted=False):
    """Freeze deciles on 2,000 normal values, some missing; compare 1,000 later ones."""
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        one, two = rng.normal(size=2000), rng.normal(shift, size=1000)
        one[rng.random(2000) < 0.1] = np.nan
        two[rng.random(1000) < 0.1] = np.nan
        one, two = np.repeat(one, repeats), np.repeat(two, repeats)
        bins = FrozenBins.of(one)
        sizes = {"n_expected": 2000.0, "n_actual": 1000.0} if counted else {}
        yield compute_drift(bins.count(one), bins.count(two), **sizes).p_value


def test_drift_of_a_number():
    assert_nominal(list(drift_of_numbers(DRAWS, 18)))
    assert_powerful(list(drift_of_numbers(300, 19, shift=0.2)))


def test_drift_of_repeated_rows_is_nominal_by_customers_and_a_false_alarm_by_rows():
    assert_nominal(list(drift_of_numbers(DRAWS, 20, repeats=4, counted=True)))
    assert np.mean(np.array(list(drift_of_numbers(300, 21, repeats=4))) < LEVEL) > 0.5


def test_drift_of_a_category():
    rng = np.random.default_rng(22)
    share = np.array([0.4, 0.3, 0.15, 0.1, 0.05])
    one, two = rng.multinomial(5000, share, DRAWS), rng.multinomial(800, share, DRAWS)
    pairs = zip(one, two, strict=True)
    assert_nominal([compute_drift(*pair).p_value for pair in pairs])
    moved = rng.multinomial(800, np.add(share, [-0.07, 0, 0, 0.07, 0]), 300)
    pairs = zip(one[:300], moved, strict=True)
    assert_powerful([compute_drift(*pair).p_value for pair in pairs])
