"""Doubts about the dating of cases, and of rows that are dated from cases.

A wrong known_at that is consistent moves nothing that an audit of features tampers with: labels,
or facts that were found because of a label, then count before they were known. What such
dates look like is searched for in the rows alone. Findings hold counts and codes of events and
items, never an identifier.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import duckdb
import numpy as np

from kyc_ml.contract.binding import BoundTable
from kyc_ml.contract.quality import RuleFinding
from kyc_ml.contract.tables import (
    ACCOUNTS,
    ADVERSE_OUTCOMES,
    CASES,
    CUSTOMER_ID,
    CUSTOMERS,
    EVENT_TIME,
    EVENT_TYPE,
    EVENTS,
    ITEM,
    KNOWN_AT,
    OUTCOME,
    REVIEWS,
    STATUS,
    THIRD_PARTY,
)
from kyc_ml.metrics import Ints
from kyc_ml.storage import quote_list, quote_name, quote_text

_INSTANT_SHARE: Final = 0.99
"""Convention: few cases are found immediately; if nearly all are, the date is a different one."""

_EARLY_SHARE, _EARLY_ROWS = 0.05, 10
"""Convention: a process confirms a few cases immediately, for example while the customer calls."""

_SAME_SHARE, _SAME_ROWS, _ASSUMED_HOURS = 0.5, 20, 168
"""Convention: half of at least 20 recorded lags are not equal to the second; who assumes a lag
of a week or more is careful."""

_KINDS: Final = {
    THIRD_PARTY: ITEM,
    EVENTS: EVENT_TYPE,
    ACCOUNTS: STATUS,
    CUSTOMERS: None,
    REVIEWS: None,
}
"""Tables whose rows may be dated from cases, and the column whose values are kinds of row."""

_SECOND_US, _HOUR_US, _DAY_US = 1_000_000, 3_600_000_000, 86_400_000_000
_SCALES: Final = (
    (3 * _SECOND_US, _HOUR_US, 2 * _DAY_US),
    (_DAY_US, 3 * _DAY_US, 182 * _DAY_US),
    (3 * _DAY_US, 9 * _DAY_US, 182 * _DAY_US),
)
"""Width of a window, shortest and longest lag searched with it, in microseconds. What causes a case
or announces it is close before it: a device is changed the minutes before an account is emptied."""
_STEPS: Final = 3
"""Parts of a window, by which it slides."""
_FEWEST: Final = 20
"""Customers, and days of cases, that a lag needs to be called fixed (convention)."""
_ALARMS: Final = 1e-4
"""Probability of a false alarm of a source whose lags are smooth."""
_MOST_CASES: Final = 20_000
"""Convention: a fixed lag is visible in the latest cases."""


def find_dating(
    connection: duckdb.DuckDBPyConnection,
    views: Mapping[str, str],
    *,
    bound: Sequence[BoundTable],
    zone: str,
    fastest_hours: float,
) -> list[RuleFinding]:
    """Find cases that are known too soon, and rows at a fixed time before adverse cases.

    `views`: mapping of accepted table to its SQL name.
    `bound`: how the tables are mapped: which optional columns they have.
    `zone`: zone of the source: a time of day other than its midnight is recorded, not assumed.
    `fastest_hours`: hours that an outcome needs at least to be confirmed; 0 asks for no warning.
    """
    columns = {table.contract.name: table.columns for table in bound}
    kinds = {
        table: column if column in columns[table] else None
        for table, column in _KINDS.items()
        if table in views
    }
    dating = _Dating(
        connection=connection, views=views, kinds=kinds, zone=zone, fastest_hours=fastest_hours
    )
    return list(dating.findings())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dating:
    """Accepted tables of a connection, and what the mapping says about times."""

    connection: duckdb.DuckDBPyConnection
    views: Mapping[str, str]
    kinds: Mapping[str, str | None]
    zone: str
    fastest_hours: float

    def findings(self) -> Iterator[RuleFinding]:
        """Return the doubts about cases, then those about other tables."""
        if CASES in self.views:
            yield from self._of_cases()
            ill = (
                f"SELECT DISTINCT {CUSTOMER_ID} FROM {self.views[CASES]} "
                f"WHERE list_contains({quote_list(ADVERSE_OUTCOMES)}, {OUTCOME}) LIMIT {_FEWEST}"
            )
            if len(self._rows(ill)) == _FEWEST:
                for table, column in self.kinds.items():
                    yield from self._of_rows(table, column)

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql).fetchall()

    def _of_cases(self) -> Iterator[RuleFinding]:
        """Find cases that are known too soon, or all at the same time after their event."""
        cases = self.views[CASES]
        count, instant = self._rows(
            f"SELECT count(*), count(*) FILTER ({KNOWN_AT} = {EVENT_TIME}) FROM {cases}"
        )[0]
        if instant and instant >= _INSTANT_SHARE * count:
            yield RuleFinding.of("known immediately", CASES, KNOWN_AT, count=instant)
            return
        # without a time of day the hours that passed are unknown
        timed = " AND ".join(
            f"CAST(timezone({quote_text(self.zone)}, {name}) AS TIME) <> TIME '00:00:00'"
            for name in (EVENT_TIME, KNOWN_AT)
        )
        lag = (
            f"SELECT {OUTCOME}, epoch_us({KNOWN_AT}) - epoch_us({EVENT_TIME}) AS lag FROM {cases} "
            f"WHERE list_contains({quote_list(ADVERSE_OUTCOMES)}, {OUTCOME}) AND {timed}"
        )
        limit = int(self.fastest_hours * _HOUR_US)
        early, of = self._rows(f"SELECT count(*) FILTER (lag < {limit}), count(*) FROM ({lag})")[0]
        if early >= max(_EARLY_ROWS, _EARLY_SHARE * of):
            about = {"hours": self.fastest_hours, "share": early / of}
            yield RuleFinding.of("known early", CASES, KNOWN_AT, count=early, **about)
        seconds = f"SELECT {OUTCOME}, lag // 1000000 AS seconds FROM ({lag}) WHERE lag >= {limit}"
        for outcome, second, same in self._rows(
            f"SELECT {OUTCOME}, mode(seconds) AS second, count(*) FILTER (seconds = second) FROM ("
            f"SELECT *, mode(seconds) OVER (PARTITION BY {OUTCOME}) AS second, "
            f"count(*) OVER (PARTITION BY {OUTCOME}) AS n FROM ({seconds})) "
            f"GROUP BY {OUTCOME} "
            f"HAVING any_value(n) >= {_SAME_ROWS} "
            f"AND count(*) FILTER (seconds = second) >= {_SAME_SHARE} * any_value(n) "
            f"ORDER BY {OUTCOME}"
        ):
            if second < _ASSUMED_HOURS * 3600:
                about = {"outcome": outcome, "hours": second / 3600}
                yield RuleFinding.of("same lag", CASES, KNOWN_AT, count=same, **about)

    def _of_rows(self, table: str, column: str | None) -> Iterator[RuleFinding]:
        """Find kinds of rows that lie at a fixed time before cases."""
        found: dict[str, tuple[int, float, str]] = {}
        late = f"SELECT 1 FROM {self.views[table]} WHERE {KNOWN_AT} <> {EVENT_TIME} LIMIT 1"
        owns = (EVENT_TIME, KNOWN_AT) if self._rows(late) else (EVENT_TIME,)
        times = [(own, of) for own in owns for of in (EVENT_TIME, KNOWN_AT)]
        for width, shortest, longest in _SCALES:
            for own, of in times:
                bin_us = width // _STEPS
                lags = self._lags(table, column, own=own, of=of, bin_us=bin_us, longest=longest)
                for kind, rows in lags.items():
                    met = find_fixed_lag(
                        rows[:-1], rows[-1], first=shortest // bin_us, bins=longest // bin_us
                    )
                    if met is not None and met[0] > found.get(kind, (0,))[0]:
                        hours = (met[1] + _STEPS / 2) * bin_us / _HOUR_US
                        found[kind] = (met[0], hours, own)
        for kind, (customers, hours, own) in sorted(found.items()):
            about = {"kind": f" with {column} {kind!r}" if column else "", "lag": _say(hours)}
            yield RuleFinding.of("fixed lag", table, own, count=customers, **about)

    def _lags(
        self, table: str, column: str | None, *, own: str, of: str, bin_us: int, longest: int
    ) -> dict[str, tuple[Ints, ...]]:
        """List the pairs of a row and a later case: customer, day, clock and bin of the lag."""
        # only rows dated before the conduct: what follows it may follow from it
        kind = "''" if column is None else f"row.{quote_name(column)}"
        # one case of a customer and day: the payments of one incident are one
        adverse = (
            f"SELECT dense_rank() OVER (ORDER BY {CUSTOMER_ID}) AS customer, * FROM ("
            f"SELECT {CUSTOMER_ID}, epoch_us({EVENT_TIME}) // {_DAY_US} AS day, "
            f"arg_min({KNOWN_AT}, ({EVENT_TIME}, {KNOWN_AT})) AS {KNOWN_AT}, "
            f"min({EVENT_TIME}) AS {EVENT_TIME} FROM {self.views[CASES]} "
            f"WHERE list_contains({quote_list(ADVERSE_OUTCOMES)}, {OUTCOME}) "
            f"GROUP BY {CUSTOMER_ID}, day ORDER BY day DESC, {CUSTOMER_ID} LIMIT {_MOST_CASES})"
        )
        # dates without a time of day, and batches of one hour, differ by whole hours and days
        second = f"epoch_us(row.{own}) % {_DAY_US} // {_SECOND_US}"
        clock = second if bin_us <= _SECOND_US else "customer"
        gap = f"(epoch_us(adverse.{of}) - epoch_us(row.{own}))"
        pairs = self.connection.execute(
            f"SELECT DISTINCT coalesce({kind}, '') AS kind, "
            f"customer, day, {clock} AS clock, {gap} // {bin_us} AS bin "
            f"FROM ({adverse}) AS adverse JOIN {self.views[table]} AS row USING ({CUSTOMER_ID}) "
            f"WHERE row.{EVENT_TIME} < adverse.{EVENT_TIME} AND {gap} >= 0 AND {gap} < {longest}"
        ).fetchnumpy()
        names = ("customer", "day", "clock", "bin")
        kinds = np.asarray(pairs["kind"], dtype=np.str_)
        arrays = [np.asarray(pairs[name], dtype=np.int64) for name in names]
        return {
            str(each): tuple(array[kinds == each] for array in arrays) for each in np.unique(kinds)
        }


def find_fixed_lag(
    units: Sequence[Ints], bin_: Ints, *, first: int, bins: int
) -> tuple[int, int] | None:
    """Find the lag at which more rows precede cases than smooth lags explain.

    A scan statistic: for each window of `_STEPS` bins, the number of different units of the kind
    with the fewest. What happens to many on one day, such as a campaign or the end of a month,
    counts once. The fullest window is compared with the fullest of the others apart from it, from
    the one before the first searched: a cause acts with lags that vary, so that the windows beside
    it are about as full, and what recurs is as full again later. The number expected is twice that
    of the fullest other, and the distribution Poisson.

    `units`: sequence of int arrays of shape (n,); of pairs of a row and a case: the customer first,
    then for example the day of the case.
    `bin_`: int array of shape (n,); bin of the lag of each pair.
    `first`, `bins`: the first bin searched, and the number of bins.
    Number of customers and the window's first bin; None if no window stands out.

    References
    ----------
    Kulldorff 1997, Communications in Statistics 26(6), 1481-1496, for the scan; the comparison
    with the fullest other window is convention, and more careful.
    """
    from scipy.special import pdtrc  # noqa: PLC0415  loads for long

    met = np.minimum.reduce([_distinct(each, bin_, bins) for each in units])
    searched = met.copy()
    searched[:first] = 0
    if searched.max(initial=0) < _FEWEST:
        return None
    place = int(searched.argmax())
    others = met.copy()
    others[max(0, place - _STEPS + 1) : place + _STEPS] = 0
    others[: first - _STEPS] = 0
    expected = 2.0 * max(int(others.max()), 1)
    # the probability of this number or more; the same as `scipy.stats.poisson.sf`
    if pdtrc(met[place] - 1.0, expected) * bins > _ALARMS:
        return None
    return int(_distinct(units[0], bin_, bins)[place]), place


def _distinct(values: Ints, bin_: Ints, bins: int) -> Ints:
    """Count the different values in each window of `_STEPS` bins; shape (bins,)."""
    places = np.concatenate([bin_ - step for step in range(_STEPS)])
    pairs = np.unique(np.stack([np.tile(values, _STEPS), places]), axis=1)
    return np.bincount(pairs[1][pairs[1] >= 0], minlength=bins)[:bins]


def _say(hours: float) -> str:
    return f"{hours / 24:.0f} days" if hours >= 48 else f"{hours:.2g} hours"
