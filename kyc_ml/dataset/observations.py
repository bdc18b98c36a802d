"""Observations: what is decided, and when. Features look back from that time."""

from collections.abc import Collection, Iterable
from functools import reduce
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml import contract as c
from kyc_ml.config import DatasetConfig, Unit
from kyc_ml.display import say_moment
from kyc_ml.errors import DatasetError
from kyc_ml.features import DECISION_TIME, OBSERVATION_ID
from kyc_ml.metrics import Names

UTC_TIME: Final = pa.timestamp("us", tz="UTC")
_INSTANT: Final = pd.Timedelta(microseconds=1)
_SEEN_BY: Final = (c.CUSTOMER_ID, c.EVENT_TIME, c.KNOWN_AT)


def customers_of(rows: pa.Table) -> Names:
    """Return the customer of each observation, shape (n,), from observations or feature keys."""
    ids = rows[c.CUSTOMER_ID].combine_chunks().dictionary_encode()
    # one object for each customer, not for each row
    names = np.array([*ids.dictionary.to_pylist(), np.nan], dtype=object)
    return np.asarray(names[ids.indices.fill_null(-1).to_numpy()])


def history_start(config: DatasetConfig) -> pd.Timestamp | None:
    """Return the first day whose observations count; None if all count."""
    return None if config.history_start is None else pd.Timestamp(config.history_start, tz="UTC")


def make_observations(
    source: c.ContractedTables,
    *,
    unit: Unit,
    start: pd.Timestamp | None,
    end: pd.Timestamp,
    config: DatasetConfig,
    end_is: str = "",
) -> pa.Table:
    """List the observations with ``start <= decision_time < end``, in order of time.

    A `fraud` observation is a transaction at its own time, with its own fields. A `risk`
    observation is a customer at a review: from the reviews table, or, without one, every
    customer known then at each date of the review calendar that the data reaches.

    Parameters
    ----------
    end_is : str
        What `end` was computed from, for the message of the error.

    Raises
    ------
    DatasetError
        If there is no observation, or a table that it needs is absent.
    """
    if unit == "fraud":
        require_transactions(source.tables)
        table = as_observations(source.tables[c.TRANSACTIONS], c.TRANSACTION_ID)
    elif c.REVIEWS in source.tables:
        table = as_observations(source.tables[c.REVIEWS], c.REVIEW_ID)
    else:
        table = _review_calendar(source, start=start, end=end, config=config)
    when = pc.field(DECISION_TIME)
    kept = when < instant(end)
    if start is not None:
        kept = kept & (when >= instant(start))
    found = table.filter(kept)
    if found.num_rows == 0:
        since = "the beginning" if start is None else start.date().isoformat()
        until = f"{end.date().isoformat()}{f' ({end_is})' if end_is else ''}"
        msg = (
            f"no {unit} observation lies between {since} and {until}: "
            "check the dates against the first and last event of the data-quality summary"
        )
        raise DatasetError(msg + _say_later(source, table.filter(when >= instant(end))))
    return found


def _say_later(source: c.ContractedTables, later: pa.Table) -> str:
    """Return where later observations lie, and whether a later date would include them."""
    if not later.num_rows:
        return ""
    first = pd.Timestamp(pc.min(later[DECISION_TIME]).as_py())
    newest = c.find_newest(source)
    if newest is None or c.observable_until(source, first + _INSTANT) > first:
        cure = "give a later --as-of"
    else:
        cure = (
            f"the last transaction or event is of {newest:%Y-%m-%d}; bring newer ones, or leave "
            "out a table that ended long before the others"
        )
    at = say_moment(first, source.timezone)
    return f"; {later.num_rows:,} lie later, the first at {at}: {cure}"


def make_reviews_at(source: c.ContractedTables, *, at: pd.Timestamp) -> pa.Table:
    """List every customer known before `at`, to be reviewed at `at`."""
    return reviews_of(when_first_seen(source), [at])


def instant(time: pd.Timestamp) -> pa.Scalar:
    """Convert a time to the Arrow type of the times in the tables."""
    return pa.scalar(time.to_pydatetime(), UTC_TIME)


def require_transactions(tables: Collection[str]) -> None:
    """Check that observations of unit `fraud` can be made.

    Raises DatasetError if there is no table of transactions.
    """
    if c.TRANSACTIONS not in tables:
        msg = "unit 'fraud' needs the table transactions: map it in the source mapping"
        raise DatasetError(msg)


def as_observations(rows: pa.Table, identifier: str) -> pa.Table:
    """Rename the key and the time of a table to those of observations; other columns stay."""
    names = {identifier: OBSERVATION_ID, c.EVENT_TIME: DECISION_TIME}
    renamed = [names.get(name, name) for name in rows.column_names]
    return rows.rename_columns(renamed).drop_columns([c.KNOWN_AT])


