"""Run Python on the workers of a cluster, for files on a file system that they share."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeAlias

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from kyc_ml import errors
from kyc_ml.errors import KycMlError

Report: TypeAlias = dict[str, Any]
"""What a task reports: plain values, as JSON has them."""

_FAULT: Final = "fault"


def run_each(
    spark: SparkSession, task: Callable[[str], Report], items: Sequence[str]
) -> list[Report]:
    """Run a task for each of some texts, such as paths; return the reports in their order.

    Raises the task's KycMlError, whose text holds no value.
    """
    items = tuple(items)

    def work(batches: Iterator[pa.RecordBatch]) -> Iterator[Report]:
        for batch in batches:
            for place in batch["id"].to_pylist():
                yield {**task(items[place]), "place": place}

    if not items:
        return []
    places = spark.range(0, len(items), 1, len(items))
    return sorted(run_parts(places, work), key=lambda report: int(report["place"]))


def run_parts(
    rows: DataFrame, work: Callable[[Iterator[pa.RecordBatch]], Iterator[Report]]
) -> list[Report]:
    """Run a function on each partition of some rows; return all reports, each of them once.

    A task that is run again, or twice at the same time, reports once; what else its other runs
    have left, such as files, is not in any report.

    Raises the function's KycMlError, whose text holds no value.
    """

    def reporting(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        try:
            reports = list(work(batches))
        except KycMlError as error:  # as a report: Spark would try again, and show the values
            reports = [{_FAULT: str(error), "kind": type(error).__name__}]
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
