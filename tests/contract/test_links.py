"""Who meets nobody is counted, and labels that would be lost are refused with the way out."""

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kyc_ml.config import SourceMapping
from kyc_ml.contract.memory import contract_tables
from kyc_ml.contract.source import read_source, store_source
from kyc_ml.errors import ContractError

DAY = "2024-01-05"


def transactions(*customers, **columns):
    return [
        {"transaction_id": f"t{n}", "customer_id": name, "event_time": DAY, "amount": "1",
         **{column: values[n] for column, values in columns.items()}}
        for n, name in enumerate(customers)
    ]  # fmt: skip


def cases(*customers, day=DAY, **columns):
    return [
        {"case_id": f"k{n}", "customer_id": name, "event_time": day, "known_at": "2024-02-01",
         "outcome": "default", **{column: values[n] for column, values in columns.items()}}
        for n, name in enumerate(customers)
    ]  # fmt: skip


def contract(*, max_orphan_share=1.0, **tables):
    return contract_tables(
        {name: pa.Table.from_pylist(rows) for name, rows in tables.items()},
        base_currency="CNY",
        max_orphan_share=max_orphan_share,
    ).accepted.quality


def unmatched(quality):
    return {
        (f.table, f.column, f.rule): f.count
        for f in quality.warnings
        if f.rule.startswith(("not in", "in no"))
    }


def test_accounts_of_bookings_are_looked_for_among_accounts():
    accounts = [{"account_id": "A", "customer_id": "a", "event_time": "2023-01-01"}]
    found = contract(
        transactions=transactions("a", "a", "b", account_id=["A", "B", None]), accounts=accounts
    )
    assert unmatched(found) == {("transactions", "account_id", "not in accounts"): 1}


@pytest.mark.parametrize("share", [0.5, 0.49])
def test_cases_that_meet_nobody_are_refused_above_the_share_and_equal_passes(share):
    tables = {"transactions": transactions("a", "b"), "cases": cases("a", "zz")}
    if share < 0.5:
        with pytest.raises(ContractError, match=r"cases\.customer_id: .*1 of 2 row") as caught:
            contract(**tables, max_orphan_share=share)
        assert "zz" not in str(caught.value)
        assert unmatched(caught.value.quality) == {("cases", "customer_id", "in no other table"): 1}
    else:
        found = unmatched(contract(**tables, max_orphan_share=share))
        assert found == {("cases", "customer_id", "in no other table"): 1}


def test_by_default_most_cases_meet_somebody():
    some = [f"c{n}" for n in range(8)]
    tables = {"transactions": transactions(*some)}
    assert contract(**tables, cases=cases(*some, "x", "y"), max_orphan_share=0.2)
    with pytest.raises(ContractError, match="max_orphan_share"):
        contract_tables(
            {
                "transactions": pa.Table.from_pylist(tables["transactions"]),
                "cases": pa.Table.from_pylist(cases(*some, "x", "y", "z")),
            },
            base_currency="CNY",
        )


ACCOUNTS = [
    {"account_id": f"{n}", "customer_id": f"C_{n}", "event_time": "2023-01-01"} for n in range(3)
]


@pytest.mark.parametrize(
    ("tables", "hint"),
    [
        (  # accounts with owners, and cases that name accounts
            {"transactions": transactions("C_0", "C_1"), "accounts": ACCOUNTS,
             "cases": cases("0", "1")},
            "accounts.account_id",
        ),
        (
            {"transactions": transactions("a", "b", account_id=["0", "1"]),
             "cases": cases("0", "1")},
            "transactions.account_id",
        ),
        (
            {"transactions": transactions("a", "b", counterparty_id=["m", "n"]),
             "cases": cases("m", "n")},
            "transactions.counterparty_id",
        ),
        ({"transactions": transactions("a"), "cases": cases("t0")},
         "transactions.transaction_id"),
        ({"transactions": transactions("a1", "b1"), "cases": cases("A1", "B1")},
         "identifiers: {case: upper}"),
        ({"transactions": transactions("0001", "0002"), "cases": cases("1", "2")},
         "identifiers: {leading_zeros: drop}"),
    ],
)  # fmt: skip
def test_orphans_are_told_which_key_they_meet(tables, hint):
    with pytest.raises(ContractError) as caught:
        contract(**tables, max_orphan_share=0.2)
    assert hint in str(caught.value)


