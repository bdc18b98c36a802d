"""A statistic with an exact value at its edge has that value: rounding is no behaviour.

A tree splits on any difference, so 4.4e-16 for an entropy of 0 would be shown as a reason.
"""

from __future__ import annotations

import math

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings

from kyc_ml.features import Window
from kyc_ml.features.formulas import evaluate
from kyc_ml.features.history import build_history
from kyc_ml.features.kernels.flow import match_flow
from kyc_ml.features.kinds.peer import Peer
from kyc_ml.features.peer_distance import MEASURED_AT, distance, group_statistics
from kyc_ml.features.periods import HOUR_US, WindowLength
from kyc_ml.features.sweeps import Sweep
from kyc_ml.features.timed_rows import TimedRows

UTC = pa.timestamp("us", tz="UTC")
NOW, WINDOW = 10_000, 1_000
AMOUNTS = st.one_of(
    st.floats(1e-3, 1e9), st.integers(1, 10**9).map(lambda cents: cents / 100), st.just(0.1)
)
TIMES = st.integers(NOW - WINDOW, NOW - 1)
EARLIER = st.lists(
    st.tuples(
        st.integers(0, NOW - WINDOW - 1), AMOUNTS, st.sampled_from("xyz"), st.integers(0, 500)
    ),
    max_size=8,
)
"""Rows of other values that came and left before the window: what they leave must be nothing."""


def read(rows, *wanted, own=math.nan):
    """Read statistics of (time, amount, kind, delay) rows at NOW, after looking at every time."""
    rows = sorted(rows)
    table = pa.table(
        {
            "key": pa.array(["a"] * len(rows)),
            "event_time": pa.array([row[0] for row in rows], pa.int64()).cast(UTC),
            "known_at": pa.array([row[0] + row[3] for row in rows], pa.int64()).cast(UTC),
            "amount": pa.array([row[1] for row in rows], pa.float64()),
            "kind": pa.array([row[2] for row in rows], pa.string()),
        }
    )
    looks = [*range(0, NOW, 700), NOW]
    observed = pa.table(
        {
            "key": pa.array(["a"] * len(looks)),
            "decision_time": pa.array(looks, pa.int64()).cast(UTC),
            "own": pa.array([own] * len(looks)),
        }
    )
    decided = TimedRows(observed, time="decision_time")
    history = build_history(TimedRows(table), decided, key=("key",))
    period = WindowLength(label="w", us=WINDOW, english="w", chinese="w")
    out = np.full((len(looks), len(wanted)), np.nan, order="F")
    hows = [
        Window(table="t", key=("key",), statistic=statistic, period=period, **how)
        for statistic, how in wanted
    ]
    sweep = Sweep(history, window_us=WINDOW)
    sweep.fill([(how, at) for at, how in enumerate(hows)], out, observations=decided)
    return out[-1].tolist()


SHARES = tuple(
    (statistic, {"value": "kind", **weight})
    for weight in ({}, {"weight": "amount"})
    for statistic in ("first_share", "herfindahl", "entropy")
)


@settings(max_examples=5 * settings.default.max_examples)
@given(
    seen=st.lists(st.tuples(TIMES, AMOUNTS, st.integers(0, 1)), min_size=1, max_size=60),
    earlier=EARLIER,
)
def test_of_one_value_shares_are_one_and_the_entropy_nothing(seen, earlier):
    rows = [(when, amount, "x", late) for when, amount, late in seen if when + late <= NOW]
    assert read(rows + earlier, *SHARES) == [1.0, 1.0, 0.0, 1.0, 1.0, 0.0]


@settings(max_examples=5 * settings.default.max_examples)
@given(
    kinds=st.integers(1, 5),
    amount=AMOUNTS,
    times=st.integers(1, 12),
    start=st.integers(NOW - WINDOW, NOW - 61),
    earlier=EARLIER,
)
def test_equal_shares_are_exact(kinds, amount, times, start, earlier):
    rows = [
        (start + n, amount, "abcde"[n % kinds], 0) for n in range(kinds * times)
    ]  # each kind as often, of the same amount
    edge = [1.0 / kinds, 1.0 / kinds, float(np.log(kinds))]
    assert read(rows + earlier, *SHARES) == [*edge, *edge]


