"""Each typology's features, against the same counted by hand or by plain loops."""

from __future__ import annotations

import itertools
import math
import statistics

import numpy as np
import pandas as pd
import pytest

from kyc_ml.config import CountryList, DatasetConfig, FeatureConfig
from kyc_ml.contract.memory import contract_tables
from kyc_ml.dataset import make_observations, make_reviews_at
from kyc_ml.features import FAMILIES, build_features, choose_features

DAY = pd.Timestamp("2024-03-01", tz="UTC")
END = pd.Timestamp("2025-01-01", tz="UTC")


def days(n):
    return DAY + pd.Timedelta(days=n)


def hours(n):
    return DAY + pd.Timedelta(hours=n)


def paid(*rows, **common):
    """Give a transactions table of the rows, each a dict with at least a time and an amount."""
    frame = pd.DataFrame([{"customer_id": "a", **common, **row} for row in rows])
    if "transaction_id" not in frame:
        frame.insert(0, "transaction_id", [f"t{place}" for place in range(len(frame))])
    return frame


def features(names, *, at=None, config=None, **tables):
    """Compute features of every transaction, or of every customer reviewed `at`."""
    source = contract_tables(tables, base_currency="CNY").accepted
    unit = "fraud" if at is None else "risk"
    specs = choose_features(FeatureConfig(include=tuple(names), **(config or {})), unit=unit)
    if at is None:
        observations = make_observations(
            source, unit="fraud", start=days(-900), end=END, config=DatasetConfig()
        )
    else:
        observations = make_reviews_at(source, at=at)
    table = build_features(source, observations, specs=specs)
    assert not table.unavailable
    key = "observation_id" if at is None else "customer_id"
    return table.to_pandas().set_index(key)[list(names)]


def people(*customers, since=-700, **columns):
    """Give a customers table with one version of each."""
    return pd.DataFrame(
        {
            "customer_id": list(customers),
            "event_time": [days(since)] * len(customers),
            "known_at": [days(since)] * len(customers),
            **columns,
        }
    )


# Known typologies but early loan repayment, for which the contract has no columns.
TYPOLOGIES = {
    "structuring", "flow_through", "fan_in", "fan_out", "gather_scatter", "scatter_gather",
    "cycle", "bipartite", "stack", "round_amounts", "dormant_reactivation", "unusual_hour",
    "new_counterparty", "high_risk_geography", "cash_intensive", "profile_mismatch",
    "probe_then_big", "shared_control", "open_use_close",
}  # fmt: skip


@pytest.mark.parametrize("unit", ["fraud", "risk"])
def test_every_typology_has_features(unit):
    chosen = choose_features(FeatureConfig(families=tuple(FAMILIES)), unit=unit)
    assert {spec.typology for spec in chosen if not spec.intermediate} >= TYPOLOGIES


# cash and instruments


def test_cash_shares_are_of_number_and_amount_in_each_direction():
    rows = paid(
        {"event_time": days(-40), "amount": 900.0, "instrument": "cash", "direction": "in"},
        {"event_time": days(-9), "amount": 100.0, "instrument": "cash", "direction": "in"},
        {"event_time": days(-8), "amount": 60.0, "instrument": "transfer", "direction": "in"},
        {"event_time": days(-7), "amount": 300.0, "instrument": "card", "direction": "out"},
        {"event_time": days(-6), "amount": 50.0, "instrument": "cash", "direction": "out"},
        {"event_time": days(-5), "amount": 40.0, "instrument": None, "direction": "out"},
    )
    expected = {
        "customer_cash_count_30d": 2,
        "customer_cash_count_share_30d": 2 / 5,
        "customer_cash_share_30d": 150 / 550,
        "customer_cash_in_share_30d": 100 / 160,
        "customer_cash_out_share_30d": 50 / 390,
        "customer_cash_in_sum_90d": 1000,
        "customer_instruments_30d": 3,
        "customer_instrument_entropy_90d": -sum(p * math.log(p) for p in (0.6, 0.2, 0.2)),
    }
    got = features(expected, at=days(0), transactions=rows).loc["a"]
    assert got.to_dict() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("sent", "share"),
    [
        ([(5, 600.0, "transfer")], 0.6),
        ([(5, 600.0, "transfer"), (20, 700.0, "cheque")], 1.0),  # never above all the cash
        ([(25, 600.0, "transfer")], 0.0),  # a day has passed
        ([(24, 600.0, "transfer")], 0.6),
        ([(5, 600.0, "cash")], 0.0),
        ([(-1, 600.0, "transfer")], 0.0),
    ],
)
def test_cash_is_passed_on_by_what_leaves_otherwise_within_a_day(sent, share):
    rows = paid(
        {"event_time": hours(0), "amount": 1000.0, "instrument": "cash", "direction": "in"},
        *(
            {"event_time": hours(h), "amount": amount, "instrument": how, "direction": "out"}
            for h, amount, how in sent
        ),
    )
    name = "customer_cash_passed_on_share_30d"
    assert features([name], at=days(3), transactions=rows)[name].item() == pytest.approx(share)


