# ruff: noqa: N803, N806  scikit-learn names the rows X
"""The calibrated model as a scikit-learn classifier."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags, assert_all_finite, check_array, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from kyc_ml.config import CalibrationConfig, CalibrationMethod, ModelConfig, check_section
from kyc_ml.errors import ConfigError, DatasetError
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
from kyc_ml.model.estimators.labels import find_adverse, list_classes, require_two
from kyc_ml.model.estimators.parts import FitParts, Labelled, hold_back

_MODEL: Final = (
    *("n_estimators", "stopping_rounds", "learning_rate", "num_leaves"),
    *("colsample_bytree", "subsample", "reg_lambda", "max_bin", "metric"),
    *("negative_share", "positive_weight"),
)
"""Parameters that have their names in `ModelConfig`."""
_CALLED: Final = {
    "candidates": "calibration",
    "folds": "calibration_folds",
    "seed": "random_state",
}
"""Names of parameters by the key of a configuration, where scikit-learn uses another word."""
_PARAMETERS: Final = "parameters of RiskClassifier"
_SEED: Final = ModelConfig().seed
_CANDIDATES: Final = CalibrationConfig().candidates
_LEAVES_AT_LEAST: Final = 20
"""Leaves that few rows should still allow for (convention)."""


class RiskClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # untyped
    """LightGBM with early stopping on later rows, calibrated on rows later still.

    Rows must be in time order: the first ones train, the next ones stop the fitting, the most
    recent ones calibrate. Leave out rows whose outcome is not known yet, and rows of an embargo
    between the parts: pass rows for a part to `fit` where these shares do not suit.

    Where a class has too few rows, none are held back: `fit` warns (`TooFewRowsWarning`), and
    `parts_not_held_` names the part. Of rows that are sorted by class the last ones of each
    class are held back, with a `RowOrderWarning`.

    Parameters
    ----------
    n_estimators, stopping_rounds, learning_rate, num_leaves, colsample_bytree, subsample,
    reg_lambda, max_bin, metric, negative_share, positive_weight
        As in `kyc_ml.config.ModelConfig`, with its defaults. The names that LightGBM's own
        classifier has mean the same there.
    min_child_samples : int or None
        Fewest rows of a leaf. None is the value of `ModelConfig`, but at most a twentieth of the
        training rows: otherwise few rows would make no leaf at all.
    monotone : mapping of column to -1, 0 or 1, optional
        Direction of the risk: 1 rises with the value, -1 falls, 0 is free.
    positive_label : label, optional
        The adverse outcome among the classes. None is the one that sorts last, as 1 of 0 and 1.
        Text has no such order: without a name `fit` warns, and everything that needs the adverse
        outcome (`margin`, `contributions`, `base_value`, `positive_weight`, `negative_share`,
        `monotone`) raises `DatasetError`.
    early_stopping_share, calibration_share : float, in [0, 1)
        Shares of the rows held back, the most recent ones. Without rows for early stopping all
        trees are fitted; without rows for calibration probabilities are those of the margin.
    calibration : str or sequence of str
        The calibration method, or methods to compare; see `CalibrationConfig`.
    calibration_folds : int
        Folds of that comparison: calibration needs at least this many rows of each class.
    random_state : int, RandomState or None
        With None every fit draws another seed.
    n_jobs : int or None
        Threads; they change no figure. As in scikit-learn, None is one thread, -1 all processors.

    Attributes
    ----------
    classes_ : array of shape (2,)
        Sorted.
    positive_label_ : label or None
        The adverse outcome, which `margin` and `contributions` describe; None where labels are
        text and `positive_label` names none.
    n_features_in_, feature_names_in_
        Names only where the columns of `X` have text as names.
    model_ : Model
    calibrator_ : Calibrator
    calibration_ : CalibrationChoice or None
        The comparison of the methods; None without calibration.
    best_round_ : int
    parts_ : DataFrame
        One row a part: part, rows, positives.
    parts_not_held_ : tuple of 'early_stopping', 'calibration'
        Parts with too few rows of a class. Without the first all trees were fitted, without
        the second probabilities are not calibrated.
    rows_taken_by_class_ : bool
        True if rows came sorted by class, and the parts were taken of each class.
    vocabularies_ : dict of category column to its values
        Other values count as missing; `predict` warns where that is a whole column.

    Notes
    -----
    `margin` is the log-odds before calibration: it has no ties of calibration, and SHAP
    contributions add up to it. `decision_function` is the margin of `classes_[1]`, as
    scikit-learn's scorers expect: its sign is reversed where that class is not the adverse
    outcome. `predict` compares the calibrated probability with one half, so a row with a margin
    above 0 need not be predicted as adverse.

    `fit` takes no ``sample_weight``: it would shift the probabilities, and unlike a weight of a
    whole class no correction could restore them. `positive_weight` and `negative_share` are
    such corrections by class: probabilities remain those of all rows. To give old rows less
    influence, fit on fewer of them.

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
        # only stored, never changed or checked here: `clone` of scikit-learn requires it
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
        """Return a classifier with the parameters of a configuration's section ``model:``.

        Parameters
        ----------
        others
            Further parameters; they replace those of the section. Its `monotone`, `refit` and
            `averaged` are not used: the first needs declared features, the others parts in time.
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
        """Fit, stop early and calibrate on rows in time order.

        Parameters
        ----------
        X : array, table of pandas, Polars or pyarrow, or FeatureTable, of n rows
            Numbers, NaN where missing, and, in tables, categories (of dtype category). A
            category must be one in later tables too; whole numbers are the same category as
            integers and as floats. Columns with text as names are found by name; columns with
            numbers as names are taken by position, and must stay in order.
        y : array of shape (n,)
            Two classes; see `positive_label`.
        early_stopping, calibration : pairs (X, y), optional
            Later rows for the part; none of `X` are held back for it then.

        Raises
        ------
        DatasetError
            If a part lacks one of the classes although there are enough rows, a column is
            neither number nor category or changes its kind between parts, two columns have one
            name, or `positive_label` is not among the classes.
        ConfigError
            If a parameter breaks its rule.
        """
        X, target = self._read(X, y, reset=True)
        given: dict[str, Labelled] = {}
        for name, rows in (("early_stopping", early_stopping), ("calibration", calibration)):
            if rows is not None:
                given[name] = self._read(*rows, reset=False)
        # everything that can be wrong is checked before the long fitting
        self._require_adverse_named()
        maps = self._calibration_config()
        parts = hold_back(
            target,
            early_stopping_share=self.early_stopping_share,
            calibration_share=self.calibration_share,
            calibration_folds=self.calibration_folds,
            given={name: outcome for name, (_, outcome) in given.items()},
        )
        self.parts_not_held_: tuple[str, ...] = parts.not_held
        self.rows_taken_by_class_: bool = parts.by_class
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
        """Return calibrated probabilities, shape (n, 2), in order of `classes_`."""
        margin = self._margin(X)
        adverse = self.calibrator_.probability(margin)
        columns = [1.0 - adverse, adverse]
        return np.column_stack(columns if self._adverse_last() else columns[::-1])

    def decision_function(self, X: Any) -> Floats:  # noqa: ANN401
        """Return the log-odds of `classes_[1]` before calibration, shape (n,)."""
        margin = self._margin(X)
        return margin if self._adverse_last() else -margin

    def margin(self, X: Any) -> Floats:  # noqa: ANN401
        """Return the log-odds of the adverse outcome before calibration, shape (n,)."""
        self._require_adverse("margin")
        return self._margin(X)

    def _margin(self, X: Any) -> Floats:  # noqa: ANN401
        """Return the log-odds of the class that was fitted as 1."""
        matrix = self._checked(X)
        return self.model_.margin(matrix, threads=self._threads())

    def predict(self, X: Any) -> AnyArray:  # noqa: ANN401
        """Return the class whose calibrated probability is above one half, shape (n,)."""
        later = self.predict_proba(X)[:, 1] > 0.5
        return np.asarray(self.classes_[later.astype(np.intp)])

    def contributions(self, X: Any) -> pd.DataFrame:  # noqa: ANN401
        """Compute the SHAP contribution of each column to each row's margin, in log-odds.

        Path-dependent and exact: `base_value` plus the sum of a row is its margin.
        Source: Lundberg et al. 2020, Nature Machine Intelligence 2, 56-67.

        Returns
        -------
        DataFrame of shape (n, n_features_in_)
            With the columns and, for a table, the index of `X`.
        """
        self._require_adverse("contributions")
        matrix = self._checked(X)
        shared = self.model_.contributions(matrix, threads=self._threads()).values  # noqa: PD011
        index = getattr(as_frame(X), "index", None)
        kept = index if isinstance(index, pd.Index) else None
        return pd.DataFrame(shared, columns=list(self._names()), index=kept)

    @property
    def base_value(self) -> float:
        """The mean margin of the training rows, log-odds: contributions are added to it."""
        self._require_adverse("base_value")
        # the base is the same for every row
        nothing = np.full((1, self.n_features_in_), np.nan)
        return float(self.model_.contributions(nothing, threads=1).base[0])

    @property
    def feature_importances_(self) -> Floats:
        """Share of each column in the total gain, shape (n_features_in_,); the sum is 1, or 0."""
        check_is_fitted(self)
        gain = self.model_.importance()
        # a model without splits has no gain: 0 / tiny is 0
        return gain / max(float(gain.sum()), np.finfo(np.float64).tiny)

    def _read(self, X: Any, y: npt.ArrayLike, *, reset: bool) -> Labelled:  # noqa: ANN401
        """Check rows and outcomes; learn the names of columns and classes if `reset`."""
        X = self._named(X, reset=reset)
        outcome = column_or_1d(y, warn=True)
        assert_all_finite(outcome, input_name="y")
        check_classification_targets(outcome)
        found = np.unique(outcome)
        if reset:
            require_two(outcome, found)
            self.classes_ = found
            self.positive_label_ = find_adverse(found, self.positive_label)
            self._target_label = found[1] if self.positive_label_ is None else self.positive_label_
        elif not set(found) <= set(self.classes_):
            msg = "rows for early stopping or calibration have a class that the training rows lack"
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
            # categories have no numbers yet: `_matrix` checks the values after encoding
            validate_data(self, X, reset=reset, skip_check_array=True)
            self._require_order(list(X.columns), reset=reset)
            return with_text_names(X)
        if reset:
            self._numbers: list[object] | None = None
        return validate_data(self, X, reset=reset, dtype=np.float64, ensure_all_finite="allow-nan")

    def _require_order(self, columns: list[object], *, reset: bool) -> None:
        """Raise if columns without names changed their order: scikit-learn does not check that."""
        numbers = None if all(isinstance(each, str) for each in columns) else columns
        if reset:
            self._numbers = numbers
        elif numbers is not None and self._numbers is not None and numbers != self._numbers:
            raise DatasetError(
                f"columns for RiskClassifier were {self._numbers[:10]} in fit and are "
                f"{numbers[:10]} now: give the same, in the same order"
            )

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
        """Raise unless the adverse outcome is known, which `asked` needs."""
        check_is_fitted(self)
        if self.positive_label_ is None:
            raise DatasetError(
                f"{asked} of RiskClassifier needs the adverse outcome, and the classes are "
                f"{list_classes(self.classes_)}: name it with positive_label and fit again"
            )

    def _require_adverse_named(self) -> None:
        """Raise if a parameter needs the adverse outcome, and nothing names it."""
        asked = {
            "positive_weight": self.positive_weight != 1.0,
            "negative_share": self.negative_share != 1.0,
            "monotone": bool(self.monotone),
        }
        names = [name for name, used in asked.items() if used]
        if self.positive_label_ is None and names:
            raise DatasetError(
                f"{', '.join(names)} of RiskClassifier need(s) the adverse outcome, and the "
                f"classes are {list_classes(self.classes_)}: name it with positive_label"
            )

    def _fit_model(
        self, fitted: Labelled, stopping: Labelled | None, *, config: ModelConfig
    ) -> None:
        asked = self.monotone or {}
        if self._numbers is not None and isinstance(asked, Mapping):
            # the columns of such a frame were renamed to text: the names asked for follow
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
            # LightGBM's seed is a C int
            seed = check_random_state(seed).randint(2**31 - 1)
        content = {name: getattr(self, name) for name in _MODEL}
        least = self.min_child_samples
        content["min_child_samples"] = _least_in_leaf(rows) if least is None else least
        content |= {"seed": seed, "n_jobs": self._threads(), "monotone": bool(self.monotone)}
        return check_section(content, ModelConfig, subject=_PARAMETERS, names=_CALLED)

    def _threads(self) -> int:
        """Return the number of threads that `n_jobs` means in scikit-learn."""
        asked = self.n_jobs
        if asked == 0 or not isinstance(asked, int | np.integer | None):
            raise ConfigError(
                f"{_PARAMETERS}: n_jobs must be a whole number, -1 for all processors or None for "
                f"one, got {asked!r}"
            )
        if asked is None:
            return 1
        # -1 means all processors, -2 all but one
        return int(asked) if asked > 0 else max(1, (os.cpu_count() or 1) + 1 + int(asked))


def _least_in_leaf(rows: int) -> int:
    """Return the fewest rows of a leaf for this number of training rows."""
    return max(1, min(ModelConfig().min_child_samples, rows // _LEAVES_AT_LEAST))


def _describe(parts: FitParts, target: Floats, held: Mapping[str, Labelled]) -> pd.DataFrame:
    outcomes = {"train": target[parts.train], **{name: rows[1] for name, rows in held.items()}}
    return pd.DataFrame(
        [
            {"part": name, "rows": outcome.size, "positives": int(outcome.sum())}
            for name, outcome in outcomes.items()
        ]
    )
