"""Probe labels for leaks: each feature alone, each of its values, and shuffled labels."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
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

PURE: Final = 0.9
"""Share of positives above which a value says the label, where positives are rare (convention)."""

_RARE: Final = 0.1
_LEAST_CUSTOMERS: Final = 15
"""With half of them positive in truth, 15 of 15 occur once in 30,000 samples."""
_LEAST_OF_ALL: Final = 0.05
"""Convention: fewer of all positives may be a typology that one instrument or product has alone."""
_MOST_VALUES: Final = 50
"""Convention: a number of fewer different values is a code, a flag or a count."""
_OF_CASES: Final = "label_history"
"""Family that counts past cases: a place where all goes wrong is honestly known after a while."""

_FOLDS: Final = 5
_PRIOR_ROWS: Final = 5.0
_MOST_ROUNDS: Final = 50
_Z: Final = float(stats.norm.ppf(0.5 + CONFIDENCE / 2))
_Z_OF_AUC_INTERVAL: Final = float(stats.norm.ppf(0.975))


@dataclass(frozen=True, slots=True, kw_only=True)
class ShuffledLabels:
    """AUC of a model that learned shuffled labels, with its interval at `CONFIDENCE`.

    `p_value` is of nothing learned: the chance of an AUC at least as far from 0.5.
    """

    auc: float
    low: float
    high: float
    p_value: float

    @property
    def passed(self) -> bool:
        """True if the interval contains 0.5: nothing was learned from noise."""
        return self.low <= 0.5 <= self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class Probes:
    """What `probe` found: see `single_feature_auc`, `pure_values` and `shuffled_label_auc`."""

    single: pd.DataFrame
    pure: pd.DataFrame
    shuffled: ShuffledLabels | None


def probe(
    features: FeatureTable,
    target: Floats,
    *,
    negatives: int,
    config: ModelConfig,
    seed: int,
    tell: StageProgress,
) -> Probes:
    """Run all probes on rows whose labels are mature.

    `negatives` is the number of negatives of which those in `target` are a sample.
    """
    customers = customers_of(features.keys)
    tell("probing labels", 0, 3)
    single = single_feature_auc(features, target, customers=customers)
    tell("probing labels", 1, 3)
    pure = pure_values(features, target, customers=customers, negatives=negatives)
    tell("probing labels", 2, 3)
    shuffled = shuffled_label_auc(features, target, customers=customers, config=config, seed=seed)
    tell("probing labels", 3, 3)
    return Probes(single=single, pure=pure, shuffled=shuffled)


def pure_values(
    features: FeatureTable, target: Floats, *, customers: Names, negatives: int
) -> pd.DataFrame:
    """List single values that nearly only positives have, where at most a tenth are positive.

    Values are those of categories, of numbers of up to 50 different values, and "missing". A value
    is listed if at least `PURE` of its rows, and of its customers, are positive, if these are at
    least `FEWEST` rows of 15 customers, and a twentieth of all positives. The AUC of a feature
    does not show such a value if few positives have it. Features of label history are left out.

    `negatives`: number of all negatives; those in `target` are a sample of them.
    feature, value, rows, positives, customers, of_all (share of all positives); the value with most
    positives first.
    """
    positive = target == 1
    found = []
    weight = negatives / max(1, int((~positive).sum()))
    if positive.sum() <= _RARE * (positive.sum() + negatives):
        who = pd.factorize(customers)[0]
        for column, spec in enumerate(features.specs):
            if spec.family == _OF_CASES:
                continue
            codes, values = _values_of(features, column)
            # only values that positives have are looked at
            counts = np.bincount(codes[positive], minlength=len(values))
            for value in np.flatnonzero(counts >= max(FEWEST, _LEAST_OF_ALL * positive.sum())):
                here = codes == value
                ill, well = (np.unique(who[here & each]).size for each in (positive, ~positive))
                other = weight * int((here & ~positive).sum())
                if (
                    counts[value] >= PURE * (counts[value] + other)
                    and ill >= PURE * (ill + weight * well)
                    and ill >= _LEAST_CUSTOMERS
                ):
                    share = counts[value] / positive.sum()
                    rows = int(here.sum())
                    found.append((spec.name, values[value], rows, int(counts[value]), ill, share))
    columns = ["feature", "value", "rows", "positives", "customers", "of_all"]
    return pd.DataFrame(found, columns=columns).sort_values(
        ["positives", "feature", "value"], ascending=[False, True, True], ignore_index=True
    )


def _values_of(features: FeatureTable, column: int) -> tuple[Ints, list[str]]:
    """Return codes of a feature's values and these as text; of many numbers, missing or not."""
    spec = features.specs[column]
    if spec.kind == "category":
        codes, names = pd.factorize(features.categories[spec.name].to_pandas())
        return np.where(codes < 0, len(names), codes), [*map(str, names), "missing"]
    numbers = features.numbers[:, column]
    codes, values = pd.factorize(numbers)
    texts = [f"{each:g}" for each in values[: _MOST_VALUES + 1]]
    if len(texts) > _MOST_VALUES:
        codes, texts = np.where(np.isnan(numbers), -1, 0), ["present"]
    return np.where(codes < 0, len(texts), codes), [*texts, "missing"]


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
            codes = pd.factorize(features.categories[spec.name].to_pandas(), use_na_sentinel=False)[
                0
            ]
            score = np.zeros(target.size)
            for fold in range(_FOLDS):
                here = folds == fold
                size = codes.max() + 1
                rows = np.bincount(codes[~here], minlength=size)
                positives = np.bincount(codes[~here], weights=target[~here], minlength=size)
                mean = target[~here].mean() if (~here).any() else 0.0
                score[here] = ((positives + _PRIOR_ROWS * mean) / (rows + _PRIOR_ROWS))[codes[here]]
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
    return _interval(shuffled[~half], model.margin(matrix[~half], threads=config.n_jobs))


def _interval(target: Floats, score: Floats) -> ShuffledLabels:
    auc, low, high = auc_interval(target, score)
    # the wider side: the other one may be cut off at 0 or 1
    delong = max(auc - low, high - auc) * _Z / _Z_OF_AUC_INTERVAL
    positives, negatives = int(target.sum()), int((1 - target).sum())
    of_noise = _Z * np.sqrt((target.size + 1) / (12 * positives * negatives))
    reach = float(max(delong, of_noise))
    return ShuffledLabels(
        auc=auc,
        low=max(0.0, auc - reach),
        high=min(1.0, auc + reach),
        p_value=float(2.0 * stats.norm.sf(_Z * abs(auc - 0.5) / reach)),
    )


def _ranked(values: Floats) -> Floats:
    """Put missing values below all others, and infinite ones at the ends."""
    return np.asarray(stats.rankdata(np.where(np.isnan(values), -np.inf, values)))


def _folds_of(customers: Names) -> Ints:
    codes, names = pd.factorize(customers, sort=True)
    return np.asarray(np.random.default_rng(0).permutation(len(names))[codes] % _FOLDS)
