"""What an extract holds: rows, days, numbers and values of each table, as known at a time.

Everything is counted from `known_at`, in days of 24 hours that end at the decision time, so that
day 0 is what arrived last, whatever hour a bank's day begins at. Values of customers never leave
this module: a summary names the values of a column by digests.
"""

import hashlib
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pyarrow.types as pt

from kyc_ml import contract as c
from kyc_ml.storage import connect, quote_list, quote_name, quote_text

DAYS: Final = 400
"""Days whose arrivals are counted: a year, so that each holiday is among them."""
RECENT_DAYS: Final = 91
"""Days whose values are compared with the last: three ends of a month."""
HOUR: Final = "hour of event_time"
_LONG: Final = (c.TRANSACTIONS, c.EVENTS)
"""Tables of which only the recent rows are described; of the others all are."""
_FORMED: Final = (c.CUSTOMER_ID, c.ACCOUNT_ID, c.COUNTERPARTY_ID, c.DEVICE_ID)
_EPOCH: Final = pd.Timestamp(0, tz="UTC")
_HOUR_US: Final = 3_600_000_000
_DAY_US: Final = 24 * _HOUR_US
_REPEATED_DAYS: Final = 29
_MOST_VALUES: Final = 200
"""Convention: a text column with more values is free text."""
_FEWEST_PAUSES: Final = 5
"""Convention: fewer pauses between rows show no rhythm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSummary:
    """What a table held at a time: what a later night compares itself with."""

    rows: int
    """Rows known before the time."""
    first: str | None = None
    newest: str | None = None
    """`first` and `newest`: when the first and the last of them became known: ISO, UTC; None
    without rows."""
    pause_hours: float | None = None
    """Second longest pause without a row in the last 400 days, in whole hours; None with fewer than
    five pauses."""
    arrivals: tuple[int, ...] = ()
    """Rows that became known on each day before the time, the last day first; at most 428, of which
    a manifest keeps 91."""
    described: int = 0
    """Rows that the following describe: of transactions and events those of the last 91 days."""
    missing: Mapping[str, float]
    """Mapping of column to share; share of them without a value."""
    magnitude: Mapping[str, float]
    """Mapping of column to number; mean of the common logarithm of a number's size, without
    zeros."""
    shares: Mapping[str, Mapping[str, float]]
    """Mapping of column to mapping of digest to share; share of each value among the rows with one;
    of an identifier, of its forms."""

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Self:
        """Read what a manifest holds."""
        return cls(**{**plain, "arrivals": tuple(plain["arrivals"])})

    def to_plain(self) -> dict[str, Any]:
        """Return plain values for a manifest."""
        return {**asdict(self), "arrivals": list(self.arrivals[:RECENT_DAYS])}


@dataclass(frozen=True, slots=True, kw_only=True)
class TableProfile:
    """A table's summary, and its recent days one by one."""

    summary: TableSummary
    by_hour: pd.DataFrame
    """hour (whole hours before the time), rows; for all rows."""
    by_day: pd.DataFrame
    """Indexed by day; rows, and of each column ``missing:C``, of each number ``middle:C`` and
    ``spread:C`` (mean and standard deviation of its logarithm), ``valued:C`` (rows with one)."""
    by_value: pd.DataFrame
    """column, day, value, rows, and middle, spread, valued of the table's first number."""
    repeated: Mapping[int, float]
    """Mapping of day to share; rows that repeat another row but for key and `known_at`; empty for
    profiles."""
    held: int
    """Rows of the table, whenever they became known."""
    number: str = ""
    """The first number; empty without one."""


def profile_extract(
    tables: c.StoredTables, as_of: pd.Timestamp, *, memory: str, scratch: Path | None
) -> dict[str, TableProfile]:
    """Describe every table as it was known before a time; planned reviews are left out.

    `memory`, `scratch`: what DuckDB may use.
    """
    described = {}
    files = {name: path for name, path in tables.files.items() if name != c.REVIEWS}
    parts = [part for path in files.values() for part in c.parts_of(path)]
    with closing(connect(data=None, memory=memory, scratch=scratch, files=parts)) as connection:
        for name, path in files.items():
            reading = _Reading(connection, name, path, as_of)
            described[name] = reading.profile(tables.whole.get(name))
    return described


