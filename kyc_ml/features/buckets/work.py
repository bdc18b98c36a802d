"""What each bucket of a plan computes: from tables to tables, wherever the rows are."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, Protocol

import numpy as np
import pyarrow as pa

from kyc_ml.contract import CUSTOMER_ID, EVENT_TIME, KNOWN_AT
from kyc_ml.features.buckets.anchors import Pass, Place, Plan, own_match, replace_columns
from kyc_ml.features.buckets.counting import WholeCount
from kyc_ml.features.buckets.exchange import ROW, bucket_of, read_handed
from kyc_ml.features.build import Computed, FeatureComputation
from kyc_ml.features.how import OBSERVED, How, RowColumn, tables_read
from kyc_ml.features.kinds.matched import Matched
from kyc_ml.features.kinds.rows_of_key import Latest, LatestValue, Window
from kyc_ml.features.row_columns import Need, add_row_columns
from kyc_ml.features.spec import FeatureSpec
from kyc_ml.features.table import DECISION_TIME
from kyc_ml.features.timed_rows import UNTIL, TimedRows
from kyc_ml.metrics import Codes, Ints

_HANDED_ROWS: Final = 1 << 18
"""Rows sent to other buckets in one batch."""

Partition = tuple[Place, str | None]
"""A place divided by a column; None for all its rows together."""

Targets = Mapping[str | None, tuple[str, ...]]
"""Names of the values to send, by the column that divides the buckets that read them."""

Sent = tuple[str | None, pa.Table, Codes]
"""By which column, values with the numbers of their rows, and the bucket of each row."""


def rows_stream(partition: Partition) -> str:
    """Return the name of the rows of a place, divided by a column."""
    return _stream("rows", partition)


def sent_stream(partition: Partition, *, carried: bool) -> str:
    """Return the name of the values that are sent to a place's rows, divided by a column."""
    return _stream("columns" if carried else "features", partition)


def _stream(what: str, partition: Partition) -> str:
    place, column = partition
    return f"{what} of {place or 'observations'} by {column}"


