import datetime as dt
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pydantic import ValidationError
from stdnum.cn import ric, uscc

from kyc_ml.config import SourceMapping, load_section
from kyc_ml.contract import CONTRACT
from kyc_ml.onboarding.synthetic.bank import make_bank
from kyc_ml.onboarding.synthetic.settings import BankConfig

TABLES = ("customers", "accounts", "transactions", "events", "third_party", "cases")
SOURCE = Path(__file__).parents[3] / "configs" / "sources" / "synthetic.yaml"


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("which", ["bank", "small_bank"])
def test_a_table_keeps_its_contract(name, which, request):
    table = request.getfixturevalue(which).tables[name]
    contract = CONTRACT[name]
    expected = [column for column in contract.columns if column.name in table.column_names]
    assert table.column_names == [column.name for column in expected]
    assert {c.name for c in contract.columns if c.required} <= set(table.column_names)
    for column in expected:
        values = table[column.name]
        assert table.schema.field(column.name).equals(column.arrow), column.name
        assert not (column.required and values.null_count), column.name
        if column.allowed:
            assert set(pc.unique(values).to_pylist()) <= {*column.allowed, None}, column.name
        if column.pattern:
            matches = pc.match_substring_regex(values, f"^(?:{column.pattern})$")
            assert pc.all(matches).as_py(), column.name
        if column.type == "double":
            assert pc.all(pc.is_finite(values)).as_py(), column.name
            assert column.minimum is None or pc.min(values).as_py() >= column.minimum
            assert column.maximum is None or pc.max(values).as_py() <= column.maximum
    keys = table.select(list(contract.key)).to_pandas()
    assert not keys.duplicated().any()
    if contract.known_after_event:
        assert pc.all(pc.greater_equal(table["known_at"], table["event_time"])).as_py()


def test_all_optional_columns_but_the_review_of_a_case_are_there(bank):
    absent = {
        (name, column)
        for name in TABLES
        for column in CONTRACT[name].names
        if column not in bank.tables[name].column_names
    }
    assert absent == {("cases", "review_id")}


def test_the_bank_has_exactly_the_transactions_it_was_asked_for(bank, small_bank):
    assert bank.tables["transactions"].num_rows == 100_000
    assert small_bank.tables["transactions"].num_rows == 5_000
    assert bank.answer_key["customers"].num_rows == 2_000
    assert small_bank.answer_key["customers"].num_rows == 200


def test_transactions_are_in_order_of_time_within_the_period(rows):
    assert rows["event_time"].is_monotonic_increasing
    start = pd.Timestamp("2024-01-01", tz="Asia/Shanghai")
    assert rows["event_time"].iloc[0] >= start
    assert rows["event_time"].iloc[-1] <= start + pd.Timedelta(days=361)


def test_everybody_referred_to_exists(bank):
    customers = set(bank.tables["customers"]["customer_id"].to_pylist())
    for name in TABLES:
        assert set(bank.tables[name]["customer_id"].to_pylist()) <= customers
    transactions = bank.tables["transactions"].to_pandas()
    cited = bank.tables["cases"]["transaction_id"].drop_null().to_pylist()
    assert set(cited) <= set(transactions["transaction_id"])
    assert set(transactions["account_id"]) <= set(bank.tables["accounts"]["account_id"].to_pylist())
    others = transactions["counterparty_id"].dropna()
    assert set(others[others.str.startswith("C")]) <= customers
    assert (transactions["customer_id"] != transactions["counterparty_id"]).all()


def test_nobody_pays_before_onboarding(bank):
    customers = bank.tables["customers"].to_pandas().drop_duplicates("customer_id")
    onboarded = customers.set_index("customer_id")["onboarded_at"]
    for name in ("transactions", "events"):
        table = bank.tables[name].to_pandas()
        assert (table["event_time"] >= table["customer_id"].map(onboarded)).all()


