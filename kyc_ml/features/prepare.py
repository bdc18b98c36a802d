"""Tables made of contracted ones: known labels, outcomes, money-flow patterns, current accounts."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.contract import (
    ACCOUNT_ID,
    ACCOUNTS,
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
    STATUS,
    TRANSACTION_ID,
    TRANSACTIONS,
    Columns,
    ContractedTables,
)
from kyc_ml.features.kernels.timeline import supersede_versions
from kyc_ml.features.made import (
    ADVERSE,
    CURRENT_ACCOUNTS,
    LABELS,
    LENGTH,
    OUTCOMES,
    PATTERN,
    PATTERNS,
    ROLE,
    WIDTH,
)
from kyc_ml.features.network.patterns import PATTERN_NAMES, ROLE_NAMES, Patterns, find_patterns
from kyc_ml.features.network.payments import NetworkPayments, payments_of
from kyc_ml.features.network.rules import DEFAULT_RULES
from kyc_ml.features.outcomes import outcomes_of
from kyc_ml.features.periods import DAY_US
from kyc_ml.features.timed_rows import NEVER_US, UNTIL, microseconds
from kyc_ml.metrics import Mask

MADE_FROM: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    LABELS: {CASES: (), TRANSACTIONS: ()},
    OUTCOMES: {CASES: (TRANSACTION_ID,), TRANSACTIONS: ()},
    PATTERNS: {TRANSACTIONS: (COUNTERPARTY_ID, DIRECTION)},
    CURRENT_ACCOUNTS: {ACCOUNTS: ()},
}
"""Tables made here: the contracted tables, and their optional columns, that each needs."""

_UTC: Final = pa.timestamp("us", tz="UTC")

PATTERN_SCHEMA: Final = pa.schema(
    {
        **{CUSTOMER_ID: pa.string(), EVENT_TIME: _UTC, KNOWN_AT: _UTC, AMOUNT: pa.float64()},
        **{PATTERN: pa.string(), ROLE: pa.string(), LENGTH: pa.float64(), WIDTH: pa.float64()},
    }
)

PATTERN_REACH_US: Final = round(
    (DEFAULT_RULES.stack_depth_max + 1) * DEFAULT_RULES.stack_gap_days * DAY_US
)
"""How long before its last payment a pattern begins at most, a deeper stack apart."""

_PAID: Final = (CUSTOMER_ID, COUNTERPARTY_ID, EVENT_TIME, KNOWN_AT, DIRECTION, AMOUNT)


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
        if named:
            columns[OUTCOMES] = (*columns[TRANSACTIONS], UNTIL, ADVERSE)
    wanted = MADE_FROM[PATTERNS][TRANSACTIONS]
    if set(wanted) <= set(columns.get(TRANSACTIONS, ())):
        base = (CUSTOMER_ID, EVENT_TIME, KNOWN_AT, AMOUNT)
        columns[PATTERNS] = (*base, PATTERN, ROLE, LENGTH, WIDTH)
    if ACCOUNTS in columns:
        columns[CURRENT_ACCOUNTS] = (*columns[ACCOUNTS], UNTIL)
    return columns


def make_tables(
    contracted: Mapping[str, Columns], needed: Mapping[str, Collection[str]]
) -> tuple[dict[str, Iterator[pa.Table]], list[str]]:
    """Make the tables that features read in addition to the contracted ones.

    `needed`: mapping of table to make to the columns that features read of it.
    Returns `tables`: dict of name to iterator of Arrow tables; at least one piece of each, in the
    order of the rows.
    Returns `notes`: warnings about the features: where a search was cut short.
    """
    made: dict[str, Iterator[pa.Table]] = {}
    notes: list[str] = []
    if LABELS in needed:
        made[LABELS] = iter([_labels(contracted, needed[LABELS])])
    if OUTCOMES in needed:
        made[OUTCOMES] = _outcomes(contracted, needed[OUTCOMES])
    if PATTERNS in needed:
        patterns, notes = patterns_of(_read(contracted[TRANSACTIONS], _PAID))
        made[PATTERNS] = iter([patterns])
    if CURRENT_ACCOUNTS in needed:
        accounts = contracted[ACCOUNTS]
        made[CURRENT_ACCOUNTS] = iter([current_accounts(_read(accounts, accounts.column_names))])
    return made, notes


def _read(table: Columns, names: Sequence[str]) -> pa.Table:
    return pa.Table.from_batches(table.pieces(*names), table.schema(*names))


def _labels(contracted: Mapping[str, Columns], needed: Collection[str]) -> pa.Table:
    """Make known labels of the cases and the few transactions that they name."""
    cases = _read(contracted[CASES], contracted[CASES].column_names)
    transactions = contracted[TRANSACTIONS]
    always = {TRANSACTION_ID, CUSTOMER_ID, EVENT_TIME, KNOWN_AT}
    columns = [name for name in transactions.column_names if name in always or name in needed]
    found = []
    if TRANSACTION_ID in cases.column_names:
        named = cases[TRANSACTION_ID].combine_chunks().unique().drop_null()
        found = [  # piece by piece: memory never holds the whole table
            batch.filter(pc.is_in(batch[TRANSACTION_ID], value_set=named))
            for batch in transactions.pieces(*columns)
        ]
    return known_labels(cases, pa.Table.from_batches(found, transactions.schema(*columns)))


def _outcomes(contracted: Mapping[str, Columns], needed: Collection[str]) -> Iterator[pa.Table]:
    """Make the outcomes of all transactions, with the columns that features read."""
    transactions = contracted[TRANSACTIONS]
    always = {TRANSACTION_ID, EVENT_TIME, KNOWN_AT}
    columns = [name for name in transactions.column_names if name in always or name in needed]
    schema = transactions.schema(*columns)
    pieces = (pa.Table.from_batches([batch], schema) for batch in transactions.pieces(*columns))
    return outcomes_of(chain([schema.empty_table()], pieces), _labels(contracted, ()))


def current_accounts(accounts: pa.Table) -> pa.Table:
    """Versions of accounts, each until a later version of its account can be seen.

    A version is later if it began later or, having begun at the same instant, was known later;
    it is seen by decisions after it began and from when it was known. Closed accounts are left
    out, after they have ended the version before; so is what was superseded before it was known.
    """
    names = {name: (name, "ascending") for name in (ACCOUNT_ID, EVENT_TIME, KNOWN_AT)}
    ordered = accounts.sort_by(list(names.values()))
    event, known = microseconds(ordered[EVENT_TIME]), microseconds(ordered[KNOWN_AT])
    account = ordered[ACCOUNT_ID].combine_chunks().dictionary_encode().indices.to_numpy()
    until, kept = supersede_versions(account, event, known, NEVER_US)
    if STATUS in ordered.column_names:
        closed = pc.equal(ordered[STATUS], "closed").fill_null(False)  # noqa: FBT003  Arrow's own
        kept &= ~np.asarray(closed.combine_chunks())
    ended = pa.array(until, mask=until == NEVER_US).cast(_UTC)
    found = ordered.append_column(UNTIL, ended).filter(pa.array(kept))
    return found.sort_by([(EVENT_TIME, "ascending"), (KNOWN_AT, "ascending")])


def known_labels(cases: pa.Table, transactions: pa.Table) -> pa.Table:
    """List the states of cases with any adverse outcome, and the keys of their transactions.

    A state counts from when it was known until the next state of its case was: a report
    that is overturned stops counting that day, and not before. A case that names a
    transaction takes its time and keys; one that does not has its customer only.
    """
    ordered = cases.sort_by([(CASE_ID, "ascending"), (KNOWN_AT, "ascending")])
    known = microseconds(ordered[KNOWN_AT])
    case = ordered[CASE_ID].combine_chunks().dictionary_encode().indices.to_numpy()
    last = np.append(case[1:] != case[:-1], True) if len(case) else np.zeros(0, bool)
    # a state ends when the next of its case is known; 0 stands under the mask of the last one
    until = pa.array(np.append(known[1:], 0)[: len(case)], mask=last).cast(_UTC)
    adverse = pc.is_in(ordered[OUTCOME], value_set=pa.array(ADVERSE_OUTCOMES))
    found = ordered.append_column(UNTIL, until).filter(adverse)
    columns: dict[str, pa.ChunkedArray] = {
        name: found[name] for name in (CUSTOMER_ID, EVENT_TIME, KNOWN_AT, UNTIL, CASE_ID)
    }
    if TRANSACTION_ID in found.column_names:
        columns[TRANSACTION_ID] = found[TRANSACTION_ID]
        # a case without a transaction has index null, for which `take` gives null
        at = pc.index_in(found[TRANSACTION_ID], value_set=transactions[TRANSACTION_ID])
        taken = transactions.take(at)
        for name in transactions.column_names:
            if name not in columns:
                columns[name] = taken[name]
        columns[EVENT_TIME] = pc.coalesce(taken[EVENT_TIME], found[EVENT_TIME])
        booked = pc.coalesce(taken[KNOWN_AT], found[KNOWN_AT])
        # a label is known only when both the state and the payment are known
        later = pc.greater(booked, found[KNOWN_AT])
        columns[KNOWN_AT] = pc.if_else(later, booked, found[KNOWN_AT])
    return pa.table(columns).sort_by([(EVENT_TIME, "ascending"), (KNOWN_AT, "ascending")])


def patterns_of(transactions: pa.Table) -> tuple[pa.Table, list[str]]:
    """Find the patterns of the payments between customers and counterparties."""
    paid = payments_of(transactions)
    found = _search(paid)
    notes = [
        f"patterns: {name}: {cut:,} search(es) met more payments of one party than the cap "
        "and looked at the latest only"
        for name, cut in found.cap_hits.items()
        if cut
    ]
    return _as_table(found, paid.names), notes


def patterns_closed_by(transactions: pa.Table, closing: Mask, *, whole: bool) -> pa.Table | None:
    """Find the patterns that some bookings close; None if that needs earlier bookings.

    `transactions`: bookings in order of time: all of them, or (not `whole`) all from some day on.
    `closing`: bool array of shape (n,).
    """
    paid = payments_of(transactions)
    closes = closing[paid.booking]
    first = int(paid.event_time[closes].min(initial=NEVER_US))
    if not whole and paid.settled > first - PATTERN_REACH_US:
        return None
    found = _search(paid)
    table = _as_table(found, paid.names, closes[found.edge])
    # a stack of the greatest depth may have begun before
    deepest = pc.max(table[LENGTH].filter(pc.equal(table[PATTERN], "stack"))).as_py() or 0
    return table if whole or deepest < DEFAULT_RULES.stack_depth_max else None


def _search(paid: NetworkPayments) -> Patterns:
    columns = (paid.source, paid.target, paid.event_time, paid.known_at, paid.amount)
    return find_patterns(*columns, n_nodes=len(paid.names))


def _as_table(found: Patterns, names: pa.Array, kept: Mask | None = None) -> pa.Table:
    """Write patterns, or some rows of them, as a table of participants, in order of time."""
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
    table = pa.table(columns) if kept is None else pa.table(columns).filter(pa.array(kept))
    return table.sort_by([(EVENT_TIME, "ascending"), (KNOWN_AT, "ascending")])
