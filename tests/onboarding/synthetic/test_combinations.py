"""What makes the bank worth a model: combinations tell what no sign alone tells."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from kyc_ml.onboarding.synthetic import rhythm
from kyc_ml.onboarding.synthetic.bank import make_bank
from kyc_ml.onboarding.synthetic.settings import BankConfig

ZONE = "Asia/Shanghai"
NO_SIGN_ALONE = 0.8
"""Highest AUC of one sign of a payment."""


@pytest.fixture(scope="module")
def paid(rows, bank):
    """Outgoing payments with signs, each computed from the tables alone."""
    local = rows["event_time"].dt.tz_convert(ZONE)
    out = rows[rows["direction"] == "out"]
    first = rows.groupby(["customer_id", "device_id"])["event_time"].transform("min")
    paid = out.assign(
        large=out["amount"] / out.groupby("customer_id")["amount"].transform("median"),
        night=local.dt.hour < 6,
        hour=local.dt.hour,
        device=rows["event_time"] - first < pd.Timedelta(days=1),
        payee=~out.duplicated(["customer_id", "counterparty_id"]),
        abroad=rows["country"] != "CN",
        pace=-out.groupby("customer_id")["event_time"].diff().dt.total_seconds().fillna(1e9),
    )
    return paid[paid.groupby("customer_id").cumcount() > 3]


@pytest.mark.parametrize(
    "sign", ["large", "night", "device", "payee", "hour", "abroad", "pace", "amount"]
)
def test_no_sign_alone_tells_fraud(paid, sign):
    auc = roc_auc_score(paid["true_fraud"], paid[sign])
    assert max(auc, 1.0 - auc) < NO_SIGN_ALONE


def test_a_device_and_an_hour_tell_fraud_only_together(paid):
    """Among quick large transfers to new payees neither says much alone."""
    burst = paid[paid["payee"] & (paid["large"] > 2.0) & (paid["pace"] > -3600.0)]
    burst = burst[(burst["instrument"] == "transfer") & burst["device_id"].notna()]
    rate = burst.groupby(["device", "night"])["true_fraud"].mean()
    assert min(rate[True, True], rate[False, False]) > 1.5 * max(
        rate[True, False], rate[False, True]
    )
    for sign in ("device", "night"):
        one, other = burst.groupby(sign)["true_fraud"].mean()
        assert 1 / 3 < one / other < 3


def test_conduct_is_business_for_one_and_laundering_for_another(bank):
    people = bank.answer_key["customers"].to_pandas()
    profile = bank.tables["customers"].to_pandas().drop_duplicates("customer_id")
    industry = people["customer_id"].map(profile.set_index("customer_id")["industry"])
    salary = industry.isin(["employee", "civil_servant", "teacher", "nurse", "retired", "student"])
    guilty = people["true_launderer"] & people["true_probability"].lt(1.0)
    for typology, salaried in (("fan_in", True), ("flow_through", False)):
        of = guilty & people["typology"].eq(typology)
        assert (salary[of] == salaried).mean() > 0.85
    # so that how a customer earns says little by itself
    drawn = people["true_launderer"] | people["look_alike"]
    shares = people["true_launderer"][drawn].groupby(salary[drawn]).mean()
    assert 0.6 < shares[True] / shares[False] < 1.7


def test_the_year_has_its_days(rows):
    everyday = rows[~rows["look_alike"] & rows["typology"].isna()]
    local = everyday["event_time"].dt.tz_convert(ZONE)
    days = local.dt.normalize().value_counts().sort_index()
    days.index = days.index.tz_localize(None)
    usual = days.rolling(29, center=True, min_periods=10).median()
    ratio = days / usual
    assert ratio[pd.Timestamp("2024-11-11")] > 1.5
    assert ratio[pd.Timestamp("2024-06-18")] > 1.15
    assert ratio[pd.Timestamp("2024-02-10") : pd.Timestamp("2024-02-16")].mean() < 0.85
    assert ratio[pd.Timestamp("2024-01-28") : pd.Timestamp("2024-02-08")].mean() > 1.05


@pytest.mark.parametrize(
    ("year", "month", "day"),
    [(2020, 1, 25), (2023, 1, 22), (2024, 2, 10), (2025, 1, 29), (2026, 2, 17), (2033, 1, 31)],
)
def test_the_spring_festival_is_right_to_a_day(year, month, day):
    wrong = rhythm.spring_festival(year) - pd.Timestamp(year, month, day).date()
    assert abs(wrong.days) <= 1


@pytest.mark.parametrize("trend", [-0.6, 0.0, 0.5])
def test_a_trend_grows_as_stated(trend):
    part = rhythm.follow_trend(np.arange(40_000) / 40_000, trend)
    assert part.min() >= 0.0
    assert part.max() < 1.0
    first, second = (part < 0.5).mean(), (part >= 0.5).mean()
    assert second - first == pytest.approx(trend / 2, abs=0.02)


def test_behaviour_drifts():
    bank = make_bank(BankConfig(transactions=60_000, days=720, seed=2))
    rows = bank.tables["transactions"].to_pandas()
    rows = rows[~bank.answer_key["transactions"]["look_alike"].to_numpy()]
    late = rows["event_time"] > rows["event_time"].min() + pd.Timedelta(days=360)
    remote = rows["channel"].isin(["online", "mobile"]) & (rows["direction"] == "out")
    mobile = (rows["channel"] == "mobile")[remote].groupby(late).mean()
    assert mobile[True] > mobile[False] + 0.05
    cash = ((rows["instrument"] == "cash") & (rows["direction"] == "out")).groupby(late).mean()
    assert cash[True] < 0.97 * cash[False]
