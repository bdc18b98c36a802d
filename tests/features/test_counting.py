"""Counts of a whole table by runs of its rows: those of the engine that sees all at once."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.features import EVER, FeatureSpec, RowColumn, RowFunction, Where, Window
from kyc_ml.features.buckets.counting import GroupsOfFile, WholeCount, adds_up
from kyc_ml.features.build import Computed, FeatureComputation
from kyc_ml.features.kernels.timeline import Span
from kyc_ml.features.periods import period_of
from kyc_ml.features.timed_rows import UNTIL, TimedRows

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
UTC = pa.timestamp("us", "UTC")
HOUR = RowColumn(name="local_hour", how=RowFunction(operation="hour"))
WEEKDAY = RowColumn(name="local_weekday", how=RowFunction(operation="weekday"))


def count(**how):
    """A count of transactions."""
    return FeatureSpec(
        name="counted",
        family="velocity",
        how=Window(**{"table": "transactions", "key": (), "statistic": "count", **how}),
        kind="number",
        unit="",
        description="",
        description_zh="",
    )


def engine(spec, rows, observed):
    """Count all at once."""
    computed = Computed([spec], len(observed))
    observed = TimedRows(observed, time="decision_time")
    bench = FeatureComputation(
        {"transactions": TimedRows(rows)}, timezone="Asia/Shanghai", threads=1
    )
    bench.read(observed, [spec], computed)
    return computed.column("counted")


@st.composite
def histories(draw):
    """Rows in order of time, some known late, some superseded; and when one decides."""
    hours = st.integers(0, 24 * 40)
    event = np.sort(np.array(draw(st.lists(hours, max_size=60)), np.int64)) * HOUR_US
    late = draw(st.lists(st.sampled_from([0, 0, 0, 5, 24 * 9]), min_size=event.size))
    known = event + np.array(late[: event.size], np.int64) * HOUR_US
    rows = {"event_time": pa.array(event, UTC), "known_at": pa.array(known, UTC)}
    if draw(st.booleans()):
        after = draw(st.lists(st.none() | st.integers(0, 300), min_size=event.size))
        until = [
            None if more is None else int(time) + more * HOUR_US
            for time, more in zip(known, after, strict=False)
        ]
        rows[UNTIL] = pa.array(until, UTC)
    decided = np.array(draw(st.lists(hours, min_size=1, max_size=40)), np.int64) * HOUR_US
    if draw(st.booleans()):
        decided = np.sort(decided)
    return pa.table(rows), pa.table({"decision_time": pa.array(decided, UTC)})


@given(
    history=histories(),
    how=st.fixed_dictionaries(
        {
            "period": st.sampled_from([period_of("7d"), period_of("30d"), EVER]),
            "lag_us": st.sampled_from([0, HOUR_US, 7 * DAY_US]),
            "key": st.sampled_from([(), (HOUR,), (WEEKDAY,)]),
        }
    ),
    group_rows=st.integers(1, 9),
    batch_rows=st.integers(1, 17),
)
def test_counts_by_runs_are_those_of_all_rows_at_once(
    tmp_path_factory, history, how, group_rows, batch_rows
):
    rows, observed = history
    spec = count(**how)
    path = tmp_path_factory.mktemp("counting") / "rows.parquet"
    pq.write_table(rows, path, row_group_size=group_rows)
    counts = WholeCount(GroupsOfFile(path, spec.how), spec, timezone="Asia/Shanghai", threads=1)
    got = [
        counts.count(TimedRows(observed[at : at + batch_rows], time="decision_time"))
        for at in range(0, len(observed), batch_rows)
    ]
    np.testing.assert_array_equal(np.concatenate(got), engine(spec, rows, observed))


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (count(period=period_of("7d")), True),
        (count(period=period_of("7d"), key=(HOUR,)), True),
        (count(period=period_of("7d"), key=(HOUR, WEEKDAY)), False),  # one key alone is looked up
        (count(period=period_of("7d"), key=("channel",)), True),
        (count(period=period_of("7d"), key=("customer_id",)), False),
        (count(period=period_of("7d"), where=Where(column="channel", values=("atm",))), False),
        (count(period=period_of("7d"), statistic="distinct", value="channel"), False),
    ],
)
def test_only_counts_by_the_clock_add_up(spec, told):
    assert adds_up(spec) is told


ROWS = Span(first_event=100, last_event=200, last_known=250, first_until=400)


@pytest.mark.parametrize(
    ("first", "last", "hidden", "visible"),
    [
        (0, 100, True, False),  # a row does not see its own instant
        (0, 101, False, False),
        (249, 300, False, False),  # the last one is not known yet
        (250, 399, False, True),
        (250, 400, False, False),  # the first one is superseded
        (1201, 1300, True, False),  # all have left
        (1200, 1300, False, False),
    ],
)
def test_a_span_tells_what_holds_for_all(first, last, hidden, visible):
    assert ROWS.is_hidden(first, last, lag_us=0, window_us=1000) is hidden
    assert ROWS.is_visible(first, last, lag_us=0, window_us=1000) is visible
