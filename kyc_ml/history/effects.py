"""What follows from rows that are appended: columns that they carry, and rows that they change."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.contract import (
    ACCOUNT_ID,
    ACCOUNTS,
    CASE_ID,
    CASES,
    CONTRACT,
    CUSTOMER_ID,
    EVENT_TIME,
    KNOWN_AT,
    TRANSACTION_ID,
    TRANSACTIONS,
)
from kyc_ml.features import (
    CURRENT_ACCOUNTS,
    DAY_US,
    LABELS,
    MADE_FROM,
    OUTCOMES,
    PATTERN_REACH_US,
    PATTERN_SCHEMA,
    PATTERNS,
    ByKey,
    MadeOnReading,
    Pass,
    TimedRows,
    known_labels,
    microseconds,
    own_match,
    patterns_closed_by,
    with_made,
)
from kyc_ml.history.layout import KEYS, TIMES, Layout
from kyc_ml.history.partitions import DAY
from kyc_ml.history.rows import (
    ArrivingRows,
    WholeDays,
    days_of,
    ids_of,
    name_of_counts,
    with_columns_of,
)
from kyc_ml.history.store import Batch, HistoryStore

END: Final = np.iinfo(np.int64).max
_SOURCES: Final = {OUTCOMES: (TRANSACTIONS, LABELS), CURRENT_ACCOUNTS: (ACCOUNTS,)}
"""What the tables that are made on reading follow from."""

ORPHANS: Final = "payments named by cases and not there"
PEERS: Final = "months of peers"
"""Facts: payments that no append has brought yet; (features, month) of the peers' figures."""


def same_rows(store: HistoryStore, table: str, rows: pa.Table) -> pa.Table:
    """Return rows of the store among which are those with the keys of some rows."""
    if CUSTOMER_ID in KEYS[table]:
        names = store.tables[table].schema.names
        return store.rows(table, CUSTOMER_ID, rows[CUSTOMER_ID].unique(), names)
    return store.find(table, rows[KEYS[table][0]].unique())


def same_values(one: pa.Array, other: pa.Array) -> pa.Array:
    """Compare values; two missing ones are equal."""
    missing = pc.and_(pc.is_null(one), pc.is_null(other))
    return pc.or_(pc.fill_null(pc.equal(one, other), fill_value=False), missing)


