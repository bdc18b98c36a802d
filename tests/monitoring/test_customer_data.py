"""Completeness, validity and age of what is known of customers, by segment and branch."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from kyc_ml.contract import contract_tables
from kyc_ml.errors import ConfigError, DatasetError
from kyc_ml.monitoring import NightsRecord, customer_data, customers_due, save_due
from kyc_ml.monitoring.customer_data import with_earlier

AS_OF = pd.Timestamp("2025-06-24", tz="UTC")


@pytest.fixture
def tables():
    """Make three customers, of whom one has an older version that counts no more."""
    time = pd.to_datetime(["2025-01-01", "2025-02-01", "2020-01-01", "2025-01-01"], utc=True)
    customers = pd.DataFrame(
        {
            "customer_id": ["a", "a", "b", "c"],
            "event_time": time,
            "segment": ["retail", "retail", "retail", None],
            "customer_type": ["person", "person", "entity", "person"],
            "nationality": [None, "CN", None, None],
            "industry": ["x", "x", None, "x"],
            "document_type": ["resident_id", "resident_id", "company_code", "passport"],
            "document_number": ["1", "11010519491231002X", "9", "P1"],
            "document_expiry": pd.to_datetime(
                ["2020-01-01", "2025-06-24", "2025-06-23", None]
            ).date,
        }
    )
    return contract_tables({"customers": customers}, timezone="UTC", base_currency="EUR").accepted


def share_of(found, measure, field, group=""):
    chosen = found[(found["measure"] == measure) & (found["field"] == field)]
    return chosen[chosen["group"] == group].iloc[0][["customers", "faults"]].tolist()


def test_each_measure_counts_the_latest_version(tables, tmp_path):
    found = customer_data(tables, AS_OF)
    whole = found[found["by"] == "all"]
    assert share_of(whole, "missing", "industry") == [3, 1]
    assert share_of(whole, "missing", "nationality") == [2, 1]  # not of the company
    assert share_of(whole, "expired", "document_expiry") == [2, 1]  # valid on its last day
    assert share_of(whole, "wrong_number", "document_number") == [2, 1]  # a passport has no digit
    assert share_of(whole, "stale", "event_time") == [3, 1]
    retail = found[found["by"] == "segment"]
    assert share_of(retail, "missing", "industry", "retail") == [2, 1]
    assert share_of(retail, "missing", "segment", "") == [1, 1]
    stored = customer_data(tables.store(tmp_path), AS_OF)
    pd.testing.assert_frame_equal(stored, found)


def test_nothing_known_later_counts(tables):
    found = customer_data(tables, pd.Timestamp("2025-01-15", tz="UTC"))
    assert share_of(found[found["by"] == "all"], "wrong_number", "document_number") == [2, 2]
    none = customer_data(tables, pd.Timestamp("2000-01-01", tz="UTC"))
    assert none.empty or none["share"].isna().all()


def test_the_list_names_each_customer_with_its_reasons(tables, tmp_path):
    due = customers_due(tables, AS_OF)
    assert due["customer_id"].tolist()[0] == "b"
    assert "a" not in set(due["customer_id"])
    assert "expired:document_expiry" in due["reasons"][0].split(";")
    save_due(due, tmp_path / "due.parquet")
    save_due(due, tmp_path / "due.csv")
    assert pq.read_table(tmp_path / "due.parquet").num_rows == len(due)
    assert (tmp_path / "due.csv").stat().st_mode & 0o077 == 0
    with pytest.raises(ConfigError, match=r"\.txt"):
        save_due(due, tmp_path / "due.txt")


def test_a_source_without_customers_or_column_is_refused(tables):
    with pytest.raises(ConfigError, match="branch"):
        customer_data(tables, AS_OF, by=["branch"])
    cases = pd.DataFrame(
        {"case_id": ["1"], "customer_id": ["a"], "outcome": ["open"],
         "event_time": pd.to_datetime(["2025-01-01"], utc=True)}
    )  # fmt: skip
    other = contract_tables({"cases": cases}, timezone="UTC", base_currency="EUR").accepted
    with pytest.raises(DatasetError, match="customers"):
        customer_data(other, AS_OF)


def test_shares_are_kept_by_day(tables, tmp_path):
    record = NightsRecord.open(tmp_path, create=True)
    found = customer_data(tables, AS_OF)
    for day in ("2025-06-24", "2025-06-23", "2025-06-24"):
        record.add_customer_data(day, found)
    kept = record.customer_data()
    assert kept["day"].drop_duplicates().tolist() == ["2025-06-23", "2025-06-24"]
    assert len(kept) == 2 * len(found)
    np.testing.assert_allclose(kept["share"][: len(found)], found["share"])


def test_shares_are_compared_with_the_last_day_that_is_early_enough(tables, tmp_path):
    record = NightsRecord.open(tmp_path, create=True)
    found = customer_data(tables, AS_OF)
    for day, faults in (("2025-04-01", 0), ("2025-05-20", 1), ("2025-06-20", 0)):
        record.add_customer_data(day, found.assign(faults=faults))
    compared = with_earlier(found, record.customer_data(until="2025-05-25"))
    assert compared.drop(columns="share_before").equals(found)
    some = found["customers"] > 0
    np.testing.assert_allclose(compared["share_before"], (1 / found["customers"]).where(some))
    early = with_earlier(found, record.customer_data(until="2025-03-01"))
    assert early["share_before"].isna().all()
    empty = NightsRecord.open(tmp_path / "new", create=True).customer_data(until="2025-05-25")
    assert with_earlier(found, empty)["share_before"].isna().all()
