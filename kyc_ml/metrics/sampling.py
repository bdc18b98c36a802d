"""Draw rows by what they hold, so that neither their order nor threads change the draw."""

from __future__ import annotations

import numpy as np

from kyc_ml.metrics.arrays import Floats, Hashes, Ints
from kyc_ml.storage import StoredMatrix, kernel


def sample_rows(matrix: Floats | StoredMatrix, rows: Ints, *, count: int, seed: int) -> Ints:
    """Draw `count` of the rows by what they hold: their order and the threads change nothing.

    Each row has a number made of its values, how many equal rows came before it, and the
    seed; the rows of the smallest numbers are drawn. Equal rows are interchangeable, so
    the same values are drawn whatever the order of the rows.

    Parameters
    ----------
    matrix : float64 array of shape (n, p), or StoredMatrix
        Every NaN counts as the same value, and -0 as 0.
    rows : int64 array
        Rows of `matrix` to draw from.

    Returns
    -------
    int64 array of shape (min(count, rows.size),)
        Some of `rows`, in an order that depends on the values only.
    """
    values = _hash(matrix, rows, np.uint64(seed % 2**64))
    order = np.argsort(values, kind="stable")
    arranged = values[order]
    # numbers equal rows 0, 1, 2: otherwise all of them or none would be drawn
    before = np.arange(rows.size) - np.searchsorted(arranged, arranged, side="left")
    # lexsort sorts by its last key first
    drawn = np.lexsort((arranged, _mix_all(arranged ^ _mix_all(before.astype(np.uint64)))))
    return rows[order[drawn[:count]]]


def _hash(matrix: Floats | StoredMatrix, rows: Ints, seed: np.uint64) -> Hashes:
    if isinstance(matrix, np.ndarray):
        return _hash_rows(matrix, matrix.view(np.uint64), rows, seed)
    parts = (_hash(part, np.arange(len(part)), seed) for part in matrix.parts(rows))
    return np.concatenate([np.empty(0, np.uint64), *parts])


@kernel()
def _mix(value: np.uint64) -> np.uint64:
    """Scatter 64-bit numbers, one to one.

    Source: Steele, Lea and Flood 2014, OOPSLA, 453-472 (SplitMix64).
    """
    out = value + np.uint64(0x9E3779B97F4A7C15)
    out = (out ^ (out >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    out = (out ^ (out >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return out ^ (out >> np.uint64(31))


@kernel()
def _mix_all(values: Hashes) -> Hashes:
    out = np.empty_like(values)
    for place in range(values.size):
        out[place] = _mix(values[place])
    return out


@kernel()
def _hash_rows(matrix: Floats, bits: Hashes, rows: Ints, seed: np.uint64) -> Hashes:
    """Hash each of the rows, column after column; `bits` is the matrix read as integers."""
    out = np.empty(rows.size, np.uint64)
    for place in range(rows.size):
        row = rows[place]
        found = seed
        for column in range(matrix.shape[1]):
            value = matrix[row, column]
            here = bits[row, column]
            # NaN has many bit patterns: all hash alike
            if np.isnan(value):
                here = np.uint64(0x7FF8000000000000)
            # -0.0 equals 0.0, but has other bits
            elif value == 0.0:
                here = np.uint64(0)
            found = _mix(found ^ here)
        out[place] = found
    return out