def test_a_customer_of_any_table_is_no_orphan():
    third = [{"report_id": "r", "customer_id": "c", "event_time": DAY, "provider": "p",
              "item": "i"}]  # fmt: skip
    events = [{"event_id": "e", "customer_id": "d", "event_time": DAY, "event_type": "login"}]
    reviews = [{"review_id": "v", "customer_id": "f", "event_time": DAY}]
    quality = contract(
        transactions=transactions("b"),
        accounts=[{"account_id": "A", "customer_id": "a", "event_time": DAY}],
        events=events,
        third_party=third,
        reviews=reviews,
        cases=cases("a", "b", "c", "d", "f"),
        max_orphan_share=0.0,
    )
    assert unmatched(quality) == {("reviews", "customer_id", "in no other table"): 1}


@pytest.mark.parametrize(
    ("day", "refused"), [(DAY, True), ("2024-01-04", False), ("2024-01-06", False)]
)
def test_a_transaction_of_before_the_extract_is_not_missing_from_it(day, refused):
    tables = {
        "transactions": transactions("a", "b"),
        "cases": cases("a", "a", day=day, transaction_id=["gone", "t0"]),
    }
    if refused:
        with pytest.raises(ContractError, match=r"cases\.transaction_id: .* 1 of 2 row"):
            contract(**tables, max_orphan_share=0.2)
    else:
        found = unmatched(contract(**tables, max_orphan_share=0.2))
        assert found == {("cases", "transaction_id", "not in transactions"): 1}


def test_a_review_that_is_not_there_is_missing_whenever_it_was():
    reviews = [{"review_id": "v", "customer_id": "a", "event_time": "2024-03-01"}]
    tables = {"reviews": reviews, "transactions": transactions("a")}
    with pytest.raises(ContractError, match=r"cases\.review_id.*reviews: 1.*\b1\b"):
        contract(**tables, cases=cases("a", review_id=["w"]), max_orphan_share=0.2)


def test_a_part_of_a_source_tells_nothing_of_orphans(tmp_path):
    mapping = write(tmp_path, transactions=transactions("a"), accounts=ACCOUNTS, cases=cases("C_1"))
    part = read_source(mapping, data=tmp_path, tables=["transactions", "cases"])
    assert unmatched(part.accepted.quality) == {}
    assert unmatched(read_source(mapping, data=tmp_path).accepted.quality) == {}


def write(folder, **tables):
    """Write tables as CSV files, and map them."""
    for name, rows in tables.items():
        pd.DataFrame(rows).to_csv(folder / f"{name}.csv", index=False)
    return SourceMapping.model_validate(
        {
            "name": "n", "base_currency": "CNY", "max_orphan_share": 1.0,
            "files": {name: {"path": f"{name}.csv", "format": "csv"} for name in tables},
            "tables": {
                name: {"from": name, "columns": {column: column for column in rows[0]}}
                for name, rows in tables.items()
            },
        }
    )  # fmt: skip


names = st.sampled_from(["qa", "QA", "qb", " qb", "0qc", "qc", "qd"])


@settings(max_examples=settings.default.max_examples // 2)
@given(st.lists(names, min_size=1, max_size=12), st.lists(names, min_size=1, max_size=6))
def test_stored_tables_are_warned_of_as_tables_in_memory_are(tmp_path_factory, booked, judged):
    folder = tmp_path_factory.mktemp("links")
    reviews = [{"review_id": f"v{n}", "customer_id": name, "event_time": DAY}
               for n, name in enumerate(judged)]  # fmt: skip
    mapping = write(
        folder, transactions=transactions(*booked), cases=cases(*judged), reviews=reviews
    )
    stored = store_source(mapping, data=folder, folder=folder / "t", quarantine=folder / "q")
    assert stored.quality == read_source(mapping, data=folder).accepted.quality
    known = {name.strip() for name in (*booked, *judged)}
    assert not any(name in known for each in stored.quality.warnings for name in str(each).split())


def test_two_owners_of_an_account_are_accepted_and_a_copy_is_not():
    rows = [
        {"account_id": "A1", "customer_id": name, "event_time": "2023-01-01", "status": "open"}
        for name in ("c1", "c2", "c1")
    ]
    read = contract_tables(
        {"accounts": pa.Table.from_pylist(rows)}, base_currency="CNY", max_quarantined_share=0.5
    )
    assert read.accepted["accounts"]["customer_id"].to_pylist() == ["c1", "c2"]
    assert read.quarantine["reasons"].to_pylist() == [["duplicate key"]]
