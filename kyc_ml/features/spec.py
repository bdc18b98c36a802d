"""Declarations of features.

A `FeatureSpec` names a column of the feature table and says how it is computed: from the
rows of a key in a window (`Window`), from the latest row of a key (`Latest`), from the
observation itself (`Own`), from other features (`Formula`), or by comparing one of them
with the same feature of the customer's peers (`Peer`).

Where a feature reads more of a row than the columns of the data contract, a `RowColumn`
declares the missing column. It is computed for each row from what was known when the row
happened, so it cannot see the future, whatever the window that reads it later.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from kyc_ml.config import WINDOW
from kyc_ml.errors import ConfigError, LeakageError

HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US

LABELS: Final = "labels"
"""Table of adverse outcomes: cases joined to the keys of the transaction in question."""

PATTERNS: Final = "patterns"
"""Table of completed money-flow patterns, one row a participant: see `network`.

Its columns are customer_id, event_time, known_at, amount (of the closing payment), and the
following four.
"""
CURRENT_ACCOUNTS: Final = "current_accounts"
"""Table of accounts, each version until the account's next one, without closed accounts."""

PATTERN: Final = "pattern"
ROLE: Final = "role"
LENGTH: Final = "length"
WIDTH: Final = "width"

Statistic = Literal[
    "count",
    "sum",
    "mean",
    "std",  # sample standard deviation
    "max",
    "min",
    "median",
    "rank",  # share of the rows whose value is below `own`, ties counting half
    "distinct",
    "first_share",  # share of the most frequent value (by `weight` if given)
    "herfindahl",  # sum of squared shares
    "entropy",  # -sum of share * ln(share), in nats
    "gap_mean",  # mean time between consecutive rows, in hours
    "gap_std",  # sample standard deviation of it, in hours
    "decayed_count",  # each row counts 2 ** -(age / half_life)
    "decayed_sum",
    "trend",  # least-squares slope of the value over event time, in 30 days
]
Operation = Literal[
    "ratio",
    "difference",
    "sum",
    "product",
    "minimum",
    "maximum",
    "z_score",
    "equals_zero",
    "at_least",
    "below",
    "shrunk_share",
    "minus_log",
    "log_ratio",
    "scaled",
]
CellOperation = Literal[
    "is_any_of",  # 1 where the text input equals one of `values`, else 0
    "between",  # 1 where parameters[0] <= input < parameters[1], else 0
    "multiple_of",  # 1 where the amount, above 0, is a whole multiple of parameters[0]
    "trailing_zeros",  # zeros at the end of the amount's whole part; 0 with a fraction
    "hour",  # local hour of the row, as text: "0" to "23"
    "weekday",  # local weekday of the row, as text: "0" (Monday) to "6"
    "night",  # 1 between 00:00 and 06:00 local time, else 0
    "listed",  # 1 where the country stood on the `listing` at the row's time, else 0
    "differs",  # 1 where two text inputs differ, else 0; missing where one is
    "text",  # the number in whole hundredths, as text: equal amounts are one value
]
Matching = Literal["matched", "dwell"]
Reading = Literal[
    "value",  # the column as it is
    "category",  # the column as a category
    "flag",  # 1 where true, 0 where false
    "listed",  # 1 where the country stands on the `listing` at the decision, else 0
    "age_hours",  # hours from the row's event time to the decision
    "years_since",  # years from the column's date to the decision
    "days_since",  # days from the column's date to the decision
    "days_until",  # days from the decision to the column's date
    "hour",  # local hour of the decision, 0 to 23
    "weekday",  # local weekday of the decision, Monday 0
    "night",  # 1 between 00:00 and 06:00 local time
]
Kind = Literal["number", "category"]
Direction = Literal[-1, 0, 1]
Listing = tuple[tuple[str, str, str | None], ...]
"""Countries on a list: (ISO 3166-1 alpha-2, first day, first day off the list or None)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowLength:
    """The length of a window, with its name in both languages."""

    label: str
    us: int | None
    english: str
    chinese: str


EVER: Final = WindowLength(label="ever", us=None, english="all history", chinese="全部历史")


def period_of(window: str) -> WindowLength:
    """Return the window that a text such as 90d, 6h or ever names.

    Examples
    --------
    >>> period_of("45d").english
    'the last 45 days'
    """
    found = re.fullmatch(WINDOW, window)
    if found is None:
        msg = f"{window!r} is not a window: write days (90d), hours (6h) or ever"
        raise ConfigError(msg)
    if window == EVER.label:
        return EVER
    count, in_days = int(found[1]), found[2] == "d" and found[1] != "1"  # a day is said in hours
    hours = 24 if window == "1d" else count
    english = f"{count} days" if in_days else "hour" if hours == 1 else f"{hours} hours"
    return WindowLength(
        label=window,
        us=count * (DAY_US if found[2] == "d" else HOUR_US),
        english=f"the last {english}",
        chinese=f"近{f'{count}天' if in_days else f'{hours}小时'}",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Rows whose text column equals one of `values`, and that match `also` too."""

    column: str | RowColumn
    values: tuple[str, ...]
    also: Where | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A statistic of `value` over a key's rows in ``[t - lag - window, t - lag)``.

    `count` needs no value. Other statistics read only rows that have one.

    Attributes
    ----------
    at : tuple of str, optional
        The observation's columns that hold the key, where they are named otherwise: a
        payment's counterparty looked up among the customers.
    weight : optional
        Column whose sum, instead of the number of rows, shares are made of.
    own : optional
        The observation's column that `rank` compares with the rows' values.
    half_life_us : int, optional
        Of the decayed statistics, in microseconds.
    """

    table: str
    key: tuple[str | RowColumn, ...]
    statistic: Statistic
    period: WindowLength
    value: str | RowColumn | None = None
    lag_us: int = 0
    where: Where | None = None
    at: tuple[str, ...] | None = None
    weight: str | RowColumn | None = None
    own: str | None = None
    half_life_us: int | None = None

    def __post_init__(self) -> None:
        if self.lag_us < 0 or (self.period.us is not None and self.period.us <= 0):
            msg = (
                f"a window must be longer than 0 and end at or before the decision, got "
                f"{self.period.us} microseconds and a lag of {self.lag_us}"
            )
            raise LeakageError(msg)
        needs = {
            "value": self.statistic not in _WITHOUT_VALUE,
            "own": self.statistic == "rank",
            "half_life_us": self.statistic in {"decayed_count", "decayed_sum"},
        }
        for name, needed in needs.items():
            if needed != (getattr(self, name) is not None):
                msg = f"statistic {self.statistic!r} {'needs' if needed else 'has no'} {name}"
                raise ValueError(msg)


_WITHOUT_VALUE: Final = frozenset({"count", "gap_mean", "gap_std", "decayed_count"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Latest:
    """A reading of the latest row of a key that was known at the decision."""

    table: str
    key: tuple[str | RowColumn, ...]
    reading: Reading
    column: str | RowColumn | None = None
    where: Where | None = None
    at: tuple[str, ...] | None = None
    listing: Listing = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """A reading of the observation itself: its own fields are known."""

    reading: Reading
    column: str | RowColumn | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Formula:
    """Arithmetic on other features, by name; missing where it is undefined.

    ratio: a / b, missing where b is 0 · difference: a - b · sum, product, minimum,
    maximum: of all inputs, missing where one is · z_score: (a - b) / c, missing where c is
    0 · equals_zero: 1 where a is 0 · at_least: 1 where a >= b, or a >= `parameter` if
    there is one input · below: 1 where a < b or a < `parameter` · shrunk_share:
    (a + k * prior) / (b + k) with k = `parameter` and prior = c / d, what was known of all
    keys together · minus_log: -ln(a), missing where a is 0 · log_ratio: ln((a + k) / (b + k))
    with k = `parameter` · scaled: a * `parameter`. Two numbers that differ by rounding only
    are equal: their ratio is 1, their difference and log ratio 0.
    """

    operation: Operation
    inputs: tuple[str, ...]
    parameter: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """How far a feature is from what the customer's peers had: (x - median) / (1.4826 MAD).

    Peers are the customers whose latest known profile agrees in the columns `by`. If there
    are fewer than `fewest`, the last columns are dropped one by one, until all customers
    are peers. Their values are those on the first day of the month (UTC) at or before the
    decision, so they depend on no other observation. Missing where the peers' deviation
    is 0.
    """

    feature: str
    by: tuple[str, ...]
    fewest: int = 20


How = Window | Latest | Own | Formula | Peer


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFunction:
    """A row's column computed from the row alone."""

    operation: CellOperation
    inputs: tuple[str | RowColumn, ...] = ()
    parameters: tuple[float, ...] = ()
    values: tuple[str, ...] = ()
    listing: Listing = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LatestValue:
    """A row's column read from other rows, as they were known when the row happened."""

    how: Window | Latest


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFormula:
    """A row's column made of other columns of the row, by the arithmetic of `Formula`."""

    operation: Operation
    inputs: tuple[str | RowColumn, ...]
    parameter: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """Money a payment out passes on, first in, first out; missing for money in.

    matched: the part of the amount that had come in at most `within_us` before ·
    dwell: mean hours since that money came in, weighted by amount.
    """

    reading: Matching
    within_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowColumn:
    """A column that each row of a table gets before features read it.

    Attributes
    ----------
    name : str
        Unique to its definition: two row columns of one name are the same.
    """

    name: str
    how: RowFunction | LatestValue | RowFormula | Matched