# geography

WATCH = CountryList(
    name="watch",
    english="watched countries",
    chinese="关注国家名单",
    source="test",
    verified_on="2024-01-01",
    entries=[
        {"country": "PA", "since": "2024-03-06", "until": "2024-03-11"},
        {"country": "KP", "since": "2011-02-25"},
    ],
)


def test_a_payment_is_held_against_the_list_of_its_own_day():
    countries = ["PA", "PA", "PA", "PA", "KP", "DE", None]
    when = [4.99, 5.0, 9.99, 10.0, 11.0, 12.0, 13.0]
    amounts = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]
    rows = paid(
        *(
            {"event_time": days(n), "amount": amount, "country": country}
            for n, amount, country in zip(when, amounts, countries, strict=True)
        )
    )
    config = {"country_lists": (WATCH,)}
    own = features(["payment_watch"], config=config, transactions=rows)["payment_watch"]
    assert own.tolist()[:6] == [0, 1, 1, 0, 1, 0]
    assert np.isnan(own.iloc[6])
    expected = {
        "customer_watch_count_30d": 3,
        "customer_watch_share_30d": (2 + 4 + 16) / 127,
    }
    got = features(expected, at=days(20), config=config, transactions=rows).loc["a"]
    assert got.to_dict() == pytest.approx(expected)


def test_the_profile_is_held_against_the_list_at_the_decision():
    customers = people("a", "b", residence_country=["PA", "DE"], nationality=["DE", "KP"])
    rows = paid({"event_time": days(-3), "amount": 1.0})
    names = ["residence_watch", "nationality_watch"]
    listed = [
        features(
            names, at=days(n), config={"country_lists": (WATCH,)},
            transactions=rows, customers=customers,
        ).sort_index().to_numpy().tolist()
        for n in (4, 6, 11)
    ]  # fmt: skip
    assert listed == [[[0, 0], [0, 1]], [[1, 0], [0, 1]], [[0, 0], [0, 1]]]


def test_abroad_is_measured_from_the_residence_known_then():
    customers = pd.concat(
        [
            people("a", since=-700, residence_country=["CN"]),
            people("a", since=2, residence_country=["DE"]),
        ]
    )
    rows = paid(
        {"event_time": days(1), "amount": 10.0, "country": "DE"},
        {"event_time": days(3), "amount": 20.0, "country": "DE"},
        {"event_time": days(4), "amount": 40.0, "country": "CN"},
        {"event_time": days(5), "amount": 80.0, "country": None},
    )
    got = features(["payment_abroad"], transactions=rows, customers=customers)
    assert got["payment_abroad"].tolist()[:3] == [1, 0, 1]
    share = features(
        ["customer_abroad_share_30d"], at=days(9), transactions=rows, customers=customers
    )
    assert share.loc["a"].item() == pytest.approx(50 / 150)


