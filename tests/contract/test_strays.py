"""One row with a wrong clock moves neither the beginning nor the end of the data."""

from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.config import DatasetConfig
from kyc_ml.contract import (
    end_of_data,
    find_end,
    find_newest,
    find_oldest,
    known_until,
    read_quality,
    require_fresh,
    write_quality,
)
from kyc_ml.contract.memory import contract_tables
from kyc_ml.contract.reading import last_known
from kyc_ml.contract.strays import find_strays
from kyc_ml.dataset import make_observations
from kyc_ml.errors import ConfigError, NotReadyError

TODAY = date(2026, 11, 30)
EPOCH = date(1970, 1, 1)


def strays(days, *, rows=1):
    """Find strays among days, each with so many rows."""
    days = sorted(days)
    instants = [datetime(day.year, day.month, day.day, 12, tzinfo=UTC) for day in days]
    table = pa.table(
        {
            "day": [(day - EPOCH).days for day in days],
            "rows": [rows] * len(days),
            "first": pa.array(instants, pa.timestamp("us", "UTC")),
            "last": pa.array(instants, pa.timestamp("us", "UTC")),
        }
    )
    return find_strays(table, today=TODAY)


def run_of(n, *, first=date(2024, 1, 1), step=1):
    return [first + timedelta(days=step * place) for place in range(n)]


@pytest.mark.parametrize(
    ("days", "before", "after"),
    [
        (run_of(40), 0, 0),
        ([*run_of(39), date(2034, 1, 18)], 0, 1),
        ([date(1900, 1, 1), *run_of(39)], 1, 0),
        ([date(1900, 1, 1), *run_of(98), date(2034, 1, 18)], 1, 1),
        ([date(2010, 1, 1), *run_of(98), date(2034, 1, 18)], 1, 1),  # neither hides the other
        ([*run_of(98), date(2034, 1, 18), date(2090, 1, 18)], 0, 2),
        ([*run_of(98), date(2034, 1, 18), date(2034, 1, 19)], 0, 2),
        ([*run_of(40), date(2024, 3, 9)], 0, 0),  # 29 days after the last
        ([*run_of(40), date(2024, 3, 10)], 0, 1),  # 30
        ([*run_of(18), date(2026, 1, 18)], 0, 0),  # one of 19 is not few
        ([*run_of(12), date(2034, 1, 18)], 0, 1),  # but one of the future is one wrong clock
        ([*run_of(12), date(2034, 1, 18), date(2034, 1, 19)], 0, 0),
        (run_of(40, first=date(2050, 1, 1)), 0, 0),  # all of the future: a calendar of its own
        (run_of(80, first=date(2026, 10, 1)), 0, 0),  # a quarter of it
        ([date(2034, 1, 18)], 0, 0),
        ([*run_of(40, step=30, first=date(2023, 1, 1)), date(2026, 12, 15)], 0, 1),  # the future
        (
            [*run_of(40, step=30, first=date(2023, 1, 1)), date(2026, 11, 30)],
            0,
            0,
        ),  # sparse data may well pause
        ([date(2023, 1, 2), *run_of(40)], 0, 0),  # less than a year before: thin, not wrong
        ([date(2022, 12, 31), *run_of(40)], 1, 0),
        ([], 0, 0),
    ],
)
def test_few_rows_far_from_all_others_are_strays(days, before, after):
    found = strays(days)
    assert (found.before, found.after) == (before, after)
    kept = sorted(days)[before : len(days) - after]
    ends = (found.first and found.first.date(), found.last and found.last.date())
    assert ends == ((kept[0], kept[-1]) if kept else (None, None))


@given(
    gaps=st.lists(st.integers(1, 3), min_size=30, max_size=60),
    far=st.integers(366, 40_000),
    late=st.booleans(),
)
def test_a_stray_changes_nothing_of_what_is_left(gaps, far, late):
    days = [date(2015, 1, 1)]
    for gap in gaps:
        days.append(days[-1] + timedelta(days=gap))
    without = strays(days)
    far = min(far, 30_000)
    odd = days[-1] + timedelta(days=far) if late else days[0] - timedelta(days=far)
    found = strays([*days, odd])
    assert (found.before, found.after) == ((0, 1) if late else (1, 0))
    assert (found.first, found.last) == (without.first, without.last)


def source(*odd, n=40, **settings):
    """Contract a bank of a booking a day, and bookings at odd times."""
    times = [*(f"{day} 10:00" for day in run_of(n)), *odd]
    rows = [
        {"transaction_id": f"t{place}", "customer_id": "ab"[place % 2], "amount": "1",
         "event_time": time}
        for place, time in enumerate(times)
    ]  # fmt: skip
    return contract_tables(
        {"transactions": pa.Table.from_pylist(rows)}, base_currency="CNY", **settings
    ).accepted


