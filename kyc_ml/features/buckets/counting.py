"""Counts of a whole table, a run of its rows at a time.

A count needs no rows together: the counts of parts of the rows add up. Most parts need not
even be read for an observation, because all of their rows, or none, are visible to it.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kyc_ml.contract import EVENT_TIME, KNOWN_AT
from kyc_ml.features.buckets.anchors import IDENTIFIERS
from kyc_ml.features.build import Computed, FeatureComputation
from kyc_ml.features.how import OBSERVED, How, RowColumn, name_of
from kyc_ml.features.kernels.timeline import FOREVER_US, Span
from kyc_ml.features.kinds.row_function import RowFunction
from kyc_ml.features.kinds.rows_of_key import Window
from kyc_ml.features.spec import FeatureSpec
from kyc_ml.features.timed_rows import NEVER_US, UNTIL, TimedRows
from kyc_ml.metrics import Floats, Ints

_HELD: Final = 2
"""Runs kept in memory: observations in order of time need the same ones again."""

_JOINED_ROWS: Final = 1 << 17
"""Rows of runs that are read together."""


def adds_up(spec: FeatureSpec) -> bool:
    """Return whether a feature counts rows by their times and at most one field.

    The field is of the clock, or of the row and not an identifier.
    """
    how = spec.how
    if not isinstance(how, Window) or how.statistic != "count":
        return False
    plain = how.where is None and how.at is None
    return len(how.key) <= 1 and all(
        (plain and isinstance(column, str) and column not in IDENTIFIERS)
        or (
            isinstance(column, RowColumn)
            and isinstance(column.how, RowFunction)
            and column.how.is_of_the_clock
        )
        for _, column in how.columns(OBSERVED)
    )


def key_of_count(spec: FeatureSpec) -> list[str | RowColumn]:
    """Return the field by which `adds_up` counts rows; none where it counts all."""
    return list(getattr(spec.how, "key", ()))


def values_counted(rows: TimedRows, field: str | RowColumn, *, timezone: str) -> pa.Array:
    """Return the values of a field by which rows are counted."""
    if isinstance(field, str):
        return rows.column(field)
    return field.how.read(rows, tables={}, timezone=timezone)


class Runs(Protocol):
    """Runs of a table's rows that follow each other in time."""

    @property
    def spans(self) -> Mapping[int, Span]:
        """The outermost times of each run, by its number."""

    @property
    def schema(self) -> pa.Schema:
        """Times, and the key of a count where it is of a field."""

    def load(self, run: int) -> pa.Table:
        """Read the rows of a run."""

    def counted(self, run: int) -> Mapping[str | None, float] | None:
        """Return the rows of a run by key, None for all of them; None if that is not kept."""


class GroupsOfFile:
    """Row groups of a Parquet file as `Runs`.

    Parameters
    ----------
    path : Path
        File of a table: sorted by time, its row groups follow each other in time, and few of them
        hold rows that only some of the observations at hand may see.
    """

    def __init__(self, path: Path, how: How) -> None:
        self._path = path
        stored = pq.read_metadata(path)
        self.schema = schema_of_count(how, pq.read_schema(path))
        # read once: groups that every or no observation sees are then not read again
        self.spans = {
            group: span_of(TimedRows(self.load(group)))
            for group in range(stored.num_row_groups)
            # a group without rows has no first and last time
            if stored.row_group(group).num_rows
        }

    def load(self, run: int) -> pa.Table:
        """Read the rows of a row group."""
        with pq.ParquetFile(self._path) as file:
            return file.read_row_group(run, columns=self.schema.names)

    def counted(self, run: int) -> None:
        """Return None: a file keeps no counts."""


def schema_of_count(how: How, schema: pa.Schema) -> pa.Schema:
    """Return what a count reads of a table that has these columns."""
    names = {name_of(column) for _, column in how.columns(OBSERVED)}
    return pa.schema(
        [field for field in schema if field.name in {EVENT_TIME, KNOWN_AT, UNTIL, *names}]
    )


