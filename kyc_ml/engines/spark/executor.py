"""Carry out the passes of a plan on a cluster."""

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial, reduce
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession

from kyc_ml.contract import CUSTOMER_ID, CUSTOMERS
from kyc_ml.engines.spark.blobs import BLOBS, BlobBucket, as_blob, decode, encode, to_blobs
from kyc_ml.engines.spark.counting import Counted, count_runs, runs_of
from kyc_ml.engines.spark.parts import LandedTables, Part, as_parts
from kyc_ml.engines.spark.skew import Routes, routes_of, weigh
from kyc_ml.engines.spark.tasks import Report, items_of, place_of, run_parts, tasks_of
from kyc_ml.features import (
    PEERS,
    ROW,
    FeatureSpec,
    FeatureWriter,
    MonthStatistics,
    Partition,
    Pass,
    Populations,
    Sent,
    Targets,
    WholeCount,
    Work,
    adds_up,
    as_pass,
    bucket_of,
    keyed_rows,
    rows_stream,
    sent_stream,
    touched,
)
from kyc_ml.storage import written_whole

_MEASURES: Final = "measures"
_LEVEL: Final = 2
"""Digits, before the name of a feature, of how few columns groups of its peers agree in."""
_GROUP_ROWS: Final = 1 << 17
"""Rows of a row group of features: what a reader holds in memory."""
_Batches = Iterator[pa.RecordBatch]


