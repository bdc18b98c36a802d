"""Which rows train, which stop the training, and which calibrate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from scipy.stats import poisson

from kyc_ml.errors import ConfigError, Faults
from kyc_ml.metrics import Floats, Ints

_BY_CHANCE: Final = 0.01

Labelled: TypeAlias = tuple[Any, Floats]
"""Rows, and 1 for each adverse outcome among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitParts:
    """Row numbers of each part, in the order the rows were given.

    Attributes
    ----------
    train : int64 array
    held : mapping of 'early_stopping', 'calibration' to int64 array
        Only parts that rows are held back for.
    """

    train: Ints
    held: Mapping[str, Ints]


def lay_out(
    n: int,
    *,
    early_stopping_share: float,
    calibration_share: float,
    given: frozenset[str],
    order: Ints | None = None,
) -> FitParts:
    """Cut n rows, in order of time, into train, early stopping and calibration.

    Parameters
    ----------
    given : frozenset of str
        Parts that come from rows of their own.
    order : int64 array of shape (n,), optional
        The order to take them in; None is as they come.

    Raises
    ------
    ConfigError
        If a share is not in [0, 1), or both leave nothing to train on.

    Examples
    --------
    >>> parts = lay_out(
    ...     10, early_stopping_share=0.2, calibration_share=0.3, given=frozenset()
    ... )
    >>> parts.train.tolist(), {name: rows.tolist() for name, rows in parts.held.items()}
    ([0, 1, 2, 3, 4], {'early_stopping': [5, 6], 'calibration': [7, 8, 9]})
    """
    shares = {"early_stopping": early_stopping_share, "calibration": calibration_share}
    faults = Faults("parameters of RiskClassifier", ConfigError)
    for name, share in shares.items():
        if not 0.0 <= share < 1.0:
            faults.add(f"{name}_share must be at least 0 and below 1, got {share!r}")
    counts = {name: 0 if name in given else round(n * share) for name, share in shares.items()}
    if sum(counts.values()) >= n:
        faults.add(
            f"the shares leave none of {n} rows to train on: lower early_stopping_share or "
            "calibration_share"
        )
    faults.raise_if_any()
    first = n - sum(counts.values())
    taken = np.arange(n) if order is None else order
    held, start = {}, first
    for name, count in counts.items():
        if count:
            held[name] = np.sort(taken[start : start + count])
        start += count
    return FitParts(train=np.sort(taken[:first]), held=held)


def order_of(target: Floats) -> Ints | None:
    """Spread the classes of rows that come sorted by class; None where they do not.

    Sorted by class, the last rows are of one class, and no part of them could stop a fit or
    calibrate it. Each class keeps its own order.

    Examples
    --------
    >>> order_of(np.array([0.0, 0.0, 0.0, 0.0, 1.0, 1.0])).tolist()
    [0, 4, 1, 2, 5, 3]
    >>> order_of(np.array([0.0, 1.0, 0.0])) is None
    True
    """
    if np.count_nonzero(np.diff(target)) != 1:
        return None
    first = int(np.argmax(target != target[0]))
    place = np.concatenate([(np.arange(n) + 1.0) / (n + 1.0) for n in (first, target.size - first)])
    return np.argsort(place, kind="stable")


def is_chance(target: Floats, *, share: float, least: int) -> bool:
    """Tell whether so few rows are given that a part of them may lack `least` of a class by chance.

    They are too few where a part drawn at random would hold fewer more often than once in a
    hundred times (Poisson, from the expected number; convention). Where it would not, the outcome
    came and went with time, as of rows too new for it: that is for the user to know.

    Examples
    --------
    >>> few, many = np.repeat([0.0, 1.0], 10), np.repeat([0.0, 1.0], 1000)
    >>> is_chance(few, share=0.15, least=5), is_chance(many, share=0.15, least=5)
    (True, False)
    """
    rarer = min(float(target.sum()), target.size - float(target.sum()))
    return bool(poisson.cdf(least - 1, rarer * share) > _BY_CHANCE)
