"""A customer's last weeks compared with earlier weeks and with peers, as known then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.contract import (
    AMOUNT,
    CUSTOMER_ID,
    CUSTOMERS,
    DIRECTION,
    EVENT_TIME,
    EVENTS,
    KNOWN_AT,
    TRANSACTIONS,
    ContractedTables,
)
from kyc_ml.decision.casework.known import known_rows
from kyc_ml.decision.wording import Pair, write_both
from kyc_ml.features import DAY_US
from kyc_ml.metrics import Floats, Ints

WEEKS: Final = 26
"""Weeks shown (convention: half a year)."""

RECENT: Final = 4
"""The last weeks, which are compared with the ones before (convention)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentMeasure:
    """One measure by week, the oldest week first.

    Attributes
    ----------
    unit : str
        Empty for a count.
    starts : tuple of date, length `WEEKS`
        First day of each week; the last week ends at the decision.
    weekly : float64 array of shape (WEEKS,)
        Of the customer; NaN before the first row that was known.
    before : float
        Mean per week before the last `RECENT` weeks; NaN where no such week is known.
    recent : float
        Mean per week of the last `RECENT` weeks.
    peers_low, peers_high : float
        Quartiles of the peers' means per week; NaN without peers.
    place : float
        Share of the peers whose mean of the last `RECENT` weeks is lower, ties counting half; NaN
        without peers, or without a known week of the customer.
    """

    title: Pair
    unit: str
    starts: tuple[date, ...]
    weekly: Floats
    before: float
    recent: float
    peers_low: float
    peers_high: float
    place: float
    peers: int


def recent_behaviour(
    tables: ContractedTables,
    customer: str,
    *,
    decision: pd.Timestamp,
    peers: Mapping[str, str] | None = None,
) -> tuple[RecentMeasure, ...]:
    """Measure payments, amounts and events per week, from rows known at the decision only.

    A row counts if it happened before the decision and was known at it, as for features.
    Peers are the customers with any such row of the table in the same weeks.

    Parameters
    ----------
    peers : mapping of column of `customers` to value, optional
        Values of the peers' latest known profile; without it all customers are peers.
    """
    allowed = None if not peers else _alike(tables.tables[CUSTOMERS], peers, decision=decision)
    found = []
    for title, table, column, direction in _MEASURES:
        if table not in tables.tables or (
            direction and DIRECTION not in tables.tables[table].column_names
        ):
            continue
        rows = known_rows(tables.tables[table], decision=decision, since=_since(decision))
        if direction:
            rows = rows.filter(pc.equal(rows[DIRECTION], direction))
        values = np.ones(len(rows)) if column is None else rows[column].to_numpy()
        known = _first_known(tables.tables[table], customer, decision=decision)
        found.append(
            _measure(
                rows[CUSTOMER_ID].to_pandas(),
                _week_of(rows, decision),
                np.asarray(values, np.float64),
                customer=customer,
                first_week=known,
                allowed=allowed,
                title=write_both("measures", title),
                unit="" if column is None else tables.base_currency,
                decision=decision,
            )
        )
    return tuple(found)


_MEASURES: Final = (
    ("payments", TRANSACTIONS, None, None),
    ("money_in", TRANSACTIONS, AMOUNT, "in"),
    ("money_out", TRANSACTIONS, AMOUNT, "out"),
    ("events", EVENTS, None, None),
)
"""Key of the title, table, column summed (None counts rows), direction."""


_EPOCH: Final = pd.Timestamp(0, tz="UTC")


def _since(decision: pd.Timestamp) -> pd.Timestamp:
    return decision - pd.Timedelta(weeks=WEEKS)


def _week_of(rows: pa.Table, decision: pd.Timestamp) -> Ints:
    """Return the week of each row, 0 the oldest; each ends just before the next begins."""
    start = (_since(decision) - _EPOCH) // pd.Timedelta(microseconds=1)
    weeks = (rows[EVENT_TIME].cast(pa.int64()).to_numpy() - start) // (7 * DAY_US)
    return np.asarray(weeks, np.int64)


def _first_known(table: pa.Table, customer: str, *, decision: pd.Timestamp) -> int:
    """Return the week of a customer's first row known at the decision; `WEEKS` without one."""
    weeks = _week_of(known_rows(table, decision=decision, customer=customer), decision)
    return int(np.clip(weeks.min(), 0, WEEKS)) if weeks.size else WEEKS


def _alike(customers: pa.Table, wanted: Mapping[str, str], *, decision: pd.Timestamp) -> pd.Index:
    """List the customers whose latest profile known at the decision has these values."""
    known = known_rows(customers, decision=decision)
    frame = known.select([CUSTOMER_ID, EVENT_TIME, KNOWN_AT, *wanted]).to_pandas()
    # stable: of versions known at one instant the last in order counts
    frame = frame.sort_values([EVENT_TIME, KNOWN_AT], kind="stable")
    latest = frame.drop_duplicates(CUSTOMER_ID, keep="last").set_index(CUSTOMER_ID)
    same = np.ones(len(latest), np.bool_)
    for column, value in wanted.items():
        same &= (latest[column] == value).to_numpy()
    found: pd.Index = latest.index[same]
    return found


def _measure(
    customers: pd.Series,
    week: Ints,
    values: Floats,
    *,
    customer: str,
    first_week: int,
    allowed: pd.Index | None,
    title: Pair,
    unit: str,
    decision: pd.Timestamp,
) -> RecentMeasure:
    mine = (customers == customer).to_numpy()
    weekly = np.zeros(WEEKS)
    # `weekly[week] += values` would add only one of several rows of a week
    np.add.at(weekly, week[mine], values[mine])
    weekly[:first_week] = np.nan
    others = ~mine if allowed is None else ~mine & customers.isin(allowed).to_numpy()
    means = pd.Series(values[others]).groupby(customers.to_numpy()[others]).sum() / WEEKS
    low, high = np.quantile(means, [0.25, 0.75]) if len(means) else (np.nan, np.nan)
    before = weekly[: WEEKS - RECENT]
    before = before[~np.isnan(before)]
    last = weekly[WEEKS - RECENT :]
    last = last[~np.isnan(last)]
    lately = others & (week >= WEEKS - RECENT)
    sums = pd.Series(values[lately]).groupby(customers.to_numpy()[lately]).sum()
    sums = sums.reindex(means.index, fill_value=0.0)
    own = values[mine & (week >= WEEKS - RECENT)].sum()
    known = last.size and len(means)
    start = _since(decision)
    return RecentMeasure(
        title=title,
        unit=unit,
        starts=tuple((start + pd.Timedelta(weeks=number)).date() for number in range(WEEKS)),
        weekly=weekly,
        before=float(before.mean()) if before.size else np.nan,
        recent=float(last.mean()) if last.size else np.nan,
        peers_low=float(low),
        peers_high=float(high),
        place=float(((sums < own) + (sums == own) / 2).mean()) if known else np.nan,
        peers=len(means),
    )
