# ruff: noqa: N803, N806  scikit-learn names the rows X
"""The calibrated model as a scikit-learn classifier."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags, assert_all_finite, check_array, check_random_state
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from kyc_ml.config import CalibrationConfig, CalibrationMethod, ModelConfig, check_section
from kyc_ml.errors import ConfigError, DatasetError, Faults, RowOrderWarning, TooFewRowsWarning
from kyc_ml.features import Direction
from kyc_ml.metrics import AnyArray, Floats
from kyc_ml.model.booster import Model, fit_fixed, fit_model
from kyc_ml.model.calibration.choosing import CalibrationChoice, choose_calibrator
from kyc_ml.model.calibration.maps import Calibrator
from kyc_ml.model.estimators.columns import (
    as_frame,
    encode,
    input_columns,
    learn_vocabularies,
    require_readable,
    with_text_names,
)
from kyc_ml.model.estimators.parts import FitParts, Labelled, is_chance, lay_out, order_of

_MODEL: Final = (
    *("n_estimators", "stopping_rounds", "learning_rate", "num_leaves"),
    *("colsample_bytree", "subsample", "reg_lambda", "max_bin", "metric"),
    *("negative_share", "positive_weight"),
)
"""Parameters that are called as in `ModelConfig`."""
_CALLED: Final = {
    "candidates": "calibration",
    "folds": "calibration_folds",
    "seed": "random_state",
}
"""Parameters by the keys of a configuration, where they are called otherwise."""
_PARAMETERS: Final = "parameters of RiskClassifier"
_SEED: Final = ModelConfig().seed
_CANDIDATES: Final = CalibrationConfig().candidates
_SORTED: Final = (
    "rows are sorted by class, which is no order of time: of each class the last rows were held "
    "back to stop by and to calibrate on; sort rows by time, or set early_stopping_share and "
    "calibration_share to 0"
)
_LEAVES_AT_LEAST: Final = 20
"""As many leaves as rows should do for where they are few (convention)."""


class RiskClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # untyped
    """LightGBM that stops on later rows and is calibrated on rows later still.

    Rows are taken in the order given, which has to be that of time: the first train, then
    come those to stop on, and the last calibrate. What was not known in time is the caller's
    to leave out, and so is an embargo: give sets of your own to `fit` for either.

    Where there are too few rows of a class to hold back, none are: `fit` warns
    (`TooFewRowsWarning`), and `parts_not_held_` names what was not done. Where rows come sorted
    by class, the last of each class are held back, with a `RowOrderWarning`.

    Parameters
    ----------
    n_estimators, stopping_rounds, learning_rate, num_leaves, colsample_bytree, subsample,
    reg_lambda, max_bin, metric, negative_share, positive_weight
        See `kyc_ml.config.ModelConfig`, whose defaults these are.
    min_child_samples : int or None
        Fewest rows of a leaf. None takes that of `ModelConfig`, but at most a twentieth of the
        rows that train, so that few rows can be told apart at all.
    monotone : mapping of column to -1, 0 or 1, optional
        Directions that the risk keeps: 1 rises with the value, -1 falls, 0 is free.
    positive_label : label, optional
        The adverse outcome among the classes. None takes the one that sorts last, as of 0 and
        1. Labels that are text have no such order: without a name nothing is taken for adverse,
        `fit` warns, and what is about the adverse outcome (`margin`, `contributions`,
        `base_value`, `positive_weight`, `negative_share`, `monotone`) is refused.
    early_stopping_share, calibration_share : float, in [0, 1)
        Shares of the rows held back, the last of them. Without rows to stop on all trees are
        fitted; without rows to calibrate on probabilities are the margin's own.
    calibration : str or sequence of str
        The map, or maps that are compared, on the rows to calibrate on; see
        `CalibrationConfig`.
    calibration_folds : int
        Each of the two classes needs as many rows to calibrate on.
    random_state : int, RandomState or None
        None draws a seed, and fits differ.
    n_jobs : int or None
        Threads; they change no figure. As scikit-learn has it, None is one and -1 all there are.

    Attributes
    ----------
    classes_ : array of shape (2,)
        In order, as scikit-learn has them.
    positive_label_ : label or None
        The adverse outcome: what `margin` and `contributions` are about; None where labels are
        text and `positive_label` names none.
    n_features_in_, feature_names_in_
        The names only where `X` had some, as scikit-learn does.
    model_ : Model
    calibrator_ : Calibrator
    calibration_ : CalibrationChoice or None
        How the candidates did; None where nothing was calibrated.
    best_round_ : int
    parts_ : DataFrame
        What each part held: part, rows, positives.
    parts_not_held_ : tuple of 'early_stopping', 'calibration'
        Parts for which too few rows of a class were given. Without the first all trees were
        fitted, without the second probabilities are not calibrated.
    rows_taken_by_class_ : bool
        Rows came sorted by class, and parts were taken of each class.
    vocabularies_ : dict of category column to its values
        A value outside is taken as missing; a warning says where that is a whole column.

    Notes
    -----
    `margin` is before calibration: it ranks without ties, and contributions add up to it.
    `decision_function` is the same for `classes_[1]`, as scikit-learn's scorers take it: with
    the sign turned where that is not the adverse outcome. `predict` goes by the calibrated
    probability, at one half, so a margin above 0 need not be predicted as adverse.

    `fit` takes no ``sample_weight``: margins, the rows to stop on and the calibrated
    probabilities speak of rows as often as they occur, and weights of single rows would move
    them by what nothing can take back. What is known by class can be undone exactly:
    `positive_weight` weights the adverse outcome, `negative_share` leaves others out, and
    probabilities stay those of all rows. To let old rows count less, fit on fewer of them.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame({"amount": rng.gamma(2.0, size=2000), "night": rng.random(2000) < 0.2})
    >>> y = rng.random(2000) < 0.04 * X["amount"] * (1 + 3 * X["night"])
    >>> model = RiskClassifier(n_estimators=50).fit(X, y)
    >>> model.predict_proba(X).shape
    (2000, 2)
    >>> shares = model.contributions(X)
    >>> bool(np.allclose(model.base_value + shares.sum(axis=1), model.margin(X)))
    True
    """

    def __init__(
        self,
        *,
        n_estimators: int = 600,
        stopping_rounds: int = 50,
        learning_rate: float = 0.05,
        num_leaves: int = 31,
        min_child_samples: int | None = None,
        colsample_bytree: float = 0.5,
        subsample: float = 1.0,
        reg_lambda: float = 5.0,
        max_bin: int = 255,
        metric: Literal["average_precision", "binary_logloss", "auc"] = "average_precision",
        negative_share: float = 1.0,
        positive_weight: float = 1.0,
        positive_label: object = None,
        monotone: Mapping[str, Direction] | None = None,
        early_stopping_share: float = 0.15,
        calibration_share: float = 0.15,
        calibration: CalibrationMethod | Sequence[CalibrationMethod] = _CANDIDATES,
        calibration_folds: int = 5,
        random_state: int | np.random.RandomState | None = _SEED,
        n_jobs: int | None = 2,
    ) -> None:
        self.n_estimators = n_estimators
        self.stopping_rounds = stopping_rounds
        self.learning_rate = learning_rate
        self.num_leaves = num_leaves
        self.min_child_samples = min_child_samples
        self.colsample_bytree = colsample_bytree
        self.subsample = subsample
        self.reg_lambda = reg_lambda
        self.max_bin = max_bin
        self.metric = metric
        self.negative_share = negative_share
        self.positive_weight = positive_weight
        self.positive_label = positive_label
        self.monotone = monotone
        self.early_stopping_share = early_stopping_share
        self.calibration_share = calibration_share
        self.calibration = calibration
        self.calibration_folds = calibration_folds
        self.random_state = random_state
        self.n_jobs = n_jobs

    @classmethod
    def from_config(cls, model: ModelConfig, **others: Any) -> Self:  # noqa: ANN401
        """Give a classifier with the parameters of a configuration's section ``model:``.

        `others` are further parameters, and go before those of the section. Its `monotone` and
        `refit` are not taken over: the first follows from declared features, the second from
        parts in time.
        """
        taken = {name: getattr(model, name) for name in (*_MODEL, "min_child_samples")}
        taken |= {"random_state": model.seed, "n_jobs": model.n_jobs}
        return cls(**(taken | others))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.allow_nan = True
        return tags

    def fit(
        self,
        X: Any,  # noqa: ANN401  whatever scikit-learn takes, tables of any library besides
        y: npt.ArrayLike,
        *,
        early_stopping: tuple[Any, npt.ArrayLike] | None = None,
        calibration: tuple[Any, npt.ArrayLike] | None = None,
    ) -> Self:
        """Fit, stop and calibrate on rows in order of time.

        Parameters
        ----------
        X : array, table of pandas, Polars or pyarrow, or FeatureTable, of n rows
            Numbers, NaN where missing, and, in tables, categories (of dtype category). What
            was a category here has to be one later, in a table, and known by its values: whole
            numbers are the same values as integers and as floats. Columns are called by text;
            numbers are taken for no names, and go by their order, which has to stay.
        y : array of shape (n,)
            Two classes; see `positive_label`.
        early_stopping, calibration : pairs (X, y), optional
            Rows of your own, of a later time; nothing is held back for that purpose then.

        Raises
        ------
        DatasetError
            If a part lacks one of the classes though there are rows enough, a column is neither
            number nor category, or not of one kind in all parts, two are of one name, or
            `positive_label` is none of the classes.
        ConfigError
            If a parameter breaks its rule.
        """
        X, target = self._read(X, y, reset=True)
        given: dict[str, Labelled] = {}
        for name, rows in (("early_stopping", early_stopping), ("calibration", calibration)):
            if rows is not None:
                given[name] = self._read(*rows, reset=False)
        self._require_adverse_named()
        maps = self._calibration_config()
        parts = self._lay_out(target, given)
        model = self._model_config(parts.train.size)
        self.vocabularies_ = learn_vocabularies(X, parts.train)
        matrix = self._matrix(X)
        held = {name: (matrix[rows], target[rows]) for name, rows in parts.held.items()}
        held |= {name: (self._matrix(rows), outcome) for name, (rows, outcome) in given.items()}
        self.parts_ = _describe(parts, target, held)
        fitted = (matrix[parts.train], target[parts.train])
        self._fit_model(fitted, held.get("early_stopping"), config=model)
        self._calibrate(held.get("calibration"), config=maps)
        return self

    def predict_proba(self, X: Any) -> Floats:  # noqa: ANN401
        """Give calibrated probabilities of both classes, shape (n, 2), in order of `classes_`."""
        margin = self._margin(X)
        adverse = self.calibrator_.probability(margin)
        columns = [1.0 - adverse, adverse]
        return np.column_stack(columns if self._adverse_last() else columns[::-1])

    def decision_function(self, X: Any) -> Floats:  # noqa: ANN401
        """Give the log-odds of `classes_[1]` before calibration, shape (n,)."""
        margin = self._margin(X)
        return margin if self._adverse_last() else -margin

    def margin(self, X: Any) -> Floats:  # noqa: ANN401
        """Give the log-odds of the adverse outcome before calibration, shape (n,)."""
        self._require_adverse("margin")
        return self._margin(X)

    def _margin(self, X: Any) -> Floats:  # noqa: ANN401
        """Give the log-odds of the class that was fitted as 1."""
        matrix = self._checked(X)
        return self.model_.margin(matrix, threads=self._threads())

    def predict(self, X: Any) -> AnyArray:  # noqa: ANN401
        """Give the class whose calibrated probability is above one half, shape (n,)."""
        later = self.predict_proba(X)[:, 1] > 0.5
        return np.asarray(self.classes_[later.astype(np.intp)])

    def contributions(self, X: Any) -> pd.DataFrame:  # noqa: ANN401
        """Share each row's margin out to the columns, exactly.

        Path-dependent SHAP values of log-odds: `base_value` plus a row's sum is its margin.
        Source: Lundberg et al. 2020, Nature Machine Intelligence 2, 56-67.

        Returns
        -------
        DataFrame of shape (n, n_features_in_)
            Columns are called as those of `X`, and rows indexed as a table's.
        """
        self._require_adverse("contributions")
        matrix = self._checked(X)
        shared = self.model_.contributions(matrix, threads=self._threads()).values  # noqa: PD011
        index = getattr(as_frame(X), "index", None)
        kept = index if isinstance(index, pd.Index) else None
        return pd.DataFrame(shared, columns=list(self._names()), index=kept)

    @property
    def base_value(self) -> float:
        """What every margin starts from: the mean margin of the training rows, log-odds."""
        self._require_adverse("base_value")
        nothing = np.full((1, self.n_features_in_), np.nan)
        return float(self.model_.contributions(nothing, threads=1).base[0])

    @property
    def feature_importances_(self) -> Floats:
        """Share of each column in the total gain, shape (n_features_in_,); sums to 1, or to 0."""
        check_is_fitted(self)
        gain = self.model_.importance()
        return gain / max(float(gain.sum()), np.finfo(np.float64).tiny)

    def _read(self, X: Any, y: npt.ArrayLike, *, reset: bool) -> Labelled:  # noqa: ANN401
        """Check rows and outcomes; learn the names of columns and classes if `reset`."""
        X = self._named(X, reset=reset)
        outcome = column_or_1d(y, warn=True)
        assert_all_finite(outcome, input_name="y")
        check_classification_targets(outcome)
        found = np.unique(outcome)
        if reset:
            _require_two(outcome, found)
            self.classes_ = found
            self.positive_label_ = _find_adverse(found, self.positive_label)
            self._target_label = found[1] if self.positive_label_ is None else self.positive_label_
        elif not set(found) <= set(self.classes_):
            msg = "rows to stop or calibrate on have classes that the training rows have not"
            raise DatasetError(msg)
        target = np.asarray(outcome == self._target_label, dtype=np.float64)
        if target.size != len(X):
            msg = f"Found input variables with inconsistent numbers of samples: {len(X)} rows, "
            msg += f"{target.size} outcomes"
            raise DatasetError(msg)
        return X, target

    def _named(self, X: Any, *, reset: bool) -> Any:  # noqa: ANN401
        """Check names and number of columns; arrays are checked value by value."""
        X = as_frame(X)
        require_readable(X)
        if isinstance(X, pd.DataFrame):
            validate_data(self, X, reset=reset, skip_check_array=True)
            self._require_order(list(X.columns), reset=reset)
            return with_text_names(X)
        if reset:
            self._numbers: list[object] | None = None
        return validate_data(self, X, reset=reset, dtype=np.float64, ensure_all_finite="allow-nan")

    def _require_order(self, columns: list[object], *, reset: bool) -> None:
        """Refuse columns without names in another order than in fit: scikit-learn does not look."""
        numbers = None if all(isinstance(each, str) for each in columns) else columns
        if reset:
            self._numbers = numbers
        elif numbers is not None and self._numbers is not None and numbers != self._numbers:
            msg = (
                f"columns for RiskClassifier were {self._numbers[:10]} in fit and are "
                f"{numbers[:10]} now: give the same, in the same order"
            )
            raise DatasetError(msg)

    def _checked(self, X: Any) -> Floats:  # noqa: ANN401
        check_is_fitted(self)
        return self._matrix(self._named(X, reset=False))

    def _matrix(self, X: Any) -> Floats:  # noqa: ANN401
        coded = encode(X, self.vocabularies_)
        checked = check_array(
            coded, dtype=np.float64, ensure_all_finite="allow-nan", estimator=self, input_name="X"
        )
        return np.asarray(checked)

    def _adverse_last(self) -> bool:
        return bool(self._target_label == self.classes_[1])

    def _names(self) -> Sequence[str]:
        named = getattr(self, "feature_names_in_", None)
        if named is not None:
            return list(named)
        if self._numbers is not None:
            return [str(each) for each in self._numbers]
        return [f"x{place}" for place in range(self.n_features_in_)]

    def _require_adverse(self, asked: str) -> None:
        """Refuse what is about the adverse outcome where nobody said which it is."""
        check_is_fitted(self)
        if self.positive_label_ is None:
            msg = (
                f"{asked} of RiskClassifier is about the adverse outcome, and the classes are "
                f"{_say_classes(self.classes_)}: name it with positive_label and fit again"
            )
            raise DatasetError(msg)

    def _require_adverse_named(self) -> None:
        """Refuse parameters that treat the adverse outcome apart where nobody said which it is."""
        asked = {
            "positive_weight": self.positive_weight != 1.0,
            "negative_share": self.negative_share != 1.0,
            "monotone": bool(self.monotone),
        }
        names = [name for name, used in asked.items() if used]
        if self.positive_label_ is None and names:
            msg = (
                f"{', '.join(names)} of RiskClassifier hang(s) on which class is adverse, and the "
                f"classes are {_say_classes(self.classes_)}: name it with positive_label"
            )
            raise DatasetError(msg)

    def _lay_out(self, target: Floats, given: Mapping[str, Labelled]) -> FitParts:
        """Cut the rows into parts; hold none back for a part that they are too few for.

        Raises
        ------
        DatasetError
            If a part is poor though there are rows enough, or is one of the user's own.
        """
        shares = {
            "early_stopping": self.early_stopping_share,
            "calibration": self.calibration_share,
        }
        self.parts_not_held_: tuple[str, ...] = ()
        order = order_of(target) if set(shares) - set(given) and any(shares.values()) else None
        self.rows_taken_by_class_ = order is not None
        if order is not None:
            warnings.warn(_SORTED, RowOrderWarning, stacklevel=3)
        while True:
            parts = lay_out(
                target.size,
                early_stopping_share=shares["early_stopping"],
                calibration_share=shares["calibration"],
                given=frozenset(given),
                order=order,
            )
            held = {name: target[rows] for name, rows in parts.held.items()}
            poor = self._poor_parts({"train": target[parts.train], **held})
            few = [
                name
                for name in ("calibration", "early_stopping")
                if name in poor and is_chance(target, share=shares[name], least=self._least(name))
            ]
            if not few:
                break
            shares[few[0]] = 0.0
            self.parts_not_held_ = (few[0], *self.parts_not_held_)
        _require_parts(poor | self._poor_parts({name: rows[1] for name, rows in given.items()}))
        if self.parts_not_held_:
            warnings.warn(_say_not_held(self.parts_not_held_), TooFewRowsWarning, stacklevel=3)
        return parts

    def _least(self, part: str) -> int:
        """Give how many rows of each class a part needs."""
        return self.calibration_folds if part == "calibration" else 1

    def _poor_parts(self, outcomes: Mapping[str, Floats]) -> dict[str, str]:
        """Say of each part that nothing can be learnt from or judged by what it lacks."""
        poor = {}
        for part, outcome in outcomes.items():
            positives, least = int(outcome.sum()), self._least(part)
            if min(positives, outcome.size - positives) < least:
                poor[part] = (
                    f"part {part!r} needs {least} rows of each class, got {positives} positives "
                    f"of {outcome.size}"
                )
        return poor

    def _fit_model(
        self, fitted: Labelled, stopping: Labelled | None, *, config: ModelConfig
    ) -> None:
        asked = self.monotone or {}
        if self._numbers is not None and isinstance(asked, Mapping):
            asked = {str(name): direction for name, direction in asked.items()}
        specs = input_columns(self._names(), self.vocabularies_, asked)
        matrix, target = fitted
        self.best_round_: int = config.n_estimators
        if stopping is None:
            self.model_: Model = fit_fixed(matrix, target, specs=specs, config=config)
            return
        rows, outcome = stopping
        fit = fit_model(
            matrix,
            target,
            stopping_matrix=rows,
            stopping_target=outcome,
            specs=specs,
            config=config,
        )
        self.model_, self.best_round_ = fit.model, fit.best_round

    def _calibrate(self, rows: Labelled | None, *, config: CalibrationConfig) -> None:
        self.calibration_: CalibrationChoice | None = None
        self.calibrator_ = Calibrator(method="none")
        if rows is None:
            return
        margin = self.model_.margin(rows[0], threads=self._threads())
        self.calibration_ = choose_calibrator(margin, rows[1], config=config)
        self.calibrator_ = self.calibration_.calibrator

    def _calibration_config(self) -> CalibrationConfig:
        one = isinstance(self.calibration, str)
        candidates = (self.calibration,) if one else self.calibration
        content = {"candidates": candidates, "folds": self.calibration_folds}
        return check_section(content, CalibrationConfig, subject=_PARAMETERS, names=_CALLED)

    def _model_config(self, rows: int) -> ModelConfig:
        seed = self.random_state
        if not isinstance(seed, int | np.integer):
            seed = check_random_state(seed).randint(2**31 - 1)
        content = {name: getattr(self, name) for name in _MODEL}
        least = self.min_child_samples
        content["min_child_samples"] = _least_in_leaf(rows) if least is None else least
        content |= {"seed": seed, "n_jobs": self._threads(), "monotone": bool(self.monotone)}
        return check_section(content, ModelConfig, subject=_PARAMETERS, names=_CALLED)

    def _threads(self) -> int:
        """Give the number of threads that `n_jobs` means, as scikit-learn reads it."""
        asked = self.n_jobs
        if asked == 0 or not isinstance(asked, int | np.integer | None):
            msg = (
                f"{_PARAMETERS}: n_jobs must be a whole number, -1 for all processors or None for "
                f"one, got {asked!r}"
            )
            raise ConfigError(msg)
        if asked is None:
            return 1
        return int(asked) if asked > 0 else max(1, (os.cpu_count() or 1) + 1 + int(asked))


def _least_in_leaf(rows: int) -> int:
    """Give the fewest rows of a leaf, where so many rows train."""
    return max(1, min(ModelConfig().min_child_samples, rows // _LEAVES_AT_LEAST))


def _require_parts(poor: Mapping[str, str]) -> None:
    """Refuse poor parts; all are named."""
    faults = Faults(
        "rows for RiskClassifier: sort them by time, leave out those too new for an outcome, give "
        "fit rows of your own for a part, or hold none back for it (early_stopping_share or "
        "calibration_share of 0)",
        DatasetError,
    )
    faults.extend(poor.values())
    faults.raise_if_any()


def _say_not_held(parts: Sequence[str]) -> str:
    done = {
        "early_stopping": "to stop by: all trees are fitted",
        "calibration": "to calibrate on: probabilities are the model's own",
    }
    return (
        "too few rows of a class to hold some back "
        + ", and ".join(done[part] for part in parts)
        + "; bring more rows, or set early_stopping_share and calibration_share to 0"
    )


def _say_classes(classes: AnyArray) -> str:
    return ", ".join(repr(each) for each in classes.tolist())


def _require_two(outcome: AnyArray, found: AnyArray) -> None:
    """Refuse anything but two classes, in scikit-learn's own words where it has some."""
    if found.size > 2:
        msg = (
            "Only binary classification is supported. The type of the target is "
            f"{type_of_target(outcome)}."
        )
        raise DatasetError(msg)
    if found.size < 2:
        msg = (
            f"RiskClassifier needs rows of both classes, got {outcome.size} rows of one class: "
            "check the labels, or take a longer period"
        )
        raise DatasetError(msg)


def _find_adverse(classes: AnyArray, asked: object) -> Any:  # noqa: ANN401  any label
    """Give the label of the adverse outcome; None, with a warning, where it cannot be known."""
    if asked is None:
        if classes.dtype.kind in "OUT":  # numbers and flags have an order of their own
            msg = (
                f"labels are text, {_say_classes(classes)}, and nothing says which is adverse: "
                "name it with positive_label; predict_proba has its columns in this order"
            )
            warnings.warn(msg, stacklevel=4)
            return None
        return classes[1]
    if asked not in list(classes):
        msg = (
            f"positive_label of RiskClassifier is {asked!r}, but the classes are "
            f"{_say_classes(classes)}: name one of them"
        )
        raise DatasetError(msg)
    return asked


def _describe(parts: FitParts, target: Floats, held: Mapping[str, Labelled]) -> pd.DataFrame:
    outcomes = {"train": target[parts.train], **{name: rows[1] for name, rows in held.items()}}
    return pd.DataFrame(
        [
            {"part": name, "rows": outcome.size, "positives": int(outcome.sum())}
            for name, outcome in outcomes.items()
        ]
    )