def test_connections_are_counted_by_country():
    seen = [("a", 0, "CN"), ("a", 6, "PA"), ("a", 7, None), ("a", 8, "DE"), ("a", 12, "PA")]
    events = pd.DataFrame(
        [
            {"event_id": f"e{n}", "customer_id": who, "event_time": days(n), "country": country,
             "event_type": "login"}
            for who, n, country in seen
        ]
    )  # fmt: skip
    tables = {
        "events": events,
        "customers": people("a", residence_country=["CN"]),
        "transactions": paid({"event_time": days(-3), "amount": 1.0}),
    }
    expected = {
        "customer_connection_countries_30d": 3,
        "customer_connections_abroad_30d": 3,
        "customer_connections_watch_30d": 1,
    }
    config = {"country_lists": (WATCH,)}
    got = features(expected, at=days(20), config=config, **tables).loc["a"]
    assert got.to_dict() == expected


def test_countries_and_provinces_are_counted_as_new_once_and_as_changed_every_time():
    regions = ["Hebei", "Hebei", "Hunan", None, "Hebei", "Gansu", "Hunan"]
    rows = paid(
        *(
            {
                "event_time": days(n),
                "amount": 2.0**n,
                "region": region,
                "country": "CN" if n < 5 else "DE",
                "direction": "in" if n % 2 else "out",
            }
            for n, region in enumerate(regions)
        )
    )
    own = features(["first_with_region", "payment_changes_region"], transactions=rows)
    known = [place for place, region in enumerate(regions) if region]
    assert own["first_with_region"].iloc[known].tolist() == [1, 0, 1, 0, 1, 0]
    expected = {
        "customer_regions_30d": 3,
        "customer_in_regions_30d": 2,
        "customer_new_regions_30d": 3,
        "customer_countries_30d": 2,
        "customer_new_countries_30d": 2,
        "customer_new_country_share_30d": (2.0**0 + 2.0**5) / sum(2.0**n for n in range(7)),
    }
    got = features(expected, at=days(9), transactions=rows).loc["a"]
    assert got.to_dict() == pytest.approx(expected)


def test_a_change_of_province_is_from_the_transaction_before():
    regions = ["Hebei", "Hebei", "Hunan", "Hebei"]
    rows = paid(
        *({"event_time": days(n), "amount": 1.0, "region": r} for n, r in enumerate(regions))
    )
    own = features(["payment_changes_region"], transactions=rows)["payment_changes_region"]
    assert np.isnan(own.iloc[0])
    assert own.tolist()[1:] == [0, 1, 1]
    got = features(["customer_region_changes_7d"], at=days(5), transactions=rows)
    assert got.loc["a"].item() == 2


# structuring, with the threshold of 50,000 that the defaults name


def cash_rows(seed):
    rng = np.random.default_rng(seed)
    n = 160
    return paid(
        *(
            {
                "event_time": DAY + pd.Timedelta(minutes=int(minute)),
                "amount": float(amount),
                "instrument": str(instrument),
                "direction": str(direction),
                "customer_id": str(customer),
                "counterparty_id": "x",
            }
            for minute, amount, instrument, direction, customer in zip(
                np.sort(rng.choice(60 * 24 * 60, n, replace=False)),
                rng.choice([5e3, 12e3, 2e4, 3e4, 42e3, 46e3, 49_999.0, 5e4, 54e3, 6e4], n),
                rng.choice(["cash", "cash", "cash", "transfer"], n),
                rng.choice(["in", "out"], n),
                rng.choice(["a", "b"], n),
                strict=True,
            )
        )
    )


def split_by_hand(rows, k):
    """For each row: whether it completes a split of k days, and how many times 50,000."""
    found = []
    for row in rows.itertuples():
        start = row.event_time - pd.Timedelta(days=k)
        window = [
            other.amount
            for other in rows.itertuples()
            if other.customer_id == row.customer_id
            and other.direction == row.direction
            and other.instrument == "cash"
            and start <= other.event_time <= row.event_time
        ]
        is_split = row.instrument == "cash" and sum(window) >= 5e4 and max(window) < 5e4
        found.append(sum(window) / 5e4 if is_split else 0.0)
    return np.array(found)


