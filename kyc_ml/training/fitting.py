"""Fit on parts in order of time: which rows stop, calibrate, and teach the last fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kyc_ml.config import CALIBRATION, EARLY_STOPPING, TRAIN, ModelConfig
from kyc_ml.dataset import BETWEEN
from kyc_ml.display import StageProgress
from kyc_ml.features import FeatureSpec
from kyc_ml.metrics import Floats, Ints
from kyc_ml.model import Model, fit_fixed, fit_model


@dataclass(frozen=True, slots=True, kw_only=True)
class FitInTime:
    """A model fitted on parts in order of time, and what its calibration is fitted on.

    Attributes
    ----------
    model : Model
    best_round : int
        Trees of one fit, as early stopping chose them.
    calibrating : float64 array of shape (number of calibration rows,), log-odds
        Margins of the calibration rows by a model that learned from none of them.
    """

    model: Model
    best_round: int
    calibrating: Floats


def learned_parts(model: ModelConfig) -> tuple[str, ...]:
    """Name the parts whose rows the model learns from."""
    if model.refit == "all":
        return (TRAIN, EARLY_STOPPING, CALIBRATION, BETWEEN)
    return (TRAIN,) if model.refit == "none" else (TRAIN, EARLY_STOPPING)


def earlier_parts(model: ModelConfig) -> tuple[str, ...]:
    """Name the parts that give the calibration rows their margins: none of these rows."""
    return tuple(name for name in learned_parts(model) if name in {TRAIN, EARLY_STOPPING})


def fit_in_time(
    matrix: Floats,
    target: Floats,
    rows: Mapping[str, Ints],
    specs: tuple[FeatureSpec, ...],
    *,
    config: ModelConfig,
    tell: StageProgress,
) -> FitInTime:
    """Fit on the train rows, stop on later ones; then fit again as ``model.refit`` says.

    Where the last fit learns from the calibration rows too, their margins come from a fit of the
    same kind on the parts before them: the model of a week earlier, which saw none of them.

    Source: Dawid 1984, Journal of the Royal Statistical Society A 147, 278-292: each forecast is
    evaluated by outcomes that came after its own data (prequential).

    Parameters
    ----------
    matrix : float64 array of shape (n, len(specs))
    target : float64 array of shape (n,)
    rows : mapping of part, and of `BETWEEN`, to its row numbers
    """
    stopping, calibrating = rows[EARLY_STOPPING], rows[CALIBRATION]
    fit = fit_model(
        matrix,
        target,
        rows=rows[TRAIN],
        stopping_matrix=matrix[stopping],
        stopping_target=target[stopping],
        specs=specs,
        config=config,
        progress=lambda done, total: tell("fitting", done, total),
    )
    fixed = config.model_copy(update={"n_estimators": fit.best_round})

    def fit_again(parts: tuple[str, ...], stage: str) -> Model:
        tell(stage, 0, 1)
        # in order of time: the rows of an inner embargo lie between the others
        learned = np.sort(np.concatenate([rows[name] for name in parts]))
        model = fit_fixed(matrix, target, rows=learned, specs=specs, config=fixed)
        tell(stage, 1, 1)
        return model

    model, learned = fit.model, learned_parts(config)
    earlier = earlier_parts(config)
    if config.refit != "none" or config.averaged > 1:
        model = fit_again(earlier, "fitting again")
    margin = model.margin(matrix[calibrating], threads=config.n_jobs)
    if learned != earlier:
        model = fit_again(learned, "fitting again with calibration rows")
    return FitInTime(model=model, best_round=fit.best_round, calibrating=margin)
