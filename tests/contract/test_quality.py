import errno
import os
import re
import stat
from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.cn import ric

from kyc_ml.contract import TableQuality
from kyc_ml.contract.followup import is_resident_id
from kyc_ml.contract.memory import contract_tables
from kyc_ml.contract.quarantine import save_quarantine
from kyc_ml.errors import ContractError, OutputError

TRANSACTION = {"customer_id": "c1", "amount": "1", "event_time": "2024-01-05"}


@pytest.fixture
def source():
    transactions = [
        {**TRANSACTION, "transaction_id": "a", "channel": "app"},
        {**TRANSACTION, "transaction_id": "b", "customer_id": "gone", "channel": None},
        {**TRANSACTION, "transaction_id": "c", "amount": "Secret", "channel": None},
    ]
    customers = [
        {"customer_id": "c1", "event_time": "2024-01-01",
         "document_type": "resident_id", "document_number": "11010519491231002X"},
        {"customer_id": "c2", "event_time": "2024-01-01",
         "document_type": "resident_id", "document_number": "110105194912310021"},
        {"customer_id": "c3", "event_time": "2024-01-01",
         "document_type": "company_code", "document_number": "91110000600037341A"},
        {"customer_id": "c4", "event_time": "2024-01-01",
         "document_type": "passport", "document_number": "anything"},
    ]  # fmt: skip
    cases = [
        {"case_id": "k", "customer_id": "c1", "event_time": "2024-01-05", "outcome": "default",
         "known_at": "2024-02-05", "transaction_id": "c"},
    ]  # fmt: skip
    accounts = {name: pa.array([], pa.string()) for name in ("account_id", "customer_id")}
    accounts["event_time"] = pa.array([], pa.string())
    return contract_tables(
        {
            "transactions": pa.Table.from_pylist(transactions),
            "customers": pa.Table.from_pylist(customers),
            "cases": pa.Table.from_pylist(cases),
            "accounts": pa.table(accounts),
        },
        base_currency="CNY",
        max_quarantined_share=0.5,
        max_orphan_share=1.0,
    )


def test_summary_counts_what_was_read(source):
    frame = source.accepted.quality.to_frame().set_index("table")
    assert frame.loc["transactions", ["read", "accepted", "quarantined"]].tolist() == [3, 2, 1]
    assert frame.loc["cases", "late_rows"] == 1
    assert frame.loc["transactions", "last_event_time"] == datetime(2024, 1, 5, tzinfo=UTC)
    missing = source.accepted.quality.missing_frame().set_index(["table", "column"])
    assert missing.loc[("transactions", "channel"), "missing_share"] == 0.5


def test_warnings_count_what_to_follow_up_and_cost_no_row(source):
    found = {(f.table, f.column, f.rule): f.count for f in source.accepted.quality.warnings}
    assert found == {
        ("accounts", "", "no row"): 0,
        ("customers", "document_number", "not a valid resident_id"): 1,
        ("customers", "document_number", "not a valid company_code"): 1,
        ("transactions", "customer_id", "not in customers"): 1,
        ("cases", "transaction_id", "not in transactions"): 1,
        ("cases", "known_at", "known after the last transaction or event"): 1,
    }
    assert source.accepted.tables["customers"].num_rows == 4


@given(
    place=st.sampled_from(["110105", "310101", "534302", "110000", "000000", "820000"]),
    day=st.dates(date(1850, 1, 1), date(2030, 1, 1)).map(lambda day: f"{day:%Y%m%d}")
    | st.sampled_from(["19991301", "20230229", "00000000"]),
    serial=st.integers(0, 999),
    check=st.none() | st.sampled_from("0123456789Xx"),
)
def test_a_resident_id_is_what_the_library_says(place, day, serial, check):
    start = f"{place}{day}{serial:03d}"
    number = start + (ric.calc_check_digit(f"{start}0") if check is None else check)
    try:
        expected = ric.is_valid(number)
    except KeyError:  # the library's own: of the place it knows the province alone
        expected = False
    assert is_resident_id(number) == expected
    assert is_resident_id(f" {number} ") == expected


@pytest.mark.parametrize(
    "number", ["", "1", "11010519491231002", "１１０１０５１９４９１２３１００２X", "?" * 18]
)
def test_what_is_no_resident_id_at_all(number):
    assert is_resident_id(number) == ric.is_valid(number)


def test_a_document_of_an_unknown_county_is_a_warning_and_no_defect():
    """The library raises KeyError for it; found by numbers made at random."""
    customers = [
        {"customer_id": "c1", "event_time": "2024-01-01", "document_type": "resident_id",
         "document_number": "534302197003094566"},
    ]  # fmt: skip
    read = contract_tables({"customers": pa.Table.from_pylist(customers)}, base_currency="CNY")
    found = {(each.column, each.rule): each.count for each in read.accepted.quality.warnings}
    assert found[("document_number", "not a valid resident_id")] == 1


