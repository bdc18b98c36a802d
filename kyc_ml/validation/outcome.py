"""What the code of a check hands back, before gates are held against it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kyc_ml.validation.check import Check
from kyc_ml.validation.result import Figure, Plot, Table
from kyc_ml.validation.text import Text

if TYPE_CHECKING:
    from kyc_ml.validation.evidence import ReviewEvidence
    from kyc_ml.validation.policy import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A number with its interval; NaN or infinite is undefined.

    Attributes
    ----------
    about : str
        What of several it is the figure of.
    """

    value: float
    low: float = np.nan
    high: float = np.nan
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Figures by the name of their measure, tables, and plots of these tables."""

    values: Mapping[str, Value | float]
    tables: tuple[Table, ...] = ()
    plots: tuple[Plot, ...] = ()
    notes: tuple[Text, ...] = ()

    def figures(self, check: Check) -> tuple[Figure, ...]:
        """Give the figures in the order in which the check declares them.

        Raises
        ------
        ValueError
            If the names are not those that the check declares.
        """
        declared = {measure.name for measure in check.measures}
        if declared != set(self.values):
            msg = f"check {check.id} declares {sorted(declared)}, but gave {sorted(self.values)}"
            raise ValueError(msg)
        found = []
        for measure in check.measures:
            given = self.values[measure.name]
            value = given if isinstance(given, Value) else Value(value=given)
            found.append(
                Figure(
                    measure=measure,
                    value=_defined(value.value),
                    low=_defined(value.low),
                    high=_defined(value.high),
                    about=value.about,
                )
            )
        return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotApplicable:
    """Why a check says nothing of this model and data."""

    reason: Text


Run = Callable[["ReviewEvidence", "Settings"], Outcome | NotApplicable]


@dataclass(frozen=True, slots=True, kw_only=True)
class Procedure:
    """A check and the code that carries it out."""

    check: Check
    run: Run


def _defined(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
