"""Counts of a whole table, a run of its rows at a time.

A count needs no rows together: the counts of parts of the rows add up. Most parts need not
even be read for an observation, because all of their rows, or none, are visible to it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kyc_ml.contract import EVENT_TIME, KNOWN_AT
from kyc_ml.features.buckets.anchors import IDENTIFIERS
from kyc_ml.features.build import Computed, FeatureComputation
from kyc_ml.features.how import OBSERVED, RowColumn, name_of
from kyc_ml.features.kernels.timeline import FOREVER_US, Span
from kyc_ml.features.kinds.row_function import RowFunction
from kyc_ml.features.kinds.rows_of_key import Window
from kyc_ml.features.spec import FeatureSpec
from kyc_ml.features.timed_rows import NEVER_US, UNTIL, TimedRows
from kyc_ml.metrics import Floats

_HELD: Final = 2
"""Runs kept in memory: observations in order of time need the same ones again."""


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


class WholeCount:
    """Counts the rows of a stored table for observations, a row group at a time.

    Parameters
    ----------
    path : Path
        Parquet file of the table: sorted by time, its row groups follow each other in time,
        and few of them hold rows that only some of the observations at hand may see.
    spec : FeatureSpec
        One of those that `adds_up` accepts.
    """

    def __init__(self, path: Path, spec: FeatureSpec, *, timezone: str, threads: int) -> None:
        assert isinstance(spec.how, Window)  # noqa: S101  checked by adds_up
        self._path = path
        self._spec = spec
        self._how = spec.how
        self._timezone = timezone
        self._threads = threads
        read = (EVENT_TIME, KNOWN_AT, UNTIL, *map(name_of, spec.how.key))
        self._columns = [name for name in read if name in pq.read_schema(path).names]
        self._held: OrderedDict[int, TimedRows] = OrderedDict()
        stored = pq.read_metadata(path)
        # read once: groups that every or no observation sees are then not read again
        self._spans = {
            group: _span_of(self._load(group))
            for group in range(stored.num_row_groups)
            # a group without rows has no first and last time
            if stored.row_group(group).num_rows
        }
        self._counts: dict[int, dict[str | None, float]] = {group: {} for group in self._spans}

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
        total = self._read(observed, self._nothing())
        settled = []
        for group, span in self._spans.items():
            if span.is_hidden(first, last, **seen):
                continue
            if span.is_visible(first, last, **seen):
                settled.append(group)
            else:
                total += self._read(observed, self._hold(group))
        return total + self._read_settled(observed, settled)

    def _read(self, observed: TimedRows, rows: TimedRows) -> Floats:
        """Compute the counts in some of the rows with the engine."""
        computed = Computed([self._spec], len(observed))
        computation = FeatureComputation(
            {self._how.table: rows}, timezone=self._timezone, threads=self._threads
        )
        computation.read(observed, [self._spec], computed)
        return computed.column(self._spec.name)

    def _read_settled(self, observed: TimedRows, groups: Sequence[int]) -> Floats:
        """Count rows that all observations see: one count for each key."""
        if self._how.key:
            # reading an empty table (`_nothing`) has added the key to the observations
            key = name_of((self._how.key if self._how.at is None else self._how.at)[0])
            keys = observed.encoded(key).dictionary.to_pylist()
            codes, _ = observed.codes(key)
        else:
            keys, codes = [None], np.zeros(len(observed), np.int32)
        found_codes, at = np.unique(codes, return_index=True)
        firsts = at[found_codes >= 0]
        of_key = np.zeros(len(keys) + 1)
        for group in groups:
            counts = self._counts[group]
            new = [code for code, each in enumerate(keys) if each not in counts]
            if new:
                # all of a key's observations see the same rows: one of them is enough
                some = TimedRows(observed.table.take(pa.array(firsts[new])), time=observed.time)
                found = self._read(some, self._hold(group)).tolist()
                counts |= dict(zip([keys[code] for code in new], found, strict=True))
            of_key[:-1] += [counts[each] for each in keys]
        of_key[-1] = np.nan  # of code -1: without a key
        return of_key[codes]

    def _hold(self, group: int) -> TimedRows:
        if group not in self._held:
            self._held[group] = self._load(group)
        # the least recently used run is dropped first
        self._held.move_to_end(group)
        while len(self._held) > _HELD:
            self._held.popitem(last=False)
        return self._held[group]

    def _load(self, group: int) -> TimedRows:
        with pq.ParquetFile(self._path) as file:
            return TimedRows(file.read_row_group(group, columns=self._columns))

    def _nothing(self) -> TimedRows:
        schema = pq.read_schema(self._path)
        return TimedRows(pa.schema([schema.field(name) for name in self._columns]).empty_table())


def _span_of(rows: TimedRows) -> Span:
    until = rows.until
    return Span(
        first_event=int(rows.event_time.min()),
        last_event=int(rows.event_time.max()),
        last_known=int(rows.known_at.max()),
        first_until=NEVER_US if until is None else int(until.min()),
    )
