"""The files of a source mapping as tables that Spark reads."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import duckdb
import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import to_arrow_type
from pyspark.sql.types import StringType, StructField, StructType

from kyc_ml.config import FileSource, SourceMapping
from kyc_ml.contract import (
    FoundFiles,
    digest_files,
    family_of,
    find_files,
    note_wrong_pages,
    open_files,
    readable_paths,
)
from kyc_ml.engines.spark.tasks import Report, run_each
from kyc_ml.errors import Faults, SourceError, hint
from kyc_ml.storage import connect, quote_name

Given: TypeAlias = Mapping[str, DataFrame | str]
"""Mapping of a name under `files` to a DataFrame, or the name of a table of the catalogue."""


def open_frames(
    spark: SparkSession,
    mapping: SourceMapping,
    *,
    data: Path | None,
    given: Given,
    faults: Faults,
) -> tuple[dict[str, DataFrame], dict[str, FoundFiles]]:
    """Open every file of a mapping as a DataFrame; note those that cannot be read.

    `data`: folder that all workers see under this path; None if no file is in one.
    `given`: what replaces files of the mapping.

    Returns the DataFrames by name, and the Parquet files found in the folder.
    """
    faults.extend(
        f"{name!r} is given, but not under `files`{hint(name, mapping.files)}"
        for name in given
        if name not in mapping.files
    )
    frames: dict[str, DataFrame] = {}
    in_folder: dict[str, FileSource] = {}
    for name, source in mapping.files.items():
        own = given.get(name, source.path if source.format == "catalogue" else None)
        if own is not None:
            try:
                frame = spark.table(own) if isinstance(own, str) else own
                _note_twice(name, frame.columns, faults)
                frames[name] = frame
            except PySparkException as error:
                faults.add(f"file {name!r}: table {own!r} of the catalogue {_say(error)}")
        elif source.format == "parquet":
            in_folder[name] = source
        else:
            faults.add(
                f"file {name!r}: {source.format} is read on one machine alone: write it as "
                "Parquet, or give a DataFrame or a table of the catalogue"
            )
    if not in_folder:
        return frames, {}
    if data is None or not data.is_dir():
        faults.add(f"data folder {data} of {', '.join(in_folder)} does not exist")
        return frames, {}
    found = find_files(in_folder, data=data, faults=faults)
    with closing(connect(data=None, files=readable_paths(found.values()))) as connection:
        opened = open_files(connection, found, faults=faults, pages=False)
        for name in sorted(opened.views):
            read = _read_parquet(spark, name, found[name], data, faults)
            if read is not None:
                _note_other_types(connection, name, arrow_schema(read), faults)
                frames[name] = read
    return frames, found


def _note_twice(name: str, columns: Sequence[str], faults: Faults) -> None:
    lowered = [column.lower() for column in columns]
    twice = sorted({column for column in lowered if lowered.count(column) > 1})
    faults.extend(f"file {name!r}: column {column!r} occurs twice" for column in twice)


def _read_parquet(
    spark: SparkSession, name: str, files: FoundFiles, data: Path, faults: Faults
) -> DataFrame | None:
    """Read the very files that were found; folders `key=value` are columns of text if asked for."""
    paths = [f"file://{path.resolve()}" for path in files.paths]
    try:
        frame = spark.read.parquet(*paths)
        if files.source.partitions:
            folders = [StructField(key, StringType()) for key in files.folder_values[0]]
            schema = StructType([*frame.schema.fields, *folders])
            root = f"file://{data.resolve()}"
            frame = spark.read.schema(schema).option("basePath", root).parquet(*paths)
        read = len(frame.inputFiles())
    except PySparkException as error:
        faults.add(f"file {name!r}: Spark {_say(error)}")
        return None
    if read != len(paths):  # as of a name that begins with _ or has a wildcard
        faults.add(
            f"file {name!r}: Spark reads {read:,} of {len(paths):,} files: rename the others"
        )
    return frame


def _say(error: PySparkException) -> str:
    """Return Spark's name of an error; its text may quote a value."""
    return f"cannot be read ({error.getCondition() or type(error).__name__})"


def _note_other_types(
    connection: duckdb.DuckDBPyConnection, name: str, schema: pa.Schema, faults: Faults
) -> None:
    """Note columns that Spark would hand over as another kind of value than is in the files."""
    connection.register("by Spark", schema.empty_table())
    here, there = (
        {row[0]: row[1] for row in connection.execute(f"DESCRIBE {quote_name(view)}").fetchall()}
        for view in (name, "by Spark")
    )
    for column, kind in there.items():
        if (family_of(kind) or kind) != (family_of(here[column]) or here[column]):
            faults.add(
                f"file {name!r}: column {column!r} is {here[column]}, and Spark reads it as "
                f"{kind}: write it as another type"
            )


def digest_on_workers(
    spark: SparkSession, found: Mapping[str, FoundFiles]
) -> tuple[dict[str, str], list[str]]:
    """Read all files once, on the workers: their SHA-256 by name, and the checksums of their pages.

    Returns also the names of the files without checksums. Raises SourceError for a wrong one.
    """
    each = {
        shown: replace(files, paths=(path,), names=(shown,))
        for files in found.values()
        for shown, path in zip(files.names, files.paths, strict=True)
    }

    def task(shown: str) -> Report:
        faults = Faults("files", SourceError)
        unchecked = note_wrong_pages(shown, each[shown], faults)
        faults.raise_if_any()
        return {"digest": digest_files([each[shown]])[shown], "unchecked": unchecked}

    reports = dict(zip(each, run_each(spark, task, list(each)), strict=True))
    digests = {shown: report["digest"] for shown, report in sorted(reports.items())}
    return digests, [name for report in reports.values() for name in report["unchecked"]]


def arrow_schema(frame: DataFrame) -> pa.Schema:
    """Return the columns that workers get; one of a type that Arrow lacks is left out."""
    fields = []
    for column in frame.schema.fields:
        try:
            fields.append(pa.field(column.name, to_arrow_type(column.dataType, timezone="UTC")))
        except PySparkException:
            continue
    return pa.schema(fields)
