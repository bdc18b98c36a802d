"""The only importer of LightGBM: fit a model on the margin, predict it, explain it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from kyc_ml.config import ModelConfig
from kyc_ml.errors import BundleError, DatasetError
from kyc_ml.features.spec import FeatureSpec

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contributions:
    """Exact path-dependent SHAP values on the log-odds margin, before calibration.

    Source: Lundberg et al. 2020, Nature Machine Intelligence 2, 56-67.

    Attributes
    ----------
    values : float64 array of shape (n_rows, n_features)
    base : float64 array of shape (n_rows,)
        ``base + values.sum(axis=1)`` equals the margin.
    """

    values: Floats
    base: Floats


class Model:
    """A fitted LightGBM model of the margin (log-odds) of an adverse outcome.

    Parameters
    ----------
    text : str
        LightGBM's own text form; all that is kept of a model.
    """

    def __init__(self, text: str) -> None:
        try:
            self._booster = lgb.Booster(model_str=text)
        except lgb.basic.LightGBMError as error:
            msg = f"the LightGBM model cannot be read: {error}; restore the bundle"
            raise BundleError(msg) from None
        self.text = text

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the input columns, in order."""
        return tuple(unquote(name) for name in self._booster.feature_name())

    @property
    def n_trees(self) -> int:
        """Number of trees kept."""
        return int(self._booster.num_trees())

    def margin(self, matrix: Floats, *, threads: int = 2) -> Floats:
        """Predict the log-odds of rows of shape (n, n_features); NaN is missing."""
        out = self._booster.predict(matrix, raw_score=True, num_threads=threads)
        return np.asarray(out, dtype=np.float64)

    def contributions(self, matrix: Floats, *, threads: int = 2) -> Contributions:
        """Share each row's margin out to the features, exactly."""
        if not len(matrix):  # LightGBM divides by the number of rows
            return Contributions(values=np.empty(matrix.shape), base=np.empty(0))
        out = self._booster.predict(matrix, pred_contrib=True, num_threads=threads)
        table = np.asarray(out, dtype=np.float64)
        return Contributions(values=table[:, :-1], base=table[:, -1])

    def importance(self) -> Floats:
        """Give the total gain of each feature, shape (n_features,)."""
        gains = self._booster.feature_importance(importance_type="gain")
        return np.asarray(gains, dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A fitted model and how its fitting went."""

    model: Model
    best_round: int
    early_stopping_score: float


def fit_model(
    matrix: Floats,
    target: Floats,
    *,
    stopping_matrix: Floats,
    stopping_target: Floats,
    specs: Sequence[FeatureSpec],
    config: ModelConfig,
    progress: Callable[[int, int], None] | None = None,
) -> Fit:
    """Fit LightGBM, and stop when rows of a later time no longer gain.

    Parameters
    ----------
    matrix, stopping_matrix : float64 arrays of shape (n, len(specs))
        Categories as codes; NaN is missing.
    target, stopping_target : float64 arrays of 0 and 1

    Raises
    ------
    DatasetError
        If the rows of either part have one class only.
    """
    _require_both_classes("train", target)
    _require_both_classes("early_stopping", stopping_target)
    train = _dataset(matrix, target, specs, config)
    stopping = train.create_valid(stopping_matrix, stopping_target)
    booster = lgb.train(
        _parameters(specs, config),
        train,
        num_boost_round=config.rounds,
        valid_sets=[stopping],
        valid_names=["early_stopping"],
        callbacks=_callbacks(config, progress),
    )
    best = booster.best_iteration or booster.current_iteration()
    score = booster.best_score["early_stopping"][config.metric]
    return Fit(
        model=Model(booster.model_to_string(num_iteration=best)),
        best_round=best,
        early_stopping_score=float(score),
    )


def fit_fixed(
    matrix: Floats, target: Floats, *, specs: Sequence[FeatureSpec], config: ModelConfig
) -> Model:
    """Fit LightGBM for all of `config.rounds`: for data too small to spare rows to stop on.

    Raises
    ------
    DatasetError
        If the rows have one class only.
    """
    _require_both_classes("train", target)
    booster = lgb.train(
        _parameters(specs, config),
        _dataset(matrix, target, specs, config),
        num_boost_round=config.rounds,
    )
    return Model(booster.model_to_string())


def _require_both_classes(part: str, target: Floats) -> None:
    positives = int(target.sum())
    if positives in {0, target.size}:
        msg = (
            f"part {part!r} must hold both classes, got {positives} positives of "
            f"{target.size} rows: widen the part, or check cases and label_maturity_days"
        )
        raise DatasetError(msg)


def _dataset(
    matrix: Floats, target: Floats, specs: Sequence[FeatureSpec], config: ModelConfig
) -> lgb.Dataset:
    return lgb.Dataset(
        matrix,
        target,
        # LightGBM renames or refuses names with blanks or JSON's own characters
        feature_name=[quote(spec.name) for spec in specs],
        categorical_feature=[quote(spec.name) for spec in specs if spec.kind == "category"],
        params={
            "max_bin": config.max_bin,
            "min_data_in_leaf": config.min_data_in_leaf,
            "num_threads": config.num_threads,
            "verbosity": -1,
        },
    )


def _parameters(specs: Sequence[FeatureSpec], config: ModelConfig) -> dict[str, object]:
    parameters: dict[str, object] = {
        "objective": "binary",
        "metric": config.metric,
        "learning_rate": config.learning_rate,
        "num_leaves": config.num_leaves,
        "min_data_in_leaf": config.min_data_in_leaf,
        "feature_fraction": config.feature_fraction,
        "bagging_fraction": config.bagging_fraction,
        "bagging_freq": 1 if config.bagging_fraction < 1.0 else 0,
        "lambda_l2": config.lambda_l2,
        "max_bin": config.max_bin,
        "seed": config.seed,
        "num_threads": config.num_threads,
        # the same rows and threads give the same trees, on any number of tries
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    if config.monotone:
        parameters["monotone_constraints"] = [spec.monotone for spec in specs]
    return parameters


def _callbacks(
    config: ModelConfig, progress: Callable[[int, int], None] | None
) -> list[Callable[..., object]]:
    callbacks: list[Callable[..., object]] = [
        lgb.early_stopping(config.stopping_rounds, first_metric_only=True, verbose=False)
    ]
    if progress is not None:
        report = progress

        def tell(environment: lgb.callback.CallbackEnv) -> None:
            report(environment.iteration + 1, config.rounds)

        callbacks.append(tell)
    return callbacks
