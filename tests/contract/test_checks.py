"""Each bad cell costs its row, with the reason that names it; each good one is kept."""

import re
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from kyc_ml.contract import CONTRACT
from kyc_ml.contract.checks import checks_of
from kyc_ml.contract.memory import contract_tables
from kyc_ml.errors import ContractError, SourceError

ZONE = "ambiguous name of a time zone"
ROW = {
    "transaction_id": "t",
    "customer_id": "c",
    "event_time": "2024-01-05 10:00:00",
    "amount": "1.5",
}


def transactions(rows, **settings):
    table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows)
    options = {"base_currency": "CNY", "max_quarantined_share": 1.0, **settings}
    return contract_tables({"transactions": table}, **options)


def reasons(column, value):
    good = {**ROW, "transaction_id": "good", column: ROW.get(column)}
    got = transactions(
        pa.table({k: pa.array([v, value if k == column else ROW[k]]) for k, v in good.items()})
        if column in ROW
        else [good, {**ROW, column: value}]
    )
    return [reason for row in got.quarantine["reasons"].to_pylist() for reason in row]


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("transaction_id", " ", "transaction_id: empty"),
        ("customer_id", None, "customer_id: empty"),
        ("event_time", None, "event_time: empty"),
        ("event_time", "05.01.2024", "event_time: not a timestamp"),
        ("event_time", "2024-02-30", "event_time: not a timestamp"),
        ("event_time", "20240105", "event_time: not a timestamp"),
        ("event_time", "0024-01-05", "event_time: outside the years 1900 to 2199"),
        ("event_time", "2200-01-01", "event_time: outside the years 1900 to 2199"),
        ("event_time", "infinity", "event_time: not a timestamp"),
        ("event_time", "2024-01-05 10:00:00 Asia/Nowhere", "event_time: not a timestamp"),
        ("event_time", "2024-01-05 10:00:00+99", "event_time: not a timestamp"),
        ("event_time", "2024-01-05 10:00 PM", "event_time: not a timestamp"),
        *(
            ("event_time", f"2024-01-05 10:00:00 {zone}", f"event_time: {ZONE}")
            for zone in ("CST", "BST", "IST", "AST", "EST5EDT", "GMT+8", "UTC+08:00", "Etc/GMT-8")
        ),
        ("amount", "-0.01", "amount: below 0"),
        ("amount", "1e15", "amount: above 1e+14"),
        ("amount", "nan", "amount: not finite"),
        ("amount", "inf", "amount: not finite"),
        ("amount", "-inf", "amount: not finite"),
        ("amount", "1,50", "amount: not a number"),
        ("amount", "", "amount: empty"),
        ("direction", "IN", "direction: not one of in, out"),
        ("country", "China", "country: does not match [A-Z]{2}"),
        ("known_at", "2024-01-05 09:59:59", "known_at: before event_time"),
        ("balance", "x", "balance: not a number"),
    ],
)
def test_a_bad_cell_is_refused_with_its_reason(column, value, expected):
    if column == "known_at":
        rows = [{**ROW, column: value}, {**ROW, "transaction_id": "u", column: "2024-01-05 10:00"}]
        found = transactions(rows).quarantine["reasons"].to_pylist()
        assert found == [[expected]]
    else:
        assert reasons(column, value) == [expected]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_not_finite_is_refused(value):
    table = pa.table({**{k: [v, "g"] for k, v in ROW.items()}, "amount": [value, 1.0]})
    table = table.set_column(2, "event_time", pa.array(["2024-01-05", "2024-01-05"]))
    assert transactions(table).quarantine["reasons"].to_pylist() == [["amount: not finite"]]


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("2024-01-05 10:00:00", 2),
        ("2024-01-05T10:00", 2),
        ("2024/1/5 10:00:00.5", 2),
        ("2024-01-05T10:00:00Z", 10),
        ("2024-01-05 10:00:00+01", 9),
        ("2024-01-05 10:00:00 +01:00", 9),
        ("2024-01-05 10:00:00 Europe/Berlin", 9),
        ("2024-01-05 10:00:00 UTC", 10),
        ("2024-01-05 10:00:00 America/Port-au-Prince", 15),
    ],
)
def test_a_time_without_a_zone_is_in_the_source_s_zone_and_one_with_a_zone_keeps_its_instant(
    text, hour
):
    got = transactions([{**ROW, "event_time": text}], timezone="Asia/Shanghai")
    assert got.accepted.tables["transactions"]["event_time"][0].as_py().hour == hour


