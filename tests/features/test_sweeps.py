"""Every statistic equals its plain definition: loop over all rows, keep the visible ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from kyc_ml.errors import DatasetError, LeakageError
from kyc_ml.features import Where, Window
from kyc_ml.features.history import build_history
from kyc_ml.features.kernels import timeline
from kyc_ml.features.kinds.rows_of_key import RUNS
from kyc_ml.features.periods import HOUR_US, WindowLength
from kyc_ml.features.sweeps import Sweep
from kyc_ml.features.timed_rows import TimedRows

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
    """The statistics that one sweep reads, each as a column of one value an observation."""
    rows, decided = TimedRows(table), TimedRows(observed, time="decision_time")
    history = build_history(rows, decided, key=("key",), where=where)
    return Read(history, Sweep(history, window_us=window, lag_us=lag), decided, window)


@dataclass
class Read:
    history: object
    sweep: Sweep
    decided: TimedRows
    window: int | None

    def __call__(self, statistic, value=None, **rest):
        period = WindowLength(label="w", us=self.window, english="w", chinese="w")
        how = Window(
            table="t", key=("key",), statistic=statistic, period=period, value=value, **rest
        )
        out = np.full((len(self.decided), 1), np.nan, order="F")
        self.sweep.fill([(how, 0)], out, observations=self.decided)
        return out[:, 0]

    def nearest(self):
        nearest = np.full(len(self.decided), -1, np.int32)
        self.sweep.find_nearest(nearest)
        return nearest


def exact_std(values):
    exact = [Fraction(value) for value in values]
    mean = sum(exact) / len(exact)
    return math.sqrt(sum((value - mean) ** 2 for value in exact) / (len(exact) - 1))


SUMMARIES = ("count", "sum", "mean", "std", "max", "min")


def summaries(rows, observations, window, lag):
    """All summaries of one window, filled at once."""
    _, table, observed = tables(rows, observations)
    read = sweep_of(table, observed, window=window, lag=lag)
    period = WindowLength(label="w", us=window, english="w", chinese="w")
    values = [None if name == "count" else "value" for name in SUMMARIES]
    wanted = [
        Window(table="t", key=("key",), statistic=name, period=period, value=value)
        for name, value in zip(SUMMARIES, values, strict=True)
    ]
    out = np.full((len(observations), len(SUMMARIES)), np.nan, order="F")
    read.sweep.fill([(how, column) for column, how in enumerate(wanted)], out)
    return out


@settings(max_examples=15 * settings.default.max_examples)
@given(ROWS, OBSERVATIONS, st.one_of(st.none(), st.integers(1, 20)), st.integers(0, 6))
def test_punctual_rows_give_the_bits_that_a_timeline_gives(rows, observations, window, lag):
    punctual = [(key, time, 0, value, kind) for key, time, _, value, kind in rows]
    # a late row of another customer makes the whole history go by a timeline
    late = [("other", 0, 9, 1.0, None), ("other", 1, 0, 2.0, None)]

    run = summaries(punctual, observations, window, lag)
    timed = summaries(punctual + late, observations, window, lag)

    assert run.tobytes() == timed.tobytes()


@settings(max_examples=8 * settings.default.max_examples)
@given(ROWS, OBSERVATIONS, st.one_of(st.none(), st.integers(1, 20)), st.integers(0, 6))
def test_punctual_rows_give_what_the_definition_says(rows, observations, window, lag):
    punctual = [(key, time, 0, value, kind) for key, time, _, value, kind in rows]
    ordered, _, _ = tables(punctual, observations)

    found = summaries(punctual, observations, window, lag)

    for row, (key, now) in zip(found, observations, strict=True):
        values = [ordered[place][3] for place in visible(ordered, key, now, window, lag)]
        if key is None:
            assert np.isnan(row).all()
            continue
        assert row[0] == len(values)
        assert row[1] == pytest.approx(math.fsum(values), rel=1e-12, abs=1e-9)
        extremes = [max(values), min(values)] if values else [np.nan, np.nan]
        np.testing.assert_array_equal(row[4:], extremes)
        if len(values) > 1:
            assert row[3] == pytest.approx(exact_std(values), rel=1e-9, abs=1e-9)


@settings(max_examples=15 * settings.default.max_examples)
@given(ROWS, OBSERVATIONS, st.one_of(st.none(), st.integers(1, 20)), st.integers(0, 6))
def test_statistics_equal_their_definition(rows, observations, window, lag):
    rows, table, observed = tables(rows, observations)
    read = sweep_of(table, observed, window=window, lag=lag)
    got = {name: read(name, "value") for name in ("sum", "mean", "std", "max", "min")}
    got["count"] = read("count")
    got["distinct"] = read("distinct", "kind")
    nearest = read.nearest()
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


def check_missing(got, expected):
    """Compare one value with its definition, where None is missing."""
    if expected is None:
        assert np.isnan(got)
    else:
        assert got == pytest.approx(expected, rel=1e-9, abs=1e-9)


def shares_of(seen, rows, weights):
    """Share of each kind among the rows seen, largest first; None without weight."""
    totals: dict[str, float] = {}
    for row in seen:
        if rows[row][4] is not None:
            totals[rows[row][4]] = totals.get(rows[row][4], 0.0) + weights[row]
    total = math.fsum(totals.values())
    if total <= 0.0:
        return None
    return sorted((value / total for value in totals.values()), reverse=True)


@settings(max_examples=15 * settings.default.max_examples)
@given(
    ROWS, OBSERVATIONS, st.one_of(st.none(), st.integers(1, 20)), st.integers(0, 6), st.booleans()
)
def test_shares_equal_their_definition(rows, observations, window, lag, weighted):
    rows, table, observed = tables(rows, observations)
    weights = [round(abs(row[3]), 6) if weighted else 1.0 for row in rows]
    table = table.append_column("weight", pa.array(weights, pa.float64()))
    read = sweep_of(table, observed, window=window, lag=lag)
    by = {"weight": "weight"} if weighted else {}
    got = {name: read(name, "kind", **by) for name in ("first_share", "herfindahl", "entropy")}
    for place, (key, now) in enumerate(observations):
        shares = shares_of(visible(rows, key, now, window, lag), rows, weights)
        parts = [share for share in shares or () if share > 0]
        expected = {
            "first_share": shares and shares[0],
            "herfindahl": shares and math.fsum(share**2 for share in shares),
            "entropy": shares and -math.fsum(share * math.log(share) for share in parts),
        }
        for name, value in expected.items():
            check_missing(got[name][place], value)


@settings(max_examples=15 * settings.default.max_examples)
@given(
    ROWS,
    st.lists(st.tuples(KEYS, TIMES, st.one_of(st.none(), VALUES)), max_size=15),
    st.one_of(st.none(), st.integers(1, 20)),
    st.integers(0, 6),
)
def test_order_statistics_equal_their_definition(rows, observations, window, lag):
    rows, table, observed = tables(rows, [each[:2] for each in observations])
    own = pa.array([value for _, _, value in observations], pa.float64())
    read = sweep_of(table, observed.append_column("own", own), window=window, lag=lag)
    median, rank = read("median", "value"), read("rank", "value", own="own")
    for place, (key, now, value) in enumerate(observations):
        values = [rows[row][3] for row in visible(rows, key, now, window, lag)]
        check_missing(median[place], np.median(values) if values else None)
        below = [(each < value) + 0.5 * (each == value) for each in values if value is not None]
        check_missing(rank[place], sum(below) / len(below) if below else None)


@settings(max_examples=15 * settings.default.max_examples)
@given(ROWS, OBSERVATIONS, st.one_of(st.none(), st.integers(1, 20)), st.integers(0, 6))
def test_gaps_equal_their_definition(rows, observations, window, lag):
    rows, table, observed = tables(rows, observations)
    read = sweep_of(table, observed, window=window, lag=lag)
    mean, std = read("gap_mean"), read("gap_std")
    for place, (key, now) in enumerate(observations):
        seen = visible(rows, key, now, window, lag)
        gaps = np.diff([rows[row][1] for row in seen]) / 3.6e9
        assert mean[place] == pytest.approx(gaps.mean() if gaps.size else np.nan, nan_ok=True)
        expected = gaps.std(ddof=1) if gaps.size > 1 else np.nan
        assert std[place] == pytest.approx(expected, nan_ok=True, rel=1e-9, abs=1e-18)


@settings(max_examples=15 * settings.default.max_examples)
@given(ROWS, OBSERVATIONS, st.integers(1, 10))
def test_decayed_sums_equal_their_definition(rows, observations, half_life):
    rows, table, observed = tables(rows, observations)
    read = sweep_of(table, observed, window=None, lag=0)
    count = read("decayed_count", half_life_us=half_life)
    total = read("decayed_sum", "value", half_life_us=half_life)
    for place, (key, now) in enumerate(observations):
        if key is None:
            assert np.isnan(count[place])
            continue
        seen = visible(rows, key, now, None, 0)
        weights = [2.0 ** -((now - rows[row][1]) / half_life) for row in seen]
        assert count[place] == pytest.approx(math.fsum(weights), rel=1e-9, abs=1e-12)
        expected = math.fsum(w * rows[row][3] for w, row in zip(weights, seen, strict=True))
        scale = math.fsum(w * abs(rows[row][3]) for w, row in zip(weights, seen, strict=True))
        assert total[place] == pytest.approx(expected, rel=1e-9, abs=1e-9 * (1 + scale))


@settings(max_examples=15 * settings.default.max_examples)
@given(
    ROWS,
    st.lists(st.one_of(st.none(), st.integers(0, 40)), min_size=25, max_size=25),
    OBSERVATIONS,
    st.one_of(st.none(), st.integers(1, 20)),
    st.integers(0, 6),
)
def test_superseded_rows_stop_counting_at_that_instant(rows, until, observations, window, lag):
    rows, table, observed = tables(rows, observations)
    until = until[: len(rows)]
    table = table.append_column("superseded_at", pa.array(until, pa.int64()).cast(UTC))
    read = sweep_of(table, observed, window=window, lag=lag)
    got = {name: read(name, "value") for name in ("sum", "mean", "median", "max", "min")}
    got |= {"count": read("count"), "distinct": read("distinct", "kind")}
    gap_mean, gap_std, nearest = read("gap_mean"), read("gap_std"), read.nearest()
    for place, (key, now) in enumerate(observations):
        if key is None:
            continue
        seen = [
            row
            for row in visible(rows, key, now, window, lag)
            if until[row] is None or now < until[row]
        ]
        values = [rows[row][3] for row in seen]
        assert got["count"][place] == len(seen)
        assert got["distinct"][place] == len({rows[row][4] for row in seen} - {None})
        assert got["sum"][place] == pytest.approx(math.fsum(values), rel=1e-12, abs=1e-9)
        check_missing(got["median"][place], np.median(values) if values else None)
        check_missing(got["max"][place], max(values, default=None))
        check_missing(got["min"][place], min(values, default=None))
        gaps = np.diff([rows[row][1] for row in seen]) / 3.6e9
        expected = (
            gaps.mean() if gaps.size else np.nan,
            gaps.std(ddof=1) if gaps.size > 1 else np.nan,
        )
        assert gap_mean[place] == pytest.approx(expected[0], nan_ok=True)
        assert gap_std[place] == pytest.approx(expected[1], nan_ok=True, rel=1e-9, abs=1e-18)
        latest = max((rows[row][1] for row in seen), default=None)
        assert (nearest[place] in seen) == bool(seen)
        assert latest is None or rows[nearest[place]][1] == latest


def runs_of(outcomes, now):
    """Statistics of the runs of (event time, adverse) in order of time, by walking over them."""
    found = dict.fromkeys(RUNS, math.nan) | {"run_rows": 0}
    goods = [event for event, adverse in outcomes if not adverse]
    if goods:
        found["good_age_hours"] = (now - goods[-1]) / HOUR_US
    places = [place for place, (_, adverse) in enumerate(outcomes) if adverse]
    if places:
        first, last = places[0], places[-1]
        begin = last
        while begin > 0 and outcomes[begin - 1][1]:
            begin -= 1
        found["run_rows"] = last + 1 - begin
        found["run_hours"] = (outcomes[last][0] - outcomes[begin][0]) / HOUR_US
        found["run_age_hours"] = (now - outcomes[begin][0]) / HOUR_US
        found["rows_after_run"] = len(outcomes) - 1 - last
        found["adverse_age_hours"] = (now - outcomes[first][0]) / HOUR_US
        found["adverse_share"] = len(places) / (len(outcomes) - first)
    return found


@settings(max_examples=8 * settings.default.max_examples)
@given(
    ROWS,
    st.lists(st.one_of(st.none(), st.integers(0, 40)), min_size=25, max_size=25),
    OBSERVATIONS,
    st.one_of(st.none(), st.integers(1, 20)),
    st.integers(1, 9),
)
def test_runs_of_outcomes_equal_their_definition(rows, until, observations, window, good_after):
    rows = [(key, event, delay, float(value > 0), kind) for key, event, delay, value, kind in rows]
    rows, table, observed = tables(rows, observations)
    until = until[: len(rows)]
    table = table.append_column("superseded_at", pa.array(until, pa.int64()).cast(UTC))
    read = sweep_of(table, observed, window=window, lag=0)
    got = {name: read(name, "value", good_after_us=good_after) for name in RUNS}
    for place, (key, now) in enumerate(observations):
        known = [
            (rows[row][1], rows[row][3])
            for row in visible(rows, key, now, window, 0)
            if (until[row] is None or now < until[row])
            and (rows[row][3] or rows[row][1] + good_after < now)
        ]
        expected = runs_of(known, now) if key is not None else dict.fromkeys(RUNS, math.nan)
        for name in RUNS:
            np.testing.assert_array_equal(got[name][place], expected[name], err_msg=name)


@settings(max_examples=5 * settings.default.max_examples)
@given(ROWS, OBSERVATIONS, st.integers(1, 20), st.randoms(use_true_random=False))
def test_the_order_of_rows_and_observations_changes_nothing(rows, observations, window, random):
    _, table, observed = tables(rows, observations)
    read = sweep_of(table, observed, window=window, lag=0)
    expected = read("sum", "value")
    order = list(range(len(observations)))
    random.shuffle(order)
    shuffled = list(range(table.num_rows))
    random.shuffle(shuffled)
    read = sweep_of(
        table.take(pa.array(shuffled, pa.int64())),
        observed.take(pa.array(order, pa.int64())),
        window=window,
        lag=0,
    )
    got = read("sum", "value")
    np.testing.assert_allclose(got, expected[order], rtol=1e-12, atol=1e-9)


@settings(max_examples=5 * settings.default.max_examples)
@given(ROWS, OBSERVATIONS, st.integers(1, 20))
def test_rows_of_the_future_change_nothing(rows, observations, window):
    _, table, observed = tables(rows, observations)
    read = sweep_of(table, observed, window=window, lag=0)
    everything = read("sum", "value")
    for place, (key, now) in enumerate(observations):
        past = [row for row in rows if row[1] < now and row[1] + row[2] <= now]
        _, known, one = tables(past, [(key, now)])
        read = sweep_of(known, one, window=window, lag=0)
        alone = read("sum", "value")
        np.testing.assert_allclose(everything[place], alone[0], rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize(
    ("event", "inside"), [(2, False), (3, True), (9, True), (10, False), (11, False)]
)
def test_the_window_is_closed_on_the_left_and_open_on_the_right(event, inside):
    _, table, observed = tables([("a", event, 0, 5.0, "x")], [("a", 10)])
    read = sweep_of(table, observed, window=7, lag=0)
    assert read("count")[0] == inside


@pytest.mark.parametrize(("known_at", "inside"), [(9, True), (10, True), (11, False)])
def test_a_row_counts_from_the_instant_it_is_known(known_at, inside):
    _, table, observed = tables([("a", 5, known_at - 5, 5.0, "x")], [("a", 10)])
    read = sweep_of(table, observed, window=7, lag=0)
    assert read("count")[0] == inside


def test_a_lag_moves_both_ends_of_the_window():
    rows = [("a", event, 0, float(event), "x") for event in range(12)]
    _, table, observed = tables(rows, [("a", 10)])
    read = sweep_of(table, observed, window=3, lag=4)
    assert read("sum", "value")[0] == 3 + 4 + 5


def test_a_filter_keeps_matching_rows_only():
    rows = [("a", 1, 0, 2.0, "x"), ("a", 2, 0, 3.0, "y"), ("a", 3, 0, 4.0, None)]
    _, table, observed = tables(rows, [("a", 9)])
    where = Where(column="kind", values=("y",))
    read = sweep_of(table, observed, window=None, lag=0, where=where)
    assert read("sum", "value")[0] == 3.0


def test_an_emptied_window_holds_exactly_nothing():
    rows = [("a", time, 0, 0.1 * 3**time, "x") for time in range(30)]
    _, table, observed = tables(rows, [("a", time) for time in range(1, 200)])
    read = sweep_of(table, observed, window=5, lag=0)
    sums = read("sum", "value")
    assert np.all(sums[40:] == 0.0)


def test_equal_values_have_a_standard_deviation_of_exactly_zero_after_large_ones():
    amounts = [1e9, 3.3e8, 12.34, 12.34, 12.34, 12.34]
    rows = [("a", time, 0, amount, "x") for time, amount in enumerate(amounts)]
    _, table, observed = tables(rows, [("a", time) for time in range(1, 8)])
    read = sweep_of(table, observed, window=3, lag=0)
    assert read("std", "value")[4] == 0.0


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
    read = sweep_of(table, pa.concat_tables([observed, every]), window=1000, lag=0)
    sums = read("sum", "value")
    assert sums[2] == pytest.approx(math.fsum(values[-1000:]), rel=1e-15)
    assert sums[1] == pytest.approx(math.fsum(values[n // 2 - 1000 : n // 2]), rel=1e-15)


def test_one_huge_key_and_many_tiny_ones_are_swept_alike():
    keys = ["huge"] * 2000 + [f"tiny{number}" for number in range(2000)]
    rows = [(key, 1 + place % 20, 0, 1.0, "x") for place, key in enumerate(keys)]
    _, table, observed = tables(rows, [("huge", 30), ("tiny7", 30), ("nobody", 30)])
    read = sweep_of(table, observed, window=None, lag=0)
    assert read("count").tolist() == [2000, 1, 0]


def test_more_rows_than_a_timeline_can_number_are_refused(monkeypatch):
    monkeypatch.setattr(timeline, "MOST_ROWS", 2)
    _, table, observed = tables([("a", time, 0, 1.0, "x") for time in range(3)], [("a", 9)])
    with pytest.raises(DatasetError, match=r"\b2\b rows.*\b3\b"):
        sweep_of(table, observed, window=5, lag=0)


@pytest.mark.parametrize(("us", "lag_us"), [(-5, 0), (0, 0), (5, -1)])
def test_a_window_that_could_reach_past_the_decision_cannot_be_declared(us, lag_us):
    period = WindowLength(label="x", us=us, english="x", chinese="x")
    with pytest.raises(LeakageError, match=r"longer.*\b0\b"):
        Window(table="t", key=("k",), statistic="count", period=period, lag_us=lag_us)


def test_group_rows_keeps_order_and_leaves_out_negative_codes():
    order, starts = timeline.group_rows(np.array([1, 0, -1, 1, 0], np.int32), 3)
    assert order.tolist() == [1, 4, 0, 3]
    assert starts.tolist() == [0, 2, 4, 4]


def test_rows_of_one_instant_share_their_mean_and_keys_do_not_mix():
    rows = [("b", 1, 0, 4.0, "x"), ("b", 1, 0, 8.0, "x"), ("c", 1, 0, 1.0, "x")]
    _, table, observed = tables(rows, [("a", 9), ("b", 9), ("c", 9)])  # "a" has no rows
    source, decided = TimedRows(table), TimedRows(observed, time="decision_time")
    history = build_history(source, decided, key=("key",))
    assert history.level(source.number("value")).tolist() == [6.0, 6.0, 1.0]