class SparkParts:
    """Rows of all places by bucket, and the values that passes send; an `Executor` on Spark.

    Nothing runs before a result is asked for: passes that hand values on are one job with the pass
    that reads them, unless several read them.

    Parameters
    ----------
    folder : Path
        Folder that all workers see under this path.
    """

    def __init__(
        self,
        spark: SparkSession,
        work: Work,
        tables: LandedTables,
        *,
        specs: Sequence[FeatureSpec],
        folder: Path,
    ) -> None:
        self._spark = spark
        self.work = work
        self.tables = tables
        self._specs = specs
        self._folder = folder
        whole = [each for each in work.plan.passes if each.site.anchor is None]
        counted = [spec for each in whole for spec in each.specs if adds_up(spec)]
        self._counted = count_runs(spark, tables, counted, timezone=work.timezone)
        self._weights = weigh(spark, tables, work)
        self._sent: list[tuple[frozenset[str], DataFrame]] = []
        self._kept: list[DataFrame] = []

    def close(self) -> None:
        """Free what workers keep for several passes."""
        for frame in self._kept:
            frame.unpersist()

    def carry(self, number: int) -> None:
        """Run a pass in every bucket, and hand its values to where they are read."""
        each = self.work.plan.passes[number]
        if each.site.anchor is not None:
            routes = routes_of(each, self.tables, self.work, self._weights)
            own = self.tables.parts[each.site.place] if each.is_of_itself else ()
            run = partial(_run_bucket, self.work, each, routes, own)
            self._send(each, number, self._gathered(each, routes).mapInArrow(run, BLOBS))
            return
        counted = [spec for spec in each.specs if adds_up(spec)]
        others = [spec for spec in each.specs if not adds_up(spec)]
        place = each.site.place
        if counted:
            count = partial(
                _count_part,
                work=self.work,
                tables=self.tables,
                each=each,
                specs=counted,
                counted=self._counted,
            )
            self._send(each, number, self._by_part(place, count))
        if others:
            part = as_pass(each.level, each.site, others)
            run = partial(_run_whole, self.work, self.tables, part)
            carried = any(self.work.carried(at, columns) for (at, _), columns in touched(part))
            if carried or part.is_of_itself:
                # one worker holds all rows of a few columns
                alone = Routes(place=(place, None), n_groups=1)
                gathered = self._gathered(part, alone)
                self._send(each, number, gathered.mapInArrow(partial(run, None), BLOBS))
            else:
                self._send(each, number, self._by_part(place, run))

    def members(self, populations: Populations) -> None:
        """Write the customers known at the start of each month, as observations of all rounds."""
        write = partial(_write_members, self.work, populations, self._folder)
        by_customer = (CUSTOMERS, CUSTOMER_ID)
        routes = Routes(place=by_customer, n_groups=self.work.n_buckets)
        buckets = _exchanged(self._divided([by_customer], routes), routes.n_groups)
        found = sorted(run_parts(buckets, write), key=lambda report: int(report["bucket"]))
        parts = as_parts([(report["path"], report["rows"]) for report in found])
        places = populations.rounds
        self.tables = self.tables.joined(
            LandedTables(
                files={},
                schemas=dict.fromkeys(places, PEERS),
                parts=dict.fromkeys(places, parts),
            )
        )

    def measure(self, last: Pass, populations: Populations) -> None:
        """Measure the peers of a round, and find the statistics of their groups by month."""
        place = last.site.place
        # a customer at a month is one row: its buckets are not divided
        routes = Routes(place=(place, CUSTOMER_ID), n_groups=self.work.n_buckets)
        measure = partial(_measure, self.work, last, populations)
        measured = self._gathered(last, routes).mapInArrow(measure, BLOBS)
        months = _exchanged(measured, max(populations.months.size, 1))
        compare = partial(_compare, populations, place)
        found = months.mapInArrow(compare, BLOBS).collect()
        months_of: dict[int, dict[str, list[pd.DataFrame]]] = defaultdict(lambda: defaultdict(list))
        for row in sorted(found, key=lambda row: (row.bucket, row.stream)):
            months_of[row.bucket][row.stream[_LEVEL:]].append(decode(row.data).to_pandas())
        ordered: list[MonthStatistics] = [*months_of.values()]
        if not ordered:
            nothing, _ = populations.measure(self.work, BlobBucket([], {}), last)
            ordered = [populations.compare(place, nothing)]
        populations.learn(place, ordered)

    def write(self, last: Pass, populations: Populations) -> list[Report]:
        """Write the features of each bucket into a file; return the reports by bucket."""
        write = partial(
            _write_features,
            work=self.work,
            last=last,
            specs=self._specs,
            populations=populations,
            folder=self._folder,
        )
        routes = routes_of(last, self.tables, self.work, self._weights)
        found = run_parts(self._gathered(last, routes), write)
        reports = {report["bucket"]: report for report in found}
        return [reports[group] for group in routes.in_order()]

    def _send(self, each: Pass, number: int, frame: DataFrame) -> None:
        """Note what a pass sends; it is kept if several later passes read it."""
        streams = _streams(each, self.work.targets(each, each.specs))
        later = self.work.plan.passes[number + 1 :]
        readers = [other for other in later if streams & self._streams_read(other)]
        if len(readers) > 1:
            frame = frame.persist(StorageLevel.DISK_ONLY)
            self._kept.append(frame)
        self._sent.append((streams, frame))

    def _streams_read(self, each: Pass) -> frozenset[str]:
        found = {sent_stream(partition, carried=True) for partition, _ in touched(each)}
        if self.work.plan.ends(each):
            found.add(sent_stream((each.site.place, CUSTOMER_ID), carried=False))
        return frozenset(found)

    def _gathered(self, each: Pass, routes: Routes) -> DataFrame:
        """Bring together what a pass reads, a partition for each of its groups."""
        rows = self._divided(
            list(dict.fromkeys(partition for partition, _ in touched(each))), routes
        )
        wanted = self._streams_read(each)
        found = [
            routes.spread(
                frame if streams <= wanted else frame.where(frame.stream.isin(*(streams & wanted)))
            )
            for streams, frame in self._sent
            if streams & wanted
        ]
        return _exchanged(reduce(DataFrame.unionAll, found, rows), routes.n_groups)

    def _divided(self, partitions: Sequence[Partition], routes: Routes) -> DataFrame:
        """Divide rows by columns: a task for each part of a table."""
        places = [
            (partition, at)
            for partition in partitions
            if partition[1] is not None
            for at in range(len(self.tables.parts[partition[0]]))
        ]
        divide = partial(_divide, self.work, self.tables, routes)

        def run(batches: _Batches) -> _Batches:
            for place in items_of(batches):
                yield from divide(*places[place])

        return tasks_of(self._spark, len(places)).mapInArrow(run, BLOBS)

    def _by_part(self, place: str, run: Callable[[int], _Batches]) -> DataFrame:
        """Run a function on each part of a place."""
        tasks = tasks_of(self._spark, len(self.tables.parts[place]))

        def each(batches: _Batches) -> _Batches:
            for at in items_of(batches):
                yield from run(at)

        return tasks.mapInArrow(each, BLOBS)


def _streams(each: Pass, targets: Targets) -> frozenset[str]:
    """Return the streams that a pass sends."""
    return frozenset(_stream_to(each, target) for target in targets)


def _stream_to(each: Pass, target: str | None) -> str:
    return sent_stream((each.site.place, target), carried=each.site.carries)


def _exchanged(blobs: DataFrame, n_groups: int) -> DataFrame:
    return blobs.repartitionById(n_groups, "bucket")


