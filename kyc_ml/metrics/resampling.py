"""The bootstrap over customers: whole customers are drawn, all their rows with them."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd

from kyc_ml.metrics.arrays import Floats, Ints, Names


def number_customers(customers: Names) -> Ints:
    """Assign each customer a number from 0, in the order of names, whatever the order of rows."""
    return np.asarray(pd.factorize(customers, sort=True)[0], dtype=np.int64)


def draw_customers(groups: Ints, rng: np.random.Generator) -> Ints:
    """Draw as many customers as there are, with replacement.

    Rows of one customer are not independent: drawn apart, they would make intervals too narrow.

    Source: Davison and Hinkley 1997, Bootstrap Methods and their Application, section 3.8.

    Parameters
    ----------
    groups : int64 array of shape (n,)
        The customer of each row, as a number from 0; each number up to the highest counts as
        a customer.

    Returns
    -------
    int64 array of shape (n,)
        How often each row is drawn: as often as its customer.

    Examples
    --------
    >>> draw_customers(np.array([0, 0, 1, 2]), np.random.default_rng(0)).tolist()
    [0, 0, 2, 1]
    """
    n = int(groups.max()) + 1 if groups.size else 0
    if not n:
        return np.zeros(0, np.int64)
    # looked up in half the memory: of a million customers, the look-up takes a third of the time
    times = np.bincount(rng.integers(n, size=n), minlength=n).astype(np.int32)[groups]
    return times.astype(np.int64)


def drawn_rows(times: Ints) -> Ints:
    """List the rows of a draw, each as often as it was drawn, in the order of the rows."""
    return np.repeat(np.arange(times.size), times)


def bootstrap(
    figures: Callable[[Ints], npt.ArrayLike],
    groups: Ints,
    *,
    draws: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Floats:
    """Compute figures of many draws of customers, one draw in memory at a time.

    Parameters
    ----------
    figures : callable
        Takes the number of times that each row is in the sample, shape (n,), and returns k figures;
        NaN where the draw has no such figure, as an area under the ROC curve of one class.
    groups : int64 array of shape (n,)
        See `draw_customers`.
    progress : callable, optional
        Called with the draws done and the number of all draws.

    Returns
    -------
    float64 array of shape (draws, k)

    Examples
    --------
    >>> paid = np.array([1.0, 2.0, 3.0])
    >>> bootstrap(lambda times: [(times * paid).sum()], np.arange(3), draws=9, seed=0).shape
    (9, 1)
    """
    if draws < 1:
        raise ValueError(f"bootstrap: draws must be at least 1, got {draws}")
    rng = np.random.default_rng(seed)
    found = []
    for number in range(draws):
        found.append(np.asarray(figures(draw_customers(groups, rng)), dtype=np.float64))
        if progress is not None:
            progress(number + 1, draws)
    return np.array(found)


def percentile_interval(drawn: Floats, *, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """Compute the percentile interval of each figure, over the draws that have it.

    Source: Davison and Hinkley 1997, section 5.3.1.

    Parameters
    ----------
    drawn : float64 array of shape (draws, k)
        As `bootstrap` gives it.

    Returns
    -------
    low, high : float64 arrays of shape (k,)
        NaN for a figure that fewer than two draws have.
    """
    tail = (1.0 - confidence) / 2
    low, high = np.full((2, drawn.shape[1]), np.nan)
    for place, values in enumerate(drawn.T):
        known = values[~np.isnan(values)]
        if known.size > 1:
            low[place], high[place] = np.quantile(known, [tail, 1.0 - tail])
    return low, high
