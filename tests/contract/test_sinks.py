"""A source read into files holds what it holds in memory: rows, order, quarantine, counts."""

import pandas as pd
import pyarrow.parquet as pq
import pytest

from kyc_ml.config import SourceMapping, check_section
from kyc_ml.contract import rows, sinks
from kyc_ml.contract.source import read_source, store_source
from kyc_ml.errors import ContractError

N = 60


def frames():
    when = pd.Timestamp("2024-01-01") + pd.to_timedelta([(7 * n) % N for n in range(N)], unit="h")
    payments = pd.DataFrame(
        {
            "transaction_id": [f"t{n}" for n in range(N)],
            "customer_id": [f"c{n % 5}" for n in range(N)],
            "event_time": when.astype(str),
            "amount": [str(n - 2) for n in range(N)],
            "direction": "in",
        }
    )
    payments.loc[30, "amount"] = "many"
    payments.loc[[41, 42], "transaction_id"] = "t40"
    customers = pd.DataFrame({"customer_id": ["c0", "c1"], "event_time": "2023-01-01"})
    return {"transactions": payments, "customers": customers}


@pytest.fixture(params=["csv", "parquet"])
def source(request, tmp_path):
    kind = request.param
    for name, frame in frames().items():
        path = tmp_path / f"{name}.{kind}"
        if kind == "csv":
            frame.to_csv(path, index=False)
        else:
            frame.to_parquet(path, row_group_size=7)
    if kind == "csv":
        with (tmp_path / "transactions.csv").open("a") as handle:
            handle.write("a line that was cut\n")
    content = {
        "name": "s", "base_currency": "CNY", "max_quarantined_share": 0.2,
        "files": {name: {"path": f"{name}.{kind}", "format": kind} for name in frames()},
        "tables": {
            name: {"from": name, "columns": {column: column for column in frame}}
            for name, frame in frames().items()
        },
    }  # fmt: skip
    return check_section(content, SourceMapping, subject="s"), tmp_path, kind


@pytest.fixture(params=[4, 1 << 17])
def store(request, source, monkeypatch):
    """Store the source, a few rows at a time or all at once."""
    mapping, data, _ = source
    monkeypatch.setattr(rows, "_BATCH_ROWS", request.param)
    monkeypatch.setattr(sinks, "_GROUP_ROWS", request.param)

    def store(**changed):
        return store_source(
            mapping.model_copy(update=changed), data=data, folder=data / "stored",
            quarantine=data / "quarantine",
        )  # fmt: skip

    return store


def test_files_hold_what_memory_holds(source, store):
    mapping, data, kind = source
    memory, files = read_source(mapping, data=data), store()
    assert list(files.files) == list(memory.accepted.tables)
    for name, path in files.files.items():
        table = pq.read_table(path)
        assert table.schema.equals(memory.accepted.tables[name].schema)
        assert table.to_pylist() == memory.accepted.tables[name].to_pylist()
    assert files.quality == memory.accepted.quality
    assert files.digests == memory.accepted.digests
    assert files.timezone == memory.accepted.timezone
    aside = [
        row
        for path in sorted((data / "quarantine").glob("*.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]
    key = repr
    assert sorted(aside, key=key) == sorted(memory.quarantine.to_pylist(), key=key)
    assert len(aside) == (6 if kind == "csv" else 5)


def test_files_are_read_by_their_owner_alone(store, source):
    _, data, _ = source
    store()
    paths = [*(data / "stored").iterdir(), *(data / "quarantine").iterdir()]
    assert paths
    assert all(path.stat().st_mode & 0o077 == 0 for path in paths)


def test_refused_rows_are_kept_even_where_they_are_too_many(store, source):
    _, data, _ = source
    with pytest.raises(ContractError, match=r"above max_quarantined_share 0\.01"):
        store(max_quarantined_share=0.01)
    assert sum(pq.read_metadata(path).num_rows for path in (data / "quarantine").iterdir()) >= 5


def test_columns_come_piece_by_piece_in_the_order_of_rows(store):
    path = store().files["transactions"]
    columns = sinks.FileColumns(path)
    names = [
        name
        for piece in columns.pieces("transaction_id")
        for name in piece["transaction_id"].to_pylist()
    ]
    assert names == pq.read_table(path)["transaction_id"].to_pylist()
    assert columns.num_rows == len(names)
    assert columns.column_names == pq.read_schema(path).names
