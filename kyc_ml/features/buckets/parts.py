"""Carry out the passes of a plan bucket by bucket, from files to files.

Brings the rows of one bucket into memory, lets it compute what the pass reads, and hands the
values to the buckets where they are needed.
"""

import gc
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kyc_ml.features.buckets.anchors import Pass, Place, as_pass
from kyc_ml.features.buckets.counting import GroupsOfFile, WholeCount, adds_up
from kyc_ml.features.buckets.exchange import (
    ROW,
    BucketWriter,
    exchange,
    read_bucket,
    read_sent,
    scan,
)
from kyc_ml.features.buckets.populations import PEERS, Populations
from kyc_ml.features.buckets.work import (
    Partition,
    Sent,
    Targets,
    Work,
    rows_stream,
    sent_stream,
    touched,
)
from kyc_ml.features.buckets.writing import FeatureWriter
from kyc_ml.features.spec import FeatureSpec
from kyc_ml.metrics import Ints
from kyc_ml.storage import written_whole


class LocalParts:
    """The rows of all places by bucket, and the values that passes send: an `Executor`.

    Parameters
    ----------
    files : mapping of place to Parquet file
    specs, out, group_rows
        Features to write, the file, and the most rows of a row group.
    folder : Path
        Private folder for the buckets.
    tick : callable
        Called after each part of a pass.
    """

    def __init__(
        self,
        work: Work,
        files: Mapping[Place, Path],
        *,
        specs: Sequence[FeatureSpec],
        out: Path,
        group_rows: int,
        folder: Path,
        tick: Callable[[], None],
    ) -> None:
        self.work = work
        self.files = files
        self._specs = specs
        self._out = out
        self._group_rows = group_rows
        self._folder = folder
        self._tick = tick
        self._exchanged: set[Partition] = set()

    def members(self, populations: Populations) -> None:
        """Write the customers known at the start of each month, as rows of all rounds' places."""
        with pq.ParquetWriter(self._folder / "peers.parquet", PEERS) as writer:
            for bucket in self.buckets():
                writer.write_table(populations.members(self.work, bucket))

    def measure(self, last: Pass, populations: Populations) -> None:
        """Measure the peers of a round, and learn the statistics of their groups by month."""
        place = last.site.place
        folder = self._folder / f"measures of {place}"
        empty = pa.schema([])
        with BucketWriter(folder, name="rows") as writer:
            for bucket in self.buckets():
                measures, months = populations.measure(self.work, bucket, last)
                empty = measures.schema
                if measures.num_rows:
                    writer.write(measures, months)
                self._tick()
                free_memory()
        found = (read_bucket(folder, m, schema=empty) for m in range(populations.months.size))
        measured = [populations.compare(place, each) for each in found if each.num_rows]
        nothing = [] if measured else [populations.compare(place, empty.empty_table())]
        populations.learn(place, [*measured, *nothing])

    def write(self, last: Pass, populations: Populations) -> Ints:
        """Append the features of each bucket to the file; return the numbers of the rows."""
        for partition, _ in touched(last):
            self.exchange_once(partition)
        order = []
        with written_whole(self._out) as handle, ExitStack() as files:
            writer = FeatureWriter(handle, files, group_rows=self._group_rows)
            for bucket in self.buckets():
                rows, features = populations.finish(self.work, bucket, last, self._specs)
                self._tick()
                writer.append(features)
                order.append(rows)
                del features
                free_memory()
        return np.concatenate(order)

    def carry(self, number: int) -> None:
        """Run a pass in every bucket, and hand its values to where they are read."""
        work = self.work
        each = work.plan.passes[number]
        whole = each.site.anchor is None
        # readings of all rows are computed one by one, to limit memory
        size = 1 if whole else len(each.specs)
        for first in range(0, len(each.specs), size):
            part = as_pass(each.level, each.site, each.specs[first : first + size])
            targets = work.targets(each, part.specs)
            with ExitStack() as files:
                writers = {
                    target: files.enter_context(
                        BucketWriter(
                            self.handed_to((each.site.place, target), carried=each.site.carries),
                            # leading zeros: readers sort the files by name
                            name=f"{number:03d}_{first:03d}",
                        )
                    )
                    for target in targets
                }
                for sent in self._parts_of(part, targets):
                    for target, values, numbers in sent:
                        writers[target].write(values, numbers)
                    self._tick()
        self._forget(number)

    def _parts_of(self, part: Pass, targets: Targets) -> Iterator[Iterator[Sent]]:
        """Compute a pass part by part: the values of each."""
        whole = part.site.anchor is None
        if whole and adds_up(part.specs[0]):
            yield self._count(part, targets)
            return
        for bucket in islice(self.buckets(), 1) if whole else self.buckets():
            yield self.work.run(bucket, part, targets)
            free_memory()

    def _count(self, part: Pass, targets: Targets) -> Iterator[Sent]:
        """Count rows of a whole table for a place, some of its rows after the other."""
        work, place, spec = self.work, part.site.place, part.specs[0]
        runs = GroupsOfFile(self.files[spec.how.tables()[0]], spec.how)
        counts = WholeCount(runs, spec, timezone=work.timezone, threads=work.threads)
        columns = work.columns_of_count(spec, place, targets)
        for batch in scan(self.files[place], columns):
            yield from work.count(counts, batch, spec, place, targets)

    def buckets(self) -> "Iterator[_FileBucket]":
        """Return the buckets, whose rows are read when they are asked for."""
        return (_FileBucket(self, number) for number in range(self.work.n_buckets))

    def rows_of(self, partition: Partition) -> Path:
        """Return the folder of a place's rows by bucket."""
        return self._folder / rows_stream(partition)

    def handed_to(self, partition: Partition, *, carried: bool) -> Path:
        """Return the folder of values that were sent, by bucket."""
        return self._folder / sent_stream(partition, carried=carried)

    def exchange_once(self, partition: Partition) -> None:
        """Divide the rows of a place by a column, if that is not done."""
        place, column = partition
        if column is not None and partition not in self._exchanged:
            self._exchanged.add(partition)
            exchange(
                scan(self.files[place], self.work.schema(partition).names),
                self.rows_of(partition),
                key=column,
                n_buckets=self.work.n_buckets,
                keyless=self.work.keyless(place, column),
            )

    def _forget(self, number: int) -> None:
        """Remove the rows that no later pass reads."""
        # what a later pass still reads stays
        for partition in self._exchanged - self.work.later(number):
            shutil.rmtree(self.rows_of(partition), ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _FileBucket:
    """A bucket in files."""

    parts: LocalParts
    number: int

    def rows(self, partition: Partition, schema: pa.Schema) -> tuple[Ints, pa.Table]:
        place, column = partition
        if column is None:
            table = pq.read_table(self.parts.files[place], columns=schema.names)
            return np.arange(table.num_rows), table
        self.parts.exchange_once(partition)
        kept = pa.schema([pa.field(ROW, pa.int64()), *schema])
        table = read_bucket(self.parts.rows_of(partition), self.number, schema=kept)
        return table[ROW].to_numpy(), table.drop_columns([ROW])

    def handed(self, partition: Partition, *, carried: bool) -> Iterator[pa.Table]:
        number = 0 if partition[1] is None else self.number
        return read_sent(self.parts.handed_to(partition, carried=carried), number)


@contextmanager
def only_new_objects() -> Iterator[None]:
    """Exclude existing objects from garbage collection, which would scan them for every bucket."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def free_memory() -> None:
    """Free the memory of the last bucket, in cycles or of Arrow, before the next."""
    gc.collect()
    pa.default_memory_pool().release_unused()