@pytest.mark.parametrize(
    "times",
    [
        pd.to_datetime(["2024-01-05 10:00"]),
        pd.to_datetime(["2024-01-05 10:00"]).as_unit("ns"),
        pd.to_datetime(["2024-01-05 02:00"], utc=True),
        pd.to_datetime(["2024-01-05 03:00"]).tz_localize("Europe/Berlin"),
        pd.to_datetime(["2024-01-05 02:00"], utc=True).as_unit("s"),
        pd.to_datetime(["2024-01-05 02:00:00.000000400"], utc=True).as_unit("ns"),
        pd.to_datetime(["2024-01-05 10:00"]).tz_localize("Asia/Shanghai").as_unit("ns"),
    ],
)
def test_pandas_times_read_as_the_same_instant(times):
    frame = pd.DataFrame([ROW]).assign(event_time=times, amount=1.5)
    got = contract_tables({"transactions": frame}, timezone="Asia/Shanghai", base_currency="CNY")
    when = got.accepted.tables["transactions"]["event_time"][0].as_py()
    assert when == datetime(2024, 1, 5, 2, tzinfo=UTC)


def test_a_date_of_nanoseconds_with_a_zone_is_the_source_s_day():
    born = pd.to_datetime(["1990-01-04 20:00"], utc=True).as_unit("ns")
    frame = pd.DataFrame({"customer_id": ["c"], "event_time": ["2024-01-05"], "birth_date": born})
    got = contract_tables({"customers": frame}, timezone="Asia/Shanghai", base_currency="CNY")
    assert got.accepted.tables["customers"]["birth_date"].to_pylist() == [date(1990, 1, 5)]


def test_dates_may_lie_beyond_2200_for_documents_without_expiry():
    row = {"customer_id": "c", "event_time": "2024-01-05", "document_expiry": "9999-12-31"}
    got = contract_tables({"customers": pa.Table.from_pylist([row])}, base_currency="CNY")
    expiry = got.accepted.tables["customers"]["document_expiry"][0].as_py()
    assert expiry == date(9999, 12, 31)


def test_of_equal_keys_the_first_by_content_stays_and_copies_are_told_apart():
    rows = [{**ROW, "amount": amount} for amount in ("3", "1", "2", "1", "3", "x")]
    got = transactions(rows)
    assert got.accepted.tables["transactions"]["amount"].to_pylist() == [1.0]
    assert sorted(got.quarantine["reasons"].to_pylist()) == [
        ["amount: not a number"],
        ["duplicate key"],
        ["duplicate key, other content"],
        ["duplicate key, other content"],
        ["duplicate key, other content"],
    ]


def test_blank_text_is_missing_and_a_huge_text_survives():
    huge = "y" * 3_000_000
    got = transactions([{**ROW, "channel": "  ", "counterparty_id": huge}])
    row = got.accepted.tables["transactions"].to_pylist()[0]
    assert row["channel"] is None
    assert row["counterparty_id"] == huge


def test_known_at_defaults_to_event_time():
    table = transactions([ROW]).accepted.tables["transactions"]
    assert table["known_at"].equals(table["event_time"])


def test_a_profile_version_may_be_known_before_it_takes_effect():
    row = {"customer_id": "c", "event_time": "2024-01-05", "known_at": "2024-01-01"}
    got = contract_tables({"customers": pa.Table.from_pylist([row])}, base_currency="CNY")
    assert got.quarantine.num_rows == 0


def test_an_identifier_held_as_a_float_is_refused_with_the_cure():
    frame = pd.DataFrame([ROW]).assign(customer_id=17.0, amount=1.5)
    with pytest.raises(SourceError, match=r"customer_id.*DOUBLE.*BIGINT"):
        contract_tables({"transactions": frame}, base_currency="CNY")


def test_wrong_types_and_names_are_all_listed_at_once():
    frame = pd.DataFrame(
        {"transaction_id": ["a"], "customer": ["c"], "event_time": [20240105], "amount": [True]}
    )
    with pytest.raises(SourceError) as caught:
        contract_tables({"transactions": frame, "transctions": frame}, base_currency="CNY")
    text = str(caught.value)
    assert "'customer'" in text
    assert "'customer_id'" in text
    assert "'transctions'" in text


