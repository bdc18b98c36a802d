"""Cross-validation by customer: every row is predicted by a model fitted without its customer.

Training evaluates a model by it, and a later evaluation computes it again from the bundle and
the data: the folds, the trees and the maps follow from the configuration.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from kyc_ml.config import CustomerFoldsConfig, RunConfig
from kyc_ml.dataset import customers_of
from kyc_ml.display import StageProgress
from kyc_ml.errors import ConfigError, DatasetError
from kyc_ml.features import FeatureSpec, FeatureTable
from kyc_ml.metrics import Floats, Ints, Names
from kyc_ml.model import Method, Model, SegmentRows, calibrate_by_fold, choose_rounds, fit_fixed
from kyc_ml.registry import Bundle
from kyc_ml.training.evidence import fit_baseline

Specs = tuple[FeatureSpec, ...]

FOLDS: Final = "cross_validation"
"""Name of the part of out-of-fold rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfFold:
    """Each of n rows, predicted by a model fitted without its customer."""

    fold: Ints
    """int64 array of shape (n,); from 0: the fold that the row was held out in, with all rows of
    its customer."""
    margin: Floats
    baseline: Floats
    """`margin` and `baseline`: float64 arrays of shape (n,), log-odds; of the model of the other
    folds, and of the logistic regression on the same rows. Margins of different folds are of
    different models: a figure over all rows mixes them."""
    trees: tuple[int, ...]
    """Tuple of int, one a fold."""

    def probability(
        self, target: Floats, *, method: Method, segments: SegmentRows | None = None
    ) -> Floats:
        """Calibrate each row's margin on the other folds, shape (n,); see `calibrate_by_fold`."""
        return calibrate_by_fold(self.margin, target, self.fold, method=method, segments=segments)

    def baseline_probability(self, target: Floats) -> Floats:
        """Calibrate the baseline in the same way by Platt's method, shape (n,)."""
        return calibrate_by_fold(self.baseline, target, self.fold, method="platt")


def split_customers(target: Floats, customers: Names, *, folds: int, seed: int) -> Ints:
    """Assign each row a fold from 0: each customer to one fold, positives evenly.

    Raises DatasetError if there are fewer customers than folds, or fewer rows of a class.

    Returns int64 array of shape (n,).
    """
    owners, positives = np.unique(customers).size, int(target.sum())
    fewest = min(owners, positives, target.size - positives)
    if fewest < folds:
        raise DatasetError(
            f"{folds} folds by customer need as many customers and rows of each class, got "
            f"{owners} customers and {positives} positives of {target.size} rows: ask for fewer "
            "folds, or check cases and the dates"
        )
    split = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    fold = np.empty(target.size, np.int64)
    # the split reads outcomes and customers only: the first argument just has the right length
    for number, (_, held) in enumerate(split.split(target[:, None], target, customers)):
        fold[held] = number
    return fold


def fit_whole(
    matrix: Floats, target: Floats, customers: Names, *, specs: Specs, config: RunConfig
) -> Model:
    """Fit on all given rows, with as many trees as inner folds choose, or all of `n_estimators`.

    The outer folds repeat this whole procedure, the choice of the number included: otherwise
    their test rows would have had a part in it.

    Source: Varma and Simon 2006, BMC Bioinformatics 7, 91.
    """
    model, inner = config.model, require_customer_folds(config).early_stopping_folds
    if inner is not None:
        fold = split_customers(target, customers, folds=inner, seed=model.seed)
        pairs = [(np.flatnonzero(fold != n), np.flatnonzero(fold == n)) for n in range(inner)]
        trees = choose_rounds(matrix, target, pairs, specs=specs, config=model)
        model = model.model_copy(update={"n_estimators": trees})
    return fit_fixed(matrix, target, specs=specs, config=model)


def predict_out_of_fold(
    matrix: Floats,
    target: Floats,
    customers: Names,
    *,
    specs: Specs,
    config: RunConfig,
    tell: StageProgress,
) -> OutOfFold:
    """Predict every row by a model and a baseline fitted without its customer.

    `matrix`: float64 array of shape (n, p).
    `customers`: object array of shape (n,).
    """
    splits = require_customer_folds(config)
    fold = split_customers(target, customers, folds=splits.folds, seed=config.model.seed)
    margin, baseline, trees = np.zeros(target.size), np.zeros(target.size), []
    for number in range(splits.folds):
        fitted, held = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        rows = (matrix[fitted], target[fitted], customers[fitted])
        model = fit_whole(*rows, specs=specs, config=config)
        margin[held] = model.margin(matrix[held], threads=1)
        baseline[held] = fit_baseline(*rows, specs=specs, config=config).margin(matrix[held])
        trees.append(model.n_trees)
        tell("cross-validating", number + 1, splits.folds)
    return OutOfFold(fold=fold, margin=margin, baseline=baseline, trees=tuple(trees))


def predict_again(
    bundle: Bundle, features: FeatureTable, target: Floats, *, tell: StageProgress
) -> tuple[OutOfFold, Floats]:
    """Repeat the cross-validation of a bundle: out-of-fold predictions of its training rows.

    On the data that it was trained on, with the same versions, they are those of the
    training to the last bit; the figures that the bundle keeps show whether they are.

    `features`: FeatureTable of n rows; all rows that the model was fitted on, in the order of
    observations; it holds the model's columns.
    `target`: float64 array of shape (n,); outcomes as they were known on the training date.
    Returns what was found and the probabilities, float64 of shape (n,), by the method of the
    bundle's own map, fitted on the other folds.
    """
    own = features.reorder(bundle.model.feature_names)
    matrix, _ = own.encode(bundle.vocabularies)
    customers = customers_of(own.keys)
    config = bundle.config
    found = predict_out_of_fold(
        matrix, target, customers, specs=own.specs, config=config, tell=tell
    )
    segments = segment_rows(own, config)
    method = bundle.calibrator.method
    return found, found.probability(target, method=method, segments=segments)


def segment_rows(features: FeatureTable, config: RunConfig) -> SegmentRows | None:
    """Return each row's segment as a calibration reads it; None without segments."""
    name = config.calibration.segment
    values = features.segment(name)
    if name is None or values is None:
        return None
    strength = config.calibration.segment_strength
    return SegmentRows.of(values, n=len(features), feature=name, strength=strength)


def require_customer_folds(config: RunConfig) -> CustomerFoldsConfig:
    """Return the folds of a run that is cross-validated by customer, or raise."""
    if not isinstance(config.splits, CustomerFoldsConfig):
        raise ConfigError(
            f"splits.method is {config.splits.method}: only a model cross-validated by customer "
            "(customer_folds) has out-of-fold rows; this one was evaluated on its test part"
        )
    return config.splits
