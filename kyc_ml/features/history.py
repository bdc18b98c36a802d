"""Rows of a table grouped by key beside the observations that look back on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.contract.tables import EVENT_TIME, KNOWN_AT
from kyc_ml.features import kernels
from kyc_ml.features.spec import Where
from kyc_ml.features.table import DECISION_TIME

Int64s = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]


def microseconds(column: pa.ChunkedArray | pa.Array) -> Int64s:
    """Read a timestamp column without nulls as int64 microseconds."""
    flat = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return np.asarray(flat.cast(pa.int64()).to_numpy(zero_copy_only=False), dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Rows and observations of the same keys, each in order of time inside a key.

    A *position* counts rows (or observations) key after key; `rows` and `observations`
    translate positions into row numbers of their tables.
    """

    rows: Int32s
    row_starts: Int64s
    event_time: Int64s
    known_at: Int64s
    observations: Int32s
    observed_starts: Int64s
    observed_at: Int64s

    @property
    def n_keys(self) -> int:
        """Number of keys that rows or observations have."""
        return int(self.row_starts.size - 1)


def build_history(
    table: pa.Table, observations: pa.Table, *, key: tuple[str, ...], where: Where | None
) -> History:
    """Group a table's rows and the observations by `key`.

    Rows that do not match `where`, and rows or observations without a key, are left out.
    An empty key puts everything under one.
    """
    row_codes, observed_codes, n_keys = _joint_codes(table, observations, key)
    if where is not None:
        row_codes = np.where(_matches(table, where), row_codes, np.int32(-1))
    event_time = microseconds(table[EVENT_TIME])
    known_at = microseconds(table[KNOWN_AT])
    observed_at = microseconds(observations[DECISION_TIME])
    rows, row_starts = _group_in_time(row_codes, event_time, n_keys)
    observed, observed_starts = _group_in_time(observed_codes, observed_at, n_keys)
    return History(
        rows=rows,
        row_starts=row_starts,
        event_time=event_time[rows],
        known_at=known_at[rows],
        observations=observed,
        observed_starts=observed_starts,
        observed_at=observed_at[observed],
    )


def _as_codes(indices: pa.Array) -> Int32s:
    return np.asarray(indices.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int32)


def _joint_codes(
    table: pa.Table, observations: pa.Table, key: tuple[str, ...]
) -> tuple[Int32s, Int32s, int]:
    """Code keys so that rows and observations of one key share a code; -1 without one."""
    n_rows, n_observed = table.num_rows, observations.num_rows
    if not key:
        return np.zeros(n_rows, np.int32), np.zeros(n_observed, np.int32), 1
    coded = _encode_together(table[key[0]], observations[key[0]])
    for column in key[1:]:
        following = _encode_together(table[column], observations[column])
        width = max(len(following.dictionary), 1)
        pairs = pc.add(
            pc.multiply(coded.indices.cast(pa.int64()), width), following.indices.cast(pa.int64())
        )
        coded = pairs.dictionary_encode()
    flat = _as_codes(coded.indices)
    return flat[:n_rows], flat[n_rows:], max(len(coded.dictionary), 1)


def _encode_together(left: pa.ChunkedArray, right: pa.ChunkedArray) -> pa.DictionaryArray:
    """Encode two columns with one dictionary; nulls stay null."""
    chunks = [*left.chunks, *right.chunks]
    return pa.chunked_array(chunks, left.type).combine_chunks().dictionary_encode()


def _matches(table: pa.Table, where: Where) -> npt.NDArray[np.bool_]:
    allowed = pa.array(list(where.values), pa.string())
    mask = pc.is_in(table[where.column], value_set=allowed)
    return np.asarray(mask.combine_chunks().to_numpy(zero_copy_only=False), dtype=np.bool_)


def _group_in_time(codes: Int32s, time: Int64s, n_keys: int) -> tuple[Int32s, Int64s]:
    """Group by key, in order of time inside a key; contracted tables are sorted already."""
    if np.all(time[1:] >= time[:-1]):
        return kernels.group_rows(codes, n_keys)
    rank = np.argsort(time, kind="stable").astype(np.int32)
    order, starts = kernels.group_rows(codes[rank], n_keys)
    return rank[order], starts
