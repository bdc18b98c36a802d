"""The bootstrap over customers: whole customers are drawn, all their rows with them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

Ints = npt.NDArray[np.int64]


def number_customers(customers: npt.NDArray[np.object_]) -> Ints:
    """Give each customer a number from 0, in the order of names, whatever the order of rows."""
    return np.asarray(pd.factorize(customers, sort=True)[0], dtype=np.int64)


def draw_customers(groups: Ints, rng: np.random.Generator) -> Ints:
    """Draw as many customers as there are, with replacement.

    Rows of one customer are no independent evidence: drawn apart, they would make intervals
    too narrow.

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
    return np.bincount(rng.integers(n, size=n), minlength=n)[groups]


def drawn_rows(times: Ints) -> Ints:
    """List the rows of a draw, each as often as it was drawn, in the order of the rows."""
    return np.repeat(np.arange(times.size), times)
