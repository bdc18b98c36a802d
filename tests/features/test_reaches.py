"""How far back a pass sees rows: what a slice of a bucket must hold."""

import pytest

from kyc_ml.features import (
    EVER,
    OBSERVED,
    Latest,
    LatestValue,
    Matched,
    RowColumn,
    RowFormula,
    Window,
    as_pass,
    reaches,
)
from kyc_ml.features.buckets.anchors import CUSTOMER, Site
from kyc_ml.features.periods import DAY_US, period_of

WEEK = Window(table="transactions", key=("customer_id",), statistic="count", period=period_of("7d"))


def summed(column, **changes):
    """Sum a row column over thirty days."""
    how = {"statistic": "sum", "value": column, "period": period_of("30d"), **changes}
    return Window(table="transactions", key=("customer_id",), **how)


def looked_up(how):
    return RowColumn(name="before", how=LatestValue(how=how))


LATEST = Latest(table="customers", key=("customer_id",), reading="category", column="segment")
MATCHED = RowColumn(name="passed_on", how=Matched(reading="matched", within_us=DAY_US))
GROWN = RowFormula(operation="log_ratio", inputs=(looked_up(WEEK), looked_up(WEEK)), parameter=1.0)


@pytest.mark.parametrize(
    ("how", "days"),
    [
        (WEEK, {"transactions": 7}),
        (summed("amount", lag_us=7 * DAY_US), {"transactions": 37}),
        (summed(looked_up(WEEK)), {"transactions": 37}),
        (summed(RowColumn(name="grown", how=GROWN)), {"transactions": 37}),
        (summed("amount", period=EVER), {"transactions": None}),
        (summed(looked_up(summed("amount", period=EVER))), {"transactions": None}),
        (summed(MATCHED), {"transactions": None}),
        (LATEST, {"customers": None}),
    ],
)
def test_a_reading_reaches_as_far_as_its_window_and_what_its_rows_look_back(make_spec, how, days):
    each = as_pass(0, Site(place=OBSERVED, anchor=CUSTOMER), [make_spec("read", how)])
    in_us = {table: None if n is None else n * DAY_US for table, n in days.items()}
    assert reaches(each) == in_us


def test_a_pass_reaches_as_far_as_its_furthest_reading(make_spec):
    hows = {"a": WEEK, "b": summed("amount"), "c": LATEST}
    specs = [make_spec(name, how) for name, how in hows.items()]
    each = as_pass(0, Site(place=OBSERVED, anchor=CUSTOMER), specs)
    assert reaches(each) == {"transactions": 30 * DAY_US, "customers": None}
