"""Is the level of the probabilities still right? Evidence that grows as outcomes mature."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from kyc_ml.monitoring.outcomes import KnownOutcomes
from kyc_ml.monitoring.signals import Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelPolicy:
    """When evidence becomes a signal.

    Attributes
    ----------
    false_alarms : float
        Expected false alarms in 365 nights that are allowed for each family (all, tier, segment).
    margin : float
        A level within ``[1 / (1 + margin), 1 + margin]`` times the predicted one harms nobody.
    """

    false_alarms: float = 1.0
    margin: float = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelFound:
    """Signals of the level, and the evidence of each day.

    Attributes
    ----------
    signals : tuple of Signal
        Those open at the end: level.all, level.tier, level.segment.
    path : DataFrame
        One row a family, subject and day on which windows closed: family, subject, day, rows,
        positives, expected, evidence (its limit is 1), evidence_margin (the same for the test
        beyond the margin), alarm (True on the day that evidence reached the limit).
    """

    signals: tuple[Signal, ...]
    path: pd.DataFrame


def level_signals(outcomes: KnownOutcomes, policy: LevelPolicy = LevelPolicy()) -> LevelFound:
    """Test the probabilities of all rows, each tier and each segment, in order of maturity."""
    raise NotImplementedError
