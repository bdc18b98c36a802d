"""Run Python on the workers of a cluster, for files on a file system that they share."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeAlias, TypeVar

import duckdb
import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import DataFrame, SparkSession

from kyc_ml import errors
from kyc_ml.errors import KycMlError
from kyc_ml.storage import NO_MEMORY, is_out_of_memory

Item = TypeVar("Item")
Report: TypeAlias = dict[str, Any]
"""What a task reports: plain values, as JSON has them."""

_FAULT: Final = "fault"
_SETTINGS: Final = {
    # what moves are blobs: a batch of thousands of them would not fit into memory
    "spark.sql.execution.arrow.maxBytesPerBatch": str(64 << 20),
    # a task is a bucket: its number and its size are decided by us
    "spark.sql.adaptive.enabled": "false",
}


def run_each(
    spark: SparkSession, task: Callable[[Item], Report], items: Sequence[Item]
) -> list[Report]:
    """Run a task for each of some items, such as paths; return the reports in their order.

    Raises the task's KycMlError, whose text holds no value.
    """
    items = tuple(items)

    def work(batches: Iterator[pa.RecordBatch]) -> Iterator[Report]:
        for place in items_of(batches):
            yield {**task(items[place]), "place": place}

    reports = run_parts(tasks_of(spark, len(items)), work)
    return sorted(reports, key=lambda report: int(report["place"]))


def tasks_of(spark: SparkSession, number: int) -> DataFrame:
    """Return a partition for each of some tasks, with its number."""
    return spark.range(0, number, 1, max(number, 1))


def items_of(batches: Iterator[pa.RecordBatch]) -> Iterator[int]:
    """Return the numbers of the tasks of a partition of `tasks_of`."""
    for batch in batches:
        yield from batch.column(0).to_pylist()


def place_of() -> int:
    """Return the number of the partition that this worker works on."""
    context = TaskContext.get()
    assert context is not None  # noqa: S101  called on workers alone
    return int(context.partitionId())


def run_parts(
    rows: DataFrame, work: Callable[[Iterator[pa.RecordBatch]], Iterator[Report]]
) -> list[Report]:
    """Run a function on each partition of some rows; return all reports, each of them once.

    A task that is run again, or twice at the same time, reports once; what its other runs
    have left as well, such as files, is not in any report.

    Raises the function's KycMlError, whose text holds no value.
    """

    def reporting(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        try:
            reports = list(work(batches))
        except KycMlError as error:  # as a report: Spark would try again, and show the values
            reports = [{_FAULT: str(error), "kind": type(error).__name__}]
        except (duckdb.Error, pa.ArrowException, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            reports = [{_FAULT: f"a part of the rows {NO_MEMORY}", "kind": "CapacityError"}]
        texts = [json.dumps(report, ensure_ascii=False) for report in reports]
        yield pa.RecordBatch.from_pydict({"report": pa.array(texts, pa.string())})

    found = [
        json.loads(row.report) for row in rows.mapInArrow(reporting, "report string").collect()
    ]
    for report in found:
        if _FAULT in report:
            kind: type[KycMlError] = getattr(errors, report["kind"], KycMlError)
            raise kind(report[_FAULT])
    return found


@contextmanager
def exchanging(spark: SparkSession) -> Iterator[SparkSession]:
    """Return a session with the settings that exchanges need; they are restored afterwards."""
    before = {name: spark.conf.get(name) for name in _SETTINGS}
    for name, value in _SETTINGS.items():
        spark.conf.set(name, value)
    try:
        yield spark
    finally:
        for name, old in before.items():
            if old is not None:
                spark.conf.set(name, old)
