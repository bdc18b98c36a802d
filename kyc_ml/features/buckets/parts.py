"""Compute the passes of a plan bucket by bucket, from files to files.

Runs the passes of a plan: brings the rows of one bucket into memory, lets the engine
compute what the pass reads, and hands the values to the buckets where they are needed.
"""

import gc
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kyc_ml.contract import CUSTOMER_ID, EVENT_TIME, KNOWN_AT
from kyc_ml.features.buckets.anchors import Pass, Place, Plan, as_pass, own_match, replace_columns
from kyc_ml.features.buckets.counting import GroupsOfFile, WholeCount, adds_up
from kyc_ml.features.buckets.exchange import (
    ROW,
    BucketWriter,
    bucket_of,
    exchange,
    read_bucket,
    read_handed,
    scan,
)
from kyc_ml.features.build import Computed, FeatureComputation
from kyc_ml.features.kinds.rows_of_key import Window
from kyc_ml.features.row_columns import Need, add_row_columns
from kyc_ml.features.spec import FeatureSpec
from kyc_ml.features.table import DECISION_TIME
from kyc_ml.features.timed_rows import UNTIL, TimedRows
from kyc_ml.metrics import Ints

_HANDED_ROWS: Final = 1 << 18
"""Rows sent to other buckets in one batch."""

_Partition = tuple[Place, str | None]
"""A place divided by a column; None for all its rows together."""

_Writers = Mapping[tuple[str | None, tuple[str, ...]], BucketWriter]
"""Where values go: by the column whose buckets read them, and their names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Where rows are."""

    files: Mapping[Place, Path]
    """Mapping of place to Parquet file."""
    observing: frozenset[Place]
    """Places whose rows have a decision time instead of times of an event."""

    def time_of(self, place: Place) -> str:
        """Return the column of the time at which a place's rows happen or are decided."""
        return DECISION_TIME if place in self.observing else EVENT_TIME

    def schema_of(self, place: Place) -> pa.Schema:
        """Read the columns and types of a place."""
        return pq.read_schema(self.files[place])


