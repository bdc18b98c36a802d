"""What leaving out negatives does to a margin, undone exactly."""

from __future__ import annotations

import math

import numpy as np

from kyc_ml.metrics import Floats


def undo_downsampling(margin: Floats, *, negatives_kept: float) -> Floats:
    """Return the log-odds among all rows from the log-odds among the rows that were kept.

    By Bayes, keeping every positive and each negative with probability r multiplies the
    odds by 1 / r, whatever the features: ``p = r p' / (r p' + 1 - p')``, on the margin
    ``margin + ln(r)``. Exact as long as r is the same for every negative; where it depends
    on the features, one constant cannot undo it. Ranks do not change.

    Source: King and Zeng 2001, Political Analysis 9, 137-163 (prior correction); Dal
    Pozzolo et al. 2015, IEEE SSCI, 159-166, https://doi.org/10.1109/SSCI.2015.33.

    `margin`: array of shape (n,); log-odds of a model fitted on the rows that were kept.
    `negatives_kept`: float, in (0, 1]; share r of the negatives that were kept; 1 changes nothing.
    Raises ValueError if the share is not above 0 and at most 1.

    Examples
    --------
    Odds of 1 : 1 where one negative in four was kept are odds of 1 : 4.

    >>> from scipy.special import expit
    >>> expit(undo_downsampling(np.array([0.0]), negatives_kept=0.25)).round(12).tolist()
    [0.2]
    """
    if not 0.0 < negatives_kept <= 1.0:
        msg = f"negatives_kept must be above 0 and at most 1, got {negatives_kept}"
        raise ValueError(msg)
    return np.asarray(margin + math.log(negatives_kept), dtype=np.float64)
