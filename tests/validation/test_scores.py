"""One way from a bundle to a score: all callers agree to the bit, and refuse the same table."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.decision import grade
from kyc_ml.errors import DatasetError
from kyc_ml.registry import Scores, explain_rows, predict, score_features
from kyc_ml.validation import ComparisonSettings, compare_models
from kyc_ml.validation.comparison.rows import LaterRows
from kyc_ml.validation.rows import score_built

DAY = pd.Timestamp("2024-02-26", tz="UTC")


def validated(bundle, features):
    return SimpleNamespace(**score_built(bundle, features))


@given(seed=st.integers(0, 99))
def test_columns_in_any_order_score_the_same_everywhere(bundle, small, seed):
    order = np.random.default_rng(seed).permutation(len(small.features.names))
    shuffled = small.features.reorder([small.features.names[place] for place in order])
    scores = Scores.of(bundle, shuffled)
    table = score_features(bundle, small.features)
    rows = validated(bundle, shuffled)
    for margin, probability in (
        (table["margin"].to_numpy(), table["probability"].to_numpy()),
        (rows.margin, rows.probability),
        predict(bundle, small.features)[:2],
    ):
        assert margin.tolist() == scores.margin.tolist()
        assert probability.tolist() == scores.probability.tolist()
    names = np.array(bundle.policy.tier_names, dtype=object)
    assert names[scores.tier].tolist() == table["tier"].to_pylist()
    assert rows.grades.tier.tolist() == scores.tier.tolist()
    found = explain_rows(bundle, shuffled)
    total = found.base + found.values.sum(axis=1)  # noqa: PD011  not a pandas object
    np.testing.assert_allclose(total, scores.margin, atol=1e-9)


def test_probabilities_of_other_models_are_graded_by_the_bundles_policy(bundle, small):
    n = len(small.features)
    margin, probability = np.full(n, -1.0), np.linspace(0.0, 1.0, n)
    scores = Scores.of(bundle, small.features, predicted=(margin, probability))
    expected = grade(probability, small.features, policy=bundle.policy).tier
    assert scores.tier.tolist() == expected.tolist()
    assert scores.margin is margin


def test_every_way_names_the_columns_that_are_absent(bundle, small):
    names = small.features.names
    poor = small.features.reorder(names[1:])
    status = np.where(small.target == 1.0, "positive", "negative").astype(object)
    rows = LaterRows(
        challenger=poor, champion=small.features, status=status,
        evaluated=np.ones(len(poor), bool), since=DAY, end=DAY, as_of=DAY,
    )  # fmt: skip
    ways = (
        lambda: score_features(bundle, poor),
        lambda: predict(bundle, poor),
        lambda: explain_rows(bundle, poor),
        lambda: validated(bundle, poor),
        lambda: compare_models(
            replace(bundle, digest="a"), replace(bundle, digest="b"), rows,
            settings=ComparisonSettings(), tell=lambda *_: None,
        ),
    )  # fmt: skip
    for way in ways:
        with pytest.raises(DatasetError, match=names[0]):
            way()
