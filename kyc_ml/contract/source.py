"""Read a user's files: contracted tables, a quarantine and a data quality report."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import duckdb

from kyc_ml.config import FilePath, SourceMapping, TableMapping, read_path
from kyc_ml.contract.binding import note_mapping_faults, select_sql
from kyc_ml.contract.bound_source import BoundSource, bind_tables
from kyc_ml.contract.checks import RowRules, raw_name, typed_sql
from kyc_ml.contract.contracted import KeptHistory, ReadSource, StoredTables
from kyc_ml.contract.control import check_control
from kyc_ml.contract.files import open_files
from kyc_ml.contract.folder import (
    digest_files,
    file_states,
    find_files,
    readable_paths,
    require_unchanged,
)
from kyc_ml.contract.identifiers import Sought, seek
from kyc_ml.contract.plain import make_plain
from kyc_ml.contract.sinks import ParquetSink
from kyc_ml.contract.syntax import files_named_in
from kyc_ml.contract.tables import CONTRACT
from kyc_ml.errors import Faults, NotReadyError, SourceError, hint_path
from kyc_ml.storage import connect, private_folder


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
        Contracted tables to read; None reads all mapped tables. Only the files that these
        tables need must exist.
    threads, memory
        What DuckDB may use.

    Raises
    ------
    SourceError
        Before a row is read, with all faults together: a file missing, empty or corrupt, a
        table or column that is not contracted or not mapped, an expression that does not
        bind or has the wrong type. Afterwards: `transactions` without a row.
    ContractError
        If more than ``mapping.max_quarantined_share`` of a table's rows break the contract, or
        more than ``mapping.max_orphan_share`` of the cases name a customer that does not exist.
    """
    data = read_path(data, name="data")
    with _opened(mapping, data, tables=tables, threads=threads, memory=memory) as opened:
        return opened.read()


def store_source(
    mapping: SourceMapping,
    *,
    data: Path,
    folder: Path,
    quarantine: Path,
    threads: int = 2,
    memory: str = "512MB",
    scratch: Path | None = None,
    history: KeptHistory | None = None,
) -> StoredTables:
    """Read the files of a mapping as `read_source` does, into files instead of memory.

    `folder`: for the tables: one Parquet file each.
    `quarantine`: new folder for the refused rows; written even if reading fails.
    `memory`: what DuckDB may use; it spills above it.
    `scratch`: folder to spill into; None takes the system's temporary one.
    `history`: where the rows that came earlier are; those of now may name them.
    Raises SourceError or ContractError as `read_source` does. SourceError also if a file changed
    while it was read; OutputError if a file cannot be written.
    """
    sink = ParquetSink(
        folder, quarantine=quarantine, threads=threads, memory=memory, scratch=scratch
    )
    with _opened(
        mapping, data, tables=None, threads=threads, memory=memory, scratch=scratch
    ) as opened:
        quality = opened.contract(sink, history=history)
    return StoredTables(
        files={name: sink.files[name] for name in CONTRACT if name in sink.files},
        timezone=mapping.timezone,
        base_currency=mapping.base_currency,
        digests=opened.digests,
        quality=quality,
        attributes=mapping.attributes,
    )


def digest_source(mapping: SourceMapping, *, data: Path) -> dict[str, str]:
    """Return the SHA-256 of every file that a mapping reads, by its path below `data`.

    Raises SourceError if a file is missing or empty.
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

    None if the columns cannot be read: `read_source` then reports all faults together.
    """
    try:
        with _opened(
            mapping, data, tables=tables, threads=2, memory="1GB", digested=False
        ) as opened:
            ids = []
            for bound in opened.bound:
                of_type = typed_sql(
                    bound.contract.column(column), bound.types[column], RowRules.of(mapping)
                )
                raw = f"(\n{bound.expressions[column]}\n) AS {raw_name(column)} {bound.rows}"
                ids.append(f"SELECT {of_type} AS id FROM (SELECT {raw})")
            return seek(opened.connection, " UNION ALL ".join(ids), identifier)
    except (SourceError, duckdb.Error):
        return None


def _require_folder(data: Path, subject: str) -> None:
    if not data.is_dir():
        near = hint_path(data.name, [each.name for each in data.parent.glob("*") if each.is_dir()])
        msg = f"{subject}: data folder {data} does not exist{near}"
        # a folder for each delivery is made when it comes
        raise (NotReadyError if data.absolute().parent.is_dir() else SourceError)(msg)


def _needed_files(mapping: SourceMapping, chosen: Mapping[str, TableMapping]) -> set[str]:
    """Return the files that the chosen tables read; all, if the SQL of a mapping does not parse."""
    needed: set[str] = set()
    with closing(connect(data=None, files=[])) as connection:
        for table in chosen.values():
            named = files_named_in(connection, select_sql(table), mapping.files)
            needed |= set(mapping.files) if named is None else named
    return needed


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
) -> Iterator[BoundSource]:
    """Find, open and bind the files of a mapping; raise if one changes while it is read.

    Without `digested` no file is read for its digest, and `digests` is empty.
    """
    subject = f"source {mapping.name!r}"
    _require_folder(data, subject)
    faults = Faults(subject, SourceError)
    mapped = mapping.completed
    wanted = set(mapped if tables is None else tables)
    note_mapping_faults(mapped, wanted, faults)
    chosen = {n: mapped[n] for n in CONTRACT if n in wanted and n in mapped}
    needed = mapping.files if tables is None else _needed_files(mapping, chosen)
    found = find_files({n: mapping.files[n] for n in needed}, data=data, faults=faults)
    # before anything is read, so that any later change shows
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
        opened = open_files(connection, plain, faults=faults, pages=digested)
        digests = digest_files(found.values()) if digested else {}
        if mapping.control is not None and digested and tables is None:
            opened.business_dates = check_control(
                connection,
                mapping.control,
                data=data,
                found=found,
                opened=opened,
                digests=digests,
                faults=faults,
            )
        unread = set(mapping.files) - opened.views
        bound = bind_tables(
            connection, chosen, opened, unread=unread, mapping=mapping, faults=faults
        )
        yield BoundSource(
            connection=connection,
            subject=subject,
            mapping=mapping,
            bound=bound,
            files=opened,
            digests=digests,
        )
    require_unchanged(state, file_states(found.values()), subject=subject)
