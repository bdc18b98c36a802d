"""Land a source: its contracted tables in order, in files that every worker sees."""

import shutil
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from kyc_ml.config import SourceMapping, section_digest
from kyc_ml.contract import (
    CONTRACT,
    QUARANTINE_SCHEMA,
    BoundTable,
    Columns,
    ContractedTables,
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
    read_quality,
    require_unchanged,
    write_quality,
)
from kyc_ml.engines.spark.contracting import contract_table
from kyc_ml.engines.spark.sources import Given, arrow_schema, digest_on_workers, open_frames
from kyc_ml.errors import ConfigError, ContractError, Faults, GateError, OutputError, SourceError
from kyc_ml.storage import Checkpoints, private_folder, require_place


@dataclass(frozen=True, slots=True, kw_only=True)
class LandedSource:
    """Tables that satisfy the contract, in parts; see `StoredTables`."""

    parts: Mapping[str, tuple[Path, ...]]
    """Mapping of table to Parquet files: together they are the rows of one machine's file, in the
    same order."""
    quarantine: Path
    """Folder of files of the refused rows with their reasons, named by table."""
    mapping: SourceMapping
    digests: Mapping[str, str]
    quality: DataQualityReport
    resumed: tuple[str, ...]
    """Tables that an earlier start, which was killed, had landed."""

    def tables(self, *names: str) -> ContractedTables:
        """Read some tables into memory; those that the source has."""
        return ContractedTables(
            tables={
                name: pa.concat_tables(map(pq.read_table, self.parts[name]))
                for name in names
                if name in self.parts
            },
            timezone=self.mapping.timezone,
            base_currency=self.mapping.base_currency,
            digests=self.digests,
            quality=self.quality,
            attributes=self.mapping.attributes,
        )


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

    Rows, quarantine, counts and warnings are those of `read_source`, to the last bit. Started
    again after it was killed, with the same folder and files, it resumes after the tables that are
    landed; with other files it starts from the beginning.

    Parameters
    ----------
    folder : Path
        Folder that all workers see under this path, such as one of a shared file system; new, or
        of an earlier start.
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
    OutputError
        If the folder holds other files, or cannot be written.
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
        known = {**digests, "source mapping": section_digest(mapping)}
        landing = _Landing(
            spark=spark,
            frames=frames,
            rules=RowRules.of(mapping),
            folder=folder.absolute(),
            steps=_begin(folder.absolute(), known if set(frames) == set(found) else None),
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
        resumed=tuple(landing.resumed),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Landing:
    """The tables that are landed so far; see `CheckedRows`."""

    spark: SparkSession
    frames: Mapping[str, DataFrame]
    rules: RowRules
    folder: Path
    steps: Checkpoints
    parts: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    resumed: list[str] = field(default_factory=list)

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
        table = bound.contract.name
        done = self.steps.done(table)
        if done is not None:
            self.resumed.append(table)
            report = read_quality(done["quality"])
            self.parts[table] = tuple(self.folder / table / name for name in done["parts"])
            return report.tables[0], list(report.warnings)
        folder = self.folder / table
        shutil.rmtree(folder, ignore_errors=True)  # of a start that was killed
        for left in self.refused.glob(f"{table}-*.parquet"):
            left.unlink()
        [file] = bound.files
        with private_folder(self.folder) as work:
            parts, quality, noted = contract_table(
                self.spark,
                self.frames[file],
                RowPass(bound=bound, rules=self.rules, horizon=horizon),
                folder=folder,
                work=work,
                aside=self.refused,
            )
        report = DataQualityReport(tables=(quality,), warnings=tuple(noted))
        self.steps.note(
            table,
            [*parts, *sorted(self.refused.glob(f"{table}-*.parquet"))],
            {"parts": [path.name for path in parts], "quality": write_quality(report)},
        )
        self.parts[table] = parts
        return quality, noted


def _begin(folder: Path, identity: Mapping[str, str] | None) -> Checkpoints:
    """Resume what an earlier start has landed from the same files, or remove it."""
    steps = Checkpoints(folder)
    before = steps.identity()
    if before is None and folder.exists() and any(folder.iterdir()):
        raise OutputError(f"folder {folder} holds other files: name a new one to land tables in")
    if before is None or before != identity:
        shutil.rmtree(folder, ignore_errors=True)
        # of DataFrames nothing shows that they are the same: no later start has this identity
        steps.begin(identity or {"given": uuid.uuid4().hex})
    for left in folder.glob("kyc_ml_*"):  # a private folder of a start that was killed
        shutil.rmtree(left, ignore_errors=True)
    return steps
