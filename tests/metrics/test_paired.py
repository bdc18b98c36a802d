"""A paired bootstrap draws whole customers, the same for both, whatever the order of rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from kyc_ml.metrics import log_losses, number_customers, paired_differences


def rows(seed, *, n=120, customers=25):
    rng = np.random.default_rng(seed)
    who = np.array([f"c{number}" for number in rng.integers(customers, size=n)], dtype=object)
    target = (rng.random(n) < 0.3).astype(float)
    target[:2] = [0.0, 1.0]
    return target, rng.normal(size=(2, n)), who


def compare(target, errors, who, *, seed=0, draws=50):
    gap = errors[0] - errors[1]
    return paired_differences(
        lambda times: {"gap": float((gap * times).sum() / times.sum())},
        target=target, customers=who, seed=seed, draws=draws,
    )  # fmt: skip


@given(seed=st.integers(0, 999))
def test_the_order_of_rows_changes_no_interval(seed):
    target, errors, who = rows(seed)
    order = np.random.default_rng(seed).permutation(target.size)
    one, two = compare(target, errors, who), compare(target[order], errors[:, order], who[order])
    assert one.low["gap"] == pytest.approx(two.low["gap"], rel=1e-9, abs=1e-12)
    assert one.high["gap"] == pytest.approx(two.high["gap"], rel=1e-9, abs=1e-12)
    assert one.skipped == two.skipped


@given(seed=st.integers(0, 999))
def test_swapping_the_predictors_mirrors_the_interval(seed):
    target, errors, who = rows(seed)
    one, two = compare(target, errors, who), compare(target, errors[::-1], who)
    assert one.low["gap"] == pytest.approx(-two.high["gap"])
    assert one.high["gap"] == pytest.approx(-two.low["gap"])


def test_names_and_numbers_of_customers_are_one():
    target, errors, who = rows(1)
    numbers = number_customers(who)
    assert compare(target, errors, who) == compare(target, errors, numbers)


def test_the_interval_is_that_of_a_bootstrap_by_hand():
    target, errors, who = rows(2, n=40, customers=8)
    rng, drawn = np.random.default_rng(7), []
    names = sorted(set(who))
    for _ in range(30):
        picked = [names[place] for place in rng.integers(len(names), size=len(names))]
        here = np.concatenate([np.flatnonzero(who == name) for name in picked])
        drawn.append(np.mean(errors[0][here] - errors[1][here]))
    found = compare(target, errors, who, seed=7, draws=30)
    low, high = np.percentile(drawn, [2.5, 97.5])
    assert found.low["gap"] == pytest.approx(low)
    assert found.high["gap"] == pytest.approx(high)


def test_samples_of_one_class_are_left_out_and_counted():
    target, errors = np.array([1.0, 0.0]), np.zeros((2, 2))
    found = compare(target, errors, np.array(["a", "b"], dtype=object), draws=400)
    assert 150 < found.skipped < 250  # two of four draws of two customers hold one class
    assert found.low["gap"] == 0.0
    lone = compare(np.array([1.0, 1.0]), errors, np.array(["a", "b"], dtype=object))
    assert lone.skipped == 50
    assert np.isnan([lone.low["gap"], lone.high["gap"]]).all()


def test_log_losses_are_those_of_scikit_learn_also_where_a_probability_is_certain():
    target = np.array([1.0, 0.0, 1.0, 0.0, 1.0])
    proba = np.array([0.0, 1.0, 1.0, 0.0, 0.3])
    for place in range(target.size):
        here = slice(place, place + 1)
        expected = log_loss(target[here], proba[here], labels=[0.0, 1.0])
        assert log_losses(target, proba)[place] == pytest.approx(expected, abs=1e-15)
