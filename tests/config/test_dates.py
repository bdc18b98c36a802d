"""A date is read once: every spelling of one time gives the same time, and the same text."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.cli.options import time_option
from kyc_ml.config import isoformat, parse_day, parse_time
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


def test_an_option_gives_the_time_or_its_error_for_the_list_of_all_faults():
    parse = time_option("--on", help="a day").parser
    assert parse("2025-06-24T00:00") == MIDNIGHT
    assert isinstance(parse("soon"), ConfigError)
