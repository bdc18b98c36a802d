"""Land a source: its contracted tables in order, in files that every worker sees."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from kyc_ml.config import SourceMapping
from kyc_ml.contract import (
    CONTRACT,
    QUARANTINE_SCHEMA,
    BoundTable,
    Columns,
    DataQualityReport,
    FileColumns,
    MalformedLine,
    Queried,
    RowPass,
    RowRules,
    RuleFinding,
    TableQuality,
    bind_by_row,
    file_states,
    query_files,
    require_unchanged,
)
from kyc_ml.engines.spark.contracting import contract_table
from kyc_ml.engines.spark.sources import Given, arrow_schema, digest_on_workers, open_frames
from kyc_ml.errors import ConfigError, ContractError, Faults, GateError, SourceError
from kyc_ml.storage import private_folder, require_place

_PART_ROWS: Final = 1 << 20
"""Rows of a part, about: what a worker sorts in memory."""
_GROUP_ROWS: Final = 1 << 18
"""Rows of a row group: what a reader holds in memory."""
_LITTLE: Final[dict[str, Any]] = {"threads": 1, "memory": "512MB", "scratch": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class LandedSource:
    """Tables that satisfy the contract, in parts; see `StoredTables`."""

    parts: Mapping[str, tuple[Path, ...]]
    """Mapping of table to Parquet files: together they are the rows of one machine's file, in the
    same order."""
    quarantine: Path
    """Folder of the refused rows with their reasons."""
    mapping: SourceMapping
    digests: Mapping[str, str]
    quality: DataQualityReport


def require_utc(spark: SparkSession) -> None:
    """Raise ConfigError unless the session's time zone is UTC: Spark shifts times otherwise."""
    zone = spark.conf.get("spark.sql.session.timeZone")
    if zone not in {"UTC", "Etc/UTC", "Z", "GMT", "+00:00"}:
        raise ConfigError(
            f"the Spark session's time zone is {zone!r}, not UTC: times would be shifted; set "
            "spark.sql.session.timeZone=UTC"
        )


def land(
    spark: SparkSession,
    mapping: SourceMapping,
    *,
    folder: Path,
    data: Path | None = None,
    given: Given | None = None,
) -> LandedSource:
    """Read a source on Spark, and write what satisfies the contract.

    Rows, quarantine, counts and warnings are those of `read_source`, to the last bit.

    Parameters
    ----------
    folder : Path
        New folder that all workers see under this path, such as one of a shared file system.
    data : Path, optional
        Folder of the mapping's Parquet files, which all workers see; not needed where all files
        are given or are tables of the catalogue.
    given : mapping of a name under `files` to a DataFrame or a table's name, optional
        What is read instead of the file.

    Raises
    ------
    ConfigError
        If the session's time zone is not UTC.
    SourceError
        Before a row is read, with all faults together, as `read_source` does; also for files that
        Spark cannot read with the same values, and SQL that needs other rows.
    GateError
        If too many rows break the contract, or too many cases are orphans; the refused rows are in
        the folder ``quarantine``.
    """
    require_utc(spark)
    require_place(folder)
    faults = Faults(f"source {mapping.name!r}", SourceError)
    frames, found = open_frames(spark, mapping, data=data, given=given or {}, faults=faults)
    state = file_states(found.values())
    schemas = {name: arrow_schema(frame) for name, frame in frames.items()}
    with bind_by_row(mapping, schemas, digests={}, faults=faults) as bound:
        digests, unchecked = digest_on_workers(spark, found)
        bound.files.unchecked += unchecked
        landing = _Landing(
            spark=spark, frames=frames, rules=RowRules.of(mapping), folder=folder.absolute()
        )
        try:
            quality = replace(bound, digests=digests).check(landing, landing.contract)
        except ContractError as error:
            raise GateError(
                f"{error}\nthe refused rows, with their reasons, are in {landing.refused}"
            ) from None
    require_unchanged(state, file_states(found.values()), subject=f"source {mapping.name!r}")
    return LandedSource(
        parts={name: landing.parts[name] for name in CONTRACT if name in landing.parts},
        quarantine=landing.refused,
        mapping=mapping,
        digests=digests,
        quality=quality,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Landing:
    """The tables that are landed so far; see `CheckedRows`."""

    spark: SparkSession
    frames: Mapping[str, DataFrame]
    rules: RowRules
    folder: Path
    parts: dict[str, tuple[Path, ...]] = field(default_factory=dict)

    @property
    def refused(self) -> Path:
        return self.folder / "quarantine"

    @property
    def quarantine(self) -> pa.Table:
        """No row: the folder has them, of any number."""
        return QUARANTINE_SCHEMA.empty_table()

    def columns(self) -> dict[str, Columns]:
        return {name: FileColumns(*paths) for name, paths in self.parts.items()}

    def queried(self, connection: duckdb.DuckDBPyConnection) -> AbstractContextManager[Queried]:
        del connection  # it may read no file
        return query_files(self.parts, threads=2, memory="1GB", scratch=None)

    def contract(
        self, bound: BoundTable, *, horizon: datetime | None, malformed: Sequence[MalformedLine]
    ) -> tuple[TableQuality, list[RuleFinding]]:
        """Check a table and land its rows; as `contract_rows` does."""
        del malformed  # only files of text have such lines
        [file] = bound.files
        folder = self.folder / bound.contract.name
        with private_folder(self.folder) as work:
            parts, quality, noted = contract_table(
                self.spark,
                self.frames[file],
                RowPass(bound=bound, rules=self.rules, horizon=horizon),
                folder=folder,
                work=work,
                aside=self.refused,
            )
        self.parts[bound.contract.name] = parts
        return quality, noted
