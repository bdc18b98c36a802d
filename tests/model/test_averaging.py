"""Several models as one: margins, base values and contributions are the means."""

from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kyc_ml.config import ModelConfig
from kyc_ml.model import Model, fit_fixed
from kyc_ml.model.averaging import average_trees

CONFIG = ModelConfig(
    n_jobs=1,
    n_estimators=7,
    num_leaves=5,
    min_child_samples=5,
    negative_share=0.6,
    positive_weight=3.0,
)


@dataclass(frozen=True, kw_only=True)
class Column:
    name: str
    kind: str
    monotone: int = 0


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(3)
    matrix = rng.normal(size=(400, 4))
    matrix[:, 3] = rng.integers(0, 6, 400)
    matrix[rng.random(matrix.shape) < 0.1] = np.nan
    target = (rng.random(400) < 0.2 + 0.3 * (matrix[:, 3] == 2)).astype(float)
    specs = [Column(name=name, kind="number") for name in ("a", "b", "c")]
    return matrix, target, [*specs, Column(name="d", kind="category")]


@pytest.fixture(scope="module")
def models(rows):
    matrix, target, specs = rows
    return [
        fit_fixed(matrix, target, specs=specs, config=CONFIG.model_copy(update={"seed": seed}))
        for seed in range(4)
    ]


@settings(max_examples=25)
@given(chosen=st.lists(st.integers(0, 3), min_size=1, max_size=6))
def test_a_model_of_several_gives_their_means(rows, models, chosen):
    matrix = rows[0]
    found = Model(average_trees([models[one].text for one in chosen]))
    margin = found.margin(matrix)
    assert found.n_trees == 7 * len(chosen)
    assert found.feature_names == models[0].feature_names
    means = np.mean([models[one].margin(matrix) for one in chosen], axis=0)
    np.testing.assert_allclose(margin, means, rtol=0, atol=1e-9)
    whole = found.contributions(matrix, threads=1)
    parts = [models[one].contributions(matrix, threads=1) for one in chosen]
    np.testing.assert_allclose(
        whole.values, np.mean([one.values for one in parts], axis=0), rtol=0, atol=1e-9
    )
    np.testing.assert_allclose(whole.base + whole.values.sum(axis=1), margin, rtol=0, atol=1e-9)
    other = found.contributions_by_lightgbm(matrix, threads=1)
    np.testing.assert_allclose(whole.values, other.values, rtol=0, atol=1e-9)


def test_the_mean_of_one_is_itself(models):
    assert average_trees([models[0].text]) == models[0].text


def test_lightgbm_reads_the_whole_text_as_it_is_written(rows, models):
    text = average_trees([one.text for one in models])
    read = lgb.Booster(model_str=text).predict(rows[0], raw_score=True, num_threads=1)
    assert np.array_equal(read, Model(text).margin(rows[0]))


def test_fits_of_several_seeds_are_averaged_by_one_call(rows):
    matrix, target, specs = rows
    several = CONFIG.model_copy(update={"averaged": 3})
    found = fit_fixed(matrix, target, specs=specs, config=several)
    seeds = [CONFIG.seed + 1000 * number for number in range(3)]
    each = [
        fit_fixed(matrix, target, specs=specs, config=CONFIG.model_copy(update={"seed": seed}))
        for seed in seeds
    ]
    assert found.text == average_trees([one.text for one in each])
    assert len({one.text for one in each}) == 3
