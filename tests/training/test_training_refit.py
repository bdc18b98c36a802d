"""The last fit: which parts it learns from, and what calibrates it."""

import numpy as np
import pytest
from pydantic import ValidationError

from kyc_ml.config import CALIBRATION, EARLY_STOPPING, TRAIN, FeatureConfig, ModelConfig
from kyc_ml.dataset import BETWEEN
from kyc_ml.features import declare_features
from kyc_ml.model import fit_fixed, fit_model
from kyc_ml.training.fitting import fit_in_time, learned_parts
from kyc_ml.training.out_of_fold import split_customers

SPECS = tuple(
    spec
    for spec in declare_features(FeatureConfig(families=("velocity",))).values()
    if spec.kind == "number" and not spec.intermediate
)[:3]


N = 1600
ROWS = {
    TRAIN: np.arange(800),
    EARLY_STOPPING: np.arange(800, 1150),
    BETWEEN: np.arange(1150, 1200),
    CALIBRATION: np.arange(1200, N),
}
CUSTOMERS = np.array([f"C{row % 400}" for row in range(N)], dtype=object)


def data():
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(N, len(SPECS)))
    target = (rng.random(N) < 1 / (1 + np.exp(2.0 - 1.5 * matrix[:, 0]))).astype(float)
    return matrix, target


def settings(**model):
    return ModelConfig(
        **{"n_jobs": 1, "n_estimators": 40, "stopping_rounds": 5, "min_child_samples": 10, **model}
    )


def fit(config, target=None):
    matrix, own = data()
    target = own if target is None else target
    return fit_in_time(matrix, target, ROWS, CUSTOMERS, SPECS, config=config, tell=lambda *_: None)


def fixed(config, trees, *parts):
    rows = np.sort(np.concatenate([ROWS[name] for name in parts]))
    config = config.model_copy(update={"n_estimators": trees})
    return fit_fixed(*data(), rows=rows, specs=SPECS, config=config)


@pytest.mark.parametrize("share", [1.0, 0.5])
@pytest.mark.parametrize("averaged", [1, 2])
@pytest.mark.parametrize("refit", ["none", "early_stopping", "all"])
def test_the_last_fit_is_a_fit_on_the_parts_named_for_as_long_as_early_stopping_said(
    share, averaged, refit
):
    config = settings(refit=refit, negative_share=share, averaged=averaged)
    found = fit(config)
    expected = fixed(config, found.best_round, *learned_parts(config))
    assert found.best_round < 40
    assert found.model.n_trees == averaged * found.best_round
    if (refit, averaged) != ("none", 1):
        assert found.model.text == expected.text
    assert np.array_equal(found.model.margin(data()[0]), expected.margin(data()[0]))


@pytest.mark.parametrize("averaged", [1, 2])
def test_no_row_calibrates_by_a_fit_that_saw_its_customer(averaged):
    config = settings(refit="all", averaged=averaged)
    found = fit(config)
    assert np.array_equal(found.rows, np.arange(800, N))
    # other outcomes of a customer change the model that learns them, and not its own margins
    own = CUSTOMERS == "C7"
    other = np.where(own, 1.0 - data()[1], data()[1])
    matrix, _ = data()
    fold = split_customers(data()[1], CUSTOMERS, folds=3, seed=config.seed)
    without = np.flatnonzero(fold != fold[own][0])
    trees = config.model_copy(update={"n_estimators": found.best_round})
    expected = fit_fixed(matrix, other, rows=without, specs=SPECS, config=trees).margin(matrix)
    here = own[found.rows]
    assert here.sum() == 2
    assert np.array_equal(found.calibrating[here], expected[found.rows][here])
    assert not np.array_equal(found.calibrating[here], found.model.margin(matrix)[found.rows][here])


@pytest.mark.parametrize("refit", ["none", "early_stopping"])
def test_calibration_rows_that_no_fit_learns_get_the_margins_of_the_model(refit):
    found = fit(settings(refit=refit))
    assert np.array_equal(found.rows, ROWS[CALIBRATION])
    assert np.array_equal(found.calibrating, found.model.margin(data()[0][ROWS[CALIBRATION]]))


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_rows_chosen_from_a_matrix_are_fitted_as_rows_copied_out_of_it(share):
    config = settings(negative_share=share)
    matrix, target = data()
    train, stopping = ROWS[TRAIN], ROWS[EARLY_STOPPING]
    copied = fit_model(
        matrix[train],
        target[train],
        stopping_matrix=matrix[stopping],
        stopping_target=target[stopping],
        specs=SPECS,
        config=config,
    )
    assert fit(config).model.text == copied.model.text


@pytest.mark.parametrize(
    ("given", "read"), [(True, "early_stopping"), (False, "none"), ("all", "all")]
)
def test_settings_of_former_versions_are_read(given, read):
    assert ModelConfig(refit=given).refit == read


@pytest.mark.parametrize("given", [1, None, "test"])
def test_rows_of_no_part_are_refused(given):
    with pytest.raises(ValidationError, match="refit"):
        ModelConfig(refit=given)
