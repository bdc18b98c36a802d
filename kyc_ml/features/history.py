"""Rows of a table grouped by key, together with the observations that look back on them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.features.how import Where, name_of
from kyc_ml.features.kernels import shares, timeline
from kyc_ml.features.kernels.timeline import gather
from kyc_ml.features.timed_rows import TimedRows, as_codes
from kyc_ml.metrics import Floats, Ints, Ints32, Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Rows and observations of the same keys, each in order of time inside a key.

    A *position* counts rows (or observations) key after key; `rows` and `observations`
    translate positions into row numbers of their tables.
    """

    source: TimedRows
    rows: Ints32
    row_starts: Ints
    event_time: Ints
    known_at: Ints
    until: Ints | None
    observations: Ints32
    observed_starts: Ints
    observed_at: Ints

    @property
    def n_keys(self) -> int:
        """Number of keys that rows or observations have."""
        return int(self.row_starts.size - 1)

    def parts(self, size: int) -> Iterator[History]:
        """Divide the keys into runs of about `size` rows and observations, as views.

        A run fits into the processor's cache, and threads can take different ones. A key
        is never divided.
        """
        load = self.row_starts + self.observed_starts
        first = 0
        while first < self.n_keys:
            last = int(np.searchsorted(load, load[first] + size, side="right")) - 1
            # at least one key: a single one may have more rows than `size`
            last = min(max(last, first + 1), self.n_keys)
            # keys that no observation looks at need no work
            if self.observed_starts[last] > self.observed_starts[first]:
                yield self._part(first, last)
            first = last

    def _part(self, first: int, last: int) -> History:
        row, end = self.row_starts[first], self.row_starts[last]
        observed, observed_end = self.observed_starts[first], self.observed_starts[last]
        return History(
            source=self.source,
            rows=self.rows[row:end],
            row_starts=self.row_starts[first : last + 1] - row,
            event_time=self.event_time[row:end],
            known_at=self.known_at[row:end],
            until=None if self.until is None else self.until[row:end],
            observations=self.observations[observed:observed_end],
            observed_starts=self.observed_starts[first : last + 1] - observed,
            observed_at=self.observed_at[observed:observed_end],
        )

    def entries(self, lag_us: int) -> tuple[Ints, Ints32]:
        """Instants at which rows become visible, and their order (empty: as they are)."""
        enters = np.maximum(self.event_time + (lag_us + 1), self.known_at)
        return enters, timeline.order_by_instant(self.row_starts, enters)

    def leaves(self, reach_us: int) -> tuple[Ints, Ints32, int]:
        """Instants at which rows leave, less a delay; their order; and the delay."""
        if self.until is None:
            # without versions all rows leave after one delay: no array needs to be made
            return self.event_time, np.empty(0, np.int32), reach_us + 1
        leaves = np.minimum(self.event_time + (reach_us + 1), self.until)
        return leaves, timeline.order_by_instant(self.row_starts, leaves), 0

    def level(self, values: Floats) -> Floats:
        """Replace values of one key with equal event and known times by their mean.

        The order of such rows carries no information, so it must not decide which is the latest.

        `values`: float64 array, one value a row of the table; NaN is missing.
        """
        # a copy: the column belongs to the table and is read by others
        levelled = values.copy()
        levelled[self.rows] = timeline.level_ties(
            self.row_starts, self.event_time, self.known_at, values[self.rows]
        )
        return levelled

    def values(self, name: str) -> Floats:
        """Read a column by position."""
        return gather(self.source.number(name), self.rows)

    def pair_codes(self, name: str) -> tuple[Ints32, Ints]:
        """Code (key, value) pairs by position; see `shares.code_pairs`."""
        codes, n_values = self.source.codes(name)
        values = codes[self.rows]
        if n_values > values.size:  # most values are of other parts: number those at hand
            found, places = np.unique(values, return_inverse=True)
            missing = int(found.size > 0 and found[0] < 0)
            values = (places - missing).astype(np.int32)
            n_values = found.size
        return shares.code_pairs(self.row_starts, values, n_values)


