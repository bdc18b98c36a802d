"""The search itself: an Optuna study in a SQLite file that can be resumed. Optuna's only importer.

Source: Akiba et al. 2019, Optuna: A Next-generation Hyperparameter Optimization Framework, KDD.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from kyc_ml.config import SEARCHED, IntRange, ModelConfig, RunConfig, TuningConfig
from kyc_ml.display import StageProgress
from kyc_ml.errors import ConfigError
from kyc_ml.metrics import Floats
from kyc_ml.model import fit_fixed, fit_model
from kyc_ml.training.tuning.objectives import MAXIMISED, compute_objective
from kyc_ml.training.tuning.rows import TuningFold, TuningRows

_IDENTITY: Final = "kyc_ml.identity"
_FOLDS: Final = "folds"
_TREES: Final = "best_rounds"
_STUDY: Final = "kyc_ml"
_FINISHED: Final = (TrialState.COMPLETE, TrialState.PRUNED)
_STARTUP: Final = 5
"""Complete trials before any is pruned; Optuna's own default, convention."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRecord:
    """One finished trial."""

    number: int
    parameters: dict[str, float]
    folds: tuple[float, ...]
    """The objective on each evaluated fold; not all folds if the trial was pruned."""
    trees: tuple[int, ...]
    """Trees at which early stopping left each fold."""
    value: float | None
    """Mean over all folds; None where pruned."""
    seconds: float

    @property
    def pruned(self) -> bool:
        """True if the trial ended before the last fold."""
        return self.value is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """The result of a study."""

    trials: tuple[TrialRecord, ...]
    """All finished trials of the study, those of earlier runs included."""
    resumed: int
    """Finished trials found in the study when this run began."""
    own: TrialRecord
    best: TrialRecord
    """`own` and `best`: the configuration's own parameters, and the best of all trials: maybe the
    same."""
    chosen: ModelConfig
    stopped_by: str
    """'trials' or 'minutes': which budget ended the run."""