@pytest.mark.parametrize(
    ("known", "count"),
    [
        (["2024-02-02", "2024-02-02", "2024-01-06"], 2),
        (["2024-01-06T00:00:01", "2024-01-06", "2024-02-02"], 2),
        (["2024-02-02", "2024-01-06", "2024-01-05"], 0),  # a few come to light late anywhere
        (["2024-01-06", "2024-01-06", "2024-01-05"], 0),
    ],
)
def test_cases_that_come_to_light_after_the_last_booking_are_counted(known, count):
    """Training reads labels at the midnight after the last booking, unless told otherwise."""
    cases = [
        {"case_id": f"k{number}", "customer_id": "c1", "event_time": "2024-01-05",
         "outcome": "default", "known_at": when}
        for number, when in enumerate(known)
    ]  # fmt: skip
    read = contract_tables(
        {
            "transactions": pa.Table.from_pylist([{**TRANSACTION, "transaction_id": "a"}]),
            "cases": pa.Table.from_pylist(cases),
        },
        base_currency="CNY",
    )
    found = [each for each in read.accepted.quality.warnings if each.column == "known_at"]
    assert [each.count for each in found] == ([count] if count else [])
    if found:
        assert found[0].column == "known_at"
        assert "--as-of" in found[0].cure
        assert "2024" not in str(found[0])


def test_a_version_given_twice_is_put_aside_although_its_key_holds_times():
    """DuckDB hands times with a zone to Python only by a package that kyc_ml does not need."""
    customers = [{"customer_id": "c1", "event_time": "2024-01-01", "segment": s} for s in "ab"]
    read = contract_tables(
        {"customers": pa.Table.from_pylist(customers)},
        base_currency="CNY",
        max_quarantined_share=0.5,
    )
    (counts,) = read.accepted.quality.tables
    assert (counts.accepted, counts.quarantined) == (1, 1)


@pytest.mark.parametrize(
    ("at_once", "later", "counted"),
    [(3, 0, True), (99, 1, True), (98, 2, False), (0, 3, False), (0, 0, False)],
)
def test_cases_known_at_the_instant_of_their_event_are_told_where_nearly_all_are(
    at_once, later, counted
):
    """A wrong known_at that is always the event's time moves nothing that a proof tampers with."""
    cases = [
        {"case_id": f"k{number}", "customer_id": "c1", "event_time": "2024-01-04",
         "outcome": "default", "known_at": "2024-01-04" if number < at_once else "2024-01-05"}
        for number in range(at_once + later)
    ] or {name: pa.array([], pa.string()) for name in ("case_id", "customer_id", "event_time",
                                                       "outcome", "known_at")}  # fmt: skip
    read = contract_tables(
        {
            "transactions": pa.Table.from_pylist([{**TRANSACTION, "transaction_id": "a"}]),
            "cases": pa.Table.from_pylist(cases) if isinstance(cases, list) else pa.table(cases),
        },
        base_currency="CNY",
    )
    found = [each for each in read.accepted.quality.warnings if each.column == "known_at"]
    assert [(each.rule, each.count) for each in found] == (
        [("known at the very instant of the event", at_once)] if counted else []
    )
    if found:
        assert "known_at" in found[0].cure


def test_log_lines_and_findings_hold_no_value(source):
    text = "\n".join(source.accepted.quality.lines())
    assert "transactions: read 3 = accepted 2 + quarantined 1" in text
    assert re.search("amount: .*: 1 ", text)
    for value in ("Secret", "gone", "110105"):
        assert value not in text
        assert value not in source.accepted.quality.findings_frame().to_string()


def test_rows_that_do_not_reconcile_are_refused():
    with pytest.raises(ContractError, match="3, accepted 1, quarantined 1"):
        TableQuality(
            table="cases", read=3, accepted=1, quarantined=1, reasons=(), missing={},
            first_event_time=None, last_event_time=None, late_rows=0,
        )  # fmt: skip


def test_quarantine_is_saved_for_the_user_alone(source, tmp_path):
    path = tmp_path / "quarantine.parquet"
    save_quarantine(source.quarantine, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["quarantine.parquet"]
    (row,) = pq.read_table(path).to_pylist()
    assert row["table"] == "transactions"
    assert row["row_id"] == "c"
    assert row["reasons"] == ["amount: not a number"]
    assert '"amount":"Secret"' in row["raw"]


def test_a_quarantine_that_cannot_be_written_is_an_error(source, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=os.strerror(errno.EEXIST)):
        save_quarantine(source.quarantine, tmp_path / "file" / "q.parquet")
