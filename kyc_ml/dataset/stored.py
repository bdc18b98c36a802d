"""Observations of tables in files, written to a file: memory holds a piece at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kyc_ml.config import Unit
from kyc_ml.contract.contracted import StoredTables
from kyc_ml.contract.shelves import FileColumns
from kyc_ml.contract.tables import (
    CUSTOMER_ID,
    EVENT_TIME,
    KNOWN_AT,
    REVIEW_ID,
    REVIEWS,
    TRANSACTION_ID,
    TRANSACTIONS,
)
from kyc_ml.dataset.observations import as_observations, first_seen, reviews_of
from kyc_ml.engine.writing import written_whole
from kyc_ml.errors import ConfigError, DatasetError

_CUSTOMERS_AT_ONCE: Final = 1 << 17


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Which observations a batch is about.

    Attributes
    ----------
    unit : str
    since : Timestamp or None
        For `fraud`, transactions that became known from then on; None takes all. For
        `risk`, planned reviews from then on; None reviews every customer at `as_of`.
    as_of : Timestamp
        Nothing from then on.
    planned : bool
        For `risk`: planned reviews, even without `since`.
    not_due : collection of str
        Customers to leave out of the reviews at `as_of`.
    """

    unit: Unit
    since: pd.Timestamp | None
    as_of: pd.Timestamp
    planned: bool = False
    not_due: Collection[str] = ()

    @property
    def by_plan(self) -> bool:
        """True where the reviews that the bank has planned are scored."""
        return self.unit == "risk" and (self.planned or self.since is not None)


def store_observations(tables: StoredTables, chosen: Chosen, path: Path) -> int:
    """Write the chosen observations as Parquet, and give their number.

    Raises
    ------
    ConfigError
        If planned reviews are asked for and the source has none.
    DatasetError
        If nothing is chosen, or the tables it needs are absent.
    OutputError
        If the file cannot be written.
    """
    if chosen.unit == "fraud":
        if TRANSACTIONS not in tables.files:
            msg = "unit 'fraud' needs the table transactions: map it in the source mapping"
            raise DatasetError(msg)
        pieces = _arrived(tables.files[TRANSACTIONS], chosen)
    elif chosen.by_plan:
        if REVIEWS not in tables.files:
            msg = (
                "--since and --full choose planned reviews, but the source has no table reviews: "
                "leave them out, and every customer is reviewed at --as-of"
            )
            raise ConfigError(msg)
        pieces = _planned(tables.files[REVIEWS], chosen)
    else:
        pieces = _reviewed(tables, chosen)
    rows = _write(pieces, path)
    if not rows:
        path.unlink(missing_ok=True)
        raise DatasetError(_say_nothing(tables, chosen))
    return rows


def count_not_scored(
    tables: StoredTables, chosen: Chosen, scored: Collection[str]
) -> dict[str, int]:
    """Count the customers that a batch of reviews is not about, by reason.

    Parameters
    ----------
    scored : collection of str
        Customers of the stored observations.

    Returns
    -------
    dict of reason to customers
        Without reasons that hold for nobody; empty for `fraud`, which is about transactions.
        With the scored ones they are all customers of the source: see `first_seen`.
    """
    if chosen.unit == "fraud":
        return {}
    seen = _seen(tables)
    rest = seen[~seen.index.isin(list(scored))]
    later = rest >= chosen.as_of
    not_due = ~later & rest.index.isin(list(chosen.not_due))
    counts = {
        "known only later": int(later.sum()),
        "not due yet": int(not_due.sum()),
        "no review planned in the period": int((~later & ~not_due).sum()),
    }
    return {reason: customers for reason, customers in counts.items() if customers}


def _arrived(path: Path, chosen: Chosen) -> Iterator[pa.Table]:
    return _between(path, KNOWN_AT, TRANSACTION_ID, chosen)


def _planned(path: Path, chosen: Chosen) -> Iterator[pa.Table]:
    return _between(path, EVENT_TIME, REVIEW_ID, chosen)


def _between(path: Path, time: str, identifier: str, chosen: Chosen) -> Iterator[pa.Table]:
    """Choose the rows whose time lies in ``[since, as_of)``."""
    columns = FileColumns(path)
    for batch in columns.pieces(*columns.column_names):
        kept = pc.less(batch[time], _scalar(chosen.as_of))
        if chosen.since is not None:
            kept = pc.and_(kept, pc.greater_equal(batch[time], _scalar(chosen.since)))
        yield as_observations(pa.Table.from_batches([batch]).filter(kept), identifier)


def _reviewed(tables: StoredTables, chosen: Chosen) -> Iterator[pa.Table]:
    """Review every customer who is due at `as_of`."""
    seen = _seen(tables)
    if chosen.not_due:
        seen = seen[~seen.index.isin(list(chosen.not_due))]
    for start in range(0, max(len(seen), 1), _CUSTOMERS_AT_ONCE):
        yield reviews_of(seen.iloc[start : start + _CUSTOMERS_AT_ONCE], [chosen.as_of])


def _seen(tables: StoredTables) -> pd.Series:
    """When each customer was first known, by customer id."""
    return first_seen(
        tables.files,
        lambda name: FileColumns(tables.files[name]).pieces(CUSTOMER_ID, EVENT_TIME, KNOWN_AT),
    )


def _write(pieces: Iterator[pa.Table], path: Path) -> int:
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


def _say_nothing(tables: StoredTables, chosen: Chosen) -> str:
    since = chosen.since
    between = "" if since is None else f" between {since.date()} and {chosen.as_of.date()}"
    if chosen.unit == "fraud":
        what = "transaction became known"
    else:
        what = "planned review lies" if chosen.by_plan else "customer is known and due"
    msg = (
        f"no {what}{between or f' before {chosen.as_of.date()}'}: check the dates against the "
        "first and last event of the data-quality summary"
    )
    return f"{msg}{_say_later(tables, chosen)}" if chosen.by_plan else msg


def _say_later(tables: StoredTables, chosen: Chosen) -> str:
    """Say how many reviews are planned for later, and what would score them."""
    times = pq.read_table(tables.files[REVIEWS], columns=[EVENT_TIME])[EVENT_TIME]
    later = times.filter(pc.greater_equal(times, _scalar(chosen.as_of)))
    if not len(later):
        return ""
    first = pd.Timestamp(pc.min(later).as_py())
    return (
        f"; {len(later):,} planned reviews come later, the first at {first:%Y-%m-%d %H:%M}: give a "
        "later --as-of"
    )


def _scalar(time: pd.Timestamp) -> pa.Scalar:
    return pa.scalar(time.to_pydatetime(), pa.timestamp("us", tz="UTC"))
