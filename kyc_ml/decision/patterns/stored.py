"""Patterns of a source on disk: the rows are read for some observations at a time."""

from collections.abc import Iterator
from functools import cached_property, partial
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pds

from kyc_ml import contract as c
from kyc_ml.decision.patterns.finding import Pattern, find_patterns
from kyc_ml.decision.patterns.rows import COLUMNS
from kyc_ml.decision.patterns.rules import EARLIEST_US, LOOKBACK_US, PATTERNS
from kyc_ml.features import DECISION_TIME, microseconds

_PIECE: Final = 4_096
"""Observations whose rows are in memory at a time."""

_NO_ROWS: Final = pa.schema(
    [c.CONTRACT[c.TRANSACTIONS].column(name).arrow for name in COLUMNS]
).empty_table()


class StoredTransactions:
    """The transactions of stored tables, whose rows are in order of time.

    Parameters
    ----------
    cash_report : float
        See `find_patterns`.
    """

    def __init__(self, tables: c.StoredTables, *, cash_report: float) -> None:
        # a source may have no transactions: an empty table shows no pattern
        path = tables.files.get(c.TRANSACTIONS)
        self._data = pds.dataset(_NO_ROWS if path is None else path)
        self._columns = [name for name in COLUMNS if name in self._data.schema.names]
        self._whole = tables.whole.get(c.TRANSACTIONS)
        self._history = None if self._whole is None else tables.history
        self._least = PATTERNS["cycle"]["least"] * cash_report
        self._find = partial(
            find_patterns,
            timezone=tables.timezone,
            currency=tables.base_currency,
            cash_report=cash_report,
        )

    def find(self, observations: pa.Table) -> Iterator[tuple[Pattern, ...]]:
        """Yield what `find_patterns` finds for each observation in all rows."""
        for start in range(0, len(observations), _PIECE):
            asked = observations.slice(start, _PIECE)
            yield from self._find(self._rows_for(asked), asked, begins=self._begins)

    @cached_property
    def _begins(self) -> int | None:
        if self._whole is not None:
            return self._whole.begins
        first = microseconds(self._data.head(1, columns=[c.EVENT_TIME])[c.EVENT_TIME])
        return int(first[0]) if first.size else None

    @cached_property
    def _customers(self) -> pa.Array:
        if self._history is not None:  # the file names only some of them
            paid = self._data.to_table(
                columns=[c.COUNTERPARTY_ID],
                filter=(pds.field(c.DIRECTION) == "out") & (pds.field(c.AMOUNT) >= self._least),
            )
            ids = paid[c.COUNTERPARTY_ID].unique().drop_null()
            return self._history.known(c.TRANSACTIONS, c.CUSTOMER_ID, ids)
        found = pa.array([], pa.string())
        for batch in self._data.to_batches(columns=[c.CUSTOMER_ID]):
            found = pc.unique(pa.concat_arrays([found, pc.unique(batch[c.CUSTOMER_ID])]))
        return found

    def _rows_for(self, observations: pa.Table) -> pa.Table:
        """Read the customers' rows of the lookback, and larger payments to other customers."""
        decided = microseconds(observations[DECISION_TIME])
        first, last = int(decided.min()), int(decided.max())
        time = pds.field(c.EVENT_TIME)
        customers = pc.unique(observations[c.CUSTOMER_ID]).drop_null()
        wanted = pds.field(c.CUSTOMER_ID).isin(customers)
        if {c.DIRECTION, c.COUNTERPARTY_ID} <= set(self._columns):
            wanted |= (
                (time >= _instant(first - EARLIEST_US))
                & (pds.field(c.DIRECTION) == "out")
                & (pds.field(c.AMOUNT) >= self._least)
                & pds.field(c.COUNTERPARTY_ID).isin(self._customers)
            )
        between = (time >= _instant(first - LOOKBACK_US)) & (time <= _instant(last))
        if self._history is None:
            return self._data.to_table(columns=self._columns, filter=between & wanted)
        own = self._history.rows(
            c.TRANSACTIONS, c.CUSTOMER_ID, customers, self._columns, since_us=first - LOOKBACK_US
        )
        others = ~pds.field(c.CUSTOMER_ID).isin(customers)
        rest = self._data.to_table(columns=self._columns, filter=between & wanted & others)
        return pa.concat_tables([own.filter(between).select(self._columns).cast(rest.schema), rest])


def _instant(moment: int) -> pa.Scalar:
    return pa.scalar(pd.Timestamp(moment, unit="us", tz="UTC"), pa.timestamp("us", tz="UTC"))
