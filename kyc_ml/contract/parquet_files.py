"""Parquet files as views: files of a pattern that hold one table, column by column of one kind."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from kyc_ml.contract.folder import FoundFiles, may_be_copied
from kyc_ml.contract.packing import FileFaultError
from kyc_ml.contract.partitions import FILE, note_folder_faults, with_folder_values
from kyc_ml.contract.quarantine import MalformedLine
from kyc_ml.errors import Faults
from kyc_ml.storage import quote_list, quote_name, quote_text

_MOST_ROWS_A_BYTE: Final = 100
_ALWAYS_READ: Final = 1_000_000
"""Convention: rows with different keys need far more than a bit each. A file of 5 KB may
declare a billion rows of one value, and fill the disk before the first row is read."""
_MAGIC: Final = b"PAR1"
_EXACT: Final = 2**53
"""Whole numbers up to here are exact as floats."""
_NUMBERS: Final = {"whole number", "decimal", "float"}
_INSTANT, _WALL_TIME, _DATE = "instant", "time without a zone", "date"
_INT96: Final = "instant (INT96)"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """What one file declares about its columns."""

    kinds: Mapping[str, str]
    """Mapping of column to kind; the kinds that must be the same in all files of a pattern;
    ``empty`` matches any."""
    inexact: frozenset[str]
    """Columns of whole numbers that a float might not hold."""


def open_parquet(
    connection: duckdb.DuckDBPyConnection, name: str, files: FoundFiles, faults: Faults
) -> list[MalformedLine]:
    """Make a view over the files; note those that are not Parquet, or differ from the first."""
    before = len(faults)
    shapes: dict[str, _Shape] = {}
    for shown, path in zip(files.names, files.paths, strict=True):
        try:
            shapes[shown] = _shape(path)
        except FileFaultError as error:
            faults.add(f"file {name!r}: {shown!r} {error.strerror}")
        except (pa.ArrowException, OSError):
            faults.add(
                f"file {name!r}: {shown!r} is truncated, corrupt or no Parquet file",
                passing=may_be_copied(path) and _begins_well(path),
            )
    if len(faults) > before:
        return []
    faults.extend(f"file {name!r}: {fault}" for fault in _differences(shapes))
    columns = next(iter(shapes.values())).kinds
    if files.source.partitions:
        note_folder_faults(name, files, columns, faults)
    if len(faults) > before:
        return []
    paths = quote_list([str(path.resolve()) for path in files.paths])
    partitions = files.source.partitions
    named = f", filename={quote_text(FILE)}" if partitions else ""
    rows = f"read_parquet({paths}, hive_partitioning=false, union_by_name=true{named})"
    if partitions:
        rows = with_folder_values(connection, name, files, rows)
    connection.execute(
        f"CREATE TEMP VIEW {quote_name(name)} AS SELECT *{_instants(shapes)} FROM {rows}"
    )
    return []


def _begins_well(path: Path) -> bool:
    with path.open("rb") as handle:
        return handle.read(len(_MAGIC)) == _MAGIC


def _instants(shapes: Mapping[str, _Shape]) -> str:
    """Write what makes instants of INT96 columns, which DuckDB reads as times without a zone."""
    # beside a column that is an instant in another file DuckDB has made one of it already, in the
    # session's zone, which is UTC
    alone = [
        column
        for column in next(iter(shapes.values())).kinds
        if {shape.kinds[column] for shape in shapes.values()} - {"empty"} == {_INT96}
    ]
    made = ", ".join(f"timezone('UTC', {quote_name(c)}) AS {quote_name(c)}" for c in alone)
    return f" REPLACE ({made})" if alone else ""


def _shape(path: Path) -> _Shape:
    with pq.ParquetFile(path) as file:
        metadata, schema = file.metadata, file.schema_arrow
        rows, size = metadata.num_rows, path.stat().st_size
        if rows > max(_ALWAYS_READ, _MOST_ROWS_A_BYTE * size):
            msg = f"declares {rows:,} rows in {size:,} bytes, which cannot be rows of a table"
            raise FileFaultError(reason=msg)
        kinds = {field.name: _kind(field.type) for field in schema}
        for column in _int96_columns(file):
            # Impala alone writes its own clock there; Spark and Hive write instants
            wall = (metadata.created_by or "").lower().startswith("impala")
            kinds[column] = _WALL_TIME if wall else _INT96
        return _Shape(kinds=kinds, inexact=frozenset(_inexact(metadata, kinds)))


def _int96_columns(file: pq.ParquetFile) -> Iterator[str]:
    for position in range(file.metadata.num_columns):
        column = file.schema.column(position)
        if column.physical_type == "INT96" and column.max_repetition_level == 0:
            yield column.path


def _inexact(metadata: pq.FileMetaData, kinds: Mapping[str, str]) -> Iterator[str]:
    """List columns of whole numbers that a float may not hold, by the statistics of the file."""
    for group in range(metadata.num_row_groups):
        for position in range(metadata.num_columns):
            column = metadata.row_group(group).column(position)
            if kinds.get(column.path_in_schema) != "whole number":
                continue
            counted = column.statistics
            known = counted is not None and counted.has_min_max
            if not known or max(abs(counted.min), abs(counted.max)) > _EXACT:
                yield column.path_in_schema


def _kind(type_: pa.DataType) -> str:
    """Name what a column holds, as far as its values could be mistaken for another's."""
    if pa.types.is_dictionary(type_):
        return _kind(type_.value_type)
    if pa.types.is_timestamp(type_):
        return _WALL_TIME if type_.tz is None else _INSTANT
    tests = {
        "empty": pa.types.is_null,
        "text": lambda t: pa.types.is_string(t) or pa.types.is_large_string(t),
        "whole number": pa.types.is_integer,
        "decimal": pa.types.is_decimal,
        "float": pa.types.is_floating,
        "true or false": pa.types.is_boolean,
        _DATE: pa.types.is_date,
    }
    return next((kind for kind, test in tests.items() if test(type_)), str(type_))


def _differences(shapes: Mapping[str, _Shape]) -> Iterator[str]:
    """Return which file differs from the first, in its columns or in what they hold."""
    first = next(iter(shapes.values()))
    for shown, shape in shapes.items():
        differ = ", ".join(sorted(set(shape.kinds) ^ set(first.kinds)))
        if differ:
            yield f"{shown!r} differs from the first file in column(s) {differ}"
            return
    for column in first.kinds:
        fault = _mixture(column, shapes)
        if fault:
            yield fault


def _mixture(column: str, shapes: Mapping[str, _Shape]) -> str | None:
    """Return the fault if a column holds another kind of value than in the files before."""
    seen: dict[str, str] = {}
    for shown, shape in shapes.items():
        seen.setdefault(shape.kinds[column], shown)
    kinds = set(seen) - {"empty"}
    if len(kinds) < 2 or kinds <= {_DATE, _WALL_TIME} or kinds <= {_INSTANT, _INT96}:
        return None
    if kinds <= _NUMBERS:
        inexact = [shown for shown, shape in shapes.items() if column in shape.inexact]
        if "float" not in kinds or not inexact:
            return None
    (one, first), (other, second) = [(k, f) for k, f in seen.items() if k in kinds][:2]
    return (
        f"column {column!r} holds two kinds of values, {one} in {first!r} and {other} in "
        f"{second!r}: write it alike in all files, or name the two kinds as separate files"
    )