class BucketParts:
    """The rows of all places by bucket, and the values that passes send to later ones.

    Parameters
    ----------
    folder : Path
        Private folder for the buckets.
    keys : mapping of place to columns
        Columns of places to keep, by customer, in addition to those that features read.
    tick : callable
        Called after each part of a pass.
    """

    def __init__(
        self,
        plan: Plan,
        stored: Stored,
        *,
        folder: Path,
        n_buckets: int,
        keys: Mapping[Place, Sequence[str]],
        timezone: str,
        threads: int,
        tick: Callable[[], None],
    ) -> None:
        self._plan = plan
        self._stored = stored
        self._folder = folder
        self._n_buckets = n_buckets
        self._columns = _columns_kept(plan, stored, keys)
        self._timezone = timezone
        self._threads = threads
        self._tick = tick
        self._exchanged: set[_Partition] = set()

    def run(self, number: int) -> None:
        """Compute a pass in every bucket, and hand its values to where they are read."""
        each = self._plan.passes[number]
        whole = each.site.anchor is None
        # readings of all rows are computed one by one, to limit memory
        size = 1 if whole else len(each.specs)
        for first in range(0, len(each.specs), size):
            specs = each.specs[first : first + size]
            with ExitStack() as files:
                writers = {
                    (target, names): files.enter_context(
                        BucketWriter(
                            self._handed(each.site.place, target, carried=each.site.carries),
                            # leading zeros: readers sort the files by name
                            name=f"{number:03d}_{first:03d}",
                        )
                    )
                    for target, names in _targets(self._plan, each, specs).items()
                }
                if whole and adds_up(specs[0]):
                    self._count(each.site.place, specs[0], writers)
                    self._tick()
                    continue
                part = as_pass(each.level, each.site, specs)
                for bucket in range(1 if whole else self._n_buckets):
                    self._run_bucket(part, bucket, writers)
                    self._tick()
                    free_memory()
        self._forget(number)

    def finish(
        self, last: Pass, specs: Sequence[FeatureSpec], bucket: int
    ) -> tuple[Ints, TimedRows, Computed]:
        """Return a bucket's observations, numbers first, and all features that read rows."""
        place = last.site.place
        rows, observed = self.load(place, CUSTOMER_ID, bucket, last.observed)
        computed = Computed(specs, len(observed))
        if len(observed):
            self._computation(last, bucket, observed).read(observed, last.specs, computed)
        handed = dict(read_handed(self._handed(place, CUSTOMER_ID, carried=False), bucket, rows))
        for spec in specs:
            if spec.kind == "category" and spec.name not in computed.categories:
                nothing = pa.nulls(len(observed), pa.string())
                computed.categories[spec.name] = handed.get(spec.name, nothing)
            elif spec.name in handed:
                computed.column(spec.name)[:] = handed[spec.name].to_numpy(zero_copy_only=False)
        self._tick()
        return rows, observed, computed

    def load(
        self, place: Place, column: str | None, bucket: int, wanted: frozenset[str]
    ) -> tuple[Ints, TimedRows]:
        """Load a bucket: the numbers of its rows, and the rows with carried columns."""
        schema, names = self._kept(place, column)
        if column is None:
            times = {self._stored.time_of(place), KNOWN_AT, UNTIL}
            few = [name for name in names if name in wanted | times]
            table = pq.read_table(self._stored.files[place], columns=few)
            rows = np.arange(table.num_rows)
        else:
            self._exchange_once(place, column)
            kept = pa.schema([pa.field(ROW, pa.int64()), *(schema.field(n) for n in names)])
            table = read_bucket(self._rows(place, column), bucket, schema=kept)
            rows = table[ROW].to_numpy()
            table = table.drop_columns([ROW])
        carried = {
            spec.name: pa.string() if spec.kind == "category" else pa.float64()
            for spec in self._plan.carried.get(place, ())
            if spec.name in wanted
        }
        handed = self._handed(place, column, carried=True)
        found = dict(read_handed(handed, bucket, rows)) if carried else {}
        for name, kind in carried.items():
            table = table.append_column(name, found.get(name, pa.nulls(rows.size, kind)))
        return rows, TimedRows(table, time=self._stored.time_of(place))

    def _run_bucket(
        self,
        each: Pass,
        bucket: int,
        writers: _Writers,
    ) -> None:
        """Compute readings of a bucket, and send them to their rows' buckets elsewhere."""
        place, anchor = each.site.place, each.site.anchor
        column = None if anchor is None else anchor.observed
        wanted = each.observed | {target for target, _ in writers if target is not None}
        if each.is_of_itself:
            wanted |= each.rows[place]
        rows, observed = self.load(place, column, bucket, wanted)
        if not rows.size:
            return
        plain = match_own(
            place, each.specs, observed, timezone=self._timezone, threads=self._threads
        )
        computed = Computed(plain, rows.size)
        self._computation(each, bucket, observed).read(observed, plain, computed)
        self._hand(rows, observed, computed, writers)

    def _count(self, place: Place, spec: FeatureSpec, writers: _Writers) -> None:
        """Count rows of a whole table for a place, some of its rows after the other."""
        assert isinstance(spec.how, Window)  # noqa: S101  checked by adds_up
        runs = GroupsOfFile(self._stored.files[spec.how.table], spec.how)
        counts = WholeCount(runs, spec, timezone=self._timezone, threads=self._threads)
        time = self._stored.time_of(place)
        targets = [target for target, _ in writers if target is not None]
        plain = [column for column in spec.how.key if isinstance(column, str)]
        for batch in scan(self._stored.files[place], list(dict.fromkeys([time, *targets, *plain]))):
            observed = TimedRows(batch, time=time)
            computed = Computed([spec], len(observed))
            computed.column(spec.name)[:] = counts.count(observed)
            self._hand(batch[ROW].to_numpy(), observed, computed, writers)

    def _hand(self, rows: Ints, observed: TimedRows, computed: Computed, writers: _Writers) -> None:
        """Send values to the buckets of their rows elsewhere."""
        for (target, names), writer in writers.items():
            # in slices, to limit memory
            for start in range(0, rows.size, _HANDED_ROWS):
                here = slice(start, start + _HANDED_ROWS)
                values = {name: computed.values(name, here) for name in names}
                numbers = np.zeros(rows[here].size, np.uint16)
                if target is not None:
                    numbers = bucket_of(observed.table[target][here], self._n_buckets)
                writer.write(pa.table({ROW: rows[here], **values}), numbers)

    def _computation(self, each: Pass, bucket: int, observed: TimedRows) -> FeatureComputation:
        """Load the tables of a bucket; a place that looks back on itself is loaded once."""
        anchor = each.site.anchor
        by = None if anchor is None else anchor.rows
        tables = {}
        for name, columns in each.rows.items():
            itself = each.is_of_itself and name == each.site.place
            tables[name] = observed if itself else self.load(name, by, bucket, columns)[1]
        return FeatureComputation(tables, timezone=self._timezone, threads=self._threads)

    def prepare(self, each: Pass) -> None:
        """Divide the rows that a pass reads, if that is not done."""
        for (place, column), _ in _touched(each):
            if column is not None:
                self._exchange_once(place, column)

    def _kept(self, place: Place, column: str | None) -> tuple[pa.Schema, list[str]]:
        schema = self._stored.schema_of(place)
        return schema, [name for name in schema.names if name in self._columns[place, column]]

    def _exchange_once(self, place: Place, column: str) -> None:
        if (place, column) not in self._exchanged:
            self._exchanged.add((place, column))
            _, names = self._kept(place, column)
            exchange(
                scan(self._stored.files[place], names),
                self._rows(place, column),
                key=column,
                n_buckets=self._n_buckets,
                # every observation is in the result, also one without a customer
                keyless=place in self._stored.observing and column == CUSTOMER_ID,
            )

    def _forget(self, number: int) -> None:
        """Remove the rows that no later pass reads."""
        later = {at for each in self._plan.passes[number + 1 :] for at, _ in _touched(each)}
        # what a later pass still reads stays
        for place, column in self._exchanged - later:
            if column is not None:
                shutil.rmtree(self._rows(place, column), ignore_errors=True)

    def _rows(self, place: Place, column: str | None) -> Path:
        return self._folder / f"rows of {place or 'observations'} by {column}"

    def _handed(self, place: Place, column: str | None, *, carried: bool) -> Path:
        what = "columns" if carried else "features"
        return self._folder / f"{what} of {place or 'observations'} by {column}"


