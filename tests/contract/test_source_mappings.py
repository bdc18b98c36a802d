"""The mappings that come with kyc_ml, on tiny files of the public data sets' shape."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from kyc_ml.config import SourceMapping, load_section
from kyc_ml.contract.source import read_source

SOURCES = Path(__file__).parents[2] / "configs" / "sources"


def read(name, data):
    mapping = load_section(SOURCES / f"{name}.yaml", SourceMapping)
    return read_source(mapping, data=data)


def rows(source, table):
    return source.accepted.tables[table].to_pylist()


def test_handbook(tmp_path):
    pd.DataFrame(
        {
            "TRANSACTION_ID": [0, 1],
            "TX_DATETIME": pd.to_datetime(["2018-04-01 00:00:31", "2018-04-02 10:00:00"]),
            "CUSTOMER_ID": [596, 4961],
            "TERMINAL_ID": [3156, 3412],
            "TX_AMOUNT": [57.16, 0.0],
            "TX_FRAUD": [0, 1],
            "TX_FRAUD_SCENARIO": [0, 2],
        }
    ).to_parquet(tmp_path / "transactions.parquet")
    source = read("handbook", tmp_path)
    first, _ = rows(source, "transactions")
    assert first["transaction_id"] == "0"
    assert first["counterparty_id"] == "3156"
    assert first["event_time"] == datetime(2018, 4, 1, 0, 0, 31, tzinfo=UTC)
    (case,) = rows(source, "cases")
    assert case["transaction_id"] == "1"
    assert case["known_at"] - case["event_time"] == timedelta(days=7)
    assert case["typology"] == "compromised terminal"
    # The answer is nowhere but in the cases.
    assert "typology" not in source.accepted.tables["transactions"].column_names


@pytest.fixture
def berka(tmp_path):
    files = {
        "account.asc": '"account_id";"district_id";"frequency";"date"\n'
        '10;1;"POPLATEK MESICNE";950101\n11;69;"POPLATEK TYDNE";970301\n',
        "client.asc": '"client_id";"birth_number";"district_id"\n'
        '1;"706213";1\n2;"450204";69\n3;"800101";1\n',
        "disp.asc": '"disp_id";"client_id";"account_id";"type"\n'
        '1;1;10;"OWNER"\n2;2;11;"OWNER"\n3;3;11;"DISPONENT"\n',
        "district.asc": "A1;A11;A12;A13;A15;A16\n1;12541;0.29;0.43;85677;99107\n"
        "69;8173;?;7.01;?;1358\n",
        "card.asc": '"card_id";"disp_id";"type";"issued"\n5;3;"gold";980107 00:00:00\n',
        "loan.asc": '"loan_id";"account_id";"date";"amount";"duration";"payments";"status"\n'
        '100;10;970105;96396;12;8033.00;"B"\n101;11;980711;165960;36;4610.00;"C"\n'
        '102;12;930711;1200;12;100.00;"A"\n',
        "transactions_354_loans.csv": "trans_id,account_id,date,type,operation,amount,balance,"
        "k_symbol,bank,account,loan_id\n"
        "1,10,960728,credit,credit in cash,900.0,900.0,,,,100\n"
        "2,10,960730,withdrawal in cash,withdrawal in cash,100.0,800.0,,,0.0,100\n"
        "3,10,960731,credit,,3.1,803.1,interest credited,,,100\n"
        "4,11,980101,withdrawal,remittance to another bank,50.0,-50.0,household,"
        "YZ,87144583.0,101\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_bytes(text.replace("\n", "\r\n").encode())
    return read("berka", tmp_path)


def test_berka_customers_are_accounts_with_their_owner_s_birth_date(berka):
    born = {row["customer_id"]: row["birth_date"] for row in rows(berka, "customers")}
    assert born == {"10": date(1970, 12, 13), "11": date(1945, 2, 4)}


def test_berka_transactions(berka):
    table = berka.accepted.tables["transactions"].to_pandas().set_index("transaction_id")
    assert table["direction"].tolist() == ["in", "out", "in", "out"]
    assert table["instrument"].tolist() == ["cash", "cash", "interest credited", "transfer"]
    assert table["counterparty_id"].dropna().to_dict() == {"4": "YZ-87144583"}
    assert table.loc["4", "balance"] == -50.0


def test_berka_reviews_are_the_loans_with_bookings_and_cases_decide_them(berka):
    assert [row["review_id"] for row in rows(berka, "reviews")] == ["100", "101"]
    found = {row["review_id"]: row for row in rows(berka, "cases")}
    assert {key: row["outcome"] for key, row in found.items()} == {
        "100": "default",
        "101": "cleared",
    }
    end = datetime(1998, 12, 30, 23, tzinfo=UTC)  # 1998-12-31 in Prague
    assert found["100"]["event_time"] == datetime(1998, 1, 4, 23, tzinfo=UTC)
    assert found["101"]["event_time"] == end
    assert {row["known_at"] for row in found.values()} == {end}


def test_berka_application_and_district_are_known_before_the_review(berka):
    review = {row["customer_id"]: row["event_time"] for row in rows(berka, "reviews")}
    reports = [row for row in rows(berka, "third_party") if row["customer_id"] in review]
    assert all(row["known_at"] < review[row["customer_id"]] for row in reports)
    value = {(row["customer_id"], row["item"]): row["value"] for row in reports}
    assert value["10", "loan_amount"] == 96396.0
    assert value["11", "loan_duration"] == 36.0
    assert value["11", "loan_payment"] == 4610.0
    assert value["10", "district_average_salary"] == 12541.0
    assert ("11", "district_unemployment_1995") not in value  # "?" in the file
    assert value["11", "district_unemployment_1996"] == 7.01


def test_berka_cards_belong_to_the_account(berka):
    (event,) = rows(berka, "events")
    assert (event["customer_id"], event["event_type"]) == ("11", "card_issued_gold")


def test_amlsim_books_each_transfer_twice(tmp_path):
    (tmp_path / "nodes.csv").write_text(
        "nodeid,isFraud,init_balance,fraudStep\n0,0,184.44,-1\n1,1,175.80,3\n2,1,142.06,-1\n"
    )
    (tmp_path / "transactions.csv").write_text(
        "sourceNodeId,targetNodeId,value,time\n1,2,5.5,3\n1,2,5.5,3\n0,1,2.5,1\n"
    )
    source = read("amlsim", tmp_path)
    booked = source.accepted.tables["transactions"].to_pandas()
    assert len(booked) == 6
    sums = booked.groupby(["customer_id", "direction"])["amount"].sum().to_dict()
    assert sums == {("0", "out"): 2.5, ("1", "in"): 2.5, ("1", "out"): 11.0, ("2", "in"): 11.0}
    days = {row["customer_id"]: row["event_time"].date() for row in rows(source, "cases")}
    assert days == {"1": date(2017, 1, 4), "2": date(2017, 5, 30)}
    known = {row["known_at"].date() for row in rows(source, "cases")}
    reviewed = {row["event_time"].date() for row in rows(source, "reviews")}
    assert (known, reviewed) == ({date(2017, 6, 1)}, {date(2017, 5, 31)})
