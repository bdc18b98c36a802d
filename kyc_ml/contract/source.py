"""A user's files or tables -> contracted tables, a quarantine and a quality summary."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa

from kyc_ml.config import SourceMapping, TableMapping
from kyc_ml.contract.binding import (
    BoundTable,
    bind_table,
    note_column_faults,
    note_mapping_faults,
    note_zone_fault,
    select_sql,
)
from kyc_ml.contract.files import OpenedFiles, files_named_in, open_files
from kyc_ml.contract.folder import (
    digest_files,
    file_states,
    find_files,
    readable_paths,
    require_unchanged,
)
from kyc_ml.contract.followup import warn_of
from kyc_ml.contract.frames import Frame, to_arrow
from kyc_ml.contract.quality import QualitySummary, TableQuality, check_quarantined_share
from kyc_ml.contract.rows import contract_rows
from kyc_ml.contract.shelves import FileShelf, MemoryShelf, Shelf
from kyc_ml.contract.tables import CONTRACT, TRANSACTIONS
from kyc_ml.engine.local import connect, quote_name
from kyc_ml.errors import Faults, SourceError, hint
from kyc_ml.presentation import say_in_html, say_plainly, say_span


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractedTables:
    """Tables that satisfy the contract.

    Attributes
    ----------
    tables : mapping of table name to Arrow table
        Contracted columns in the contract's order and types; a column that the mapping
        leaves out is absent, `known_at` alone is filled from `event_time`. Rows are
        sorted by event time and key, so they do not depend on the order of the files.
    timezone : str
        Zone of the hours that customers live by; the times themselves are UTC.
    base_currency : str
        Currency of all amounts.
    digests : mapping of relative path to SHA-256
        Of every input file; empty for tables handed over in memory.
    quality : QualitySummary
    """

    tables: Mapping[str, pa.Table]
    timezone: str
    base_currency: str
    digests: Mapping[str, str]
    quality: QualitySummary

    def __getitem__(self, name: str) -> pa.Table:
        """Give the table called `name`; KeyError if the source has none."""
        return self.tables[name]

    def to_pandas(self) -> dict[str, pd.DataFrame]:
        """Give every table as a data frame of its own, by name."""
        return {name: table.to_pandas() for name, table in self.tables.items()}

    def _facts(self) -> dict[str, object]:
        counted = self.quality.tables
        first = [each.first_event_time for each in counted if each.first_event_time is not None]
        last = [each.last_event_time for each in counted if each.last_event_time is not None]
        return {
            "period": say_span(min(first, default=None), max(last, default=None)),
            "amounts in": self.base_currency,
            "local time": self.timezone,
            "warnings": len(self.quality.warnings),
        }

    def __repr__(self) -> str:
        rows = {
            each.table: f"{each.accepted:,} rows, {each.quarantined:,} quarantined"
            for each in self.quality.tables
        }
        return say_plainly("ContractedTables", {**self._facts(), **rows})

    def _repr_html_(self) -> str:
        rows = self.quality.to_frame()[["table", "read", "accepted", "quarantined"]]
        return say_in_html("ContractedTables", self._facts(), tables=[rows])


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTables:
    """Tables that satisfy the contract, in files of any length.

    Attributes
    ----------
    files : mapping of table name to Parquet file
        The rows and columns that `ContractedTables` would hold, in the same order.
    timezone, base_currency, digests, quality
        As in `ContractedTables`.
    """

    files: Mapping[str, Path]
    timezone: str
    base_currency: str
    digests: Mapping[str, str]
    quality: QualitySummary


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSource:
    """What became of a source: the accepted tables, and the rows refused with reasons.

    Attributes
    ----------
    quarantine : pyarrow.Table
        Columns of `kyc_ml.contract.quarantine.QUARANTINE_SCHEMA`; holds customers' values.
    """

    accepted: ContractedTables
    quarantine: pa.Table

    def __repr__(self) -> str:
        return f"{self.accepted!r}\n  refused rows  {self.quarantine.num_rows:,}"


def read_source(
    mapping: SourceMapping,
    *,
    data: Path,
    tables: Collection[str] | None = None,
    threads: int = 2,
    memory: str = "3GB",
) -> ReadSource:
    """Read the files of a mapping below `data` into contracted tables.

    Parameters
    ----------
    tables : collection of str or None
        Contracted tables to read; None reads all that are mapped. Only files that these
        tables need must be there.
    threads, memory
        What DuckDB may use.

    Raises
    ------
    SourceError
        Before a row is read, with all faults at once: a file missing, empty or corrupt, a
        table or column that is not contracted or not mapped, an expression that does not
        bind or has the wrong type. Afterwards: `transactions` without a row.
    ContractError
        If more than ``mapping.max_quarantined_share`` of a table's rows break the contract.
    """
    shelf = MemoryShelf()
    with _opened(mapping, data, tables=tables, threads=threads, memory=memory) as opened:
        quality = opened.contract(shelf)
    return _kept(shelf, opened, quality)


def store_source(
    mapping: SourceMapping,
    *,
    data: Path,
    folder: Path,
    quarantine: Path,
    threads: int = 2,
    memory: str = "512MB",
    scratch: Path | None = None,
) -> StoredTables:
    """Read the files of a mapping as `read_source` does, into files instead of memory.

    Parameters
    ----------
    folder : Path
        For a Parquet file a table.
    quarantine : Path
        New folder for the refused rows; written whatever else is wrong.
    memory
        What DuckDB may use; it spills above it.
    scratch : Path or None
        Folder to spill into; None takes the system's temporary one.

    Raises
    ------
    SourceError, ContractError
        As `read_source` does. SourceError also if a file changed while it was read.
    OutputError
        If a file cannot be written.
    """
    shelf = FileShelf(folder, quarantine=quarantine)
    with _opened(
        mapping, data, tables=None, threads=threads, memory=memory, scratch=scratch
    ) as opened:
        quality = opened.contract(shelf)
    return StoredTables(
        files=shelf.files,
        timezone=mapping.timezone,
        base_currency=mapping.base_currency,
        digests=opened.digests,
        quality=quality,
    )


def digest_source(mapping: SourceMapping, *, data: Path) -> dict[str, str]:
    """SHA-256 of every file that a mapping reads, by its path below `data`.

    Raises
    ------
    SourceError
        If a file is missing or empty.
    """
    subject = f"source {mapping.name!r}"
    _require_folder(data, subject)
    faults = Faults(subject, SourceError)
    found = find_files(mapping.files, data=data, faults=faults)
    faults.raise_if_any()
    return digest_files(found.values())


def contract_tables(
    frames: Mapping[str, Frame],
    *,
    timezone: str = "UTC",
    base_currency: str,
    max_quarantined_share: float = 0.001,
) -> ReadSource:
    """Put tables in memory through the very same checks.

    Parameters
    ----------
    frames : mapping of contracted table name to a table of pandas, Polars or pyarrow
        Columns carry the contracted names; a pandas index is ignored. Any table that speaks
        Arrow (``__arrow_c_stream__``) will do.

    Raises
    ------
    SourceError
        With all faults at once, as `read_source` does.
    ContractError
        If too many rows break the contract.
    """
    settings = _Settings(
        subject="tables in memory",
        timezone=timezone,
        base_currency=base_currency,
        max_quarantined_share=max_quarantined_share,
    )
    faults = Faults(settings.subject, SourceError)
    opened = OpenedFiles()
    shelf = MemoryShelf()
    with closing(connect(data=None, files=[])) as connection:
        mapped = {}
        for name, frame in frames.items():
            before = len(faults)
            table = to_arrow(frame, name=name, faults=faults)
            note_column_faults(name, table.column_names, faults)
            if len(faults) == before:
                connection.register(name, table)
                opened.views.add(name)
                columns = {column: quote_name(column) for column in table.column_names}
                mapped[name] = TableMapping.model_validate({"from": name, "columns": columns})
        chosen = {name: mapped[name] for name in CONTRACT if name in mapped}
        bound = _bind(connection, chosen, opened, unread=(), settings=settings, faults=faults)
        whole = _Opened(
            connection=connection, bound=bound, files=opened, settings=settings, digests={}
        )
        quality = whole.contract(shelf)
    return _kept(shelf, whole, quality)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    """What a mapping and tables in memory have in common."""

    subject: str
    timezone: str
    base_currency: str
    max_quarantined_share: float


def _require_folder(data: Path, subject: str) -> None:
    if not data.is_dir():
        near = hint(data.name, [each.name for each in data.parent.glob("*") if each.is_dir()])
        msg = f"{subject}: data folder {data} does not exist{near}"
        raise SourceError(msg)


def _needed_files(mapping: SourceMapping, chosen: Mapping[str, TableMapping]) -> set[str]:
    """Files that the chosen tables read; all, where a mapping's SQL does not parse."""
    needed: set[str] = set()
    with closing(connect(data=None, files=[])) as connection:
        for table in chosen.values():
            named = files_named_in(connection, select_sql(table), mapping.files)
            needed |= set(mapping.files) if named is None else named
    return needed