@pytest.mark.parametrize("k", [2, 3, 5])
def test_a_split_is_cash_of_a_few_days_above_the_threshold_and_each_below(k):
    rows = cash_rows(seed=k)
    excess = split_by_hand(rows, k)
    assert 5 < (excess > 0).sum() < 100
    own = features([f"cash_completes_split_{k}d"], transactions=rows)
    np.testing.assert_array_equal(
        own[f"cash_completes_split_{k}d"].loc[rows["transaction_id"]], excess > 0
    )
    at = days(61)
    names = [f"customer_cash_split_{k}d_count_30d", f"customer_cash_split_{k}d_excess_30d"]
    got = features(names, at=at, transactions=rows)
    for customer in ("a", "b"):
        late = (rows["customer_id"] == customer) & (rows["event_time"] >= at - pd.Timedelta("30D"))
        assert got.loc[customer].tolist() == pytest.approx(
            [(excess[late] > 0).sum(), excess[late].max()]
        )


def test_cash_just_below_the_threshold_is_counted_and_held_against_that_just_above():
    rows = cash_rows(seed=0)
    at = days(61)
    names = [
        "customer_cash_near_threshold_count_90d",
        "customer_cash_near_threshold_share_90d",
        "customer_cash_bunching_90d",
    ]
    got = features(names, at=at, transactions=rows)
    for customer in ("a", "b"):
        cash = rows[(rows["customer_id"] == customer) & (rows["instrument"] == "cash")]["amount"]
        near = cash.between(4e4, 5e4, inclusive="left").sum()
        below = cash.between(45e3, 5e4, inclusive="left").sum()
        above = cash.between(5e4, 55e3, inclusive="left").sum()
        expected = [near, near / len(cash), math.log((below + 1) / (above + 1))]
        assert got.loc[customer].tolist() == pytest.approx(expected)
    own = features(["cash_near_threshold"], transactions=rows)["cash_near_threshold"]
    by_hand = (rows["instrument"] == "cash") & rows["amount"].between(4e4, 5e4, inclusive="left")
    np.testing.assert_array_equal(own.loc[rows["transaction_id"]], by_hand)


def test_thresholds_are_those_of_the_configuration():
    rows = paid(
        {"event_time": days(0), "amount": 9_000.0, "instrument": "cash", "direction": "in"},
        {"event_time": days(1), "amount": 9_500.0, "instrument": "cash", "direction": "in"},
        {"event_time": days(2), "amount": 42_000.0, "instrument": "cash", "direction": "in"},
    )
    config = {"amounts": {"cash_report": 10_000.0}}
    got = features(
        ["cash_near_threshold", "cash_completes_split_2d"], config=config, transactions=rows
    )
    assert got.to_numpy().tolist() == [[1, 0], [1, 1], [0, 0]]


def test_a_pair_repeats_amounts_near_the_threshold_within_14_days():
    when = [0, 1, 3, 13, 14, 16, 18, 40]
    amounts = [450e3, 450e3, 499e3, 450e3, 500e3, 420e3, 450e3, 450e3]
    whom = ["x", "x", "y", "x", "x", "x", None, "x"]
    rows = paid(
        *(
            {"event_time": days(n), "amount": amount, "counterparty_id": who, "direction": "out"}
            for n, amount, who in zip(when, amounts, whom, strict=True)
        )
    )

    def of_pair(place):
        return sum(
            400e3 <= amounts[other] < 500e3
            for other in range(place + 1)
            if whom[other] == whom[place] and when[place] - 14 <= when[other]
        )

    expected = [of_pair(place) for place in range(len(when)) if whom[place]]
    own = features(["pair_near_threshold_count_14d"], transactions=rows).iloc[:, 0]
    assert own.drop("t6").tolist() == expected
    assert np.isnan(own["t6"])
    got = features(["customer_pair_near_threshold_max_30d"], at=days(20), transactions=rows)
    assert got.loc["a"].item() == 3