def when_first_seen(source: c.Tables) -> pd.Series:
    """Find when each customer was first known.

    The customers table gives it. Without that table, customers are those whom a row of the
    bank's other tables names; a case alone does not make a customer. A customer with a planned
    review was known before it.

    Returns Series of timestamps, by customer id, sorted.
    Raises DatasetError if the source has none of these tables.
    """
    tables = source.columns()
    found = []
    for name in seen_in(tables):
        seen = _earliest(tables[name].pieces(*_SEEN_BY))
        # a customer must be seen before a review: the review itself is enough for that
        found.append(seen - _INSTANT if name == c.REVIEWS else seen)
    if len(found) == 1:
        return found[0]
    least: pd.Series = pd.concat(found).groupby(level=0).min().sort_index()
    return least


def seen_in(tables: Collection[str]) -> list[str]:
    """List the tables that define who is a customer; see `when_first_seen`."""
    others = (c.ACCOUNTS, c.TRANSACTIONS, c.EVENTS, c.THIRD_PARTY, c.REVIEWS)
    names = [c.CUSTOMERS] if c.CUSTOMERS in tables else [name for name in others if name in tables]
    if not names:
        raise DatasetError(
            "unit 'risk' needs the table customers or transactions, or another table of what "
            "customers have or do: map one of them"
        )
    return names


def _earliest(pieces: Iterable[pa.RecordBatch]) -> pd.Series:
    """Find the first time of each customer, of rows that come piece by piece."""
    names = list(_SEEN_BY)

    def add(known: list[pa.Table], piece: pa.RecordBatch) -> list[pa.Table]:
        more = pa.Table.from_batches([piece]).select(names)
        # Arrow's minimum is nullable and a contracted column is not, so the schemas differ
        together = pa.concat_tables([*known, more], promote_options="default")
        least = together.group_by(c.CUSTOMER_ID).aggregate(
            [(c.EVENT_TIME, "min"), (c.KNOWN_AT, "min")]
        )
        by_name = {c.CUSTOMER_ID: c.CUSTOMER_ID, f"{c.EVENT_TIME}_min": c.EVENT_TIME}
        renamed = [by_name.get(name, c.KNOWN_AT) for name in least.column_names]
        return [least.rename_columns(renamed).select(names)]

    none_yet: list[pa.Table] = []
    found = reduce(add, pieces, none_yet)
    if not found:
        return pd.Series([], index=pd.Index([], name=c.CUSTOMER_ID), dtype="datetime64[us, UTC]")
    seen: pd.DataFrame = found[0].to_pandas().set_index(c.CUSTOMER_ID)
    # known and happened: the later of the two
    return seen.max(axis="columns").sort_index()


def _review_calendar(
    source: c.ContractedTables,
    *,
    start: pd.Timestamp | None,
    end: pd.Timestamp,
    config: DatasetConfig,
) -> pa.Table:
    """Review every customer at the first instant of each calendar period."""
    # without a start, the calendar begins with the bank's transactions: before them there is no
    # behaviour, however long the customer has been known
    seen = when_first_seen(source)
    first = _behaviour_begins(source, seen) if start is None else start
    until = c.observable_until(source, end)  # later reviews would see no behaviour
    dates = pd.date_range(first, until, freq=f"{config.review_every_months}MS", normalize=True)
    return reviews_of(seen, [date for date in dates if first <= date < until])


def _behaviour_begins(source: c.ContractedTables, seen: pd.Series) -> pd.Timestamp:
    if c.TRANSACTIONS not in source.tables:
        return pd.Timestamp(seen.min())
    first = source.quality.table(c.TRANSACTIONS).first_usual
    return pd.Timestamp(seen.min() if first is None else first)


def reviews_of(seen: pd.Series, dates: list[pd.Timestamp]) -> pa.Table:
    """List, for each date, a review of every customer known before it."""
    parts = []
    for date in dates:
        known = seen.index[seen < date].to_numpy(dtype=object)
        day = date.strftime("%Y-%m-%d")
        parts.append(
            pa.table(
                {
                    OBSERVATION_ID: pa.array(
                        [f"{customer}@{day}" for customer in known], pa.string()
                    ),
                    c.CUSTOMER_ID: pa.array(known, pa.string()),
                    DECISION_TIME: pa.array([date.to_pydatetime()] * known.size, UTC_TIME),
                }
            )
        )
    if not parts:
        msg = "no review date lies in the period: check the dates and review_every_months"
        raise DatasetError(msg)
    return pa.concat_tables(parts)
