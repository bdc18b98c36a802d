"""Read a source for a job: contracted tables, and refused rows in a quarantine file."""

import re
from pathlib import Path
from typing import Final, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.config import SourceMapping, load_section
from kyc_ml.contract import ending
from kyc_ml.contract.contracted import ContractedTables, ReadSource, Tables
from kyc_ml.contract.quality import DataQualityReport
from kyc_ml.contract.quarantine import save_quarantine
from kyc_ml.contract.sinks import ParquetSink
from kyc_ml.contract.source import read_source, store_source
from kyc_ml.contract.tables import EVENT_TIME, KNOWN_AT, REVIEWS
from kyc_ml.display import ProgressReporter, say_count, say_moment
from kyc_ml.errors import ConfigError, ContractError, NotReadyError

_ASIDE: Final = Path("build/quarantine")

_LARGE: Final = 1 << 26
"""Bytes of a data folder that is read into memory: half a million payments as CSV."""

_COUNTS: Final = "data quality"

Telling = Literal["table", "findings", "line"]

_SILENCE: Final = pd.Timedelta(days=7)
"""Convention: a small source may have no row for a week of holidays."""


def read_tables(
    source: Path,
    data: Path,
    *,
    quarantine: Path | None,
    reporter: ProgressReporter,
    telling: Telling = "findings",
    folder: Path | None = None,
) -> tuple[ContractedTables, SourceMapping]:
    """Read a source mapping's tables and put refused rows into `quarantine`.

    Parameters
    ----------
    quarantine : Path or None
        None is a file named by source and data folder below ``build/quarantine``.
    telling : 'table', 'findings' or 'line'
        How much is reported of data quality: the counts of each table and each finding, one
        line of counts and each finding, or the line alone.
    folder : Path or None
        New folder for the rows of large files, of which `StoredTables.keys` alone are returned.

    Raises
    ------
    ConfigError, SourceError, ContractError
        If the mapping or the files are faulty, or too many rows are refused. Refused rows are
        written in any case.
    """
    mapping = load_section(source, SourceMapping)
    aside = place_of_refused(mapping, data) if quarantine is None else quarantine
    reporter.progress("reading", 0, 1)
    try:
        read = _read(mapping, data, folder)
    except ContractError as error:
        if error.quarantine is not None:
            _put_aside(error.quarantine, aside, reporter)
        tell_refused(error, reporter)
        raise
    reporter.progress("reading", 1, 1)
    _put_aside(read.quarantine, aside, reporter)
    quality = read.accepted.quality
    if telling == "table":
        tell_quality(quality, reporter)
    else:
        reporter.info(_sum_up(quality))
    if telling == "findings":
        _tell_findings(quality, reporter)
    return read.accepted, mapping


def _read(mapping: SourceMapping, data: Path, folder: Path | None) -> ReadSource:
    """Read a source into memory, or large files into a folder."""
    if folder is None or sum(path.lstat().st_size for path in data.rglob("*")) <= _LARGE:
        return read_source(mapping, data=data)
    refused = folder / "refused"
    stored = store_source(mapping, data=data, folder=folder, quarantine=refused, scratch=folder)
    kept = ParquetSink(folder, quarantine=refused).quarantine
    return ReadSource(accepted=stored.keys(), quarantine=kept)


def place_of_refused(mapping: SourceMapping, data: Path) -> Path:
    """Return a path that no other source or data folder uses."""
    source, folder = (
        re.sub(r"[^\w-]+", "_", name) or "_" for name in (mapping.name, data.resolve().name)
    )
    return _ASIDE / source / f"{folder}.parquet"


def _put_aside(refused: pa.Table, path: Path, reporter: ProgressReporter) -> None:
    if not refused.num_rows:
        if path.exists():
            reporter.info(f"no row was refused; {path} is of an earlier run")
        return
    save_quarantine(refused, path)
    reporter.info(f"{refused.num_rows:,} refused rows are in {path}")


def tell_refused(error: ContractError, reporter: ProgressReporter) -> None:
    """Show the counts of each table of a source that is refused; the error lists its findings."""
    if error.quality is not None:
        reporter.show(_COUNTS, error.quality.to_frame())


def tell_quality(quality: DataQualityReport, reporter: ProgressReporter) -> None:
    """Show the counts of each table, each finding in a line, and what dates an unusual source."""
    reporter.show(_COUNTS, quality.to_frame())
    _tell_findings(quality, reporter)


def _sum_up(quality: DataQualityReport) -> str:
    """Sum up what was read in one line."""
    read, refused = (
        sum(getattr(table, name) for table in quality.tables) for name in ("read", "quarantined")
    )
    warned = say_count(len(quality.warnings), "warning")
    more = "; kyc-ml check shows them by table" if refused or quality.warnings else ""
    return (
        f"{say_count(read, 'row')} read from {say_count(len(quality.tables), 'table')}, "
        f"{refused:,} quarantined, {warned}{more}"
    )


