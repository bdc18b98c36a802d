"""The contract on Spark: workers check rows, and put them in order.

Spark reads the columns that a mapping names. Each worker maps and checks its rows with the SQL that
one machine runs (`RowPass`), so that an expression means the same on both, and writes the accepted
ones. Spark itself looks for keys that come twice, by one integer a row; the rows of these keys
alone are compared. Then all rows move once, as blobs, to the part of time that they belong to.
"""

import uuid
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from kyc_ml.contract import (
    EVENT_TIME,
    KEY_HASH,
    REMARKS,
    CheckedPortion,
    RowPass,
    RuleFinding,
    TableQuality,
    save_quarantine,
)
from kyc_ml.engines.spark.blobs import BLOBS, BlobBucket, decode, encode, to_blobs
from kyc_ml.engines.spark.tasks import Report, exchanging, items_of, place_of, run_parts, tasks_of
from kyc_ml.metrics import Codes, Ints
from kyc_ml.storage import connect, written_whole

_Batches: TypeAlias = Iterator[pa.RecordBatch]
_Step: TypeAlias = Callable[[RowPass, duckdb.DuckDBPyConnection, pa.Table], CheckedPortion]

_ROWS, _BYTES = 1 << 17, 64 << 20
"""Rows and bytes that a worker checks together, whichever comes first."""
_PART_ROWS: Final = 1 << 20
"""Rows of a part of a landed table, about: what a worker sorts in memory."""
_GROUP_ROWS: Final = 1 << 18
"""Rows of a row group: what a reader holds in memory."""
_MEMORY: Final = "512MB"
"""What DuckDB of a worker may use; it spills above it."""
_SAMPLED: Final = 64
"""Rows of a portion by which the parts of a table are planned."""
_ACCEPTED: Final = "accepted rows"


@dataclass(slots=True)
class Checked:
    """What the workers have written and counted of a table."""

    accepted: list[str] = field(default_factory=list)
    """Files of accepted rows."""
    refused: list[str] = field(default_factory=list)
    """Files of refused rows, as the quarantine has them."""
    broken: Counter[tuple[str, ...]] = field(default_factory=Counter)
    """See `CheckedPortion`."""
    sample: list[tuple[bytes, float]] = field(default_factory=list)
    """Places of some accepted rows, see `_places`, and how many rows each stands for."""

    def add(self, report: Report) -> None:
        """Add what a task reports."""
        self.accepted.append(report["accepted"])
        self.refused += report["refused"]
        for reasons, count in report["broken"]:
            self.broken[tuple(reasons)] += count
        self.sample += [(bytes.fromhex(place), rows) for place, rows in report["sample"]]

    def bounds(self) -> list[bytes]:
        """Return the places at which parts of about `_PART_ROWS` rows begin, but the first."""
        count = 1 + self.broken[()] // _PART_ROWS
        if count == 1:
            return []
        places, weights = zip(*sorted(self.sample), strict=True)
        before = np.cumsum(weights)
        wanted = np.searchsorted(before, before[-1] / count * np.arange(1, count))
        return sorted({places[number] for number in wanted})


