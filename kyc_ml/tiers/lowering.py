"""How far a probability would have to fall for a lower tier, under the whole policy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kyc_ml.features.table import FeatureTable
from kyc_ml.tiers.grading import NOBODY, Grades, grade
from kyc_ml.tiers.history import TierHistory
from kyc_ml.tiers.overrides import OverrideBook
from kyc_ml.tiers.policy import TierPolicy

Floats = npt.NDArray[np.float64]

_AT_ONCE = 64
"""Probabilities graded at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lowering:
    """What it takes to lower one row's tier.

    Attributes
    ----------
    highest : float or None
        The highest probability whose tier is lower; None where no probability lowers it.
    tier : str or None
        The tier there.
    held_by : str
        Why none does; empty where one does.
    """

    highest: float | None
    tier: str | None
    held_by: str


def find_lowering(
    proba: float,
    facts: FeatureTable,
    *,
    policy: TierPolicy,
    book: OverrideBook = NOBODY,
    history: TierHistory | None = None,
) -> Lowering:
    """Find the highest probability at which one row would have a lower tier.

    Everything but the probability stays: expert rating, history and overrides. The tier
    never falls as the probability rises, so halving finds it to the last bit.

    Parameters
    ----------
    facts : FeatureTable of one row
        See `grade`.
    """

    def graded(values: Floats) -> Grades:
        same = facts.take(np.zeros(values.size, np.int64))
        return grade(values, same, policy=policy, book=book, history=history)

    ends = graded(np.array([0.0, proba]))
    here = int(ends.tier[1])
    if ends.tier[0] >= here:
        return Lowering(highest=None, tier=None, held_by=_held_by(ends, here))
    # floats from 0 up are ordered as their bits are
    low, high = (int(np.float64(end).view(np.int64)) for end in (0.0, proba))
    while high - low > 1:
        count = min(_AT_ONCE, high - low - 1)
        bits = low + (high - low) * np.arange(1, count + 1, dtype=object) // (count + 1)
        tier = graded(np.array(bits, np.int64).view(np.float64)).tier
        below = int((tier < here).sum())
        edges = [low, *bits, high]
        low, high = int(edges[below]), int(edges[below + 1])
    highest = float(np.int64(low).view(np.float64))
    return Lowering(
        highest=highest,
        tier=policy.tier_names[graded(np.array([highest])).tier[0]],
        held_by="",
    )


def _held_by(ends: Grades, here: int) -> str:
    """Name what keeps a tier up where the probability is 0."""
    if here == 0:
        return "it is the lowest tier"
    in_force = f"override {ends.override_code[0]}"
    if ends.before[0] < here:
        return in_force
    held = "the history of earlier reviews"
    if ends.of_score[0] >= here:
        held = f"the expert rating ({ends.grade[0]})"
    return f"{held} and {in_force}" if ends.override_code[0] else held
