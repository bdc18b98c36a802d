"""The only importer of LightGBM: fit a model on the margin, predict it, explain it."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import quote, unquote

import numpy as np

from kyc_ml.config import ModelConfig
from kyc_ml.errors import BundleError, require_both_classes
from kyc_ml.features import Direction, Kind
from kyc_ml.metrics import Floats, Ints, sample_rows
from kyc_ml.model.averaging import average_trees, change_leaves, join_trees, split_trees
from kyc_ml.model.contributions.compiled import TreeContributions, compile_model
from kyc_ml.model.contributions.soundness import sound_trees
from kyc_ml.storage import StoredMatrix

if TYPE_CHECKING:
    import lightgbm as lgb

# threads add up a metric in another order: its last digits are rounding
_DIGITS: Final = 12
_NO_GAIN: Final = 10.0**-_DIGITS
_FEW_ROWS: Final = 1024
"""Rows for which to start LightGBM's threads, and LightGBM, takes longer than to predict them."""
_SEED_STEP: Final = 1000
"""Between the seeds of averaged fits: refits that check a model take the seeds next to its own."""


class Input(Protocol):
    """What fitting reads of a column's declaration, such as a `FeatureSpec`."""

    @property
    def name(self) -> str:
        """Column name."""

    @property
    def kind(self) -> Kind:
        """Whether the column holds numbers or codes of categories."""

    @property
    def monotone(self) -> Direction:
        """Direction in which risk may move with the value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contributions:
    """Exact path-dependent SHAP values on the log-odds margin, before calibration.

    Source: Lundberg et al. 2020, Nature Machine Intelligence 2, 56-67.
    """

    values: Floats
    """float64 array of shape (n_rows, n_features)."""
    base: Floats
    """float64 array of shape (n_rows,); ``base + values.sum(axis=1)`` equals the margin."""


class Model:
    """A fitted LightGBM model of the margin (log-odds) of an adverse outcome.

    Parameters
    ----------
    text : str
        LightGBM's own text form; all that is kept of a model.

    Raises
    ------
    BundleError
        If the text is malformed: see `sound_trees`.
    """

    def __init__(self, text: str) -> None:
        self._trees = sound_trees(text)
        self.text = text

    def __repr__(self) -> str:
        return f"Model({self.n_trees:,} trees, {len(self.feature_names):,} columns)"

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the input columns, in order."""
        names = re.search(r"^feature_names=(.*)", self._trees, re.MULTILINE)
        return tuple(unquote(name) for name in names[1].split(" ")) if names else ()

    @property
    def n_trees(self) -> int:
        """Number of trees kept."""
        return self._trees.count("\nTree=")

    def margin(self, matrix: Floats | StoredMatrix, *, threads: int = 2) -> Floats:
        """Predict the log-odds of rows of shape (n, n_features); NaN is missing."""
        if isinstance(matrix, StoredMatrix):
            return np.concatenate([self.margin(part, threads=threads) for part in matrix.parts()])
        if len(matrix) <= _FEW_ROWS and self._followed is not None:
            return self._followed.margin(matrix)
        out = self._booster.predict(matrix, raw_score=True, num_threads=threads)
        return np.asarray(out, dtype=np.float64)

    def contributions(self, matrix: Floats, *, threads: int = 2) -> Contributions:
        """Compute the exact SHAP contributions of the features to each row's margin.

        A row's contributions do not depend on the other rows, to the last bit; they equal
        LightGBM's own except for rounding. The first call compiles the trees.
        """
        values, base = self._tables.explain(matrix, threads=threads)
        return Contributions(values=values, base=base)

    def contributions_by_lightgbm(self, matrix: Floats, *, threads: int = 2) -> Contributions:
        """Compute them with LightGBM's own code: slower, to check `contributions`."""
        found = self._booster.predict(matrix, pred_contrib=True, num_threads=threads)
        # LightGBM's last column is the base
        values = np.asarray(found, dtype=np.float64)
        return Contributions(values=values[:, :-1], base=values[:, -1])

    @cached_property
    def _booster(self) -> "lgb.Booster":
        import lightgbm as lgb

        try:
            return lgb.Booster(model_str=self._trees)
        except lgb.basic.LightGBMError as error:
            msg = f"the LightGBM model cannot be read: {error}; restore the bundle"
            raise BundleError(msg) from None

    @cached_property
    def _followed(self) -> TreeContributions | None:
        """The compiled trees; None where LightGBM alone can follow them."""
        try:
            return self._tables
        except BundleError:
            return None

    @cached_property
    def _tables(self) -> TreeContributions:
        """The trees, compiled at the first use: most models are never explained."""
        return compile_model(self.text)

    def importance(self) -> Floats:
        """Return the total gain of each feature, shape (n_features,)."""
        gains = self._booster.feature_importance(importance_type="gain")
        return np.asarray(gains, dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A fitted model, and the figures of its fitting."""

    model: Model
    best_round: int
    early_stopping_score: float
    fitted_rows: int
    """Training rows after negatives were left out."""
    margin_shift: float
    """Added to every margin, to undo the sampling and the weights."""


def fit_model(
    matrix: Floats,
    target: Floats,
    *,
    stopping_matrix: Floats,
    stopping_target: Floats,
    specs: Sequence[Input],
    config: ModelConfig,
    rows: Ints | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Fit:
    """Fit LightGBM, and stop when the metric of later rows no longer improves.

    Negatives may be left out and positives weighted, see `ModelConfig`; margins are corrected
    to those of all rows without weights. Early stopping rows are never left out or weighted.

    `matrix`, `stopping_matrix`: float64 arrays of shape (n, len(specs)); categories as codes; NaN
    is missing. A column that is constant or all missing is allowed and has no effect.
    `target`, `stopping_target`: float64 arrays of 0 and 1.
    `rows`: int64 array; rows of `matrix` to fit on; all of them by default. Other rows are not
    copied.
    `progress`: called after each tree with the trees fitted and the most there can be; equal at the
    end.
    Raises DatasetError if the rows of either part have one class only, or there are no rows.
    """
    import lightgbm as lgb

    fitted, shift = _choose_rows(matrix, target, config, rows)
    _require_both_classes("early_stopping", stopping_target)
    train = _dataset(matrix, target, fitted, specs, config)
    # the metric sees corrected margins: log loss would stop elsewhere on shifted ones
    start = np.full(stopping_target.size, shift) if shift else None
    stopping = train.create_valid(stopping_matrix, stopping_target, init_score=start)
    booster = lgb.train(
        _parameters(specs, config),
        train,
        num_boost_round=config.n_estimators,
        valid_sets=[stopping],
        valid_names=["early_stopping"],
        callbacks=_callbacks(config, progress),
    )
    ended = booster.current_iteration()
    # stopped early: the progress shown must still reach its end
    if progress is not None and ended < config.n_estimators:
        progress(ended, ended)
    best = booster.best_iteration or ended
    score = booster.best_score["early_stopping"][config.metric]
    return Fit(
        model=Model(_text_of(booster, trees=best, shift=shift)),
        best_round=best,
        early_stopping_score=round(float(score), _DIGITS),
        fitted_rows=fitted.size,
        margin_shift=shift,
    )


def fit_fixed(
    matrix: Floats,
    target: Floats,
    *,
    specs: Sequence[Input],
    config: ModelConfig,
    rows: Ints | None = None,
) -> Model:
    """Fit all of `config.n_estimators`, for data too small to hold rows back for early stopping.

    Of several seeds (`config.averaged`) the margin is the mean; each draws its own negatives.
    Negatives may be left out and positives weighted, and `rows` chosen, as in `fit_model`.

    Raises DatasetError if the rows have one class only, or there are no rows.
    """
    import lightgbm as lgb

    texts = []
    for number in range(config.averaged):
        own = config.model_copy(update={"seed": config.seed + _SEED_STEP * number})
        fitted, shift = _choose_rows(matrix, target, own, rows)
        booster = lgb.train(
            _parameters(specs, own),
            _dataset(matrix, target, fitted, specs, own),
            num_boost_round=own.n_estimators,
        )
        texts.append(_text_of(booster, trees=booster.current_iteration(), shift=shift))
    return Model(average_trees(texts))


def choose_rounds(
    matrix: Floats,
    target: Floats,
    folds: Sequence[tuple[Ints, Ints]],
    *,
    specs: Sequence[Input],
    config: ModelConfig,
) -> int:
    """Choose the number of trees by cross-validation, where the folds' mean metric is best.

    All folds have one number: with few positives the best numbers of single folds vary by
    chance. The final model has more rows and keeps this number (convention).

    Source: Hastie, Tibshirani and Friedman 2009, The Elements of Statistical Learning, section
    7.10; the same rule as LightGBM's own `cv`.

    `folds`: sequence of (fitted, held); row numbers to fit on and to measure on; no customer is in
    both. From 1 to `config.n_estimators`.
    Raises DatasetError if either part of a fold has one class only.
    """
    boosters = [
        _started(matrix, target, fitted, held, specs=specs, config=config) for fitted, held in folds
    ]
    best, chosen = -math.inf, 1
    for trees in range(1, config.n_estimators + 1):
        scores = []
        for booster in boosters:
            booster.update()
            measured = booster.eval_valid()[0]  # data set, metric, value, True if higher is better
            scores.append(measured[2] if measured[3] else -measured[2])
        mean = float(np.mean(scores))
        if mean > best + _NO_GAIN:
            best, chosen = mean, trees
        elif trees - chosen >= config.stopping_rounds:
            break
    return chosen


def _started(
    matrix: Floats,
    target: Floats,
    fitted: Ints,
    held: Ints,
    *,
    specs: Sequence[Input],
    config: ModelConfig,
) -> "lgb.Booster":
    """Return a booster without trees that evaluates its metric on held-out rows."""
    import lightgbm as lgb

    rows, shift = _choose_rows(matrix, target, config, fitted)
    _require_both_classes("early_stopping", target[held])
    train = _dataset(matrix, target, rows, specs, config)
    booster = lgb.Booster(_parameters(specs, config), train)
    start = np.full(held.size, shift) if shift else None
    stopping = train.create_valid(
        matrix[held], target[held], init_score=start, params=train.params
    ).set_reference(train)
    booster.add_valid(stopping, "early_stopping")
    return booster


def _choose_rows(
    matrix: Floats, target: Floats, config: ModelConfig, rows: Ints | None
) -> tuple[Ints, float]:
    """Choose the rows to fit on, and the shift that makes their margins those of all rows.

    Keeping a random share r of the negatives and weighting positives by w multiplies the odds by w
    / r: ``margin + ln(r) - ln(w)`` corrects it. r is the share really kept, a whole number of rows.

    Source: King and Zeng 2001, Political Analysis 9, 137-163 (prior correction).
    """
    given = np.arange(target.size) if rows is None else rows
    _require_both_classes("train", target[given])
    # begins with 0.0 or more, and not `-x`: a weight of 1 then gives 0.0 instead of -0.0
    shift = math.log(config.negatives_kept) - math.log(config.positive_weight)
    if config.negative_share == 1.0:
        return given, shift
    negatives = given[target[given] == 0]
    count = max(1, round(config.negative_share * negatives.size))
    kept = sample_rows(matrix, negatives, count=count, seed=config.seed)
    positives = given[target[given] != 0]
    # this sorts them by content, so that the trees do not depend on the order of the rows
    positives = sample_rows(matrix, positives, count=positives.size, seed=config.seed)
    return np.concatenate([positives, kept]), shift + math.log(count / negatives.size)


def _text_of(booster: "lgb.Booster", *, trees: int, shift: float) -> str:
    """Return the text of the model with corrected margins, equal for any number of threads."""
    text = str(booster.model_to_string(num_iteration=trees))
    text = re.sub(r"^\[num_threads: \d+\]$", "[num_threads: 0]", text, flags=re.MULTILINE)
    return _shift_margins(text, shift) if shift else text


def _shift_margins(text: str, shift: float) -> str:
    """Add the shift to the leaves of the first tree, as LightGBM does with its own start value.

    Margin, base value and every other reader of the text then agree.
    """
    head, trees, tail = split_trees(text)
    return join_trees(
        head, [change_leaves(trees[0], lambda value: value + shift), *trees[1:]], tail
    )


def _require_both_classes(part: str, target: Floats) -> None:
    cure = "widen the part, or check cases and label_maturity_days"
    require_both_classes(f"part {part!r}", int(target.sum()), target.size, cure=cure)


def _dataset(
    matrix: Floats,
    target: Floats,
    rows: Ints,
    specs: Sequence[Input],
    config: ModelConfig,
) -> "lgb.Dataset":
    import lightgbm as lgb

    # otherwise the matrix itself is passed on: a copy would double the memory
    if rows.size < target.size or config.negative_share < 1.0:
        matrix, target = matrix[rows], target[rows]
    weighted = config.positive_weight != 1.0
    return lgb.Dataset(
        matrix,
        target,
        weight=np.where(target != 0, config.positive_weight, 1.0) if weighted else None,
        # LightGBM renames or refuses names with blanks or JSON's own characters
        feature_name=[quote(spec.name) for spec in specs],
        categorical_feature=[quote(spec.name) for spec in specs if spec.kind == "category"],
        params={
            "max_bin": config.max_bin,
            "min_data_in_leaf": config.min_child_samples,
            "num_threads": config.n_jobs,
            "verbosity": -1,
        },
    )


def _parameters(specs: Sequence[Input], config: ModelConfig) -> dict[str, object]:
    parameters: dict[str, object] = {
        "objective": "binary",
        "metric": config.metric,
        "learning_rate": config.learning_rate,
        "num_leaves": config.num_leaves,
        "min_data_in_leaf": config.min_child_samples,
        "feature_fraction": config.colsample_bytree,
        "bagging_fraction": config.subsample,
        # LightGBM ignores the fraction unless the frequency is above 0
        "bagging_freq": 1 if config.subsample < 1.0 else 0,
        "lambda_l2": config.reg_lambda,
        "max_bin": config.max_bin,
        "seed": config.seed,
        "num_threads": config.n_jobs,
        # the same rows give the same trees on any number of threads: by columns, one thread adds
        # up a whole histogram; by rows, the order of the sum depends on the number of threads
        "deterministic": True,
        "force_col_wise": True,
        "verbosity": -1,
    }
    if config.monotone:
        parameters["monotone_constraints"] = [spec.monotone for spec in specs]
    return parameters


def _callbacks(
    config: ModelConfig, progress: Callable[[int, int], None] | None
) -> list[Callable[..., object]]:
    import lightgbm as lgb

    callbacks: list[Callable[..., object]] = [
        lgb.early_stopping(
            config.stopping_rounds, first_metric_only=True, verbose=False, min_delta=_NO_GAIN
        )
    ]
    if progress is not None:
        callbacks.append(lambda env: progress(env.iteration + 1, config.n_estimators))
    return callbacks
