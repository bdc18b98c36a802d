"""The figure of a table that a gate is about, and whose it is."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kyc_ml.validation.outcome import Value


def largest(table: pd.DataFrame, column: str, *, named: str) -> Value:
    """Give the largest defined value of a column, and who has it; undefined without one.

    Parameters
    ----------
    named : str
        Column that says what each row is of.
    """
    return _of(table, column, named=named, sign=1.0)


def smallest(table: pd.DataFrame, column: str, *, named: str) -> Value:
    """Give the smallest defined value of a column, and who has it; undefined without one."""
    return _of(table, column, named=named, sign=-1.0)


def _of(table: pd.DataFrame, column: str, *, named: str, sign: float) -> Value:
    values = table[column].to_numpy(dtype=np.float64)
    if np.isnan(values).all():
        return Value(value=np.nan)
    at = int(np.nanargmax(sign * values))
    return Value(value=float(values[at]), about=str(table[named].iloc[at]))
