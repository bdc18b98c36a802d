"""Laws of reading: rows reconcile, order does not matter, what is accepted is sound."""

import re
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.contract import CONTRACT
from kyc_ml.contract.memory import contract_tables

GOOD = {
    "transaction_id": "good",
    "customer_id": "c",
    "event_time": "2024-01-05 10:00:00",
    "known_at": "2024-01-05 10:00:00",
    "amount": "1.5",
    "direction": "in",
    "country": "CN",
}
CELLS = {
    "transaction_id": ["t1", "t2", "t3", "", " ", None, "x" * 50],
    "customer_id": ["c1", "c2", "", None, "'; DROP TABLE x --"],
    "event_time": ["2024-01-05", "2024-01-05T10:00:00Z", "05.01.2024", "infinity", "0024-01-05",
                   "290000-01-01", "2024-01-05 10:00:00+08", "2024-02-30", None, "epoch"],
    "known_at": ["2024-01-06", "2024-01-04", "2024-01-05T10:00:00+00:00", "soon", None],
    "amount": ["1", "0", "-0.0", "-1", "inf", "-inf", "nan", "1e15", "1,5", "", None, "1e400"],
    "direction": ["in", "out", "IN", "", None],
    "country": ["CN", "cn", "CHN", "", None],
}  # fmt: skip
ROWS = st.lists(st.fixed_dictionaries({k: st.sampled_from(v) for k, v in CELLS.items()}))


def read(rows):
    schema = pa.schema([(name, pa.string()) for name in GOOD])
    return contract_tables(
        {"transactions": pa.Table.from_pylist([*rows, GOOD], schema=schema)},
        base_currency="CNY",
        max_quarantined_share=1.0,
    )


@given(rows=ROWS)
def test_read_is_accepted_plus_quarantined_and_every_refused_row_has_a_reason(rows):
    got = read(rows)
    accepted = got.accepted.tables["transactions"]
    assert accepted.num_rows + got.quarantine.num_rows == len(rows) + 1
    assert got.accepted.quality.table("transactions").read == len(rows) + 1
    assert all(got.quarantine["reasons"].to_pylist())


@given(rows=ROWS, data=st.data())
def test_the_order_of_the_rows_changes_nothing(rows, data):
    shuffled = data.draw(st.permutations(rows))
    got, again = read(rows), read(shuffled)
    assert got.accepted.tables["transactions"].equals(again.accepted.tables["transactions"])
    assert got.quarantine.equals(again.quarantine)
    assert got.accepted.quality == again.accepted.quality


@given(rows=ROWS)
def test_accepted_rows_satisfy_the_contract(rows):
    accepted = read(rows).accepted.tables["transactions"].to_pylist()
    ids = [row["transaction_id"] for row in accepted]
    assert len(set(ids)) == len(ids)
    for row in accepted:
        assert row["transaction_id"].strip()
        assert row["customer_id"].strip()
        assert datetime(1900, 1, 1, tzinfo=UTC) <= row["event_time"] <= row["known_at"]
        assert row["known_at"] < datetime(2200, 1, 1, tzinfo=UTC)
        assert 0.0 <= row["amount"] <= 1e14
        assert str(row["amount"])[0] != "-"
        assert row["direction"] in {"in", "out", None}
        assert row["country"] is None or re.fullmatch("[A-Z]{2}", row["country"])
    times = [(row["event_time"], row["transaction_id"]) for row in accepted]
    assert times == sorted(times)


@given(rows=ROWS)
def test_a_second_reading_of_accepted_rows_changes_nothing(rows):
    once = read(rows).accepted.tables["transactions"]
    twice = contract_tables({"transactions": once}, base_currency="CNY", max_quarantined_share=0.0)
    assert twice.accepted.tables["transactions"].equals(once)


def test_many_rows_come_out_sorted():
    # DuckDB 2.0.0 can hand sorted rows to Arrow unsorted; see engine/local.py.
    n = 300_000
    table = pa.table(
        {
            "transaction_id": [str(i * 7919 % n) for i in range(n)],
            "customer_id": ["c"] * n,
            "event_time": pa.array([i * 104_729 % n for i in range(n)], pa.timestamp("s")),
            "amount": [1.0] * n,
        }
    )
    got = contract_tables({"transactions": table}, base_currency="CNY")
    times = got.accepted.tables["transactions"]["event_time"].cast(pa.int64()).to_numpy()
    assert len(times) == n
    assert (times[1:] >= times[:-1]).all()


def plain_row(contract):
    """Give a row that fills every column of a table."""
    value = {"double": "1", "boolean": "true", "date": "2024-01-05", "timestamp": "2024-01-05"}
    return {
        column.name: column.allowed[0]
        if column.allowed
        else "CN"
        if column.pattern
        else value.get(column.type, "x")
        for column in contract.columns
    }


@pytest.mark.parametrize("name", CONTRACT)
def test_of_rows_of_one_key_every_table_keeps_one(name):
    row = plain_row(CONTRACT[name])
    got = contract_tables(
        {name: pa.Table.from_pylist([row, row, row])},
        base_currency="CNY",
        max_quarantined_share=1.0,
    )
    assert got.accepted.tables[name].num_rows == 1
    assert got.quarantine["reasons"].to_pylist() == [["duplicate key"]] * 2


@pytest.mark.parametrize("name", CONTRACT)
def test_every_contracted_table_reads_with_all_its_columns(name):
    contract = CONTRACT[name]
    row = plain_row(contract)
    got = contract_tables({name: pa.Table.from_pylist([row])}, base_currency="CNY")
    table = got.accepted.tables[name]
    assert table.schema == pa.schema([column.arrow for column in contract.columns])
    assert table.num_rows == 1
