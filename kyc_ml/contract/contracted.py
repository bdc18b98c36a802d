"""Tables that satisfy the contract, in memory or in files, and the rows that were refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Final, Protocol, TypeAlias

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from kyc_ml.config import TableAttribute, require_kind
from kyc_ml.contract.quality import DataQualityReport
from kyc_ml.contract.sinks import Columns, FileColumns, ParquetSink, TableColumns
from kyc_ml.contract.tables import CASES, CONTRACT, CUSTOMER_ID, EVENT_TIME, KNOWN_AT, REVIEWS
from kyc_ml.display import say_count, say_in_html, say_plainly, say_span


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
        Of every input file; empty for tables in memory.
    attributes : tuple of TableAttribute
        The additional columns in `tables` that the user has declared, and what they mean.
    stored : StoredTables or None
        All columns, where `tables` has those of `StoredTables.keys` alone; None where it has all.
    """

    tables: Mapping[str, pa.Table]
    timezone: str
    base_currency: str
    digests: Mapping[str, str]
    quality: DataQualityReport
    attributes: tuple[TableAttribute, ...] = ()
    stored: StoredTables | None = None

    def __getitem__(self, name: str) -> pa.Table:
        """Return the table called `name`; KeyError if the source has none."""
        return self.tables[name]

    def store(self, folder: Path) -> StoredTables:
        """Write every table as a Parquet file, its rows in the same order.

        Raises
        ------
        OutputError
            If a file cannot be written.
        """
        sink = ParquetSink(folder, quarantine=folder)
        for name, table in self.tables.items():
            sink.put(name, table.schema, table.to_batches())
        return StoredTables(
            files=sink.files,
            timezone=self.timezone,
            base_currency=self.base_currency,
            digests=self.digests,
            quality=self.quality,
            attributes=self.attributes,
        )

    def to_pandas(self) -> dict[str, pd.DataFrame]:
        """Return every table as a data frame, by name."""
        return {name: table.to_pandas() for name, table in self.tables.items()}

    def columns(self) -> dict[str, Columns]:
        """Return every table as columns that are read piece by piece."""
        return {name: TableColumns(table) for name, table in self.tables.items()}

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
            each.table: f"{say_count(each.accepted, 'row')}, {each.quarantined:,} quarantined"
            for each in self.quality.tables
        }
        return say_plainly("ContractedTables", {**self._facts(), **rows})

    def _repr_html_(self) -> str:
        rows = self.quality.to_frame()[["table", "read", "accepted", "quarantined"]]
        return say_in_html("ContractedTables", self._facts(), tables=[rows])


def require_contracted(source: object) -> None:
    """Raise ConfigError if `source` is not of type ContractedTables."""
    require_kind(
        source,
        ContractedTables,
        name="source",
        cure="give .accepted of what kyc_ml.read_source or kyc_ml.contract_tables returns",
    )


QUARTER_US: Final = 900_000_000
"""A quarter of an hour, which divides the days of every time zone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """All rows of a table of which a file holds only those that became known last."""

    rows: int
    begins: int | None
    """First event_time, in microseconds; None without rows."""
    first_known: int | None
    """First known_at, in microseconds."""
    known: Mapping[int, int]
    """Rows that the file lacks, by the quarter of an hour (since 1970) in which they were known."""


class KeptHistory(Protocol):
    """A history whose rows are found by key."""

    def rows(
        self,
        table: str,
        key: str,
        values: pa.Array,
        columns: Collection[str],
        *,
        since_us: int | None = None,
    ) -> pa.Table:
        """Return the rows whose `key` has one of some values; see `history.HistoryStore.rows`."""

    def known(self, table: str, column: str, ids: pa.Array) -> pa.Array:
        """Return those of some identifiers that a row of a table has in a column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTables:
    """Tables that satisfy the contract, in files of any length."""

    files: Mapping[str, Path]
    """Mapping of table name to Parquet file, or folder of parts; the rows and columns that
    `ContractedTables` would hold, in the same order."""
    timezone: str
    base_currency: str
    digests: Mapping[str, str]
    quality: DataQualityReport
    attributes: tuple[TableAttribute, ...] = ()
    """`timezone`, `base_currency`, `digests`, `quality` and `attributes`: as in
    `ContractedTables`."""
    whole: Mapping[str, Whole] = field(default_factory=dict)
    """Mapping of table name to Whole; of tables whose file holds their last rows alone."""
    history: KeptHistory | None = None
    """Where their other rows are found; None if the files hold every row."""

    def columns(self) -> dict[str, Columns]:
        """Return every table as columns that are read piece by piece."""
        return {name: FileColumns(path) for name, path in self.files.items()}

    def keys(self, *, whole: bool = False) -> ContractedTables:
        """Read what observations and labels are made of, or the whole tables.

        It is the keys and times of all tables, and all of cases and reviews.
        """
        tables = {}
        for name, path in self.files.items():
            some = [*CONTRACT[name].key, CUSTOMER_ID, EVENT_TIME, KNOWN_AT]
            columns = None if whole or name in {CASES, REVIEWS} else list(dict.fromkeys(some))
            tables[name] = pq.read_table(path, columns=columns)
        shared = {each.name for each in fields(ContractedTables)} - {"tables", "stored"}
        given = {name: getattr(self, name) for name in shared}
        return ContractedTables(tables=tables, **given, stored=self)


Tables: TypeAlias = ContractedTables | StoredTables
"""Tables that satisfy the contract, wherever their rows are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSource:
    """Result of reading a source: the accepted tables, and the refused rows with reasons.

    Attributes
    ----------
    quarantine : pyarrow.Table
        Columns of `kyc_ml.contract.quarantine.QUARANTINE_SCHEMA`; holds customers' values.
    """

    accepted: ContractedTables
    quarantine: pa.Table

    def __repr__(self) -> str:
        return f"{self.accepted!r}\n  refused rows  {self.quarantine.num_rows:,}"
