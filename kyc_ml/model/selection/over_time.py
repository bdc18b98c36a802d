"""Whether a feature, and its relation to the outcome, stay the same over time."""

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from kyc_ml.metrics import Floats, FrozenBins, Ints, compute_psi, psi_critical
from kyc_ml.model.selection.rows import TrainingRows, number_labels

TIME: Final = ("psi", "psi_real", "psi_blocks", "z_low", "z_high")
"""Columns of `compare_blocks`; see `Selection.table`."""
_PSI_LEVEL: Final = 0.01
_FEWEST_OF_A_CLASS: Final = 5
"""With fewer positives or negatives in a block the sign of a relation is chance."""


def cut_blocks(times: npt.ArrayLike, blocks: int) -> Ints:
    """Return the block of each row: at most `blocks` of equal size, in time order.

    Equal times share a block.
    """
    when = number_labels(times)
    # ends are times that occur, so that rows of one time share a block
    ends = np.quantile(when, np.arange(1, blocks) / blocks, method="higher")
    return number_labels(np.searchsorted(np.unique(ends), when, side="right"))


def compare_blocks(rows: TrainingRows, alive: Ints, blocks: Ints) -> pd.DataFrame:
    """Compare blocks of time: distribution, and relation to the outcome.

    `alive`: int64 array; places of the columns to compare.
    `blocks`: int64 array of shape (n,); as `cut_blocks` returns it.
    Returns DataFrame of `TIME`; one row a column, indexed by its place.
    """
    inside = [np.flatnonzero(blocks == block) for block in range(int(blocks.max()) + 1)]
    people = [np.unique(rows.groups[here]).size for here in inside]
    found = []
    for column in alive:
        # the column is read many times: one copy in order is faster
        values = np.ascontiguousarray(rows.matrix[:, column])
        category = rows.specs[column].kind == "category"
        place = number_labels(FrozenBins.of(values, category=category).place(values))
        counts = [np.bincount(place[here], minlength=int(place.max()) + 1) for here in inside]
        z = np.full(1, np.nan)
        if not category:
            z = np.array([relation_z(values[i], rows.target[i], rows.groups[i]) for i in inside])
        known = z[~np.isnan(z)]
        low, high = (known.min(), known.max()) if known.size else (np.nan, np.nan)
        found.append((*_largest_psi(counts, people), low, high))
    return pd.DataFrame(found, index=alive, columns=list(TIME))


def _largest_psi(counts: list[Ints], people: list[int]) -> tuple[float, bool, str]:
    """Find the largest PSI of two blocks less its expectation by chance, and whether it is real.

    Sizes are taken as numbers of customers, which rather keeps a feature.

    Source: as for `psi_critical`.
    """
    best = (-np.inf, False, "")
    pairs = [(a, b) for b in range(len(counts)) for a in range(b)]
    bins = counts[0].size
    for a, b in pairs:
        psi = compute_psi(counts[a], counts[b])
        beyond = psi - (1.0 / people[a] + 1.0 / people[b]) * (bins - 1)
        if beyond > best[0]:
            bound = psi_critical(bins, people[a], people[b], level=_PSI_LEVEL / len(pairs))
            best = (beyond, bool(psi > bound), f"{a + 1} and {b + 1}")
    return best if pairs else (np.nan, False, "")


def relation_z(values: Floats, target: Floats, groups: Ints) -> float:
    """Return the distance of a feature's area under the ROC curve from 0.5, in standard errors.

    Rows without a value are left out. The standard error adds up each group's share, so
    rows of one customer count as one piece of evidence.

    Source: Obuchowski 1997, Biometrics 53, 567-578.

    Positive where the risk rises with the feature; NaN with few rows of a class.
    """
    present = ~np.isnan(values)
    values, positive, groups = values[present], target[present] != 0, groups[present]
    n, m = int(positive.sum()), int((~positive).sum())
    if min(n, m) < _FEWEST_OF_A_CLASS:
        return np.nan
    ranks = stats.rankdata(values)
    share = np.empty(values.size)
    share[positive] = (ranks[positive] - stats.rankdata(values[positive])) / m
    share[~positive] = 1.0 - (ranks[~positive] - stats.rankdata(values[~positive])) / n
    area = float(share[positive].mean())
    pull = (share - area) / np.where(positive, n, m)
    spread = float((np.bincount(groups, weights=pull) ** 2).sum())
    if spread == 0.0:
        return 0.0 if area == 0.5 else float(np.copysign(np.inf, area - 0.5))
    return (area - 0.5) / float(np.sqrt(spread))
