"""Counts from ordered times are what the time rule of `kernels.timeline` says."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.features.kernels.timeline import FOREVER_US, visible
from kyc_ml.features.live.groups import Counts

ROW = st.tuples(st.integers(0, 9), st.integers(0, 20), st.integers(0, 20), st.booleans())


@given(
    rows=st.lists(ROW, min_size=1, max_size=12),
    asked=st.lists(st.tuples(st.integers(0, 12), st.integers(-2, 40)), min_size=1, max_size=8),
    lag=st.integers(0, 4),
    window=st.integers(1, 9),
    superseded=st.booleans(),
    chooses=st.booleans(),
    conditional=st.booleans(),
)
def test_rows_that_come_in_parts_and_decisions_in_any_order_see_what_the_rule_says(
    *, rows, asked, lag, window, superseded, chooses, conditional
):
    event, late, lasts, kept = (np.array(each) for each in zip(*rows, strict=True))
    until = event + lasts if superseded else None
    times = np.array([event, event + late, *([until] if superseded else [])], np.int64)
    windows = np.array([[lag + window, 0, 0, 1], [FOREVER_US, 1, 1, 2]])
    calls = np.zeros((2, 14), np.int64)
    calls[:, 7] = [2, 0]
    lags = np.array([lag, 0])
    # a column of the observation is not filled by a count
    program = (0 if conditional else -1, None, lags, windows, calls, None, 1)
    counts = Counts(SimpleNamespace(program=program))
    held = times, None, None, kept[None, :]
    chosen = np.arange(len(rows), dtype=np.int32)[::2] if chooses else np.empty(0, np.int32)
    there = chosen if chooses else np.arange(len(rows))
    size = 0
    for more, now in asked:
        size = min(max(size, more), there.size)
        counts.take(held, chosen, size)
        out = np.full((1, 3), np.nan)
        counts.read(now, out)
        some = there[:size]
        some = some[kept[some]] if conditional else some
        ended = None if until is None else until[some]
        seen = [
            visible(*times[:2, some], ended, now=now, lag_us=lag, window_us=window),
            visible(*times[:2, some], ended, now=now),
        ]
        assert out[0, [2, 0]].tolist() == [each.sum() for each in seen]
        assert np.isnan(out[0, 1])
