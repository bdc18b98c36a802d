"""The feature table: point in time, independent of order, equal to pandas' own windows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from kyc_ml.config import DatasetConfig
from kyc_ml.contract.memory import contract_tables
from kyc_ml.dataset import make_observations, make_reviews_at
from kyc_ml.features import build_features

NOW = pd.Timestamp("2024-04-20", tz="UTC")


def transactions_of(source, start="2024-04-10", end=NOW):
    return make_observations(
        source,
        unit="fraud",
        start=pd.Timestamp(start, tz="UTC"),
        end=end,
        config=DatasetConfig(),
    )


@pytest.fixture(scope="module")
def fraud_features(source, fraud_specs):
    return build_features(source, transactions_of(source), specs=fraud_specs)


def test_every_declared_feature_is_computed_on_the_synthetic_bank(fraud_features, fraud_specs):
    assert not fraud_features.unavailable
    assert set(fraud_features.names) == {spec.name for spec in fraud_specs if not spec.intermediate}


def test_no_feature_is_empty_and_none_is_infinite(fraud_features):
    empty = [
        spec.name
        for column, spec in enumerate(fraud_features.specs)
        if spec.kind == "number" and np.isnan(fraud_features.numbers[:, column]).all()
    ]
    assert not empty
    assert not np.isinf(fraud_features.numbers).any()


@pytest.mark.parametrize("unit", ["fraud", "risk"])
def test_what_happens_or_becomes_known_later_changes_no_feature(
    source, fraud_specs, risk_specs, unit
):
    specs = fraud_specs if unit == "fraud" else risk_specs
    if unit == "fraud":
        rows = transactions_of(source)
        decided = rows.filter(pc.equal(rows["decision_time"], pc.max(rows["decision_time"])))
        now = decided["decision_time"][0].as_py()
    else:
        decided, now = make_reviews_at(source, at=NOW), NOW.to_pydatetime()
    cut = pa.scalar(now, pa.timestamp("us", tz="UTC"))
    deleted = {
        name: table.filter(
            pc.and_(pc.less(table["event_time"], cut), pc.less_equal(table["known_at"], cut))
        )
        for name, table in source.tables.items()
    }
    corrupted = {name: _corrupt_after(table, cut) for name, table in source.tables.items()}
    expected = build_features(source, decided, specs=specs)
    for tables in (deleted, corrupted):
        got = build_features(replace(source, tables=tables), decided, specs=specs)
        np.testing.assert_array_equal(got.numbers, expected.numbers)
        for name, values in expected.categories.items():
            assert got.categories[name].equals(values), name


def _corrupt_after(table, cut):
    """Multiply every number by a thousand in rows that happen at, or are known after, `cut`."""
    later = pc.or_(pc.greater_equal(table["event_time"], cut), pc.greater(table["known_at"], cut))
    for place, field in enumerate(table.schema):
        if pa.types.is_floating(field.type):
            wrong = pc.multiply(table[field.name], 1000.0)
            column = pc.if_else(later, wrong, table[field.name])
            table = table.set_column(place, field, column)
        elif field.name in {"counterparty_id", "device_id", "segment", "outcome", "direction"}:
            column = pc.if_else(later, "corrupted", table[field.name])
            table = table.set_column(place, field, column)
    return table


def test_the_order_of_observations_is_kept_and_changes_no_value(source, fraud_specs):
    observations = transactions_of(source).slice(0, 200)
    order = np.random.default_rng(1).permutation(200)
    expected = build_features(source, observations, specs=fraud_specs)
    got = build_features(source, observations.take(pa.array(order)), specs=fraud_specs)
    np.testing.assert_array_equal(got.numbers, expected.numbers[order])


def test_one_observation_alone_has_the_features_it_has_in_a_batch(
    source, fraud_specs, fraud_features
):
    observations = transactions_of(source)
    for row in (0, len(fraud_features) // 2, len(fraud_features) - 1):
        alone = build_features(source, observations.slice(row, 1), specs=fraud_specs)
        np.testing.assert_array_equal(alone.numbers[0], fraud_features.numbers[row])


def test_the_number_of_threads_changes_no_value(source, fraud_specs, fraud_features):
    single = build_features(source, transactions_of(source), specs=fraud_specs, threads=1)
    np.testing.assert_array_equal(single.numbers, fraud_features.numbers)


def test_windows_equal_pandas_where_nothing_arrives_late(bank, fraud_specs):
    on_time = bank["transactions"]
    place = on_time.column_names.index("known_at")
    on_time = on_time.set_column(place, "known_at", on_time["event_time"])
    source = contract_tables({"transactions": on_time}, base_currency="CNY").accepted
    observations = transactions_of(source)
    frame = build_features(source, observations, specs=fraud_specs).to_pandas()
    rows = source.tables["transactions"].to_pandas()
    rows = rows.sort_values(["customer_id", "event_time", "transaction_id"])
    amounts = rows.set_index("event_time").groupby("customer_id")["amount"]
    for days in (1, 7, 30):
        window = amounts.rolling(f"{days}D", closed="left")
        for ours, theirs in (("amount_sum", "sum"), ("amount_mean", "mean"), ("amount_max", "max")):
            expected = pd.Series(
                getattr(window, theirs)().to_numpy(), index=rows["transaction_id"].to_numpy()
            )
            got = frame.set_index("observation_id")[f"customer_{ours}_{days}d"]
            reference = expected.loc[got.index]
            if theirs == "sum":
                reference = reference.fillna(0.0)
            np.testing.assert_allclose(got, reference, rtol=1e-9, atol=1e-6)


def test_absent_tables_and_columns_leave_features_out_by_name(bank, fraud_specs):
    lean = bank["transactions"].drop_columns(["device_id", "direction"])
    source = contract_tables({"transactions": lean}, base_currency="CNY").accepted
    table = build_features(source, transactions_of(source), specs=fraud_specs)
    assert table.unavailable["profile_age_years"].split()[-2:] == ["table", "customers"]
    assert table.unavailable["first_with_device"].split()[-1] == "device_id"
    assert table.unavailable["customer_in_sum_7d"].split()[-1] == "direction"
    assert table.unavailable["customer_out_to_in_7d"].split()[-1] == "direction"
    assert not set(table.names) & set(table.unavailable)


def test_an_empty_history_gives_zero_counts_and_missing_means():
    when = pd.Timestamp("2024-03-01", tz="UTC")
    source, table = _hand_made([("t1", "a", when, 10.0)])
    row = _features(source, table).iloc[0]
    assert row["customer_count_7d"] == 0
    assert row["customer_amount_sum_7d"] == 0.0
    assert np.isnan(row["customer_amount_mean_7d"])
    assert np.isnan(row["customer_hours_since_last"])
    assert row["first_with_counterparty"] == 1.0


def test_payments_of_the_same_instant_do_not_see_each_other():
    when = pd.Timestamp("2024-03-01", tz="UTC")
    source, table = _hand_made([("t1", "a", when, 10.0), ("t2", "a", when, 20.0)])
    assert _features(source, table)["customer_count_1d"].tolist() == [0, 0]


def test_a_confirmed_fraud_counts_from_the_day_it_is_known():
    day = pd.Timestamp("2024-03-01", tz="UTC")
    rows = [(f"t{n}", "a", day + pd.Timedelta(days=n), 10.0) for n in (0, 9, 11, 12)]
    case = {
        "case_id": ["c"],
        "customer_id": ["a"],
        "transaction_id": ["t0"],
        "outcome": ["confirmed_fraud"],
        "event_time": [day],
        "known_at": [day + pd.Timedelta(days=10)],
    }
    source, table = _hand_made(rows, cases=pd.DataFrame(case))
    frame = _features(source, table).set_index("observation_id")
    assert frame["customer_adverse_known_30d"].tolist() == [0, 0, 1, 1]
    assert frame["counterparty_adverse_known_30d"].tolist() == [0, 0, 1, 1]
    share = frame.loc["t11", "counterparty_adverse_share_30d_lag7d"]
    assert share == pytest.approx((1 + 5 * 1.0) / (1 + 5))  # one known fraud of one payment


def test_an_overturned_fraud_counts_until_the_day_it_is_overturned():
    day = pd.Timestamp("2024-03-01", tz="UTC")
    rows = [(f"t{n}", "a", day + pd.Timedelta(days=n), 10.0) for n in (0, 3, 6, 9, 12)]
    states = ["confirmed_fraud", "cleared", "confirmed_fraud", "str_filed"]
    cases = pd.DataFrame(
        {
            "case_id": ["c"] * 4,
            "customer_id": ["a"] * 4,
            "transaction_id": ["t0"] * 4,
            "outcome": states,
            "event_time": [day] * 4,
            "known_at": [day + pd.Timedelta(days=n) for n in (2, 5, 8, 11)],
        }
    )
    source, table = _hand_made(rows, cases=cases)
    frame = _features(source, table).set_index("observation_id")
    assert frame["customer_adverse_known_30d"].tolist() == [0, 1, 0, 1, 1]
    hours = frame["customer_hours_since_adverse"]
    assert hours.isna().tolist() == [True, False, True, False, False]


def test_a_smoothed_share_counts_transactions_once_and_stays_a_share():
    day = pd.Timestamp("2024-03-01", tz="UTC")
    rows = [(f"t{n}", "a", day + pd.Timedelta(days=n), 10.0) for n in (0, 1, 2, 20)]
    about = ["t0", "t0", None, None, None]  # two cases of one payment, three of none
    cases = pd.DataFrame(
        {
            "case_id": [f"k{n}" for n in range(5)],
            "customer_id": ["a"] * 5,
            "transaction_id": about,
            "outcome": ["confirmed_fraud", "confirmed_fraud", *["str_filed"] * 3],
            "event_time": [day] * 5,
            "known_at": [day + pd.Timedelta(days=3)] * 5,
        }
    )
    source, table = _hand_made(rows, cases=cases)
    frame = _features(source, table).set_index("observation_id")
    # one of three payments is known as adverse, at the customer, the shop and the bank
    for who in ("customer", "counterparty"):
        share = frame.loc["t20", f"{who}_adverse_share_30d_lag7d"]
        assert share == pytest.approx((1 + 5 * 1 / 3) / (3 + 5))
    assert frame.loc["t20", "customer_adverse_known_30d"] == 5


def test_of_two_reports_of_one_day_the_one_known_last_is_in_force():
    day = pd.Timestamp("2024-03-01", tz="UTC")
    reports = pd.DataFrame(
        {
            "report_id": ["r9", "r10"],  # the correction sorts before what it corrects
            "customer_id": ["a", "a"],
            "event_time": [day, day],
            "known_at": [day + pd.Timedelta(days=1), day + pd.Timedelta(days=4)],
            "provider": ["bureau"] * 2,
            "item": ["bureau_score"] * 2,
            "value": [700.0, 300.0],
        }
    )
    rows = [(f"t{n}", "a", day + pd.Timedelta(days=n), 10.0) for n in (2, 6)]
    source, table = _hand_made(rows, third_party=reports)
    frame = _features(source, table, items=("bureau_score",))
    assert frame["third_party_bureau_score"].tolist() == [700.0, 300.0]


def test_the_balance_after_bookings_of_one_instant_does_not_hang_on_their_order():
    day = pd.Timestamp("2024-03-01", tz="UTC")
    rows = [("t1", "a", day, 1.0), ("t2", "a", day, 2.0), ("t3", "a", day, 3.0)]
    later = [("t4", "a", day + pd.Timedelta(days=1), 4.0), ("t5", "b", day, 5.0)]
    balances = {"t1": 10.0, "t2": 40.0, "t3": None, "t4": 7.0, "t5": 90.0}
    seen = set()
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        frame = pd.DataFrame(
            [rows[place] for place in order] + later,
            columns=["transaction_id", "customer_id", "event_time", "amount"],
        )
        frame["balance"] = frame["transaction_id"].map(balances)
        frame["transaction_id"] = [*"xyz", "t4", "t5"]  # the contract sorts ties by id
        source = contract_tables({"transactions": frame}, base_currency="CNY").accepted
        table = transactions_of(source, "2024-01-01", pd.Timestamp("2025-01-01", tz="UTC"))
        found = _features(source, table).set_index("observation_id")
        seen.add(found.loc["t4", "customer_balance_latest"])
    assert seen == {25.0}


def test_the_profile_version_known_at_the_decision_is_used():
    day = pd.Timestamp("2024-03-01", tz="UTC")
    rows = [(f"t{n}", "a", day + pd.Timedelta(days=n), 10.0) for n in (1, 5, 9)]
    versions = pd.DataFrame(
        {
            "customer_id": ["a", "a", "a"],
            "event_time": [day - pd.Timedelta(days=30), day, day + pd.Timedelta(days=4)],
            # the second version is recorded late, and then the first is corrected later still
            "known_at": [day, day + pd.Timedelta(days=3), day + pd.Timedelta(days=8)],
            "segment": ["retail", "private", "corporate"],
        }
    )
    source, table = _hand_made(rows, customers=versions)
    frame = _features(source, table).set_index("observation_id")
    assert frame["profile_segment"].tolist() == ["retail", "private", "corporate"]


def _hand_made(rows, **others):
    frame = pd.DataFrame(rows, columns=["transaction_id", "customer_id", "event_time", "amount"])
    frame["counterparty_id"] = "shop"
    tables = {"transactions": frame, **others}
    source = contract_tables(tables, base_currency="CNY").accepted
    return source, transactions_of(source, "2024-01-01", pd.Timestamp("2025-01-01", tz="UTC"))


def _features(source, observations, items=()):
    from kyc_ml.config import FeatureConfig  # noqa: PLC0415
    from kyc_ml.features import FAMILIES, choose_features  # noqa: PLC0415

    specs = choose_features(
        FeatureConfig(families=tuple(FAMILIES), third_party_items=items), unit="fraud"
    )
    return build_features(source, observations, specs=specs).to_pandas()