class Bucket(Protocol):
    """The rows of a bucket, and the values that were sent to it."""

    def rows(self, partition: Partition, schema: pa.Schema) -> tuple[Ints, pa.Table]:
        """Return the numbers of a place's rows, ascending, and these columns of them."""

    def handed(self, partition: Partition, *, carried: bool) -> Iterable[pa.Table]:
        """Return values that were sent, each column in one of the tables."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """A plan over tables of known columns, and what computes its passes."""

    plan: Plan
    schemas: Mapping[Place, pa.Schema]
    """Mapping of place to Arrow schema; all columns of its rows."""
    observing: frozenset[Place]
    """Places whose rows have a decision time instead of times of an event."""
    keys: Mapping[Place, Sequence[str]]
    """Columns of places to keep, by customer, in addition to those that features read."""
    n_buckets: int
    timezone: str
    threads: int

    @cached_property
    def kept(self) -> Mapping[Partition, frozenset[str]]:
        """Columns that a division keeps: those read, times, and keys of other buckets."""
        kept: dict[Partition, set[str]] = defaultdict(set)
        for each in self.plan.passes:
            for (place, column), columns in touched(each):
                times = (self.time_of(place), KNOWN_AT, UNTIL)
                kept[place, column] |= {*columns, *times, *([column] if column else [])}
            anchor = each.site.anchor
            targets = [target for target in self.targets(each, each.specs) if target is not None]
            kept[each.site.place, None if anchor is None else anchor.observed] |= set(targets)
        for place, names in self.keys.items():
            kept[place, CUSTOMER_ID] |= set(names)
        return {partition: frozenset(names) for partition, names in kept.items()}

    def time_of(self, place: Place) -> str:
        """Return the column of the time at which a place's rows happen or are decided."""
        return DECISION_TIME if place in self.observing else EVENT_TIME

    def keyless(self, place: Place, column: str) -> bool:
        """Return whether a division keeps rows without its key, in bucket 0."""
        # every observation is in the result, also one without a customer
        return place in self.observing and column == CUSTOMER_ID

    def schema(self, partition: Partition, wanted: frozenset[str] | None = None) -> pa.Schema:
        """Return the columns to read of a division; of all rows together only those `wanted`."""
        place, column = partition
        names = self.kept[partition]
        if column is None and wanted is not None:
            names &= wanted | {self.time_of(place), KNOWN_AT, UNTIL}
        return pa.schema([field for field in self.schemas[place] if field.name in names])

    def later(self, number: int) -> set[Partition]:
        """Return the divisions that passes after this one read."""
        return {at for each in self.plan.passes[number + 1 :] for at, _ in touched(each)}

    def targets(self, each: Pass, specs: Sequence[FeatureSpec]) -> Targets:
        """Return the values to send, by the column that divides the buckets that read them."""
        names = frozenset(spec.name for spec in specs)
        if not each.site.carries:
            return {CUSTOMER_ID: tuple(sorted(names))}
        found: dict[str | None, frozenset[str]] = defaultdict(frozenset)
        for other in self.plan.passes:
            for (place, column), columns in touched(other):
                if place == each.site.place and columns & names:
                    found[column] |= columns & names
        return {column: tuple(sorted(wanted)) for column, wanted in found.items()}

    def carried(self, place: Place, wanted: frozenset[str]) -> dict[str, pa.DataType]:
        """Return the columns that passes carry to a place's rows, of those wanted."""
        return {
            spec.name: pa.string() if spec.kind == "category" else pa.float64()
            for spec in self.plan.carried.get(place, ())
            if spec.name in wanted
        }

    def load(
        self, bucket: Bucket, partition: Partition, wanted: frozenset[str]
    ) -> tuple[Ints, TimedRows]:
        """Load a bucket: the numbers of its rows, and the rows with carried columns."""
        rows, table = bucket.rows(partition, self.schema(partition, wanted))
        carried = self.carried(partition[0], wanted)
        found = dict(read_handed(bucket.handed(partition, carried=True), rows)) if carried else {}
        for name, kind in carried.items():
            table = table.append_column(name, found.get(name, pa.nulls(rows.size, kind)))
        return rows, TimedRows(table, time=self.time_of(partition[0]))

    def run(self, bucket: Bucket, each: Pass, targets: Targets) -> Iterator[Sent]:
        """Compute readings of a bucket, and send them to their rows' buckets elsewhere."""
        place, anchor = each.site.place, each.site.anchor
        wanted = each.observed | {target for target in targets if target is not None}
        if each.is_of_itself:
            wanted |= each.rows[place]
        column = None if anchor is None else anchor.observed
        rows, observed = self.load(bucket, (place, column), wanted)
        if not rows.size:
            return
        plain = match_own(place, each.specs, observed, timezone=self.timezone, threads=self.threads)
        computed = Computed(plain, rows.size)
        self._computation(bucket, each, observed).read(observed, plain, computed)
        yield from self._hand(rows, observed, computed, targets)

    def count(
        self, counts: WholeCount, batch: pa.Table, spec: FeatureSpec, place: Place, targets: Targets
    ) -> Iterator[Sent]:
        """Count rows of a whole table for some rows of a place, and send the counts."""
        observed = TimedRows(batch, time=self.time_of(place))
        computed = Computed([spec], len(observed))
        computed.column(spec.name)[:] = counts.count(observed)
        yield from self._hand(batch[ROW].to_numpy(), observed, computed, targets)

    def columns_of_count(self, spec: FeatureSpec, place: Place, targets: Targets) -> list[str]:
        """List what `count` reads of a place."""
        plain = [column for _, column in spec.how.columns(place) if isinstance(column, str)]
        named = [target for target in targets if target is not None]
        return list(dict.fromkeys([self.time_of(place), *named, *plain]))

    def finish(
        self, bucket: Bucket, last: Pass, specs: Sequence[FeatureSpec]
    ) -> tuple[Ints, TimedRows, Computed]:
        """Return a bucket's observations, numbers first, and all features that read rows."""
        place = last.site.place
        rows, observed = self.load(bucket, (place, CUSTOMER_ID), last.observed)
        computed = Computed(specs, len(observed))
        if len(observed):
            self._computation(bucket, last, observed).read(observed, last.specs, computed)
        handed = dict(read_handed(bucket.handed((place, CUSTOMER_ID), carried=False), rows))
        for spec in specs:
            if spec.kind == "category" and spec.name not in computed.categories:
                nothing = pa.nulls(len(observed), pa.string())
                computed.categories[spec.name] = handed.get(spec.name, nothing)
            elif spec.name in handed:
                computed.column(spec.name)[:] = handed[spec.name].to_numpy(zero_copy_only=False)
        return rows, observed, computed

    def _hand(
        self, rows: Ints, observed: TimedRows, computed: Computed, targets: Targets
    ) -> Iterator[Sent]:
        for target, names in targets.items():
            # in slices, to limit memory
            for start in range(0, rows.size, _HANDED_ROWS):
                here = slice(start, start + _HANDED_ROWS)
                values = {name: computed.values(name, here) for name in names}
                numbers = np.zeros(rows[here].size, np.uint16)
                if target is not None:
                    numbers = bucket_of(observed.table[target][here], self.n_buckets)
                yield target, pa.table({ROW: rows[here], **values}), numbers

    def _computation(self, bucket: Bucket, each: Pass, observed: TimedRows) -> FeatureComputation:
        """Load the tables of a bucket; a place that looks back on itself is loaded once."""
        anchor = each.site.anchor
        by = None if anchor is None else anchor.rows
        tables = {}
        for name, columns in each.rows.items():
            itself = each.is_of_itself and name == each.site.place
            tables[name] = observed if itself else self.load(bucket, (name, by), columns)[1]
        return FeatureComputation(tables, timezone=self.timezone, threads=self.threads)


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


def touched(each: Pass) -> Iterator[tuple[Partition, frozenset[str]]]:
    """List the divisions that a pass reads, with the columns it reads of them."""
    anchor = each.site.anchor
    yield (each.site.place, None if anchor is None else anchor.observed), each.observed
    for table, columns in each.rows.items():
        yield (table, None if anchor is None else anchor.rows), columns


def reaches(each: Pass) -> dict[str, int | None]:
    """Return how long before a decision a pass sees rows of each table, in microseconds.

    None where a reading has no beginning.
    """
    found: dict[str, int | None] = {}
    for spec in each.specs:
        reach = _reach(spec.how)
        for table in tables_read(spec.how):
            before = found.get(table, 0)
            found[table] = None if reach is None or before is None else max(reach, before)
    return found


def _reach(how: How) -> int | None:
    """Return how far back a reading looks, what its columns look back from there included."""
    own: int | None = 0
    match how:
        case Window(period=period, lag_us=lag):
            own = None if period.us is None else period.us + lag
        case Latest() | Matched():
            own = None
        case LatestValue(how=looked_up):
            return _reach(looked_up)
    read = (column for _, column in how.columns(OBSERVED) if isinstance(column, RowColumn))
    further = [_reach(column.how) for column in read]
    known = [each for each in further if each is not None]
    return None if own is None or len(known) < len(further) else own + max(known, default=0)
