"""Probe labels for leaks: rank by each feature alone, and learn from shuffled labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import stats
from sklearn.metrics import roc_auc_score

from kyc_ml.config import ModelConfig
from kyc_ml.dataset import customers_of
from kyc_ml.display import StageProgress
from kyc_ml.features import FeatureTable
from kyc_ml.metrics import Floats, Ints, Names, auc_interval
from kyc_ml.model import fit_fixed

HIGHEST_AUC: Final = 0.95
"""A single feature with a higher AUC knows the label. Convention."""

CONFIDENCE: Final = 0.999
"""Level of the interval of shuffled labels: one audit in a thousand raises a false alarm."""

FEWEST: Final = 20
"""Positives, and negatives, below which a high AUC can be chance (convention)."""

_FOLDS: Final = 5
_PRIOR_ROWS: Final = 5.0
_MOST_ROUNDS: Final = 50
_Z: Final = float(stats.norm.ppf(0.5 + CONFIDENCE / 2))
_Z_OF_AUC_INTERVAL: Final = float(stats.norm.ppf(0.975))


@dataclass(frozen=True, slots=True, kw_only=True)
class ShuffledLabels:
    """AUC of a model that learned shuffled labels, with its interval at `CONFIDENCE`."""

    auc: float
    low: float
    high: float

    @property
    def passed(self) -> bool:
        """True if the interval contains 0.5: nothing was learned from noise."""
        return self.low <= 0.5 <= self.high


def probe(
    features: FeatureTable,
    target: Floats,
    *,
    config: ModelConfig,
    seed: int,
    tell: StageProgress,
) -> tuple[pd.DataFrame, ShuffledLabels | None]:
    """Run both probes on rows whose labels are mature.

    Returns
    -------
    single : DataFrame
        See `single_feature_auc`.
    shuffled : ShuffledLabels or None
        See `shuffled_label_auc`.
    """
    customers = customers_of(features.keys)
    tell("probing labels", 0, 2)
    single = single_feature_auc(features, target, customers=customers)
    tell("probing labels", 1, 2)
    shuffled = shuffled_label_auc(features, target, customers=customers, config=config, seed=seed)
    tell("probing labels", 2, 2)
    return single, shuffled


def single_feature_auc(features: FeatureTable, target: Floats, *, customers: Names) -> pd.DataFrame:
    """Compute the AUC of each feature alone: feature, auc; the highest first.

    A number has the larger of AUC and 1 - AUC, because low values may be the risky ones.
    Missing values rank below all others. A category ranks by the share of positives among
    other customers of the same value; its AUC is not mirrored, because a value far below 0.5
    is an effect of the folds.
    """
    folds = _folds_of(customers)
    found = []
    for column, spec in enumerate(features.specs):
        if spec.kind == "category":
            score = _share_elsewhere(features.categories[spec.name], target, folds)
            auc = float(roc_auc_score(target, score))
        else:
            auc = float(roc_auc_score(target, _ranked(features.numbers[:, column])))
            auc = max(auc, 1.0 - auc)
        found.append((spec.name, auc))
    table = pd.DataFrame(found, columns=["feature", "auc"])
    return table.sort_values(["auc", "feature"], ascending=[False, True], ignore_index=True)


def shuffle_labels(target: Floats, *, seed: int) -> Floats:
    """Permute the labels; the same seed gives the same order."""
    return np.random.default_rng(seed).permutation(target)


def shuffled_label_auc(
    features: FeatureTable,
    target: Floats,
    *,
    customers: Names,
    config: ModelConfig,
    seed: int,
) -> ShuffledLabels | None:
    """Fit a small model with shuffled labels on half of the customers, evaluate on the others.

    The interval is DeLong's or, where that is narrower, that of the AUC of noise, which is right
    also for few positives. Source: Mann and Whitney 1947, Annals of Mathematical
    Statistics 18, 50-60. None if a half has one class only.
    """
    shuffled = shuffle_labels(target, seed=seed)
    codes, names = pd.factorize(customers, sort=True)
    half = np.random.default_rng([seed, 1]).permutation(len(names))[codes] < len(names) // 2
    if any(np.unique(shuffled[part]).size < 2 for part in (half, ~half)):
        return None
    matrix, _ = features.encode(features.learn_vocabularies(np.ones(len(features), np.bool_)))
    small = config.model_copy(update={"n_estimators": min(config.n_estimators, _MOST_ROUNDS)})
    model = fit_fixed(matrix[half], shuffled[half], specs=features.specs, config=small)
    margin = model.margin(matrix[~half], threads=config.n_jobs)
    return _interval(shuffled[~half], margin)


def _interval(target: Floats, score: Floats) -> ShuffledLabels:
    auc, low, high = auc_interval(target, score)
    # the wider side: the other one may be cut off at 0 or 1
    delong = max(auc - low, high - auc) * _Z / _Z_OF_AUC_INTERVAL
    positives, negatives = int(target.sum()), int((1 - target).sum())
    of_noise = _Z * np.sqrt((target.size + 1) / (12 * positives * negatives))
    reach = float(max(delong, of_noise))
    return ShuffledLabels(auc=auc, low=max(0.0, auc - reach), high=min(1.0, auc + reach))


def _ranked(values: Floats) -> Floats:
    """Put missing values below all others, and infinite ones at the ends."""
    return np.asarray(stats.rankdata(np.where(np.isnan(values), -np.inf, values)))


def _folds_of(customers: Names) -> Ints:
    codes, names = pd.factorize(customers, sort=True)
    return np.asarray(np.random.default_rng(0).permutation(len(names))[codes] % _FOLDS)


def _share_elsewhere(values: pa.Array, target: Floats, folds: Ints) -> Floats:
    """Return the share of positives of the same value in the other folds, shrunk to the mean."""
    codes = pd.factorize(values.to_pandas(), use_na_sentinel=False)[0]
    score = np.zeros(target.size)
    for fold in range(_FOLDS):
        here = folds == fold
        size = codes.max() + 1
        rows = np.bincount(codes[~here], minlength=size)
        positives = np.bincount(codes[~here], weights=target[~here], minlength=size)
        mean = target[~here].mean() if (~here).any() else 0.0
        share = (positives + _PRIOR_ROWS * mean) / (rows + _PRIOR_ROWS)
        score[here] = share[codes[here]]
    return score
