"""How customers move between classes: how far, and whether moves fade with distance."""

import numpy as np
from scipy import stats

from kyc_ml.metrics.arrays import Floats, Ints


def matrix_weighted_bandwidth(counts: Ints) -> tuple[float, float]:
    """Weigh moves by their distance, upward and downward apart.

    With N_ij rows from place i to j of K::

        upward = sum_(i<j) |i - j| N_ij / sum_i max(i - 1, K - i) sum_(j>i) N_ij

    and downward with j < i, places counted from 1. Each is in [0, 1]: 0 where no row moved
    that way, 1 where every row that did went as far as the longer side of the matrix allows.

    Source: ECB 2019, Instructions for reporting the validation results of internal models,
    section 2.5.5.1.

    Parameters
    ----------
    counts : int array of shape (K, K), before by after
    """
    k = counts.shape[0]
    place = np.arange(k)
    steps = place[None, :] - place[:, None]
    farthest = np.maximum(place, k - 1 - place)[:, None]
    found = []
    for way in (steps > 0, steps < 0):
        moved = np.where(way, counts, 0)
        most = float((farthest * moved).sum())
        found.append(float((np.abs(steps) * moved).sum()) / most if most else 0.0)
    return found[0], found[1]


def migration_z(counts: Ints) -> tuple[Floats, Floats]:
    """Test, cell by cell, whether the nearer class is the likelier one.

    Of row i with N_i customers, f the share in the cell and g that in the neighbouring cell
    one step toward the diagonal, z = (g - f) / sqrt((f (1 - f) + g (1 - g) + 2 f g) / N_i).

    Source: ECB 2019, Instructions for reporting the validation results of internal models,
    section 2.5.5.2.

    Parameters
    ----------
    counts : int array of shape (K, K), before by after

    Returns
    -------
    z, p_value : float64 arrays of shape (K, K)
        A small p-value says that mass grows away from the diagonal. NaN on the diagonal, and
        where neither cell holds a customer.
    """
    place = np.arange(counts.shape[0])
    steps = place[None, :] - place[:, None]
    total = counts.sum(axis=1, keepdims=True).astype(np.float64)
    total[total == 0.0] = np.nan
    share = counts / total
    # the neighbour one step nearer to the class that customers started in
    near = np.take_along_axis(share, place[None, :] - np.sign(steps), axis=1)
    spread = (share * (1.0 - share) + near * (1.0 - near) + 2.0 * share * near) / total
    fade = near - share
    # without spread all customers of the row are in one of both cells, or none in either
    z = np.where((spread == 0.0) & (fade != 0.0), np.copysign(np.inf, fade), np.nan)
    np.divide(fade, np.sqrt(spread), out=z, where=(steps != 0) & (spread > 0.0))
    return z, np.asarray(stats.norm.cdf(z))