@pytest.mark.parametrize(("gap_hours", "most"), [(11, 3), (12, 3), (13, 2)])
def test_the_busiest_day_is_any_24_hours(gap_hours, most):
    rows = paid(
        *({"event_time": hours(gap_hours * n), "amount": 1.0} for n in range(3)),
        {"event_time": days(9), "amount": 1.0},
    )
    names = ["customer_busiest_day_count_30d", "customer_frequent_day_30d"]
    got = features(names, at=days(20), transactions=rows).loc["a"]
    assert got.tolist() == [most, most >= 3]


# flow-through


def flow_rows():
    return paid(
        {"event_time": hours(0), "amount": 1000.0, "direction": "in", "balance": 1000.0},
        {"event_time": hours(1), "amount": 400.0, "direction": "out", "balance": 600.0},
        {"event_time": hours(30), "amount": 500.0, "direction": "out", "balance": 100.0},
        {"event_time": hours(31), "amount": 200.0, "direction": "in", "balance": 300.0},
        {"event_time": hours(32), "amount": 240.0, "direction": "out", "balance": 60.0},
    )


def test_a_payment_out_is_covered_by_what_came_in_just_before():
    names = ["payment_covered_share_2h", "payment_covered_share_1d", "payment_covered_share_3d"]
    got = features(names, transactions=flow_rows())
    assert got.loc[["t0", "t3"]].isna().all(axis=None)  # money in
    expected = [[1, 1, 1], [0, 0, 1], [200 / 240, 200 / 240, 1]]
    np.testing.assert_allclose(got.loc[["t1", "t2", "t4"]].to_numpy(), expected)


def test_rapid_out_dwell_and_residual_of_a_customer():
    # the last payment takes the 100 left of the first money and 140 of the second
    dwell = [1.0, 30.0, (100 * 32 + 140 * 1) / 240]
    expected = {
        "customer_rapid_out_2h_share_7d": 540 / 1200,
        "customer_rapid_out_24h_share_7d": 540 / 1200,
        "customer_rapid_out_72h_share_30d": 1140 / 1200,
        "customer_dwell_hours_mean_30d": statistics.mean(dwell),
        "customer_dwell_hours_median_90d": statistics.median(dwell),
        "customer_through_ratio_7d": 1140 / 1200,
        "customer_residual_30d": 60 / 1200,
    }
    got = features(expected, at=days(3), transactions=flow_rows()).loc["a"]
    assert got.to_dict() == pytest.approx(expected)


# devices


def test_a_device_is_shared_by_the_customers_who_used_it():
    used = [("a", 0, "d1"), ("b", 1, "d1"), ("c", 2, "d1"), ("a", 3, "d1"), ("a", 4, "d2"),
            ("b", 5, None), ("b", 40, "d1")]  # fmt: skip
    rows = paid(
        *(
            {"event_time": days(n), "amount": 1.0, "customer_id": who, "device_id": device}
            for who, n, device in used
        )
    )
    names = ["device_payment_customers_30d"]
    got = features(names, transactions=rows)["device_payment_customers_30d"]
    assert got.drop("t5").tolist() == [0, 1, 2, 3, 0, 0]
    most = ["customer_payment_device_customers_max_30d", "customer_payment_devices_30d"]
    at_review = features(most, at=days(20), transactions=rows).sort_index()
    assert at_review.to_numpy().tolist() == [[3, 2], [1, 1], [2, 1]]


def test_devices_of_logins_are_new_once_and_shared_too():
    used = [("a", 0, "d1"), ("b", 1, "d1"), ("b", 2, "d1"), ("b", 3, "d2"), ("a", 4, "d2")]
    events = pd.DataFrame(
        [
            {"event_id": f"e{n}", "customer_id": who, "event_time": days(n), "device_id": device,
             "event_type": "login"}
            for who, n, device in used
        ]
    )  # fmt: skip
    rows = paid({"event_time": days(9), "amount": 1.0, "device_id": "d2"})
    names = ["customer_new_event_devices_30d", "customer_event_device_customers_max_30d"]
    tables = {"transactions": rows, "events": events, "customers": people("a", "b")}
    got = features(names, at=days(20), **tables).sort_index()
    assert got.to_numpy().tolist() == [[2, 1], [2, 2]]
    own = features(["device_event_customers_7d"], **tables)
    assert own.iloc[0].item() == 2