class WholeCount:
    """Counts the rows of a table for observations, a run of rows at a time.

    Parameters
    ----------
    spec : FeatureSpec
        One of those that `adds_up` accepts.
    """

    def __init__(self, runs: Runs, spec: FeatureSpec, *, timezone: str, threads: int) -> None:
        assert isinstance(spec.how, Window)  # noqa: S101  checked by adds_up
        self._runs = runs
        self._spec = spec
        self._how = spec.how
        self._timezone = timezone
        self._threads = threads
        self._held: OrderedDict[int, pa.Table] = OrderedDict()
        self._counts: dict[int, dict[str | None, float]] = defaultdict(dict)

    def count(self, observed: TimedRows) -> Floats:
        """Count the rows that each observation sees.

        Returns float64 array, one an observation; NaN where the observation has no key.
        """
        if not len(observed):
            return np.empty(0)
        window_us = FOREVER_US if self._how.period.us is None else self._how.period.us
        first, last = int(observed.event_time.min()), int(observed.event_time.max())
        seen = {"lag_us": self._how.lag_us, "window_us": window_us}
        # the engine's answer for no rows: 0, or missing where the key is missing
        total = self._read(observed, self._runs.schema.empty_table())
        settled: list[int] = []
        partial: list[int] = []
        for run, span in self._runs.spans.items():
            if not span.is_hidden(first, last, **seen):
                (settled if span.is_visible(first, last, **seen) else partial).append(run)
        for rows in self._together(partial):
            total += self._read(observed, rows)
        total += self._read_settled(observed, settled)
        return total

    def _together(self, runs: Sequence[int]) -> Iterator[pa.Table]:
        """Load runs, short ones joined: each call of the engine has its price."""
        waiting: list[pa.Table] = []
        for rows in map(self._hold, runs):
            if waiting and sum(map(len, waiting)) + len(rows) > _JOINED_ROWS:
                yield pa.concat_tables(waiting)
                waiting = []
            waiting.append(rows)
        if waiting:
            yield pa.concat_tables(waiting)

    def _read(self, observed: TimedRows, rows: pa.Table) -> Floats:
        """Compute the counts in some of the rows with the engine."""
        computed = Computed([self._spec], len(observed))
        computation = FeatureComputation(
            {self._how.table: TimedRows(rows)}, timezone=self._timezone, threads=self._threads
        )
        computation.read(observed, [self._spec], computed)
        return computed.column(self._spec.name)

    def _read_settled(self, observed: TimedRows, groups: Sequence[int]) -> Floats:
        """Count rows that all observations see: one count for each key."""
        if self._how.key:
            # reading an empty table has added the key to the observations
            key = name_of((self._how.key if self._how.at is None else self._how.at)[0])
            keys = observed.encoded(key).dictionary.to_pylist()
            codes, _ = observed.codes(key)
        else:
            keys, codes = [None], np.zeros(len(observed), np.int32)
        found_codes, at = np.unique(codes, return_index=True)
        firsts = at[found_codes >= 0]
        of_key = np.zeros(len(keys) + 1)
        for run in groups:
            kept = self._runs.counted(run)
            of_key[:-1] += (
                self._count_keys(run, keys, observed, firsts)
                if kept is None
                else [kept.get(each, 0.0) for each in keys]
            )
        of_key[-1] = np.nan  # of code -1: without a key
        return of_key[codes]

    def _count_keys(
        self, run: int, keys: Sequence[str | None], observed: TimedRows, firsts: Ints
    ) -> list[float]:
        """Count the rows of a run by key; all of a key's observations see the same ones."""
        counts = self._counts[run]
        new = [code for code, each in enumerate(keys) if each not in counts]
        if new:
            # one of a key's observations is enough
            some = TimedRows(observed.table.take(pa.array(firsts[new])), time=observed.time)
            found = self._read(some, self._hold(run)).tolist()
            counts |= dict(zip([keys[code] for code in new], found, strict=True))
        return [counts[each] for each in keys]

    def _hold(self, run: int) -> pa.Table:
        if run not in self._held:
            self._held[run] = self._runs.load(run)
        # the least recently used run is dropped first
        self._held.move_to_end(run)
        while len(self._held) > _HELD:
            self._held.popitem(last=False)
        return self._held[run]


def span_of(rows: TimedRows) -> Span:
    """Return the outermost times of some rows, at least one."""
    until = rows.until
    return Span(
        first_event=int(rows.event_time.min()),
        last_event=int(rows.event_time.max()),
        last_known=int(rows.known_at.max()),
        first_until=NEVER_US if until is None else int(until.min()),
    )
