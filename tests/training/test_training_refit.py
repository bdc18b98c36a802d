"""The last fit on train and early stopping rows together."""

import numpy as np
import pytest

from kyc_ml.config import EARLY_STOPPING, TRAIN, FeatureConfig, RunConfig
from kyc_ml.features import declare_features
from kyc_ml.model import fit_fixed, fit_model
from kyc_ml.training.out_of_time import fit_in_time

SPECS = tuple(
    spec
    for spec in declare_features(FeatureConfig(families=("velocity",))).values()
    if spec.kind == "number" and not spec.intermediate
)[:3]


N = 1200
ROWS = {TRAIN: np.arange(800), EARLY_STOPPING: np.arange(800, N)}


def data():
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(N, len(SPECS)))
    target = (rng.random(N) < 1 / (1 + np.exp(2.0 - 1.5 * matrix[:, 0]))).astype(float)
    return matrix, target


def run(**model):
    settings = {"n_estimators": 40, "stopping_rounds": 5, "min_child_samples": 10, **model}
    return RunConfig.model_validate(
        {"name": "t", "unit": "fraud", "tiers": "t.yaml", "features": {"families": ["velocity"]},
         "model": settings}
    )  # fmt: skip


def fit(config):
    return fit_in_time(*data(), ROWS, SPECS, config=config, tell=lambda *_: None)


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_refit_is_a_fit_on_both_parts_for_as_long_as_early_stopping_said(share):
    config = run(refit=True, negative_share=share)
    found = fit(config)
    expected = fit_fixed(
        *data(),
        specs=SPECS,
        config=config.model.model_copy(update={"n_estimators": found.best_round}),
    )
    assert found.model.n_trees == found.best_round < 40
    assert found.model.text == expected.text


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_rows_chosen_from_a_matrix_are_fitted_as_rows_copied_out_of_it(share):
    config = run(negative_share=share)
    matrix, target = data()
    train, stopping = ROWS[TRAIN], ROWS[EARLY_STOPPING]
    copied = fit_model(
        matrix[train],
        target[train],
        stopping_matrix=matrix[stopping],
        stopping_target=target[stopping],
        specs=SPECS,
        config=config.model,
    )
    assert fit(config).model.text == copied.model.text


def test_without_refit_the_train_rows_alone_are_fitted():
    once, again = fit(run()), fit(run(refit=True))
    assert once.best_round == again.best_round
    assert once.model.text != again.model.text
