"""The declaration of a validation check."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from kyc_ml.config import read_packaged
from kyc_ml.validation.text import Text, texts_of

FAMILIES: Final = texts_of(read_packaged(Path(__file__).with_name("families.yaml")))
"""Families with their titles, in the order of a report."""

Unit = Literal["share", "ratio", "count", "p-value", "log-odds", "index", "days", "cost", "s.d."]
"""Unit of a figure; `index` is a statistic without a unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureText:
    """A figure that a check computes and that may have gates.

    Its name, such as 'auc', is unique within its check.
    """

    name: str
    label: Text
    unit: Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One validation check: its question, method, warning signs, limitations and figures."""

    id: str
    """Family and name, such as 'calibration.jeffreys'."""
    family: str
    title: Text
    purpose: Text
    method: Text
    signs: Text
    """Warning signs: results that suggest high risk."""
    limits: Text
    source: str
    """Source of the method, or 'convention'."""
    measures: tuple[FigureText, ...]
    """Its figures, in the order of a report."""

    def __post_init__(self) -> None:
        if self.id.partition(".")[0] != self.family:
            msg = f"check {self.id!r} must begin with its family {self.family!r} and a dot"
            raise ValueError(msg)
