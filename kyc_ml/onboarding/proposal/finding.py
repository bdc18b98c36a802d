"""The files of an unknown folder: which are tables, and how the contract would open them.

Files of the same shape are one source: those of a sub-folder, or with names that differ only in
digits.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from kyc_ml.config import FileSource
from kyc_ml.contract import say_os_error
from kyc_ml.onboarding.proposal.text_files import NotATableError, find_shape
from kyc_ml.storage import connect, quote_name, quote_text

Format = Literal["csv", "parquet", "json", "duckdb"]

_FORMATS: Final[dict[str, Format]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".asc": "csv",
    ".dat": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".duckdb": "duckdb",
    ".db": "duckdb",
}
_PACKED: Final = (".gz", ".zst", ".zstd", ".bz2", ".xz", ".lz4", ".zip")
_MOST_FILES: Final = 100_000
_DUCKDB_MAGIC: Final = b"DUCK"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSource:
    """A file, or several of the same shape, that can become one table."""

    name: str
    source: FileSource
    paths: tuple[Path, ...]
    confirm: tuple[str, ...] = ()
    """Guesses about how it is opened."""
    named: bool = True
    """False where the columns have no names in the file, and names are made up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFolder:
    """The contents of a folder."""

    sources: tuple[FoundSource, ...]
    unusable: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """How a file is opened, and its columns, by which files are grouped."""

    format: Format
    columns: tuple[str, ...]
    keys: tuple[tuple[str, object], ...] = ()
    confirm: tuple[str, ...] = ()
    named: bool = True
    table: str | None = None


def find_sources(data: Path) -> FoundFolder:
    """List the tables of a folder and its sub-folders, and the files that are not.

    Hidden files and links out of the folder are ignored. Only a file's head is read.
    """
    root = data.resolve()
    shaped: dict[Path, list[_Shape]] = {}
    unusable: dict[str, str] = {}
    for path in _files(root):
        try:
            shaped[path] = _shapes(path)
        except NotATableError as found:
            unusable[str(path.relative_to(root))] = found.reason
        except OSError as error:
            unusable[str(path.relative_to(root))] = say_os_error(error)
    sources: list[FoundSource] = []
    for (pattern, shape), paths in _groups(root, shaped).items():
        taken = {each.name.lower() for each in sources}
        keys = {**dict(shape.keys), **_partitions(pattern, shape)}
        source = FileSource.model_validate(
            {"path": pattern, "format": shape.format, "table": shape.table, **keys}
        )
        sources.append(
            FoundSource(
                name=_name(shape.table or pattern, taken),
                source=source,
                paths=tuple(paths),
                confirm=shape.confirm,
                named=shape.named,
            )
        )
    return FoundFolder(sources=tuple(sources), unusable=unusable)


def _files(root: Path) -> Iterator[Path]:
    found = []
    for path in root.rglob("*"):
        parts = path.relative_to(root).parts
        hidden = any(part.startswith((".", "_")) for part in parts)
        # a link may lead out of the folder that was named
        if not hidden and path.is_file() and path.resolve().is_relative_to(root):
            found.append(path)
        if len(found) == _MOST_FILES:
            break
    return iter(sorted(found, key=lambda path: (len(path.parts), str(path))))


