"""Which rows train, which stop the training, and which calibrate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from kyc_ml.errors import ConfigError, Faults

Rows = npt.NDArray[np.int64]
Labelled: TypeAlias = tuple[Any, npt.NDArray[np.float64]]
"""Rows, and 1 for each adverse outcome among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Row numbers of each part, in the order the rows were given.

    Attributes
    ----------
    train : int64 array
    held : mapping of 'early_stopping', 'calibration' to int64 array
        Only parts that rows are held back for.
    """

    train: Rows
    held: Mapping[str, Rows]


def lay_out(
    n: int, *, early_stopping_share: float, calibration_share: float, given: frozenset[str]
) -> Parts:
    """Cut n rows, in order of time, into train, early stopping and calibration.

    Parameters
    ----------
    given : frozenset of str
        Parts that come from rows of their own.

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
    held, start = {}, first
    for name, count in counts.items():
        if count:
            held[name] = np.arange(start, start + count)
        start += count
    return Parts(train=np.arange(first), held=held)