def _tell_findings(quality: DataQualityReport, reporter: ProgressReporter) -> None:
    dating = ending.say_dating(quality)
    if dating is not None:
        reporter.info(dating)
    if quality.unchecked:
        files = say_count(len(quality.unchecked), "Parquet file")
        reporter.info(f"{files} without checksums: a changed byte may go unnoticed")
    for severity, finding in quality.findings():
        report = reporter.warning if severity == "warning" else reporter.info
        report(str(finding) if severity == "warning" else f"{severity}: {finding}")


def end_of_data(tables: Tables) -> pd.Timestamp:
    """Return the midnight (UTC) after the last transaction or event.

    Without either, after the last row of any other table. Cases may be known later: outcomes of
    transactions take time.

    Raises ConfigError if no table has a row, or a few rows lie far after all others: see
    `say_strays`.
    """
    found, strays = ending.find_end(tables), ending.say_strays(tables.quality)
    if strays is not None:
        raise ConfigError(strays)
    if found is None:
        raise ConfigError("no table of the source has a row to date it by: give --as-of")
    return found


def known_until(tables: ContractedTables, as_of: pd.Timestamp | None) -> pd.Timestamp:
    """Return the `as_of` of a job that trains or evaluates; None is the end of the data.

    Outcomes may be known after the end of the data, so `as_of` may be later; observations end
    with the data in any case (`observable_until`).

    Raises ConfigError if `as_of` is more than a week after all that is known, or the data has no
    end.
    """
    if as_of is None:
        return end_of_data(tables)
    _require_reached(as_of, last_known(tables), what="the tables", zone=tables.timezone)
    return as_of


def _require_reached(
    time: pd.Timestamp, end: pd.Timestamp, *, zone: str, what: str, name: str = "--as-of"
) -> None:
    """Raise if a time is more than a week after the data: customers would look inactive."""
    if time > end + _SILENCE:
        time, end = time.tz_convert(zone), end.tz_convert(zone)
        raise ConfigError(
            f"{name} is {time:%Y-%m-%d %H:%M} {zone}, but {what} end before "
            f"{end:%Y-%m-%d %H:%M}: customers would look inactive in the days without rows; bring "
            "newer data or name an earlier date"
        )


def require_behaviour(review: pd.Timestamp, tables: ContractedTables) -> None:
    """Raise if a review is before the first transaction or event, or a week after the last.

    Raises ConfigError naming the review's date and that of the data.
    """
    first = ending.find_oldest(tables)
    if first is not None and review <= first:
        raise ConfigError(
            f"the review is of {say_moment(review, tables.timezone)}, before the first transaction "
            f"or event of {say_moment(first, tables.timezone)}: no behaviour is known by then; "
            "name a later date"
        )
    require_fresh(review, tables, name="the date of the review")


def require_fresh(
    as_of: pd.Timestamp,
    tables: Tables,
    *,
    stale_hours: float | None = None,
    name: str = "--as-of",
) -> None:
    """Raise if a date is too far after the last transaction or event.

    `stale_hours`: hours that the newest of them may be older than the date, in addition to the
    limit of a week for every source; None means no limit.
    `name`: name of the date in the message.
    Raises NotReadyError if it is older than `stale_hours`. Names both dates, as the next one does;
    ConfigError if it is more than a week older.
    """
    newest, end = ending.find_newest(tables), ending.find_end_of_behaviour(tables)
    if newest is None or end is None:
        return
    age = (as_of - newest) / pd.Timedelta(hours=1)
    if stale_hours is not None and age > stale_hours:
        local, last = as_of.tz_convert(tables.timezone), newest.tz_convert(tables.timezone)
        raise NotReadyError(
            f"{name} is {local:%Y-%m-%d %H:%M}, but the newest transaction or event is of "
            f"{last:%Y-%m-%d %H:%M} {tables.timezone}: {age:.1f} hours older, above stale_hours "
            f"{stale_hours:g} of the limits: the tables have not landed; start again when they "
            "have, name the date that the data is of, or set stale_hours in the file of --limits"
        )
    what = "transactions and events"
    _require_reached(as_of, end, what=what, name=name, zone=tables.timezone)


def tell_late_reviews(
    tables: ContractedTables, as_of: pd.Timestamp, reporter: ProgressReporter
) -> None:
    """Report how many planned reviews before a date are left out, as the data ends before them."""
    if REVIEWS not in tables.tables:
        return
    end = ending.observable_until(tables, as_of)
    planned = pd.DatetimeIndex(tables[REVIEWS][EVENT_TIME].to_pandas())
    late = int(((planned >= end) & (planned < as_of)).sum())
    if late:
        reporter.info(
            f"{late:,} of {len(planned):,} planned reviews come after the last transactions and "
            f"events, which end before {say_moment(end, tables.timezone)}: they are left out"
        )


def last_known(tables: ContractedTables) -> pd.Timestamp:
    """Return the latest time at which a row of the source became known; strays do not count."""
    latest = []
    for name, table in tables.tables.items():
        strays = tables.quality.table(name).strays
        rows = table.filter(pc.field(EVENT_TIME) <= strays.last) if strays.after else table
        latest += [pc.max(rows[KNOWN_AT]).as_py()] if rows.num_rows else []
    return pd.Timestamp(max(latest))