def contract_table(
    spark: SparkSession, frame: DataFrame, given: RowPass, *, folder: Path, work: Path, aside: Path
) -> tuple[tuple[Path, ...], TableQuality, list[RuleFinding]]:
    """Map and check the rows of a table, and write what is accepted in order.

    `folder`, `work`, `aside`: folders for the parts, for what is needed meanwhile, and for refused
    rows; all workers see them under these paths. The first is new.

    Returns the parts, which together are the rows of one machine's file; the quality; and what was
    noted of accepted rows.

    Raises SourceError or CapacityError if the rows cannot be computed.
    """
    columns = [f"`{name.replace('`', '``')}`" for name in given.columns_read(frame.columns)]
    checked = _run(frame.select(*columns), partial(_check, given, work))
    repeated = _find_repeated(spark, checked, given, work)
    files = [(path, repeated) for path in checked.accepted]
    with exchanging(spark):
        if repeated is not None:
            blobs = _blobs(spark, partial(_suspects, given), files)
            first = _run(blobs.repartition("bucket"), partial(_keep_first, given, work))
            checked.broken[()] -= first.broken.total()
            checked.broken.update(first.broken)
            checked.refused += first.refused
            files += [(path, None) for path in first.accepted]
        bounds = checked.bounds()
        parts = _blobs(spark, partial(_divide, given, bounds), files)
        arrived = parts.repartitionById(len(bounds) + 1, "bucket")
        landed = run_parts(arrived, partial(_land, given, work))
    for place, path in enumerate(checked.refused):
        aside.mkdir(parents=True, exist_ok=True)
        Path(path).replace(aside / f"{given.bound.contract.name}-{place:05d}.parquet")
    reports = sorted(landed, key=lambda report: int(report["place"]))
    noted: Counter[int] = Counter()
    paths = []
    folder.mkdir(parents=True)
    for report in reports:
        noted.update({int(mask): count for mask, count in report["noted"].items()})
        paths.append(folder / f"part-{report['place']:05d}.parquet")
        Path(report["path"]).replace(paths[-1])
    statistics = [[decode(bytes.fromhex(text)) for text in report["found"]] for report in reports]
    return tuple(paths), *given.sum_up(statistics, broken=checked.broken, noted=noted)


def _run(rows: DataFrame, work: Callable[[_Batches], Iterator[Report]]) -> Checked:
    checked = Checked()
    for report in run_parts(rows, work):
        checked.add(report)
    return checked


def _check(given: RowPass, folder: Path, batches: _Batches) -> Iterator[Report]:
    yield _write(given, folder, RowPass.check, _portions(batches))


def _portions(batches: _Batches) -> Iterator[pa.Table]:
    """Collect the batches of Spark to what a worker checks together."""
    held: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        held.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows >= _ROWS or size >= _BYTES:
            yield pa.Table.from_batches(held)
            held, rows, size = [], 0, 0
    if held:
        yield pa.Table.from_batches(held)


def _write(given: RowPass, folder: Path, step: _Step, portions: Iterator[pa.Table]) -> Report:
    """Run one step of a table's check, and write its rows."""
    broken: Counter[tuple[str, ...]] = Counter()
    refused, sample = [], list[tuple[str, float]]()
    # names are new each time: what a task leaves that is run again is in no report
    path = folder / f"accepted-{uuid.uuid4().hex}.parquet"
    with (
        closing(connect(data=None, threads=1, memory=_MEMORY, files=[])) as connection,
        written_whole(path) as handle,
        pq.ParquetWriter(handle, given.noting, compression="lz4") as writer,
    ):
        for portion in portions:
            found = step(given, connection, portion)
            writer.write_table(found.accepted, row_group_size=_GROUP_ROWS)
            some = _places(given, _some(found.accepted))
            sample += [(place.hex(), found.accepted.num_rows / len(some)) for place in some]
            broken.update(found.broken)
            if found.refused.num_rows:
                refused.append(str(folder / f"refused-{uuid.uuid4().hex}.parquet"))
                save_quarantine(found.refused, Path(refused[-1]))
    counts = [[list(reasons), count] for reasons, count in broken.items()]
    return {
        "accepted": str(path),
        "refused": refused,
        "broken": counts,
        "sample": sample,
    }


def _some(rows: pa.Table) -> pa.Table:
    """Return rows at equal distances, to see where parts of equal size begin."""
    return rows.take(
        np.unique(np.linspace(0, max(len(rows) - 1, 0), _SAMPLED, dtype=int)[: len(rows)])
    )


def _times(rows: pa.Table) -> Ints:
    return np.asarray(rows[EVENT_TIME].cast(pa.int64()).to_numpy())


def _places(given: RowPass, rows: pa.Table) -> list[bytes]:
    """Return bytes that are in the order of landed rows: the event time, and what follows it."""
    columns = []
    for name in given.order:
        values = rows[name]
        if pa.types.is_timestamp(values.type):
            moved = values.cast(pa.int64()).to_numpy().astype(np.uint64) ^ np.uint64(1 << 63)
            flat = moved.astype(">u8").tobytes()
            columns.append([flat[at : at + 8] for at in range(0, len(flat), 8)])
        else:
            columns.append([f"{value}\0".encode() for value in values.to_pylist()])
    return [b"".join(each) for each in zip(*columns, strict=True)]


