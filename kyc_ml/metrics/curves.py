"""Curves and distributions of a score, as tables that plots only draw."""

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from sklearn.metrics import precision_recall_curve, roc_curve

from kyc_ml.metrics.arrays import Floats


def compute_roc(target: Floats, score: Floats) -> pd.DataFrame:
    """Points of the ROC curve: false_positive_rate, recall."""
    false_rate, recall, _ = roc_curve(target, score)
    return pd.DataFrame({"false_positive_rate": false_rate, "recall": recall})


def compute_precision_recall(target: Floats, score: Floats) -> pd.DataFrame:
    """Points of the precision-recall curve: recall, precision.

    One row a distinct score, the lowest first: it is of the rows that score as high or higher.
    The end that scikit-learn adds, precision 1 at recall 0, is of no rows, and left out.
    """
    precision, recall, _ = precision_recall_curve(target, score)
    # scikit-learn's last point, recall 0 and precision 1, is a convention and no row
    return pd.DataFrame({"recall": recall[:-1], "precision": precision[:-1]})


def compute_score_distribution(
    target: Floats, proba: Floats, *, n_bins: int = 40, floor: float = 1e-5
) -> pd.DataFrame:
    """Share of positives and of negatives in bins of probability, equally wide in log-odds.

    Bins reach from the lowest to the highest probability; what is below `floor` counts in
    the first bin, and what is above 1 - `floor` in the last, so that a few extreme
    probabilities do not take all the room.

    Returns
    -------
    DataFrame
        One row a bin and label: low, high, label ("negative" or "positive"), share. The shares
        of a label sum to 1; a label without rows is absent.
    """
    if not proba.size:
        return pd.DataFrame({"low": [], "high": [], "label": [], "share": []})
    # 0 and 1 have no finite log-odds
    low, high = logit(np.clip([proba.min(), proba.max()], floor, 1.0 - floor))
    if low == high:  # one probability only: give its bins some width
        low, high = low - 1.0, high + 1.0
    edges = expit(np.linspace(low, high, n_bins + 1))
    # probabilities outside the floor, and the largest one, belong to the outer bins
    place = np.clip(np.searchsorted(edges, proba, side="right") - 1, 0, n_bins - 1)
    parts = []
    for label, here in (("negative", target == 0), ("positive", target == 1)):
        if here.any():
            share = np.bincount(place[here], minlength=n_bins) / here.sum()
            parts.append(
                pd.DataFrame({"low": edges[:-1], "high": edges[1:], "label": label, "share": share})
            )
    return pd.concat(parts, ignore_index=True)
