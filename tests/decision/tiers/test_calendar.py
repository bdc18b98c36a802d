"""A review is due so many months later, on a working day, and never after that."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.decision.tiers.calendar import (
    EveryDay,
    Weekdays,
    count_announced,
    count_beyond,
    decision_days,
    due_days,
    last_working_day,
    working_days_of,
)

CHINESE = {
    "timezone": "Asia/Shanghai",
    "working_days": "weekdays",
    "listed": {
        "source": "State Council",
        "verified_on": "2026-11-23",
        "until": "2026-12-31",
        "holidays": ["2026-10-01", "2026-10-02", "2026-10-05", "2026-10-06", "2026-10-07"],
        "make_up_days": ["2026-09-20", "2026-10-10"],
    },
}


def due_of(decision, tier, *, policy, calendar=None):
    days = decision_days(decision, policy.calendar)
    return due_days(days, tier, policy=policy, calendar=calendar)


@pytest.mark.parametrize(
    ("decision", "tier", "due"),
    [
        ("2024-01-15 23:59:59", "high", "2024-07-15"),
        ("2024-08-31 00:00:00", "high", "2025-02-28"),  # no 31 February
        ("2023-08-31 12:00:00", "high", "2024-02-29"),
        ("2024-02-29 12:00:00", "medium", "2025-02-28"),
        ("2024-02-29 12:00:00", "medium_low", "2026-02-28"),
        ("2024-03-31 12:00:00", "low", "2027-03-31"),
        ("2024-12-31 12:00:00", "high", "2025-06-30"),
    ],
)
def test_a_review_is_due_so_many_calendar_months_later(policy, decision, tier, due):
    place = [each.name for each in policy.tiers].index(tier)
    when = pd.DatetimeIndex([decision], tz="UTC")
    got = due_of(when, np.array([place]), policy=policy)
    assert got.astype(str).tolist() == [due]


def test_reviews_keep_the_order_of_the_rows_and_repeat_dates(policy):
    when = pd.DatetimeIndex(["2024-01-01", "2023-01-01", "2024-01-01"], tz="UTC")
    got = due_of(when, np.array([4, 0, 2]), policy=policy)
    assert got.astype(str).tolist() == ["2024-07-01", "2026-01-01", "2025-01-01"]


def test_no_rows_have_no_reviews(policy):
    assert due_of(pd.DatetimeIndex([], tz="UTC"), np.array([], int), policy=policy).size == 0


@pytest.mark.parametrize(
    ("due", "worked"),
    [
        ("2026-09-30", "2026-09-30"),  # a Wednesday
        ("2026-10-01", "2026-09-30"),  # the first day of the holidays
        ("2026-10-07", "2026-09-30"),  # their last
        ("2026-10-10", "2026-10-10"),  # a Saturday that is worked
        ("2026-10-11", "2026-10-10"),  # the Sunday after it
        ("2026-11-22", "2026-11-20"),  # a Sunday
        ("2027-10-01", "2027-10-01"),  # not announced yet: the week alone
    ],
)
def test_a_review_on_a_day_off_is_due_the_working_day_before(make_policy, due, worked):
    calendar = working_days_of(make_policy(calendar=CHINESE).calendar)
    assert last_working_day(date.fromisoformat(due), calendar) == date.fromisoformat(worked)


@given(day=st.dates(date(2020, 1, 1), date(2030, 12, 31)), months=st.sampled_from([6, 12, 24]))
def test_no_interval_is_longer_than_the_policy_says_and_every_review_is_on_a_working_day(
    make_policy, day, months
):
    policy = make_policy(calendar=CHINESE)
    place = [tier.review_months for tier in policy.tiers].index(months)
    when = pd.DatetimeIndex([pd.Timestamp(day, tz="Asia/Shanghai").tz_convert("UTC")])
    due = due_of(when, np.array([place]), policy=policy)[0].astype(date)
    latest = (pd.Timestamp(day) + pd.DateOffset(months=months)).date()
    calendar = working_days_of(policy.calendar)
    assert latest - timedelta(days=9) <= due <= latest
    assert calendar.is_working_day(due)
    between = [due + timedelta(days=n) for n in range(1, (latest - due).days + 1)]
    assert not any(calendar.is_working_day(each) for each in between)


def test_days_are_those_of_the_policy_s_zone(make_policy):
    when = pd.DatetimeIndex(["2026-01-14 16:30:00"], tz="UTC")  # already the 15th in Shanghai
    there = due_of(when, np.array([2]), policy=make_policy(calendar=CHINESE))
    assert there[0] == np.datetime64("2026-07-15")
    assert due_of(when, np.array([2]), policy=make_policy())[0] == np.datetime64("2026-07-14")


def test_a_bank_s_own_calendar_is_used(make_policy):
    class NeverOnTheFifteenth:
        def is_working_day(self, day):
            return day.day != 15

    when = pd.DatetimeIndex(["2026-01-15"], tz="UTC")
    due = due_of(when, np.array([2]), policy=make_policy(), calendar=NeverOnTheFifteenth())
    assert due[0] == np.datetime64("2026-07-14")


def test_a_calendar_without_working_days_is_refused():
    class Strike:
        def is_working_day(self, day):
            return False

    with pytest.raises(ValueError, match=r"60 days.*2026-01-15"):
        last_working_day(date(2026, 1, 15), Strike())


def test_a_decision_without_a_time_has_no_review(make_policy):
    when = pd.DatetimeIndex([pd.NaT, "2026-01-15"]).tz_localize("UTC")
    due = due_of(when, np.array([2, 2]), policy=make_policy())
    assert np.isnat(due).tolist() == [True, False]


def test_days_beyond_the_listed_ones_are_counted(make_policy):
    due = np.array(["2026-12-31", "2027-01-01", "2030-01-01", "NaT"], dtype="datetime64[D]")
    assert count_beyond(due, make_policy(calendar=CHINESE).calendar) == 2
    assert count_beyond(due, make_policy().calendar) == 0


@pytest.mark.parametrize(
    ("decided", "due", "lacking"),
    [
        ("2026-06-24", "2027-06-24", 0),  # nobody has announced 2027 yet
        ("2026-12-10", "2027-06-10", 0),
        ("2026-12-11", "2027-06-11", 1),  # three weeks before the end of the list: it is out
        ("2026-12-11", "2026-12-31", 0),  # the list knows it
        ("2027-02-01", "2027-08-01", 1),
        ("NaT", "2027-08-01", 0),
        ("2027-02-01", "NaT", 0),
    ],
)
def test_a_list_is_to_be_carried_on_from_three_weeks_before_its_end(
    make_policy, decided, due, lacking
):
    days, dues = (np.array([day], dtype="datetime64[D]") for day in (decided, due))
    assert count_announced(days, dues, make_policy(calendar=CHINESE).calendar) == lacking
    assert count_announced(days, dues, make_policy().calendar) == 0


def test_the_shipped_calendars():
    saturday = date(2026, 11, 21)
    assert EveryDay().is_working_day(saturday)
    assert not Weekdays().is_working_day(saturday)
    assert Weekdays(make_up_days=frozenset({saturday})).is_working_day(saturday)
