"""The table of outcomes: when each transaction was known to be adverse, and when it was not."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.contract import EVENT_TIME, KNOWN_AT, TRANSACTION_ID
from kyc_ml.features.made import ADVERSE
from kyc_ml.features.timed_rows import NEVER_US, UNTIL, as_codes, microseconds
from kyc_ml.metrics import Ints

_UTC = pa.timestamp("us", tz="UTC")


def outcomes_of(transactions: Iterator[pa.Table], labels: pa.Table) -> Iterator[pa.Table]:
    """List the outcomes of transactions, one piece at a time to limit memory.

    `transactions`: pieces in order of time, at least one, with their columns to keep.
    `labels`: see `prepare.known_labels`. A transaction is adverse while any of its labels counts.
    A row for each time over which a transaction was known to be adverse, or was not: `ADVERSE` is 1
    or 0 from the time in `KNOWN_AT` to that in `UNTIL`. The rows are in order of the transactions'
    time; of one instant, those that are not adverse come first.
    """
    spans = _adverse_spans(labels)
    held = next(transactions)
    for piece in transactions:
        rows = pa.concat_tables([held, piece])
        # the last instant may continue in the next piece
        event = microseconds(rows[EVENT_TIME])
        ended = int(np.searchsorted(event, event[-1])) if event.size else 0
        held = rows.slice(ended)
        yield _outcomes(rows.slice(0, ended), spans)
    yield _outcomes(held, spans)


class _Spans(NamedTuple):
    """Times over which transactions are adverse, in order of the transaction and the time."""

    ids: pa.Array
    since: Ints
    until: Ints
    following: Ints
    """When it is adverse again."""


def _adverse_spans(labels: pa.Table) -> _Spans:
    """Join the times of each transaction's labels that overlap or touch, in microseconds."""
    since = microseconds(labels[KNOWN_AT])
    until = np.asarray(labels[UNTIL].combine_chunks().cast(pa.int64()).fill_null(NEVER_US))
    named = labels[TRANSACTION_ID].combine_chunks().dictionary_encode()
    places = pc.rank(named.dictionary, tiebreaker="dense").to_numpy().astype(np.int64)
    owner = np.append(places, -1)[as_codes(named.indices)]
    order = np.lexsort((since, owner))
    order = order[(owner >= 0)[order] & (since < until)[order]]
    owner, since, until = owner[order], since[order], until[order]
    values, ranks = np.unique(until, return_inverse=True)
    # the latest end so far of the same transaction: later transactions have greater numbers
    latest = values[np.maximum.accumulate(owner * values.size + ranks) % max(values.size, 1)]
    same = np.append(False, owner[1:] == owner[:-1])[: owner.size]
    ended = np.where(same, np.roll(latest, 1), -NEVER_US)
    first = np.flatnonzero(ended < since)
    begun, owner = since[first], owner[first]
    again = np.append(owner[1:] == owner[:-1], False)[: owner.size]
    return _Spans(
        ids=labels[TRANSACTION_ID].combine_chunks().take(pa.array(order[first])),
        since=begun,
        until=np.maximum.reduceat(until, first) if first.size else until,
        following=np.where(again, np.roll(begun, -1), NEVER_US),
    )


def _outcomes(transactions: pa.Table, spans: _Spans) -> pa.Table:
    """List the outcomes of some transactions."""
    ids = spans.ids.cast(transactions.schema.field(TRANSACTION_ID).type)
    at = pc.index_in(ids, value_set=transactions[TRANSACTION_ID])
    mine = np.asarray(at.is_valid())
    place = np.asarray(at.drop_null(), np.int64)
    begun, ended, following = spans.since[mine], spans.until[mine], spans.following[mine]
    again = ended < NEVER_US
    first = np.append(True, place[1:] != place[:-1])[: place.size]
    ends = np.full(len(transactions), NEVER_US)
    ends[place[first]] = begun[first]
    row = np.concatenate([np.arange(ends.size), place[again], place])
    since = np.concatenate([microseconds(transactions[KNOWN_AT]), ended[again], begun])
    until = np.concatenate([ends, following[again], ended])
    flag = np.repeat([0.0, 1.0], [row.size - place.size, place.size])
    order = np.lexsort((flag, microseconds(transactions[EVENT_TIME])[row]))
    found = transactions.drop_columns([TRANSACTION_ID, KNOWN_AT]).take(pa.array(row[order]))
    until = until[order]
    made = {
        KNOWN_AT: pa.array(since[order], _UTC),
        UNTIL: pa.array(until, _UTC, mask=until == NEVER_US),
        ADVERSE: pa.array(flag[order]),
    }
    for name, values in made.items():
        found = found.append_column(name, values)
    return found
