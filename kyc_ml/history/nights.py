"""A store as the jobs that read files need it: what its appends brought, and its rows as files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.config import SourceMapping, TableAttribute, load_section
from kyc_ml.contract import (
    CONTRACT,
    EVENTS,
    KNOWN_AT,
    QUARTER_US,
    TRANSACTIONS,
    ContractedTables,
    DataQualityReport,
    ParquetSink,
    RuleFinding,
    StoredTables,
    TableQuality,
    Whole,
    digest_together,
    find_strays,
    read_quality,
)
from kyc_ml.contract import read_tables as read_files
from kyc_ml.display import ProgressReporter
from kyc_ml.features import microseconds
from kyc_ml.history.columns import IDS
from kyc_ml.history.partitions import DAY
from kyc_ml.history.store import STORE, HistoryStore
from kyc_ml.storage import private_folder

LONG: Final = (TRANSACTIONS, EVENTS)
"""Tables whose rows are read by the day on which they happened; none is known before it happens."""


def files_of(
    store: HistoryStore,
    *,
    then: Mapping[str, str] | None = None,
    until: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the digests of all files that were appended, by name.

    Of a name that came with several contents the last one counts, and ``NAME (earlier)`` is a
    digest of the others; rows of no file, such as served ones, count together.

    Parameters
    ----------
    then : mapping of name to digest, optional
        Files that are appended next, or were already.
    until : mapping of name to digest, optional
        Leave out what was appended after these files, if they were.
    """
    found: dict[str, list[str]] = {}
    others: dict[str, str] = {}
    for place, note in enumerate([*store.notes(), {"files": then or {}}]):
        for name, digest in note.get("files", {}).items():
            known = found.setdefault(name, [])
            known += [] if digest in known else [digest]
        if "rows" in note and not note["files"]:
            others[str(place)] = json.dumps(note["rows"], sort_keys=True)
        if until and until == note.get("files"):
            break
    named = {name: digests[-1] for name, digests in found.items()}
    earlier = {
        f"{name} (earlier)": digest_together({each: each for each in digests[:-1]})
        for name, digests in found.items()
        if len(digests) > 1
    }
    return {**named, **earlier, **({"rows of no file": digest_together(others)} if others else {})}


