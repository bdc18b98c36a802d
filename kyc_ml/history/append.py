"""Append the rows of a source to a store, with what they can never change again."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

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
    QUARANTINE_SCHEMA,
    TRANSACTION_ID,
    TRANSACTIONS,
    Columns,
    ContractedTables,
    DataQualityReport,
    RuleFinding,
    Tables,
    rows_from_json,
    write_quality,
)
from kyc_ml.errors import ContractError, Faults
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
from kyc_ml.history.layout import KEYS, TIMES, Layout, contracted_schemas, layout_of_store
from kyc_ml.history.nights import count_known
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

_SLICE_ROWS: Final = 500_000
"""Rows of all tables together that are appended at a time; limits memory."""

_END: Final = np.iinfo(np.int64).max
_SOURCES: Final = {OUTCOMES: (TRANSACTIONS, LABELS), CURRENT_ACCOUNTS: (ACCOUNTS,)}
"""What the tables that are made on reading follow from."""

ORPHANS: Final = "payments named by cases and not there"
PEERS: Final = "months of peers"
SERVED_UNTIL: Final = "served until"
_ORDER: Final = (EVENT_TIME, KNOWN_AT, TRANSACTION_ID)
"""Facts: payments that no append has brought yet; (features, month) of the peers' figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """What an append did, by table: `read` is the sum of the other three."""

    read: dict[str, int]
    appended: dict[str, int]
    repeated: dict[str, int]
    """Rows that were there already, with the same content."""
    refused: dict[str, int]
    """Rows with the key of one that the store holds, and other content."""
    quarantine: pa.Table
    """The refused rows; see `contract.quarantine.QUARANTINE_SCHEMA`. Holds customers' values."""


def append_tables(store: HistoryStore, tables: Tables, *, note: Mapping[str, Any]) -> Appended:
    """Append all rows of a source in one transaction: after an interruption it holds none of them.

    What was served before comes first; see `fold_served`.

    A row that the store holds already is skipped; so is a payment or an event that it has known
    only later (it was served before its file came). Rows may come in any order of time.

    `note`: mapping of str to what JSON holds; kept with the append, beside digests of the files,
    quality and counts.
    Raises ContractError if a table or a column of the source is not kept by the store.
    """
    fold_served(store)
    return _append(store, tables, note=note)


def fold_served(store: HistoryStore) -> int:
    """Move payments that were served from the log into the tables; return their number.

    They are known from the moment that their answer has, which the file that brings them later
    does not say. After an interruption those that are in the tables already are skipped.
    """
    folded, schema = 0, contracted_schemas(store)[TRANSACTIONS] if store.pending(1) else None
    last = store.last_served()  # what is served meanwhile waits for the next time
    while schema is not None and store.folded() < last:
        entries = store.pending()
        rows = rows_from_json([each.row for _, each in entries if each.row], schema)
        if rows.num_rows:
            tables = ContractedTables(
                tables={TRANSACTIONS: rows.sort_by([(name, "ascending") for name in _ORDER])},
                timezone=store.about["timezone"],
                base_currency=store.about["base_currency"],
                digests={},
                quality=DataQualityReport(tables=()),
            )
            _append(store, tables, note={"served": rows.num_rows})
        until = [int(store.kept(SERVED_UNTIL) or 0), *microseconds(rows[EVENT_TIME]).tolist()]
        with store.writing({"served": 0}) as batch:
            batch.keep(SERVED_UNTIL, str(max(until)).encode())
            batch.fold(entries[-1][0])
        folded += rows.num_rows
    return folded


def _append(store: HistoryStore, tables: Tables, *, note: Mapping[str, Any]) -> Appended:
    timezone = store.about["timezone"]
    layout = layout_of_store(store)
    columns = tables.columns()
    _require_kept(store, tables, layout)
    counts: dict[str, dict[str, int]] = {
        name: dict.fromkeys(columns, 0) for name in ("read", "appended", "repeated", "refused")
    }
    quarantine = [QUARANTINE_SCHEMA.empty_table()]
    known: dict[str, Counter[int]] = {}
    first: dict[str, int] = {}
    written = {**note, "files": {**tables.digests}, "quality": write_quality(tables.quality)}
    with store.writing(written) as batch:
        for rows in _slices(columns, layout):
            new: dict[str, pa.Table] = {}
            for table, some in rows.items():
                fresh, refused = _without_known(store, table, some)
                if len(fresh):
                    new[table] = fresh
                    count_known(known.setdefault(table, Counter()), fresh)
                    began = int(microseconds(fresh[KNOWN_AT]).min())
                    first[table] = min(first.get(table, began), began)
                quarantine.append(_refused(table, refused))
                done = (len(some), len(fresh), len(some) - len(fresh) - len(refused), len(refused))
                for each, number in zip(counts.values(), done, strict=True):
                    each[table] += number
            if new:
                _Slice(store, batch, layout, new, timezone=timezone).append()
        written |= {"rows": counts, "known": known, "first known": first}
    return Appended(**counts, quarantine=pa.concat_tables(quarantine))


def refused_rows(store: HistoryStore, tables: Tables) -> pa.Table:
    """Return the rows of a source that an append has refused, as `Appended.quarantine` does."""
    found = [QUARANTINE_SCHEMA.empty_table()]
    for rows in _slices(tables.columns(), layout_of_store(store)):
        found += [
            _refused(name, _without_known(store, name, each)[1]) for name, each in rows.items()
        ]
    return pa.concat_tables(found)