class Keys:
    """Codes of keys that the rows of a table share with observations, found once."""

    def __init__(self, observations: TimedRows) -> None:
        self.observations = observations
        self._cache: dict[tuple[int, str, str], tuple[Ints32, Ints32, int]] = {}
        self._lock = threading.RLock()

    def codes(
        self, source: TimedRows, key: tuple[str, ...], at: tuple[str, ...]
    ) -> tuple[Ints32, Ints32, int]:
        """Code keys so that rows and observations of one key share a code; -1 without one.

        An empty key puts everything under one.
        """
        if not key:
            n_rows, n_observed = len(source), len(self.observations)
            return np.zeros(n_rows, np.int32), np.zeros(n_observed, np.int32), 1
        rows, observed, width = self._column(source, key[0], at[0])
        for column, own in zip(key[1:], at[1:], strict=True):
            more_rows, more_observed, more_width = self._column(source, column, own)
            rows, observed, width = _pair(rows, observed, more_rows, more_observed, more_width)
        return rows, observed, width

    def _column(self, source: TimedRows, column: str, own: str) -> tuple[Ints32, Ints32, int]:
        with self._lock:
            # tables outlive this object, so that no id is used twice
            known = (id(source), column, own)
            if known not in self._cache:
                self._cache[known] = self._encode(source, column, own)
            return self._cache[known]

    def _encode(self, source: TimedRows, column: str, own: str) -> tuple[Ints32, Ints32, int]:
        left, right = source.table[column], self.observations.table[own]
        if _same_memory(left, right):
            codes, width = source.codes(column)
            return codes, codes, max(width, 1)
        # rows and observations are encoded together, so that equal values get equal codes
        encoded = pa.chunked_array([*left.chunks, *right.chunks], left.type)
        together = encoded.combine_chunks().dictionary_encode()
        flat = as_codes(together.indices)
        return flat[: len(left)], flat[len(left) :], max(len(together.dictionary), 1)


def build_history(
    source: TimedRows,
    observations: TimedRows,
    *,
    key: tuple[str, ...],
    where: Where | None = None,
    having: str | None = None,
    at: tuple[str, ...] | None = None,
    keys: Keys | None = None,
) -> History:
    """Group a table's rows and the observations by `key`.

    Rows that do not match `where`, that have no value in the column `having`, or that have
    no key, are left out; so are observations without a key.

    `at`: the observations' columns that hold the key; those of the same name by default.
    `keys`: codes found before, for these observations.
    """
    known = keys if keys is not None else Keys(observations)
    row_codes, observed_codes, n_keys = known.codes(source, key, key if at is None else at)
    kept = kept_rows(source, where, having)
    # `np.int32(-1)` keeps the type: a plain -1 may widen the array
    filtered = row_codes if kept is None else np.where(kept, row_codes, np.int32(-1))
    rows, row_starts = _group_in_time(filtered, source, n_keys)
    same = filtered is observed_codes and np.shares_memory(
        source.event_time, observations.event_time
    )
    observed, observed_starts = (
        (rows, row_starts) if same else _group_in_time(observed_codes, observations, n_keys)
    )
    event_time = gather(source.event_time, rows)
    # tables without late rows hold one array for both times: gather it once
    punctual = np.shares_memory(source.known_at, source.event_time)
    return History(
        source=source,
        rows=rows,
        row_starts=row_starts,
        event_time=event_time,
        known_at=event_time if punctual else gather(source.known_at, rows),
        until=None if source.until is None else gather(source.until, rows),
        observations=observed,
        observed_starts=observed_starts,
        observed_at=event_time if same else gather(observations.event_time, observed),
    )


def kept_rows(source: TimedRows, where: Where | None, having: str | None = None) -> Mask | None:
    """Return which rows pass a filter; None if all do."""
    kept = None if having is None else source.has(having)
    while where is not None:
        column = source.table[name_of(where.column)]
        matches = pc.is_in(column, value_set=pa.array(where.values, pa.string()))
        found = np.asarray(matches.combine_chunks().to_numpy(zero_copy_only=False), dtype=np.bool_)
        kept = found if kept is None else kept & found
        where = where.also
    return kept


def _group_in_time(codes: Ints32, source: TimedRows, n_keys: int) -> tuple[Ints32, Ints]:
    """Group by key, in order of time inside a key; contracted tables are sorted already."""
    if source.is_sorted:
        return timeline.group_rows(codes, n_keys)
    rank = np.argsort(source.event_time, kind="stable").astype(np.int32)
    order, starts = timeline.group_rows(codes[rank], n_keys)
    return rank[order], starts


def _pair(
    rows: Ints32, observed: Ints32, more_rows: Ints32, more_observed: Ints32, width: int
) -> tuple[Ints32, Ints32, int]:
    """Code pairs of codes: dense again, -1 where one of them is."""
    # in 64 bits: the product of two codes does not fit into 32
    joint = np.concatenate([rows, observed]).astype(np.int64) * width
    more = np.concatenate([more_rows, more_observed])
    missing = (joint < 0) | (more < 0)
    coded = pa.array(joint + more, mask=missing).dictionary_encode()
    flat = as_codes(coded.indices)
    return flat[: rows.size], flat[rows.size :], max(len(coded.dictionary), 1)


def _same_memory(left: pa.ChunkedArray, right: pa.ChunkedArray) -> bool:
    """Return whether two columns share their memory."""
    if left.num_chunks != right.num_chunks or len(left) != len(right):
        return False
    return all(
        ours.offset == theirs.offset
        and len(ours) == len(theirs)
        and [b and b.address for b in ours.buffers()] == [b and b.address for b in theirs.buffers()]
        for ours, theirs in zip(left.chunks, right.chunks, strict=True)
    )