class _Reading:
    """One table's queries."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, table: str, path: Path, as_of: pd.Timestamp
    ) -> None:
        self._connection = connection
        self._table = table
        self._as_of = as_of
        self._until = (as_of - _EPOCH) // pd.Timedelta(microseconds=1)
        parts = c.parts_of(path)
        rows = f"read_parquet({quote_list([str(part.resolve()) for part in parts])})"
        self._before = f"{rows} WHERE epoch_us({quote_name(c.KNOWN_AT)}) < {self._until}"
        self._since = f"({self._until - 1} - epoch_us({quote_name(c.KNOWN_AT)}))"
        self._schema = pq.read_schema(parts[0])
        self._held = c.FileColumns(*parts).num_rows
        fields = [field for field in self._schema if field.name not in {c.EVENT_TIME, c.KNOWN_AT}]
        self._key = {field.name for field in fields} & set(c.CONTRACT[table].key)
        self._columns = [field.name for field in fields]
        self._numbers = [field.name for field in fields if pt.is_floating(field.type)]
        self._texts = [
            field.name
            for field in fields
            if pt.is_string(field.type) and not c.column_of(table, field).identifier
        ]
        self._flags = [field.name for field in fields if pt.is_boolean(field.type)]

    def profile(self, whole: c.Whole | None) -> TableProfile:
        """Describe the table; `whole`: what its file does not hold."""
        hours = self._frame(
            f"SELECT {self._since} // {_HOUR_US} AS hour, count(*) AS rows, "
            f"min({self._since}) AS newest, max({self._since}) AS first "
            f"FROM {self._before} GROUP BY 1 ORDER BY 1"
        )
        if whole is not None:
            hours = self._with_earlier(hours, whole)
        by_day = self._frame(
            f"SELECT day, {', '.join(self._measures())} FROM {self._recent()} GROUP BY 1 ORDER BY 1"
        ).set_index("day")
        by_value = self._by_value()
        number = self._numbers[0] if self._numbers else ""
        return TableProfile(
            summary=self._summary(hours, by_day, by_value),
            by_hour=hours[["hour", "rows"]],
            by_day=by_day,
            by_value=by_value,
            repeated=self._repeated(),
            held=self._held if whole is None else whole.rows,
            number=number,
        )

    def _with_earlier(self, hours: pd.DataFrame, whole: c.Whole) -> pd.DataFrame:
        """Add the hours of rows that are counted by quarters of an hour."""
        # counted from a midnight, all rows of a quarter have the hour of its end
        since = self._until - (np.array([*whole.known], np.int64) + 1) * c.QUARTER_US
        times = {"hour": since // _HOUR_US, "newest": since, "first": since}
        earlier = pd.DataFrame({**times, "rows": [*whole.known.values()]})
        by_hour = pd.concat([hours, earlier[since >= 0]]).groupby("hour", as_index=False)
        joined: pd.DataFrame = by_hour.agg({"rows": "sum", "newest": "min", "first": "max"})
        if whole.known and whole.first_known is not None:
            joined.loc[joined.index[-1], "first"] = self._until - 1 - whole.first_known
        return joined

    def _frame(self, sql: str) -> pd.DataFrame:
        frame: pd.DataFrame = self._connection.sql(sql).to_arrow_table().to_pandas()
        return frame

    def _recent(self, days: int = RECENT_DAYS) -> str:
        """Write the rows to describe, each with its day."""
        rows = f"(SELECT *, {self._since} // {_DAY_US} AS day FROM {self._before})"
        return f"{rows} WHERE day <= {days}" if self._table in _LONG else rows

    def _measures(self) -> list[str]:
        logs = {name: _log(name) for name in self._numbers}
        return [
            "count(*) AS rows",
            *(
                f"count(*) - count({quote_name(name)}) AS {quote_name(f'missing:{name}')}"
                for name in self._columns
            ),
            *(f"avg({log}) AS {quote_name(f'middle:{name}')}" for name, log in logs.items()),
            *(f"stddev_pop({log}) AS {quote_name(f'spread:{name}')}" for name, log in logs.items()),
            *(f"count({log}) AS {quote_name(f'valued:{name}')}" for name, log in logs.items()),
        ]

    def _categories(self) -> dict[str, str]:
        """Return the columns whose values are counted, as SQL: texts, flags, forms, hours."""
        found = {name: quote_name(name) for name in self._flags}
        if self._texts:
            counts = ", ".join(f"approx_count_distinct({quote_name(n)})" for n in self._texts)
            distinct = self._connection.execute(f"SELECT {counts} FROM {self._recent()}").fetchall()
            known = zip(self._texts, distinct[0], strict=True)
            found |= {name: quote_name(name) for name, n in known if n <= _MOST_VALUES}
        for name in self._columns:
            if name in _FORMED and name not in self._key:
                first, column = f"left({quote_name(name)}, 1)", quote_name(name)
                digit = f"CASE WHEN {first} BETWEEN '0' AND '9' THEN '9' ELSE {first} END"
                found[f"form of {name}"] = f"{digit} || strlen({column})"
        for name in self._numbers:
            found[f"sign of {name}"] = f"sign({quote_name(name)})"
        if self._table in _LONG:
            found[HOUR] = f"epoch_us({quote_name(c.EVENT_TIME)}) // {_HOUR_US} % 24"
        return found

    def _by_value(self) -> pd.DataFrame:
        categories = self._categories()
        names = ["column", "day", "value", "rows", "middle", "spread", "valued"]
        if not categories:
            return pd.DataFrame(columns=names)
        log = _log(self._numbers[0]) if self._numbers else "NULL::DOUBLE"
        aliases = {f"c{place}": sql for place, sql in enumerate(categories.values())}
        typed = ", ".join(f"CAST(({sql}) AS VARCHAR) AS {alias}" for alias, sql in aliases.items())
        sets = ", ".join(f"(day, {alias})" for alias in aliases)
        which = " ".join(
            f"WHEN grouping({alias}) = 0 THEN {quote_text(name)}"
            for alias, name in zip(aliases, categories, strict=True)
        )
        rows = self._frame(
            f"SELECT CASE {which} END AS {quote_name('column')}, day, "
            f"coalesce({', '.join(aliases)}) AS value, count(*) AS rows, avg(log) AS middle, "
            "stddev_pop(log) AS spread, count(log) AS valued "
            f"FROM (SELECT day, {log} AS log, {typed} FROM {self._recent()}) "
            f"GROUP BY GROUPING SETS ({sets}) ORDER BY ALL"
        )
        return rows[rows["value"].notna()][names]

    def _repeated(self) -> dict[int, float]:
        """Return the share of the rows of each of 29 days that repeat a row, but for the key.

        The later one counts, on the same day or another.
        """
        if self._table not in _LONG:
            return {}
        same = [name for name in self._columns if name not in self._key] + [c.EVENT_TIME]
        packed = ", ".join(quote_name(name) for name in same)
        recent = (
            f"(SELECT {self._since} // {_DAY_US} AS day, hash({packed}) AS content "
            f"FROM {self._before} AND {self._since} < {_REPEATED_DAYS * _DAY_US})"
        )
        found = self._connection.execute(
            f"SELECT day, sum(rows - 1), sum(all_rows) FROM (SELECT min(day) AS day, "
            f"count(*) AS rows, 0 AS all_rows FROM {recent} GROUP BY content UNION ALL "
            f"SELECT day, 1, count(*) FROM {recent} GROUP BY 1) GROUP BY 1"
        ).fetchall()
        return {int(day): float(again) / float(rows) for day, again, rows in found if rows}

    def _summary(
        self, hours: pd.DataFrame, by_day: pd.DataFrame, by_value: pd.DataFrame
    ) -> TableSummary:
        n = int(by_day["rows"].sum())
        parts = by_value.groupby(["column", "value"], sort=True)["rows"].sum()
        shares: dict[str, dict[str, float]] = {}
        for column, rows in parts.groupby(level=0, sort=True):
            of = (rows.droplevel(0) / rows.sum()).round(6)
            shares[str(column)] = {_digest(str(value)): float(s) for value, s in of.items()}
        return TableSummary(
            rows=int(hours["rows"].sum()),
            first=self._time(hours["first"].max()),
            newest=self._time(hours["newest"].min()),
            pause_hours=_second_pause(hours["hour"].to_numpy()),
            arrivals=tuple(arrivals_by_day(hours).tolist()),
            described=n,
            missing={
                name: round(float(by_day[f"missing:{name}"].sum() / max(n, 1)), 6)
                for name in self._columns
            },
            magnitude={
                name: round(float(np.average(valued[f"middle:{name}"], weights=weights)), 6)
                for name in self._numbers
                for valued in [by_day[by_day[f"valued:{name}"] > 0]]
                for weights in [valued[f"valued:{name}"]]
                if len(valued)
            },
            shares=shares,
        )

    def _time(self, before_us: float) -> str | None:
        if np.isnan(before_us):
            return None
        return (self._as_of - pd.Timedelta(microseconds=int(before_us) + 1)).isoformat()


def arrivals_by_day(hours: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the rows of each day of 24 hours, the last day first; at most `DAYS`, and 28."""
    day = hours["hour"].to_numpy(dtype=np.int64) // 24
    kept = day < DAYS + 28
    counted = np.bincount(day[kept], weights=hours["rows"].to_numpy()[kept])
    return counted.astype(np.int64)


def _second_pause(hours: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float | None:
    """Return the second longest pause between hours with rows; the longest may be an outage."""
    recent = hours[hours < DAYS * 24]
    pauses = np.sort(np.diff(recent))
    return float(pauses[-2]) if len(pauses) >= _FEWEST_PAUSES else None


def _log(name: str) -> str:
    column = quote_name(name)
    return f"CASE WHEN {column} <> 0 THEN log10(abs({column})) END"


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()[:8]
