"""A date is read once: every spelling of one time gives the same time, and the same text."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.cli.options import time_option
from kyc_ml.config import (
    a_day_before,
    day_of,
    isoformat,
    last_midnight,
    parse_day,
    parse_time,
    parse_wait,
)
from kyc_ml.errors import ConfigError

FIRST, LAST = pd.Timestamp("1900-01-02"), pd.Timestamp("2199-12-30")
MIDNIGHT = pd.Timestamp("2025-06-24", tz="UTC")


@pytest.mark.parametrize(
    "spelling",
    [
        "2025-06-24", "2025-06-24T00:00", "2025-06-24 00:00Z", "2025-06-24T00:00:00+00:00",
        "2025-06-24T08:00+08:00", "2025-06-23T20:00-04:00", "20250624", "2025/6/24",
        "2025年6月24日", datetime(2025, 6, 24, tzinfo=UTC),
        pd.Timestamp("2025-06-24 08:00", tz="Asia/Shanghai"),
    ],
)  # fmt: skip
def test_two_spellings_of_one_time_are_one_time_and_one_text(spelling):
    time = parse_time(spelling, name="--as-of")
    assert time == MIDNIGHT
    assert str(time.tz) == "UTC"
    assert isoformat(time) == "2025-06-24"


@given(st.datetimes(FIRST, LAST, timezones=st.timezones()))
def test_the_text_of_a_time_reads_as_that_time(when):
    time = parse_time(when, name="since")
    assert parse_time(isoformat(time), name="since") == time == when.astimezone(UTC)


@pytest.mark.parametrize("text", ["1900-01-01", "2199-12-31T23:59:59"])
def test_the_first_and_last_of_all_dates(text):
    assert isoformat(parse_time(text, name="since")).startswith(text)


@pytest.mark.parametrize(
    "wrong",
    [
        "", "soon", "2025-13-01", "01/02/2025", "1899-12-31", "2200-01-01", "0001-01-01",
        pd.NaT, pd.Timestamp("2025-06-24"), date(2025, 6, 24), 20250624,
    ],
)  # fmt: skip
def test_what_is_no_time_or_of_no_zone_is_refused_by_name(wrong):
    with pytest.raises(ConfigError, match=r"^--since must "):
        parse_time(wrong, name="--since")


def test_no_date_stays_none():
    assert parse_time(None, name="since") is None


def test_a_time_of_day_is_no_day():
    assert parse_day(datetime(2025, 1, 31, tzinfo=UTC)) == date(2025, 1, 31)
    with pytest.raises(ValueError, match="2025-01-31"):
        parse_day(datetime(2025, 1, 31, 1, tzinfo=UTC))


def test_an_option_gives_its_text_or_its_error_for_the_list_of_all_faults():
    parse = time_option("--on", help="a day").parser
    assert parse("2025-06-24T00:00") == "2025-06-24T00:00"
    assert isinstance(parse("soon"), ConfigError)


ZONES = ("Asia/Shanghai", "Europe/Prague", "America/Sao_Paulo", "America/Havana", "UTC")


@given(
    st.dates(date(2000, 1, 1), date(2030, 12, 31)),
    st.sampled_from(ZONES),
)
def test_consecutive_nights_of_a_bank_meet_without_a_gap_also_when_clocks_change(day, zone):
    night = parse_time(day.isoformat(), name="--as-of", zone=zone)
    before = parse_time((day - timedelta(days=1)).isoformat(), name="--as-of", zone=zone)
    assert a_day_before(night, zone) == before
    assert pd.Timedelta(hours=23) <= night - before <= pd.Timedelta(hours=25)
    assert day_of(night, zone) == day
    assert last_midnight(night, zone) == night
    assert last_midnight(night - pd.Timedelta(seconds=1), zone) == before


@pytest.mark.parametrize("given_", ["2026-11-30", "2026-11-30T00:00", "2026年11月30日"])
def test_a_date_is_the_midnight_of_the_source(given_):
    time = parse_time(given_, name="--as-of", zone="Asia/Shanghai")
    assert time.isoformat() == "2026-11-29T16:00:00+00:00"
    assert parse_time("2026-11-30T00:00Z", name="--as-of", zone="Asia/Shanghai").hour == 0


def test_a_zone_that_is_none_is_named():
    with pytest.raises(ConfigError, match="Asia/Shanghai"):
        parse_time("2026-11-30", name="--as-of", zone="CST")


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("2h", "05:00"), ("90m", "04:30"), ("1h30m5s", "04:30:05"), ("06:00", "06:00"),
        ("3:00", "03:00"), ("02:59", "02:59"), ("15:01", "-1 15:01"),
    ],
)  # fmt: skip
def test_waiting_ends_after_a_while_or_at_the_nearest_such_time(text, until):
    now = pd.Timestamp("2026-11-30T03:00", tz="Asia/Shanghai")
    day = "2026-11-29 " if until.startswith("-1 ") else "2026-11-30 "
    found = parse_wait(text, name="--wait", zone="Asia/Shanghai", now=now.tz_convert("UTC"))
    assert found == pd.Timestamp(day + until.removeprefix("-1 "), tz="Asia/Shanghai")


@pytest.mark.parametrize("text", ["", "soon", "24:00", "6", "2 h", "-2h", "h"])
def test_waiting_for_no_time_is_refused(text):
    with pytest.raises(ConfigError, match="--wait"):
        parse_wait(text, name="--wait", zone="UTC", now=MIDNIGHT)