def note_of(store: HistoryStore, files: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the note of the append of some files; None if they were not appended together."""
    return next((note for note in store.notes() if note.get("files") == files), None)


class KnownCounts:
    """Counts rows by the quarter of an hour in which they became known."""

    def __init__(self) -> None:
        self._parts: dict[str, list[pa.Table]] = {}

    def add(self, table: str, rows: pa.Table) -> None:
        """Count some rows of a table."""
        known = pa.array(microseconds(rows[KNOWN_AT]))
        quarter = pc.divide(known, QUARTER_US)
        part = {"quarter": quarter, "rows": pa.repeat(1, len(rows)), "first": known, "last": known}
        self._parts.setdefault(table, []).append(_join([pa.table(part)]))

    def to_plain(self) -> dict[str, dict[str, list[int]]]:
        """Return the counts of each table for the note of an append."""
        return {name: _join(parts).to_pydict() for name, parts in self._parts.items()}


def _join(parts: Iterable[pa.Table]) -> pa.Table:
    """Sum counts of the same quarters."""
    every = pa.concat_tables(parts)
    wanted = [("rows", "sum"), ("first", "min"), ("last", "max")]
    return (every.group_by("quarter").aggregate(wanted).rename_columns(every.column_names)).sort_by(
        "quarter"
    )


_NOT_COUNTED: Final = pa.table(
    {name: pa.array([], pa.int64()) for name in ("quarter", "rows", "first", "last")}
)


def quality_of(store: HistoryStore) -> DataQualityReport:
    """Return the quality of all rows that were appended, as if their files had been read together.

    Warnings are those of the appends, which compared their own rows with what was there.
    """
    notes = [note for note in store.notes() if "rows" in note]
    read = [read_quality(note["quality"]) for note in notes]
    found = []
    for name in CONTRACT:
        parts = [
            (table, note["rows"]["appended"][name], note["rows"]["refused"][name])
            for note, each in zip(notes, read, strict=True)
            for table in each.tables
            if table.table == name
        ]
        if parts:
            found.append(_joined(name, parts, store.days(name)))
    return DataQualityReport(
        tables=tuple(found),
        warnings=_summed(each for report in read for each in report.warnings),
        unchecked=tuple(sorted({name for each in read for name in each.unchecked})),
        business_dates={name: day for each in read for name, day in each.business_dates.items()},
    )


def _joined(name: str, parts: list[tuple[TableQuality, int, int]], days: pa.Table) -> TableQuality:
    """Join the qualities of a table's appends, with their numbers of new and of refused rows."""
    accepted = sum(appended for _, appended, _ in parts)
    quarantined = sum(table.quarantined + refused for table, _, refused in parts)
    lacking: Counter[str] = Counter()
    for table, appended, _ in parts:
        # whole numbers, where no row was there already: the sums are those of one reading
        lacking.update({each: round(share * appended) for each, share in table.missing.items()})
    times = {each: _as_times(days[each]) for each in ("first", "last")}
    return TableQuality(
        table=name,
        read=accepted + quarantined,
        accepted=accepted,
        quarantined=quarantined,
        reasons=_summed(
            each
            for table, _, refused in parts
            for each in (*table.reasons, RuleFinding.of("different", name, count=refused))
            if each.count
        ),
        missing={
            each: lacking[each] / max(accepted, 1)
            for table, _, _ in parts
            for each in table.missing
        },
        first_event_time=pc.min(times["first"]).as_py(),
        last_event_time=pc.max(times["last"]).as_py(),
        late_rows=sum(
            round(table.late_rows / max(table.accepted, 1) * appended)
            for table, appended, _ in parts
        ),
        strays=find_strays(
            pa.table({"day": days["day"], "rows": days["rows"], **times}),
            today=datetime.now(UTC).date(),
        ),
    )


def _as_times(microseconds_: pa.ChunkedArray) -> pa.ChunkedArray:
    return microseconds_.cast(pa.int64()).cast(pa.timestamp("us", tz="UTC"))


def _summed(findings: Iterable[RuleFinding]) -> tuple[RuleFinding, ...]:
    """Join findings that are equal but for their counts."""
    counts: Counter[RuleFinding] = Counter()
    for each in findings:
        counts[replace(each, count=0)] += each.count
    return tuple(replace(each, count=count) for each, count in counts.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRows:
    """Rows of a store by key, for readers of files; a `contract.KeptHistory`."""

    store: HistoryStore

    def rows(
        self,
        table: str,
        key: str,
        values: pa.Array,
        columns: Collection[str],
        *,
        since_us: int | None = None,
    ) -> pa.Table:
        """Return the rows whose column `key` has one of some values."""
        return self.store.rows(table, key, values, columns, since_us=since_us)

    def known(self, table: str, column: str, ids: pa.Array) -> pa.Array:
        """Return those of some identifiers that a row of a table has in a column."""
        if table not in self.store.tables:
            return ids.slice(0, 0)
        if column == IDS.get(table):
            return self.store.find(table, ids)[column].unique()
        return self.store.has(table, column, ids)


def store_tables(store: HistoryStore, folder: Path, *, since_us: int | None = None) -> StoredTables:
    """Write the rows of a store as the files that its sources' rows would be in.

    Parameters
    ----------
    since_us : int, optional
        Of transactions and events only the rows known from then on, in microseconds; it is
        rounded down to a quarter of an hour.
    """
    names: Mapping[str, list[str]] = store.about["columns"]
    sink = ParquetSink(folder, quarantine=folder)
    whole = {}
    for table, columns in names.items():
        schema = pa.schema([store.tables[table].schema.field(name) for name in columns])
        pieces: Iterator[pa.Table] = store.scan(table, columns)
        if since_us is not None and table in LONG:
            since = since_us // QUARTER_US * QUARTER_US
            pieces = _recent(store, table, columns, since)
            whole[table] = _whole_of(store, table, since)
        parts = (rows.select(columns).cast(schema) for rows in pieces)
        batches = (batch for rows in parts for batch in rows.to_batches())
        sink.put(table, schema, batches)
    return replace(tables_without_rows(store), files=sink.files, whole=whole)


def read_tables(
    source: Path,
    data: Path,
    *,
    reporter: ProgressReporter,
    **settings: Any,  # noqa: ANN401
) -> tuple[ContractedTables, SourceMapping]:
    """Read the tables of a source mapping, from its files or from a history store.

    Parameters
    ----------
    data : Path
        Folder of the files, or a history store.
    **settings
        Those of `kyc_ml.contract.read_tables`; the rows of a store were refused when they were
        appended.
    """
    if not (data / STORE).is_file():
        return read_files(source, data, reporter=reporter, **settings)
    mapping = load_section(source, SourceMapping)
    folder: Path | None = settings.get("folder")
    reporter.progress("reading", 0, 1)
    with open_history(data, mapping, write=False) as store, private_folder(None) as own:
        stored = store_tables(store, folder or own)
        tables = stored.keys(whole=folder is None)
    reporter.progress("reading", 1, 1)
    return replace(tables, stored=tables.stored if folder else None), mapping


@contextmanager
def open_history(folder: Path, mapping: SourceMapping, *, write: bool) -> Iterator[HistoryStore]:
    """Open a store that was made of sources like this one.

    Raises ConfigError if there is none, or it is of another zone, currency or attributes.
    """
    about: dict[str, Any] = {
        "timezone": mapping.timezone,
        "base_currency": mapping.base_currency,
        "attributes": [each.model_dump(mode="json") for each in mapping.attributes],
    }
    with HistoryStore.open(folder, write=write, about=about) as store:
        yield store


def tables_without_rows(store: HistoryStore) -> StoredTables:
    """Return what is known of a store's tables together: zone, currency, files, quality."""
    return StoredTables(
        files={},
        timezone=store.about["timezone"],
        base_currency=store.about["base_currency"],
        digests=files_of(store),
        quality=quality_of(store),
        attributes=tuple(TableAttribute(**each) for each in store.about["attributes"]),
        history=KeptRows(store=store),
    )


def _recent(
    store: HistoryStore, table: str, columns: Collection[str], since_us: int
) -> Iterator[pa.Table]:
    """Yield the rows of a table that became known from a time on, in order."""
    since = pa.scalar(since_us, pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    days = store.days(table)
    for day in days.filter(pc.greater_equal(days["known"], since_us))["day"].to_pylist():
        rows = store.rows(table, DAY, pa.array([day]), columns)
        yield rows.filter(pc.greater_equal(rows[KNOWN_AT], since))


def _whole_of(store: HistoryStore, table: str, since_us: int) -> Whole:
    """Count the rows of a table that became known before a time."""
    known = [
        pa.table(note["known"][table], schema=_NOT_COUNTED.schema)
        for note in store.notes()
        if table in note.get("known", {})
    ]
    counts = _join([_NOT_COUNTED, *known])
    days = store.days(table)
    return Whole(
        rows=pc.sum(days["rows"]).as_py() or 0,
        begins=pc.min(days["first"]).as_py(),
        known=counts.filter(pc.less(counts["last"], since_us)),
    )
