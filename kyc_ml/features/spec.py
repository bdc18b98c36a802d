"""What a feature is: declared, not programmed.

A `FeatureSpec` names a column of the feature table and says how it is read: from the
rows of a key in a window (`Window`), from the latest row of a key (`Latest`), from the
observation itself (`Own`), or from other features (`Formula`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Final, Literal

from kyc_ml.errors import LeakageError

HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US

LABELS: Final = "labels"
"""Table of adverse outcomes: cases joined to the keys of the transaction in question."""

IS_NIGHT: Final = "is_night"
"""Derived transaction column: 1 between 00:00 and 06:00 local time, else 0."""

Statistic = Literal["count", "sum", "mean", "std", "max", "min", "distinct"]
Operation = Literal["ratio", "difference", "z_score", "equals_zero", "shrunk_share"]
Reading = Literal[
    "value",  # the column as it is
    "category",  # the column as a category
    "flag",  # 1 where true, 0 where false
    "age_hours",  # hours from the row's event time to the decision
    "years_since",  # years from the column's date to the decision
    "days_until",  # days from the decision to the column's date
    "hour",  # local hour of the decision, 0 to 23
    "weekday",  # local weekday of the decision, Monday 0
    "night",  # 1 between 00:00 and 06:00 local time
]
Kind = Literal["number", "category"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A window's length, with its name in both languages."""

    label: str
    us: int | None
    english: str
    chinese: str


H1: Final = Period(label="1h", us=HOUR_US, english="the last hour", chinese="近1小时")
D1: Final = Period(label="1d", us=DAY_US, english="the last 24 hours", chinese="近24小时")
D7: Final = Period(label="7d", us=7 * DAY_US, english="the last 7 days", chinese="近7天")
D14: Final = Period(label="14d", us=14 * DAY_US, english="the last 14 days", chinese="近14天")
D30: Final = Period(label="30d", us=30 * DAY_US, english="the last 30 days", chinese="近30天")
D90: Final = Period(label="90d", us=90 * DAY_US, english="the last 90 days", chinese="近90天")
D365: Final = Period(label="365d", us=365 * DAY_US, english="the last 365 days", chinese="近365天")
EVER: Final = Period(label="ever", us=None, english="all history", chinese="全部历史")


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Rows whose `column` equals one of `values`."""

    column: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A statistic of `value` over a key's rows in ``[t - lag - window, t - lag)``.

    `count` needs no value. Statistics other than count read only rows that have one.
    """

    table: str
    key: tuple[str, ...]
    statistic: Statistic
    period: Period
    value: str | None = None
    lag_us: int = 0
    where: Where | None = None

    def __post_init__(self) -> None:
        if self.lag_us < 0 or (self.period.us is not None and self.period.us <= 0):
            msg = (
                f"a window must be longer than 0 and end at or before the decision, got "
                f"{self.period.us} microseconds and a lag of {self.lag_us}"
            )
            raise LeakageError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Latest:
    """A reading of the latest row of a key that was known at the decision."""

    table: str
    key: tuple[str, ...]
    reading: Reading
    column: str | None = None
    where: Where | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """A reading of the observation itself: its own fields are known."""

    reading: Reading
    column: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Formula:
    """Arithmetic on other features, by name; missing where it is undefined.

    ratio: a / b, missing where b is 0 · difference: a - b · z_score: (a - b) / c, missing
    where c is 0 · equals_zero: 1 where a is 0 · shrunk_share: (a + k * prior) / (b + k)
    with k = `parameter` and prior = c / d, what was known of all keys together.
    """

    operation: Operation
    inputs: tuple[str, ...]
    parameter: float = 0.0


How = Window | Latest | Own | Formula


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSpec:
    """One declared feature.

    Attributes
    ----------
    name : str
        Column name; the unit or window is part of it.
    unit : str
        Unit of the value, as people read it.
    description, description_zh : str
        A noun phrase that a sentence can hold: "payments in the last 7 days".
    source : str
        Where the definition comes from.
    typology : str or None
        The misconduct it is meant to show.
    monotone : {-1, 0, 1}
        Direction in which risk may move with the value, where that is certain.
    units : tuple of str
        Units of observation that have it: a review has no payment of its own.
    hidden : bool
        True for a feature that only feeds formulas and is not given to a model.
    """

    name: str
    family: str
    how: How
    unit: str
    description: str
    description_zh: str
    source: str = "kyc_ml"
    typology: str | None = None
    monotone: Literal[-1, 0, 1] = 0
    units: tuple[str, ...] = ("fraud", "risk")
    hidden: bool = False
    kind: Kind = field(default="number")

    @property
    def reason_code(self) -> str:
        """Stable code of the reason this feature gives: family and name."""
        return f"{self.family}.{self.name}"


def definitions_digest(specs: Iterable[FeatureSpec]) -> str:
    """SHA-256 of how the features are computed; wording does not count."""
    text = json.dumps(
        [[spec.name, type(spec.how).__name__, asdict(spec.how)] for spec in specs], sort_keys=True
    )
    return hashlib.sha256(text.encode()).hexdigest()
