"""What the sheet says of the customer: as known then, and silence is never read as "none"."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from kyc_ml.config import FeatureConfig
from kyc_ml.contract.memory import contract_tables
from kyc_ml.dataset import make_reviews_at
from kyc_ml.decision import (
    describe_customer,
    flows,
    known_cases,
    known_payments,
    list_rows,
    payment_rows,
    timelines,
)
from kyc_ml.features import choose_features, find_rows
from kyc_ml.onboarding.synthetic.bank import make_bank
from kyc_ml.onboarding.synthetic.settings import BankConfig

AT = pd.Timestamp("2024-06-02 21:00", tz="Asia/Shanghai")
ZONE = {"timezone": "Asia/Shanghai", "base_currency": "CNY"}


@pytest.fixture(scope="module")
def raw():
    return dict(make_bank(BankConfig(transactions=8_000, days=160, seed=5)).tables)


@pytest.fixture(scope="module")
def source(raw):
    return contract_tables(raw, **ZONE).accepted


@pytest.fixture(scope="module")
def busiest(raw):
    return raw["transactions"].to_pandas()["customer_id"].value_counts().index[0]


def describe(source, customer, at=AT, language="en"):
    payments = known_payments(source, customer, decision=at)
    return describe_customer(source, customer, payments, decision=at, language=language)


def profile(**columns):
    """Give one customer with one version of a profile, and one payment in and out."""
    base = {"customer_id": ["a"], "event_time": [pd.Timestamp("2020-01-01", tz="UTC")]}
    when = pd.DatetimeIndex([AT - pd.Timedelta(days=3), AT - pd.Timedelta(days=2)])
    paid = pd.DataFrame(
        {"transaction_id": ["t1", "t2"], "customer_id": "a", "event_time": when.tz_convert("UTC"),
         "amount": [100.0, 40.0], "direction": ["in", "out"]}
    )  # fmt: skip
    tables = {"customers": pd.DataFrame({**base, **columns}), "transactions": paid}
    return contract_tables(tables, **ZONE).accepted


def test_what_was_not_known_yet_changes_nothing(raw, source, busiest):
    now = pa.scalar(AT.to_pydatetime(), pa.timestamp("us", tz="UTC"))
    blind = {
        name: table.filter(
            pc.and_(
                pc.less(table["event_time"], now),
                pc.fill_null(pc.less_equal(table["known_at"], now), fill_value=True),
            )
        )
        for name, table in raw.items()
    }
    then = contract_tables(blind, **ZONE).accepted
    known = raw["cases"].filter(pc.less_equal(raw["cases"]["known_at"], now))
    assert known.num_rows
    for customer in {busiest, *known["customer_id"].to_pylist()[:5]}:
        assert describe(source, customer) == describe(then, customer)
        cases = [known_cases(each, customer, decision=AT, language="en") for each in (source, then)]
        assert cases[0] == cases[1]
        paid = [known_payments(each, customer, decision=AT) for each in (source, then)]
        pd.testing.assert_frame_equal(*paid)


def test_a_case_is_shown_once_in_its_latest_known_state(raw, source):
    rows = raw["cases"].to_pandas()
    rows = rows[rows["known_at"] <= AT]
    for customer, own in rows.groupby("customer_id"):
        listed = known_cases(source, customer, decision=AT, language="en")
        assert len(listed) == own["case_id"].nunique()


def test_a_column_that_the_source_lacks_is_absent_and_an_empty_one_unknown():
    lacking = {fact.what: fact.state for fact in describe(profile(segment=["retail"]), "a")}
    assert set(lacking.values()) == {"known", "absent"}
    empty = profile(segment=pd.array([None], "string"), industry=["nurse"])
    states = [fact.state for fact in describe(empty, "a")]
    assert states.count("unknown") == 1


@pytest.mark.parametrize(
    ("expiry", "alarming", "said"),
    [
        (date(2024, 6, 1), True, "1"),  # yesterday
        (date(2024, 6, 2), True, "0"),  # still valid on its last day
        (date(2024, 8, 30), True, "89"),
        (date(2024, 8, 31), False, ""),
    ],
)
def test_an_expiring_document_is_marked(expiry, alarming, said):
    found = describe(profile(document_expiry=[expiry]), "a")
    (fact,) = [each for each in found if each.value.startswith(str(expiry))]
    assert (fact.state == "alarming") == alarming
    assert said in fact.value.removeprefix(str(expiry))


def test_money_in_and_out_is_compared_with_the_declared(busiest, raw, source):
    found = describe(profile(declared_income=[50.0]), "a")
    assert any(fact.value.startswith("100 CNY (2.0") for fact in found)
    assert any(fact.value.startswith("40 CNY (0.8") for fact in found)
    rows = raw["transactions"].to_pandas()
    rows = rows[(rows["customer_id"] == busiest) & (rows["event_time"] < AT)]
    rows = rows[rows["known_at"].fillna(rows["event_time"]) <= AT]
    assert rows["event_time"].min() > AT - pd.Timedelta(days=365)
    for way in ("in", "out"):
        total = rows.loc[rows["direction"] == way, "amount"].sum()
        assert any(each.value.startswith(f"{total:,.0f} CNY") for each in describe(source, busiest))


def test_at_most_ten_rows_are_listed_and_the_rest_is_counted(source, busiest):
    name = "customer_amount_sum_90d"
    specs = choose_features(FeatureConfig(include=(name,)), unit="risk")
    reviews = make_reviews_at(source, at=AT)
    row = reviews.filter(pc.equal(reviews["customer_id"], busiest))
    ((behind,),) = find_rows(source, row, [name], specs=specs).values()
    listed = list_rows(
        behind, customer=busiest, new=(), timezone="Asia/Shanghai", currency="CNY", language="en"
    )
    amounts = sorted(behind.rows["amount"].to_pylist(), reverse=True)
    assert len(amounts) > 10
    column = listed.right.index(True)
    shown = sorted((float(each[column].replace(",", "")) for each in listed.rows), reverse=True)
    assert shown == pytest.approx(amounts[:10])
    assert f"{len(amounts) - 10:,}" in listed.more
    assert f"{sum(amounts[10:]):,.2f}" in listed.more
    fewer = list_rows(
        behind, customer=busiest, new=(), timezone="Asia/Shanghai", currency="CNY", language="en",
        most=3,
    )  # fmt: skip
    assert len(fewer.rows) == 3
    assert f"{sum(amounts[3:]):,.2f}" in fewer.more
    times = [each[0] for each in listed.rows]
    assert times == sorted(times)


def test_the_first_payment_with_a_counterparty_is_new_and_no_other(source, busiest):
    paid = known_payments(source, busiest, decision=AT)
    named = paid[paid["counterparty_id"].notna()]
    assert named["new"].sum() == named["counterparty_id"].nunique()
    assert not paid.loc[paid["counterparty_id"].isna(), "new"].any()
    first = named.iloc[0]
    listed = payment_rows(paid, {first["transaction_id"]}, currency="CNY", language="en")
    assert len(listed.rows) == 1
    assert not listed.more
    assert payment_rows(paid, {"nothing"}, currency="CNY", language="en") is None


def test_a_scored_payment_is_part_of_its_own_pictures(source, raw):
    row = raw["transactions"].to_pandas().iloc[-1]
    at = row["event_time"].tz_convert("Asia/Shanghai")
    scored, customer = row["transaction_id"], row["customer_id"]
    before = known_payments(source, customer, decision=at)
    paid = known_payments(source, customer, decision=at, scored=scored)
    assert len(paid) == len(before) + 1
    assert paid["transaction_id"].iloc[-1] == scored
    drawn = timelines(paid, decision=at, bands=(), marked={scored}, language="en")
    assert all("sought" in {shape.role for shape in each.shapes} for each in drawn)
    assert len(flows(paid, customer=customer, marked={scored}, language="en")) == len(drawn) == 2
    nothing = paid.iloc[:0]
    assert timelines(nothing, decision=at, bands=(), marked=(), language="en") == ()
    assert flows(nothing, customer=customer, marked=(), language="en") == ()


@pytest.mark.parametrize(
    "left_out",
    ["transactions", "customers", "cases", "third_party", "direction", "counterparty_id",
     "instrument", "channel", "value", "typology"],
)  # fmt: skip
def test_a_source_without_a_table_or_a_column_has_a_sheet_too(raw, busiest, left_out):
    kept = {name: table for name, table in raw.items() if name != left_out}
    kept = {
        name: table.drop_columns([left_out]) if left_out in table.column_names else table
        for name, table in kept.items()
    }
    source = contract_tables(kept, **ZONE).accepted
    paid = known_payments(source, busiest, decision=AT)
    facts = describe_customer(source, busiest, paid, decision=AT, language="zh")
    assert ("absent" in {fact.state for fact in facts}) == (
        left_out in {"transactions", "customers", "third_party", "direction"}
    )
    cases = known_cases(source, busiest, decision=AT, language="zh")
    assert (cases is None) == (left_out == "cases")
    drawn = timelines(paid, decision=AT, bands=(), marked=(), language="zh")
    assert bool(drawn) == (left_out not in {"transactions", "direction"})
    assert bool(flows(paid, customer=busiest, marked=(), language="zh")) == bool(drawn)
    ids = set(paid["transaction_id"])
    listed = payment_rows(paid, ids, currency="CNY", language="zh")
    assert (listed is None) == (left_out == "transactions")
