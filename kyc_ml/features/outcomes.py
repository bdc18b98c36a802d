"""The table of outcomes: when each transaction was known to be adverse, and when it was not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.contract import EVENT_TIME, KNOWN_AT, TRANSACTION_ID
from kyc_ml.features.made import ADVERSE
from kyc_ml.features.timed_rows import NEVER_US, UNTIL, microseconds

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


def _adverse_spans(labels: pa.Table) -> pd.DataFrame:
    """Join the times of each transaction's labels that overlap or touch.

    The transaction, `since` and `until` in microseconds, and `next`: when it is adverse again; in
    order of the transaction and the time.
    """
    until = labels[UNTIL].combine_chunks().cast(pa.int64()).fill_null(NEVER_US)
    found = pd.DataFrame(
        {
            TRANSACTION_ID: labels[TRANSACTION_ID].to_numpy(),
            "since": microseconds(labels[KNOWN_AT]),
            "until": until.to_numpy(zero_copy_only=False),
        }
    )
    found = found[found[TRANSACTION_ID].notna() & (found["since"] < found["until"])]
    found = found.sort_values([TRANSACTION_ID, "since"], ignore_index=True)
    owner = found[TRANSACTION_ID]
    ended = found.groupby(owner)["until"].cummax().groupby(owner).shift(fill_value=-NEVER_US)
    apart = (ended < found["since"]).cumsum()
    spans = found.groupby(apart).agg({TRANSACTION_ID: "first", "since": "min", "until": "max"})
    following = spans.groupby(TRANSACTION_ID)["since"].shift(-1, fill_value=NEVER_US)
    return spans.assign(next=following)


def _outcomes(transactions: pa.Table, spans: pd.DataFrame) -> pa.Table:
    """List the outcomes of some transactions."""
    ids = pa.array(spans[TRANSACTION_ID], transactions.schema.field(TRANSACTION_ID).type)
    at = pc.index_in(ids, value_set=transactions[TRANSACTION_ID])
    named = np.asarray(at.is_valid())
    adverse = spans[named].assign(row=np.asarray(at.drop_null()))
    again = adverse[adverse["until"] < NEVER_US]
    first = adverse.drop_duplicates("row")
    ends = np.full(len(transactions), NEVER_US)
    ends[first["row"]] = first["since"]
    row = np.concatenate([np.arange(ends.size), again["row"], adverse["row"]])
    since = np.concatenate([microseconds(transactions[KNOWN_AT]), again["until"], adverse["since"]])
    until = np.concatenate([ends, again["next"], adverse["until"]])
    flag = np.repeat([0.0, 1.0], [row.size - len(adverse), len(adverse)])
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
