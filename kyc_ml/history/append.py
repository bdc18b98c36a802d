"""Append the rows of a source to a store, with what they can never change again."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.contract import (
    CONTRACT,
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
    microseconds,
)
from kyc_ml.history.effects import END, Slice, same_rows, same_values
from kyc_ml.history.layout import KEYS, Layout, contracted_schemas, layout_of_store
from kyc_ml.history.nights import count_known
from kyc_ml.history.rows import (
    ids_of,
)
from kyc_ml.history.store import HistoryStore

_SLICE_ROWS: Final = 500_000
"""Rows of all tables together that are appended at a time; limits memory."""

SERVED_UNTIL: Final = "served until"
"""Fact: the greatest decision time that was served."""
_ORDER: Final = (EVENT_TIME, KNOWN_AT, TRANSACTION_ID)


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
                Slice(store, batch, layout, new, timezone=timezone).append()
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
    ends = [*np.unique(every[_SLICE_ROWS::_SLICE_ROWS]).tolist(), END]
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
        alike = pc.greater_equal if name == KNOWN_AT else same_values
        same = pc.and_(same, pc.fill_null(alike(ours, theirs), fill_value=False))
    return rows.filter(pc.invert(there)), rows.filter(pc.and_(there, pc.invert(same)))


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
