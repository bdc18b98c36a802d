"""An extract that its own past or the night before does not explain is named; an honest one not."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pandas as pd
import pytest
import yaml

from kyc_ml.config import ExtractLimits, LimitsConfig, SourceMapping
from kyc_ml.contract.source import store_source
from kyc_ml.scoring.extract_limits import NightBefore, check_extract, find_late_tables
from kyc_ml.scoring.extract_profile import TableSummary, profile_extract

DAY = "2024-06-26"
LAST = "event_time >= TIMESTAMPTZ '2024-06-25 00:00:00+00'"
PAYMENTS, EVENTS = "transactions", "events"


def at(day):
    return pd.Timestamp(day, tz="UTC")


def mapping_of(folder, **more):
    """Map every file of a folder column by column."""
    names = sorted(path.stem for path in folder.glob("*.parquet"))
    tables = {}
    for name in names:
        found = duckdb.sql(f"DESCRIBE SELECT * FROM '{folder / name}.parquet'").fetchall()
        tables[name] = {"from": name, "columns": {row[0]: row[0] for row in found}}
    files = {name: {"path": f"{name}.parquet", "format": "parquet"} for name in names}
    content = {"name": "bank", "base_currency": "CNY", "files": files, "tables": tables, **more}
    return SourceMapping.model_validate(content)


@dataclass(frozen=True)
class Extract:
    """A copy of the calm bank, to be spoilt."""

    data: Path
    scratch: Path

    def spoil(self, table, sql):
        """Write a table anew from SQL, where {t} is the table as it was."""
        path, old = self.data / f"{table}.parquet", self.scratch / f"{table}.parquet"
        path.rename(old)
        duckdb.sql(f"COPY ({sql.format(t=old)}) TO '{path}' (FORMAT parquet)")

    def replace(self, table, column, value, where=LAST):
        sql = f"SELECT * REPLACE (CASE WHEN {where} THEN {value} ELSE {column} END AS {column})"
        self.spoil(table, f"{sql} FROM '{{t}}'")

    def keep(self, table, where):
        self.spoil(table, f"SELECT * FROM '{{t}}' WHERE {where}")

    def profiles(self, day=DAY):
        stored = store_source(
            mapping_of(self.data),
            data=self.data,
            folder=self.scratch / f"tables {day}",
            quarantine=self.scratch / "refused",
        )
        return profile_extract(stored, at(day), memory="512MB", scratch=None)


@pytest.fixture
def bank(extract, tmp_path):
    shutil.copytree(extract, tmp_path / "data")
    (tmp_path / "scratch").mkdir()
    return Extract(tmp_path / "data", tmp_path / "scratch")


@pytest.fixture(scope="module")
def honest(extract, tmp_path_factory):
    """Give what the night before has read, as its manifest keeps it."""
    bank = Extract(extract, tmp_path_factory.mktemp("honest"))
    day = "2024-06-25"
    kept = {name: each.summary.to_plain() for name, each in bank.profiles(day).items()}
    tables = {name: TableSummary.of(each) for name, each in kept.items()}
    return NightBefore(as_of=at(day), tables=tables)


def found(bank, *, day=DAY, before=None, limits=None, whole_day=True):
    """List what is wrong as (limit, table) pairs, without the words."""
    limits = limits or LimitsConfig()
    profiles = bank.profiles(day)
    told = find_late_tables(profiles, at(day), limits, timezone="UTC") + check_extract(
        profiles, limits, as_of=at(day), timezone="UTC", before=before, whole_day=whole_day
    )
    return {tuple(line.split(": ")[:2]) for line in told}


HALF = f"NOT {LAST} OR hash({{key}}) % 2 = 0"
ALONE = {
    "half of the day's payments": (
        lambda b: b.keep(PAYMENTS, HALF.format(key="transaction_id")), ("arrivals", PAYMENTS)),
    "half of the day's events": (
        lambda b: b.keep(EVENTS, HALF.format(key="event_id")), ("arrivals", EVENTS)),
    "no event": (lambda b: b.keep(EVENTS, "false"), ("empty", EVENTS)),
    "events a day late": (lambda b: b.keep(EVENTS, f"NOT {LAST}"), ("stale", EVENTS)),
    "payments a week old": (
        lambda b: b.keep(PAYMENTS, "event_time < TIMESTAMPTZ '2024-06-19 00:00:00+00'"),
        ("stale", PAYMENTS)),
    "reports three months old": (
        lambda b: b.keep("third_party", "event_time < TIMESTAMPTZ '2024-04-01 00:00:00+00'"),
        ("stale", "third_party")),
    "amounts in fen": (
        lambda b: b.replace(PAYMENTS, "amount", "amount * 100"),
        ("magnitude", f"{PAYMENTS}.amount")),
    "amounts in hundreds": (
        lambda b: b.replace(PAYMENTS, "amount", "amount / 100"),
        ("magnitude", f"{PAYMENTS}.amount")),
    "amounts of one channel in fen": (
        lambda b: b.replace(PAYMENTS, "amount", "amount * 100", f"{LAST} AND channel = 'web'"),
        ("magnitude", f"{PAYMENTS}.amount of the rows with one value of 'channel'")),
    "balances with the other sign": (
        lambda b: b.replace(PAYMENTS, "balance", "-balance"), ("mixture", PAYMENTS)),
    "all payments out": (
        lambda b: b.replace(PAYMENTS, "direction", "'out'"), ("mixture", PAYMENTS)),
    "no payment of one channel": (
        lambda b: b.keep(PAYMENTS, f"NOT {LAST} OR channel <> 'web'"), ("mixture", PAYMENTS)),
    "a column without values": (
        lambda b: b.replace(PAYMENTS, "counterparty_id", "NULL"),
        ("missing", f"{PAYMENTS}.counterparty_id")),
    "customers named in another form": (
        lambda b: b.replace(PAYMENTS, "customer_id", "'0' || customer_id"), ("mixture", PAYMENTS)),
    "eight hours earlier": (
        lambda b: b.replace(PAYMENTS, "event_time", "event_time - INTERVAL 8 HOUR"),
        ("mixture", PAYMENTS)),
    "the batch twice": (
        lambda b: b.spoil(PAYMENTS, "SELECT * FROM '{t}' UNION ALL SELECT * REPLACE ('z' || "
                                    f"transaction_id AS transaction_id) FROM '{{t}}' WHERE {LAST}"),
        ("repeated", PAYMENTS)),
}  # fmt: skip
SINCE = {
    "half of the history by time": (
        lambda b: b.keep(PAYMENTS, "event_time >= TIMESTAMPTZ '2023-12-01 00:00:00+00'"),
        ("lost_rows", PAYMENTS)),
    "half of the history by row": (
        lambda b: b.keep(PAYMENTS, f"{LAST} OR hash(transaction_id) % 2 = 0"),
        ("lost_rows", PAYMENTS)),
    "a tenth of the customers": (
        lambda b: b.keep("customers", "hash(customer_id) % 10 > 0"), ("lost_rows", "customers")),
    "all amounts in fen": (
        lambda b: b.replace(PAYMENTS, "amount", "amount * 100", "true"), ("magnitude", PAYMENTS)),
    "incomes of a month": (
        lambda b: b.replace("customers", "declared_income", "declared_income / 12", "true"),
        ("magnitude", "customers")),
    "incomes without values": (
        lambda b: b.replace("customers", "declared_income", "NULL", "true"),
        ("missing", "customers")),
    "nobody politically exposed": (
        lambda b: b.replace("customers", "pep_status", "'none'", "true"),
        ("mixture", "customers")),
    "all payments out": (
        lambda b: b.replace(PAYMENTS, "direction", "'out'", "true"), ("mixture", PAYMENTS)),
    "a table without a row": (lambda b: b.keep("third_party", "false"), ("empty", "third_party")),
}  # fmt: skip


@pytest.mark.parametrize("case", ALONE)
def test_a_broken_last_day_is_named_without_a_night_before(bank, case):
    spoil, expected = ALONE[case]
    spoil(bank)
    assert expected in found(bank)


@pytest.mark.parametrize("case", SINCE)
def test_a_broken_history_is_named_with_the_night_before(bank, honest, case):
    spoil, expected = SINCE[case]
    spoil(bank)
    assert expected in found(bank, before=honest)


@pytest.mark.parametrize(
    "day", ["2024-06-26", "2024-06-24", "2024-06-23", "2024-06-01", "2024-05-31", "2023-08-07"]
)
def test_an_honest_night_is_not_named(extract, tmp_path, honest, day):
    """A weekday, two ends of a weekend, the ends of a month, and one early in the history."""
    bank = Extract(extract, tmp_path)
    assert found(bank, day=day) == set()
    if at(day) > honest.as_of:
        assert found(bank, day=day, before=honest) == set()


def test_a_bank_without_events_is_not_named(bank):
    (bank.data / "events.parquet").unlink()
    assert found(bank) == set()


def test_a_table_of_the_last_days_alone_rolls_on(bank):
    window = "event_time >= TIMESTAMPTZ '{} 00:00:00+00'"
    bank.keep(PAYMENTS, window.format("2024-03-28"))
    yesterday = bank.profiles("2024-06-25")[PAYMENTS].summary
    (bank.scratch / "transactions.parquet").unlink()
    bank.keep(PAYMENTS, window.format("2024-03-29"))
    before = NightBefore(as_of=at("2024-06-25"), tables={PAYMENTS: yesterday})
    assert found(bank, before=before) == set()


def test_each_limit_can_be_relaxed_for_one_table(bank):
    bank.keep(EVENTS, "event_time < TIMESTAMPTZ '2024-06-20 00:00:00+00'")
    assert found(bank) == {("stale", EVENTS), ("arrivals", EVENTS)}
    own = {EVENTS: ExtractLimits(stale_days=7, arrivals=None)}
    assert found(bank, limits=LimitsConfig(tables=own)) == set()
    assert found(bank, limits=LimitsConfig(stale_hours=None), whole_day=False) == set()
    bank.keep(PAYMENTS, HALF.format(key="transaction_id"))
    allowed = found(bank, limits=LimitsConfig(tables=own))
    assert allowed == {("arrivals", PAYMENTS)}
    holiday = LimitsConfig(tables=own, holidays=("2024-06-25",))
    assert found(bank, limits=holiday) == set()


def test_an_empty_table_may_be_allowed(bank):
    bank.keep(EVENTS, "false")
    own = {EVENTS: ExtractLimits(may_be_empty=True)}
    assert found(bank, limits=LimitsConfig(tables=own)) == set()


def test_a_table_takes_from_the_common_limits_what_its_own_leave_out():
    common, own = ExtractLimits(arrivals=0.9, missing=0.1), ExtractLimits(missing=None)
    limits = LimitsConfig(extract=common, tables={EVENTS: own})
    assert limits.of_table(EVENTS) == common.model_copy(update={"missing": None})
    assert limits.of_table(PAYMENTS) == common


def test_a_summary_has_no_value_of_a_customer(extract, tmp_path):
    kept = yaml.safe_dump(
        {n: p.summary.to_plain() for n, p in Extract(extract, tmp_path).profiles().items()}
    )
    assert not [value for value in ("c001", "t000001", "domestic", "branch") if value in kept]
