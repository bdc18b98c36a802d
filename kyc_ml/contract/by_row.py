"""Bind a source whose rows other processes read, each by itself: on a cluster."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

import pyarrow as pa

from kyc_ml.config import SourceMapping
from kyc_ml.contract.binding import note_mapping_faults, select_sql
from kyc_ml.contract.bound_source import BoundSource, bind_tables
from kyc_ml.contract.files import OpenedFiles
from kyc_ml.contract.frames import register
from kyc_ml.contract.syntax import beyond_row
from kyc_ml.contract.tables import CONTRACT
from kyc_ml.errors import Faults
from kyc_ml.storage import connect


@contextmanager
def bind_by_row(
    mapping: SourceMapping,
    schemas: Mapping[str, pa.Schema],
    *,
    digests: Mapping[str, str],
    faults: Faults,
) -> Iterator[BoundSource]:
    """Bind the tables of a mapping to files of which the columns alone are known here.

    `schemas`: mapping of file to its columns; a file without is passed over in silence, as the
    fault that prevents reading it is noted in `faults` already.
    `digests`: mapping of path to SHA-256, see `BoundSource`.

    Raises SourceError with all faults: those of `read_source`, and SQL that looks beyond the row it
    is computed for, which no process could compute that has a part of the rows.
    """
    mapped = mapping.completed
    note_mapping_faults(mapped, mapped, faults)
    if mapping.control is not None:
        faults.add(
            "`control` is compared where the files arrive, on one machine: run kyc-ml check there, "
            "and leave the key out of the mapping for Spark"
        )
    opened = OpenedFiles(views=set(schemas))
    with closing(connect(data=None, files=[])) as connection:
        for name, schema in schemas.items():
            register(connection, name, schema.empty_table(), faults=faults)
        for name, table in mapped.items():
            beyond = beyond_row(connection, select_sql(table))
            if beyond:
                faults.add(
                    f"table {name!r}: {', '.join(beyond)} needs other rows, and on Spark each row "
                    "is mapped by itself: make a view of the catalogue that computes it, and name "
                    "it under `files` with format: catalogue"
                )
        chosen = {name: mapped[name] for name in CONTRACT if name in mapped}
        unread = set(mapping.files) - set(schemas)
        bound = bind_tables(
            connection, chosen, opened, unread=unread, mapping=mapping, faults=faults
        )
        yield BoundSource(
            connection=connection,
            subject=f"source {mapping.name!r}",
            mapping=mapping,
            bound=bound,
            files=opened,
            digests=digests,
        )
