"""The history store: rows of all tables in one folder, appended, and read by key."""

from __future__ import annotations

import json
import sqlite3
import threading
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.contract import CONTRACT, CUSTOMER_ID, EVENT_TIME, KNOWN_AT
from kyc_ml.errors import ConfigError, SourceError
from kyc_ml.features import UNTIL, microseconds
from kyc_ml.history.columns import IDS
from kyc_ml.history.database import HISTORY, WriterLock, connect, transaction, translated
from kyc_ml.history.partitions import DAY, DAY_US, Content, KeptRows, Partition
from kyc_ml.history.served import Served, ServedLog
from kyc_ml.history.texts import HashIndex, Texts, hash_texts
from kyc_ml.storage import connect as connect_duckdb
from kyc_ml.storage import quote_name, read_batches

_FORMAT: Final = 1
_PIECE: Final = 1 << 17
_ABOUT, _LAYOUT, _CONTENTS, _FOLDED = (
    f"store {name}" for name in ("about", "layout", "contents", "folded")
)
_TABLES: Final = (
    "CREATE TABLE facts (name TEXT PRIMARY KEY, value BLOB, seal INTEGER)",
    "CREATE TABLE appends (number INTEGER PRIMARY KEY, at TEXT, note TEXT)",
    "CREATE TABLE days (name TEXT, day INTEGER, rows INTEGER, first INTEGER, last INTEGER, "
    "known INTEGER, PRIMARY KEY (name, day)) WITHOUT ROWID",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptTable:
    """A table of the store: contracted, or made of contracted ones."""

    schema: pa.Schema
    """All columns that partitions of it may hold, carried ones included."""
    order: tuple[str, ...] = ()
    """What orders rows of equal event_time and known_at; empty for the key of the contract."""


class HistoryStore:
    """Rows of contracted tables, and of those made of them, in one folder.

    One process writes, any number of processes read the last complete append. Methods may be
    called from several threads; a thread that writes reads what it has written.

    Every method raises SourceError where the files are corrupt, OutputError where they cannot be
    written, and NotReadyError where another process holds them.
    """

    def __init__(self, folder: Path, *, write: bool, make: bool = False) -> None:
        self.folder = folder
        self._path = folder / HISTORY
        self._texts = Texts()
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._writing = threading.RLock()
        self._owner: int | None = None
        self._lock = WriterLock(folder) if write else None
        try:
            self._writer = connect(self._path, version=_FORMAT, make=make) if write else None
            self._served = ServedLog(folder, make=make)
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(
        cls,
        folder: Path,
        *,
        about: Mapping[str, Any],
        tables: Mapping[str, KeptTable],
        partitions: Sequence[Partition],
    ) -> Self:
        """Make an empty store, and open it for writing.

        Parameters
        ----------
        folder : Path
            Made if it is missing.
        about : mapping of str to what JSON holds
            What readers must agree with: digest of the features, zone, currency, ...
        tables : mapping of str to KeptTable
        partitions : sequence of Partition
            Every contracted table is in addition kept whole by customer_id.

        Raises
        ------
        ConfigError
            If the folder holds a store already, or a partition names a column that its table
            lacks.
        """
        layout = _Layout.plan(tables, partitions)
        store = cls(folder, write=True, make=True)
        try:
            store._make(about, layout)
            store._load()
        except BaseException:
            store.close()
            raise
        return store

    @classmethod
    def open(
        cls, folder: Path, *, write: bool = False, about: Mapping[str, Any] | None = None
    ) -> Self:
        """Open a store, and check what costs little: format, seals, the last append.

        `about`: what the caller needs it to be about; other entries do not matter.
        Raises ConfigError if there is no store, or it is of another format or about something
        else; OutputError if another process writes it and `write` is asked for.
        """
        store = cls(folder, write=write)
        try:
            store._load()
            store._require_about(about or {})
        except BaseException:
            store.close()
            raise
        return store

    def close(self) -> None:
        """Close the files, and let another process write."""
        for connection in [*self._opened, getattr(self, "_writer", None)]:
            if connection is not None:
                connection.close()
        if hasattr(self, "_served"):
            self._served.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # opening

    def _make(self, about: Mapping[str, Any], layout: _Layout) -> None:
        with self._transaction() as connection:
            if connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone():
                msg = f"{self.folder} holds a history store already: name a new folder"
                raise ConfigError(msg)
            for sql in _TABLES:
                connection.execute(sql)
            Texts.make(connection)
            for index in _indexes(layout.tables).values():
                index.make(connection)
            for kept in layout.kept(self._texts).values():
                kept.make(connection)
            for name, value in ((_ABOUT, dict(about)), (_LAYOUT, layout.to_plain())):
                _put_fact(connection, name, json.dumps(value).encode())
            _put_fact(connection, _CONTENTS, b"{}")

    def _load(self) -> None:
        with self._reads() as connection:
            if not connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone():
                msg = (
                    f"{self._path} is empty, as making it was interrupted: remove the folder, and "
                    "run `kyc-ml history append` again"
                )
                raise ConfigError(msg)
            layout = _Layout.from_plain(json.loads(_fact(connection, _LAYOUT, self._path)))
            self.about: dict[str, Any] = json.loads(_fact(connection, _ABOUT, self._path))
            _fact(connection, _CONTENTS, self._path)
        self.tables = layout.tables
        self._kept = layout.kept(self._texts)
        self._indexes = _indexes(layout.tables)

    def _require_about(self, wanted: Mapping[str, Any]) -> None:
        other = sorted(name for name, value in wanted.items() if self.about.get(name) != value)
        if other:
            msg = (
                f"history store {self.folder} was made with other {', '.join(other)}: build it "
                "again for what is wanted now with `kyc-ml history compact --model ...`, or name "
                "the store that was made for it"
            )
            raise ConfigError(msg)

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """What is kept."""
        return tuple(kept.partition for kept in self._kept.values())

    @contextmanager
    def _reads(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection that this thread reads in."""
        with translated(self._path):
            if self._owner == threading.get_ident() and self._writer is not None:
                yield self._writer
                return
            connection = getattr(self._local, "connection", None)
            if connection is None:
                connection = connect(self._path, version=_FORMAT)
                self._local.connection = connection
                self._opened.append(connection)
            yield connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection to write in; all of it is kept, or nothing."""
        if self._writer is None:
            msg = f"history store {self.folder} is open for reading: open it with write=True"
            raise ConfigError(msg)
        with self._writing, translated(self._path):
            size = len(self._texts)
            try:
                with transaction(self._writer):
                    self._owner = threading.get_ident()
                    yield self._writer
            except BaseException:
                self._texts.forget(size)
                raise
            finally:
                self._owner = None

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Let all reads of this thread within the block see one state of the store."""
        with self._reads() as connection:
            if connection.in_transaction:
                yield
                return
            connection.execute("BEGIN")
            try:
                yield
            finally:
                connection.execute("COMMIT")

    # reading

    def rows(
        self,
        table: str,
        key: str,
        values: pa.Array,
        columns: Collection[str],
        *,
        since_us: int | None = None,
    ) -> pa.Table:
        """Return the rows whose column `key` has one of some values; see `KeyedRows.rows`.

        Raises ConfigError if the store was not made for this key or these columns.
        """
        kept = self._partition(table, key, columns)
        names = self._with_times(table, columns)
        with self._reads() as connection:
            keys = kept.keys_of(connection, values)
            return kept.read(connection, keys, names, since_us=since_us)

    def has(self, table: str, key: str, values: pa.Array) -> pa.Array:
        """Return those of some values that a row has in the column `key`, each once."""
        kept = self._partition(table, key, ())
        different = values.unique()
        with self._reads() as connection:
            return different.filter(pa.array(kept.has(connection, different), pa.bool_()))

    def scan(self, table: str, columns: Collection[str]) -> Iterator[pa.Table]:
        """Yield all rows of a contracted table in its order, in pieces; at least one.

        Memory is bounded.
        """
        kept = self._partition(table, CUSTOMER_ID, columns)
        names = self._with_times(table, columns)
        every = list(dict.fromkeys((*names, *self.order(table))))
        schema = pa.schema([self.tables[table].schema.field(name) for name in every])
        order = ", ".join(quote_name(name) for name in (EVENT_TIME, KNOWN_AT, *self.order(table)))
        with self._reads() as connection, self.reading():
            pieces = kept.read_all(connection, every)
            engine = connect_duckdb(data=None)
            engine.register("kept", pa.RecordBatchReader.from_batches(schema, pieces))
            sql = f"SELECT {', '.join(map(quote_name, names))} FROM kept ORDER BY {order}"
            wanted = pa.schema([schema.field(name) for name in names])
            yield wanted.empty_table()
            for batch in read_batches(engine, sql, rows=_PIECE):
                yield pa.Table.from_batches([batch]).cast(wanted)

    def order(self, table: str) -> tuple[str, ...]:
        """Return what orders rows of equal event_time and known_at."""
        own = self.tables[table].order
        return own or (CONTRACT[table].key if table in CONTRACT else ())

    def day_rows(self, table: str, day: int, columns: Collection[str]) -> pa.Table:
        """Return the rows of one day of event_time (whole days since 1970, UTC), in order."""
        return self.rows(table, DAY, pa.array([day]), columns)

    def days(self, table: str) -> pa.Table:
        """Return the days with rows of a contracted table.

        Returns
        -------
        pyarrow.Table of shape (n_days, 5)
            day (since 1970, UTC), rows, first and last event_time and last known_at in
            microseconds; ordered by day.
        """
        names = ("day", "rows", "first", "last", "known")
        sql = f"SELECT {', '.join(names)} FROM days WHERE name = ? ORDER BY day"
        with self._reads() as connection:
            found = np.array(connection.execute(sql, (table,)).fetchall(), np.int64)
        return pa.table(dict(zip(names, found.reshape(-1, len(names)).T, strict=True)))

    def find(self, table: str, ids: pa.Array) -> pa.Table:
        """Return all columns of the rows with some ids (transaction_id, case_id, ...).

        Raises ConfigError if the table's rows have no id of their own.
        """
        if table not in self._indexes:
            msg = f"rows of {table} have no id: read them by customer_id"
            raise ConfigError(msg)
        kept = self._kept[table, CUSTOMER_ID]
        with self._reads() as connection:
            hashes = hash_texts(ids.to_pylist())
            pairs = self._indexes[table].find(connection, hashes)
            customers = np.unique(np.array([number for _, number in pairs], np.int64))
            rows = kept.read(connection, customers, kept.schema.names)
        return rows.filter(pc.is_in(rows[IDS[table]], value_set=ids))

    def kept(self, name: str) -> bytes | None:
        """Return a kept fact; None if there is none of this name."""
        with self._reads() as connection:
            found: bytes | None = _fact(connection, name, self._path, missing_ok=True)
        return found

    def notes(self) -> list[dict[str, Any]]:
        """Return the notes of all appends, the oldest first."""
        with self._reads() as connection:
            found = connection.execute("SELECT note FROM appends ORDER BY number").fetchall()
        return [json.loads(note) for (note,) in found]

    def content(self) -> dict[str, Content]:
        """Return what each partition holds, by its name."""
        with self._reads() as connection:
            plain = json.loads(_fact(connection, _CONTENTS, self._path))
        return {
            kept.partition.name: Content(*plain.get(kept.partition.name, (0, 0)))
            for kept in self._kept.values()
        }

    def digest(self) -> str:
        """Return a digest of all rows and kept facts.

        It does not depend on how the rows were divided into appends, nor on compaction.
        """
        own = f"{_ABOUT[:6]}%"
        with self._reads() as connection:
            sql = "SELECT name, value FROM facts WHERE name NOT LIKE ? ORDER BY name"
            facts = connection.execute(sql, (own,)).fetchall()
        plain = {name: (each.rows, each.digest) for name, each in self.content().items()}
        state = blake2b(json.dumps(plain, sort_keys=True).encode(), digest_size=16)
        for name, value in facts:
            state.update(f"{name} {len(value)} ".encode() + value)
        return state.hexdigest()

    def _partition(self, table: str, key: str, columns: Collection[str]) -> KeptRows:
        kept = self._kept.get((table, key))
        absent = [] if kept is None else sorted(set(columns) - set(kept.schema.names))
        if kept is None or absent:
            what = f"{table} by {key}" + (f" with {', '.join(absent)}" if absent else "")
            msg = (
                f"history store {self.folder} does not keep {what}: build it again for the "
                "features of now with `kyc-ml history compact --model ...`"
            )
            raise ConfigError(msg)
        return kept

    def _with_times(self, table: str, columns: Collection[str]) -> list[str]:
        schema = self.tables[table].schema
        always = [name for name in (EVENT_TIME, KNOWN_AT, UNTIL) if name in schema.names]
        return list(dict.fromkeys((*always, *columns)))

    # writing

    @contextmanager
    def writing(self, note: Mapping[str, Any] | None = None) -> Iterator[Batch]:
        """Yield what takes the rows of one append: all of them are kept, or none.

        `note`: kept with the append: digests of its files, for instance.
        Raises ConfigError if the store is not open for writing.
        """
        with self._transaction() as connection:
            batch = Batch(self, connection)
            yield batch
            batch.finish(note or {})

    # served requests

    def log(self, entries: Sequence[Served]) -> int:
        """Add served requests durably, in one commit; return the number of the last.

        Raises KeyError if one's idempotency key is there already. None is added after an error.
        """
        return self._served.add(entries, after=self._folded())

    def served(self, keys: Collection[str]) -> dict[str, Served]:
        """Return the served requests of idempotency keys that are there."""
        return self._served.find(keys)

    def pending(self, most: int = 10_000) -> list[tuple[int, Served]]:
        """Return the first served requests that are not in the tables, with their numbers.

        `Batch.fold` says that they are.
        """
        return self._served.after(self._folded(), most=most)

    def _folded(self) -> int:
        with self._reads() as connection:
            return int(_fact(connection, _FOLDED, self._path, missing_ok=True) or 0)


class Batch:
    """The rows of one append; see `HistoryStore.writing`."""

    def __init__(self, store: HistoryStore, connection: sqlite3.Connection) -> None:
        self._store = store
        self._connection = connection
        self._content = store.content()

    def add(self, table: str, rows: pa.Table) -> None:
        """Add rows, with all columns of the table's schema, to every partition of the table."""
        for (name, _), kept in self._store._kept.items():
            if name == table:
                kept.add(self._connection, rows, self._content[kept.partition.name])
        if table in CONTRACT and rows.num_rows:
            self._count_days(table, rows)
            if table in self._store._indexes:
                self._index_ids(table, rows)

    def replace(self, table: str, key: str, values: pa.Array, rows: pa.Table) -> None:
        """Replace all rows of some values of a key, in the partition by this key alone."""
        kept = self._store._partition(table, key, ())
        content = self._content[kept.partition.name]
        kept.remove(self._connection, kept.keys_of(self._connection, values), content)
        kept.add(self._connection, rows, content)

    def keep(self, name: str, value: bytes) -> None:
        """Keep a small fact under a name, instead of an earlier one."""
        _put_fact(self._connection, name, value)

    def fold(self, number: int) -> None:
        """Say that the served requests up to this number are in the tables."""
        _put_fact(self._connection, _FOLDED, str(number).encode())

    def finish(self, note: Mapping[str, Any]) -> None:
        """Record the append; `HistoryStore.writing` calls it."""
        plain = {name: (each.rows, each.digest) for name, each in self._content.items()}
        _put_fact(self._connection, _CONTENTS, json.dumps(plain).encode())
        self._connection.execute(
            "INSERT INTO appends (at, note) VALUES (?, ?)",
            (datetime.now(UTC).isoformat(timespec="seconds"), json.dumps(dict(note))),
        )

    def _index_ids(self, table: str, rows: pa.Table) -> None:
        customers = self._store._texts.numbers(
            self._connection, rows[CUSTOMER_ID].combine_chunks(), add=True
        )
        hashes = hash_texts(rows[IDS[table]].to_pylist())
        self._store._indexes[table].add(self._connection, hashes, customers.astype(np.int64))

    def _count_days(self, table: str, rows: pa.Table) -> None:
        event, known = microseconds(rows[EVENT_TIME]), microseconds(rows[KNOWN_AT])
        numbers = pa.table({"day": event // DAY_US, "event": event, "known": known})
        wanted = [("event", "count"), ("event", "min"), ("event", "max"), ("known", "max")]
        found = numbers.group_by("day").aggregate(wanted)
        self._connection.executemany(
            "INSERT INTO days VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "rows = rows + excluded.rows, first = min(first, excluded.first), "
            "last = max(last, excluded.last), known = max(known, excluded.known)",
            ((table, *each.values()) for each in found.to_pylist()),
        )


@dataclass(frozen=True, slots=True)
class _Layout:
    """Tables and partitions of a store, as they are written into it."""

    tables: dict[str, KeptTable]
    partitions: tuple[Partition, ...]

    @classmethod
    def plan(cls, tables: Mapping[str, KeptTable], partitions: Sequence[Partition]) -> Self:
        """Join partitions of the same key; add the whole of each contracted table.

        Raises ConfigError if a table lacks a column.
        """
        columns: dict[tuple[str, str], dict[str, None]] = {
            (name, CUSTOMER_ID): dict.fromkeys(table.schema.names)
            for name, table in tables.items()
            if name in CONTRACT
        }
        for each in partitions:
            columns.setdefault((each.table, each.key), {}).update(dict.fromkeys(each.columns))
        joined = []
        for (table, key), names in columns.items():
            needed = {*names, key} - {DAY}
            absent = sorted(needed - set(tables[table].schema.names)) if table in tables else [key]
            if absent:
                msg = f"history store: table {table} has no {', '.join(absent)} to keep by {key}"
                raise ConfigError(msg)
            joined.append(Partition(table=table, key=key, columns=tuple(names)))
        return cls(dict(tables), tuple(joined))

    def kept(self, texts: Texts) -> dict[tuple[str, str], KeptRows]:
        found = {}
        for number, each in enumerate(self.partitions):
            table = self.tables[each.table]
            order = table.order or (CONTRACT[each.table].key if each.table in CONTRACT else ())
            always = {EVENT_TIME, KNOWN_AT, UNTIL, each.key, *order}
            names = [name for name in table.schema.names if name in always | set(each.columns)]
            schema = pa.schema([table.schema.field(name) for name in names])
            found[each.table, each.key] = KeptRows(each, number, schema, order, texts)
        return found

    def to_plain(self) -> dict[str, Any]:
        return {
            "tables": {
                name: [table.schema.serialize().to_pybytes().hex(), table.order]
                for name, table in self.tables.items()
            },
            "partitions": [[each.table, each.key, each.columns] for each in self.partitions],
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        tables = {
            name: KeptTable(
                schema=pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(schema))), order=tuple(order)
            )
            for name, (schema, order) in plain["tables"].items()
        }
        partitions = tuple(
            Partition(table=table, key=key, columns=tuple(columns))
            for table, key, columns in plain["partitions"]
        )
        return cls(tables, partitions)


def _indexes(tables: Collection[str]) -> dict[str, HashIndex]:
    return {name: HashIndex(f"ids_{name}") for name in tables if name in IDS}


def _put_fact(connection: sqlite3.Connection, name: str, value: bytes) -> None:
    sql = "INSERT OR REPLACE INTO facts VALUES (?, ?, ?)"
    connection.execute(sql, (name, value, zlib.crc32(name.encode() + value)))


def _fact(
    connection: sqlite3.Connection, name: str, path: Path, *, missing_ok: bool = False
) -> Any:  # noqa: ANN401  None only where it may be missing
    found = connection.execute("SELECT value, seal FROM facts WHERE name = ?", (name,)).fetchone()
    if found is None and missing_ok:
        return None
    if found is None or zlib.crc32(name.encode() + found[0]) != found[1]:
        msg = (
            f"history store {path} is corrupt: {name!r} is not what was written; restore the "
            "folder from a backup"
        )
        raise SourceError(msg)
    return found[0]