def _require_kept(store: HistoryStore, tables: Tables, layout: Layout) -> None:
    faults = Faults("history append", ContractError)
    for table, given in tables.columns().items():
        kept = layout.schemas[table].names if table in layout.schemas else ()
        for name in given.column_names if kept else [""]:
            if name not in kept:
                what = f"column {name!r} of table" if name else "table"
                faults.add(
                    f"the store keeps no {what} {table!r}, which the sources that it was made of "
                    "did not have: make a new store of all sources"
                )
    for name in ("timezone", "base_currency"):
        ours, theirs = store.about[name], getattr(tables, name)
        if ours != theirs:
            faults.add(f"the store's {name} is {ours}, the source's is {theirs}: they must agree")
    faults.raise_if_any()


def _slices(columns: Mapping[str, Columns], layout: Layout) -> Iterator[dict[str, pa.Table]]:
    """Divide the rows of all tables at the same times, so that no slice changes one before it."""
    times = [
        microseconds(pa.chunked_array([piece.column(0)]))
        for each in columns.values()
        for piece in each.pieces(EVENT_TIME)
    ]
    every = np.sort(np.concatenate([np.empty(0, np.int64), *times]))
    ends = [*np.unique(every[_SLICE_ROWS::_SLICE_ROWS]).tolist(), _END]
    readers = {name: _Reader(each, name, layout) for name, each in columns.items()}
    for end in ends:
        yield {name: reader.until(end) for name, reader in readers.items()}


class _Reader:
    """Reads the rows of a table in order, some at a time, as the store keeps them."""

    def __init__(self, columns: Columns, table: str, layout: Layout) -> None:
        names = [n for n in CONTRACT[table].names if n in layout.schemas[table].names]
        names += [n for n in columns.column_names if n not in names]
        self._schema = pa.schema([layout.schemas[table].field(name) for name in names])
        there = [name for name in names if name in columns.column_names]
        self._pieces = columns.pieces(*there)
        self._held = columns.schema(*there).empty_table()

    def until(self, end: int) -> pa.Table:
        """Return the next rows, which happened before an instant in microseconds."""
        found: list[pa.Table] = []
        while True:
            split = int(np.searchsorted(microseconds(self._held[EVENT_TIME]), end))
            found.append(self._held.slice(0, split))
            self._held = self._held.slice(split)
            piece = next(self._pieces, None) if not len(self._held) else None
            if piece is None:
                break
            self._held = pa.Table.from_batches([piece])
        rows = pa.concat_tables(found)
        for field in self._schema:
            if field.name not in rows.column_names:  # these sources do not have it
                rows = rows.append_column(field, pa.nulls(len(rows), field.type))
        return rows.select(self._schema.names).cast(self._schema)


def _without_known(store: HistoryStore, table: str, rows: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Return the rows that the store does not hold yet, and those that differ from its own."""
    kept = same_rows(store, table, rows)
    at = pc.index_in(ids_of(table, rows), value_set=ids_of(table, kept))
    if at.null_count == len(at):
        return rows, rows.slice(0, 0)
    there = at.is_valid()
    same = there
    for name in rows.column_names:
        ours, theirs = kept[name].combine_chunks().take(at), rows[name].combine_chunks()
        # served before its file came: known later than the file says
        alike = pc.greater_equal if name == KNOWN_AT else _equal
        same = pc.and_(same, pc.fill_null(alike(ours, theirs), fill_value=False))
    return rows.filter(pc.invert(there)), rows.filter(pc.and_(there, pc.invert(same)))


def same_rows(store: HistoryStore, table: str, rows: pa.Table) -> pa.Table:
    """Return rows of the store among which are those with the keys of some rows."""
    if CUSTOMER_ID in KEYS[table]:
        names = store.tables[table].schema.names
        return store.rows(table, CUSTOMER_ID, rows[CUSTOMER_ID].unique(), names)
    return store.find(table, rows[KEYS[table][0]].unique())


def _refused(table: str, rows: pa.Table) -> pa.Table:
    """Write rows with the key of another as rows of the quarantine."""
    reason = RuleFinding.of("different", table, count=len(rows)).rule
    found = [
        {
            "table": table,
            "row_id": row[KEYS[table][0]],
            "reasons": [reason],
            "raw": json.dumps(row, default=str, ensure_ascii=False),
        }
        for row in rows.to_pylist()
    ]
    return pa.Table.from_pylist(found, schema=QUARANTINE_SCHEMA)


class _Slice:
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
        since = min((self._since[name] for name in sources if name in self._since), default=_END)
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
            differ = pc.or_(differ, pc.invert(_equal(taken, whole[name].combine_chunks())))
            whole = whole.set_column(whole.column_names.index(name), name, taken)
        whole = whole.filter(differ)
        if len(whole):
            before = self._rows.changed.get(place, whole.slice(0, 0))
            others = pc.invert(pc.is_in(ids_of(place, before), ids_of(place, whole)))
            self._rows.changed[place] = pa.concat_tables([before.filter(others), whole])
            self._touched.setdefault(place, []).append(whole)
            self._since[place] = min(self._since.get(place, _END), _visible_from(whole))

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
        since = _END if cases is None else int(microseconds(cases[KNOWN_AT]).min())
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


def _equal(one: pa.Array, other: pa.Array) -> pa.Array:
    """Compare values; two missing ones are equal."""
    missing = pc.and_(pc.is_null(one), pc.is_null(other))
    return pc.or_(pc.fill_null(pc.equal(one, other), fill_value=False), missing)


def _visible_from(rows: pa.Table) -> int:
    """Return the first instant at which one of some rows can be seen."""
    entered = np.maximum(microseconds(rows[EVENT_TIME]) + 1, microseconds(rows[KNOWN_AT]))
    return int(entered.min())
