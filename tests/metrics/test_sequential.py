"""Evidence has a mean of at most 1 where the hypothesis is true, and is independent of batches."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kyc_ml.metrics import (
    FACTORS,
    change_began,
    comparison_evidence,
    detect_change,
    e_bh,
    level_evidence,
    total_evidence,
)

CHANCE = st.floats(0.001, 0.999)
ONE_DAY = np.zeros(3, np.int64)


def mean_over_outcomes(evidence, chances):
    """Mean e-value over all outcomes of rows with independent chances."""
    total = 0.0
    for outcome in product([0.0, 1.0], repeat=len(chances)):
        y = np.array(outcome)
        total += np.prod(np.where(y == 1, chances, 1 - np.array(chances))) * np.exp(evidence(y))
    return total


@given(p=st.lists(CHANCE, min_size=3, max_size=3), together=st.booleans())
def test_right_probabilities_have_mean_evidence_of_one(p, together):
    proba = np.array(p)
    groups = ONE_DAY if together else np.arange(3)
    mean = mean_over_outcomes(
        lambda y: level_evidence(y, proba, day=ONE_DAY, groups=groups)[0], proba
    )
    np.testing.assert_allclose(mean, np.ones(FACTORS.size), rtol=1e-9)


@given(
    p=st.lists(st.floats(0.001, 0.7), min_size=3, max_size=3),
    where=st.floats(0.0, 1.0),
    margin=st.floats(0.0, 0.4),
)
def test_a_level_within_the_margin_has_mean_evidence_of_at_most_one(p, where, margin):
    proba = np.array(p)
    true = proba * (1 + margin) ** (2 * where - 1)
    mean = mean_over_outcomes(
        lambda y: level_evidence(y, proba, day=ONE_DAY, groups=np.arange(3), margin=margin)[0],
        true,
    )
    assert (mean <= 1 + 1e-9).all()


@given(p=CHANCE, n=st.integers(1, 30))
def test_rows_of_a_customer_with_one_outcome_have_mean_evidence_of_one(p, n):
    proba, zero = np.full(n, p), np.zeros(n, np.int64)
    mean = sum(
        chance * np.exp(level_evidence(np.full(n, y), proba, day=zero, groups=zero)[0])
        for y, chance in ((0.0, 1 - p), (1.0, p))
    )
    np.testing.assert_allclose(mean, 1.0, rtol=1e-9)


@given(p=st.lists(CHANCE, min_size=3, max_size=3), q=st.lists(CHANCE, min_size=3, max_size=3))
def test_a_challenger_that_is_no_better_has_mean_evidence_of_at_most_one(p, q):
    # the champion's probabilities are the true ones: no one has a lower mean log loss
    one, two = np.array(p), np.array(q)
    mean = mean_over_outcomes(
        lambda y: comparison_evidence(y, one, two, day=ONE_DAY, groups=np.arange(3))[0][0], one
    )
    assert (mean <= 1 + 1e-9).all()


@given(cut=st.integers(0, 12), seed=st.integers(0, 99), scale=st.sampled_from([0.1, 1.0, 30.0]))
def test_days_may_be_added_in_any_number_of_calls(cut, seed, scale):
    steps = np.random.default_rng(seed).normal(0.0, scale, (12, 2, FACTORS.size))
    whole = detect_change(steps, limit=20.0)
    first = detect_change(steps[:cut], limit=20.0)
    # as it would be stored and read again
    second = detect_change(steps[cut:], limit=20.0, state=np.array(first.state.tolist()))
    np.testing.assert_array_equal(whole.evidence, np.concatenate([first.evidence, second.evidence]))
    np.testing.assert_array_equal(whole.state, second.state)


@given(seed=st.integers(0, 99))
def test_order_of_rows_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    y, p = rng.integers(0, 2, 20).astype(float), rng.random(20)
    day, groups, order = rng.integers(0, 4, 20), rng.integers(0, 5, 20), rng.permutation(20)
    one = level_evidence(y, p, day=day, groups=groups)
    other = level_evidence(y[order], p[order], day=day[order], groups=groups[order])
    np.testing.assert_allclose(one, other, rtol=1e-12)


def test_evidence_of_constant_e_values_by_hand():
    steps = np.log(np.full((3, 1), 2.0))
    found = detect_change(steps, limit=10.0, weights=[1.0])
    # (0 + 1) 2 = 2, (2 + 1) 2 = 6, (6 + 1) 2 = 14: an alarm, and a new start
    np.testing.assert_allclose(np.exp(found.evidence) * 10, [2.0, 6.0, 14.0])
    assert found.alarm.tolist() == [False, False, True]
    assert found.state.tolist() == [0.0]
    np.testing.assert_allclose(np.exp(total_evidence(steps)), [2.0, 4.0, 8.0])


def test_a_quiet_day_and_no_day_at_all():
    assert level_evidence(np.zeros(0), np.zeros(0), day=np.zeros(0, np.int64),
                          groups=np.zeros(0, np.int64)).shape == (0, FACTORS.size)  # fmt: skip
    quiet = level_evidence(
        np.array([1.0]), np.array([0.5]), day=np.array([1]), groups=np.array([0])
    )
    assert (quiet[0] == 0.0).all()


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_certain_probabilities_have_finite_evidence(p):
    zero = np.zeros(1, np.int64)
    for y in (0.0, 1.0):
        assert np.isfinite(
            level_evidence(np.array([y]), np.array([p]), day=zero, groups=zero)
        ).all()


def test_the_change_begins_where_the_evidence_does():
    steps = np.vstack([np.full((5, 2), -0.1), np.full((4, 2), [0.5, 0.3])])
    assert change_began(steps, alarm=8) == 5


@settings(max_examples=50)
@given(values=st.lists(st.floats(0, 500), max_size=8), level=st.sampled_from([0.05, 0.2]))
def test_chosen_hypotheses_are_those_of_the_definition(values, level):
    n = len(values)
    counts = [k for k in range(1, n + 1) if sorted(values)[-k] >= n / (k * level)]
    chosen = e_bh(values, level=level)
    assert chosen.sum() == max(counts, default=0)
    assert min(np.array(values)[chosen], default=np.inf) >= max(
        np.array(values)[~chosen], default=0.0
    )


def test_false_alarms_of_a_year_are_fewer_than_allowed():
    rng = np.random.default_rng(0)
    days, banks = 365, 200
    steps = np.stack(
        [
            level_evidence(
                (rng.random(days * 5) < 0.1).astype(float), np.full(days * 5, 0.1),
                day=np.repeat(np.arange(days), 5), groups=np.arange(days * 5),
            )
            for _ in range(banks)
        ],
        axis=1,
    )  # fmt: skip
    assert detect_change(steps, limit=365.0).alarm.sum() / banks < 1.0