# profile


def account_rows():
    states = [
        ("a1", -400, "open"), ("a1", -80, "frozen"), ("a1", -70, "open"), ("a2", -60, "open"),
        ("a2", -10, "closed"), ("a3", -50, "open"), ("a3", -30, "closed"), ("a4", -200, "open"),
        ("a4", -100, "closed"),
    ]  # fmt: skip
    return pd.DataFrame(
        [
            {"account_id": account, "customer_id": "a", "event_time": days(n),
             "known_at": days(n), "status": status}
            for account, n, status in states
        ]
    )  # fmt: skip


def test_accounts_are_opened_used_and_closed():
    moved = [("a2", -25, 1.0), ("a2", -24, 2.0), ("a2", -11, 4.0), ("a3", -31, 800.0),
             ("a1", -11, 16.0), ("a2", -10, 32.0)]  # fmt: skip
    rows = paid(
        *(
            {"event_time": days(n), "amount": amount, "account_id": account}
            for account, n, amount in moved
        )
    )
    expected = {
        "customer_accounts_opened_90d": 2,  # a1 was only unfrozen
        "customer_accounts_closed_90d": 2,
        "customer_accounts_opened_365d": 3,
        "customer_accounts_closed_365d": 3,
        "customer_moved_before_closing_14d": 6,
        "customer_moved_before_closing_14d_max_365d": 800,
    }
    got = features(expected, at=days(0), transactions=rows, accounts=account_rows()).loc["a"]
    assert got.to_dict() == pytest.approx(expected)
    own = features(["account_hours_since_opened"], transactions=rows, accounts=account_rows())
    by_row = own["account_hours_since_opened"]
    assert by_row["t4"] == pytest.approx(24 * (70 - 11))  # opened again
    assert by_row["t0"] == pytest.approx(24 * (60 - 25))


@pytest.mark.parametrize(("n", "expired"), [(9.9, 0), (10.5, 0), (10.99, 0), (11.01, 1)])
def test_a_document_expires_when_its_last_day_ends(n, expired):
    customers = people("a", document_expiry=[days(10).date()])
    rows = paid({"event_time": days(1), "amount": 1.0})
    name = "profile_document_expired"
    got = features([name], at=days(n), transactions=rows, customers=customers)
    assert got[name].item() == expired


def test_inflow_is_held_against_a_quarter_of_the_declared_income():
    rows = paid(
        {"event_time": days(-80), "amount": 700.0, "direction": "in"},
        {"event_time": days(-8), "amount": 300.0, "direction": "in"},
        {"event_time": days(-7), "amount": 999.0, "direction": "out"},
    )
    customers = people("a", declared_income=[2_000.0])
    name = "profile_inflow_90d_to_quarter_income"
    got = features([name], at=days(0), transactions=rows, customers=customers)
    assert got[name].item() == pytest.approx(1000 / 500)


def test_money_from_entities_and_to_persons_is_known_by_the_counterparty_s_profile():
    customers = people("a", "e", "p", customer_type=["person", "entity", "person"])
    rows = paid(
        {"event_time": days(-9), "amount": 10.0, "direction": "in", "counterparty_id": "e"},
        {"event_time": days(-8), "amount": 20.0, "direction": "in", "counterparty_id": "p"},
        {"event_time": days(-7), "amount": 40.0, "direction": "in", "counterparty_id": "other"},
        {"event_time": days(-6), "amount": 80.0, "direction": "out", "counterparty_id": "p"},
        {"event_time": days(-5), "amount": 16.0, "direction": "out", "counterparty_id": "e"},
    )
    tables = {"transactions": rows, "customers": customers}
    own = features(["counterparty_customer_type"], **tables).iloc[:, 0]
    assert own.astype(object).where(own.notna(), None).tolist() == [
        "entity", "person", None, "person", "entity",
    ]  # fmt: skip
    expected = {"customer_in_entity_share_30d": 10 / 70, "customer_out_person_share_30d": 80 / 96}
    got = features(expected, at=days(0), **tables).loc["a"]
    assert got.to_dict() == pytest.approx(expected)


