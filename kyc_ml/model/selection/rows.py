"""The training rows of a selection, and numbers for labels."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from kyc_ml.features import FeatureSpec
from kyc_ml.metrics import Floats, Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRows:
    """Training rows and their customers."""

    matrix: Floats
    """float64 array of shape (n, len(specs)); categories as codes; NaN is missing."""
    target: Floats
    """Array of 0 and 1, shape (n,)."""
    groups: Ints
    """int64 array of shape (n,); the customer of each row, numbered from 0."""
    specs: tuple[FeatureSpec, ...]


def number_labels(labels: npt.ArrayLike) -> Ints:
    """Return numbers of the labels, from 0 in sorted order; equal labels have one number."""
    return np.asarray(pd.factorize(np.asarray(labels), sort=True)[0], dtype=np.int64)