def _divide(
    work: Work, tables: LandedTables, routes: Routes, partition: Partition, at: int
) -> _Batches:
    place, column = partition
    assert column is not None  # noqa: S101  all rows together are not divided
    part = tables.parts[place][at]
    names = work.schema(partition).names
    rows = part.read(names).append_column(ROW, pa.array(part.numbers))
    rows = keyed_rows(rows, column, keyless=work.keyless(place, column))
    if rows.num_rows:
        numbers = bucket_of(rows[column], work.n_buckets)
        groups = partial(routes.groups_of, partition, at, part)
        yield from to_blobs(rows_stream(partition), rows, numbers, groups)


def _as_blobs(each: Pass, sent: Iterator[Sent], own: tuple[int, int] | None = None) -> _Batches:
    """Send values to later passes; from a slice, those of its observations alone."""
    for target, values, numbers in sent:
        stream = _stream_to(each, target)
        if own is None:
            yield from to_blobs(stream, values, numbers)
            continue
        first, end = np.searchsorted(values[ROW].to_numpy(), own)
        if first < end:
            yield from to_blobs(stream, values.slice(first, end - first), numbers[first:end])


def _run_bucket(
    work: Work, each: Pass, routes: Routes, own: Sequence[Part], batches: _Batches
) -> _Batches:
    """Compute a pass in a bucket; `own`: parts of the place whose rows are context too."""
    bucket = BlobBucket(batches, {})
    if not bucket.is_empty:
        sent = work.run(bucket, each, work.targets(each, each.specs))
        yield from _as_blobs(each, sent, routes.own_rows(bucket.number, own) if own else None)


def _run_whole(
    work: Work,
    tables: LandedTables,
    each: Pass,
    at: int | None,
    batches: Iterable[pa.RecordBatch] = (),
) -> _Batches:
    """Compute readings of all rows, for a part of the rows that look back or for all of them."""
    place = each.site.place
    own = tables.parts[place] if at is None else tables.parts[place][at : at + 1]
    bucket = BlobBucket(batches, {**tables.parts, place: own})
    for spec in each.specs:  # one by one, to limit memory
        one = as_pass(each.level, each.site, [spec])
        yield from _as_blobs(each, work.run(bucket, one, work.targets(each, [spec])))


def _count_part(
    at: int,
    *,
    work: Work,
    tables: LandedTables,
    each: Pass,
    specs: Sequence[FeatureSpec],
    counted: Counted,
) -> _Batches:
    """Count rows of whole tables for a part of the rows that look back."""
    place = each.site.place
    part = tables.parts[place][at]
    for spec in specs:
        counts = WholeCount(
            runs_of(tables, spec, counted), spec, timezone=work.timezone, threads=work.threads
        )
        targets = work.targets(each, [spec])
        rows = part.read(work.columns_of_count(spec, place, targets))
        rows = rows.append_column(ROW, pa.array(part.numbers))
        yield from _as_blobs(each, work.count(counts, rows, spec, place, targets))


def _write_members(
    work: Work, populations: Populations, folder: Path, batches: _Batches
) -> Iterator[Report]:
    bucket = BlobBucket(batches, {})
    if bucket.is_empty:
        return
    path = folder / f"peers-{uuid.uuid4().hex}.parquet"
    with written_whole(path) as handle:
        members = populations.members(work, bucket)
        pq.write_table(members, handle, compression="lz4")
    yield {"bucket": place_of(), "path": str(path), "rows": len(members)}


def _measure(work: Work, last: Pass, populations: Populations, batches: _Batches) -> _Batches:
    bucket = BlobBucket(batches, {})
    if not bucket.is_empty:
        measures, months = populations.measure(work, bucket, last)
        yield from to_blobs(_MEASURES, measures, months)


def _compare(populations: Populations, place: str, batches: _Batches) -> _Batches:
    arrived = BlobBucket(batches, {})
    if not arrived.is_empty:
        # the order does not matter: groups have counts and medians
        found = populations.compare(place, pa.concat_tables(arrived.tables(_MEASURES)))
        for name, levels in found.items():
            for level, groups in enumerate(levels):
                stream = f"{level:0{_LEVEL}}{name}"
                yield as_blob(place_of(), stream, encode(pa.Table.from_pandas(groups)))


def _write_features(
    batches: _Batches,
    *,
    work: Work,
    last: Pass,
    specs: Sequence[FeatureSpec],
    populations: Populations,
    folder: Path,
) -> Iterator[Report]:
    bucket = BlobBucket(batches, {})
    rows, features = populations.finish(work, bucket, last, specs)
    # a new name each time: what a task leaves that is run again is in no report
    path = folder / f"part-{place_of():05d}-{uuid.uuid4().hex}.parquet"
    with written_whole(path) as handle, ExitStack() as files:
        FeatureWriter(handle, files, group_rows=_GROUP_ROWS).append(features)
    yield {"bucket": place_of(), "path": str(path), "rows": int(rows.size)}
