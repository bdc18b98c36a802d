"""Every statistic equals its plain definition: loop over all rows, keep the visible ones."""

from __future__ import annotations

import math
from fractions import Fraction

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from kyc_ml.errors import DatasetError, LeakageError
from kyc_ml.features import kernels
from kyc_ml.features.history import build_history
from kyc_ml.features.spec import Period, Where, Window
from kyc_ml.features.sweeps import Sweep

UTC = pa.timestamp("us", tz="UTC")
TIMES = st.integers(0, 30)
KEYS = st.sampled_from(["a", "b", None])
VALUES = st.one_of(
    st.integers(-3, 3).map(float), st.floats(-1e6, 1e6, allow_nan=False), st.just(0.1)
)
ROWS = st.lists(
    st.tuples(KEYS, TIMES, st.integers(0, 12), VALUES, st.sampled_from(["x", "y", "z", None])),
    max_size=25,
)
OBSERVATIONS = st.lists(st.tuples(KEYS, TIMES), max_size=15)


def tables(rows, observations):
    """Rows (key, event time, delay, value, kind) in order of time, and observations."""
    rows = sorted(rows, key=lambda row: (row[1], row[1] + row[2]))
    table = pa.table(
        {
            "key": pa.array([row[0] for row in rows], pa.string()),
            "event_time": pa.array([row[1] for row in rows], pa.int64()).cast(UTC),
            "known_at": pa.array([row[1] + row[2] for row in rows], pa.int64()).cast(UTC),
            "value": pa.array([row[3] for row in rows], pa.float64()),
            "kind": pa.array([row[4] for row in rows], pa.string()),
        }
    )
    observed = pa.table(
        {
            "key": pa.array([key for key, _ in observations], pa.string()),
            "decision_time": pa.array([time for _, time in observations], pa.int64()).cast(UTC),
        }
    )
    return rows, table, observed


def visible(rows, key, now, window, lag):
    """The time rule, word for word."""
    if key is None:
        return []
    start = -math.inf if window is None else now - lag - window
    return [
        place
        for place, (owner, event, delay, _, _) in enumerate(rows)
        if owner == key and start <= event < now - lag and event + delay <= now
    ]


def sweep_of(table, observed, *, window, lag, where=None):
    history = build_history(table, observed, key=("key",), where=where)
    return history, Sweep(history, table, window_us=window, lag_us=lag)


def spread_back(history, values, n):
    out = np.full(n, np.nan)
    out[history.observations] = values
    return out


def exact_std(values):
    exact = [Fraction(value) for value in values]
    mean = sum(exact) / len(exact)
    return math.sqrt(sum((value - mean) ** 2 for value in exact) / (len(exact) - 1))


