"""Keys with very many rows: their buckets are divided by time, and each slice reads what it sees.

Windows are half open, so that a slice with the rows that its observations can see is computed as
the whole would be. A reading without a beginning sees all earlier rows, which each slice then gets.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.functions import array, col, explode, lit, when

from kyc_ml.engines.spark.parts import LandedTables, Part
from kyc_ml.engines.spark.tasks import Report, run_each
from kyc_ml.features import (
    FOREVER_US,
    Partition,
    Pass,
    Work,
    bucket_of,
    own_match,
    reaches,
    touched,
)

HEAVY_ROWS: Final = 250_000
"""Rows below which a bucket is never divided: each slice has its price."""

_TIMES: Final = 2
"""A bucket is divided if its rows are more than the mean, times this."""

Weights = Mapping[Partition, Mapping[int, float]]
"""Mapping of division to its large buckets: their rows over those from which one is divided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A run of the parts of a place, and what its observations see."""

    group: int
    first_part: int
    end_part: int
    first: int
    last: int
    """The outermost decisions, in microseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """Which groups get the rows of a bucket, for one pass: itself, or its slices."""

    place: Partition
    n_groups: int
    reach: Mapping[Partition, int | None] = field(default_factory=dict)
    """Mapping of division to how long before a decision its rows may be seen; None for ever."""
    slices: Mapping[int, Sequence[Slice]] = field(default_factory=dict)
    """Mapping of bucket to slices, of those that are divided."""

    def groups_of(self, partition: Partition, at: int, part: Part, bucket: int) -> list[int]:
        """Return the groups that get the rows of a part in a bucket."""
        found = self.slices.get(bucket)
        if found is None:
            return [bucket]
        seen = partition in self.reach
        own = partition == self.place
        reach = self.reach.get(partition)
        return [
            each.group
            for each in found
            if (own and each.first_part <= at < each.end_part)
            or (seen and _sees(each, part, FOREVER_US if reach is None else reach))
        ]

    def spread(self, blobs: DataFrame) -> DataFrame:
        """Send what was sent to a bucket to all its slices, which choose their rows."""
        if not self.slices:
            return blobs
        groups = array(col("bucket"))
        for bucket, found in self.slices.items():
            every = array(*(lit(each.group) for each in found))
            groups = when(col("bucket") == bucket, every).otherwise(groups)
        return blobs.select(explode(groups).alias("bucket"), "stream", "data")

    def own_rows(self, group: int, parts: Sequence[Part]) -> tuple[int, int] | None:
        """Return the first row of a group's observations and the end; None without slices."""
        for found in self.slices.values():
            for each in found:
                if each.group == group:
                    last = parts[each.end_part - 1]
                    return parts[each.first_part].start, last.start + last.rows
        return None

    def in_order(self) -> Iterator[int]:
        """Yield the groups bucket after bucket, slices in order."""
        n_buckets = self.n_groups - sum(len(found) - 1 for found in self.slices.values())
        for bucket in range(n_buckets):
            yield from (
                (each.group for each in self.slices[bucket]) if bucket in self.slices else (bucket,)
            )


def weigh(spark: SparkSession, tables: LandedTables, work: Work) -> Weights:
    """Weigh the large buckets of every division, on the workers."""
    partitions = dict.fromkeys(at for each in work.plan.passes for at, _ in touched(each))
    asked = [
        (partition, part)
        for partition in partitions
        if partition[1] is not None
        and sum(each.rows for each in tables.parts.get(partition[0], ())) > HEAVY_ROWS
        for part in tables.parts[partition[0]]
    ]

    def task(place: tuple[Partition, Part]) -> Report:
        (_, column), part = place
        keys = part.read([str(column)])[column]
        keys = keys.filter(keys.is_valid())
        sizes = np.bincount(bucket_of(keys, work.n_buckets), minlength=work.n_buckets)
        large = np.flatnonzero(sizes * work.n_buckets >= _TIMES * len(keys))
        return {"rows": [[int(each), int(sizes[each])] for each in large if sizes[each]]}

    found: dict[Partition, Counter[int]] = {}
    reports = run_each(spark, task, asked)
    for (partition, _), report in zip(asked, reports, strict=True):
        found.setdefault(partition, Counter()).update(dict(report["rows"]))
    return {
        partition: {bucket: size / _bound(tables, partition, work) for bucket, size in each.items()}
        for partition, each in found.items()
    }


def _bound(tables: LandedTables, partition: Partition, work: Work) -> float:
    rows = sum(part.rows for part in tables.parts[partition[0]])
    return max(HEAVY_ROWS, _TIMES * rows / work.n_buckets)


def routes_of(each: Pass, tables: LandedTables, work: Work, weights: Weights) -> Routes:
    """Decide which buckets of a pass are divided, and how."""
    anchor = each.site.anchor
    place = each.site.place, None if anchor is None else anchor.observed
    heavy: dict[int, float] = {}
    for partition, _ in touched(each):
        for bucket, weight in weights.get(partition, {}).items():
            heavy[bucket] = max(heavy.get(bucket, 0.0), weight)
    parts = tables.parts[place[0]]
    # money out is matched with all money in before it: its rows stay together
    whole = any(own_match(spec.how) for spec in each.specs) or not all(p.span for p in parts)
    slices: dict[int, list[Slice]] = {}
    n_groups = work.n_buckets
    for bucket, weight in sorted(heavy.items()):
        if weight > 1 and parts and not whole:
            number = math.ceil(_TIMES * weight)
            found = list(_slices(parts, number, bucket, n_groups))
            if len(found) > 1 and _are_apart(found):
                slices[bucket] = found
                n_groups += len(found) - 1
    by = None if anchor is None else anchor.rows
    reach = {(table, by): how_long for table, how_long in reaches(each).items()}
    return Routes(place=place, n_groups=n_groups, reach=reach, slices=slices)


def _slices(parts: Sequence[Part], number: int, bucket: int, group: int) -> Iterator[Slice]:
    """Divide the parts of a place into runs of about as many rows; the first keeps the bucket."""
    ends = np.cumsum([part.rows for part in parts])
    bounds = np.unique(np.searchsorted(ends, np.arange(1, number + 1) / number * ends[-1]) + 1)
    for nth, (first, end) in enumerate(zip([0, *bounds[:-1]], bounds, strict=True)):
        spans = [part.span for part in parts[first:end] if part.span]
        yield Slice(
            group=bucket if nth == 0 else group + nth - 1,
            first_part=int(first),
            end_part=int(end),
            first=min(span.first_event for span in spans),
            last=max(span.last_event for span in spans),
        )


def _are_apart(slices: Sequence[Slice]) -> bool:
    """Return whether slices are of different times: of observations in any order they are not."""
    whole = max(each.last for each in slices) - min(each.first for each in slices)
    return sum(each.last - each.first for each in slices) <= 2 * whole


def _sees(each: Slice, part: Part, reach: int) -> bool:
    return part.span is not None and not part.span.is_hidden(
        each.first, each.last, lag_us=0, window_us=reach
    )