# peers


def test_a_peer_z_is_against_the_peers_of_the_first_of_the_month():
    rng = np.random.default_rng(4)
    n = 50
    customers = [f"c{place:02d}" for place in range(n)]
    kind = np.where(np.arange(n) < 25, "teacher", "trader")
    rows = []
    for customer, when in itertools.product(customers, (-20, 3)):
        amount = float(np.round(rng.lognormal(5, 1), 2))
        rows.append({"customer_id": customer, "event_time": days(when), "amount": amount,
                     "direction": "in"})  # fmt: skip
    transactions = paid(*rows)
    profile = people(*customers, segment=["retail"] * n, industry=list(kind))
    at = days(9)  # the 10th of March: the peers' values are those of the 1st
    name = "customer_in_sum_30d"
    got = features([f"{name}_peer_z"], at=at, transactions=transactions, customers=profile)
    received = transactions.assign(n=(transactions["event_time"] - DAY).dt.days)
    first = received[received["n"] == -20].set_index("customer_id")["amount"]
    now = received.groupby("customer_id")["amount"].sum()
    for customer in customers:
        same = first[[c for c, k in zip(customers, kind, strict=True)
                      if k == kind[customers.index(customer)]]]  # fmt: skip
        middle = statistics.median(same)
        mad = statistics.median(abs(same - middle))
        expected = (now[customer] - middle) / (1.4826 * mad)
        assert got.loc[customer].item() == pytest.approx(expected)


# network


def ring(*, keep=0.95):
    """Give money sent round a, b, c and back to a, and payments to others besides."""
    hops = [("a", "b", 0), ("b", "c", 5), ("c", "a", 11)]
    rows, amount = [], 1000.0
    for payer, payee, hour in hops:
        rows += [
            {"customer_id": payer, "counterparty_id": payee, "direction": "out",
             "event_time": hours(hour), "amount": amount},
            {"customer_id": payee, "counterparty_id": payer, "direction": "in",
             "event_time": hours(hour), "amount": amount},
        ]  # fmt: skip
        amount *= keep
    rows.append({"customer_id": "a", "counterparty_id": "shop", "direction": "out",
                 "event_time": hours(20), "amount": 97.5})  # fmt: skip
    return paid(*rows)


def test_a_ring_is_a_cycle_of_each_of_its_members():
    closing = 1000.0 * 0.95**2
    names = [
        "customer_cycles_30d",
        "customer_cycle_length_min_90d",
        "customer_cycle_length_max_90d",
        "customer_cycle_sum_30d",
    ]
    got = features(names, at=days(9), transactions=ring()).sort_index()
    assert got.index.tolist() == ["a", "b", "c"]
    for customer in "abc":
        assert got.loc[customer].tolist() == pytest.approx([1, 3, 3, closing])
    share = features(["customer_cycle_share_30d"], at=days(9), transactions=ring())
    assert share.loc["a"].item() == pytest.approx(closing / 1097.5)
    assert share.loc["b"].item() == pytest.approx(closing / 950)


def test_a_ring_is_unseen_before_its_last_payment_and_when_too_little_returns():
    names = ["customer_cycles_30d"]
    assert features(names, at=hours(11), transactions=ring())["customer_cycles_30d"].sum() == 0
    poor = features(names, at=days(9), transactions=ring(keep=0.5))
    assert poor["customer_cycles_30d"].sum() == 0


