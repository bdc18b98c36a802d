"""Outcomes that a mapping lets in too early are named by `check`, and honest rows are not."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.config import SourceMapping
from kyc_ml.contract import contract_tables, read_source
from kyc_ml.contract.dating import find_fixed_lag
from kyc_ml.contract.quality import DOUBTS

START = pd.Timestamp("2024-01-01 06:07:08", tz="UTC")
DAY, HOUR, MINUTE = (pd.Timedelta(1, unit) for unit in ("D", "h", "min"))
N = 60


def cases(lag, *, n=N, outcome="confirmed_fraud"):
    """One case each of `n` customers, 4 days and 5 hours apart; `lag` of its number."""
    event = pd.Series([START + place * (4 * DAY + 5 * HOUR) for place in range(n)])
    known = [time + lag(place) for place, time in enumerate(event)]
    return pd.DataFrame(
        {"case_id": [f"k{place}" for place in range(n)],
         "customer_id": [f"c{place}" for place in range(n)],
         "event_time": event, "known_at": known, "outcome": outcome}
    )  # fmt: skip


def honest(place):
    return (3 + place % 17) * DAY + 61 * place * MINUTE


def payments(n=N):
    return pd.DataFrame(
        {"transaction_id": [f"t{place}" for place in range(n)],
         "customer_id": [f"c{place}" for place in range(n)],
         "event_time": START, "amount": 1.0}
    )  # fmt: skip


def doubts(**tables):
    tables = {"transactions": payments(), **tables}
    quality = contract_tables(tables, base_currency="CNY").accepted.quality
    return [(each.table, DOUBTS[each.rule], each.count) for each in quality.doubts]


@pytest.mark.parametrize(
    ("lag", "found"),
    [
        (honest, []),
        (lambda _: 0 * DAY, [("known immediately", N)]),
        (lambda _: MINUTE, [("known early", N)]),
        (lambda place: 59 * MINUTE if place < 10 else honest(place), [("known early", 10)]),
        (lambda place: 59 * MINUTE if place < 9 else honest(place), []),
        (lambda place: 60 * MINUTE if place < 10 else honest(place), []),
        (lambda place: 0 * DAY if place % 5 else honest(place), [("known early", 48)]),
        (lambda _: 2 * HOUR, [("same lag", N)]),
        (lambda place: 2 * HOUR if place % 2 else honest(place), [("same lag", 30)]),
        (lambda place: 2 * HOUR if place % 3 == 1 else honest(place), []),
        (lambda _: 7 * DAY, []),
    ],
)
def test_cases_known_sooner_than_a_bank_can_know_are_counted(lag, found):
    assert doubts(cases=cases(lag)) == [("cases", key, n) for key, n in found]


def test_open_and_cleared_cases_may_be_known_at_once():
    """A rule of the bank raises an alert at the payment; nobody has confirmed anything."""
    early = [cases(lambda _: MINUTE, outcome=outcome) for outcome in ("open", "cleared")]
    for each in early:
        assert doubts(cases=each) == []


def test_dates_without_a_time_of_day_say_nothing_about_hours():
    dated = cases(lambda place: (place % 3) * DAY)
    dated["event_time"] = dated["event_time"].dt.normalize()
    dated["known_at"] = dated["known_at"].dt.normalize()
    assert doubts(cases=dated) == []


def test_a_bank_may_say_how_fast_it_confirms(tmp_path):
    payments().to_parquet(tmp_path / "payments.parquet")
    cases(lambda place: MINUTE * (1 + place % 7)).to_parquet(tmp_path / "cases.parquet")
    fast = mapping(cases="cases").model_copy(update={"fastest_case_hours": 0.0})
    assert found_in(tmp_path, mapping(cases="cases")) == {("cases", "known early")}
    assert found_in(tmp_path, fast) == set()


def reports(before, *, item="adverse_media", n=N):
    """Return a report on each customer, dated before his case by `before` of its number."""
    own = cases(honest, n=n)
    time = [at - before(place) for place, at in enumerate(own["event_time"])]
    return pd.DataFrame(
        {"report_id": [f"{item}{place}" for place in range(n)], "customer_id": own["customer_id"],
         "event_time": time, "provider": "media", "item": item}
    )  # fmt: skip


def varied(place):
    """A lag as honest causes have it: exponential, of 30 days in the mean."""
    return -np.log((place * 37 % N + 0.5) / N) * 30 * DAY


@pytest.mark.parametrize(
    ("before", "count"),
    [
        (lambda _: 45 * DAY, N),
        (lambda place: 44 * DAY + place * 48 / N * HOUR, N),
        (lambda place: 45 * DAY if place % 2 else varied(place), 30),
        (varied, 0),
        (lambda place: place % 25 * MINUTE, 0),
        (lambda place: 90 * MINUTE, N),
        (lambda place: -45 * DAY, 0),  # after the case: a consequence
    ],
)
def test_reports_at_a_fixed_time_before_cases_are_named(before, count):
    rows = [reports(before), reports(varied, item="bureau_score")]
    found = doubts(cases=cases(honest), third_party=pd.concat(rows))
    expected = [("third_party", "fixed lag", count)] if count else []
    assert [(table, kind) for table, kind, _ in found] == [each[:2] for each in expected]
    assert all(count <= met <= count + 5 for *_, met in found)


def test_what_recurs_or_happens_to_all_on_one_day_is_no_fixed_lag():
    monthly = pd.concat(
        [reports(lambda _, month=month: month * 30 * DAY, item="bureau_score") for month in (1, 2)]
    )
    monthly["report_id"] = [f"m{place}" for place in range(2 * N)]
    assert doubts(cases=cases(honest), third_party=monthly) == []
    incident = cases(honest)
    incident["event_time"] = START + 90 * DAY
    incident["known_at"] = [START + 90 * DAY + honest(place) for place in range(N)]
    campaign = reports(lambda _: DAY)
    campaign["event_time"] = START + 45 * DAY
    assert doubts(cases=incident, third_party=campaign) == []


@given(seed=st.integers(0, 10_000), scale=st.floats(0.5, 300.0), n=st.integers(20, 3_000))
def test_smooth_lags_raise_no_alarm(seed, scale, n):
    rng = np.random.default_rng(seed)
    draw = rng.choice([rng.exponential, lambda size: rng.gamma(3.0, size=size)])
    lag = (draw(size=n) * scale * 3).astype(np.int64)
    inside = lag < 546
    customer, day = np.arange(n)[inside], rng.integers(0, 500, n)[inside]
    assert find_fixed_lag((customer, day), lag[inside], first=9, bins=546) is None


@given(place=st.integers(12, 540), n=st.integers(40, 300), base=st.integers(0, 300))
def test_a_lag_of_many_customers_is_found_among_others(place, n, base):
    rng = np.random.default_rng(place)
    lag = np.concatenate([np.full(n, place), rng.integers(0, 546, base)])
    customer = np.arange(lag.size)
    met = find_fixed_lag((customer, customer), lag, first=9, bins=546)
    assert met is not None
    assert met[0] >= n
    assert met[1] <= place < met[1] + 3


PLAIN = ["transaction_id", "customer_id", "event_time", "amount"]


def mapping(*, cases, more=None, where=None, **columns):
    """Return a source whose cases are a file of their own, or marked payments."""
    own = {"case_id": "case_id", "customer_id": "customer_id", "event_time": "event_time",
           "known_at": "known_at", "outcome": "outcome"}  # fmt: skip
    marked = {
        **own, "case_id": "transaction_id", "transaction_id": "transaction_id",
        "known_at": "event_time + INTERVAL 7 DAY", "outcome": "'confirmed_fraud'",
    }  # fmt: skip
    tables = {
        "transactions": {
            "from": "payments",
            "columns": {**{name: name for name in PLAIN}, **columns},
        },
        "cases": {
            "from": cases,
            "where": where,
            "columns": own if cases == "cases" else marked,
        },
        **(more or {}),
    }
    files = {
        name: {"path": f"{path}.parquet", "format": "parquet"}
        for name, path in (("payments", "payments"), ("cases", "cases"), ("copy", "copy"))
        if name in {"payments", cases} or (name == "copy" and more)
    }
    return SourceMapping.model_validate(
        {"name": "s", "base_currency": "CNY", "files": files, "tables": tables}
    )


def found_in(data, source):
    quality = read_source(source, data=data).accepted.quality
    return {(each.table, DOUBTS[each.rule]) for each in quality.doubts}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    marked = payments().assign(fraud=[int(place % 2) for place in range(N)], note="x")
    marked["event_time"] = cases(honest)["event_time"]
    marked.to_parquet(folder / "payments.parquet")
    for name in ("cases", "copy"):
        cases(honest).to_parquet(folder / f"{name}.parquet")
    return folder


LATER = "(SELECT max(outcome) FROM cases AS later WHERE later.customer_id = payments.customer_id)"
REPORTS = {
    "report_id": "case_id", "customer_id": "customer_id", "event_time": "event_time",
    "provider": "'p'", "item": "'i'",
}  # fmt: skip


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (mapping(cases="cases", channel="note"), set()),
        (mapping(cases="cases", channel=LATER), {("transactions", "reads the cases")}),
        (
            mapping(cases="cases", more={"third_party": {"from": "cases", "columns": REPORTS}}),
            {("third_party", "reads the cases")},
        ),
        # a copy of the file under another name
        (
            mapping(cases="cases", more={"third_party": {"from": "copy", "columns": REPORTS}}),
            {("third_party", "reads the cases")},
        ),
        # a mark on the payments decides who is a case: only its readers know too early
        (mapping(cases="payments", where="fraud = 1", channel="note"), set()),
        (
            mapping(cases="payments", where="fraud = 1", channel="'c' || FRAUD"),
            {("transactions", "reads the outcome")},
        ),
        (
            mapping(
                cases="payments",
                where="fraud = 1",
                more={"events": {
                    "from": "payments",
                    "where": "fraud = 1",
                    "columns": {"event_id": "transaction_id", "customer_id": "customer_id",
                                "event_time": "event_time", "event_type": "'call'"},
                }},
            ),
            {("events", "reads the outcome")},
        ),
    ],
)  # fmt: skip
def test_tables_that_read_the_cases_or_the_outcome_are_named(data, source, found):
    assert found_in(data, source) == found


def marked(column, mark, *, n=600, adverse=50):
    """Return payments of which every twelfth is a fraud; `mark` takes the number of a fraud."""
    rows = payments(n)
    rows["amount"] = [place + 0.5 for place in range(n)]
    if column is not None and column not in rows:
        rows[column] = [f"v{place % 7}" for place in range(n)]
    frauds = np.arange(adverse) * 12
    for number, place in enumerate(frauds):
        if column is not None and mark(number) is not False:
            rows.loc[place, column] = mark(number)
    own = cases(honest, n=adverse)
    own["customer_id"] = rows["customer_id"].to_numpy()[frauds]
    own["transaction_id"] = rows["transaction_id"].to_numpy()[frauds]
    return {"transactions": rows, "cases": own}


@pytest.mark.parametrize(
    ("column", "mark", "count"),
    [
        (None, None, 0),
        ("channel", lambda number: number < 20 and "batch", 20),
        ("channel", lambda number: number < 19 and "batch", 0),
        ("channel", lambda number: "v1", 0),  # which others have too
        ("region", lambda number: None, 50),
        ("device_id", lambda number: "d0", 50),
        ("counterparty_id", lambda number: f"p{number}", 0),  # one each: no mark
        ("counterparty_id", lambda number: "mule" if number < 10 else f"p{number}", 0),
        ("transaction_id", lambda number: f"x{number}", 40),
        ("amount", lambda number: 100.0 * number, 50),
    ],
)
def test_a_value_that_marks_the_cases_is_named(column, mark, count):
    tables = marked(column, mark)
    expected = [("transactions", "marks the cases", count)] if count else []
    assert doubts(**tables) == expected


def test_where_adverse_rows_are_common_a_value_of_theirs_is_no_mark():
    tables = marked("channel", lambda _: "batch")
    rows = tables["transactions"]
    for kept, found in ((4, ["marks the cases"]), (3, [])):
        common = {**tables, "transactions": rows[rows.index % 12 < kept]}
        assert [key for _, key, _ in doubts(**common)] == found


def test_cases_that_name_no_payment_mark_none():
    tables = marked("channel", lambda _: "batch")
    del tables["cases"]["transaction_id"]
    assert doubts(**tables) == []
