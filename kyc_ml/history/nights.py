"""A store as the jobs that read files need it: what its appends brought, and its rows as files."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
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
from kyc_ml.history.partitions import DAY
from kyc_ml.history.store import STORE, HistoryStore
from kyc_ml.storage import private_folder

LONG: Final = (TRANSACTIONS, EVENTS)
"""Tables whose rows are read by the day on which they happened; none is known before it happens."""
_UTC: Final = pa.timestamp("us", tz="UTC")


def files_of(
    store: HistoryStore,
    *,
    then: Mapping[str, str] | None = None,
    until: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the digests of all files that were appended, by name.

    Of a name that came with several contents the last one counts, and ``NAME (earlier)`` is a
    digest of the others; rows of no file, such as served ones, count as a file.

    `then`: files that are appended next, or were already. `until`: leave out what was appended
    after these files.
    """
    found: dict[str, dict[str, str]] = {}
    for note in [*store.notes(), {"files": then}]:
        files = note.get("files")
        if not files and "rows" in note:
            files = {"rows of no file": digest_together({"": json.dumps(note["rows"])})}
        for name, digest in (files or {}).items():
            found.setdefault(name, {})[digest] = digest
        if until and until == files:
            break
    named = {name: [*each][-1] for name, each in found.items()}
    several = {name: [*each][:-1] for name, each in found.items() if len(each) > 1}
    return named | {
        f"{name} (earlier)": digest_together(dict(zip(each, each, strict=True)))
        for name, each in several.items()
    }


