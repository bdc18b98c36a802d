"""The rows of a store that explain one observation, in tables like those of the whole bank."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.contract import (
    ACCOUNT_ID,
    ACCOUNTS,
    CASE_ID,
    CASES,
    CUSTOMER_ID,
    CUSTOMERS,
    REVIEWS,
    TRANSACTION_ID,
    TRANSACTIONS,
    ContractedTables,
)
from kyc_ml.features import (
    CURRENT_ACCOUNTS,
    DAY_US,
    DECISION_TIME,
    LABELS,
    OBSERVED,
    OUTCOMES,
    PATTERNS,
    FeatureSpec,
    microseconds,
    plan_everything,
    read_observations,
    split_available,
)
from kyc_ml.history.append import same_rows
from kyc_ml.history.layout import KEYS, TIMES
from kyc_ml.history.nights import LONG, store_tables
from kyc_ml.history.partitions import DAY
from kyc_ml.history.reading import History
from kyc_ml.history.rows import ids_of
from kyc_ml.history.store import HistoryStore


def tables_of_customer(history: History, observation: str) -> ContractedTables:
    """Return all rows of the customer of a payment, of a planned review, or of CUSTOMER@DATE."""
    customer, at, _ = observation.rpartition("@")
    customer = customer if at else observation
    for table in {TRANSACTIONS, REVIEWS} & {*history.store.about["columns"]}:
        found = history.store.find(table, pa.array([observation], pa.string()))
        if len(found):
            customer = found[CUSTOMER_ID][0].as_py()
    bare = store_tables(history.store, None).keys()
    return replace(bare, tables=history.tables_of([customer]), stored=None)


def tables_around(
    history: History, observation: pa.Table, specs: Sequence[FeatureSpec], *, reach_us: int
) -> ContractedTables:
    """Return the rows that features of one observation were computed from, and those beside them.

    These are all rows of its customer, the rows that features find by its counterparty, device or
    account, the profiles of all customers, and what the whole bank did in `reach_us` before it.
    """
    store = history.store
    decided = int(microseconds(observation[DECISION_TIME])[0])
    days = pa.array(range((decided - reach_us) // DAY_US, decided // DAY_US + 1))
    found: dict[str, list[pa.Table]] = defaultdict(list)
    for table, rows in _read_by_features(history, observation, specs):
        found[table].append(rows)
    for table, columns in store.about["columns"].items():
        keys = observation[CUSTOMER_ID].unique()
        found[table].append(store.rows(table, CUSTOMER_ID, keys, store.tables[table].schema.names))
        found[table] += [store.rows(table, DAY, days, columns)] if table in LONG else []
        found[table] += store.scan(table, columns) if table == CUSTOMERS else []
    tables = {name: _joined(name, parts) for name, parts in found.items()}
    return replace(store_tables(store, None).keys(), tables=tables, stored=None)


def _joined(table: str, parts: Sequence[pa.Table]) -> pa.Table:
    """Join rows, each of them once, in the order of the table."""
    rows = pa.concat_tables(parts, promote_options="default")
    if table == PATTERNS:
        return rows
    order = [(name, "ascending") for name in dict.fromkeys((*TIMES, *KEYS[table]))]
    return rows.filter(pa.array(~ids_of(table, rows).to_pandas().duplicated())).sort_by(order)


def _read_by_features(
    history: History, observation: pa.Table, specs: Sequence[FeatureSpec]
) -> Iterator[tuple[str, pa.Table]]:
    """Yield the rows that features of an observation read by its keys, with all their columns."""
    observed = read_observations(observation)
    available, _ = split_available(specs, history.columns, observed.column_names)
    read = {
        (table, each.site.anchor.rows, each.site.anchor.observed)
        for each in plan_everything(available).passes
        for table in each.rows
        if each.site.place == OBSERVED and each.site.anchor is not None
    }
    for table, key, own in sorted(read):
        yield from _keyed(history.store, table, key, observed[own].unique().drop_null())


def _keyed(
    store: HistoryStore, table: str, key: str, values: pa.Array
) -> Iterator[tuple[str, pa.Table]]:
    """Yield the rows of a table of some key, or those that the rows of a made table follow from."""
    if table == PATTERNS:
        yield table, store.rows(table, key, values, store.tables[table].schema.names)
    elif table == LABELS:
        labels = store.rows(table, key, values, {CASE_ID})
        cases = store.find(CASES, labels[CASE_ID].unique())
        yield CASES, cases
        if TRANSACTION_ID in cases.column_names:
            yield TRANSACTIONS, store.find(TRANSACTIONS, cases[TRANSACTION_ID].unique().drop_null())
    elif table == OUTCOMES:
        paid = _whole(store, TRANSACTIONS, key, values)
        yield TRANSACTIONS, paid
        named = store.rows(CASES, TRANSACTION_ID, paid[TRANSACTION_ID].unique(), {CASE_ID})
        yield CASES, store.find(CASES, named[CASE_ID].unique())
    elif table == CURRENT_ACCOUNTS:
        mine = store.rows(ACCOUNTS, key, values, {ACCOUNT_ID})
        yield ACCOUNTS, _whole(store, ACCOUNTS, ACCOUNT_ID, mine[ACCOUNT_ID].unique())
    else:
        yield table, _whole(store, table, key, values)


def _whole(store: HistoryStore, table: str, key: str, values: pa.Array) -> pa.Table:
    """Return all columns of the rows of some key."""
    some = store.rows(table, key, values, {*KEYS[table], key})
    rows = same_rows(store, table, some)
    return rows.filter(pc.is_in(ids_of(table, rows), value_set=ids_of(table, some)))
