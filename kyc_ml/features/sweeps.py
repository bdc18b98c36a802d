"""One window over one history: a timeline, and the statistics read off it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kyc_ml.errors import DatasetError
from kyc_ml.features import kernels
from kyc_ml.features.history import History

Int32s = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]

_MOMENTS = {"count": 0, "sum": 1, "mean": 2, "std": 3}


class Sweep:
    """What each observation sees of its key in ``[t - lag - window, t - lag)``.

    Parameters
    ----------
    table : pyarrow.Table
        The rows that `history` groups.
    window_us : int or None
        Microseconds; None for all history.

    Results have one value an observation, in the history's order of positions.
    """

    def __init__(
        self, history: History, table: pa.Table, *, window_us: int | None, lag_us: int = 0
    ) -> None:
        widest = max(history.rows.size, history.observations.size)
        if widest > kernels.MOST_ROWS:
            msg = (
                f"one sweep holds at most {kernels.MOST_ROWS:,} rows or observations, got "
                f"{widest:,}: part the customers and build the features of each part"
            )
            raise DatasetError(msg)
        self._history = history
        self._table = table
        self._moments: dict[str | None, Floats] = {}
        self._nearest: Int32s | None = None
        enters = np.maximum(history.event_time + (lag_us + 1), history.known_at)
        self._entries = np.empty(2 * history.rows.size + history.observations.size, np.int32)
        self._lengths = np.zeros(history.n_keys, np.int64)
        kernels.build_timeline(
            history.observed_at,
            history.observed_starts,
            history.event_time,
            enters,
            kernels.order_by_entry(history.row_starts, enters),
            history.row_starts,
            kernels.FOREVER_US if window_us is None else lag_us + window_us,
            self._entries,
            self._lengths,
        )

    def moment(
        self, statistic: Literal["count", "sum", "mean", "std"], value: str | None
    ) -> Floats:
        """Count rows, or sum, average or spread a column; one pass serves all four."""
        if value is None and self._moments:
            value = next(iter(self._moments))
        if value not in self._moments:
            self._moments[value] = self._run_moments(value)
        return self._moments[value][:, _MOMENTS[statistic]]

    def extreme(self, statistic: Literal["max", "min"], value: str) -> Floats:
        """Take the largest or smallest value of a column; NaN without rows."""
        sign = 1.0 if statistic == "max" else -1.0
        largest = np.full(self._history.observations.size, np.nan)
        self._run(kernels.sweep_extremes, sign * self._values(value), largest)
        return sign * largest

    def distinct(self, value: str) -> Floats:
        """Count the different values of a column; missing ones do not count."""
        codes, n_codes = self._codes(value)
        distinct = np.full(self._history.observations.size, np.nan)
        self._run(kernels.sweep_distinct, codes, np.zeros(n_codes, np.int32), distinct)
        return distinct

    def nearest(self) -> npt.NDArray[np.int64]:
        """Find the table's row that happened last; -1 where none is visible."""
        if self._nearest is None:
            self._nearest = np.full(self._history.observations.size, -1, np.int32)
            self._run(kernels.sweep_nearest, self._nearest)
        found = self._nearest >= 0
        rows = np.full(self._nearest.size, -1, np.int64)
        rows[found] = self._history.rows[self._nearest[found]]
        return rows

    def _run(self, kernel: Callable[..., None], *arrays: npt.NDArray[np.generic]) -> None:
        kernel(
            self._entries,
            self._lengths,
            self._history.row_starts,
            self._history.observed_starts,
            *arrays,
        )

    def _run_moments(self, value: str | None) -> Floats:
        moments = np.full((self._history.observations.size, 4), np.nan)
        values = np.zeros(self._history.rows.size) if value is None else self._values(value)
        self._run(kernels.sweep_moments, values, moments)
        return moments

    def _values(self, column: str) -> Floats:
        flat = self._table[column].combine_chunks().to_numpy(zero_copy_only=False)
        return np.asarray(flat, dtype=np.float64)[self._history.rows]

    def _codes(self, column: str) -> tuple[Int32s, int]:
        """Code each (key, value) pair by position; -1 where the value is missing."""
        history = self._history
        encoded = self._table[column].combine_chunks().dictionary_encode()
        flat = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)[history.rows]
        keys = np.repeat(np.arange(history.n_keys), np.diff(history.row_starts))
        pairs = pa.array(keys * (len(encoded.dictionary) + 1) + flat, mask=flat < 0)
        coded = pairs.dictionary_encode()
        codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return np.asarray(codes, dtype=np.int32), len(coded.dictionary)