def _shapes(path: Path) -> list[_Shape]:
    """Read a file's head; return several shapes for a file with several tables."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = False
    while suffixes and suffixes[-1] in _PACKED:
        packed = bool(suffixes.pop())
    kind = _FORMATS.get(suffixes[-1] if suffixes else "", "csv" if packed else None)
    if suffixes and suffixes[-1] in {".xlsx", ".xls", ".xlsm"}:
        raise NotATableError(reason="is an Excel workbook: save its sheet as CSV UTF-8")
    if kind is None:
        raise NotATableError(reason="is not a csv, parquet, json or duckdb file by its name")
    if not path.stat().st_size:
        raise NotATableError(reason="is empty (0 bytes)")
    if kind == "parquet":
        return [_parquet_shape(path)]
    if kind == "json":
        return [_Shape(format="json", columns=_json_columns(path))]
    if kind == "duckdb":
        return _duckdb_shapes(path)
    found = find_shape(path)
    keys = tuple(
        (key, tuple(value) if isinstance(value, list) else value)
        for key, value in found.keys.items()
    )
    return [
        _Shape(
            format="csv", columns=found.columns, keys=keys, confirm=found.confirm, named=found.named
        )
    ]


def _parquet_shape(path: Path) -> _Shape:
    try:
        return _Shape(format="parquet", columns=tuple(pq.read_schema(path).names))
    except (pa.ArrowException, OSError):
        raise NotATableError(reason="is truncated, corrupt or not a Parquet file") from None


def _json_columns(path: Path) -> tuple[str, ...]:
    with closing(connect(data=None, files=[path])) as connection:
        try:
            rows = connection.execute(
                f"DESCRIBE SELECT * FROM read_json({quote_text(str(path))}, maximum_depth=1, "
                "records=true)"
            ).fetchall()
        except duckdb.Error:
            raise NotATableError(
                reason="has no JSON records: one object per line, or an array"
            ) from None
    return tuple(row[0] for row in rows)


def _duckdb_shapes(path: Path) -> list[_Shape]:
    with path.open("rb") as handle:
        if handle.read(12)[8:] != _DUCKDB_MAGIC:
            raise NotATableError(reason="is not a DuckDB database")
    logs = [path, path.with_name(f"{path.name}.wal")]
    with closing(connect(data=None, files=logs)) as connection:
        try:
            connection.execute(
                f"ATTACH {quote_text(str(path))} AS {quote_name('looked at')} (READ_ONLY)"
            )
        except duckdb.Error:
            raise NotATableError(
                reason="cannot be opened: it may be of another DuckDB version"
            ) from None
        rows = connection.execute(
            "SELECT CASE schema_name WHEN 'main' THEN '' ELSE schema_name || '.' END || "
            "table_name, list(column_name ORDER BY column_index) FROM duckdb_columns() "
            "WHERE database_name = 'looked at' GROUP BY ALL ORDER BY 1"
        ).fetchall()
    return [_Shape(format="duckdb", columns=tuple(cols), table=name) for name, cols in rows]


def _groups(
    root: Path, shaped: Mapping[Path, list[_Shape]]
) -> dict[tuple[str, _Shape], list[Path]]:
    together: dict[tuple[str, _Shape], list[Path]] = {}
    for path, shapes in shaped.items():
        for shape in shapes:
            together.setdefault((_pattern(path.relative_to(root)), shape), []).append(path)
    groups: dict[tuple[str, _Shape], list[Path]] = {}
    for (pattern, shape), paths in together.items():
        matched = [path for path in root.glob(pattern) if path.is_file()]
        if len(paths) > 1 and shape.format != "duckdb" and sorted(matched) == sorted(paths):
            groups[pattern, shape] = paths
            continue
        for path in paths:
            groups[str(path.relative_to(root)), shape] = [path]
    return groups


def _pattern(path: Path) -> str:
    """Write the pattern that files of one table would share.

    Examples
    --------
    >>> _pattern(Path("booking_2024_01.csv")), _pattern(Path("day=2024-01-01/part.parquet"))
    ('booking_*.csv', 'day=*/*.parquet')
    """
    suffix = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    stem = "*" if len(path.parts) > 1 else _masked(path.name.removesuffix(suffix))
    return "/".join([*(_masked(part) for part in path.parent.parts), stem + suffix])


def _masked(text: str) -> str:
    return re.sub(r"\d+([-_.]?\d+)*", "*", text)


def _partitions(pattern: str, shape: _Shape) -> dict[str, bool]:
    """Read folders called `key=value` as columns, where no column has their name."""
    keys = {part.partition("=")[0].lower() for part in Path(pattern).parts[:-1] if "=" in part}
    there = {column.lower() for column in shape.columns}
    return {"partitions": True} if keys and not keys & there else {}


def _name(text: str, taken: set[str]) -> str:
    """Return a name for a source that SQL reads without quotes if possible."""
    stem = Path(text.replace("*", "")).name.partition(".")[0]
    if not stem.strip("_-= "):
        stem = Path(text).parent.name.replace("*", "")
    name = re.sub(r"\W+", "_", stem).strip("_") or "table"
    name = f"t_{name}" if name[0].isdigit() else name
    number, unique = 2, name
    while unique.lower() in taken:
        unique = f"{name}_{number}"
        number += 1
    return unique
