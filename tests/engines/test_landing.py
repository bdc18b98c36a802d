"""A source that is landed on Spark is what one machine reads."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.config import SourceMapping
from kyc_ml.contract import CONTRACT, BoundTable, RowPass, RowRules, read_source
from kyc_ml.engines import land
from kyc_ml.engines.spark import contracting, landing
from kyc_ml.errors import ConfigError, GateError, OutputError, SourceError

START = datetime(2024, 3, 1, 8)  # noqa: DTZ001  a column without a zone
PAYMENTS = pa.schema(
    {
        "id": pa.string(),
        "who": pa.int64(),
        "t": pa.timestamp("us"),
        "sum": pa.decimal128(12, 2),
        "rate": pa.string(),
        "to": pa.struct({"bank": pa.string(), "iban": pa.string()}),
        "note": pa.binary(),
    }
)
CUSTOMERS = pa.schema(
    {
        "who": pa.int64(),
        "since": pa.timestamp("us", tz="UTC"),
        "born": pa.date32(),
        "pep": pa.bool_(),
    }
)
CASES = pa.schema(
    {
        "n": pa.int32(),
        "id": pa.string(),
        "who": pa.int64(),
        "t": pa.timestamp("us"),
        "o": pa.string(),
    }
)


def draw_payments(rng, n=600):
    rows = [
        {
            "id": f"p{i}",
            "who": int(rng.integers(20)),
            "t": START + timedelta(minutes=int(rng.integers(60 * 24 * 40))),
            "sum": Decimal(int(rng.integers(100_000)) - 200_000 * (i % 83 == 0)) / 100,
            "rate": "x" if i % 97 == 0 else "1.25",
            "to": {"bank": "b", "iban": " NULL" if i % 50 == 0 else f"i{rng.integers(30)}"},
            "note": b"\xff",
        }
        for i in range(n)
    ]
    again = [rows[int(i)] for i in rng.integers(n, size=9)]
    rows += again + [{**row, "sum": Decimal(7)} for row in again[:4]]
    return [rows[i] for i in rng.permutation(len(rows))]


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bank")
    rng = np.random.default_rng(5)
    payments = pa.Table.from_pylist(draw_payments(rng), schema=PAYMENTS)
    for n in range(3):
        (folder / f"day=2024-03-0{n}").mkdir()
        part = payments.slice(n * 200, 1000 if n == 2 else 200)
        pq.write_table(part, folder / f"day=2024-03-0{n}" / "p.parquet", row_group_size=50)
    people = [
        {"who": n, "since": START, "born": date(1850 + 8 * n, 1, 31), "pep": n % 7 == 0}
        for n in range(18)
    ]
    pq.write_table(pa.Table.from_pylist(people, schema=CUSTOMERS), folder / "customers.parquet")
    cases = [
        {"n": n, "id": f"p{7 * n}", "who": n % 22, "t": START + timedelta(days=n), "o": "fraud"}
        for n in range(40)
    ]
    pq.write_table(pa.Table.from_pylist(cases, schema=CASES), folder / "cases.parquet")
    return folder


def mapping(cases="cases.parquet", **changed):
    return SourceMapping.model_validate(
        {
            "name": "bank",
            "base_currency": "CNY",
            "timezone": "Asia/Shanghai",
            "max_quarantined_share": 0.5,
            "files": {
                "payments": {"path": "day=*/p.parquet", "format": "parquet", "partitions": True},
                "customers": {"path": "customers.parquet", "format": "parquet"},
                "cases": {
                    "path": cases,
                    "format": "parquet" if cases.endswith(".parquet") else "catalogue",
                },
            },
            "tables": {
                "transactions": {
                    "from": "payments",
                    "where": "who <> 3",
                    "columns": {
                        "transaction_id": "id",
                        "customer_id": "who",
                        "event_time": "t",
                        "known_at": "t + INTERVAL 1 HOUR",
                        "amount": "sum * CAST(rate AS DECIMAL(6, 2))",
                        "counterparty_id": '"to".iban',
                        "channel": "day",
                    },
                },
                "customers": {
                    "from": "customers",
                    "columns": {
                        "customer_id": "who",
                        "event_time": "since",
                        "birth_date": "born",
                        "onboarded_at": "since",
                        "pep_status": "CASE WHEN pep THEN 'domestic' ELSE 'none' END",
                        "customer_type": "'person'",
                    },
                },
                "cases": {
                    "from": "cases",
                    "columns": {
                        "case_id": "n",
                        "transaction_id": "id",
                        "customer_id": "who",
                        "event_time": "t",
                        "known_at": "t + INTERVAL 3 DAY",
                        "outcome": "CASE o WHEN 'fraud' THEN 'confirmed_fraud' END",
                    },
                },
            },
            **changed,
        }
    )


def as_sorted(table):
    return sorted(map(str, table.to_pylist()))


def require_same(landed, read):
    assert landed.quality == read.accepted.quality
    assert {
        name: pa.concat_tables(map(pq.read_table, parts)) for name, parts in landed.parts.items()
    } == dict(read.accepted.tables)
    refused = [pq.read_table(path) for path in landed.quarantine.glob("*.parquet")]
    assert as_sorted(pa.concat_tables(refused)) == as_sorted(read.quarantine)


@pytest.fixture
def small_parts(spark, monkeypatch):
    """Several tasks, portions and parts, though there are few rows."""
    monkeypatch.setattr(contracting, "_PART_ROWS", 100)
    before = spark.conf.get("spark.sql.files.maxPartitionBytes")
    spark.conf.set("spark.sql.files.maxPartitionBytes", "8000")
    yield
    spark.conf.set("spark.sql.files.maxPartitionBytes", before)


def test_what_is_landed_is_what_one_machine_reads(spark, small_parts, bank, tmp_path, monkeypatch):
    contract_table, started = landing.contract_table, []

    def killed_at_the_second(*args, **kwargs):
        started.append(kwargs["folder"].name)
        if len(started) == 2:
            raise KeyboardInterrupt
        return contract_table(*args, **kwargs)

    monkeypatch.setattr(landing, "contract_table", killed_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        land(spark, mapping(), folder=tmp_path / "landed", data=bank)
    landed = land(spark, mapping(), folder=tmp_path / "landed", data=bank)
    assert started == ["transactions", "cases", "cases", "customers"]
    assert landed.resumed == ("transactions",)
    assert len(landed.parts["transactions"]) > 3
    read = read_source(mapping(), data=bank)
    require_same(landed, read)
    assert landed.digests == read.accepted.digests
    reasons = {(each.column, each.rule) for each in read.accepted.quality.tables[1].reasons}
    assert len(reasons) == 4  # an expression that fails, an amount, and keys that come twice


def test_frames_and_tables_of_the_catalogue_are_read(spark, bank, tmp_path):
    spark.read.parquet(str(bank / "cases.parquet")).createOrReplaceTempView("cases_of_bank")
    given = {
        "payments": spark.createDataFrame(
            pa.Table.from_pylist(draw_payments(np.random.default_rng(5)), schema=PAYMENTS)
        ).selectExpr("*", "'2024-03-01' AS day"),
        "customers": spark.createDataFrame([], "who long, since timestamp, born date, pep boolean"),
    }
    with pytest.raises(GateError) as caught:
        land(
            spark,
            mapping("cases_of_bank", max_quarantined_share=0.01),
            folder=tmp_path / "landed",
            given=given,
        )
    assert str(tmp_path / "landed" / "quarantine") in str(caught.value)
    refused = list((tmp_path / "landed" / "quarantine").glob("transactions-*.parquet"))
    assert sum(pq.read_metadata(path).num_rows for path in refused) > 10
    with pytest.raises(OutputError):
        land(spark, mapping(), folder=bank, data=bank)


def test_all_faults_are_found_before_a_row_is_read(spark, bank, tmp_path):
    declared = mapping("no.such.table").model_dump(by_alias=True)
    declared["files"]["customers"] |= {"format": "csv"}
    declared["tables"]["transactions"]["columns"] |= {
        "amount": "sum(sum) OVER ()",
        "balance": "note",
        "region": "nothing",
    }
    with pytest.raises(SourceError) as caught:
        land(spark, SourceMapping.model_validate(declared), folder=tmp_path / "x", data=bank)
    faults = str(caught.value).splitlines()[1:]
    met = ["csv", "no.such.table", "a window function", "BLOB", "'nothing'"]
    assert [sum(word in fault for fault in faults) for word in met] == [1] * len(met)
    assert not (tmp_path / "x").exists()


def test_a_type_that_spark_reads_as_another_is_refused(spark, bank, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    pq.write_table(pa.table({"who": pa.array([1], pa.uint64())}), folder / "customers.parquet")
    given = dict.fromkeys(("payments", "cases"), spark.range(0))
    with pytest.raises(SourceError, match="UBIGINT"):
        land(spark, mapping(), folder=tmp_path / "x", data=folder, given=given)


def test_a_session_in_another_zone_is_refused(spark, bank, tmp_path):
    other = spark.newSession()
    other.conf.set("spark.sql.session.timeZone", "Asia/Shanghai")
    with pytest.raises(ConfigError, match="Asia/Shanghai"):
        land(other, mapping(), folder=tmp_path / "x", data=bank)


def test_one_machine_does_not_read_a_catalogue(bank):
    with pytest.raises(SourceError, match="--engine"):
        read_source(mapping("bank.core.cases"), data=bank)


@given(
    rows=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.text(max_size=2)), min_size=1),
    chosen=st.sets(st.integers(0, 50), max_size=4),
)
def test_parts_are_in_the_order_of_one_machine(rows, chosen):
    day = datetime(1969, 12, 31, tzinfo=UTC)
    columns = {
        "event_time": [day + timedelta(days=n) for n, _, _ in rows],
        "known_at": [day + timedelta(days=n) for _, n, _ in rows],
        "transaction_id": [text.replace("\0", "") for _, _, text in rows],
    }
    table = pa.table(
        columns, pa.schema([(n, CONTRACT["transactions"].column(n).arrow.type) for n in columns])
    )
    bound = BoundTable(
        contract=CONTRACT["transactions"], rows="", expressions={}, types={}, files=frozenset()
    )
    passed = RowPass(bound=bound, rules=RowRules(), horizon=None)
    ordered = table.sort_by([(name, "ascending") for name in columns])
    places = contracting._places(passed, ordered)
    assert places == sorted(places)
    bounds = sorted({places[n] for n in chosen if n < len(rows)})
    numbers = contracting._part_of(passed, bounds, ordered)
    assert numbers.tolist() == [sum(bound <= place for bound in bounds) for place in places]
