"""Rows in Parquet files that all workers see, and where each run of them is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from kyc_ml.contract import EVENT_TIME, KNOWN_AT, FileColumns
from kyc_ml.engines.spark.tasks import Report, run_each
from kyc_ml.errors import SourceError
from kyc_ml.features import DECISION_TIME, NEVER_US, UNTIL, Span, TimedRows, month_starts, span_of
from kyc_ml.metrics import Ints

_ROWS_READ: Final = 1 << 18
"""Rows of groups that are one part, at most, unless a group has more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Some row groups of a file: rows that follow each other in the order of their table."""

    path: str
    groups: tuple[int, ...]
    rows: int
    start: int
    """Place of the first row in the table."""
    span: Span | None = None
    """The outermost times, of events or decisions; None if no one has looked."""
    months: tuple[int, ...] = ()
    """First instants of the months of decisions, in microseconds."""

    def read(self, names: Sequence[str]) -> pa.Table:
        """Read columns of the rows, in the order of the names."""
        with pq.ParquetFile(self.path) as file:
            return file.read_row_groups(list(self.groups), columns=list(names)).select(list(names))

    @property
    def numbers(self) -> Ints:
        """Places of the rows in the table."""
        return np.arange(self.start, self.start + self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class LandedTables:
    """Tables in files that all workers see, and observations beside them."""

    files: Mapping[str, tuple[Path, ...]]
    """Mapping of place to Parquet files, at least one, together in the order of its rows."""
    schemas: Mapping[str, pa.Schema]
    parts: Mapping[str, tuple[Part, ...]]

    @classmethod
    def survey(cls, spark: SparkSession, files: Mapping[str, Sequence[Path]]) -> Self:
        """Find the parts of tables, on the workers.

        Raises SourceError if a file of a table has other columns than its first.
        """
        places = [(place, path) for place, paths in files.items() for path in paths]

        def task(path: str) -> Report:
            read = pq.read_schema(path).remove_metadata()
            return {"schema": read.serialize().to_pybytes().hex(), "parts": list(_parts_of(path))}

        reports = run_each(spark, task, [str(path) for _, path in places])
        schemas: dict[str, pa.Schema] = {}
        parts: dict[str, list[Part]] = {place: [] for place in files}
        for (place, path), report in zip(places, reports, strict=True):
            schema = pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(report["schema"])))
            if schemas.setdefault(place, schema) != schema:
                raise SourceError(f"{path} has other columns than the first file of {place}")
            for groups, rows, span, months in report["parts"]:
                end = parts[place][-1] if parts[place] else None
                part = Part(
                    path=str(path),
                    groups=tuple(groups),
                    rows=rows,
                    start=end.start + end.rows if end else 0,
                    span=Span(**span),
                    months=tuple(months),
                )
                parts[place].append(part)
        return cls(
            files={place: tuple(paths) for place, paths in files.items()},
            schemas=schemas,
            parts={place: tuple(found) for place, found in parts.items()},
        )

    def joined(self, other: "LandedTables") -> Self:
        """Return these tables and others."""
        return replace(
            self,
            files={**self.files, **other.files},
            schemas={**self.schemas, **other.schemas},
            parts={**self.parts, **other.parts},
        )

    def columns(self, place: str) -> FileColumns:
        """Return a table as columns that are read piece by piece."""
        return FileColumns(*self.files[place])


def as_parts(files: Sequence[tuple[str, int]]) -> tuple[Part, ...]:
    """Return whole files as parts: paths and numbers of rows, in order."""
    starts = np.cumsum([0, *(rows for _, rows in files)])
    return tuple(
        Part(
            path=path,
            groups=tuple(range(pq.read_metadata(path).num_row_groups)),
            rows=rows,
            start=int(start),
        )
        for (path, rows), start in zip(files, starts[:-1], strict=True)
    )


def _parts_of(path: str) -> Iterator[tuple[list[int], int, dict[str, int], list[int]]]:
    """List groups of rows that are read together, their number, times, and months of decisions."""
    with pq.ParquetFile(path) as file:
        sizes = [file.metadata.row_group(g).num_rows for g in range(file.metadata.num_row_groups)]
        groups: list[int] = []
        for group, size in enumerate([*sizes, _ROWS_READ]):
            rows = sum(sizes[each] for each in groups)
            if rows and rows + size > _ROWS_READ:
                yield (groups, rows, *_times_of(file, groups))
                groups = []
            groups = [*groups, group]


def _times_of(file: pq.ParquetFile, groups: list[int]) -> tuple[dict[str, int], list[int]]:
    """Return the outermost times of events or decisions, and the months of decisions."""
    there = file.schema_arrow.names
    if DECISION_TIME in there:
        read = file.read_row_groups(groups, columns=[DECISION_TIME])
        when = TimedRows(read, time=DECISION_TIME).event_time
        first, last = int(when.min()), int(when.max())
        span = Span(first_event=first, last_event=last, last_known=last, first_until=NEVER_US)
        return asdict(span), np.unique(month_starts(when)).tolist()
    names = [name for name in (EVENT_TIME, KNOWN_AT, UNTIL) if name in there]
    return asdict(span_of(TimedRows(file.read_row_groups(groups, columns=names)))), []