def _bind(
    connection: duckdb.DuckDBPyConnection,
    chosen: Mapping[str, TableMapping],
    opened: OpenedFiles,
    *,
    unread: Collection[str],
    settings: _Settings,
    faults: Faults,
) -> list[BoundTable]:
    """Bind all tables; raise SourceError with every fault noted so far."""
    note_zone_fault(connection, settings.timezone, faults)
    bound = [
        bind_table(connection, name, table, views=opened.views, unread=unread, faults=faults)
        for name, table in chosen.items()
    ]
    faults.raise_if_any()
    return [table for table in bound if table is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """A source whose every table is bound, and not a row read yet."""

    connection: duckdb.DuckDBPyConnection
    bound: Sequence[BoundTable]
    files: OpenedFiles
    settings: _Settings
    digests: Mapping[str, str]

    def contract(self, shelf: Shelf) -> QualitySummary:
        """Put every table's rows on the shelf, in the contract's order, and judge the whole."""
        found = {table.contract.name: self._contract(table, shelf) for table in self.bound}
        if TRANSACTIONS in found and not found[TRANSACTIONS].read:
            msg = (
                f"{self.settings.subject}: table {TRANSACTIONS!r}: 0 rows, at least 1 is needed: "
                "check the file and `where`"
            )
            raise SourceError(msg)
        quality = QualitySummary(tables=tuple(found.values()), warnings=warn_of(shelf.columns()))
        check_quarantined_share(
            quality,
            subject=self.settings.subject,
            maximum=self.settings.max_quarantined_share,
            quarantine=shelf.quarantine if isinstance(shelf, MemoryShelf) else None,
        )
        return quality

    def _contract(self, table: BoundTable, shelf: Shelf) -> TableQuality:
        malformed = self.files.malformed
        lines = [line for name in sorted(table.files) for line in malformed.get(name, [])]
        return contract_rows(
            self.connection, table, zone=self.settings.timezone, malformed=lines, shelf=shelf
        )


def _kept(shelf: MemoryShelf, opened: _Opened, quality: QualitySummary) -> ReadSource:
    accepted = ContractedTables(
        tables=shelf.tables,
        timezone=opened.settings.timezone,
        base_currency=opened.settings.base_currency,
        digests=opened.digests,
        quality=quality,
    )
    return ReadSource(accepted=accepted, quarantine=shelf.quarantine)


@contextmanager
def _opened(
    mapping: SourceMapping,
    data: Path,
    *,
    tables: Collection[str] | None,
    threads: int,
    memory: str,
    scratch: Path | None = None,
) -> Iterator[_Opened]:
    """Find, open and bind the files of a mapping; see that none changes while it is read."""
    settings = _Settings(
        subject=f"source {mapping.name!r}",
        timezone=mapping.timezone,
        base_currency=mapping.base_currency,
        max_quarantined_share=mapping.max_quarantined_share,
    )
    _require_folder(data, settings.subject)
    faults = Faults(settings.subject, SourceError)
    wanted = set(mapping.tables if tables is None else tables)
    note_mapping_faults(mapping, wanted, faults)
    chosen = {n: mapping.tables[n] for n in CONTRACT if n in wanted and n in mapping.tables}
    needed = mapping.files if tables is None else _needed_files(mapping, chosen)
    found = find_files({n: mapping.files[n] for n in needed}, data=data, faults=faults)
    readable = readable_paths(found.values())
    state = file_states(found.values())
    with closing(
        connect(data=None, threads=threads, memory=memory, scratch=scratch, files=readable)
    ) as connection:
        opened = open_files(connection, found, faults=faults)
        unread = set(mapping.files) - opened.views
        bound = _bind(connection, chosen, opened, unread=unread, settings=settings, faults=faults)
        yield _Opened(
            connection=connection,
            bound=bound,
            files=opened,
            settings=settings,
            digests=digest_files(found.values()),
        )
    require_unchanged(state, file_states(found.values()), subject=settings.subject)
