"""A customer's last weeks compared with earlier weeks and with peers, as known then."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml import contract as c
from kyc_ml.decision.casework.known import known_rows
from kyc_ml.decision.wording import Language, write_text

WEEKS: Final = 26
"""Weeks compared (convention: half a year)."""

RECENT: Final = 4
"""The last weeks, which are compared with the ones before (convention)."""

_WEEK: Final = pd.Timedelta(weeks=1)
_MEASURES: Final = (
    ("payments", c.TRANSACTIONS, None, None),
    ("money_in", c.TRANSACTIONS, c.AMOUNT, "in"),
    ("money_out", c.TRANSACTIONS, c.AMOUNT, "out"),
    ("events", c.EVENTS, None, None),
)
"""Key of the title, table, column summed (None counts rows), direction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentMeasure:
    """One measure per week, of `WEEKS` that end at the decision."""

    title: str
    unit: str
    """Empty for a count."""
    recent: float
    before: float
    """`recent` and `before`: the customer's mean of the last `RECENT` weeks, and of the weeks
    before them; weeks before the first row that was known do not count, and NaN without any
    other."""
    peers_low: float
    peers_high: float
    """`peers_low` and `peers_high`: quartiles of the peers' means of all weeks; NaN without
    peers."""
    place: float
    """Share of the peers whose mean of the last `RECENT` weeks is lower, ties counting half; NaN
    without peers, or without a known week of the customer."""
    peers: int


def recent_behaviour(
    tables: c.ContractedTables,
    customer: str,
    *,
    decision: pd.Timestamp,
    language: Language,
    peers: Mapping[str, str] | None = None,
) -> tuple[RecentMeasure, ...]:
    """Measure payments, amounts and events per week, from rows known at the decision only.

    A row counts if it happened before the decision and was known at it, as for features.
    Peers are the customers with any such row of the table in the same weeks.

    `peers`: mapping of column of `customers` to value; values of the peers' latest known profile;
    without it all customers are peers.
    """
    alike = None if not peers else _alike(tables.tables[c.CUSTOMERS], peers, decision=decision)
    found = []
    for title, name, column, direction in _MEASURES:
        table = tables.tables.get(name)
        if table is None or (direction and c.DIRECTION not in table.column_names):
            continue
        mine = known_rows(table, decision=decision, customer=customer)
        rows = known_rows(table, decision=decision, since=decision - WEEKS * _WEEK)
        if direction:
            rows = rows.filter(pc.equal(rows[c.DIRECTION], direction))
        values = pa.array(np.ones(len(rows))) if column is None else rows[column]
        late = rows[c.EVENT_TIME].to_pandas() >= decision - RECENT * _WEEK
        sums = pd.DataFrame({"all": values.to_pandas(), "late": values.to_pandas() * late})
        sums = sums.groupby(rows[c.CUSTOMER_ID].to_pandas()).sum()
        own = sums.reindex([customer], fill_value=0.0).iloc[0]
        others = sums.drop(index=customer, errors="ignore")
        others = others if alike is None else others[others.index.isin(alike)]
        found.append(
            RecentMeasure(
                title=write_text("measures", title, language),
                unit="" if column is None else tables.base_currency,
                **_compare(own, others, weeks=_known_weeks(mine, decision)),
                peers=len(others),
            )
        )
    return tuple(found)


def _known_weeks(own: pa.Table, decision: pd.Timestamp) -> int:
    """Count the weeks up to the decision from that of the first row; `WEEKS` at most."""
    first = pc.min(own[c.EVENT_TIME]).as_py()
    return 0 if first is None else min(-((first - decision) // _WEEK), WEEKS)


def _compare(own: pd.Series, others: pd.DataFrame, *, weeks: int) -> dict[str, float]:
    """Compare a customer's sums with those of the peers; see `RecentMeasure`."""
    low, high = (others["all"] / WEEKS).quantile([0.25, 0.75])
    lower = (others["late"] < own["late"]) + (others["late"] == own["late"]) / 2
    earlier = weeks - RECENT
    return {
        "recent": own["late"] / min(weeks, RECENT) if weeks else np.nan,
        "before": (own["all"] - own["late"]) / earlier if earlier > 0 else np.nan,
        "peers_low": low,
        "peers_high": high,
        "place": lower.mean() if weeks else np.nan,
    }


def _alike(customers: pa.Table, wanted: Mapping[str, str], *, decision: pd.Timestamp) -> pd.Index:
    """List the customers whose latest profile known at the decision has these values."""
    known = known_rows(customers, decision=decision)
    frame = known.select([c.CUSTOMER_ID, c.EVENT_TIME, c.KNOWN_AT, *wanted]).to_pandas()
    # stable: of versions known at one instant the last in order counts
    frame = frame.sort_values([c.EVENT_TIME, c.KNOWN_AT], kind="stable")
    latest = frame.drop_duplicates(c.CUSTOMER_ID, keep="last").set_index(c.CUSTOMER_ID)
    found: pd.Index = latest.index[(latest[list(wanted)] == pd.Series(wanted)).all(axis=1)]
    return found
