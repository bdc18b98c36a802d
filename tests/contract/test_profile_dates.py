"""Dates of a profile that cannot be are found; the certain ones are not used."""

from datetime import date

import pyarrow as pa
import pytest

from kyc_ml.contract.memory import contract_tables

PERSON = {"customer_type": "person", "birth_date": "1980-05-01", "document_expiry": "9999-12-31",
          "onboarded_at": "2023-01-01"}  # fmt: skip


def read(*changed, transactions="2024-02-01", **version):
    customers = [
        {"customer_id": f"c{n}", "event_time": "2023-06-01", **PERSON, **version, **each}
        for n, each in enumerate(changed)
    ]
    tables = {"customers": pa.Table.from_pylist(customers)}
    if transactions is not None:
        booking = {"transaction_id": "t", "customer_id": "c0", "event_time": transactions}
        tables["transactions"] = pa.Table.from_pylist([{**booking, "amount": "1"}])
    return contract_tables(tables, base_currency="CNY", timezone="Asia/Shanghai").accepted


def noted(tables):
    return {(f.column, f.rule): f.count for f in tables.quality.warnings}


@pytest.mark.parametrize(
    ("changed", "rule", "kept"),
    [
        ({"birth_date": "2030-06-10"}, "after the data end", False),
        ({"birth_date": "2024-02-03"}, "after the data end", False),
        ({"birth_date": "2024-02-01"}, None, True),
        ({"birth_date": "2023-12-01"}, None, True),  # after the version, whose date may be a dummy
        ({"birth_date": "1900-01-01"}, "of a person of more than 120 years", False),
        ({"birth_date": "1903-06-01"}, None, True),
        ({"birth_date": "1850-01-01", "customer_type": "entity"}, None, True),
        ({"birth_date": None}, None, True),
    ],
)
def test_a_birth_date_that_cannot_be_is_taken_as_missing(changed, rule, kept):
    tables = read({}, changed)
    found = tables["customers"]["birth_date"].to_pylist()
    given = changed["birth_date"]
    assert found == [date(1980, 5, 1), date.fromisoformat(given) if kept and given else None]
    expected = {} if rule is None else {("birth_date", rule): 1}
    before = {each: n for each, n in noted(tables).items() if each[1] != "before birth"}
    assert before == expected
    assert not any("2030" in str(each) or "c1" in str(each) for each in tables.quality.warnings)


@pytest.mark.parametrize(("day", "kept"), [("2024-02-02", True), ("2025-01-01", False)])
def test_a_relationship_that_begins_after_the_data_end_is_taken_as_missing(day, kept):
    tables = read({"onboarded_at": day})
    assert (tables["customers"]["onboarded_at"].null_count == 0) == kept
    assert noted(tables) == ({} if kept else {("onboarded_at", "after the data end"): 1})


def test_dates_of_which_one_of_two_is_wrong_are_counted_and_used():
    changed = {"document_expiry": "1970-01-01", "onboarded_at": "1975-01-01"}
    tables = read({}, changed)
    assert noted(tables) == {
        ("document_expiry", "before birth"): 1,
        ("onboarded_at", "before birth"): 1,
    }
    assert tables["customers"]["document_expiry"].null_count == 0


def test_a_version_known_later_than_all_else_may_tell_of_its_own_day():
    """An extract of customers is often younger than that of the bookings."""
    tables = read({"onboarded_at": "2024-03-01"}, event_time="2024-03-01")
    assert noted(tables) == {}


def test_a_stray_booking_does_not_make_an_impossible_date_possible():
    bookings = [
        {"transaction_id": f"t{n}", "customer_id": "c0", "amount": "1", "event_time": day}
        for n, day in enumerate([*(f"2024-02-{d:02}" for d in range(1, 29)), "2034-01-01"])
    ]
    customers = [{"customer_id": "c0", "event_time": "2023-06-01", "birth_date": "2030-06-10"}]
    tables = contract_tables(
        {
            "transactions": pa.Table.from_pylist(bookings),
            "customers": pa.Table.from_pylist(customers),
        },
        base_currency="CNY",
    ).accepted
    assert tables["customers"]["birth_date"].to_pylist() == [None]


def test_customers_alone_have_no_end_that_a_date_could_lie_after():
    assert noted(read({"birth_date": "2030-06-10"}, transactions=None)) == {
        ("", "not mapped"): 0,
        ("onboarded_at", "before birth"): 1,
    }


def test_tables_keep_the_order_of_the_contract():
    assert list(read({}).tables) == ["customers", "transactions"]
    assert [each.table for each in read({}).quality.tables] == ["customers", "transactions"]
