import numpy as np
import pandas as pd
import pytest

from kyc_ml.onboarding.synthetic import vocabulary as v
from kyc_ml.onboarding.synthetic.settings import DAY
from kyc_ml.onboarding.synthetic.whereabouts import Whereabouts, draw_elsewhere

BURSTS = ("account_takeover", "stolen_card")


@pytest.fixture(scope="module")
def ordered(rows):
    """Outgoing payments in a known province by customers who mostly order somewhere."""
    out = rows[(rows["direction"] == "out") & rows["region"].notna()].copy()
    out["home"] = out.groupby("customer_id")["region"].transform(lambda r: r.mode().iloc[0])
    out["away"] = out["region"] != out["home"]
    return out


def test_regions_are_provinces(rows):
    assert set(rows["region"].dropna()) == set(v.PROVINCES)


def test_most_payments_are_ordered_at_home_and_some_on_the_way(ordered):
    calm = ordered[ordered["true_probability"] < 0.2]
    assert 0.02 < calm["away"].mean() < 0.08
    assert calm.groupby("customer_id")["away"].any().mean() > 0.5


def test_a_trip_lasts_for_days_and_leads_to_one_province(ordered):
    calm = ordered[ordered["true_probability"] < 0.2].sort_values(["customer_id", "event_time"])
    following = calm.groupby("customer_id")[["region", "event_time"]].shift(-1)
    soon = following["event_time"] - calm["event_time"] < pd.Timedelta(days=1)
    on_trip = calm["away"] & soon
    assert on_trip.sum() > 200
    same = following["region"] == calm["region"]
    assert same[on_trip].mean() > 0.75
    assert same[~calm["away"] & soon].mean() > 0.97


def test_bursts_of_fraud_are_more_often_ordered_elsewhere(ordered):
    fraud = ordered[ordered["typology"].isin(BURSTS)]
    alike = ordered[(ordered["true_probability"] > 0.2) & ~ordered["true_fraud"]]
    honest = ordered[ordered["true_probability"] < 0.2]
    for typology in BURSTS:
        assert 0.25 < fraud.loc[fraud["typology"] == typology, "away"].mean() < 0.8
    assert honest["away"].mean() < alike["away"].mean() < fraud["away"].mean()


def test_no_province_is_known_abroad_only(rows, bank):
    people = bank.tables["customers"].to_pandas()
    homes = people.groupby("customer_id")["residence_country"].agg(set)
    resident = homes.index[homes.map(lambda countries: countries == {"CN"})]
    unknown = rows["region"].isna()
    remote = rows["channel"].isin(["online", "mobile"])
    abroad = rows["country"] != "CN"
    shop = (rows["channel"] == "pos") & abroad
    received = (rows["direction"] == "in") & (rows["instrument"] == "transfer")
    strange = received & abroad
    traveller = remote & ~rows["customer_id"].isin(resident)
    assert unknown[shop].all()
    assert not (unknown & ~shop & ~strange & ~traveller).any()
    assert 0.01 < unknown.mean() < 0.08


def test_both_sides_of_a_transfer_between_customers_name_one_province(rows):
    inside = rows[rows["counterparty_id"].str.startswith("C", na=False)].fillna({"region": "-"})
    out, into = (inside[inside["direction"] == side] for side in ("out", "in"))
    sent = out.sort_values(["customer_id", "counterparty_id", "amount"])
    got = into.sort_values(["counterparty_id", "customer_id", "amount"])
    assert sent["region"].tolist() == got["region"].tolist()


def test_gathered_money_comes_from_more_provinces_than_other_money(rows):
    into = rows[(rows["direction"] == "in") & (rows["instrument"] == "transfer")]
    own = rows[rows["direction"] == "out"].groupby("customer_id")["region"]
    home = into["customer_id"].map(own.agg(lambda r: r.mode().get(0)))
    away = (into["region"] != home) & into["region"].notna()
    assert away[into["typology"] == "fan_in"].mean() > 0.6
    assert away[into["typology"].isna()].mean() < 0.4


@pytest.mark.parametrize(
    ("customer", "day", "place"),
    [
        (0, 9, (3, False)),
        (0, 10, (7, True)),
        (0, 12, (8, True)),  # the later of two trips
        (0, 13, (3, False)),  # and then home
        (1, 99, (5, False)),
        (2, 0, (9, True)),
        (2, 2, (1, False)),
    ],
)
def test_a_trip_counts_its_days_from_its_first(customer, day, place):
    trips = Whereabouts(
        start=0,
        calendar=200,
        home=np.array([3, 5, 1]),
        external=np.zeros(0, dtype=np.int64),
        departure=np.array([10, 12, 2 * 200]),
        days=np.array([20, 1, 2]),
        goal=np.array([7, 8, 9]),
    )
    for moment in (0, DAY - 1):
        province, away = trips.locate(np.array([customer]), np.array([day * DAY + moment]))
        assert (province[0], away[0]) == place


def test_elsewhere_is_never_home():
    home = np.repeat(np.arange(len(v.PROVINCES)), 200)
    elsewhere = draw_elsewhere(home, rng=np.random.default_rng(0))
    assert (elsewhere != home).all()
    assert set(elsewhere) == set(home)