def test_a_stray_is_a_warning_and_its_row_stays():
    tables = source("2034-01-18 10:00")
    (found,) = [each for each in tables.quality.warnings if each.column == "event_time"]
    assert (found.table, found.count) == ("transactions", 1)
    assert "2034" not in str(found)
    assert tables["transactions"].num_rows == 41
    assert read_quality(write_quality(tables.quality)) == tables.quality


def test_a_quality_record_of_before_strays_reads_as_it_was():
    written = write_quality(source().quality)
    for table in written["tables"]:
        del table["strays"]
    old = read_quality(written).table("transactions")
    assert (old.first_usual, old.last_usual) == (old.first_event_time, old.last_event_time)


def test_the_end_of_the_data_is_not_taken_from_a_stray_but_asked_for():
    plain, tables = source(), source("2034-01-18 10:00", "1900-01-01")
    for find in (find_newest, find_oldest, find_end):
        assert find(tables) == find(plain)
    assert last_known(tables) == last_known(plain)
    for give in (end_of_data, lambda these: known_until(these, None)):
        assert give(plain) == pd.Timestamp("2024-02-10", tz="UTC")
        with pytest.raises(ConfigError, match=r"1 of 42 .*transactions.*--as-of"):
            give(tables)
    assert known_until(tables, pd.Timestamp("2024-02-10", tz="UTC")) == pd.Timestamp(
        "2024-02-10", tz="UTC"
    )
    with pytest.raises(ConfigError, match="2024-0"):
        known_until(tables, pd.Timestamp("2034-01-19", tz="UTC"))


def test_a_stray_does_not_make_a_stale_extract_look_fresh():
    with pytest.raises(NotReadyError, match="2024-0"):
        require_fresh(pd.Timestamp("2024-02-12", tz="UTC"), source("2034-01-18"), stale_hours=24.0)


def test_a_booking_of_1900_does_not_begin_the_calendar_of_reviews():
    end = pd.Timestamp("2024-02-10", tz="UTC")

    def reviews(tables):
        return make_observations(
            tables, unit="risk", start=None, end=end, config=DatasetConfig(horizon_days=1)
        )

    found = reviews(source("1900-01-01"))
    assert found["decision_time"].to_pylist() == reviews(source())["decision_time"].to_pylist()


def test_a_period_that_ends_before_it_begins_is_refused_at_once():
    from kyc_ml.config import SourceMapping  # noqa: PLC0415

    content = {
        "name": "n", "base_currency": "CNY", "earliest": "2024-03-05", "latest": "2024-03-02",
        "files": {"t": {"path": "t.csv", "format": "csv"}},
        "tables": {"transactions": {"from": "t", "columns": {"amount": "amount"}}},
    }  # fmt: skip
    with pytest.raises(ValueError, match="latest"):
        SourceMapping.model_validate(content)


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ({"latest": "2024-02-09"}, ["event_time: after `latest` of the mapping"]),
        ({"latest": "2024-02-10"}, []),
        ({"latest": "2024-02-08"}, ["event_time: after `latest` of the mapping"] * 2),
        ({"earliest": "2024-01-02"}, ["event_time: before `earliest` of the mapping"]),
        ({"earliest": "2024-01-01"}, []),
        ({"earliest": "0001-01-01", "latest": "9999-12-31"}, []),
    ],
)
def test_a_mapping_may_name_the_period_of_its_rows(tmp_path, settings, refused):
    """The days are those of the source's zone: 01:00 UTC on the 10th is the 9th in New York."""
    from kyc_ml.config import SourceMapping  # noqa: PLC0415
    from kyc_ml.contract.source import read_source  # noqa: PLC0415

    rows = [
        {"transaction_id": f"t{place}", "customer_id": "a", "amount": "1", "event_time": time}
        for place, time in enumerate(
            ["2024-01-01 00:00", "2024-01-02 00:00", "2024-02-09 23:59:59", "2024-02-10 05:30Z"]
        )
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "t.csv", index=False)
    mapping = SourceMapping.model_validate(
        {
            "name": "n", "base_currency": "CNY", "timezone": "America/New_York",
            "max_quarantined_share": 1.0, **settings,
            "files": {"t": {"path": "t.csv", "format": "csv"}},
            "tables": {"transactions": {"from": "t", "columns": {name: name for name in rows[0]}}},
        }
    )  # fmt: skip
    read = read_source(mapping, data=tmp_path)
    found = [reason for row in read.quarantine["reasons"].to_pylist() for reason in row]
    assert found == refused
