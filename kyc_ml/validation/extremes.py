"""Find the extreme value in a table, and the row that it belongs to."""

from typing import Final

import numpy as np
import pandas as pd

from kyc_ml.validation.outcome import Value

SHIFT: Final = 0.10
MAJOR_SHIFT: Final = 0.25
"""PSI of a shift and of a major shift. Convention, not theory; see `kyc_ml.metrics.compute_psi`."""


def largest(table: pd.DataFrame, column: str, *, named: str) -> Value:
    """Return the largest defined value of a column and the name of its row; else undefined.

    `named` is the column with the name of each row.
    """
    return _of(table, column, named=named, sign=1.0)


def smallest(table: pd.DataFrame, column: str, *, named: str) -> Value:
    """Return the smallest defined value of a column and the name of its row; else undefined."""
    return _of(table, column, named=named, sign=-1.0)


def most_drifted(table: pd.DataFrame, column: str, *, named: str) -> dict[str, Value]:
    """Return the drift that matters most, with its critical values.

    Critical values grow with the number of bins, so the largest drift may be that of a category
    with many values and not be significant. Major shifts above their own 99% critical value
    come first, then shifts above their own 95% critical value, then the largest drift.

    `table` has the columns `column`, critical_95 and critical_99.

    Return 'drift', 'critical_95' and 'critical_99'; undefined if no row has a drift.
    """
    known = table[table[column].notna()]
    if known.empty:
        return {name: Value(np.nan) for name in ("drift", "critical_95", "critical_99")}
    major = known[column] > np.maximum(known["critical_99"], MAJOR_SHIFT)
    shift = known[column] > np.maximum(known["critical_95"], SHIFT)
    at = known.assign(major=major, shift=shift).sort_values(
        ["major", "shift", column, named], ascending=[False, False, False, True]
    )
    first, about = at.iloc[0], str(at[named].iloc[0])
    return {
        "drift": Value(value=float(first[column]), about=about),
        "critical_95": Value(value=float(first["critical_95"]), about=about),
        "critical_99": Value(value=float(first["critical_99"]), about=about),
    }


def _of(table: pd.DataFrame, column: str, *, named: str, sign: float) -> Value:
    values = table[column].to_numpy(dtype=np.float64)
    if np.isnan(values).all():
        return Value(np.nan)
    at = int(np.nanargmax(sign * values))
    return Value(value=float(values[at]), about=str(table[named].iloc[at]))