def test_second_accounts_are_used_only_while_open(bank):
    accounts = bank.tables["accounts"].to_pandas()
    paid = bank.tables["transactions"].to_pandas()
    times = accounts.pivot_table(index="account_id", columns="status", values="event_time")
    opened, closed = (paid["account_id"].map(times[status]) for status in ("open", "closed"))
    assert (paid["event_time"] >= opened).all()
    assert (closed.isna() | (paid["event_time"] < closed)).all()
    owner = accounts.drop_duplicates("account_id").set_index("account_id")["customer_id"]
    assert (paid["account_id"].map(owner) == paid["customer_id"]).all()


def test_document_numbers_are_valid_and_unique(bank):
    people = bank.tables["customers"].to_pandas().drop_duplicates("customer_id")
    numbers = people.groupby("document_type")["document_number"]
    assert all(ric.is_valid(n) for n in numbers.get_group("resident_id"))
    assert all(uscc.is_valid(n) for n in numbers.get_group("company_code"))
    assert people["document_number"].is_unique
    residents = people[people["document_type"] == "resident_id"]
    written = [ric.get_birth_date(n) for n in residents["document_number"]]
    assert written == residents["birth_date"].tolist()
    assert min(written) > dt.date(1940, 1, 1)


def test_profiles_have_later_versions_late_records_and_corrections(bank):
    people = bank.tables["customers"].to_pandas()
    later = people[people["event_time"] > people["onboarded_at"]]
    assert 350 < len(later.drop_duplicates("customer_id")) < 650
    assert 0.15 < (later["known_at"] - later["event_time"] > pd.Timedelta(hours=1)).mean() < 0.5
    corrected = people[people.duplicated(["customer_id", "event_time"], keep="first")]
    assert 20 <= len(corrected) <= 80
    first = people.drop_duplicates(["customer_id", "event_time"]).set_index(
        ["customer_id", "event_time"]
    )
    before = corrected.set_index(["customer_id", "event_time"]).join(
        first, suffixes=("", "_before")
    )
    assert (before["known_at"] > before["known_at_before"]).all()


def test_declared_income_suits_the_flows(bank):
    people = bank.tables["customers"].to_pandas().drop_duplicates("customer_id")
    old = people[people["onboarded_at"] < pd.Timestamp("2024-01-01", tz="UTC")]
    paid = bank.tables["transactions"].to_pandas()
    received = paid[paid["direction"] == "in"].groupby("customer_id")["amount"].sum()
    ratio = received / old.set_index("customer_id")["declared_income"]
    assert 0.7 < ratio.median() < 1.4


def test_payments_between_customers_are_booked_on_both_sides(rows):
    inside = rows[rows["counterparty_id"].str.startswith("C", na=False)]
    out, into = (inside[inside["direction"] == side] for side in ("out", "in"))
    assert len(out) == len(into) > 2_000
    # the recipient is in the row of the payer, and the other way round
    sent = out.sort_values(["customer_id", "counterparty_id", "amount"])
    got = into.sort_values(["counterparty_id", "customer_id", "amount"])
    assert sent["counterparty_id"].tolist() == got["customer_id"].tolist()
    np.testing.assert_array_equal(sent["amount"], got["amount"])


def test_the_balance_moves_by_each_amount(rows):
    signed = rows["amount"].where(rows["direction"] == "in", -rows["amount"])
    step = rows.groupby("account_id")["balance"].diff()
    later = step.notna()
    np.testing.assert_allclose(step[later], signed[later], atol=1e-4)
    assert (rows["balance"] > 0.0).mean() > 0.85


def test_the_day_has_a_rhythm(rows):
    local = rows["event_time"].dt.tz_convert("Asia/Shanghai")
    everyday = ~rows["true_fraud"] & ~rows["look_alike"] & rows["ring_id"].isna()
    assert (local[everyday].dt.hour < 6).mean() < 0.06
    assert (local[rows["typology"] == "account_takeover"].dt.hour < 6).mean() > 0.2
    pos = rows["channel"] == "pos"
    share = local[pos].dt.day_of_week.value_counts(normalize=True)
    assert share[5] > share[1]