def sent(*payments):
    """Give payments out as (payer, payee, hour, amount), and all payers and payees as customers."""
    rows = paid(
        *(
            {"customer_id": payer, "counterparty_id": payee, "direction": "out",
             "event_time": hours(hour), "amount": amount}
            for payer, payee, hour, amount in payments
        )
    )  # fmt: skip
    names = sorted({name for payer, payee, _, _ in payments for name in (payer, payee)})
    return {"transactions": rows, "customers": people(*names)}


def test_scattered_money_is_gathered_through_intermediaries():
    tables = sent(("s", "m", 0, 100.0), ("s", "n", 1, 200.0), ("m", "d", 8, 95.0),
                  ("n", "d", 9, 190.0))  # fmt: skip
    names = ["customer_scatters_30d", "customer_scatter_gathers_30d"]
    got = features(names, at=days(9), **tables)
    assert got["customer_scatters_30d"].to_dict() == {"s": 1, "m": 0, "n": 0, "d": 0}
    assert got["customer_scatter_gathers_30d"].to_dict() == {"s": 0, "m": 0, "n": 0, "d": 1}
    share = features(["customer_scatter_relay_share_30d"], at=days(9), **tables).iloc[:, 0]
    assert share[["s", "n"]].tolist() == [0, 1]
    more = ["customer_scatter_relays_30d", "customer_scatter_gather_width_90d"]
    relays = features(more, at=days(9), **tables)
    assert relays.loc["n", "customer_scatter_relays_30d"] == 1
    assert relays.loc[["s", "d"], "customer_scatter_gather_width_90d"].tolist() == [2, 2]


def test_gathered_money_is_scattered_by_a_hub():
    tables = sent(("p", "h", 0, 100.0), ("q", "h", 1, 200.0), ("h", "x", 8, 140.0),
                  ("h", "y", 9, 150.0))  # fmt: skip
    names = ["customer_gather_scatters_30d", "customer_gather_scatter_width_90d"]
    got = features(names, at=days(9), **tables)
    assert got.loc["h"].tolist() == [1, 2]
    assert got["customer_gather_scatters_30d"].sum() == 1


def test_layers_are_counted_for_who_begins_passes_on_and_receives():
    tables = sent(("a", "b", 0, 100.0), ("b", "c", 8, 90.0), ("c", "d", 20, 81.0))
    names = [
        "customer_stack_origins_30d",
        "customer_stack_payments_30d",
        "customer_stack_receipts_30d",
    ]
    got = features(names, at=days(9), **tables)
    assert {who: got.loc[who].tolist() for who in "abcd"} == {
        "a": [2, 0, 0], "b": [0, 1, 0], "c": [0, 1, 1], "d": [0, 0, 1],
    }  # fmt: skip
    share = features(["customer_stack_share_30d"], at=days(9), **tables).iloc[:, 0]
    assert share[["a", "b", "c"]].tolist() == [0, 1, 1]
    depth = features(["customer_stack_depth_90d"], at=days(9), **tables).iloc[:, 0]
    assert depth[["b", "c", "d"]].tolist() == [2, 3, 3]


def test_payers_share_payees():
    tables = sent(("u", "x", 0, 10.0), ("v", "x", 1, 20.0), ("v", "y", 2, 30.0),
                  ("u", "y", 3, 40.0))  # fmt: skip
    got = features(["customer_butterflies_30d"], at=days(9), **tables).iloc[:, 0]
    assert got.to_dict() == {"u": 1, "v": 0, "x": 0, "y": 0}


def test_the_fewer_of_payers_and_payees_are_counted():
    rows = paid(
        *(
            {"event_time": days(n), "amount": 1.0, "direction": direction, "counterparty_id": who}
            for n, (direction, who) in enumerate(
                [("in", "u"), ("in", "v"), ("in", "w"), ("out", "x"), ("out", "y"), ("out", "x")]
            )
        )
    )
    got = features(["customer_gather_scatter_sides_30d"], at=days(9), transactions=rows)
    assert got.loc["a"].item() == 2
