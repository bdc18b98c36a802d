"""Rows between stages: Spark moves blobs of Arrow rows, and never looks into them.

So types, missing values and time zones are Arrow's own on both engines, and the bucket of a key is
ours. Nothing depends on the order in which blobs arrive: a bucket puts its rows in order itself.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from kyc_ml.engines.spark.parts import Part
from kyc_ml.features import ROW, Partition, free_memory, rows_stream, sent_stream
from kyc_ml.metrics import Codes, Ints

BLOBS: Final = "bucket int, stream string, data binary"
"""Columns of an exchange: where to, what, and rows as a compressed Arrow stream."""

_OPTIONS: Final = pa.ipc.IpcWriteOptions(compression="lz4")
_MOST_BYTES: Final = 32 << 20
"""Of the rows of a blob before they are compressed, about."""


def to_blobs(
    stream: str,
    rows: pa.Table,
    numbers: Codes,
    groups_of: Callable[[int], Iterable[int]] = lambda bucket: (bucket,),
) -> Iterator[pa.RecordBatch]:
    """Divide rows into blobs for the buckets of these numbers.

    `groups_of`: returns the groups that get the rows of a bucket.
    """
    # all in bucket 0: their order is already right
    ordered = rows.take(pa.array(np.argsort(numbers, kind="stable"))) if numbers.any() else rows
    sizes = np.bincount(numbers)
    ends = np.cumsum(sizes)
    at_once = max(1, int(_MOST_BYTES / max(rows.nbytes / max(len(rows), 1), 1)))
    for number in np.flatnonzero(sizes):
        for start in range(int(ends[number] - sizes[number]), int(ends[number]), at_once):
            data = encode(ordered.slice(start, min(at_once, int(ends[number]) - start)))
            for group in groups_of(int(number)):
                yield as_blob(group, stream, data)


def encode(rows: pa.Table) -> pa.Buffer:
    """Write rows as an Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=_OPTIONS) as writer:
        writer.write_table(rows)
    return sink.getvalue()


def decode(data: pa.Buffer | bytes) -> pa.Table:
    """Read the rows of an Arrow stream."""
    with pa.ipc.open_stream(data) as reader:
        return reader.read_all()


def as_blob(bucket: int, stream: str, data: pa.Buffer | bytes) -> pa.RecordBatch:
    """Return a row of `BLOBS`."""
    columns = [
        pa.array([bucket], pa.int32()),
        pa.array([stream]),
        pa.array([memoryview(data)], pa.binary()),
    ]
    return pa.record_batch(columns, names=["bucket", "stream", "data"])


class BlobBucket:
    """The rows of a bucket that have arrived as blobs; a `Bucket`.

    `whole`: parts of the tables that are read as a whole, not by a column.
    """

    def __init__(
        self, batches: Iterable[pa.RecordBatch], whole: Mapping[str, Sequence[Part]]
    ) -> None:
        free_memory()  # of the last bucket of this worker
        self._whole = whole
        self._sent: dict[str, list[pa.Buffer]] = defaultdict(list)
        self.number = 0
        for batch in batches:
            self.number = batch.column(0)[0].as_py()
            for stream, data in zip(batch.column(1).to_pylist(), batch.column(2), strict=True):
                self._sent[stream].append(data.as_buffer())

    @property
    def is_empty(self) -> bool:
        """Return whether nothing has arrived."""
        return not self._sent

    def rows(self, partition: Partition, schema: pa.Schema) -> tuple[Ints, pa.Table]:
        """Return the numbers of a place's rows, ascending, and these columns of them."""
        place, column = partition
        if column is None:
            parts = self._whole[place]
            numbers = np.concatenate([np.empty(0, np.int64), *(part.numbers for part in parts)])
            read = [schema.empty_table(), *(part.read(schema.names) for part in parts)]
            return numbers, pa.concat_tables(read).combine_chunks()
        kept = pa.schema([pa.field(ROW, pa.int64()), *schema])
        table = self.all_of(rows_stream(partition), kept)
        return table[ROW].to_numpy(), table.drop_columns([ROW])

    def all_of(self, stream: str, schema: pa.Schema) -> pa.Table:
        """Return the rows of a stream by their numbers, and these columns of them."""
        found = [each.select(schema.names) for each in self.tables(stream) if len(each)]
        # blobs arrive in no defined order; rows of one part are in order
        found.sort(key=lambda each: each[ROW][0].as_py())
        table = pa.concat_tables([schema.empty_table(), *found]).combine_chunks()
        numbers = table[ROW].to_numpy()
        if bool(np.all(numbers[1:] >= numbers[:-1])):
            return table
        return table.take(pa.array(np.argsort(numbers, kind="stable"))).combine_chunks()

    def handed(self, partition: Partition, *, carried: bool) -> Iterator[pa.Table]:
        """Return values that were sent, each column in one of the tables."""
        alike: dict[tuple[str, ...], list[pa.Table]] = defaultdict(list)
        for table in self.tables(sent_stream(partition, carried=carried), keep=carried):
            alike[tuple(table.column_names)].append(table)
        for tables in alike.values():
            yield pa.concat_tables(tables)

    def tables(self, stream: str, *, keep: bool = False) -> Iterator[pa.Table]:
        """Return the rows of a stream blob by blob, in any order, once unless asked to keep it."""
        for data in self._sent.get(stream, ()) if keep else self._sent.pop(stream, ()):
            yield decode(data)