def test_a_share_of_the_rows_arrives_late(rows):
    lag = rows["known_at"] - rows["event_time"]
    late = lag[lag > pd.Timedelta(0)]
    assert 0.04 < late.size / lag.size < 0.06
    assert late.between(pd.Timedelta(hours=2), pd.Timedelta(hours=72)).all()


def test_remote_payments_carry_a_device_and_others_none(rows):
    remote = rows["channel"].isin(["online", "mobile"]) & (rows["direction"] == "out")
    own = remote & ~rows["typology"].eq("cycle")
    assert rows.loc[own, "device_id"].notna().all()
    assert rows.loc[~remote, "device_id"].isna().all()


@pytest.mark.parametrize("seed", [0, 7])
def test_the_same_seed_gives_the_same_bank(seed):
    config = BankConfig(transactions=5_000, seed=seed)
    one, two = make_bank(config), make_bank(config)
    for name in one.tables:
        assert as_bytes(one.tables[name]) == as_bytes(two.tables[name])
    for name in one.answer_key:
        assert as_bytes(one.answer_key[name]) == as_bytes(two.answer_key[name])


def test_another_seed_gives_another_bank(small_bank):
    other = make_bank(BankConfig(transactions=5_000, seed=1))
    for name in TABLES:
        assert not small_bank.tables[name].equals(other.tables[name])


def test_the_zone_of_the_machine_changes_nothing(small_bank):
    code = (
        "import hashlib, pyarrow as pa; from kyc_ml.onboarding import BankConfig, make_bank\n"
        "bank = make_bank(BankConfig(transactions=5_000, seed=0))\n"
        "for table in [*bank.tables.values(), *bank.answer_key.values()]:\n"
        "    sink = pa.BufferOutputStream()\n"
        "    with pa.ipc.new_stream(sink, table.schema) as out: out.write_table(table)\n"
        "    print(hashlib.sha256(sink.getvalue()).hexdigest())\n"
    )
    zone = {**os.environ, "TZ": "America/New_York"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=zone, capture_output=True, text=True, check=True)  # noqa: S603
    here = [*small_bank.tables.values(), *small_bank.answer_key.values()]
    assert done.stdout.split() == [digest(table) for table in here]


def test_the_source_mapping_names_every_column_of_the_bank(bank):
    mapping = load_section(SOURCE, SourceMapping)
    assert set(mapping.tables) == set(bank.tables)
    for name, table in bank.tables.items():
        assert mapping.files[mapping.tables[name].from_].path == f"{name}.parquet"
        columns = mapping.tables[name].columns
        assert list(columns) == table.column_names == list(columns.values())


@pytest.mark.parametrize(
    "bad", [{"start": "2024-13-01"}, {"start": "1980-01-01"}, {"days": 10}, {"transactions": 10}]
)
def test_a_configuration_that_cannot_work_is_refused(bad):
    with pytest.raises(ValidationError):
        BankConfig(**bad)


@pytest.mark.parametrize(
    "config",
    [
        BankConfig(transactions=5_000, days=120, fraud_share=0.05, launderer_share=0.1),
        BankConfig(transactions=6_000, days=1_500, transactions_per_customer=30, late_share=0.0),
        BankConfig(transactions=5_000, start="2023-06-15", report_share=0, fraud_detected_share=0),
    ],
)
def test_the_ends_of_the_range_work(config):
    bank = make_bank(config)
    assert bank.tables["transactions"].num_rows == config.transactions


def as_bytes(table):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as out:
        out.write_table(table)
    return sink.getvalue().to_pybytes()


def digest(table):
    import hashlib  # noqa: PLC0415

    return hashlib.sha256(as_bytes(table)).hexdigest()
