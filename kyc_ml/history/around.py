"""The rows of a store that explain one observation, in tables like those of the whole bank."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml import contract as c
from kyc_ml import features as f
from kyc_ml.history.effects import same_rows
from kyc_ml.history.layout import KEYS, TIMES
from kyc_ml.history.nights import LONG, store_tables
from kyc_ml.history.partitions import DAY
from kyc_ml.history.reading import History
from kyc_ml.history.rows import ids_of
from kyc_ml.history.store import HistoryStore


def tables_of_customer(history: History, observation: str) -> c.ContractedTables:
    """Return all rows of the customer of a payment, of a planned review, or of CUSTOMER@DATE."""
    customer, at, _ = observation.rpartition("@")
    customer = customer if at else observation
    for table in {c.TRANSACTIONS, c.REVIEWS} & {*history.store.about["columns"]}:
        found = history.store.find(table, pa.array([observation], pa.string()))
        if len(found):
            customer = found[c.CUSTOMER_ID][0].as_py()
    bare = store_tables(history.store, None).keys()
    return replace(bare, tables=history.tables_of([customer]), stored=None)


def tables_around(
    history: History, observation: pa.Table, specs: Sequence[f.FeatureSpec], *, reach_us: int
) -> c.ContractedTables:
    """Return the rows that features of one observation were computed from, and those beside them.

    These are all rows of its customer, the rows that features find by its counterparty, device or
    account, the profiles of all customers, and what the whole bank did in `reach_us` before it.
    Raises ConfigError if the store was made for other features.
    """
    history.require(specs)
    store = history.store
    decided = int(f.microseconds(observation[f.DECISION_TIME])[0])
    days = pa.array(range((decided - reach_us) // f.DAY_US, decided // f.DAY_US + 1))
    found: dict[str, list[pa.Table]] = defaultdict(list)
    for table, rows in _read_by_features(history, observation, specs):
        found[table].append(rows)
    for table, columns in store.about["columns"].items():
        keys = observation[c.CUSTOMER_ID].unique()
        found[table].append(
            store.rows(table, c.CUSTOMER_ID, keys, store.tables[table].schema.names)
        )
        found[table] += [store.rows(table, DAY, days, columns)] if table in LONG else []
        found[table] += store.scan(table, columns) if table == c.CUSTOMERS else []
    tables = {name: _joined(name, parts) for name, parts in found.items()}
    return replace(store_tables(store, None).keys(), tables=tables, stored=None)


def _joined(table: str, parts: Sequence[pa.Table]) -> pa.Table:
    """Join rows, each of them once, in the order of the table."""
    rows = pa.concat_tables(parts, promote_options="default")
    if table == f.PATTERNS:
        return rows
    order = [(name, "ascending") for name in dict.fromkeys((*TIMES, *KEYS[table]))]
    return rows.filter(pa.array(~ids_of(table, rows).to_pandas().duplicated())).sort_by(order)


def _read_by_features(
    history: History, observation: pa.Table, specs: Sequence[f.FeatureSpec]
) -> Iterator[tuple[str, pa.Table]]:
    """Yield the rows that features of an observation read by its keys, with all their columns."""
    observed = f.read_observations(observation)
    available, _ = f.split_available(specs, history.columns, observed.column_names)
    read = {
        (table, each.site.anchor.rows, each.site.anchor.observed)
        for each in f.plan_everything(available).passes
        for table in each.rows
        if each.site.place == f.OBSERVED and each.site.anchor is not None
    }
    for table, key, own in sorted(read):
        yield from _keyed(history.store, table, key, observed[own].unique().drop_null())


def _keyed(
    store: HistoryStore, table: str, key: str, values: pa.Array
) -> Iterator[tuple[str, pa.Table]]:
    """Yield the rows of a table of some key, or those that the rows of a made table follow from."""
    if table == f.PATTERNS:
        yield table, store.rows(table, key, values, store.tables[table].schema.names)
    elif table == f.LABELS:
        labels = store.rows(table, key, values, {c.CASE_ID})
        cases = store.find(c.CASES, labels[c.CASE_ID].unique())
        yield c.CASES, cases
        if c.TRANSACTION_ID in cases.column_names:
            yield (
                c.TRANSACTIONS,
                store.find(c.TRANSACTIONS, cases[c.TRANSACTION_ID].unique().drop_null()),
            )
    elif table == f.OUTCOMES:
        paid = _whole(store, c.TRANSACTIONS, key, values)
        yield c.TRANSACTIONS, paid
        named = store.rows(c.CASES, c.TRANSACTION_ID, paid[c.TRANSACTION_ID].unique(), {c.CASE_ID})
        yield c.CASES, store.find(c.CASES, named[c.CASE_ID].unique())
    elif table == f.CURRENT_ACCOUNTS:
        mine = store.rows(c.ACCOUNTS, key, values, {c.ACCOUNT_ID})
        yield c.ACCOUNTS, _whole(store, c.ACCOUNTS, c.ACCOUNT_ID, mine[c.ACCOUNT_ID].unique())
    else:
        yield table, _whole(store, table, key, values)


def _whole(store: HistoryStore, table: str, key: str, values: pa.Array) -> pa.Table:
    """Return all columns of the rows of some key."""
    some = store.rows(table, key, values, {*KEYS[table], key})
    rows = same_rows(store, table, some)
    return rows.filter(pc.is_in(ids_of(table, rows), value_set=ids_of(table, some)))
