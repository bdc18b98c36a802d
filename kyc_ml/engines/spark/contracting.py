"""The contract on Spark: workers check rows, the driver compares tables and sums up.

Spark reads the columns that a mapping names. Each worker maps and checks its rows with the SQL that
one machine runs (`RowPass`), so that an expression means the same on both. Accepted rows are
written once, by the workers, and only rows whose key comes twice are brought together.
"""

import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from kyc_ml.contract import CheckedPortion, RowPass, save_quarantine
from kyc_ml.engines.spark.tasks import Report, run_parts
from kyc_ml.storage import connect, written_whole

_ROWS, _BYTES = 1 << 17, 64 << 20
"""What a worker checks at once, whichever comes first."""
_MEMORY: Final = "512MB"
"""What DuckDB of a worker may use; it spills above it."""


@dataclass(slots=True)
class Checked:
    """What the workers have written and counted of a table."""

    accepted: list[str] = field(default_factory=list)
    """Files of accepted rows, with their remarks."""
    refused: list[str] = field(default_factory=list)
    """Files of refused rows, as the quarantine has them."""
    broken: Counter[tuple[str, ...]] = field(default_factory=Counter)
    """See `CheckedPortion`."""


def check_table(
    spark: SparkSession, frame: DataFrame, given: RowPass, folder: Path
) -> tuple[DataFrame, Checked]:
    """Map and check the rows of a table, and return those that are accepted.

    `folder`: new folder that all workers see under this path; for accepted and refused rows.

    Returns the accepted rows, columns of `RowPass.noting`, and what was counted.

    Raises SourceError or CapacityError if the rows cannot be computed.
    """
    columns = [f"`{name.replace('`', '``')}`" for name in given.columns_read(frame.columns)]
    checked = _run(frame.select(*columns), given, RowPass.check, folder)
    rows = _read(spark, checked, given)
    key = list(given.bound.contract.key)
    repeated = rows.groupBy(*key).count().where("count > 1").select(*key)
    if repeated.isEmpty():
        return rows, checked
    # the rows of these keys alone are brought together, those of a key in one partition
    twice = rows.join(repeated, key, "left_semi").select(*rows.columns)
    first = _run(twice.repartition(*key), given, RowPass.keep_first, folder, whole=True)
    checked.refused += first.refused
    checked.broken[()] -= first.broken.total()
    checked.broken.update(first.broken)
    once = rows.join(repeated, key, "left_anti").select(*rows.columns)
    return once.unionByName(_read(spark, first, given)), checked


def _read(spark: SparkSession, checked: Checked, given: RowPass) -> DataFrame:
    schema = from_arrow_schema(given.noting)
    if not checked.accepted:
        return spark.createDataFrame([], schema)
    return spark.read.schema(schema).parquet(*(f"file://{path}" for path in checked.accepted))


def _run(
    rows: DataFrame,
    given: RowPass,
    step: Callable[[RowPass, duckdb.DuckDBPyConnection, pa.Table], CheckedPortion],
    folder: Path,
    *,
    whole: bool = False,
) -> Checked:
    """Run one step of a table's check on each partition, in portions or as a whole."""

    def work(batches: Iterator[pa.RecordBatch]) -> Iterator[Report]:
        broken: Counter[tuple[str, ...]] = Counter()
        refused = []
        # names are new each time: what a task leaves that is run again is in no report
        path = folder / f"accepted-{uuid.uuid4().hex}.parquet"
        with (
            closing(connect(data=None, threads=1, memory=_MEMORY, files=[])) as connection,
            written_whole(path) as handle,
            pq.ParquetWriter(handle, given.noting, compression="lz4") as writer,
        ):
            for portion in _portions(batches, whole=whole):
                found = step(given, connection, portion)
                writer.write_table(found.accepted)
                broken.update(found.broken)
                if found.refused.num_rows:
                    refused.append(str(folder / f"refused-{uuid.uuid4().hex}.parquet"))
                    save_quarantine(found.refused, Path(refused[-1]))
        counts = [[list(reasons), count] for reasons, count in broken.items()]
        yield {"accepted": str(path), "refused": refused, "broken": counts}

    total = Checked()
    for report in run_parts(rows, work):
        total.accepted.append(report["accepted"])
        total.refused += report["refused"]
        for reasons, count in report["broken"]:
            total.broken[tuple(reasons)] += count
    return total


def _portions(batches: Iterator[pa.RecordBatch], *, whole: bool) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        rows, size = sum(each.num_rows for each in held), sum(each.nbytes for each in held)
        if not whole and (rows >= _ROWS or size >= _BYTES):
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)
