"""Champion and challenger on the same mature rows, until the evidence suffices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from kyc_ml.monitoring.outcomes import KnownOutcomes
from kyc_ml.validation import Text


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengerEvidence:
    """A paired sequential test of the log loss.

    Attributes
    ----------
    verdict : {'better', 'worse', 'not decided'}
        Of the challenger.
    rows, positives : int
        Observations that both have scored, with a known outcome.
    gain : float
        Mean log loss of the champion less that of the challenger; NaN without rows.
    evidence_better, evidence_worse : float
        Highest e-value so far over its limit: decided at 1.
    positives_needed : int or None
        How many more positives would decide at the present rate, roughly; None where the
        evidence does not grow, 0 if decided.
    decided_on : str
        Day (ISO) on which the evidence sufficed; empty before.
    path : DataFrame
        day, rows, positives, evidence_better, evidence_worse.
    text : Text
        The verdict as a sentence with its figures and what is guaranteed.
    """

    verdict: Literal["better", "worse", "not decided"]
    rows: int
    positives: int
    gain: float
    evidence_better: float
    evidence_worse: float
    positives_needed: int | None
    decided_on: str
    path: pd.DataFrame
    text: Text


def compare_challenger(
    champion: KnownOutcomes, challenger: KnownOutcomes, *, level: float = 0.05
) -> ChallengerEvidence:
    """Compare on the observations that both have scored, in order of maturity.

    Parameters
    ----------
    level : float
        Chance of a false verdict, whenever one looks.
    """
    raise NotImplementedError
