"""What features read besides the contracted columns: night flags and known labels."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.contract.source import ContractedTables
from kyc_ml.contract.tables import (
    ADVERSE_OUTCOMES,
    CASE_ID,
    CASES,
    CUSTOMER_ID,
    EVENT_TIME,
    KNOWN_AT,
    OUTCOME,
    TRANSACTION_ID,
    TRANSACTIONS,
)
from kyc_ml.features.history import microseconds
from kyc_ml.features.spec import IS_NIGHT, LABELS

NIGHT_ENDS_HOUR: Final = 6
"""Source: DOMAIN section 4, 夜间交易: local hours 00 to 06."""


def prepare_tables(source: ContractedTables) -> dict[str, pa.Table]:
    """Add what features read besides the contracted tables: night flags and labels."""
    tables = dict(source.tables)
    if TRANSACTIONS in tables:
        transactions = tables[TRANSACTIONS]
        hour = local_time(transactions[EVENT_TIME], timezone=source.timezone).hour
        night = pa.array((hour < NIGHT_ENDS_HOUR).astype(np.float64))
        tables[TRANSACTIONS] = transactions.append_column(IS_NIGHT, night)
        if CASES in tables:
            tables[LABELS] = _known_labels(tables[CASES], transactions)
    return tables


def local_time(column: pa.ChunkedArray, *, timezone: str) -> pd.DatetimeIndex:
    """Read UTC timestamps on the clock of `timezone`."""
    return pd.DatetimeIndex(microseconds(column).view("datetime64[us]"), tz="UTC").tz_convert(
        timezone
    )


def _known_labels(cases: pa.Table, transactions: pa.Table) -> pa.Table:
    """Adverse outcomes with the keys of their transaction, from when they were known.

    A case counts once, from its first adverse state. One that names a transaction takes
    the transaction's time and keys; one that does not has its customer only.
    """
    adverse = pc.is_in(cases[OUTCOME], value_set=pa.array(ADVERSE_OUTCOMES))
    found = cases.filter(adverse).sort_by([(KNOWN_AT, "ascending"), (CASE_ID, "ascending")])
    ids = found[CASE_ID].to_pandas()
    found = found.filter(pa.array(~ids.duplicated().to_numpy(), pa.bool_()))
    columns: dict[str, pa.ChunkedArray] = {
        name: found[name] for name in (CUSTOMER_ID, EVENT_TIME, KNOWN_AT)
    }
    if TRANSACTION_ID in found.column_names:
        columns[TRANSACTION_ID] = found[TRANSACTION_ID]
        at = pc.index_in(found[TRANSACTION_ID], value_set=transactions[TRANSACTION_ID])
        taken = transactions.take(at)
        for name in transactions.column_names:
            if name not in {TRANSACTION_ID, EVENT_TIME, KNOWN_AT, CUSTOMER_ID}:
                columns[name] = taken[name]
        columns[EVENT_TIME] = pc.coalesce(taken[EVENT_TIME], found[EVENT_TIME])
        booked = pc.coalesce(taken[KNOWN_AT], found[KNOWN_AT])
        later = pc.greater(booked, found[KNOWN_AT])
        columns[KNOWN_AT] = pc.if_else(later, booked, found[KNOWN_AT])
    return pa.table(columns).sort_by([(EVENT_TIME, "ascending"), (KNOWN_AT, "ascending")])
