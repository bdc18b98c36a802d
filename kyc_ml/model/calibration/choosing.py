"""Compare the candidates on rows they were not fitted on, and fit the best on all."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold

from kyc_ml.config import CalibrationConfig
from kyc_ml.errors import DatasetError
from kyc_ml.metrics import Floats, Ints, calibration_error, compute_reliability
from kyc_ml.model.calibration.fitting import ReversedRankingError, canonical_order, fit_calibrator
from kyc_ml.model.calibration.maps import Calibrator, Method
from kyc_ml.model.calibration.segments import SegmentRows, Values

_SIMPLEST_FIRST: Final[tuple[Method, ...]] = ("none", "platt", "beta", "isotonic", "venn_abers")
_TIE_DIGITS: Final = 9
"""Log losses equal to this many digits are a tie: the rest is rounding (convention)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationChoice:
    """The chosen map, and the results of all candidates on rows they were not fitted on."""

    calibrator: Calibrator
    candidates: pd.DataFrame
    """One row a candidate, lowest log loss first, the simpler first where they tie: method,
    log_loss and its standard_error, calibration_error, behind (log loss more than the chosen one's)
    and its behind_error, paired by row, chosen. With segments also without_segments: the log loss
    of the map of the whole alone. Standard errors take rows for independent: too small where a
    customer has several."""
    held_out: Floats
    """Array of shape (n,); probability of each row by the chosen method, fitted on the other
    folds."""
    reliability: pd.DataFrame
    """Predicted and observed rates of `held_out`; see `compute_reliability`."""
    segments: pd.DataFrame | None = None
    """The evidence of each segment, and its weight; see `Segments.to_frame`."""

    def __repr__(self) -> str:
        chosen = self.candidates.loc[self.candidates["chosen"], "log_loss"]
        return (
            f"CalibrationChoice({self.calibrator.method} of {len(self.candidates)} candidates, "
            f"log loss {chosen.iloc[0]:.4g} on {self.held_out.size:,} rows held out)"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    """One candidate on held-out rows; no probability where it would reverse the ranking."""

    method: Method
    proba: Floats
    losses: Floats
    whole_losses: Floats

    @property
    def loss(self) -> float:
        return float(self.losses.mean())


def calibrate_by_fold(
    margin: Floats,
    target: Floats,
    fold: Ints,
    *,
    method: Method,
    segments: SegmentRows | None = None,
) -> Floats:
    """Return for each row the probability of a map fitted on the rows of the other folds.

    For a model cross-validated by customer: folds are the model's own, so that the map has
    seen nothing of a row's customer either. Where the other folds rank the wrong way round,
    the margin has no information: their common rate is the probability.

    `fold`: int64 array of shape (n,); the fold that each row was held out in.
    """
    proba = np.empty_like(margin)
    for number in np.unique(fold):
        held, others = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        own = None if segments is None else segments.take(others)
        try:
            found = fit_calibrator(margin[others], target[others], method=method, segments=own)
        except ReversedRankingError:
            # a reversed map is not used: the rate of the other folds takes its place
            proba[held] = target[others].mean()
            continue
        values = None if segments is None else segments.take(held).values  # noqa: PD011
        proba[held] = found.probability(margin[held], values)
    return proba


def choose_calibrator(
    margin: Floats, target: Floats, *, config: CalibrationConfig, segment: Values | None = None
) -> CalibrationChoice:
    """Compare the candidates by cross-validated log loss and fit the best on all rows.

    A candidate that would reverse the ranking in some fold has an infinite loss and is listed last.

    `segment`: sequence of str or None, length n; values of the feature `config.segment`; needed
    where it names one.
    Raises DatasetError if a fold would lack one of the classes, or no candidate keeps the ranking;
    ValueError if segments are given or missing against the configuration.
    """
    _require_rows_for_folds(target, folds=config.folds)
    segments = _segment_rows(segment, n=target.size, config=config)
    # summed in sorted order, losses are the same for any order of rows
    order = canonical_order(margin, target, segments)
    trials = [
        _try(margin, target, method=method, config=config, segments=segments, order=order)
        for method in config.candidates
    ]
    # ties go to the simpler map
    trials.sort(key=lambda trial: (round(trial.loss, _TIE_DIGITS), _rank(trial.method)))
    best = trials[0]
    calibrator = fit_calibrator(margin, target, method=best.method, segments=segments)
    return CalibrationChoice(
        calibrator=calibrator,
        candidates=_show(trials, target, segmented=segments is not None),
        held_out=best.proba,
        reliability=compute_reliability(target, best.proba),
        segments=None if calibrator.segments is None else calibrator.segments.to_frame(),
    )


def _cross(
    margin: Floats,
    target: Floats,
    *,
    method: Method,
    folds: int,
    seed: int,
    segments: SegmentRows | None,
) -> tuple[Floats, Floats]:
    """Return held-out probabilities, and those of the map without segments."""
    # folds are drawn by `seed` from the rows sorted by content, each with its share of positives
    # folds are made in this order, so that the order of the given rows changes nothing
    order = canonical_order(margin, target, segments)
    cuts = StratifiedKFold(n_splits=folds, shuffle=True, random_state=seed)
    proba, whole = np.empty_like(margin), np.empty_like(margin)
    # the split reads the outcomes only: the first argument just has the right length
    for others, these in cuts.split(order[:, None], target[order]):
        fitted, held = order[others], order[these]
        own = None if segments is None else segments.take(fitted)
        calibrator = fit_calibrator(margin[fitted], target[fitted], method=method, segments=own)
        whole[held] = calibrator.probability(margin[held])
        proba[held] = (
            whole[held]
            if segments is None
            else calibrator.probability(margin[held], segments.take(held).values)
        )
    return proba, whole


def _try(
    margin: Floats,
    target: Floats,
    *,
    method: Method,
    config: CalibrationConfig,
    segments: SegmentRows | None,
    order: Ints,
) -> _Trial:
    try:
        proba, whole = _cross(
            margin, target, method=method, folds=config.folds, seed=config.seed, segments=segments
        )
    except ReversedRankingError:
        # infinite losses are sorted last
        lost = np.full(target.size, np.inf)
        return _Trial(
            method=method, proba=np.full(target.size, np.nan), losses=lost, whole_losses=lost
        )
    return _Trial(
        method=method,
        proba=proba,
        losses=_log_losses(target, proba)[order],
        whole_losses=_log_losses(target, whole)[order],
    )


def _show(trials: list[_Trial], target: Floats, *, segmented: bool) -> pd.DataFrame:
    """List the trials, the chosen one first."""
    best = trials[0]
    rows = []
    for trial in trials:
        row: dict[str, object] = {"method": trial.method, "log_loss": trial.loss}
        if segmented:
            row["without_segments"] = float(trial.whole_losses.mean())
        usable = np.isfinite(trial.loss)
        row["standard_error"] = _standard_error(trial.losses) if usable else np.nan
        row["calibration_error"] = calibration_error(target, trial.proba) if usable else np.nan
        row["behind"] = trial.loss - best.loss if usable else np.inf
        # both maps were evaluated on the same rows: the error is that of paired differences
        row["behind_error"] = _standard_error(trial.losses - best.losses) if usable else np.nan
        row["chosen"] = trial is best
        rows.append(row)
    return pd.DataFrame(rows)


def _log_losses(target: Floats, proba: Floats) -> Floats:
    # log1p keeps the digits of small probabilities
    return -np.where(target == 1, np.log(proba), np.log1p(-proba))


def _standard_error(values: Floats) -> float:
    return float(np.std(values, ddof=1) / np.sqrt(values.size))


def _rank(method: Method) -> int:
    return _SIMPLEST_FIRST.index(method)


def _require_rows_for_folds(target: Floats, *, folds: int) -> None:
    positives = int(target.sum())
    if min(positives, target.size - positives) < folds:
        raise DatasetError(
            f"the calibration part must hold at least {folds} rows of each class, got "
            f"{positives} positives of {target.size}: widen splits.calibration_days"
        )


def _segment_rows(
    segment: Values | None, *, n: int, config: CalibrationConfig
) -> SegmentRows | None:
    if (segment is None) != (config.segment is None):
        named = "no segment" if config.segment is None else f"segment {config.segment!r}"
        came = "none was" if segment is None else "some were"
        raise ValueError(f"calibration is configured with {named}, but {came} given")
    if segment is None or config.segment is None:
        return None
    return SegmentRows.of(segment, n=n, feature=config.segment, strength=config.segment_strength)
