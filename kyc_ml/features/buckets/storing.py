"""Contracted tables as Parquet files, and the tables made of them, made from files."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kyc_ml.contract.contracted import ContractedTables
from kyc_ml.contract.tables import (
    ACCOUNTS,
    AMOUNT,
    CASES,
    COUNTERPARTY_ID,
    CUSTOMER_ID,
    DIRECTION,
    EVENT_TIME,
    KNOWN_AT,
    TRANSACTION_ID,
    TRANSACTIONS,
)
from kyc_ml.engine.writing import written_whole
from kyc_ml.features.buckets.exchange import ROW, scan
from kyc_ml.features.prepare import current_accounts, known_labels, patterns_of
from kyc_ml.features.spec import CURRENT_ACCOUNTS, LABELS, PATTERNS

_GROUP_ROWS: Final = 1 << 18
"""Rows of a row group: what a reader holds at once."""

_PAID: Final = (CUSTOMER_ID, COUNTERPARTY_ID, EVENT_TIME, KNOWN_AT, DIRECTION, AMOUNT)


def store_tables(tables: ContractedTables, folder: Path) -> dict[str, Path]:
    """Write contracted tables as Parquet files, their rows as they are sorted.

    Returns
    -------
    dict of table name to file
        What `build_features_in_buckets` reads.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    stored = {name: folder / f"{name}.parquet" for name in tables.tables}
    for name, path in stored.items():
        store_rows(tables.tables[name], path)
    return stored


def store_rows(rows: pa.Table, path: Path) -> None:
    """Write rows in groups that are read one after the other."""
    with written_whole(path) as handle:
        pq.write_table(rows, handle, compression="lz4", row_group_size=_GROUP_ROWS)


def make_stored(
    stored: Mapping[str, Path], needed: Mapping[str, Collection[str]], *, folder: Path
) -> tuple[dict[str, Path], list[str]]:
    """Make the tables that are made of contracted ones, as `prepare.make_tables` does.

    Parameters
    ----------
    needed : mapping of made table to columns that features read of it

    Returns
    -------
    made : dict of table name to file
    notes : list of str
    """
    made: dict[str, Path] = {}
    notes: list[str] = []
    if LABELS in needed:
        made[LABELS] = folder / f"{LABELS}.parquet"
        store_rows(_labels(stored, needed[LABELS]), made[LABELS])
    if PATTERNS in needed:
        made[PATTERNS] = folder / f"{PATTERNS}.parquet"
        paid, notes = patterns_of(pq.read_table(stored[TRANSACTIONS], columns=list(_PAID)))
        store_rows(paid, made[PATTERNS])
    if CURRENT_ACCOUNTS in needed:
        made[CURRENT_ACCOUNTS] = folder / f"{CURRENT_ACCOUNTS}.parquet"
        accounts = pq.read_table(stored[ACCOUNTS])
        store_rows(current_accounts(accounts), made[CURRENT_ACCOUNTS])
    return made, notes


def _labels(stored: Mapping[str, Path], needed: Collection[str]) -> pa.Table:
    """Make known labels of the cases and the few transactions that they name."""
    cases = pq.read_table(stored[CASES])
    names = pq.read_schema(stored[TRANSACTIONS]).names
    always = {TRANSACTION_ID, CUSTOMER_ID, EVENT_TIME, KNOWN_AT}
    columns = [name for name in names if name in always or name in needed]
    found = [pq.read_schema(stored[TRANSACTIONS]).empty_table().select(columns)]
    if TRANSACTION_ID in cases.column_names:
        named = cases[TRANSACTION_ID].combine_chunks().unique().drop_null()
        for batch in scan(stored[TRANSACTIONS], columns):
            chosen = batch.filter(pc.is_in(batch[TRANSACTION_ID], value_set=named))
            found.append(chosen.drop_columns([ROW]))
    transactions = pa.concat_tables([each.replace_schema_metadata() for each in found])
    return known_labels(cases, transactions)
