"""What a model adds is a difference on the same rows, with the chance of its customers."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from kyc_ml.metrics import Predictions
from kyc_ml.training.added_value import compute_added_value


def said(score):
    return Predictions(score=score, probability=1 / (1 + np.exp(-score)))


def rows(seed, *, n=300, customers=60):
    rng = np.random.default_rng(seed)
    who = np.array([f"c{number}" for number in rng.integers(customers, size=n)], dtype=object)
    target = (rng.random(n) < 0.3).astype(float)
    target[:2] = [0.0, 1.0]
    strong = 2 * target + rng.normal(size=n) - 1
    weak = 0.3 * target + rng.normal(size=n) - 1
    return target, strong, weak, who


def compare(target, model, baselines, customers, *, seed=0):
    named = {name: said(score) for name, score in baselines.items()}
    return compute_added_value(
        target, said(model), named, who="LightGBM", customers=customers, seed=seed
    )


@given(seed=st.integers(0, 2**32 - 1))
def test_a_model_adds_nothing_over_itself(seed):
    target, strong, _, who = rows(seed, n=60, customers=10)
    table = compare(target, strong, {"itself": strong}, who).table
    assert (table[["difference", "low", "high"]] == 0.0).all(axis=None)


@given(seed=st.integers(0, 100))
def test_the_order_of_rows_changes_nothing(seed):
    target, strong, weak, who = rows(seed, n=80)
    order = np.random.default_rng(seed).permutation(80)
    one = compare(target, strong, {"weak": weak}, who).table
    two = compare(target[order], strong[order], {"weak": weak[order]}, who[order]).table
    numbers = ["difference", "low", "high"]
    np.testing.assert_allclose(one[numbers], two[numbers], atol=1e-12)


def test_figures_are_those_of_scikit_learn():
    target, strong, weak, who = rows(1)
    table = compare(target, strong, {"weak": weak}, who).table.set_index("figure")
    expected = {
        "auc": roc_auc_score,
        "average_precision": average_precision_score,
        "log_loss": lambda y, s: log_loss(y, 1 / (1 + np.exp(-s))),
    }
    for name, figure in expected.items():
        assert table.loc[name, "model_value"] == pytest.approx(figure(target, strong))
        assert table.loc[name, "baseline_value"] == pytest.approx(figure(target, weak))
        gap = figure(target, strong) - figure(target, weak)
        assert table.loc[name, "difference"] == pytest.approx(gap)
        assert table.loc[name, "low"] < gap < table.loc[name, "high"]


def test_rows_of_one_customer_widen_the_interval():
    target, strong, weak, _ = rows(2, n=200)
    each = np.array([f"c{row}" for row in range(2_000)], dtype=object)
    ten = np.repeat(each[:200], 10)
    rows_ten = [np.repeat(values, 10) for values in (target, strong, weak)]
    wide, narrow = (
        compare(rows_ten[0], rows_ten[1], {"weak": rows_ten[2]}, who).table.set_index("figure")
        for who in (ten, each)
    )
    width = wide["high"] - wide["low"]
    assert (width > 2.5 * (narrow["high"] - narrow["low"])).all()  # sqrt(10) in expectation


def test_the_sentence_names_what_is_added_over_each_and_what_chance_may_explain():
    target, strong, weak, who = rows(3)
    almost = strong + 0.05 * np.random.default_rng(0).normal(size=strong.size)
    found = compare(target, weak, {"a": almost, "b": weak, "c": -strong}, who)
    sentence = found.sentence
    assert sentence.startswith("LightGBM adds −")
    assert re.search(r"worse.*\+0\.000 \(\+0\.000 .*\+0\.000\)", sentence)
    assert "chance" in sentence
    assert re.search(r" c \(95 % .*\)\.$", sentence)


def test_without_samples_of_both_classes_the_interval_is_unknown():
    target = np.array([1.0, 0.0, 0.0, 0.0])
    score = np.array([2.0, 1.0, 0.0, -1.0])
    one = np.full(4, "one", dtype=object)
    found = compare(target, score, {"other": -score}, one)
    assert (found.table["low"] == found.table["high"]).all()  # one customer, one sample
    two = np.array(["p", "n", "n", "n"], dtype=object)
    found = compare(target, score, {"other": -score}, two)
    assert found.table["low"].notna().all()


def test_a_certain_and_wrong_probability_has_a_finite_loss():
    target = np.array([1.0, 0.0, 1.0, 0.0])
    sure = Predictions(score=np.arange(4.0), probability=np.array([0.0, 1.0, 1.0, 0.0]))
    who = np.array(list("abcd"), dtype=object)
    table = compute_added_value(target, sure, {"x": sure}, who="m", customers=who, seed=0).table
    assert np.isfinite(table["model_value"]).all()
