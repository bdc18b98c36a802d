"""A user's files or tables -> contracted tables, a quarantine and a quality summary."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import MappingProxyType

import duckdb

from kyc_ml.arguments import FilePath, read_path, require_kind
from kyc_ml.config import Attribute, IdentifierForm, SourceMapping, TableAttribute, TableMapping
from kyc_ml.config.attributes import attribute_faults
from kyc_ml.config.source import complete_snapshot
from kyc_ml.contract.binding import (
    BoundTable,
    bind_table,
    note_attribute_faults,
    note_column_faults,
    note_mapping_faults,
    note_zone_fault,
    select_sql,
)
from kyc_ml.contract.checks import RowRules, raw_name, typed_sql
from kyc_ml.contract.contracted import ContractedTables, ReadSource, StoredTables
from kyc_ml.contract.files import OpenedFiles, files_named_in, open_files
from kyc_ml.contract.folder import (
    digest_files,
    file_states,
    find_files,
    readable_paths,
    require_unchanged,
)
from kyc_ml.contract.followup import (
    warn_of,
    warn_of_absence,
    warn_of_attributes,
    warn_of_currency,
    warn_of_strays,
)
from kyc_ml.contract.frames import Frame, register, to_arrow
from kyc_ml.contract.identifiers import TRIMMED
from kyc_ml.contract.links import Crossing, cross_tables, refuse_orphans
from kyc_ml.contract.plain import make_plain
from kyc_ml.contract.quality import Finding, QualitySummary, TableQuality, check_quarantined_share
from kyc_ml.contract.rows import contract_rows
from kyc_ml.contract.seeking import Sought, seek
from kyc_ml.contract.shelves import FileShelf, MemoryShelf, Shelf
from kyc_ml.contract.tables import CONTRACT, CUSTOMERS, EVENTS, TRANSACTIONS
from kyc_ml.engine.local import connect, private_folder, quote_name
from kyc_ml.errors import Faults, SourceError, hint_path


def read_source(
    mapping: SourceMapping,
    *,
    data: FilePath,
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
        If more than ``mapping.max_quarantined_share`` of a table's rows break the contract, or
        more than ``mapping.max_orphan_share`` of the cases name nobody that is there.
    """
    shelf, data = MemoryShelf(), read_path(data, name="data")
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
    shelf = FileShelf(
        folder, quarantine=quarantine, threads=threads, memory=memory, scratch=scratch
    )
    with _opened(
        mapping, data, tables=None, threads=threads, memory=memory, scratch=scratch
    ) as opened:
        quality = opened.contract(shelf)
    return StoredTables(
        files={name: shelf.files[name] for name in CONTRACT if name in shelf.files},
        timezone=mapping.timezone,
        base_currency=mapping.base_currency,
        digests=opened.digests,
        quality=quality,
        attributes=mapping.attributes,
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


def look_up(
    mapping: SourceMapping, *, data: Path, tables: Collection[str], column: str, identifier: str
) -> Sought | None:
    """Look for an identifier in one column of some tables, and read nothing else.

    Returns
    -------
    Sought or None
        None where that cannot be said before the tables are read as a whole: `read_source`
        lists the faults of all of them together.
    """
    try:
        with _opened(
            mapping, data, tables=tables, threads=2, memory="1GB", digested=False
        ) as opened:
            ids = []
            for bound in opened.bound:
                of_type = typed_sql(
                    bound.contract.column(column), bound.types[column], opened.settings.rules
                )
                raw = f"(\n{bound.expressions[column]}\n) AS {raw_name(column)} {bound.rows}"
                ids.append(f"SELECT {of_type} AS id FROM (SELECT {raw})")
            return seek(opened.connection, " UNION ALL ".join(ids), identifier)
    except (SourceError, duckdb.Error):
        return None


def contract_tables(
    frames: Mapping[str, Frame],
    *,
    attributes: Mapping[str, Mapping[str, Attribute]] = MappingProxyType({}),
    snapshot: date | None = None,
    timezone: str = "UTC",
    base_currency: str,
    max_quarantined_share: float = 0.001,
    identifiers: IdentifierForm = TRIMMED,
    max_orphan_share: float = 0.2,
) -> ReadSource:
    """Put tables in memory through the very same checks.

    Parameters
    ----------
    frames : mapping of contracted table name to a table of pandas, Polars or pyarrow
        Columns carry the contracted names; a pandas index is ignored. Any table that speaks
        Arrow (``__arrow_c_stream__``) will do.
    attributes : mapping of table name to column to Attribute
        Columns of your own, and what they mean.
    snapshot : date or None
        Day at whose end the customers were as their rows say, where these carry no date; see
        the key of `SourceMapping`.
    identifiers : IdentifierForm
        The form of all identifiers; see its fields.
    max_orphan_share : float
        Share of the cases that may name nobody that is there; see `SourceMapping`.

    Raises
    ------
    SourceError
        With all faults at once, as `read_source` does.
    ConfigError
        If `snapshot` is no date.
    ContractError
        If too many rows break the contract, or too many cases are orphans.
    """
    if snapshot is not None:
        require_kind(snapshot, date, name="snapshot", cure="give datetime.date(2025, 12, 31)")
    faults = Faults("tables in memory", SourceError)
    declared = _declared(frames, attributes, faults)
    settings = _Settings(
        subject="tables in memory",
        mapped=frames,
        attributes=declared,
        timezone=timezone,
        base_currency=base_currency,
        max_quarantined_share=max_quarantined_share,
        max_orphan_share=max_orphan_share,
        rules=RowRules(zone=timezone, form=identifiers),
    )
    opened = OpenedFiles()
    shelf = MemoryShelf()
    with closing(connect(data=None, files=[])) as connection:
        tables, mapped = {}, {}
        for name, frame in frames.items():
            before = len(faults)
            table = to_arrow(frame, name=name, faults=faults)
            if len(faults) == before:
                tables[name] = table
            if table.column_names:
                mapped[name] = _as_mapping(name, table.column_names, attributes.get(name, {}))
            elif len(faults) == before:
                note_column_faults(name, (), faults)
        if snapshot is not None and CUSTOMERS in mapped:
            mapped = complete_snapshot(mapped, snapshot)
        for name, mapping in tuple(mapped.items()):
            before = len(faults)
            note_column_faults(name, mapping.columns, faults)
            note_attribute_faults(name, mapping.attributes, faults)
            if len(faults) == before and name in tables:
                register(connection, name, tables[name], faults=faults)
            if len(faults) > before or mapping.from_ not in tables:
                del mapped[name]
            else:
                opened.views.add(mapping.from_)
        chosen = {name: mapped[name] for name in CONTRACT if name in mapped}
        bound = _bind(connection, chosen, opened, unread=(), settings=settings, faults=faults)
        whole = _Opened(
            connection=connection, bound=bound, files=opened, settings=settings, digests={}
        )
        quality = whole.contract(shelf)
    return _kept(shelf, whole, quality)


def _declared(
    frames: Mapping[str, Frame],
    attributes: Mapping[str, Mapping[str, Attribute]],
    faults: Faults,
) -> tuple[TableAttribute, ...]:
    """Name the attributes of tables in memory; note those that cannot be."""
    found = []
    for table, own in attributes.items():
        if table not in frames:
            faults.add(f"attributes are declared for table {table!r}, which is not given")
        for name, attribute in own.items():
            wrong = attribute_faults(table, name, attribute)
            faults.extend(wrong)
            if not wrong:
                found.append(TableAttribute(table=table, name=name, **attribute.model_dump()))
    return tuple(found)


def _as_mapping(
    table: str, columns: Collection[str], attributes: Mapping[str, Attribute]
) -> TableMapping:
    """Map a table in memory by the names of its columns."""
    own = {
        name: {**attribute.model_dump(), "sql": quote_name(name)}
        for name, attribute in attributes.items()
    }
    mapped = {column: quote_name(column) for column in columns if column not in own}
    return TableMapping.model_validate({"from": table, "columns": mapped, "attributes": own})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    """What a mapping and tables in memory have in common.

    Attributes
    ----------
    mapped : collection of str
        Tables that the source has, read now or not.
    """

    subject: str
    mapped: Collection[str]
    attributes: tuple[TableAttribute, ...]
    timezone: str
    base_currency: str
    max_quarantined_share: float
    max_orphan_share: float
    rules: RowRules


def _require_folder(data: Path, subject: str) -> None:
    if not data.is_dir():
        near = hint_path(data.name, [each.name for each in data.parent.glob("*") if each.is_dir()])
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
    """Bind all tables; raise SourceError with every fault noted so far.

    An optional table that does not bind is left out, and why is noted with the opened files.
    """
    note_zone_fault(connection, settings.timezone, faults)
    bound = []
    for name, table in chosen.items():
        own = Faults(settings.subject, SourceError) if table.optional else faults
        bound.append(
            bind_table(
                connection,
                name,
                table,
                attributes=settings.attributes,
                views=opened.views,
                unread=unread,
                folders=opened.folders,
                faults=own,
            )
        )
        if table.optional and len(own):
            opened.left_out[name] = "; ".join(own)
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
        noted: list[Finding] = []
        found: dict[str, TableQuality] = {}
        # customers last: by then it is known until when what they say of themselves may be true
        for table in sorted(self.bound, key=lambda each: each.contract.name == CUSTOMERS):
            found[table.contract.name], remarks = self._contract(table, shelf, found.values())
            noted += remarks
        found = {name: found[name] for name in CONTRACT if name in found}
        if TRANSACTIONS in found and not found[TRANSACTIONS].read:
            msg = (
                f"{self.settings.subject}: table {TRANSACTIONS!r}: 0 rows, at least 1 is needed: "
                "check the file and `where`"
            )
            raise SourceError(msg)
        times = [found[name].last_usual for name in (TRANSACTIONS, EVENTS) if name in found]
        last = max((time for time in times if time is not None), default=None)
        crossing = self._cross(shelf)
        warnings = [
            *warn_of_absence(self.settings.mapped, self.files.left_out),
            *warn_of_attributes(self.settings.attributes, shelf.columns()),
            *warn_of_currency(shelf.columns(), self.settings.base_currency),
            *warn_of_strays(found.values()),
            *warn_of(shelf.columns(), last=last),
            *noted,
            *crossing.findings,
        ]
        quality = QualitySummary(tables=tuple(found.values()), warnings=tuple(warnings))
        check_quarantined_share(
            quality,
            subject=self.settings.subject,
            maximum=self.settings.max_quarantined_share,
            quarantine=shelf.quarantine if isinstance(shelf, MemoryShelf) else None,
        )
        refuse_orphans(
            crossing.orphans,
            quality,
            subject=self.settings.subject,
            maximum=self.settings.max_orphan_share,
            quarantine=shelf.quarantine if isinstance(shelf, MemoryShelf) else None,
        )
        return quality

    def _cross(self, shelf: Shelf) -> Crossing:
        """Hold the tables against each other; a part of a source tells nothing of orphans."""
        read = {table.contract.name for table in self.bound} | set(self.files.left_out)
        whole = set(self.settings.mapped) == read
        with shelf.queried(self.connection) as (connection, views):
            return cross_tables(connection, views, bound=self.bound, whole=whole)

    def _contract(
        self, table: BoundTable, shelf: Shelf, others: Collection[TableQuality]
    ) -> tuple[TableQuality, list[Finding]]:
        malformed = self.files.malformed
        lines = [line for name in sorted(table.files) for line in malformed.get(name, [])]
        return contract_rows(
            self.connection,
            table,
            rules=self.settings.rules,
            horizon=max((each.last_usual for each in others if each.last_usual), default=None),
            malformed=lines,
            shelf=shelf,
        )


def _kept(shelf: MemoryShelf, opened: _Opened, quality: QualitySummary) -> ReadSource:
    accepted = ContractedTables(
        tables={name: shelf.tables[name] for name in CONTRACT if name in shelf.tables},
        timezone=opened.settings.timezone,
        base_currency=opened.settings.base_currency,
        digests=opened.digests,
        quality=quality,
        attributes=opened.settings.attributes,
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
    digested: bool = True,
) -> Iterator[_Opened]:
    """Find, open and bind the files of a mapping; see that none changes while it is read.

    Without `digested` no file is read for its digest, which is empty then.
    """
    settings = _Settings(
        subject=f"source {mapping.name!r}",
        mapped=mapping.completed,
        attributes=mapping.attributes,
        timezone=mapping.timezone,
        base_currency=mapping.base_currency,
        max_quarantined_share=mapping.max_quarantined_share,
        max_orphan_share=mapping.max_orphan_share,
        rules=RowRules(
            zone=mapping.timezone,
            form=mapping.identifiers,
            earliest=mapping.earliest,
            latest=mapping.latest,
        ),
    )
    _require_folder(data, settings.subject)
    faults = Faults(settings.subject, SourceError)
    mapped = mapping.completed
    wanted = set(mapped if tables is None else tables)
    note_mapping_faults(mapped, wanted, faults)
    chosen = {n: mapped[n] for n in CONTRACT if n in wanted and n in mapped}
    needed = mapping.files if tables is None else _needed_files(mapping, chosen)
    found = find_files({n: mapping.files[n] for n in needed}, data=data, faults=faults)
    state = file_states(found.values())
    with ExitStack() as stack:
        copies = stack.enter_context(private_folder(scratch))
        plain = make_plain(found, copies=copies, faults=faults)
        readable = readable_paths(plain.values())
        connection = stack.enter_context(
            closing(
                connect(data=None, threads=threads, memory=memory, scratch=scratch, files=readable)
            )
        )
        opened = open_files(connection, plain, faults=faults)
        unread = set(mapping.files) - opened.views
        bound = _bind(connection, chosen, opened, unread=unread, settings=settings, faults=faults)
        yield _Opened(
            connection=connection,
            bound=bound,
            files=opened,
            settings=settings,
            digests=digest_files(found.values()) if digested else {},
        )
    require_unchanged(state, file_states(found.values()), subject=settings.subject)