def name_of(column: str | RowColumn) -> str:
    """Return the name of a contracted or computed column."""
    return column if isinstance(column, str) else column.name


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
        A noun phrase that fits into a sentence: "payments in the last 7 days".
    source : str
        Where the definition comes from.
    typology : str or None
        The misconduct that the feature is meant to detect.
    monotone : {-1, 0, 1}
        Direction in which risk may move with the value, where that is certain.
    observation_units : tuple of str
        Kinds of observation that have the feature: a review has no payment to describe.
    intermediate : bool
        True for an intermediate feature, which formulas read and models do not.
    """

    name: str
    family: str
    how: How
    unit: str
    description: str
    description_zh: str
    source: str = "kyc_ml"
    typology: str | None = None
    monotone: Direction = 0
    observation_units: tuple[str, ...] = ("fraud", "risk")
    intermediate: bool = False
    kind: Kind = field(default="number")

    @property
    def reason_code(self) -> str:
        """Return the stable code of the reason this feature gives: family and name."""
        return f"{self.family}.{self.name}"


def columns_of_table(how: Window | Latest) -> Iterator[str | RowColumn]:
    """List the columns that a reading needs of its table: key, value, weight and filter."""
    yield from how.key
    value = how.value if isinstance(how, Window) else how.column
    weight = how.weight if isinstance(how, Window) else None
    yield from (column for column in (value, weight) if column is not None)
    where = how.where
    while where is not None:
        yield where.column
        where = where.also


def columns_of_observer(how: Window | Latest) -> Iterator[str | RowColumn]:
    """List the columns that a reading needs of the observation: key and own value."""
    yield from how.key if how.at is None else how.at
    if isinstance(how, Window) and how.own is not None:
        yield how.own


def made_of(spec: FeatureSpec) -> tuple[str, ...]:
    """Return the names of the features that one is computed from; none where it reads rows."""
    match spec.how:
        case Formula(inputs=inputs):
            return inputs
        case Peer(feature=feature, by=by):
            return (feature, *by)
        case _:
            return ()


def all_made_of(spec: FeatureSpec, known: Mapping[str, FeatureSpec]) -> list[str]:
    """Return the names of all features that one is computed from, directly or not."""
    return [n for item in made_of(spec) for n in (item, *all_made_of(known[item], known))]


def incomplete(specs: Sequence[FeatureSpec]) -> tuple[FeatureSpec, ...]:
    """List the specs that cannot be computed because a feature they are made of is absent."""
    there = {spec.name for spec in specs}
    while True:
        lacking = {
            spec.name
            for spec in specs
            if spec.name in there and not there.issuperset(made_of(spec))
        }
        if not lacking:
            return tuple(spec for spec in specs if spec.name not in there)
        there -= lacking
