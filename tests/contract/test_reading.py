"""Where a job leaves the rows that it refuses, and until when it looks."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kyc_ml.contract import observable_until, reading
from kyc_ml.contract.memory import contract_tables
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import ConfigError, ContractError
from kyc_ml.scoring.one_observation import find_observation

MAPPING = """
name: {name}
base_currency: CNY
files: {{t: {{path: t.csv, format: csv}}}}
tables: {{customers: {{from: t, columns: {{customer_id: id}}}}}}
"""


@pytest.fixture
def refuse(monkeypatch, tmp_path):
    """Read a source whose rows are all refused; give what is in the working folder then."""

    def refused(*_, **__):
        error = ContractError("all rows")
        error.quarantine = pa.table({"reason": ["r"]})
        raise error

    def read(name, folder, *, quarantine=None):
        source = tmp_path / "source.yaml"
        source.write_text(MAPPING.format(name=name))
        with pytest.raises(ContractError):
            reading.read_tables(
                source, tmp_path / folder, quarantine=quarantine, reporter=ProgressReporter()
            )
        return {str(path.relative_to(work)) for path in work.rglob("*.parquet")}

    monkeypatch.setattr(reading, "read_source", refused)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return read


def test_each_source_and_each_folder_has_a_place_of_its_own(refuse):
    kept = refuse("bank", "2024")
    assert kept == {"build/quarantine/bank/2024.parquet"}
    kept = refuse("bank", "2025") | refuse("card", "2025")
    assert kept == {
        f"build/quarantine/{n}.parquet" for n in ("bank/2024", "bank/2025", "card/2025")
    }


def test_a_place_that_is_named_is_used(refuse):
    assert refuse("bank", "2024", quarantine=Path("here.parquet")) == {"here.parquet"}


@pytest.mark.parametrize("name", ["../../../out", "/etc/bank", "..", "银行 a:b"])
def test_no_name_leads_out_of_the_place(refuse, name):
    (kept,) = refuse(f'"{name}"', "2024")
    assert kept.startswith("build/quarantine/")
    assert kept.count("/") == 3
    assert ".." not in kept


ACCOUNTS = MAPPING.replace("customers: {{from: t", "accounts: {{from: t").replace(
    "customer_id: id", "account_id: id, customer_id: c, event_time: w, status: \"'open'\""
)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_large_files_give_the_same_rows_and_the_same_refusals(tmp_path, monkeypatch, share):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "t.csv").write_text("id,c,w\nb,x,2024-01-02\na,x,2024-01-01\na,y,2024\n")
    source = tmp_path / "source.yaml"
    source.write_text(f"{ACCOUNTS.format(name='bank')}max_quarantined_share: {share}\n")
    found = {}
    for limit in (-1, reading._LARGE):
        monkeypatch.setattr(reading, "_LARGE", limit)
        aside = tmp_path / f"{limit}.parquet"
        (tmp_path / str(limit)).mkdir()
        try:
            tables, _ = reading.read_tables(
                source, tmp_path / "data", quarantine=aside,
                reporter=ProgressReporter(), folder=tmp_path / str(limit),
            )  # fmt: skip
        except ContractError as error:
            tables = error
        else:
            assert (tables.stored is not None) == (limit < 0)
            tables = tables if tables.stored is None else tables.stored.keys(whole=True)
            tables = tables.tables["accounts"].to_pylist()
        found[limit] = (str(tables), pq.read_table(aside).to_pylist())
    one, other = found.values()
    assert one == other
    assert len(one[1]) == 1


def day(text):
    return pd.Timestamp(text, tz="UTC")


@pytest.fixture(scope="module")
def late_case():
    """Read transactions until June 2025, and one case that became known a year later."""
    rows = [
        {"transaction_id": name, "customer_id": "c", "event_time": when, "amount": 1.0}
        for name, when in (("t", "2025-01-01"), ("u", "2025-06-23 17:00"))
    ]
    case = {
        "case_id": "k", "customer_id": "c", "event_time": "2025-06-22",
        "known_at": "2026-06-30", "outcome": "str_filed",
    }  # fmt: skip
    tables = {"transactions": pa.Table.from_pylist(rows), "cases": pa.Table.from_pylist([case])}
    return contract_tables(tables, base_currency="CNY").accepted


def test_every_job_takes_the_end_of_the_data_from_what_customers_did(late_case):
    assert reading.end_of_data(late_case) == reading.known_until(late_case, None)
    assert reading.end_of_data(late_case) == day("2025-06-24")


@pytest.mark.parametrize(
    ("review", "told"),
    [
        ("2027-06-02", "2027-06-02 00:00.*2025-06-24 00:00"),
        ("2025-07-02", "2025-06-24"),
        ("2025-01-01", "2025-01-01 00:00"),
    ],
)  # fmt: skip
def test_a_review_where_there_is_no_data_is_not_explained(late_case, review, told):
    with pytest.raises(ConfigError, match=told):
        reading.require_behaviour(day(review), late_case)


def test_a_review_within_the_data_or_soon_after_it_is_explained(late_case):
    for review in ("2025-01-02", "2025-07-01"):
        found = find_observation(late_case, f"c@{review}", unit="risk")
        assert found["observation_id"].to_pylist() == [f"c@{review}"]
    with pytest.raises(ConfigError, match="2025-06-24"):
        find_observation(late_case, "c@2025-07-02", unit="risk")
    assert find_observation(late_case, "t", unit="fraud").num_rows == 1  # the first of all


def test_outcomes_may_be_read_after_the_end_but_nothing_is_decided_there(late_case):
    read = reading.known_until(late_case, day("2026-06-30"))
    assert read == day("2026-06-30")
    assert observable_until(late_case, read) == day("2025-06-24")
    assert observable_until(late_case, day("2025-06-23")) == day("2025-06-23")
    with pytest.raises(ConfigError, match="2026-06-30"):
        reading.known_until(late_case, day("2026-07-08"))


def test_a_date_within_a_week_of_the_end_is_none_long_after_it(late_case):
    last = day("2026-07-07")  # seven days after the case became known
    assert reading.known_until(late_case, last) == last
    with pytest.raises(ConfigError, match="2026-06-30"):
        reading.known_until(late_case, last + pd.Timedelta(seconds=1))


def test_a_planned_review_is_found_by_its_id_even_if_that_looks_like_a_customer_and_a_day():
    review = {"review_id": "c@2025-01-05", "customer_id": "c", "event_time": "2025-01-06"}
    customer = {"customer_id": "c", "event_time": "2025-01-01"}
    rows = {"customers": [customer], "reviews": [review]}
    frames = {name: pa.Table.from_pylist(found) for name, found in rows.items()}
    tables = contract_tables(frames, base_currency="CNY").accepted
    (row,) = find_observation(tables, "c@2025-01-05", unit="risk").to_pylist()
    assert row["decision_time"] == day("2025-01-06")
    (row,) = find_observation(tables, "c@2025-01-07", unit="risk").to_pylist()
    assert row["decision_time"] == day("2025-01-07")
