"""The history store: rows of all tables in one folder, appended, and read by key."""

from __future__ import annotations

import json
import os
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

from kyc_ml.contract import CUSTOMER_ID, EVENT_TIME, KNOWN_AT
from kyc_ml.errors import ConfigError
from kyc_ml.features import UNTIL, microseconds
from kyc_ml.history.columns import IDS, RowForm
from kyc_ml.history.database import connect, corrupt, lock_writer, transaction, translated
from kyc_ml.history.kept_tables import KeptTable, Tables
from kyc_ml.history.packing import Counts, Words
from kyc_ml.history.partitions import DAY, DAY_US, Content, KeptRows, Partition
from kyc_ml.history.served import Served, ServedLog, integrity
from kyc_ml.history.texts import Texts, hash_texts, short_pairs
from kyc_ml.storage import connect as connect_duckdb
from kyc_ml.storage import quote_name, read_batches

FORMAT: Final = 2
STORE: Final = "history.db"
_ROWS: Final = 1 << 17
"""Rows of a piece of a whole table."""
_ABOUT, _LAYOUT, _CONTENT, _FOLDED = (
    f"store {name}" for name in ("about", "layout", "content", "folded")
)
_SQL: Final = (
    "CREATE TABLE facts (name TEXT PRIMARY KEY, value BLOB, seal INTEGER)",
    "CREATE TABLE appends (number INTEGER PRIMARY KEY, at TEXT, note BLOB)",
    "CREATE TABLE days (name TEXT, day INTEGER, rows INTEGER, first INTEGER, last INTEGER, "
    "known INTEGER, PRIMARY KEY (name, day)) WITHOUT ROWID",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStatus:
    """What a store holds."""

    folder: str
    format: int
    appends: int
    last_append: str | None
    """In UTC."""
    pending: int
    """Served requests that are not in the tables yet."""
    bytes: int
    """Of all files."""
    digest: str
    about: Mapping[str, Any]
    tables: Mapping[str, Mapping[str, Any]]
    """Mapping of contracted table to rows, first and last event_time (UTC)."""
    partitions: Mapping[str, Mapping[str, int]]
    """Mapping of partition to rows and bytes."""


class HistoryStore:
    """Rows of contracted tables, and of those made of them, in one folder.

    One process writes, any number of processes read the last complete append. Methods may be
    called from several threads; a thread that writes reads what it has written.

    Every method raises SourceError where the files are corrupt, OutputError where they cannot be
    written, and NotReadyError where another process holds them.
    """

    def __init__(self, folder: Path, *, write: bool, make: bool = False) -> None:
        self.folder = folder
        self._path = folder / STORE
        self._texts = Texts(self._connection)
        self._local = threading.local()
        self._pinned: sqlite3.Connection | None = None
        self._notes: dict[int, dict[str, Any]] = {}
        self._opened: list[sqlite3.Connection | ServedLog] = []
        self._writing = threading.RLock()
        self._owner: int | None = None
        self._lock = lock_writer(folder) if make or (write and folder.is_dir()) else None
        self._writer: sqlite3.Connection | None = None
        try:
            if write:
                self._writer = connect(self._path, version=FORMAT, make=make)
                self._opened.append(self._writer)
            elif not self._path.is_file():
                connect(self._path, version=FORMAT)
            self._served = ServedLog(folder, make=make)
            self._opened.append(self._served)
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

        `folder`: made if it is missing.
        `about`: mapping of str to what JSON holds; what readers must agree with: digest of the
        features, zone, currency, ...
        `tables`: mapping of str to KeptTable.
        `partitions`: every contracted table is in addition kept whole by customer_id.
        Raises ConfigError if the folder holds a store already, or a partition names a column that
        its table lacks.
        """
        layout = Tables.plan(tables, partitions)
        store = cls(folder, write=True, make=True)
        try:
            with store._transaction():
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
        """Open a store, and check what costs little: format, seals, size of the file.

        `about`: what the caller needs it to be about; other entries do not matter.
        Raises ConfigError if there is no store, or it is of another format or about something
        else; OutputError if another process writes it and `write` is asked for.
        """
        store = cls(folder, write=write)
        try:
            store._load()
            wanted = (about or {}).items()
            other = sorted(name for name, value in wanted if store.about.get(name) != value)
            if other:
                raise ConfigError(
                    f"history store {folder} was made with other {', '.join(other)}: make it "
                    "again for what is wanted now with `kyc-ml history compact --model ...`, or "
                    "name the store that was made for it"
                )
        except BaseException:
            store.close()
            raise
        return store

    def close(self) -> None:
        """Close the files, and let another process write."""
        while self._opened:
            self._opened.pop().close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _make(self, about: Mapping[str, Any], layout: Tables) -> None:
        connection = self._connection()
        if connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone():
            raise ConfigError(f"{self.folder} holds a history store already: name a new folder")
        for sql in _SQL:
            connection.execute(sql)
        self._texts.make()
        for each in (layout.indexes(self._texts), layout.kept(self._texts)):
            for kept in each.values():
                kept.chunks.make()
        for name, plain in ((_ABOUT, dict(about)), (_LAYOUT, layout.to_plain()), (_CONTENT, {})):
            self.put_fact(name, json.dumps(plain).encode())

    def _load(self) -> None:
        with self._reads() as connection:
            if not connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone():
                msg = f"{self._path} is empty, as making it was interrupted: remove {self.folder}"
                raise ConfigError(msg)
            self.about: dict[str, Any] = json.loads(self._fact(_ABOUT))
            self._layout = Tables.from_plain(json.loads(self._fact(_LAYOUT)))
        self.tables = self._layout.tables
        self.kept_rows = self._layout.kept(self._texts)
        self.indexes = self._layout.indexes(self._texts)
        self.content()

    @contextmanager
    def _reads(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection that this thread reads in."""
        with translated(self._path):
            yield self._connection()

    def _connection(self) -> sqlite3.Connection:
        if self._owner == threading.get_ident() and self._writer is not None:
            return self._writer
        if self._pinned is not None:
            return self._pinned
        if not hasattr(self._local, "connection"):
            self._local.connection = connect(self._path, version=FORMAT)
            self._opened.append(self._local.connection)
        found: sqlite3.Connection = self._local.connection
        return found

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection to write in; all of it is kept, or nothing."""
        writer = self._require_writer()
        with self._writing, translated(self._path):
            size = len(self._texts)
            try:
                with transaction(writer):
                    self._owner = threading.get_ident()
                    yield writer
            except BaseException:
                self._texts.forget(size)
                raise
            finally:
                self._owner = None

    def _require_writer(self) -> sqlite3.Connection:
        if self._writer is None:
            msg = f"history store {self.folder} is open for reading: open it with write=True"
            raise ConfigError(msg)
        return self._writer

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Show one state of the store to all reads of this thread within the block."""
        with self._reads() as connection:
            if connection.in_transaction:
                yield
                return
            connection.execute("BEGIN")
            try:
                yield
            finally:
                connection.execute("COMMIT")

    def pin(self) -> None:
        """Show the state of now to all reads, of one thread at a time, until the store is closed.

        What SQLite writes meanwhile stays in its log beside the file until then.
        """
        with self._reads() as connection:
            connection.execute("BEGIN")
            connection.execute("SELECT 1 FROM appends LIMIT 1").fetchone()
            self._pinned = connection

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

        `since_us`: rows that happened before this instant, in microseconds, may be left out.
        Raises ConfigError if the store was not made for this key or these columns.
        """
        names = self._with_times(table, columns)
        if (table, key) not in self.indexes:
            kept = self._partition(table, key, columns)
            with self._reads():
                return kept.read(kept.keys_of(values), names, since_us=since_us)
        kept = self._partition(table, CUSTOMER_ID, columns)
        known = values.drop_null()
        with self._reads():
            customers = (
                self.indexes[table, key].find(hash_texts(known.to_pylist()))[1].view(np.int64)
            )
            if not customers.size:  # a request looks up an id that is new
                return pa.schema([kept.schema.field(name) for name in names]).empty_table()
            rows = kept.read(customers, list(dict.fromkeys((*names, key))), since_us=since_us)
        return rows.filter(pc.is_in(rows[key], value_set=known)).select(names)

    def known(self, table: str, column: str, ids: pa.Array) -> pa.Array:
        """Return those of some identifiers that a row has in a column, each once."""
        if table not in self.tables:
            return ids.slice(0, 0)
        if (table, column) in self.indexes:
            return self.rows(table, column, ids, {column})[column].unique()
        kept, different = self.kept_rows.get((table, column)), ids.unique()
        if kept is None:
            every = pa.concat_tables(self.scan(table, [column]))[column]
            return different.filter(pc.is_in(different, value_set=every.unique()))
        with self._reads():
            there = kept.chunks.has(kept.keys_of(different))
            return different.filter(pa.array(there, pa.bool_()))

    def scan(self, table: str, columns: Collection[str]) -> Iterator[pa.Table]:
        """Yield all rows of a contracted table in its order, in pieces; at least one.

        Memory is bounded.
        """
        kept = self._partition(table, CUSTOMER_ID, columns)
        names = self._with_times(table, columns)
        by = list(dict.fromkeys((EVENT_TIME, KNOWN_AT, *self._layout.order(table))))
        every = list(dict.fromkeys((*names, *by)))
        schema = pa.schema([kept.schema.field(name) for name in every])
        wanted = pa.schema([kept.schema.field(name) for name in names])
        chosen, order = (", ".join(map(quote_name, some)) for some in (names, by))
        with self._reads(), self.reading():
            pieces = (b for piece in kept.read_all(every) for b in piece.to_batches())
            reader = pa.RecordBatchReader.from_batches(schema, pieces)
            engine = connect_duckdb(data=None)
            engine.register("kept", reader)
            yield wanted.empty_table()
            sql = f"SELECT {chosen} FROM kept ORDER BY {order}"
            for batch in read_batches(engine, sql, rows=_ROWS):
                yield pa.Table.from_batches([batch]).cast(wanted)

    def since(self, table: str, since_us: int, columns: Collection[str]) -> pa.Table:
        """Return the rows that happened from an instant on, in order."""
        kept = self._partition(table, CUSTOMER_ID, columns)
        with self._reads():
            rows = kept.read(None, self._with_times(table, columns), since_us=since_us)
        return rows.filter(pa.array(microseconds(rows[EVENT_TIME]) >= since_us))

    def days(self, table: str) -> pa.Table:
        """Return the days with rows of a table.

        Returns pyarrow.Table of shape (n_days, 5); day (since 1970, UTC), rows, first and last
        event_time and last known_at in microseconds; ordered by day.
        """
        names = ("day", "rows", "first", "last", "known")
        sql = f"SELECT {', '.join(names)} FROM days WHERE name = ? ORDER BY day"
        with self._reads() as connection:
            found = np.array(connection.execute(sql, (table,)).fetchall(), np.int64)
        return pa.table(dict(zip(names, found.reshape(-1, len(names)).T, strict=True)))

    def find(self, table: str, ids: pa.Array) -> pa.Table:
        """Return all columns of the rows with some ids (transaction_id, case_id, ...), in order.

        `table`: one whose rows have ids.
        """
        names = self.kept_rows[table, CUSTOMER_ID].schema.names
        return self.rows(table, IDS[table], ids, names).select(names)

    def kept(self, name: str) -> bytes | None:
        """Return a kept fact; None if its name is unknown."""
        with self._reads():
            return self._fact(name, missing_ok=True) or None

    def notes(self) -> list[dict[str, Any]]:
        """Return the notes of all appends, the oldest first."""
        return [*self._numbered_notes().values()]

    def _numbered_notes(self) -> dict[int, dict[str, Any]]:
        """Return the notes by the number of their append; each is read once."""
        with self._reads() as connection:
            numbers = [n for (n,) in connection.execute("SELECT number FROM appends ORDER BY 1")]
            for number in numbers:
                if number not in self._notes:
                    sql = "SELECT note FROM appends WHERE number = ?"
                    ((note,),) = connection.execute(sql, (number,))
                    self._notes[number] = json.loads(zlib.decompress(note))
        return {number: self._notes[number] for number in numbers}

    def appends(self) -> int:
        """Return the number of the last append."""
        with self._reads() as connection:
            (number,) = connection.execute("SELECT max(number) FROM appends").fetchone()
        return int(number or 0)

    def brought(self) -> int:
        """Return the number of the last append of files; those served, for one, bring nothing."""
        notes = self._numbered_notes().items()
        return max((n for n, note in notes if "rows" in note and "served" not in note), default=0)

    def content(self) -> dict[str, Content]:
        """Return what each partition holds, by its name."""
        with self._reads():
            plain = json.loads(self._fact(_CONTENT))
        names = [kept.partition.name for kept in self.kept_rows.values()]
        return {name: Content(*plain.get(name, (0, 0))) for name in names}

    def digest(self) -> str:
        """Return a digest of all rows and kept facts.

        It does not depend on how the rows were divided into appends, nor on compaction.
        """
        with self._reads() as connection:
            sql = "SELECT name, value FROM facts WHERE name NOT LIKE 'store %' ORDER BY name"
            facts = connection.execute(sql).fetchall()
        rows = {name: (each.rows, each.digest) for name, each in self.content().items()}
        facts = [(name, blake2b(value).hexdigest()) for name, value in facts]
        return blake2b(json.dumps([rows, facts]).encode(), digest_size=16).hexdigest()

    def _partition(self, table: str, key: str, columns: Collection[str]) -> KeptRows:
        kept = self.kept_rows.get((table, key))
        absent = [] if kept is None else sorted(set(columns) - set(kept.schema.names))
        if kept is None or absent:
            raise ConfigError(
                f"history store {self.folder} does not keep {', '.join([*absent, 'rows'])} of "
                f"{table} by {key}: make it again for the features of now with `kyc-ml history "
                "compact --model ...`"
            )
        return kept

    def _with_times(self, table: str, columns: Collection[str]) -> list[str]:
        names = self.tables[table].schema.names
        always = [name for name in (EVENT_TIME, KNOWN_AT, UNTIL) if name in names]
        return list(dict.fromkeys((*always, *columns)))

    def _fact(self, name: str, *, missing_ok: bool = False) -> bytes:
        """Return a fact; empty bytes if it is missing."""
        sql = "SELECT value, seal FROM facts WHERE name = ?"
        value, seal = self._connection().execute(sql, (name,)).fetchone() or (b"", None)
        if seal != _seal_of(name, value) and not (missing_ok and seal is None):
            raise corrupt(self._path, f"{name!r} is not what was written")
        found: bytes = value
        return found

    def put_fact(self, name: str, value: bytes) -> None:
        """Write a fact, in a transaction that has begun."""
        sql = "INSERT OR REPLACE INTO facts VALUES (?, ?, ?)"
        self._connection().execute(sql, (name, value, _seal_of(name, value)))

    # writing

    @contextmanager
    def writing(self, note: Mapping[str, Any] | None = None) -> Iterator[Batch]:
        """Yield what takes the rows of one append: all of them are kept, or none.

        `note`: kept with the append: digests of its files, for instance.
        Raises ConfigError if the store is not open for writing.
        """
        with self._transaction():
            batch = Batch(self, self._texts)
            yield batch
            batch.finish(note or {})

    def compact(self, *, since_us: int | None = None, keep_us: int = 0) -> None:
        """Merge the chunks of all keys, and give free space back.

        `since_us`: rows that happened before this instant are dropped.
        `keep_us`: how long before the last row that was served the log of those in the tables is
        kept, in microseconds.
        What can be read stays the same to the bit. Needs the space of the store once more.
        """
        with self._transaction() as connection:
            batch = Batch(self, self._texts)
            for kept in self.kept_rows.values():
                content = batch.content[kept.partition.name]
                kept.compact(since_us=since_us, content=content)
            if since_us is not None:
                batch.forget_ids()
                connection.execute("DELETE FROM days WHERE day < ?", (since_us // DAY_US,))
            batch.finish({"compacted": True, "since_us": since_us})
        with self._writing, translated(self._path):
            for sql in ("VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
                self._require_writer().execute(sql)
        self._served.forget(until=self.folded(), keep_us=keep_us, since_us=since_us)

    # served requests

    def log(self, entries: Sequence[Served]) -> int:
        """Add served requests durably, in one commit; return the number of the last.

        A store that is open for reading can: the log is a separate file, which one server writes.
        Raises KeyError if an idempotency key was logged before. No entry is added after an error.
        """
        return self._served.add(entries, after=self.folded())

    def served(self, keys: Collection[str]) -> dict[str, Served]:
        """Return the served requests of some idempotency keys; unknown keys are left out."""
        return self._served.find(keys)

    def pending(self, most: int = 10_000, *, above: int = 0) -> list[tuple[int, Served]]:
        """Return the first served requests that are not in the tables, with their numbers.

        `Batch.fold` says that they are.
        `above`: a number; those up to it are left out.
        """
        return self._served.after(max(above, self.folded()), most=most)

    def served_known(self, since_us: int, until_us: int, *, pending: bool = False) -> list[int]:
        """Return the numbers of what was served and known in [since, until) microseconds.

        `pending`: only what is not in the tables yet, and was answered from all rows of files that
        the store has.
        """
        after, appends = (self.folded(), self.brought() - 1) if pending else (-1, 0)
        return self._served.known(since_us, until_us, after=after, appends=appends)

    def served_numbered(self, numbers: Collection[int]) -> list[Served]:
        """Return the served requests of some numbers."""
        return self._served.numbered(numbers)

    def last_served(self) -> int:
        """Return the number of the last served request; 0 for none."""
        return self._served.last()

    def folded(self) -> int:
        """Return the number of the last served request that is in the tables; 0 for none."""
        with self._reads():
            return int(self._fact(_FOLDED, missing_ok=True) or 0)

    # the whole

    def status(self) -> StoreStatus:
        """Return what the store holds."""
        content = self.content()
        with self._reads() as connection:
            sql = "SELECT count(*), max(at) FROM appends"
            appends, last = connection.execute(sql).fetchone()
            sizes = {kept.partition.name: kept.chunks.size() for kept in self.kept_rows.values()}
            sql = "SELECT name, sum(rows), min(first), max(last) FROM days GROUP BY name"
            days = {name: each for name, *each in connection.execute(sql)}
        return StoreStatus(
            folder=str(self.folder),
            format=FORMAT,
            appends=appends,
            last_append=last,
            pending=self._served.count(after=self.folded()),
            bytes=sum(path.stat().st_size for path in self.folder.iterdir() if path.is_file()),
            digest=self.digest(),
            about={name: each for name, each in self.about.items() if name != "feature_sets"},
            tables={
                name: {"rows": rows, "first": _moment(first), "last": _moment(end)}
                for name, (rows, first, end) in days.items()
            },
            partitions={
                name: {"rows": content[name].rows, "bytes": size} for name, size in sizes.items()
            },
        )

    def verify(self) -> list[str]:
        """Read everything, and list what differs from what the appends recorded."""
        with translated(self._path), self.reading(), self._reads() as connection:
            faults = [*integrity(connection), *self._served.faults()]
            for name in [each for (each,) in connection.execute("SELECT name FROM facts")]:
                self._fact(name)
            recorded = self.content()
            for kept in self.kept_rows.values():
                found, name = kept.measure(), kept.partition.name
                if found != recorded[name]:
                    rows = f"{found.rows} rows, recorded {recorded[name].rows}"
                    faults.append(
                        f"{name}: {rows}" + " or other values" * (found.rows == recorded[name].rows)
                    )
            for (table, key), index in self.indexes.items():
                wanted = Content.of(short_pairs(*each) for each in self.pairs_of(table, key))
                if Content.of(index.pieces()) != wanted:
                    faults.append(f"{table} by {key}: some rows are not found")
        return faults

    def pairs_of(
        self, table: str, key: str, given: pa.Table | None = None
    ) -> Iterator[tuple[Counts, Counts]]:
        """Yield hash of a key and number of the customer of some rows, by default of all."""
        kept = self.kept_rows[table, CUSTOMER_ID]
        names = [key, CUSTOMER_ID]
        for rows in [given] if given is not None else kept.read_all(names):
            some = rows.select(names).filter(pc.is_valid(rows[key]))
            if key != IDS.get(table):
                some = some.group_by(names).aggregate([])
            customers = kept.keys_of(some[CUSTOMER_ID].combine_chunks())
            yield hash_texts(some[key].to_pylist()), customers


class Batch:
    """The rows of one append; see `HistoryStore.writing`."""

    def __init__(self, store: HistoryStore, texts: Texts) -> None:
        self._store = store
        self._texts = texts
        self.content = store.content()

    def add(self, table: str, rows: pa.Table) -> None:
        """Add rows, with all columns of the table's schema, to every partition of the table."""
        if not rows.num_rows:
            return
        form = RowForm(self._store.tables[table].schema, self._texts)
        words = form.write(rows)
        event, known = microseconds(rows[EVENT_TIME]), microseconds(rows[KNOWN_AT])
        days = pa.array(event // DAY_US)
        for (name, key), kept in self._store.kept_rows.items():
            if name == table:
                own = words[form.needed(field.name for field in kept.schema if field.name != key)]
                values = days if key == DAY else rows[key].combine_chunks()
                kept.add(own, values, self.content[kept.partition.name])
        self._count_days(table, event, known)
        for place in self._store.indexes:
            if place[0] == table:
                self._index(place, rows)

    def replace(self, table: str, key: str, values: pa.Array, rows: pa.Table) -> None:
        """Replace all rows of some values of a key, in the partition by this key alone.

        Rows that are found among those of their customers have no separate partition.
        """
        if (table, key) in self._store.indexes:
            return
        kept = self._store.kept_rows[table, key]
        content = self.content[kept.partition.name]
        kept.remove(values, content)
        if rows.num_rows:
            days = pa.array(microseconds(rows[EVENT_TIME]) // DAY_US)
            own = days if key == DAY else rows[key].combine_chunks()
            kept.add(kept.form.write(rows), own, content)

    def keep(self, name: str, value: bytes) -> None:
        """Keep a small fact under a name, instead of an earlier one."""
        self._store.put_fact(name, value)

    def fold(self, number: int) -> None:
        """Record that the served requests up to this number are in the tables."""
        self._store.put_fact(_FOLDED, str(number).encode())

    def finish(self, note: Mapping[str, Any]) -> None:
        """Record the append; `HistoryStore.writing` calls it."""
        plain = {name: (each.rows, each.digest) for name, each in self.content.items()}
        self._store.put_fact(_CONTENT, json.dumps(plain).encode())
        self._texts.db().execute(
            "INSERT INTO appends (at, note) VALUES (?, ?)",
            (
                datetime.now(UTC).isoformat(timespec="seconds"),
                zlib.compress(json.dumps(dict(note)).encode()),
            ),
        )

    def forget_ids(self) -> None:
        """Index only the ids of the rows that remain."""
        for place, index in self._store.indexes.items():
            self._texts.db().execute(f"DELETE FROM {index.chunks.name}")
            self._index(place)

    def _index(self, place: tuple[str, str], rows: pa.Table | None = None) -> None:
        table, key = place
        index = self._store.indexes[place]
        for hashes, customers in self._store.pairs_of(table, key, rows):
            new = np.ones(hashes.size, np.bool_)
            if key != IDS.get(table):
                known = index.find(hashes)
                new = ~np.isin(_joined(*short_pairs(hashes, customers)), _joined(*known))
            index.add(hashes[new], customers[new])

    def _count_days(self, table: str, event: Counts, known: Counts) -> None:
        order = np.argsort(event, kind="stable")
        event, known = event[order], known[order]
        days, firsts, rows = np.unique(event // DAY_US, return_index=True, return_counts=True)
        lasts = event[firsts + rows - 1]
        found = np.stack((days, rows, event[firsts], lasts, np.maximum.reduceat(known, firsts)))
        self._texts.db().executemany(
            "INSERT INTO days VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "rows = rows + excluded.rows, first = min(first, excluded.first), "
            "last = max(last, excluded.last), known = max(known, excluded.known)",
            ((table, *each) for each in found.T.tolist()),
        )


def _seal_of(name: str, value: bytes) -> int:
    return zlib.crc32(value, zlib.crc32(name.encode()))


def _joined(hashes: Words, numbers: Words) -> Words:
    return (hashes << np.uint64(32)) | numbers


def _moment(microseconds_: int) -> str:
    return datetime.fromtimestamp(microseconds_ / 1e6, UTC).isoformat()
