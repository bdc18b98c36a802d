"""What the model must beat: a logistic regression on the same features."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

Floats = npt.NDArray[np.float64]

MOST_ROWS: Final = 100_000
"""Latest training rows the baseline is fitted on. Convention: enough for a linear model
of a hundred columns, and its fit stays shorter than the model's."""


def fit_logistic(
    matrix: Floats, target: Floats, *, categories: npt.NDArray[np.bool_], seed: int
) -> Pipeline:
    """Fit a logistic regression on standardised numbers and one-hot categories.

    Missing numbers become the median beside a flag that says so. Rows must be in order of
    time: the latest `MOST_ROWS` are used.

    Parameters
    ----------
    matrix : float64 array of shape (n, p)
    target : array of 0 and 1, shape (n,)
    categories : bool array of shape (p,)
        True for columns that hold category codes.
    """
    numbers = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
    )
    groups = [
        ("numbers", numbers, np.flatnonzero(~categories)),
        ("categories", OneHotEncoder(handle_unknown="ignore"), np.flatnonzero(categories)),
    ]
    filled = [group for group in groups if group[2].size]
    model = make_pipeline(
        ColumnTransformer(filled),
        LogisticRegression(C=0.1, max_iter=2000, tol=1e-3, random_state=seed),
    )
    latest = slice(max(0, target.size - MOST_ROWS), None)
    return model.fit(_without_empty(matrix[latest]), target[latest])


def logistic_margin(model: Pipeline, matrix: Floats) -> Floats:
    """Predict the log-odds of rows of shape (n, p) with a fitted baseline."""
    return np.asarray(model.decision_function(_without_empty(matrix)), dtype=np.float64)


def _without_empty(matrix: Floats) -> Floats:
    """Copy the matrix with infinities as missing: a ratio may overflow, a line may not."""
    return np.where(np.isfinite(matrix), matrix, np.nan)
