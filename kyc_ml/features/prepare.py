"""Tables that features read besides the contracted ones: known labels, money-flow patterns."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.contract.contracted import ContractedTables
from kyc_ml.contract.tables import (
    ADVERSE_OUTCOMES,
    AMOUNT,
    CASE_ID,
    CASES,
    COUNTERPARTY_ID,
    CUSTOMER_ID,
    DIRECTION,
    EVENT_TIME,
    KNOWN_AT,
    OUTCOME,
    TRANSACTION_ID,
    TRANSACTIONS,
)
from kyc_ml.features.history import UNTIL, microseconds
from kyc_ml.features.network.patterns import PATTERN_NAMES, ROLE_NAMES, Patterns, find_patterns
from kyc_ml.features.network.payments import payments_of
from kyc_ml.features.spec import LABELS, LENGTH, PATTERN, PATTERNS, ROLE, WIDTH

Int64s = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]

MADE_FROM: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    LABELS: {CASES: (), TRANSACTIONS: ()},
    PATTERNS: {TRANSACTIONS: (COUNTERPARTY_ID, DIRECTION)},
}
"""Tables made here: the contracted tables, and their optional columns, that each needs."""

_UTC: Final = pa.timestamp("us", tz="UTC")


def columns_of(source: ContractedTables) -> dict[str, tuple[str, ...]]:
    """List the columns of every table that features can read, made ones included."""
    return with_made({name: table.column_names for name, table in source.tables.items()})


def with_made(contracted: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Add the columns of the tables that can be made of contracted ones."""
    columns = {name: tuple(names) for name, names in contracted.items()}
    if CASES in columns and TRANSACTIONS in columns:
        named = TRANSACTION_ID in columns[CASES]
        joined = columns[TRANSACTIONS] if named else ()
        base = (CUSTOMER_ID, EVENT_TIME, KNOWN_AT, UNTIL)
        columns[LABELS] = tuple(dict.fromkeys((*base, *joined)))
    wanted = MADE_FROM[PATTERNS][TRANSACTIONS]
    if set(wanted) <= set(columns.get(TRANSACTIONS, ())):
        base = (CUSTOMER_ID, EVENT_TIME, KNOWN_AT, AMOUNT)
        columns[PATTERNS] = (*base, PATTERN, ROLE, LENGTH, WIDTH)
    return columns


def make_tables(
    source: ContractedTables, needed: Collection[str]
) -> tuple[dict[str, pa.Table], list[str]]:
    """Give the contracted tables and those of the made ones that are needed.

    Returns
    -------
    tables : dict of name to Arrow table
    notes : list of str
        What a reader of the features should know: where a search was cut short.
    """
    tables = dict(source.tables)
    notes: list[str] = []
    if LABELS in needed:
        tables[LABELS] = known_labels(source.tables[CASES], source.tables[TRANSACTIONS])
    if PATTERNS in needed:
        tables[PATTERNS], notes = patterns_of(source.tables[TRANSACTIONS])
    return tables, notes


def known_labels(cases: pa.Table, transactions: pa.Table) -> pa.Table:
    """Adverse states of cases with the keys of their transaction, while they were held true.

    A state counts from when it was known until the next state of its case was: a report
    that is overturned stops counting that day, and not before. A case that names a
    transaction takes its time and keys; one that does not has its customer only.
    """
    ordered = cases.sort_by([(CASE_ID, "ascending"), (KNOWN_AT, "ascending")])
    known = microseconds(ordered[KNOWN_AT])
    case = ordered[CASE_ID].combine_chunks().dictionary_encode().indices.to_numpy()
    last = np.append(case[1:] != case[:-1], True) if len(case) else np.zeros(0, bool)
    until = pa.array(np.append(known[1:], 0)[: len(case)], mask=last).cast(_UTC)
    adverse = pc.is_in(ordered[OUTCOME], value_set=pa.array(ADVERSE_OUTCOMES))
    found = ordered.append_column(UNTIL, until).filter(adverse)
    columns: dict[str, pa.ChunkedArray] = {
        name: found[name] for name in (CUSTOMER_ID, EVENT_TIME, KNOWN_AT, UNTIL)
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


def patterns_of(transactions: pa.Table) -> tuple[pa.Table, list[str]]:
    """Find the patterns of the payments between customers and counterparties."""
    paid = payments_of(transactions)
    found = find_patterns(
        paid.source,
        paid.target,
        paid.event_time,
        paid.known_at,
        paid.amount,
        n_nodes=len(paid.names),
    )
    table = _as_table(found, paid.names)
    notes = [
        f"patterns: {name}: {cut:,} search(es) met more payments of one party than the cap "
        "and looked at the latest only"
        for name, cut in found.cap_hits.items()
        if cut
    ]
    return table, notes


def _as_table(found: Patterns, names: pa.Array) -> pa.Table:
    """Write patterns as a table of participants, in order of time."""
    columns = {
        CUSTOMER_ID: names.take(pa.array(found.node)),
        EVENT_TIME: pa.array(found.event_time).cast(_UTC),
        KNOWN_AT: pa.array(found.known_at).cast(_UTC),
        AMOUNT: pa.array(found.amount),
        PATTERN: pa.array(PATTERN_NAMES).take(pa.array(found.pattern)),
        ROLE: pa.array(ROLE_NAMES).take(pa.array(found.role)),
        LENGTH: pa.array(found.length, mask=np.isnan(found.length)),
        WIDTH: pa.array(found.width, mask=np.isnan(found.width)),
    }
    return pa.table(columns).sort_by([(EVENT_TIME, "ascending"), (KNOWN_AT, "ascending")])
