"""Arithmetic on features, and on columns of rows; missing where it is undefined."""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Final, Literal

import numpy as np

from kyc_ml.metrics import Floats, Mask

Operation = Literal[
    "ratio",
    "difference",
    "sum",
    "product",
    "minimum",
    "maximum",
    "z_score",
    "equals_zero",
    "at_least",
    "below",
    "shrunk_share",
    "minus_log",
    "log_ratio",
    "scaled",
]

_ROUNDED: Final = 4 * float(np.finfo(np.float64).eps)
"""Numbers that differ by less, as a share of the larger, are equal: each was rounded before."""


def evaluate(
    operation: Operation, inputs: Sequence[Floats], *, parameter: float | Floats = 0.0
) -> Floats:
    """Evaluate an operation on its inputs, each of shape (n,); see `spec.Formula`.

    `parameter`: one for all, or one for each of the n.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.asarray(_OPERATIONS[operation](inputs, parameter), dtype=np.float64)


def _flag(condition: Mask, *inputs: Floats) -> Floats:
    """Return 1 where true, 0 where false, missing where an input is."""
    missing = reduce(np.logical_or, [np.isnan(values) for values in inputs])
    return np.where(missing, np.nan, condition.astype(np.float64))


def _against(inputs: Sequence[Floats], parameter: float | Floats) -> Floats:
    """Return the second input, or the parameter where there is one input."""
    return inputs[1] if len(inputs) > 1 else np.full_like(inputs[0], parameter)


def _equal(x: Floats, y: Floats) -> Mask:
    """Return where two numbers differ by rounding only: results are exact there."""
    return np.asarray(np.abs(x - y) <= _ROUNDED * np.maximum(np.abs(x), np.abs(y)))


def _difference(x: Sequence[Floats], _: float | Floats) -> Floats:
    return np.where(_equal(x[0], x[1]), 0.0, x[0] - x[1])


def _ratio(x: Sequence[Floats], _: float | Floats) -> Floats:
    return np.where(x[1] != 0, np.where(_equal(x[0], x[1]), 1.0, x[0] / x[1]), np.nan)


def _at_least(x: Sequence[Floats], k: float | Floats) -> Floats:
    bound = _against(x, k)
    return _flag(x[0] >= bound, x[0], bound)


def _below(x: Sequence[Floats], k: float | Floats) -> Floats:
    bound = _against(x, k)
    return _flag(x[0] < bound, x[0], bound)


def _shrunk_share(x: Sequence[Floats], k: float | Floats) -> Floats:
    known, total, known_all, total_all = x
    prior = np.where(total_all > 0, known_all / total_all, np.nan)
    share = (known + k * prior) / (total + k)
    return np.where((total == 0) | _equal(known, total * prior), prior, share)


_OPERATIONS: Final[dict[Operation, Callable[[Sequence[Floats], float | Floats], Floats]]] = {
    "ratio": _ratio,
    "difference": _difference,
    "sum": lambda x, _: reduce(np.add, x),
    "product": lambda x, _: reduce(np.multiply, x),
    "minimum": lambda x, _: reduce(np.minimum, x),
    "maximum": lambda x, _: reduce(np.maximum, x),
    "z_score": lambda x, _: np.where(x[2] > 0, _difference(x[:2], 0.0) / x[2], np.nan),
    "equals_zero": lambda x, _: _flag(x[0] == 0, x[0]),
    "at_least": _at_least,
    "below": _below,
    "shrunk_share": _shrunk_share,
    # `0.0 - x`, not `-x`: the logarithm of 1 then gives 0.0 instead of -0.0
    "minus_log": lambda x, _: np.where(x[0] > 0, 0.0 - np.log(x[0]), np.nan),
    "log_ratio": lambda x, k: np.log(_ratio((x[0] + k, x[1] + k), 0.0)),
    "scaled": lambda x, k: x[0] * k,
}
