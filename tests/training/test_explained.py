"""A sample of rows is explained exactly, and told feature by feature."""

import numpy as np
import pandas as pd
import pytest

from kyc_ml.training import explained
from kyc_ml.training.explained import explain_sample


@pytest.fixture(scope="module")
def found(small):
    return explain_sample(small.model, small.features, small.matrix, threads=1, seed=0)


def test_contributions_add_up_to_the_margin(small, found):
    matrix, _ = found.features.encode(small.vocabularies)
    total = found.base + found.contributions.sum(axis=1)
    np.testing.assert_allclose(total, small.model.margin(matrix), atol=1e-9)


def test_few_rows_are_all_explained_and_many_are_sampled(monkeypatch, small, found):
    assert len(found.features) == 600
    monkeypatch.setattr(explained, "MOST_ROWS", 50)
    few = explain_sample(small.model, small.features, small.matrix, threads=1, seed=0)
    assert few.contributions.shape == (50, len(small.features.specs))
    again = explain_sample(small.model, small.features, small.matrix, threads=2, seed=0)
    np.testing.assert_array_equal(again.contributions, few.contributions)


def test_strength_is_the_mean_size_strongest_first(found):
    table = found.strength()
    assert table["feature"].iloc[0] == "signal"
    assert table["mean_contribution"].is_monotonic_decreasing
    place = found.features.names.index("channel")
    size = table.set_index("feature").loc["channel", "mean_contribution"]
    assert size == pytest.approx(np.abs(found.contributions[:, place]).mean())


def test_a_beeswarm_lists_each_row_of_the_strongest_features(found):
    table = found.beeswarm(top=2)
    assert list(dict.fromkeys(table["feature"])) == list(found.strength()["feature"].head(2))
    assert len(table) == 2 * 600
    signal = table[table["feature"] == "signal"].reset_index(drop=True)
    values = found.features.numbers[:, 0]
    assert signal["level"].min() == 0.0
    assert signal["level"].max() == 1.0
    assert signal["level"].rank().tolist() == pd.Series(values).rank().tolist()


def test_missing_values_and_categories_have_no_level(found):
    table = found.beeswarm(top=5).set_index("feature")
    missing = np.isnan(found.features.numbers[:, found.features.names.index("noise")])
    assert table.loc["noise", "level"].isna().tolist() == missing.tolist()
    assert table.loc["channel", "level"].isna().all()
    assert (table.loc["constant", "level"] == 0.5).all()


def test_no_row_has_no_dot(small):
    none = small.features.take(np.zeros(0, np.int64))
    empty = explain_sample(small.model, none, small.matrix[:0], threads=1, seed=0)
    assert empty.beeswarm(top=3).empty
    assert (empty.strength()["mean_contribution"] == 0).all()