def match_own(
    place: Place,
    specs: Sequence[FeatureSpec],
    observed: TimedRows,
    *,
    timezone: str,
    threads: int,
) -> list[FeatureSpec]:
    """Match the money of a place's own rows, where its other readers cannot."""
    columns = frozenset(filter(None, (own_match(spec.how) for spec in specs)))
    add_row_columns(
        [[Need(table=place, column=column) for column in columns]],
        tables={place: observed},
        observed=observed,
        timezone=timezone,
        threads=threads,
    )
    return [replace(spec, how=replace_columns(spec.how, columns)) for spec in specs]


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


def _touched(each: Pass) -> Iterator[tuple[_Partition, frozenset[str]]]:
    """List the partitions that a pass reads, with the columns it reads of them."""
    anchor = each.site.anchor
    yield (each.site.place, None if anchor is None else anchor.observed), each.observed
    for table, columns in each.rows.items():
        yield (table, None if anchor is None else anchor.rows), columns


def _targets(
    plan: Plan, each: Pass, specs: Sequence[FeatureSpec]
) -> dict[str | None, tuple[str, ...]]:
    """Return the values to send, by the column that divides the buckets that read them."""
    names = frozenset(spec.name for spec in specs)
    if not each.site.carries:
        return {CUSTOMER_ID: tuple(sorted(names))}
    found: dict[str | None, frozenset[str]] = defaultdict(frozenset)
    for other in plan.passes:
        for (place, column), columns in _touched(other):
            if place == each.site.place and columns & names:
                found[column] |= columns & names
    return {column: tuple(sorted(wanted)) for column, wanted in found.items()}


def _columns_kept(
    plan: Plan, stored: Stored, keys: Mapping[Place, Sequence[str]]
) -> Mapping[_Partition, set[str]]:
    """List the columns to keep of each partition: those read, times, and keys of other buckets."""
    kept: dict[_Partition, set[str]] = defaultdict(set)
    for each in plan.passes:
        for (place, column), columns in _touched(each):
            times = (stored.time_of(place), KNOWN_AT, UNTIL)
            kept[place, column] |= {*columns, *times, *([column] if column else [])}
        place = each.site.place
        anchor = each.site.anchor
        targets = [target for target in _targets(plan, each, each.specs) if target is not None]
        kept[place, None if anchor is None else anchor.observed] |= set(targets)
    for place, names in keys.items():
        kept[place, CUSTOMER_ID] |= set(names)
    return kept