@settings(max_examples=5 * settings.default.max_examples)
@given(
    amount=AMOUNTS,
    times=st.lists(TIMES, min_size=2, max_size=60),
    late=st.integers(0, 1),
    earlier=EARLIER,
)
def test_equal_amounts_have_their_value_as_mean_and_no_spread(amount, times, late, earlier):
    rows = [(when, amount, "x", late * (when < NOW - 1)) for when in times]
    wanted = [(name, {"value": "amount"}) for name in ("mean", "std", "median", "max", "min")]
    got = read(rows + earlier, *wanted, ("rank", {"value": "amount", "own": "own"}), own=amount)
    assert got == [amount, 0.0, amount, amount, amount, 0.5]


@settings(max_examples=5 * settings.default.max_examples)
@given(
    gap=st.integers(1, 30),
    n=st.integers(3, 30),
    earlier=EARLIER,
)
def test_equal_gaps_have_no_spread(gap, n, earlier):
    rows = [(NOW - 1 - gap * place, 1.0, "x", 0) for place in range(n)]
    mean, std = read(rows + earlier, ("gap_mean", {}), ("gap_std", {}))
    assert (mean, std) == (gap / HOUR_US, 0.0)


PIECES = st.lists(AMOUNTS, min_size=1, max_size=12)


@settings(max_examples=5 * settings.default.max_examples)
@given(pieces=PIECES, cuts=st.lists(AMOUNTS, min_size=1, max_size=6), together=st.booleans())
def test_money_that_is_passed_on_as_a_whole_is_matched_as_a_whole(pieces, cuts, together):
    total = sum(pieces)
    outs = [total * cut / sum(cuts) for cut in cuts]
    outs[-1] = total - sum(outs[:-1])
    if min(outs) < 1e-3 * total:  # what subtracting leaves of the whole is much of a small part
        return
    n, m = len(pieces), len(outs)
    leaves = [n if together else n + place for place in range(m)]
    when = np.array([*range(n), *leaves], np.int64) * HOUR_US
    amount = np.array([*pieces, *outs])
    matched, dwell = match_flow(
        np.array([0, n + m], np.int64),
        when,
        when,
        np.array([False] * n + [True] * m),
        amount,
        np.array([1_000 * HOUR_US], np.int64),
    )
    assert matched[n:, 0].tolist() == outs
    if n == 1 and together:
        assert dwell[n:].tolist() == [1.0] * m


@given(parts=PIECES, other=st.permutations(range(12)))
def test_formulas_of_equal_sums_are_exact(parts, other):
    a = np.array([sum(parts)])
    b = np.array([sum(parts[place] for place in other if place < len(parts))])
    assert evaluate("ratio", [a, b]).tolist() == [1.0]
    assert evaluate("difference", [a, b]).tolist() == [0.0]
    assert evaluate("z_score", [a, b, np.ones(1)]).tolist() == [0.0]
    for k in (0.0, 1.0):
        assert evaluate("log_ratio", [a, b], parameter=k).tolist() == [0.0]


@given(known=st.integers(0, 500), more=st.integers(0, 500), k=st.sampled_from([1, 5, 7, 20, 50]))
def test_a_shrunk_share_is_its_prior_where_nothing_else_is_known(known, more, k):
    total = known + more + 1
    zero, bank = np.zeros(1), [np.array([float(known)]), np.array([float(total)])]
    assert evaluate("shrunk_share", [zero, zero, *bank], parameter=k).tolist() == [known / total]
    every = np.array([float(total)])
    assert evaluate("shrunk_share", [every] * 4, parameter=k).tolist() == [1.0]
    assert evaluate("shrunk_share", [zero, every, zero, every], parameter=k).tolist() == [0.0]
    same = evaluate("shrunk_share", [*bank, *bank], parameter=k)
    assert same.tolist() == [known / total]


def test_the_surprise_of_what_always_happens_is_nothing():
    assert math.copysign(1.0, evaluate("minus_log", [np.ones(1)])[0]) == 1.0


@pytest.mark.parametrize("apart", [0.0, 5.6e-17])
def test_peers_who_are_equal_but_for_rounding_have_no_spread(apart):
    how = Peer(feature="f", by=(), fewest=5)
    values = 0.3 + apart * (np.arange(40) % 2)
    frame = pd.DataFrame({MEASURED_AT: np.zeros(40, np.int64), "f": values})
    assert np.isnan(distance(how, group_statistics(how, frame), frame)).all()
