"""The rows that a decision may see, customer by customer, as arrays in order of time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml import contract as c
from kyc_ml.decision.patterns.rules import HISTORY_US, LOOKBACK_US, NEW_US, WINDOW_US
from kyc_ml.features import DECISION_TIME, OBSERVATION_ID, microseconds
from kyc_ml.metrics import Floats, Ints, Mask

COLUMNS: Final = (
    *(c.TRANSACTION_ID, c.CUSTOMER_ID, c.EVENT_TIME, c.KNOWN_AT, c.AMOUNT),
    *(c.DIRECTION, c.COUNTERPARTY_ID, c.INSTRUMENT, c.DEVICE_ID),
)
"""Columns of transactions that patterns read; the second line may be absent."""

_CASH: Final = "cash"


class Rows(NamedTuple):
    """Transactions of one customer or several, as arrays of shape (n,)."""

    place: Ints
    """int64 array; row of the table that they were read from."""
    time: Ints
    known: Ints
    """`time` and `known`: int64 arrays, microseconds."""
    amount: Floats
    """float64 array, base currency."""
    way: Ints
    """int64 array; 1 into the account, -1 out of it, 0 where it is not known."""
    party: Ints
    device: Ints
    """`party` and `device`: int64 arrays; codes; -1 where not known."""
    cash: Mask
    """bool array."""

    def take(self, chosen: slice | Mask | Ints) -> Rows:
        """Return the rows of a slice, of a mask or by their numbers."""
        return Rows(**{name: column[chosen] for name, column in self._asdict().items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one decision may see of its customer."""

    at: int
    """The observation's number."""
    customer: str
    decided: int
    """Microseconds."""
    rows: Rows
    """Of the lookback, in order of time; `place` is a row of `select_own`."""
    recent: int
    """Number of the first row of the window of patterns."""
    new: Mask
    """bool array of shape (n,); whether the first payment with the row's party was at most
    `new_days` before it."""
    own: int
    """Place of the observation's own row; -1 without one."""


def select_own(transactions: pa.Table, customers: pa.Array) -> pa.Table:
    """Return the rows of some customers in a fixed order: customer, time, transaction."""
    kept = transactions.select([each for each in COLUMNS if each in transactions.column_names])
    kept = kept.filter(pc.is_in(kept[c.CUSTOMER_ID], value_set=customers))
    return kept.sort_by(
        [(c.CUSTOMER_ID, "ascending"), (c.EVENT_TIME, "ascending"), (c.TRANSACTION_ID, "ascending")]
    )


def read_rows(table: pa.Table) -> Rows:
    """Read the rows of a table of transactions as arrays, in its order."""
    n = len(table)

    def equal(name: str, value: str) -> Mask:
        if name not in table.column_names:
            return np.zeros(n, np.bool_)
        found = pc.fill_null(pc.equal(table[name], value), fill_value=False)
        return np.asarray(found.to_numpy(), np.bool_)

    return Rows(
        place=np.arange(n),
        time=microseconds(table[c.EVENT_TIME]),
        known=microseconds(table[c.KNOWN_AT]),
        amount=np.asarray(table[c.AMOUNT].to_numpy(), np.float64),
        way=equal(c.DIRECTION, "in").astype(np.int64) - equal(c.DIRECTION, "out"),
        party=_codes(table, c.COUNTERPARTY_ID),
        device=_codes(table, c.DEVICE_ID),
        cash=equal(c.INSTRUMENT, _CASH),
    )


def see(own: pa.Table, observations: pa.Table, *, begins: int) -> Iterator[Seen]:
    """Yield what each observation of a customer may see; those without a row are left out.

    A row is seen if it happened before the decision and was known at it, as for features, and
    if it is the observation itself.

    `own`: as `select_own` returns it.
    `begins`: when the data begin, in microseconds: no party is known before.
    """
    rows = read_rows(own)
    names = own[c.CUSTOMER_ID].combine_chunks().dictionary_encode()
    known = names.dictionary.to_pylist()
    starts = np.searchsorted(names.indices.to_numpy(), np.arange(len(known) + 1))
    place_of = dict(zip(known, range(len(known)), strict=True))
    scored = pc.index_in(
        observations[OBSERVATION_ID], value_set=own[c.TRANSACTION_ID].combine_chunks()
    )
    decided = microseconds(observations[DECISION_TIME])
    customers = observations[c.CUSTOMER_ID].to_pylist()
    for at, (name, place) in enumerate(zip(customers, scored.to_pylist(), strict=True)):
        if name not in place_of:
            continue
        low, high = starts[place_of[name]], starts[place_of[name] + 1]
        t = int(decided[at])
        first, end = low + np.searchsorted(rows.time[low:high], [t - LOOKBACK_US, t])
        own_row = place is not None and low <= place < high and rows.time[place] == t
        mine = place if own_row else -1
        # a fraud observation sees its own row, which lies among those of its instant
        part = rows.take(slice(first, end if mine < 0 else mine + 1))
        seen = part.take(((part.time < t) & (part.known <= t)) | (part.place == mine))
        recent = int(np.searchsorted(seen.time, t - WINDOW_US))
        if recent < seen.time.size:
            yield Seen(
                at=at,
                customer=name,
                decided=t,
                rows=seen,
                recent=recent,
                new=_mark_new(seen, begins=begins),
                own=mine,
            )


def _mark_new(rows: Rows, *, begins: int) -> Mask:
    _, first, code = np.unique(rows.party, return_index=True, return_inverse=True)
    fresh = rows.time[first[code]] >= rows.time - NEW_US
    return fresh & (rows.party >= 0) & (rows.time - NEW_US - HISTORY_US >= begins)


def _codes(table: pa.Table, name: str) -> Ints:
    """Return a number for each value of a column; -1 where it is not known, or all without it."""
    if name not in table.column_names:
        return np.full(len(table), -1, np.int64)
    encoded = table[name].combine_chunks().dictionary_encode()
    return np.asarray(pc.fill_null(encoded.indices, -1).to_numpy(), np.int64)
