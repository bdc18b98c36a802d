"""The last fit on train and early stopping rows together."""

import numpy as np
import pytest

from kyc_ml.config import FeatureConfig, RunConfig
from kyc_ml.features.catalog import declare_features
from kyc_ml.model import fit_fixed
from kyc_ml.splits import EARLY_STOPPING, TRAIN
from kyc_ml.stability import LabelledRows
from kyc_ml.training.out_of_time import fit_in_time

SPECS = tuple(
    spec
    for spec in declare_features(FeatureConfig(families=("velocity",))).values()
    if spec.kind == "number" and not spec.hidden
)[:3]


def rows_of(seed, n):
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(n, len(SPECS)))
    target = (rng.random(n) < 1 / (1 + np.exp(2.0 - 1.5 * matrix[:, 0]))).astype(float)
    return LabelledRows(matrix=matrix, target=target)


def run(**model):
    settings = {"rounds": 40, "stopping_rounds": 5, "min_data_in_leaf": 10, **model}
    return RunConfig.model_validate(
        {"name": "t", "unit": "fraud", "tiers": "t.yaml", "features": {"families": ["velocity"]},
         "model": settings}
    )  # fmt: skip


def fit(config):
    parts = {TRAIN: rows_of(1, 800), EARLY_STOPPING: rows_of(2, 400)}
    return parts, fit_in_time(parts, SPECS, config=config, tell=lambda *_: None)


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_refit_is_a_fit_on_both_parts_for_as_long_as_early_stopping_said(share):
    config = run(refit=True, negative_share=share)
    parts, found = fit(config)
    both = [parts[TRAIN], parts[EARLY_STOPPING]]
    expected = fit_fixed(
        np.concatenate([part.matrix for part in both]),
        np.concatenate([part.target for part in both]),
        specs=SPECS,
        config=config.model.model_copy(update={"rounds": found.best_round}),
    )
    assert found.model.n_trees == found.best_round < 40
    assert found.model.text == expected.text


def test_without_refit_the_train_rows_alone_are_fitted():
    _, once = fit(run())
    _, again = fit(run(refit=True))
    assert once.best_round == again.best_round
    assert once.model.text != again.model.text
