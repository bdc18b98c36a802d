"""Readings of the rows of a key: a statistic over a window, or the latest row."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Self, get_args

from kyc_ml.errors import ConfigError, LeakageError
from kyc_ml.features.how import (
    ALL_HISTORY,
    BANK_LEVEL,
    COUNTDOWN,
    How,
    Names,
    RowColumn,
    Where,
    name_of,
    read_sentence,
)
from kyc_ml.features.made import CURRENT_ACCOUNTS
from kyc_ml.features.periods import WindowLength, period_of, read_span, write_span
from kyc_ml.features.sentences import listed, one_of
from kyc_ml.features.values import TEXT, Listing, Reading

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
    # of a value that is 1 where adverse and 0 where good; see `kernels.runs`
    "run_rows",  # rows of the latest unbroken run of adverse rows
    "run_hours",  # hours from its first to its last row
    "run_age_hours",  # hours from its first row to the decision
    "rows_after_run",  # good rows after it
    "adverse_age_hours",  # hours from the first adverse row to the decision
    "adverse_share",  # share of adverse rows from the first adverse row on
    "good_age_hours",  # hours from the last good row to the decision
]
RUNS: Final[tuple[Statistic, ...]] = get_args(Statistic)[-7:]

_WITHOUT_VALUE: Final = frozenset({"count", "gap_mean", "gap_std", "decayed_count"})
_TIME_BOUND: Final = {
    "age_hours": ALL_HISTORY,
    "years_since": ALL_HISTORY,
    "days_since": ALL_HISTORY,
    "days_until": COUNTDOWN,
}

_QUOTED: Final = r'"(?:[^"\\]|\\.)*"'
_CONDITION: Final = rf'(?P<column>\w+) in \((?P<values>(?:{_QUOTED}|[^()"])+)\)'
_UNNAMED: Final = re.sub(r"\?P<\w+>", "?:", _CONDITION)
_ROWS: Final = (
    r"(?P<table>\w+) by (?P<key>the whole bank|\w+(?:, \w+)*)"
    r"(?: \(looked up by (?P<at>\w+)\))?(?: where (?P<where>.+?))?"
)
_WINDOW: Final = re.compile(
    r"(?P<statistic>\w+)(?: of (?P<value>\w+))?(?: by (?P<weight>\w+))?"
    rf"(?: below own (?P<own>\w+))? over {_ROWS}, (?P<period>\w+)"
    r"(?: ending (?P<lag>\w+) before)?(?:, half-life (?P<half_life>\w+))?"
    r"(?:, good after (?P<good_after>\w+))?"
)
_LATEST: Final = re.compile(
    rf"(?P<column>\w+) as (?P<reading>\w+)(?: on (?P<listing>\w+))? of the latest row of {_ROWS}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window(How):
    """A statistic of `value` over a key's rows in ``[t - lag - window, t - lag)``.

    `count` needs no value. Other statistics read only rows that have one.
    """

    table: str
    key: tuple[str | RowColumn, ...]
    statistic: Statistic
    period: WindowLength
    value: str | RowColumn | None = None
    lag_us: int = 0
    where: Where | None = None
    at: tuple[str, ...] | None = None
    """The observation's columns that hold the key, where they have other names: a payment's
    counterparty looked up among the customers."""
    weight: str | RowColumn | None = None
    """Optional; column whose sum, instead of the number of rows, shares are made of."""
    own: str | None = None
    """Optional; the observation's column that `rank` compares with the rows' values."""
    half_life_us: int | None = None
    """Of the decayed statistics, in microseconds."""
    good_after_us: int | None = None
    """Of the statistics of runs: the age at which a row that is not adverse counts as good."""

    def __post_init__(self) -> None:
        if self.lag_us < 0 or (self.period.us is not None and self.period.us <= 0):
            raise LeakageError(
                f"a window must be longer than 0 and end at or before the decision, got "
                f"{self.period.us} microseconds and a lag of {self.lag_us}"
            )
        needs = {
            "value": self.statistic not in _WITHOUT_VALUE,
            "own": self.statistic == "rank",
            "half_life_us": self.statistic in {"decayed_count", "decayed_sum"},
            "good_after_us": self.statistic in RUNS,
        }
        for name, needed in needs.items():
            if needed != (getattr(self, name) is not None):
                msg = f"statistic {self.statistic!r} {'needs' if needed else 'has no'} {name}"
                raise ValueError(msg)

    def define(self) -> str:
        value = "" if self.value is None else f" of {name_of(self.value)}"
        weight = "" if self.weight is None else f" by {name_of(self.weight)}"
        own = "" if self.own is None else f" below own {self.own}"
        until = f" ending {write_span(self.lag_us)} before" if self.lag_us else ""
        life = f", half-life {write_span(self.half_life_us)}" if self.half_life_us else ""
        good = f", good after {write_span(self.good_after_us)}" if self.good_after_us else ""
        rows = f"{_write_rows(self)}, {self.period.label}{until}{life}{good}"
        return f"{self.statistic}{value}{weight}{own} over {rows}"

    @classmethod
    def parse(cls, sentence: str, names: Names) -> Self | None:
        found = _WINDOW.fullmatch(sentence)
        if found is None:
            return None
        return cls(
            **_read_rows(found, names),
            statistic=one_of(found["statistic"], Statistic),
            period=period_of(found["period"]),
            value=_column(found["value"], names),
            weight=_column(found["weight"], names),
            own=found["own"],
            lag_us=read_span(found["lag"]) or 0,
            half_life_us=read_span(found["half_life"]),
            good_after_us=read_span(found["good_after"]),
        )

    def tables(self) -> tuple[str, ...]:
        return (self.table,)

    def columns(self, place: str) -> Iterator[tuple[str, str | RowColumn]]:
        """List the table's columns, then the key and the own value of the place."""
        yield from _columns(self, place, self.value, self.weight)
        if self.own is not None:
            yield place, self.own

    def key_pairs(self) -> Sequence[tuple[str, str]]:
        return _key_pairs(self)

    def time_bound(self, of_feature: Callable[[str], str]) -> str:
        """Return the reason of a window without a beginning, or without a key."""
        if self.table == CURRENT_ACCOUNTS:
            return ""
        return ALL_HISTORY if self.period.us is None else "" if self.key else BANK_LEVEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Latest(How):
    """A reading of the latest row of a key that was known at the decision."""

    table: str
    key: tuple[str | RowColumn, ...]
    reading: Reading
    column: str | RowColumn | None = None
    where: Where | None = None
    at: tuple[str, ...] | None = None
    listing: Listing = ()

    def define(self) -> str:
        what = "age" if self.column is None else name_of(self.column)
        on = f" on a list of {len(self.listing)} stays" if self.listing else ""
        return f"{what} as {self.reading}{on} of the latest row of {_write_rows(self)}"

    @classmethod
    def parse(cls, sentence: str, names: Names) -> Self | None:
        found = _LATEST.fullmatch(sentence)
        if found is None:
            return None
        return cls(
            **_read_rows(found, names),
            reading=one_of(found["reading"], Reading),
            column=None if found["column"] == "age" else names.column(found["column"]),
            listing=names.listing(found["listing"]),
        )

    def tables(self) -> tuple[str, ...]:
        return (self.table,)

    def columns(self, place: str) -> Iterator[tuple[str, str | RowColumn]]:
        """List the table's columns, then the key of the place."""
        yield from _columns(self, place, self.column)

    def key_pairs(self) -> Sequence[tuple[str, str]]:
        return _key_pairs(self)

    def is_text(self) -> bool:
        return self.reading in TEXT

    def time_bound(self, of_feature: Callable[[str], str]) -> str:
        """Return the reason of a reading that counts time from or to a date."""
        return _TIME_BOUND.get(self.reading, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class LatestValue(How):
    """A row's column read from other rows, as they were known when the row happened."""

    how: Window | Latest

    def define(self) -> str:
        return self.how.define()

    @classmethod
    def parse(cls, sentence: str, names: Names) -> Self | None:
        how = read_sentence(sentence, names, (Window, Latest))
        return cls(how=how) if isinstance(how, Window | Latest) else None

    def tables(self) -> tuple[str, ...]:
        return self.how.tables()

    def columns(self, place: str) -> Iterator[tuple[str, str | RowColumn]]:
        return self.how.columns(place)

    def key_pairs(self) -> Sequence[tuple[str, str]]:
        return self.how.key_pairs()


def _columns(
    how: Window | Latest, place: str, *read: str | RowColumn | None
) -> Iterator[tuple[str, str | RowColumn]]:
    """List key, columns read and filter of the table, then the place's columns of the key."""
    yield from ((how.table, column) for column in how.key)
    yield from ((how.table, column) for column in read if column is not None)
    where = how.where
    while where is not None:
        yield how.table, where.column
        where = where.also
    yield from ((place, column) for column in (how.key if how.at is None else how.at))


def _key_pairs(how: Window | Latest) -> Sequence[tuple[str, str]]:
    at = how.key if how.at is None else how.at
    pairs = zip(how.key, at, strict=True)
    return [(k, o) for k, o in pairs if isinstance(k, str) and isinstance(o, str)]


def _write_rows(how: Window | Latest) -> str:
    key = ", ".join(name_of(column) for column in how.key) or "the whole bank"
    at = f" (looked up by {', '.join(how.at)})" if how.at else ""
    conditions, where = [], how.where
    while where is not None:
        values = (
            each if re.fullmatch(r"\w+", each) else json.dumps(each, ensure_ascii=False)
            for each in where.values
        )
        conditions.append(f"{name_of(where.column)} in ({', '.join(values)})")
        where = where.also
    return f"{how.table} by {key}{at}{' where ' if conditions else ''}{' and '.join(conditions)}"


def _read_rows(found: re.Match[str], names: Names) -> dict[str, Any]:
    """Read which rows a sentence is about."""
    key = () if found["key"] == "the whole bank" else listed(found["key"])
    return {
        "table": found["table"],
        "key": tuple(names.column(name) for name in key),
        "at": found["at"] and (found["at"],),
        "where": _read_where(found["where"], names),
    }


def _column(name: str | None, names: Names) -> str | RowColumn | None:
    return None if name is None else names.column(name)


def _read_where(text: str | None, names: Names) -> Where | None:
    if text is None:
        return None
    if not re.fullmatch(rf"{_UNNAMED}(?: and {_UNNAMED})*", text):
        msg = f"condition {text!r} must read: column in (value, value) and column in (value)"
        raise ConfigError(msg)
    where = None
    # from the last one: each condition holds those that follow it
    for found in reversed(list(re.finditer(_CONDITION, text))):
        where = Where(
            column=names.column(found["column"]), values=tuple(_values(found["values"])), also=where
        )
    return where


def _values(text: str) -> Iterator[str]:
    """Split values; one that holds other characters than those of a word is quoted, as in JSON."""
    for each in re.findall(rf"{_QUOTED}|[^, ]+", text):
        yield json.loads(each) if each.startswith('"') else each