def test_wrong_types_name_table_column_and_cure():
    frame = pd.DataFrame([ROW]).assign(event_time=20240105, amount=True)
    with pytest.raises(SourceError) as caught:
        contract_tables({"transactions": frame}, base_currency="CNY", timezone="Asia/Shangai")
    text = str(caught.value)
    assert re.search("'event_time'.*BIGINT", text)
    assert re.search("'amount'.*BOOLEAN", text)
    assert re.search("'Asia/Shangai'.*IANA", text)


def test_a_column_of_mixed_types_is_named_without_its_values():
    frame = pd.DataFrame([ROW, ROW]).assign(amount=pd.Series([1, "Alice Secret"], dtype=object))
    with pytest.raises(SourceError, match="'amount'") as caught:
        contract_tables({"transactions": frame}, base_currency="CNY")
    assert "Secret" not in str(caught.value)


def test_above_the_share_all_findings_are_listed_and_the_rows_come_along():
    rows = [{**ROW, "transaction_id": f"t{i}"} for i in range(8)]
    rows += [{**ROW, "amount": "Secret"}, {**ROW, "customer_id": ""}]
    assert transactions(rows, max_quarantined_share=0.2).quarantine.num_rows == 2
    case = {"case_id": "k", "customer_id": "c", "event_time": "2024-01-05", "outcome": "guilty"}
    fine = {**case, "case_id": "l", "outcome": "cleared"}
    with pytest.raises(ContractError) as caught:
        contract_tables(
            {
                "transactions": pa.Table.from_pylist(rows),
                "cases": pa.Table.from_pylist([case, fine]),
            },
            base_currency="CNY",
            max_quarantined_share=0.19,
        )
    text = str(caught.value)
    assert "transactions 2 of 10, cases 1 of 2" in text
    assert re.search(r"transactions\.amount: .*: 1 ", text)
    assert "transactions.customer_id: empty: 1 row(s)" in text
    assert "cases.outcome" in text
    assert "Secret" not in text
    assert caught.value.quarantine.num_rows == 3


def test_no_accepted_row_is_refused_even_where_all_may_be_quarantined():
    with pytest.raises(ContractError, match="transactions 1 of 1"):
        transactions([{**ROW, "amount": "x"}])


def test_transactions_without_a_row_are_refused():
    table = pa.Table.from_pylist([ROW]).slice(0, 0)
    with pytest.raises(SourceError, match="table 'transactions': 0 rows"):
        transactions(table)


def test_every_rule_of_a_table_has_a_bit():
    for contract in CONTRACT.values():
        types = {column.name: "VARCHAR" for column in contract.columns}
        assert len(checks_of(contract, types, guarded=True)) < np.iinfo(np.int64).bits - 1


@pytest.mark.parametrize(
    ("timezone", "meant"),
    [
        ("CST", "Asia/Shanghai or America/Chicago"),
        ("BST", "Europe/London"),
        ("GMT+8", "Asia/Shanghai"),
        ("UTC+8", "Asia/Shanghai"),
        ("+08:00", "Asia/Shanghai"),
        ("Etc/GMT-8", "Asia/Shanghai"),
        ("Etc/GMT+5", "America/New_York"),
        ("PRC", "Asia/Shanghai"),
        ("EST", "America/New_York"),
        ("utc", "UTC"),
        ("asia/shanghai", "Asia/Shanghai"),
        ("Asia/Shangai", "Asia/Shanghai"),
        ("", "Asia/Shanghai"),
    ],
)
def test_a_zone_whose_name_is_not_of_one_zone_alone_is_refused_with_what_was_meant(timezone, meant):
    with pytest.raises(SourceError) as told:
        transactions([ROW], timezone=timezone)
    assert f"timezone {timezone!r} " in str(told.value)
    assert meant in str(told.value).partition(f"{timezone!r}")[2]


@pytest.mark.parametrize("timezone", ["UTC", "Etc/UTC", "Asia/Shanghai", "US/Eastern"])
def test_a_zone_of_region_and_city_is_taken(timezone):
    assert transactions([ROW], timezone=timezone).accepted.timezone == timezone
