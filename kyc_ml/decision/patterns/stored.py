"""The rows that patterns need, read from a table on disk for some observations at a time."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pds

from kyc_ml.contract import AMOUNT, COUNTERPARTY_ID, CUSTOMER_ID, DIRECTION, EVENT_TIME
from kyc_ml.decision.patterns.rows import COLUMNS
from kyc_ml.decision.patterns.rules import EARLIEST_US, LOOKBACK_US, PATTERNS
from kyc_ml.features import DECISION_TIME, microseconds


class StoredTransactions:
    """The contracted transactions of a source in a Parquet file.

    Parameters
    ----------
    cash_report : float
        See `find_patterns`.
    """

    def __init__(self, path: Path, *, cash_report: float) -> None:
        self._data = pds.dataset(path)
        self._columns = [name for name in COLUMNS if name in self._data.schema.names]
        self._least = PATTERNS["cycle"]["least"] * cash_report

    @cached_property
    def begins(self) -> int:
        """When the first row happened, microseconds; rows are in order of time."""
        return int(microseconds(self._data.head(1, columns=[EVENT_TIME])[EVENT_TIME]).min())

    @cached_property
    def _customers(self) -> pa.Array:
        found = pa.array([], pa.string())
        for batch in self._data.to_batches(columns=[CUSTOMER_ID]):
            found = pc.unique(pa.concat_arrays([found, pc.unique(batch[CUSTOMER_ID])]))
        return found

    def rows_for(self, observations: pa.Table) -> pa.Table:
        """Read what `find_patterns` needs for these observations, and no other row.

        These are their customers' rows of the lookback, and the larger payments from customer to
        customer of the window.
        """
        decided = microseconds(observations[DECISION_TIME])
        first, last = int(decided.min()), int(decided.max())
        wanted = pds.field(CUSTOMER_ID).isin(pc.unique(observations[CUSTOMER_ID]).drop_null())
        if {DIRECTION, COUNTERPARTY_ID} <= set(self._columns):
            wanted |= (
                (pds.field(EVENT_TIME) >= _instant(first - EARLIEST_US))
                & (pds.field(DIRECTION) == "out")
                & (pds.field(AMOUNT) >= self._least)
                & pds.field(COUNTERPARTY_ID).isin(self._customers)
            )
        time = pds.field(EVENT_TIME)
        between = (time >= _instant(first - LOOKBACK_US)) & (time <= _instant(last))
        return self._data.to_table(columns=self._columns, filter=between & wanted)


def _instant(moment: int) -> pa.Scalar:
    return pa.scalar(pd.Timestamp(moment, unit="us", tz="UTC"), pa.timestamp("us", tz="UTC"))
