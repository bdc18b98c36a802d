"""How a bucket with very many rows is divided: no row is lost, and each slice has what it sees."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.engines.spark.parts import LandedTables, Part
from kyc_ml.engines.spark.skew import Routes, routes_of
from kyc_ml.features import NEVER_US, OBSERVED, Span, Window, as_pass
from kyc_ml.features.buckets.anchors import CUSTOMER, Site
from kyc_ml.features.periods import DAY_US, EVER, period_of

BY_CUSTOMER = "customer_id"
N = 4


def parts_of(days):
    """Parts of 100 rows, each with the days of its first and last row."""
    return tuple(
        Part(
            path="",
            groups=(0,),
            rows=100,
            start=100 * at,
            span=Span(
                first_event=first * DAY_US,
                last_event=last * DAY_US,
                last_known=last * DAY_US,
                first_until=NEVER_US,
            ),
        )
        for at, (first, last) in enumerate(days)
    )


def routes(make_spec, observed, paid, *, period, weight=1.5):
    """Routes of a pass of one window, where bucket 2 has many rows."""
    how = Window(table="transactions", key=(BY_CUSTOMER,), statistic="count", period=period)
    each = as_pass(0, Site(place=OBSERVED, anchor=CUSTOMER), [make_spec("counted", how)])
    tables = LandedTables(files={}, schemas={}, parts={OBSERVED: observed, "transactions": paid})
    weights = {("transactions", BY_CUSTOMER): {2: weight}}
    return routes_of(each, tables, SimpleNamespace(n_buckets=N), weights)


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=12),
    st.floats(1.1, 6),
    st.sampled_from([period_of("7d"), EVER]),
)
def test_each_observation_is_in_one_slice_with_all_rows_that_it_sees(
    make_spec, lengths, weight, period
):
    ends = np.cumsum(lengths)
    days = list(zip(ends - lengths, ends, strict=True))
    parts = parts_of(days)
    found = routes(make_spec, parts, parts, period=period, weight=weight)
    order = list(found.in_order())
    assert sorted(order) == list(range(found.n_groups))
    for at, (first, last) in enumerate(days):
        assert found.groups_of((OBSERVED, BY_CUSTOMER), at, parts[at], 0) == [0]
        [group] = found.groups_of((OBSERVED, BY_CUSTOMER), at, parts[at], 2)
        for other, (begun, ended) in enumerate(days):
            rows = found.groups_of(("transactions", BY_CUSTOMER), other, parts[other], 2)
            reach = np.inf if period is EVER else 7
            seen = begun < last and ended >= first - reach
            assert group in rows or not seen


def test_slices_of_a_bucket_are_written_in_the_order_of_its_rows(make_spec):
    parts = parts_of([(day, day) for day in range(6)])
    found = routes(make_spec, parts, parts, period=period_of("7d"))
    assert [each.first_part for each in found.slices[2]] == [0, 2, 4]
    assert list(found.in_order()) == [0, 1, 2, N, N + 1, 3]
    assert found.own_rows(N, parts) == (200, 400)
    assert found.own_rows(1, parts) is None
    early = found.groups_of(("transactions", BY_CUSTOMER), 0, parts[0], 2)
    assert early == [2, N, N + 1]


@pytest.mark.parametrize("days", [[(0, 60)] * 6, [(0, 9)], []])
def test_what_time_does_not_divide_stays_whole(make_spec, days):
    found = routes(make_spec, parts_of(days), parts_of([(0, 9)]), period=period_of("7d"))
    assert found == Routes(
        place=(OBSERVED, BY_CUSTOMER),
        n_groups=N,
        reach={("transactions", BY_CUSTOMER): 7 * DAY_US},
    )


def test_a_bucket_without_many_rows_stays_whole(make_spec):
    parts = parts_of([(day, day) for day in range(6)])
    found = routes(make_spec, parts, parts, period=EVER, weight=1.0)
    assert found.slices == {}