def identify_study(config: RunConfig, facts: Mapping[str, Any]) -> str:
    """Return the SHA-256 of everything that a trial depends on, without the searched parameters.

    Budgets, threads, and sections that no trial reads may differ between runs of a study.

    `facts` has the digests of the data, and as_of.
    """
    sections = config.model_dump(
        mode="json", include={"unit", "features", "dataset", "splits", "model", "tuning"}
    )
    # each trial has these parameters itself, and threads change no result
    for name in (*SEARCHED, "n_jobs"):
        del sections["model"][name]
    # a larger budget continues the same study
    for name in ("trials", "minutes"):
        del sections["tuning"][name]
    text = json.dumps({"config": sections, "facts": dict(facts)}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def search(
    rows: TuningRows,
    *,
    model: ModelConfig,
    config: TuningConfig,
    identity: str,
    path: Path,
    tell: StageProgress,
    name: str = _STUDY,
) -> Search:
    """Try parameters on the folds until a budget is spent; the first are the model's own.

    Each finished trial is in the file, and a later call continues from there. A trial is
    pruned after a fold where its mean gain on the study's first trial, over
    the folds so far, is below the median of the complete trials (Optuna's MedianPruner);
    gains, because one fold may be harder than another.

    Raises ConfigError if `path` holds something else, or the study of other data or settings.

    `name` is that of the study in the file, which may hold several.
    """
    start = time.monotonic()
    study = _open(path, config=config, identity=identity, name=name)
    resumed = len(_finished(study))
    own = {name: getattr(model, name) for name in SEARCHED}
    # the configuration's own parameters are the first trial, and are compared with all others
    if not any(trial.params == own for trial in study.get_trials(states=_COMPLETE)):
        study.enqueue_trial(own)
    minutes = np.inf if config.minutes is None else config.minutes
    tell("trials", resumed, config.trials)
    done, stopped_by = resumed, "trials"
    while done < config.trials or not _of(study, own):
        if (time.monotonic() - start) / 60 >= minutes and _of(study, own):
            stopped_by = "minutes"
            break
        _run_trial(study, rows, own=own, model=model, config=config, tell=tell)
        done += 1
        tell("trials", min(done, config.trials), config.trials)
    best = study.best_trial
    return Search(
        trials=tuple(_record(trial) for trial in _finished(study)),
        resumed=resumed,
        own=_record(_of(study, own)[0]),
        best=_record(best),
        chosen=model.model_copy(update=best.params),
        stopped_by=stopped_by,
    )


_COMPLETE: Final = (TrialState.COMPLETE,)


def _open(path: Path, *, config: TuningConfig, identity: str, name: str) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        study = optuna.create_study(
            study_name=name,
            storage=URL.create("sqlite", database=str(path)).render_as_string(),
            load_if_exists=True,
            direction="maximize" if config.objective in MAXIMISED else "minimize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=_STARTUP),
        )
        attributes = study.user_attrs
        trials = study.get_trials(deepcopy=False)
    except (SQLAlchemyError, RuntimeError, OSError) as error:
        reason = str(error).splitlines()[0]
        # the lines after the first may hold SQL
        msg = f"study {path} cannot be opened as an Optuna study: {reason}; name another --study"
        raise ConfigError(msg) from None
    if attributes.get(_IDENTITY, identity) != identity or (trials and _IDENTITY not in attributes):
        raise ConfigError(
            f"study {path} is of other data, another --as-of or other settings: its trials "
            "cannot be compared with new ones; name another --study, or move the file away"
        )
    study.set_user_attr(_IDENTITY, identity)
    for trial in trials:  # left by a run that was killed
        if trial.state == TrialState.RUNNING:
            study.tell(trial.number, state=TrialState.FAIL)
    # a resumed study must not repeat the draws of its earlier trials
    study.sampler = optuna.samplers.TPESampler(seed=config.seed + len(trials))
    return study


def _run_trial(
    study: optuna.Study,
    rows: TuningRows,
    *,
    own: dict[str, Any],
    model: ModelConfig,
    config: TuningConfig,
    tell: StageProgress,
) -> None:
    """Evaluate one set of parameters fold by fold, and finish its trial in the study."""
    first = study.get_trials(deepcopy=False, states=_COMPLETE)[:1]
    yardstick = first[0].user_attrs[_FOLDS] if first else None
    trial = study.ask()
    chosen = model.model_copy(update=_suggest(trial, own, config))
    if config.negative_share is not None:
        chosen = chosen.model_copy(update={"negative_share": config.negative_share})
    values: list[float] = []
    trees: list[int] = []
    try:
        for number, fold in enumerate(rows.folds, 1):
            value, grown = _evaluate(rows, fold, model=chosen, config=config)
            values.append(value)
            trees.append(grown)
            gain = np.mean(values) - np.mean((yardstick or values)[:number])
            trial.report(float(gain), number)
            tell("folds of the trial", number, len(rows.folds))
            # the own parameters are never pruned: all others are compared with them
            if number < len(rows.folds) and trial.params != own and trial.should_prune():
                break
    # also after an interruption: otherwise the trial would stay in the file as running
    except BaseException:
        study.tell(trial, state=TrialState.FAIL)
        raise
    trial.set_user_attr(_FOLDS, values)
    trial.set_user_attr(_TREES, trees)
    if len(values) < len(rows.folds):
        study.tell(trial, state=TrialState.PRUNED)
    else:
        study.tell(trial, float(np.mean(values)))


def _suggest(trial: optuna.Trial, own: dict[str, Any], config: TuningConfig) -> dict[str, Any]:
    """Draw each parameter from its range, widened to hold the configuration's own."""
    drawn: dict[str, Any] = {}
    for name in SEARCHED:
        given = getattr(config.search, name)
        low, high = min(given.low, own[name]), max(given.high, own[name])
        if given.log and low <= 0:
            raise ConfigError(
                f"model.{name} is {own[name]}, which tuning.search.{name} cannot include while its "
                "log is true: set log to false"
            )
        if isinstance(given, IntRange):
            drawn[name] = trial.suggest_int(name, low, high, log=given.log)
        else:
            drawn[name] = trial.suggest_float(name, low, high, log=given.log)
    return drawn


def _evaluate(
    rows: TuningRows, fold: TuningFold, *, model: ModelConfig, config: TuningConfig
) -> tuple[float, int]:
    margin, trees = predict_test(rows, fold, model=model)
    value = compute_objective(
        fold.test.target,
        margin,
        fold.test_day,
        end_day=fold.end_day,
        objective=config.objective,
        config=config,
    )
    return value, trees


def predict_test(rows: TuningRows, fold: TuningFold, *, model: ModelConfig) -> tuple[Floats, int]:
    """Fit on a fold's rows; return the margins of its test rows and the number of trees.

    Without early stopping rows it fits all of `model.n_estimators`.
    """
    fitted = np.zeros(len(rows.features), np.bool_)
    fitted[fold.fit.rows] = True
    matrix, _ = rows.features.encode(rows.features.learn_vocabularies(fitted))
    if fold.stop is None:
        fixed = fit_fixed(
            matrix[fold.fit.rows], fold.fit.target, specs=rows.features.specs, config=model
        )
        return fixed.margin(matrix[fold.test.rows], threads=model.n_jobs), fixed.n_trees
    fit = fit_model(
        matrix[fold.fit.rows],
        fold.fit.target,
        stopping_matrix=matrix[fold.stop.rows],
        stopping_target=fold.stop.target,
        specs=rows.features.specs,
        config=model,
    )
    return fit.model.margin(matrix[fold.test.rows], threads=model.n_jobs), fit.best_round


def _finished(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=_FINISHED)


def _of(study: optuna.Study, parameters: dict[str, Any]) -> list[FrozenTrial]:
    complete = study.get_trials(deepcopy=False, states=_COMPLETE)
    return [trial for trial in complete if trial.params == parameters]


def _record(trial: FrozenTrial) -> TrialRecord:
    seconds = trial.duration.total_seconds() if trial.duration is not None else 0.0
    return TrialRecord(
        number=trial.number,
        parameters=dict(trial.params),
        folds=tuple(trial.user_attrs[_FOLDS]),
        trees=tuple(trial.user_attrs[_TREES]),
        value=trial.value if trial.state == TrialState.COMPLETE else None,
        seconds=seconds,
    )