def count_known(counts: Counter[int], rows: pa.Table) -> None:
    """Count rows by the quarter of an hour, since 1970, in which they became known."""
    quarters = np.unique(microseconds(rows[KNOWN_AT]) // QUARTER_US, return_counts=True)
    counts.update(dict(zip(*(each.tolist() for each in quarters), strict=True)))


def quality_of(store: HistoryStore) -> DataQualityReport:
    """Return the quality of all rows that were appended, as if their files were read together.

    Warnings are those of the appends, which compared their own rows with what was there.
    """
    notes = [note for note in store.notes() if "rows" in note]
    read = [read_quality(note["quality"]) for note in notes]
    tables = []
    for name in CONTRACT:
        parts = [
            (table, note["rows"]["appended"][name], note["rows"]["refused"][name])
            for note, each in zip(notes, read, strict=True)
            for table in each.tables
            if table.table == name
        ]
        tables += [_joined(name, parts, store.days(name))] if parts else []
    return DataQualityReport(
        tables=tuple(tables),
        warnings=_summed(each for report in read for each in report.warnings),
        unchecked=tuple(sorted({name for each in read for name in each.unchecked})),
        business_dates={name: day for each in read for name, day in each.business_dates.items()},
    )


def _joined(name: str, parts: list[tuple[TableQuality, int, int]], days: pa.Table) -> TableQuality:
    """Join the qualities of a table's appends, with their numbers of new and of refused rows."""
    accepted = sum(appended for _, appended, _ in parts)
    quarantined = sum(table.quarantined + refused for table, _, refused in parts)
    reasons = [each for table, _, _ in parts for each in table.reasons]
    reasons += [RuleFinding.of("different", name, count=n) for _, _, n in parts if n]
    # rows, not shares, are added: where none was there already, they are those of one reading
    lacking: Counter[str] = Counter(dict.fromkeys(parts[-1][0].missing, 0))
    late = 0
    for table, appended, _ in parts:
        lacking.update({each: round(share * appended) for each, share in table.missing.items()})
        late += round(table.late_rows * appended / max(table.accepted, 1))
    first, last = (days[each].cast(pa.int64()).cast(_UTC) for each in ("first", "last"))
    by_day = pa.table({"day": days["day"], "rows": days["rows"], "first": first, "last": last})
    return TableQuality(
        table=name,
        read=accepted + quarantined,
        accepted=accepted,
        quarantined=quarantined,
        reasons=_summed(reasons),
        missing={each: rows / max(accepted, 1) for each, rows in lacking.items()},
        first_event_time=pc.min(first).as_py(),
        last_event_time=pc.max(last).as_py(),
        late_rows=late,
        strays=find_strays(by_day, today=datetime.now(UTC).date()),
    )


def _summed(findings: Iterable[RuleFinding]) -> tuple[RuleFinding, ...]:
    """Join findings that are equal but for their counts."""
    counts: Counter[RuleFinding] = Counter()
    for each in findings:
        counts[replace(each, count=0)] += each.count
    return tuple(replace(each, count=count) for each, count in counts.items())


def store_tables(
    store: HistoryStore, folder: Path | None, *, since_us: int | None = None
) -> StoredTables:
    """Write the rows of a store as the files that its sources' rows would be in.

    `folder`: None writes no row: only what is known of all together is returned.
    `since_us`: of transactions and events only the rows known from this quarter of an hour on.
    """
    whole = {}
    sink = ParquetSink(folder or Path(), quarantine=folder or Path())
    for table, columns in store.about["columns"].items() if folder else ():
        schema = pa.schema([store.tables[table].schema.field(name) for name in columns])
        pieces: Iterator[pa.Table] = store.scan(table, columns)
        if since_us is not None and table in LONG:
            since = since_us // QUARTER_US * QUARTER_US
            pieces = _recent(store, table, columns, since)
            whole[table] = _whole_of(store, table, since)
        parts = (rows.select(columns).cast(schema) for rows in pieces)
        sink.put(table, schema, (batch for rows in parts for batch in rows.to_batches()))
    return StoredTables(
        files=sink.files,
        timezone=store.about["timezone"],
        base_currency=store.about["base_currency"],
        digests=files_of(store),
        quality=quality_of(store),
        attributes=tuple(TableAttribute(**each) for each in store.about["attributes"]),
        whole=whole,
        history=store,
    )


def is_history(data: Path) -> bool:
    """Return whether a folder is a history store, and not one of files."""
    return (data / STORE).is_file()


def read_tables(
    source: Path,
    data: Path,
    *,
    reporter: ProgressReporter,
    **settings: Any,  # noqa: ANN401
) -> tuple[ContractedTables, SourceMapping]:
    """Read the tables of a source mapping from a folder of files, or from a history store.

    `settings`: those of `kyc_ml.contract.read_tables`; a store has no rows to refuse.
    """
    if not is_history(data):
        return read_files(source, data, reporter=reporter, **settings)
    mapping = load_section(source, SourceMapping)
    folder: Path | None = settings.get("folder")
    reporter.progress("reading", 0, 1)
    with open_history(data, mapping, write=False) as store, private_folder(None) as own:
        tables = store_tables(store, folder or own).keys(whole=folder is None)
    reporter.progress("reading", 1, 1)
    return (tables if folder else replace(tables, stored=None)), mapping


@contextmanager
def open_history(folder: Path, mapping: SourceMapping, *, write: bool) -> Iterator[HistoryStore]:
    """Open a store that was made of sources like this one.

    Raises ConfigError if the folder has no store, or one of another zone, currency or attributes.
    """
    about: dict[str, Any] = {
        "timezone": mapping.timezone,
        "base_currency": mapping.base_currency,
        "attributes": [each.model_dump(mode="json") for each in mapping.attributes],
    }
    with HistoryStore.open(folder, write=write, about=about) as store:
        yield store


def _recent(
    store: HistoryStore, table: str, columns: Collection[str], since_us: int
) -> Iterator[pa.Table]:
    """Yield the rows of a table that became known from a time on, in order."""
    since = pa.scalar(since_us, pa.int64()).cast(_UTC)
    days = store.days(table)
    for day in days.filter(pc.greater_equal(days["known"], since_us))["day"].to_pylist():
        rows = store.rows(table, DAY, pa.array([day]), columns)
        yield rows.filter(pc.greater_equal(rows[KNOWN_AT], since))


def _whole_of(store: HistoryStore, table: str, since_us: int) -> Whole:
    """Count all rows of a table, and those that became known before a time."""
    notes = [note for note in store.notes() if note.get("known", {}).get(table)]
    known: Counter[int] = Counter()
    for note in notes:
        known.update({int(quarter): rows for quarter, rows in note["known"][table].items()})
    days = store.days(table)
    return Whole(
        rows=pc.sum(days["rows"]).as_py() or 0,
        begins=pc.min(days["first"]).as_py(),
        first_known=min((note["first known"][table] for note in notes), default=None),
        known={each: rows for each, rows in known.items() if each < since_us // QUARTER_US},
    )