def _part_of(given: RowPass, bounds: Sequence[bytes], rows: pa.Table) -> Codes:
    """Return the number of the part that each row belongs to."""
    first = np.array([int.from_bytes(bound[:8]) - (1 << 63) for bound in bounds], np.int64)
    times = _times(rows)
    numbers = np.searchsorted(first, times, side="left").astype(np.uint16)
    # where a part begins at the very time of a row, what follows the time decides
    tied = np.flatnonzero(np.isin(times, first))
    places = _places(given, rows.take(tied))
    numbers[tied] = [bisect_right(bounds, place) for place in places]
    return numbers


def _find_repeated(spark: SparkSession, checked: Checked, given: RowPass, work: Path) -> str | None:
    """Write which keys may come twice; None if none does."""
    if not checked.accepted:
        return None
    rows = spark.read.schema(f"{KEY_HASH} long").parquet(
        *(f"file://{path}" for path in checked.accepted)
    )
    repeated = rows.groupBy(KEY_HASH).count().where("count > 1").select(KEY_HASH).toArrow()
    if not repeated.num_rows:
        return None
    path = work / f"repeated-{uuid.uuid4().hex}.parquet"
    with written_whole(path) as handle:
        pq.write_table(repeated, handle)
    return str(path)


def _blobs(
    spark: SparkSession,
    divide: Callable[[str, str | None], _Batches],
    files: Sequence[tuple[str, str | None]],
) -> DataFrame:
    """Read each of some files of accepted rows, and divide its rows into blobs."""

    def work(batches: _Batches) -> _Batches:
        for place in items_of(batches):
            yield from divide(*files[place])

    return tasks_of(spark, len(files)).mapInArrow(work, BLOBS)


def _read(path: str, repeated: str | None, *, wanted: bool) -> Iterator[pa.Table]:
    """Read the rows of a file whose keys are, or are not, among those that may come twice."""
    keys = None if repeated is None else pq.read_table(repeated)[KEY_HASH].combine_chunks()
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            rows = file.read_row_group(group)
            if keys is not None:
                met = pc.is_in(rows[KEY_HASH], keys)
                rows = rows.filter(met if wanted else pc.invert(met))
            if rows.num_rows:
                yield rows


def _suspects(given: RowPass, path: str, repeated: str | None) -> _Batches:
    for rows in _read(path, repeated, wanted=True):
        yield from to_blobs(_ACCEPTED, rows, (rows[KEY_HASH].to_numpy() % 4096).astype(np.int32))


def _arrived(given: RowPass, batches: _Batches) -> pa.Table:
    """Return the rows that were sent to a part."""
    arrived = BlobBucket(batches, {}).tables(_ACCEPTED)
    return pa.concat_tables([given.noting.empty_table(), *arrived])


def _keep_first(given: RowPass, folder: Path, batches: _Batches) -> Iterator[Report]:
    yield _write(given, folder, RowPass.keep_first, iter([_arrived(given, batches)]))


def _divide(given: RowPass, bounds: Sequence[bytes], path: str, repeated: str | None) -> _Batches:
    for rows in _read(path, repeated, wanted=False):
        yield from to_blobs(_ACCEPTED, rows, _part_of(given, bounds, rows))


def _land(given: RowPass, work: Path, batches: _Batches) -> Iterator[Report]:
    """Write a part, and report what is needed to sum up the table."""
    rows = _arrived(given, batches)
    path = work / f"part-{uuid.uuid4().hex}.parquet"
    with closing(connect(data=None, threads=1, memory="1GB", files=[])) as connection:
        ordered = given.sort(connection, rows)
        connection.register("landed", ordered)
        found = [bytes(encode(each)).hex() for each in given.statistics(connection, "landed")]
    with written_whole(path) as handle:
        pq.write_table(ordered, handle, compression="lz4", row_group_size=_GROUP_ROWS)
    noted = pc.value_counts(rows[REMARKS]).to_pylist()
    yield {
        "place": place_of(),
        "path": str(path),
        "noted": {each["values"]: each["counts"] for each in noted},
        "found": found,
    }