class Slice:
    """Rows that are appended together, and what follows from them."""

    def __init__(
        self,
        store: HistoryStore,
        batch: Batch,
        layout: Layout,
        new: Mapping[str, pa.Table],
        *,
        timezone: str,
    ) -> None:
        self._store = store
        self._batch = batch
        self._layout = layout
        self._timezone = timezone
        self._rows = ArrivingRows(store, layout, new, timezone=timezone)
        self._since = {name: _visible_from(rows) for name, rows in new.items()}
        self._touched: dict[str, list[pa.Table]] = {name: [rows] for name, rows in new.items()}

    def append(self) -> None:
        """Compute what the rows carry and what they change, and add it all."""
        if LABELS in self._layout.schemas:
            self._relabel()
        if PATTERNS in self._layout.schemas and TRANSACTIONS in self._rows.new:
            self._find_patterns()
        self._carry()
        self._write_changed()
        for table, rows in self._rows.new.items():
            if table in MADE_FROM:
                self._write_made(table)
            else:
                self._batch.add(table, rows.select(self._layout.schemas[table].names))
        for table, day in sorted(self._rows.recounted):
            counts = json.dumps(self._rows.counted(table, day), sort_keys=True)
            self._batch.keep(name_of_counts(table, day), counts.encode())
        since = min(self._since.values())
        # peers were measured from rows that could be seen when their month began
        months = [each for each in json.loads(self._store.kept(PEERS) or b"[]") if each[1] < since]
        self._batch.keep(PEERS, json.dumps(months).encode())

    def _carry(self) -> None:
        """Compute the columns that are carried to the new rows, and to those that they change."""
        columns = with_made({n: s.names for n, s in self._layout.schemas.items() if n in CONTRACT})
        by_key = ByKey(
            keyed=MadeOnReading(self._rows, columns),
            whole=WholeDays(self._rows, timezone=self._timezone),
            timezone=self._timezone,
        )
        for each in self._layout.carrying:
            place = each.site.place
            rows = self._looking(each)
            if not len(rows):
                continue
            values = by_key.carried(each, TimedRows(rows))
            ids = ids_of(place, rows)
            new = self._rows.new.get(place)
            if new is not None:
                at = pc.index_in(ids_of(place, new), value_set=ids)
                for name, column in values.items():
                    new = new.append_column(name, column.take(at))
                self._rows.new[place] = new
            old = ids if new is None else ids.filter(pc.invert(pc.is_in(ids, ids_of(place, new))))
            if len(old):
                at = pc.index_in(old, value_set=ids)
                self._change(place, rows.take(at), {n: c.take(at) for n, c in values.items()})

    def _looking(self, each: Pass) -> pa.Table:
        """Return the rows whose carried columns are computed: new ones, and those they change."""
        place, anchor = each.site.place, each.site.anchor
        names = list(dict.fromkeys((*TIMES, *KEYS[place], *sorted(each.observed))))
        new = self._rows.new.get(place)
        mine = [] if new is None else [new.select(names)]
        if anchor is not None and any(own_match(spec.how) for spec in each.specs):
            # money is matched among all rows of a key
            if new is None:
                return pa.table({})
            return self._rows.rows(place, anchor.observed, new[anchor.observed].unique(), names)
        sources = [source for table in each.rows for source in _SOURCES.get(table, (table,))]
        since = min((self._since[name] for name in sources if name in self._since), default=END)
        days = [day for day, last in self._last_of_days(place) if last >= since]
        if days:
            by, values = DAY, pa.array(days, pa.int64())
            if anchor is not None:
                keys = [key for table in each.rows for key in self._keys(table, anchor.rows)]
                by, values = anchor.observed, pa.chunked_array(keys, pa.string()).unique()
            old = self._rows.old_rows(place, by, values.drop_null(), names).select(names)
            mine.append(old.filter(pa.array(microseconds(old[EVENT_TIME]) >= since)))
        return pa.concat_tables(mine, promote_options="default") if mine else pa.table({})

    def _last_of_days(self, place: str) -> Iterator[tuple[int, int]]:
        found = self._store.days(place)
        return zip(found["day"].to_pylist(), found["last"].to_pylist(), strict=True)

    def _keys(self, table: str, key: str) -> Iterator[pa.Array]:
        """List the values of a key among rows that are new or changed."""
        for source in _SOURCES.get(table, (table,)):
            for rows in self._touched.get(source, ()):
                whole = rows
                if table == CURRENT_ACCOUNTS and key != ACCOUNT_ID:
                    whole = self._rows.rows(ACCOUNTS, ACCOUNT_ID, rows[ACCOUNT_ID].unique(), {key})
                elif table == OUTCOMES and source == LABELS:
                    whole = self._payments(rows[TRANSACTION_ID])
                yield whole[key].combine_chunks()

    def _change(self, place: str, rows: pa.Table, values: Mapping[str, pa.Array]) -> None:
        """Note other values of carried columns of rows of the store."""
        ids = ids_of(place, rows)
        whole = same_rows(self._store, place, rows)
        whole = self._rows.as_changed(place, whole.filter(pc.is_in(ids_of(place, whole), ids)))
        at = pc.index_in(ids_of(place, whole), value_set=ids)
        differ = pa.array(np.zeros(len(whole), np.bool_))
        for name, column in values.items():
            taken = column.take(at)
            differ = pc.or_(differ, pc.invert(same_values(taken, whole[name].combine_chunks())))
            whole = whole.set_column(whole.column_names.index(name), name, taken)
        whole = whole.filter(differ)
        if len(whole):
            before = self._rows.changed.get(place, whole.slice(0, 0))
            others = pc.invert(pc.is_in(ids_of(place, before), ids_of(place, whole)))
            self._rows.changed[place] = pa.concat_tables([before.filter(others), whole])
            self._touched.setdefault(place, []).append(whole)
            self._since[place] = min(self._since.get(place, END), _visible_from(whole))

    def _write_changed(self) -> None:
        """Write other values of carried columns into all partitions that hold them."""
        for table, rows in self._rows.changed.items():
            for key in self._layout.keys_of(table):
                keys = pa.array(np.unique(days_of(rows)))
                if key != DAY:
                    keys = rows[key].unique().drop_null()
                names = self._layout.columns_of(table, key)
                whole = self._store.rows(table, key, keys, names)
                self._batch.replace(table, key, keys, with_columns_of(table, whole, rows))

    def _relabel(self) -> None:
        """Make the labels of cases that are new, or whose payment is new."""
        orphans = set(json.loads(self._store.kept(ORPHANS) or b"[]"))
        cases, paid = self._rows.new.get(CASES), self._rows.new.get(TRANSACTIONS)
        found = [] if cases is None else [cases[CASE_ID].combine_chunks()]
        since = END if cases is None else int(microseconds(cases[KNOWN_AT]).min())
        if paid is not None and orphans:
            hit = paid[TRANSACTION_ID].filter(pc.is_in(paid[TRANSACTION_ID], _texts(orphans)))
            found.append(
                self._rows.rows(CASES, TRANSACTION_ID, hit.unique(), {CASE_ID})[
                    CASE_ID
                ].combine_chunks()
            )
        ids = pc.unique(pa.chunked_array(found, pa.string()))
        if not len(ids):
            return
        schema = self._layout.schemas[LABELS]
        states = self._rows.rows(CASES, CASE_ID, ids, self._layout.columns_of(CASES, CASE_ID))
        named = _texts([])
        if TRANSACTION_ID in states.column_names:
            named = states[TRANSACTION_ID].unique().drop_null()
        paid = self._payments(named)
        wanted = [name for name in paid.column_names if name in {*schema.names, TRANSACTION_ID}]
        labels = known_labels(states, paid.select(wanted)).select(schema.names)
        old = self._store.rows(LABELS, CASE_ID, ids, schema.names)
        if len(found) > 1 and len(old):
            since = min(since, int(microseconds(old[KNOWN_AT]).min()))
        self._rows.new[LABELS] = labels.sort_by([(n, "ascending") for n in (*TIMES, CASE_ID)])
        self._rows.gone[LABELS] = lambda rows: pc.is_in(rows[CASE_ID], ids)
        self._touched[LABELS] = [old.select(schema.names), labels]
        self._since[LABELS] = since
        there = set(paid[TRANSACTION_ID].to_pylist())
        left = sorted((orphans | set(named.to_pylist())) - there)
        self._batch.keep(ORPHANS, json.dumps(left).encode())

    def _find_patterns(self) -> None:
        """Find the patterns that new payments close, or change, in the payments of their reach."""
        new = self._rows.new[TRANSACTIONS]
        since = self._since[TRANSACTIONS]
        first = min(int(microseconds(new[EVENT_TIME])[0]), since)
        names = self._layout.columns_of(TRANSACTIONS, DAY)
        days = np.array(sorted(self._rows.days(TRANSACTIONS)))
        # whole days, and one more for bookings that are the other side of one
        start, found = (first - PATTERN_REACH_US) // DAY_US - 1, None
        while found is None:
            reached = days[days >= start].tolist()
            rows = self._rows.day_rows(TRANSACTIONS, reached, names)
            closing = pc.is_in(rows[TRANSACTION_ID], new[TRANSACTION_ID].combine_chunks())
            late = microseconds(rows[EVENT_TIME]) >= since
            closing = np.asarray(closing.combine_chunks(), dtype=np.bool_) | late
            found = patterns_closed_by(rows, closing, whole=start <= days[0])
            start = days[0]
        self._rows.new[PATTERNS] = found
        self._rows.gone[PATTERNS] = lambda rows: pc.greater_equal(
            rows[EVENT_TIME].cast(pa.int64()), since
        )
        is_late = any(last >= since for _, last in self._last_of_days(TRANSACTIONS))
        old = self._store.scan(PATTERNS, PATTERN_SCHEMA.names) if is_late else []
        gone = [rows.filter(self._rows.gone[PATTERNS](rows)) for rows in old]
        self._touched[PATTERNS] = [*gone, found]
        self._since[PATTERNS] = since

    def _payments(self, ids: pa.Array | pa.ChunkedArray) -> pa.Table:
        """Return the payments of some ids, new ones among them."""
        ids = ids.unique().drop_null()
        found = [self._store.find(TRANSACTIONS, ids)]
        if TRANSACTIONS in self._rows.new:
            new = self._rows.new[TRANSACTIONS]
            found.append(new.filter(pc.is_in(new[TRANSACTION_ID], ids)))
        return pa.concat_tables(found, promote_options="default")

    def _write_made(self, table: str) -> None:
        """Write the rows of a made table in place of those that are gone."""
        for key in self._layout.keys_of(table):
            keys = pa.chunked_array([rows[key].combine_chunks() for rows in self._touched[table]])
            keys = keys.unique().drop_null()
            names = self._layout.columns_of(table, key)
            rows = self._rows.rows(table, key, keys, names).select(names)
            self._batch.replace(table, key, keys, rows)


def _texts(values: Iterable[str]) -> pa.Array:
    return pa.array(sorted(values), pa.string())


def _visible_from(rows: pa.Table) -> int:
    """Return the first instant at which one of some rows can be seen."""
    entered = np.maximum(microseconds(rows[EVENT_TIME]) + 1, microseconds(rows[KNOWN_AT]))
    return int(entered.min())
