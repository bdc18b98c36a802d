"""Choose the observations of a batch, piece by piece, from memory or from files."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kyc_ml import contract as c
from kyc_ml.config import Unit, a_day_before
from kyc_ml.dataset.observations import (
    UTC_TIME,
    as_observations,
    instant,
    require_transactions,
    reviews_of,
    when_first_seen,
)
from kyc_ml.display import say_moment
from kyc_ml.errors import ConfigError, DatasetError
from kyc_ml.features import DECISION_TIME
from kyc_ml.metrics import Mask
from kyc_ml.storage import written_whole

_CUSTOMERS_AT_ONCE: Final = 1 << 17


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenObservations:
    """The observations of a batch."""

    unit: Unit
    since: pd.Timestamp | None
    """For `fraud`, transactions that became known at or after it; None takes all. For `risk`,
    planned reviews at or after it; None reviews every customer at `as_of`."""
    as_of: pd.Timestamp
    """Only transactions known, and reviews planned, before it."""
    planned: bool = False
    """For `risk`: score planned reviews, even without `since`."""
    not_due: Collection[str] = ()
    """Customers to leave out of the reviews at `as_of`."""

    @classmethod
    def by_default(
        cls, unit: Unit, *, since: pd.Timestamp | None, as_of: pd.Timestamp, zone: str
    ) -> ChosenObservations:
        """Choose the transactions of the day before `as_of`, or all reviews, without `since`.

        Transactions count from when they became known, however late: consecutive nights score
        each transaction exactly once, also where clocks change in the `zone` of the source.
        """
        if unit == "fraud" and since is None:
            since = a_day_before(as_of, zone)
        return cls(unit=unit, since=since, as_of=as_of)

    @property
    def by_plan(self) -> bool:
        """True if the reviews that the bank has planned are scored."""
        return self.unit == "risk" and (self.planned or self.since is not None)


def choose_observations(tables: c.Tables, chosen: ChosenObservations) -> pa.Table:
    """List the chosen observations; ConfigError or DatasetError as `store_observations` does."""
    found = pa.concat_tables(_pieces(tables, chosen))
    if not found.num_rows:
        raise DatasetError(_say_nothing(tables, chosen))
    return found


def store_observations(tables: c.Tables, chosen: ChosenObservations, path: Path) -> int:
    """Write the chosen observations as Parquet, and return their number.

    Raises ConfigError if planned reviews are requested and the source has no such table;
    DatasetError if nothing is chosen, or the tables it needs are absent; OutputError if the file
    cannot be written.
    """
    rows = _write(_pieces(tables, chosen), path)
    if not rows:
        # a file without observations must not look like a result
        path.unlink(missing_ok=True)
        raise DatasetError(_say_nothing(tables, chosen))
    return rows


def _pieces(tables: c.Tables, chosen: ChosenObservations) -> Iterator[pa.Table]:
    """Return the chosen observations piece by piece; there is a first one even if it is empty."""
    columns = tables.columns()
    if chosen.unit == "fraud":
        require_transactions(columns)
        return _between(columns[c.TRANSACTIONS], c.KNOWN_AT, c.TRANSACTION_ID, chosen)
    if not chosen.by_plan:
        return _reviewed(tables, chosen)
    if c.REVIEWS not in columns:
        raise ConfigError(
            "--since and --full choose planned reviews, but the source has no table reviews: "
            "leave them out, and every customer is reviewed at --as-of"
        )
    return _between(columns[c.REVIEWS], c.EVENT_TIME, c.REVIEW_ID, chosen)


def count_not_scored(
    tables: c.Tables, chosen: ChosenObservations, scored: Collection[str]
) -> dict[str, int]:
    """Count the customers without a review in a batch, by reason.

    `scored`: customers of the stored observations.
    Returns dict of reason to customers; reasons that apply to at least one customer; empty for
    `fraud`. With the scored customers they add up to all customers of the source; see
    `when_first_seen`.
    """
    if chosen.unit == "fraud":
        return {}
    seen = when_first_seen(tables)
    rest = seen[~seen.index.isin(list(scored))]
    later = rest >= chosen.as_of
    not_due = ~later & rest.index.isin(list(chosen.not_due))
    counts = {
        "known only later": int(later.sum()),
        "not due yet": int(not_due.sum()),
        "no review planned in the period": int((~later & ~not_due).sum()),
    }
    return {reason: customers for reason, customers in counts.items() if customers}


def store_rows(
    source: c.ContractedTables, observations: pa.Table, rows: Mask, path: Path, *, unit: Unit
) -> None:
    """Write the marked ones of all observations of a period as Parquet, with all their fields."""
    if source.stored is None or unit == "risk":
        _write(iter([observations.filter(pa.array(rows))]), path)
        return
    # their fields are in the file alone, of which they are a run: both are in order of time
    table = source.stored.columns()[c.TRANSACTIONS]
    first = pc.index(source[c.TRANSACTIONS][c.EVENT_TIME], observations[DECISION_TIME][0]).as_py()
    wanted = np.zeros(table.num_rows, np.bool_)
    wanted[first : first + rows.size] = rows

    def pieces() -> Iterator[pa.Table]:
        start = 0
        for batch in table.pieces(*table.column_names):
            here = pa.array(wanted[start : start + batch.num_rows])
            start += batch.num_rows
            yield as_observations(pa.Table.from_batches([batch]).filter(here), c.TRANSACTION_ID)

    _write(pieces(), path)


def _between(
    table: c.Columns, time: str, identifier: str, chosen: ChosenObservations
) -> Iterator[pa.Table]:
    """Choose the rows whose time lies in ``[since, as_of)``."""
    for batch in table.pieces(*table.column_names):
        kept = pc.less(batch[time], instant(chosen.as_of))
        if chosen.since is not None:
            kept = pc.and_(kept, pc.greater_equal(batch[time], instant(chosen.since)))
        yield as_observations(pa.Table.from_batches([batch]).filter(kept), identifier)


def _reviewed(tables: c.Tables, chosen: ChosenObservations) -> Iterator[pa.Table]:
    """Review every customer who is due at `as_of`."""
    seen = when_first_seen(tables)
    if chosen.not_due:
        seen = seen[~seen.index.isin(list(chosen.not_due))]
    # at least one piece: readers need its columns even without customers
    for start in range(0, max(len(seen), 1), _CUSTOMERS_AT_ONCE):
        yield reviews_of(seen.iloc[start : start + _CUSTOMERS_AT_ONCE], [chosen.as_of])


def _write(pieces: Iterator[pa.Table], path: Path) -> int:
    # the first piece gives the file its columns
    first = next(pieces)
    rows = 0
    with (
        written_whole(path) as handle,
        pq.ParquetWriter(handle, first.schema, compression="lz4") as writer,
    ):
        for piece in chain([first], pieces):
            rows += piece.num_rows
            if piece.num_rows:
                writer.write_table(piece)
    return rows


def _say_nothing(tables: c.Tables, chosen: ChosenObservations) -> str:
    end = say_moment(chosen.as_of, tables.timezone)
    span = f"before {end}"
    if chosen.since is not None:
        span = f"between {say_moment(chosen.since, tables.timezone)} and {end}"
    if chosen.unit == "fraud":
        what = "transaction became known"
    else:
        what = "planned review lies" if chosen.by_plan else "customer is known and due"
    msg = (
        f"no {what} {span}: check the dates against the first and last event of the data-quality "
        "summary"
    )
    return f"{msg}{_say_later(tables, chosen)}" if chosen.by_plan else msg


def _say_later(tables: c.Tables, chosen: ChosenObservations) -> str:
    """Return how many reviews are planned for later, and which option scores them."""
    pieces = tables.columns()[c.REVIEWS].pieces(c.EVENT_TIME)
    times = pa.chunked_array([piece[c.EVENT_TIME] for piece in pieces], UTC_TIME)
    later = times.filter(pc.greater_equal(times, instant(chosen.as_of)))
    if not len(later):
        return ""
    first = pd.Timestamp(pc.min(later).as_py())
    return (
        f"; {len(later):,} planned reviews come later, the first at "
        f"{say_moment(first, tables.timezone)}: give a later --as-of"
    )
