"""What a validation check says of itself before it is run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from kyc_ml.validation.text import Text

Family = Literal[
    "data",
    "discrimination",
    "calibration",
    "tiers",
    "stability",
    "robustness",
    "explanation",
    "fairness",
    "benchmarks",
    "implementation",
]

FAMILIES: Final[dict[Family, Text]] = {
    "data": Text("Data", "数据"),
    "discrimination": Text("Discrimination", "区分能力"),
    "calibration": Text("Calibration", "校准"),
    "tiers": Text("Tiers", "风险等级"),
    "stability": Text("Stability", "稳定性"),
    "robustness": Text("Robustness", "稳健性"),
    "explanation": Text("Explanation", "可解释性"),
    "fairness": Text("Fairness", "公平性"),
    "benchmarks": Text("Benchmarks", "基准对比"),
    "implementation": Text("Implementation", "实现"),
}
"""The families in the order of a report, with their titles."""

Unit = Literal["share", "ratio", "count", "p-value", "log-odds", "index", "days", "cost", "s.d."]
"""What a figure is counted in; `index` is a statistic without a unit of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A figure that a check computes, and that a gate may bound.

    Attributes
    ----------
    name : str
        Of this check's own, such as 'auc'.
    """

    name: str
    label: Text
    unit: Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One validation check: what it is for, how it works, what to fear, what it cannot see.

    Attributes
    ----------
    id : str
        Family and name, such as 'calibration.jeffreys'.
    measures : tuple of Measure
        The figures it computes, in the order of a report.
    signs : Text
        Signs of high risk.
    source : str
        Of the method; 'convention' where there is none.
    """

    id: str
    family: Family
    title: Text
    purpose: Text
    method: Text
    signs: Text
    limits: Text
    source: str
    measures: tuple[Measure, ...]

    def __post_init__(self) -> None:
        if self.id.partition(".")[0] != self.family:
            msg = f"check {self.id!r} must begin with its family {self.family!r} and a dot"
            raise ValueError(msg)
