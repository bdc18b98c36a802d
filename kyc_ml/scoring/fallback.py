"""A night that the model hands over to the rating: why, noted on disk for the next start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from kyc_ml.scoring.manifest import read_drift, write_drift
from kyc_ml.storage import Checkpoints

_NOTE: Final = "fallback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """Why the rating scores a night.

    Attributes
    ----------
    reason : str
    faults : tuple of str
        Limits that the model's scores passed; none where it could not be loaded.
    drift : DataFrame or None
        What moved in the model's scores; see `DriftFound.table`.
    """

    reason: str
    faults: tuple[str, ...] = ()
    drift: pd.DataFrame | None = None


def hand_over(steps: Checkpoints, faults: Sequence[str], drift: pd.DataFrame | None) -> Fallback:
    """Note that limits were passed; gives the handover as every later start will read it."""
    facts = {"faults": list(faults), "reason": "; ".join(faults), "drift": write_drift(drift)}
    return _read(steps.note(_NOTE, [], facts))


def handed_over(steps: Checkpoints) -> Fallback | None:
    """Tell whether an earlier start has handed over, and why."""
    done = steps.done(_NOTE)
    return None if done is None else _read(done)


def _read(note: dict[str, Any]) -> Fallback:
    return Fallback(
        reason=str(note["reason"]),
        faults=tuple(note["faults"]),
        drift=read_drift(note["drift"]),
    )
