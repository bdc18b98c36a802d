"""Whether a model gains more from a feature than from noise."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from kyc_ml.config import ModelConfig, SelectionConfig
from kyc_ml.metrics import Floats, Ints, sample_rows
from kyc_ml.model.booster import fit_fixed
from kyc_ml.model.selection.rows import TrainingRows, number_labels

NOISE: Final = ("gain", "noise_gain", "hits")
"""Columns of `compare_noise`; see `Selection.table`."""
_FEW_VALUES: Final = 10
_COPIES_OF_A_CATEGORY: Final = 5


def compare_noise(
    rows: TrainingRows,
    alive: Ints,
    config: SelectionConfig,
    *,
    threads: int,
    progress: Callable[[int, int], None] | None,
) -> pd.DataFrame:
    """Fit small models with added noise features, and count how often each feature gains more.

    `alive`: int64 array; places of the columns to compare.
    Returns DataFrame of `NOISE`; one row a column, indexed by its place.
    """
    pools = _pools(rows, alive)
    gains, bars = np.zeros((2, config.repetitions, alive.size))
    for number in range(config.repetitions if alive.size else 0):
        gains[number], bars[number] = _gain_beside_noise(
            rows, alive, pools, config, number=number, threads=threads
        )
        if progress is not None:
            progress(number + 1, config.repetitions)
    won = (gains > bars).sum(axis=0)
    figures = (np.median(gains, axis=0), np.median(bars, axis=0), won.astype(np.float64))
    return pd.DataFrame(dict(zip(NOISE, figures, strict=True)), index=alive)


def _pools(rows: TrainingRows, alive: Ints) -> Ints:
    """Return a number of each feature: equal where noise is compared together, else from 2 on."""
    # the more values a feature has, the more it gains by chance: like is compared with like
    pools = np.zeros(alive.size, np.int64)
    for place, column in enumerate(alive):
        if rows.specs[column].kind == "category":
            pools[place] = place + 2
        else:
            pools[place] = np.unique(rows.matrix[:, column]).size > _FEW_VALUES
    return pools


def _gain_beside_noise(
    rows: TrainingRows,
    alive: Ints,
    pools: Ints,
    config: SelectionConfig,
    *,
    number: int,
    threads: int,
) -> tuple[Floats, Floats]:
    """Fit one small model: the gain of each feature, and what its pool of noise gains."""
    # a separate stream for each repetition, whatever the others drew
    rng = np.random.default_rng([config.seed, number])
    drawn = _draw(rows.matrix, rows.target, config, seed=int(rng.integers(2**32)))
    source = np.concatenate(
        [
            # `resize` repeats the shuffled features until there are enough
            np.resize(
                rng.permutation(np.flatnonzero(pools == pool)),
                config.noise_features if pool < 2 else _COPIES_OF_A_CATEGORY,
            )
            for pool in np.unique(pools)
        ]
    )
    copied = alive[source]
    # columns are filled one by one
    beside = np.empty((drawn.size, alive.size + copied.size), order="F")
    beside[:, : alive.size] = rows.matrix[np.ix_(drawn, alive)]
    groups = number_labels(rows.groups[drawn])
    for place, column in enumerate(copied, alive.size):
        beside[:, place] = rows.matrix[drawn[_deal(groups, rng)], column]
    noise = [
        replace(rows.specs[column], name=f"noise {place} of {rows.specs[column].name}")
        for place, column in enumerate(copied)
    ]
    small = ModelConfig(
        seed=config.seed + number,
        n_jobs=threads,
        n_estimators=config.n_estimators,
        num_leaves=config.num_leaves,
        learning_rate=0.1,
        min_child_samples=20,
        colsample_bytree=0.5,
    )
    shown = [rows.specs[column] for column in alive]
    model = fit_fixed(beside, rows.target[drawn], specs=[*shown, *noise], config=small)
    gain, by_chance = np.split(model.importance(), [alive.size])
    bars = {
        pool: np.quantile(by_chance[pools[source] == pool], config.quantile)
        for pool in np.unique(pools)
    }
    return gain, np.array([bars[pool] for pool in pools])


def _draw(matrix: Floats, target: Floats, config: SelectionConfig, *, seed: int) -> Ints:
    """Draw at most `most_rows` rows: positives up to half of them, negatives for the rest."""
    positives, negatives = np.flatnonzero(target != 0), np.flatnonzero(target == 0)
    if target.size <= config.most_rows:
        return np.arange(target.size)
    most = max(config.most_rows // 2, config.most_rows - negatives.size)
    chosen = sample_rows(matrix, positives, count=most, seed=seed)
    left = config.most_rows - chosen.size
    return np.sort(np.r_[chosen, sample_rows(matrix, negatives, count=left, seed=seed)])


def _deal(groups: Ints, rng: np.random.Generator) -> Ints:
    """Return for each group the rows of another, repeated or thinned to its number of rows."""
    # shuffled so, a feature keeps its likeness within customers, which alone gains something where
    # outcomes are alike within customers
    order = np.argsort(groups, kind="stable")
    sizes = np.bincount(groups)
    starts = np.cumsum(sizes) - sizes
    donor = rng.permutation(sizes.size)
    own = groups[order]
    step = np.arange(groups.size) - starts[own]
    source = np.empty(groups.size, np.int64)
    source[order] = order[starts[donor[own]] + step * sizes[donor[own]] // sizes[own]]
    return source