@settings(max_examples=300, deadline=None)
@given(ROWS, OBSERVATIONS, st.one_of(st.none(), st.integers(1, 20)), st.integers(0, 6))
def test_statistics_equal_their_definition(rows, observations, window, lag):
    rows, table, observed = tables(rows, observations)
    history, sweep = sweep_of(table, observed, window=window, lag=lag)
    n = len(observations)
    got = {
        name: spread_back(history, sweep.moment(name, "value"), n)
        for name in ("count", "sum", "mean", "std")
    }
    got["max"] = spread_back(history, sweep.extreme("max", "value"), n)
    got["min"] = spread_back(history, sweep.extreme("min", "value"), n)
    got["distinct"] = spread_back(history, sweep.distinct("kind"), n)
    nearest = np.full(n, -2)
    nearest[history.observations] = sweep.nearest()
    for place, (key, now) in enumerate(observations):
        seen = visible(rows, key, now, window, lag)
        values = [rows[row][3] for row in seen]
        kinds = {rows[row][4] for row in seen} - {None}
        if key is None:
            assert all(np.isnan(got[name][place]) for name in got)
            continue
        assert got["count"][place] == len(seen)
        assert got["distinct"][place] == len(kinds)
        assert got["sum"][place] == pytest.approx(math.fsum(values), rel=1e-12, abs=1e-9)
        if not seen:
            assert got["sum"][place] == 0.0
            assert all(np.isnan(got[name][place]) for name in ("mean", "std", "max", "min"))
            assert nearest[place] == -1
            continue
        assert got["mean"][place] == pytest.approx(math.fsum(values) / len(values), abs=1e-9)
        assert got["max"][place] == max(values)
        assert got["min"][place] == min(values)
        latest = max(rows[row][1] for row in seen)
        assert rows[nearest[place]][1] == latest
        assert nearest[place] in seen
        if len(values) > 1:
            assert got["std"][place] == pytest.approx(exact_std(values), rel=1e-9, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(ROWS, OBSERVATIONS, st.integers(1, 20), st.randoms(use_true_random=False))
def test_the_order_of_rows_and_observations_changes_nothing(rows, observations, window, random):
    _, table, observed = tables(rows, observations)
    history, sweep = sweep_of(table, observed, window=window, lag=0)
    expected = spread_back(history, sweep.moment("sum", "value"), len(observations))
    order = list(range(len(observations)))
    random.shuffle(order)
    shuffled = list(range(table.num_rows))
    random.shuffle(shuffled)
    history, sweep = sweep_of(
        table.take(pa.array(shuffled, pa.int64())),
        observed.take(pa.array(order, pa.int64())),
        window=window,
        lag=0,
    )
    got = spread_back(history, sweep.moment("sum", "value"), len(observations))
    np.testing.assert_allclose(got, expected[order], rtol=1e-12, atol=1e-9)


@settings(max_examples=100, deadline=None)
@given(ROWS, OBSERVATIONS, st.integers(1, 20))
def test_rows_of_the_future_change_nothing(rows, observations, window):
    _, table, observed = tables(rows, observations)
    history, sweep = sweep_of(table, observed, window=window, lag=0)
    everything = spread_back(history, sweep.moment("sum", "value"), len(observations))
    for place, (key, now) in enumerate(observations):
        past = [row for row in rows if row[1] < now and row[1] + row[2] <= now]
        _, known, one = tables(past, [(key, now)])
        history, sweep = sweep_of(known, one, window=window, lag=0)
        alone = spread_back(history, sweep.moment("sum", "value"), 1)
        np.testing.assert_allclose(everything[place], alone[0], rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize(
    ("event", "inside"), [(2, False), (3, True), (9, True), (10, False), (11, False)]
)
def test_the_window_is_closed_on_the_left_and_open_on_the_right(event, inside):
    _, table, observed = tables([("a", event, 0, 5.0, "x")], [("a", 10)])
    history, sweep = sweep_of(table, observed, window=7, lag=0)
    assert spread_back(history, sweep.moment("count", None), 1)[0] == inside


@pytest.mark.parametrize(("known_at", "inside"), [(9, True), (10, True), (11, False)])
def test_a_row_counts_from_the_instant_it_is_known(known_at, inside):
    _, table, observed = tables([("a", 5, known_at - 5, 5.0, "x")], [("a", 10)])
    history, sweep = sweep_of(table, observed, window=7, lag=0)
    assert spread_back(history, sweep.moment("count", None), 1)[0] == inside


def test_a_lag_moves_both_ends_of_the_window():
    rows = [("a", event, 0, float(event), "x") for event in range(12)]
    _, table, observed = tables(rows, [("a", 10)])
    history, sweep = sweep_of(table, observed, window=3, lag=4)
    assert spread_back(history, sweep.moment("sum", "value"), 1)[0] == 3 + 4 + 5


def test_a_filter_keeps_matching_rows_only():
    rows = [("a", 1, 0, 2.0, "x"), ("a", 2, 0, 3.0, "y"), ("a", 3, 0, 4.0, None)]
    _, table, observed = tables(rows, [("a", 9)])
    where = Where(column="kind", values=("y",))
    history, sweep = sweep_of(table, observed, window=None, lag=0, where=where)
    assert spread_back(history, sweep.moment("sum", "value"), 1)[0] == 3.0


def test_an_emptied_window_holds_exactly_nothing():
    rows = [("a", time, 0, 0.1 * 3**time, "x") for time in range(30)]
    _, table, observed = tables(rows, [("a", time) for time in range(1, 200)])
    history, sweep = sweep_of(table, observed, window=5, lag=0)
    sums = spread_back(history, sweep.moment("sum", "value"), 199)
    assert np.all(sums[40:] == 0.0)


def test_equal_values_have_a_standard_deviation_of_exactly_zero_after_large_ones():
    amounts = [1e9, 3.3e8, 12.34, 12.34, 12.34, 12.34]
    rows = [("a", time, 0, amount, "x") for time, amount in enumerate(amounts)]
    _, table, observed = tables(rows, [("a", time) for time in range(1, 8)])
    history, sweep = sweep_of(table, observed, window=3, lag=0)
    assert spread_back(history, sweep.moment("std", "value"), 7)[4] == 0.0


def test_a_million_steps_do_not_drift():
    rng = np.random.default_rng(5)
    n = 300_000
    values = np.round(rng.lognormal(3.0, 2.0, n), 2)
    table = pa.table(
        {
            "key": pa.array(["a"] * n),
            "event_time": pa.array(np.arange(n)).cast(UTC),
            "known_at": pa.array(np.arange(n)).cast(UTC),
            "value": values,
        }
    )
    observed = pa.table(
        {"key": pa.array(["a"] * 3), "decision_time": pa.array([10, n // 2, n]).cast(UTC)}
    )
    every = pa.table({"key": table["key"], "decision_time": table["event_time"]})
    history, sweep = sweep_of(table, pa.concat_tables([observed, every]), window=1000, lag=0)
    sums = spread_back(history, sweep.moment("sum", "value"), n + 3)
    assert sums[2] == pytest.approx(math.fsum(values[-1000:]), rel=1e-15)
    assert sums[1] == pytest.approx(math.fsum(values[n // 2 - 1000 : n // 2]), rel=1e-15)


def test_one_huge_key_and_many_tiny_ones_are_swept_alike():
    keys = ["huge"] * 2000 + [f"tiny{number}" for number in range(2000)]
    rows = [(key, 1 + place % 20, 0, 1.0, "x") for place, key in enumerate(keys)]
    _, table, observed = tables(rows, [("huge", 30), ("tiny7", 30), ("nobody", 30)])
    history, sweep = sweep_of(table, observed, window=None, lag=0)
    assert spread_back(history, sweep.moment("count", None), 3).tolist() == [2000, 1, 0]


def test_more_rows_than_a_timeline_can_number_are_refused(monkeypatch):
    monkeypatch.setattr(kernels, "MOST_ROWS", 2)
    _, table, observed = tables([("a", time, 0, 1.0, "x") for time in range(3)], [("a", 9)])
    with pytest.raises(DatasetError, match="at most 2 rows or observations, got 3"):
        sweep_of(table, observed, window=5, lag=0)


@pytest.mark.parametrize(("us", "lag_us"), [(-5, 0), (0, 0), (5, -1)])
def test_a_window_that_could_reach_past_the_decision_cannot_be_declared(us, lag_us):
    period = Period(label="x", us=us, english="x", chinese="x")
    with pytest.raises(LeakageError, match="must be longer than 0"):
        Window(table="t", key=("k",), statistic="count", period=period, lag_us=lag_us)


def test_group_rows_keeps_order_and_leaves_out_negative_codes():
    order, starts = kernels.group_rows(np.array([1, 0, -1, 1, 0], np.int32), 3)
    assert order.tolist() == [1, 4, 0, 3]
    assert starts.tolist() == [0, 2, 4, 4]
