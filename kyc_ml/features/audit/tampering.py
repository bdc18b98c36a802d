"""What may not matter to a decision, done to a table: delete, corrupt, add, shuffle.

A row is *out of reach* of a decision at t if it happened at t or later, or was known
only later than t. Nothing here may move a feature of an observation decided at t.
"""

from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.contract import (
    ACCOUNT_ID,
    CASE_ID,
    CASES,
    CONTRACT,
    COUNTERPARTY_ID,
    CUSTOMER_ID,
    DEVICE_ID,
    EVENT_TIME,
    KNOWN_AT,
    REVIEW_ID,
    TRANSACTION_ID,
    Column,
    column_of,
)
from kyc_ml.features.periods import DAY_US, HOUR_US
from kyc_ml.features.table import OBSERVATION_ID
from kyc_ml.features.timed_rows import microseconds
from kyc_ml.metrics import Ints, Mask

KEYS: Final = (CUSTOMER_ID, COUNTERPARTY_ID, DEVICE_ID, ACCOUNT_ID)
"""Columns by which an observation finds its rows."""

_LINKS: Final = (TRANSACTION_ID, REVIEW_ID)
_MOVED_DAYS: Final = 1000
_UTC: Final = pa.timestamp("us", tz="UTC")

_OUT_OF_REACH: Final = (
    (0, 0),
    (1, 1),
    (DAY_US, DAY_US),
    *((-before, 1) for before in (1, HOUR_US // 2, DAY_US // 2)),
    *((-days * DAY_US, 1) for days in (5, 8, 20, 60)),
)
"""Event time and known time of added rows, in microseconds after the decision: at its
instant, after it, and before it but known one microsecond late. The ages fall into
windows from an hour to a quarter, with and without a lag of a week."""

_PLANNED: Final = ((0, -DAY_US), (DAY_US, -DAY_US))
"""Versions known ahead of the day they take effect, where the contract allows them."""


def out_of_reach(table: pa.Table, at_us: int) -> Mask:
    """Mark the rows that a decision at `at_us` may not use."""
    event, known = microseconds(table[EVENT_TIME]), microseconds(table[KNOWN_AT])
    return np.asarray((event >= at_us) | (known > at_us))


def delete_rows(table: pa.Table, at_us: int) -> tuple[pa.Table, int]:
    """Drop the rows out of reach; return how many."""
    gone = out_of_reach(table, at_us)
    return table.filter(pa.array(~gone)), int(gone.sum())


def corrupt_rows(
    name: str, table: pa.Table, at_us: int, *, rng: np.random.Generator
) -> tuple[pa.Table, int]:
    """Change every value of the rows out of reach except their times and their own id.

    Numbers, texts, flags and dates all become others, missing values appear; keys change
    places between these rows. Returns how many rows.
    """
    wrong = out_of_reach(table, at_us)
    places = np.flatnonzero(wrong)
    swapped = np.arange(table.num_rows)
    swapped[places] = rng.permutation(places)
    contract = CONTRACT[name]
    for place, column in enumerate(table.column_names):
        # times decide what is out of reach, and an id identifies the row: both must stay
        if column in {EVENT_TIME, KNOWN_AT} or (column == contract.key[0] and column not in KEYS):
            continue
        values = table[column].combine_chunks()
        if column in {*KEYS, *_LINKS}:
            changed = values.take(pa.array(swapped))
        else:
            changed = pc.if_else(
                pa.array(wrong), _all_changed(values, column_of(name, table.field(place))), values
            )
        table = table.set_column(place, table.field(place), changed)
    return table, int(places.size)


def crowd_rows(
    name: str, table: pa.Table, at_us: int, *, audited: pa.Table, rng: np.random.Generator
) -> tuple[pa.Table, int]:
    """Add rows out of reach that carry the keys of the audited observations.

    They are copies of the table's rows with numbers far from the usual and texts drawn from all
    that the column holds, so that each filter of a feature meets some. A copy of a case keeps its
    id where it could be a later state of it, and names the observation. Each payment is also added
    as its counterparty would see it. Returns how many rows; a table without rows stays empty.
    """
    if not table.num_rows:
        return table, 0
    contract = CONTRACT[name]
    offsets = np.array([*_OUT_OF_REACH, *(() if contract.known_after_event else _PLANNED)])
    keys = _keys_of(audited)
    bearer = np.repeat(np.arange(keys.num_rows), len(offsets))
    event, known = (np.tile(offset, keys.num_rows) + at_us for offset in offsets.T)
    copied = rng.integers(table.num_rows, size=bearer.size)
    columns: dict[str, pa.Array] = {
        EVENT_TIME: pa.array(event).cast(_UTC),
        KNOWN_AT: pa.array(known).cast(_UTC),
    }
    carried = keys.take(pa.array(bearer))
    columns |= {each: carried[each] for each in KEYS if each in keys.column_names}
    if contract.key[0] not in KEYS:
        # a random token: ids of added rows must not be those of existing ones
        token = rng.bytes(8).hex()
        columns[contract.key[0]] = pa.array([f"audit {token} {n}" for n in range(bearer.size)])
    if name == CASES:
        case = table[CASE_ID].take(copied)
        earlier = ~out_of_reach(table, at_us)[copied] & _first_of_each(case)
        columns |= _about(carried[OBSERVATION_ID], late=known > at_us)
        columns[CASE_ID] = pc.if_else(pa.array(earlier & (known > at_us)), case, columns[CASE_ID])
    for column in table.column_names:
        if column not in {*columns, *KEYS, *_LINKS}:
            contracted = column_of(name, table.field(column))
            columns[column] = _far_from_usual(table[column], copied, contracted, rng)
    added = pa.table(
        [columns.get(each, table[each].take(copied)) for each in table.column_names],
        schema=table.schema,
    )
    return _in_time(pa.concat_tables([table, added])), added.num_rows


def shuffle_ties(table: pa.Table, *, rng: np.random.Generator) -> tuple[pa.Table, int]:
    """Reorder rows of equal event and known time; return how many moved."""
    chance = rng.random(table.num_rows)
    # chance comes first in the keys, which is last in the order: it decides ties only
    order = np.lexsort((chance, microseconds(table[KNOWN_AT]), microseconds(table[EVENT_TIME])))
    moved = int((order != np.arange(order.size)).sum())
    return (table.take(pa.array(order)) if moved else table), moved


def _in_time(table: pa.Table) -> pa.Table:
    event, known = microseconds(table[EVENT_TIME]), microseconds(table[KNOWN_AT])
    return table.take(np.lexsort((known, event)))


def _keys_of(audited: pa.Table) -> pa.Table:
    """Return the keys of observations, then of the same payments from the other side."""
    present = [OBSERVATION_ID, *(each for each in KEYS if each in audited.column_names)]
    keys = pa.table({each: audited[each] for each in present})
    if COUNTERPARTY_ID not in present:
        return keys
    other = {CUSTOMER_ID: COUNTERPARTY_ID, COUNTERPARTY_ID: CUSTOMER_ID}
    mirrored = pa.table({each: keys[other.get(each, each)] for each in present})
    return pa.concat_tables([keys, mirrored.filter(pc.is_valid(mirrored[CUSTOMER_ID]))])


def _first_of_each(column: pa.ChunkedArray) -> Mask:
    """Mark the first occurrence of each text."""
    texts: pd.Series = column.to_pandas()
    return np.asarray(~texts.duplicated())


def _about(observed: pa.ChunkedArray, *, late: Mask) -> dict[str, pa.Array]:
    """Link cases to observations, those known late only.

    The outcome of a payment counts at the payment's own time: one that names a payment
    before t and is known at t would be in reach.
    """
    named = pc.if_else(pa.array(late), observed, pa.scalar(None, pa.string()))
    return dict.fromkeys(_LINKS, named)


def _all_changed(values: pa.Array, column: Column) -> pa.Array:
    """Replace every value by another one of its type; fill missing values."""
    if column.type == "string":
        return _next_text(values, column)
    if column.type == "boolean":
        return pc.invert(values.fill_null(False))  # noqa: FBT003  Arrow's own
    if column.type == "double":
        return pc.add(pc.multiply(values.fill_null(1.0), 1000.0), 1.0)
    days = pa.int32() if column.type == "date" else pa.int64()
    step = _MOVED_DAYS if column.type == "date" else _MOVED_DAYS * DAY_US
    moved = pc.subtract(values.cast(days).fill_null(0), pa.scalar(step, days))
    return moved.cast(values.type)


def _next_text(values: pa.Array, column: Column) -> pa.Array:
    """Replace each text by the next one the column holds, or may hold."""
    coded = values.dictionary_encode()
    known = coded.dictionary.to_pylist()
    spare = [text for text in (*column.allowed, "ZZ" if column.pattern else "tampered")
             if text not in known]  # fmt: skip
    following = pa.array([*known[1:], (known if len(known) > 1 else spare)[0]], pa.string())
    return following.take(coded.indices).fill_null((known or spare)[0])


def _far_from_usual(
    values: pa.ChunkedArray,
    copied: Ints,
    column: Column,
    rng: np.random.Generator,
) -> pa.Array:
    """Return numbers a thousand times as large or small for copied rows, and random texts."""
    if column.type == "double":
        factor = rng.choice([1e-3, 1e3], size=copied.size)
        return pc.multiply(values.take(copied).fill_null(1.0), pa.array(factor))
    if column.type == "string":
        texts = sorted({*pc.unique(values).drop_null().to_pylist(), *column.allowed})
        if texts:
            return pa.array(texts).take(rng.integers(len(texts), size=copied.size))
    return values.take(copied)
