"""Velocity, amounts, timing, counterparties, novelty, dormancy: against plain Python.

`Past` looks the rows of a key up one by one, as the declaration says in words, and the
functions of `BOTH` and `OWN` do the arithmetic with the standard library. Two sources are read
so: a few dozen rows of a seeded generator, late ones among them, and the synthetic bank.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from kyc_ml.config import AmountsOfInterest, DatasetConfig, FeatureConfig
from kyc_ml.contract.memory import contract_tables
from kyc_ml.dataset import make_observations, make_reviews_at
from kyc_ml.features import build_features, choose_features

FAMILIES = ("velocity", "amounts", "timing", "counterparties", "novelty", "dormancy")
START = pd.Timestamp("2023-01-01", tz="UTC")
DAY = pd.Timedelta(days=1)
HOUR = pd.Timedelta(hours=1)
NAN = math.nan


class Past:
    """What was known of earlier transactions, row by row."""

    def __init__(self, source):
        rows = source.tables["transactions"].to_pandas()
        local = rows["event_time"].dt.tz_convert(source.timezone)
        rows["hour"], rows["weekday"] = local.dt.hour, local.dt.day_of_week
        self.rows = rows.sort_values(["event_time", "known_at"], kind="stable")
        self.of_customer = dict(list(self.rows.groupby("customer_id")))
        self.none = self.rows.iloc[:0]

    def seen(self, when, days=None, *, lag=0, **key):
        """Rows of a key that happened in [when - lag - days, when - lag), known by `when`."""
        customer = key.pop("customer_id", None)
        rows = self.rows if customer is None else self.of_customer.get(customer, self.none)
        end = when - lag * DAY
        kept = (rows["event_time"] < end) & (rows["known_at"] <= when)
        if days is not None:
            kept &= rows["event_time"] >= end - days * DAY
        for column, value in key.items():
            kept &= rows[column] == value
        return rows[kept]

    def mine(self, own, days=None, *, lag=0, **key):
        """Rows of the customer that an observation, or an earlier row, saw."""
        return self.seen(moment_of(own), days, lag=lag, customer_id=own.customer_id, **key)

    def with_counterparty(self, own, days=None, *, lag=0):
        if not isinstance(own.counterparty_id, str):
            return self.none
        return self.mine(own, days, lag=lag, counterparty_id=own.counterparty_id)


def moment_of(own):
    return own.decision_time if hasattr(own, "decision_time") else own.event_time


def hours_between(later, earlier):
    return (later - earlier) / HOUR


def gaps(rows):
    times = sorted(rows["event_time"])
    return [hours_between(after, before) for before, after in pairwise(times)]


def mean(values):
    return statistics.fmean(values) if len(values) else NAN


def std(values):
    return statistics.stdev(values) if len(values) > 1 else NAN


def over(above, below):
    return above / below if below else NAN


def shares(rows, column, weight=None):
    """Share of each value of a column in the number of rows, or in their weight."""
    sums = Counter()
    for row in rows[rows[column].notna()].itertuples():
        sums[getattr(row, column)] += 1 if weight is None else getattr(row, weight)
    total = math.fsum(sums.values())
    return [value / total for value in sums.values()] if total else []


def herfindahl(parts):
    return math.fsum(part * part for part in parts) if parts else NAN


def entropy(parts):
    return -math.fsum(part * math.log(part) for part in parts if part) if parts else NAN


def rank(values, own):
    if not len(values):
        return NAN
    return (sum(v < own for v in values) + 0.5 * sum(v == own for v in values)) / len(values)


def decayed(past, own, half_life_days, weight=lambda row: 1.0):
    when = moment_of(own)
    return math.fsum(
        weight(row) * 2 ** (-((when - row.event_time) / DAY) / half_life_days)
        for row in past.mine(own).itertuples()
    )


def surprise(past, own, column, days):
    when = moment_of(own)
    value = getattr(own, column)
    everyone = past.seen(when, 365)
    if not len(everyone):
        return NAN
    prior = (everyone[column] == value).mean()
    history = past.mine(own, days)
    share = ((history[column] == value).sum() + 5 * prior) / (len(history) + 5)
    return -math.log(share) if share > 0 else NAN


def firsts(past, rows, column="counterparty_id"):
    """Number of rows that were their customer's first with what the column names."""
    return sum(
        past.mine(row, **{column: getattr(row, column)}).empty
        for row in rows[rows[column].notna()].itertuples()
    )


def new_amount_share(past, own, days):
    rows = past.mine(own, days)
    new = math.fsum(
        row.amount
        for row in rows.itertuples()
        if isinstance(row.counterparty_id, str) and past.with_counterparty(row, lag=30).empty
    )
    return over(new, math.fsum(rows["amount"]))


def silences(past, own, days):
    """Hours between each row and the latest one it saw."""
    found = []
    for row in past.mine(own, days).itertuples():
        before = past.mine(row)
        if not before.empty:
            found.append(hours_between(row.event_time, before["event_time"].max()))
    return found


def before(past, own):
    return mean(past.mine(own, 90, lag=14)["amount"])


def raised(past, own, days=14):
    """Flag the rows that were at least three times the mean amount before them."""
    rows = list(past.mine(own, days).itertuples())
    ratios = [over(row.amount, before(past, row)) for row in rows]
    return [float(ratio >= 3) for ratio in ratios if not math.isnan(ratio)]


def hours_since_raised_began(past, own):
    for row in past.mine(own).sort_values("event_time", ascending=False).itertuples():
        if over(row.amount, before(past, row)) >= 3 and not sum(raised(past, row)):
            return hours_between(moment_of(own), row.event_time)
    return NAN


def reactivated(past, own, days):
    ended = any(hours >= 24 * days for hours in silences(past, own, 30))
    flow = math.fsum(past.mine(own, 14)["amount"])
    monthly = math.fsum(past.mine(own, 365, lag=14)["amount"]) / 12
    return float(ended and flow >= max(REPORT, 5 * monthly))


def reactivates(past, own, days):
    before = past.mine(own)
    if before.empty:
        return NAN
    silent = hours_between(own.decision_time, before["event_time"].max()) >= 24 * days
    monthly = math.fsum(past.mine(own, 365, lag=14)["amount"]) / 12
    return float(silent and own.amount >= max(REPORT, 5 * monthly))


def probe_then_big(past, own):
    if not isinstance(own.counterparty_id, str):
        return NAN
    place = rank(past.mine(own, 90)["amount"], own.amount)
    probes = (past.with_counterparty(own, 1 / 24)["amount"] <= PROBE).sum()
    return NAN if math.isnan(place) else float(probes >= 1 and place >= 0.95)


def trailing_zeros(amount):
    text = f"{amount:.6f}"
    whole, fraction = text.split(".")
    return len(whole) - len(whole.rstrip("0")) if int(fraction) == 0 and int(whole) else 0


REPORT, ROUND, PROBE = 5_000.0, 100.0, 10.0
AMOUNTS = AmountsOfInterest(transfer_report=REPORT, round_to=ROUND, probe=PROBE)
BOTH = {
    "customer_count_6h": lambda p, o: len(p.mine(o, 0.25)),
    "customer_amount_sum_14d": lambda p, o: math.fsum(p.mine(o, 14)["amount"]),
    "customer_in_sum_365d": lambda p, o: math.fsum(p.mine(o, 365, direction="in")["amount"]),
    "customer_out_count_1d": lambda p, o: len(p.mine(o, 1, direction="out")),
    "customer_count_half_life_1d": lambda p, o: decayed(p, o, 1),
    "customer_count_half_life_30d": lambda p, o: decayed(p, o, 30),
    "customer_amount_sum_half_life_7d": lambda p, o: decayed(p, o, 7, lambda row: row.amount),
    "customer_amount_sum_7d_to_90d": lambda p, o: over(
        math.fsum(p.mine(o, 7)["amount"]), math.fsum(p.mine(o, 90)["amount"])
    ),
    "customer_amount_median_90d": lambda p, o: (
        statistics.median(p.mine(o, 90)["amount"]) if len(p.mine(o, 90)) else NAN
    ),
    "customer_round_share_90d": lambda p, o: mean(
        [float(v > 0 and v % ROUND == 0) for v in p.mine(o, 90)["amount"]]
    ),
    "customer_trailing_zeros_mean_90d": lambda p, o: mean(
        [trailing_zeros(v) for v in p.mine(o, 90)["amount"]]
    ),
    "customer_repeated_amount_share_30d": lambda p, o: max(
        shares(p.mine(o, 30), "amount"), default=NAN
    ),
    "customer_probe_count_1d": lambda p, o: (p.mine(o, 1)["amount"] <= PROBE).sum(),
    "customer_night_amount_share_90d": lambda p, o: over(
        math.fsum(row.amount for row in p.mine(o, 90).itertuples() if row.hour < 6),
        math.fsum(p.mine(o, 90)["amount"]),
    ),
    "customer_hour_surprise_mean_30d": lambda p, o: mean(
        [
            value
            for row in p.mine(o, 30).itertuples()
            if not math.isnan(value := surprise(p, row, "hour", 90))
        ]
    ),
    "customer_hour_entropy_90d": lambda p, o: entropy(shares(p.mine(o, 90), "hour")),
    "customer_gap_mean_hours_30d": lambda p, o: mean(gaps(p.mine(o, 30))),
    "customer_gap_std_hours_90d": lambda p, o: std(gaps(p.mine(o, 90))),
    "customer_gap_variation_90d": lambda p, o: over(
        std(gaps(p.mine(o, 90))), mean(gaps(p.mine(o, 90)))
    ),
    "customer_hours_since_last_to_gap_mean_90d": lambda p, o: over(
        hours_between(moment_of(o), p.mine(o)["event_time"].max()), mean(gaps(p.mine(o, 90)))
    ),
    "customer_gap_min_hours_7d": lambda p, o: min(silences(p, o, 7), default=NAN),
    "customer_counterparty_first_share_count_30d": lambda p, o: max(
        shares(p.mine(o, 30), "counterparty_id"), default=NAN
    ),
    "customer_counterparty_entropy_count_90d": lambda p, o: entropy(
        shares(p.mine(o, 90), "counterparty_id")
    ),
    "customer_counterparty_herfindahl_amount_90d": lambda p, o: herfindahl(
        shares(p.mine(o, 90), "counterparty_id", "amount")
    ),
    "customer_payer_entropy_amount_90d": lambda p, o: entropy(
        shares(p.mine(o, 90, direction="in"), "counterparty_id", "amount")
    ),
    "customer_fan_in_30d": lambda p, o: (
        p.mine(o, 30, direction="in")["counterparty_id"].nunique()
        * max(
            shares(p.mine(o, 30, direction="out"), "counterparty_id", "amount"),
            default=NAN,
        )
    ),
    "customer_payees_burst_7d": lambda p, o: math.log(
        (p.mine(o, 7, direction="out")["counterparty_id"].nunique() + 1)
        / (p.mine(o, 90, direction="out")["counterparty_id"].nunique() / 13 + 1)
    ),
    "customer_new_counterparties_30d": lambda p, o: firsts(p, p.mine(o, 30)),
    "customer_new_counterparty_share_30d": lambda p, o: over(
        firsts(p, p.mine(o, 30)), p.mine(o, 30)["counterparty_id"].nunique()
    ),
    "customer_new_counterparty_amount_share_30d": lambda p, o: new_amount_share(p, o, 30),
    "customer_new_counterparty_amount_share_90d": lambda p, o: new_amount_share(p, o, 90),
    "customer_new_devices_30d": lambda p, o: firsts(p, p.mine(o, 30), "device_id"),
    "customer_silence_max_days_30d": lambda p, o: max(silences(p, o, 30), default=NAN) / 24,
    "customer_silence_180d_ended_30d": lambda p, o: any(
        hours >= 24 * 180 for hours in silences(p, o, 30)
    ),
    "customer_amount_14d_to_month_before": lambda p, o: over(
        math.fsum(p.mine(o, 14)["amount"]), math.fsum(p.mine(o, 365, lag=14)["amount"]) / 12
    ),
    "customer_reactivated_180d": lambda p, o: reactivated(p, o, 180),
    "customer_reactivated_365d": lambda p, o: reactivated(p, o, 365),
}
OWN = {
    "amount_rank_customer_90d": lambda p, o: rank(p.mine(o, 90)["amount"], o.amount),
    "amount_rank_counterparty_30d": lambda p, o: rank(
        p.seen(moment_of(o), 30, counterparty_id=o.counterparty_id)["amount"], o.amount
    ),
    "counterparty_new_customers_7d": lambda p, o: (
        firsts(p, p.seen(moment_of(o), 7, counterparty_id=o.counterparty_id))
        if isinstance(o.counterparty_id, str)
        else NAN
    ),
    "amount_to_customer_median_90d": lambda p, o: over(
        o.amount, statistics.median(p.mine(o, 90)["amount"]) if len(p.mine(o, 90)) else NAN
    ),
    "amount_to_pair_counterparty_mean_365d": lambda p, o: over(
        o.amount, mean(p.with_counterparty(o, 365)["amount"])
    ),
    "round_amount": lambda _, o: float(o.amount > 0 and o.amount % ROUND == 0),
    "customer_same_amount_count_30d": lambda p, o: len(p.mine(o, 30, amount=o.amount)),
    "probe_then_big_1h": probe_then_big,
    "hour_surprise_90d": lambda p, o: surprise(p, o, "hour", 90),
    "weekday_surprise_180d": lambda p, o: surprise(p, o, "weekday", 180),
    "pair_counterparty_count_30d": lambda p, o: (
        len(p.with_counterparty(o, 30)) if isinstance(o.counterparty_id, str) else NAN
    ),
    "pair_counterparty_amount_share_90d": lambda p, o: (
        over(math.fsum(p.with_counterparty(o, 90)["amount"]), math.fsum(p.mine(o, 90)["amount"]))
        if isinstance(o.counterparty_id, str)
        else NAN
    ),
    "customer_amount_max_14d_to_mean_before": lambda p, o: over(
        max(p.mine(o, 14)["amount"], default=NAN), before(p, o)
    ),
    "customer_raised_count_14d": lambda p, o: sum(raised(p, o)),
    "customer_raised_share_14d": lambda p, o: mean(raised(p, o)),
    "customer_hours_since_raised_began": hours_since_raised_began,
    "reactivates_180d": lambda p, o: reactivates(p, o, 180),
    "reactivates_365d": lambda p, o: reactivates(p, o, 365),
}


def hand_made():
    """Three customers' years: bursts, a long silence, probes, repeated and late payments."""
    rng = np.random.default_rng(7)
    days = {
        "busy": np.sort(rng.uniform(300, 420, 40)),
        "night": np.sort(np.round(rng.uniform(380, 420, 20)) + rng.uniform(0, 0.3, 20)),
        "sleeper": np.r_[rng.uniform(0, 20, 5), 400.0, 400.02, 401.5, 405, 412, 640, 641, 641.02],
    }
    rows = [(who, START + day * DAY) for who, when in days.items() for day in when]
    frame = pd.DataFrame(rows, columns=["customer_id", "event_time"])
    frame["event_time"] = frame["event_time"].dt.floor("min")
    n = len(frame)
    frame["transaction_id"] = [f"t{number}" for number in range(n)]
    frame["amount"] = rng.choice([1.0, 5.0, 10.0, 49.9, 100.0, 100.0, 300.0, 1000.0, 4000.0], n)
    frame["direction"] = rng.choice(["in", "out"], n)
    frame["counterparty_id"] = rng.choice(["shop", "friend", "mule", "rent", None], n)
    frame["device_id"] = rng.choice(["phone", "tablet", "laptop", None], n)
    sleeps = frame["customer_id"] == "sleeper"
    frame.loc[sleeps, "amount"] = [*[20.0] * 5, 8000.0, 30.5, 10.0, 9.99, 70.0, 8000.0, 5.0, 9000.0]
    frame.loc[frame.index[-2:], "counterparty_id"] = "mule"
    late = rng.random(n) < 0.15
    frame["known_at"] = frame["event_time"] + np.where(late, 3, 0) * DAY
    return contract_tables(
        {"transactions": frame}, timezone="Asia/Shanghai", base_currency="CNY"
    ).accepted


def specs_of(unit):
    return choose_features(FeatureConfig(families=FAMILIES, amounts=AMOUNTS), unit=unit)


def observed(source, observations, unit):
    """Features, and the observations with the clock they are read by."""
    features = build_features(source, observations, specs=specs_of(unit)).to_pandas()
    own = observations.to_pandas()
    local = own["decision_time"].dt.tz_convert(source.timezone)
    own["hour"], own["weekday"] = local.dt.hour, local.dt.day_of_week
    return Past(source), features, own


def payments(source, first=None):
    table = make_observations(
        source,
        unit="fraud",
        start=None,
        end=pd.Timestamp("2026-01-01", tz="UTC"),
        config=DatasetConfig(),
    )
    return table if first is None else table.slice(first)


@pytest.fixture(scope="module")
def few():
    source = hand_made()
    return observed(source, payments(source), "fraud")


@pytest.fixture(scope="module")
def sampled(source):
    table = payments(source)
    picked = np.sort(np.random.default_rng(2).choice(table.num_rows, 15, replace=False))
    return observed(source, table.take(picked), "fraud")


@pytest.fixture(scope="module")
def reviewed(source):
    table = make_reviews_at(source, at=pd.Timestamp("2024-04-20", tz="UTC"))
    picked = np.sort(np.random.default_rng(3).choice(table.num_rows, 15, replace=False))
    return observed(source, table.take(picked), "risk")


def check(name, past, features, own):
    function = BOTH[name] if name in BOTH else OWN[name]
    expected = [float(function(past, row)) for row in own.itertuples()]
    np.testing.assert_allclose(features[name], expected, rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("name", [*BOTH, *OWN])
def test_payments_of_a_few_hand_made_rows(few, name):
    check(name, *few)


@pytest.mark.parametrize("name", [*BOTH, *OWN])
def test_payments_of_the_synthetic_bank(sampled, name):
    check(name, *sampled)


@pytest.mark.parametrize("name", BOTH)
def test_reviews_of_the_synthetic_bank(reviewed, name):
    check(name, *reviewed)


@pytest.mark.parametrize("name", [*BOTH, *OWN])
def test_the_hand_made_rows_show_every_feature(few, name):
    values = few[1][name]
    assert len(set(values.dropna())) > 1


def features_of(rows, **amounts):
    """Build features of rows (customer, days after the start, counterparty, amount)."""
    frame = pd.DataFrame(rows, columns=["customer_id", "day", "counterparty_id", "amount"])
    frame["event_time"] = START + frame.pop("day") * DAY
    frame["transaction_id"] = [f"t{number}" for number in range(len(frame))]
    source = contract_tables({"transactions": frame}, base_currency="CNY").accepted
    config = FeatureConfig(
        families=FAMILIES, amounts=AMOUNTS.model_copy(update=amounts) if amounts else AMOUNTS
    )
    specs = choose_features(config, unit="fraud")
    table = build_features(source, payments(source), specs=specs).to_pandas()
    return table.set_index("observation_id").loc[frame["transaction_id"]]


def test_a_rank_counts_ties_half():
    rows = [("a", day, "shop", amount) for day, amount in enumerate((10.0, 20.0, 20.0, 40.0))]
    ranked = features_of([*rows, ("a", 4, "shop", 20.0)])["amount_rank_customer_90d"]
    assert ranked.tolist()[1:] == [1.0, 0.75, 1.0, 0.5]


def test_four_equal_counterparties_have_an_entropy_of_ln_4():
    rows = [("a", day, who, 10.0) for day, who in enumerate("wxyz")]
    row = features_of([*rows, ("a", 5, "w", 10.0)]).iloc[-1]
    assert row["customer_counterparty_entropy_count_30d"] == pytest.approx(math.log(4))
    assert row["customer_counterparty_herfindahl_amount_30d"] == pytest.approx(0.25)
    assert row["customer_counterparty_first_share_amount_30d"] == pytest.approx(0.25)
    assert row["customer_new_counterparties_30d"] == 4


def test_one_counterparty_is_new_once_and_its_amounts_are_new_for_thirty_days():
    rows = [("a", day, "shop", 10.0) for day in (0, 10, 30, 30.5, 31)]
    frame = features_of([*rows, ("a", 32, "shop", 10.0)])
    assert frame["customer_new_counterparties_90d"].tolist() == [0, 1, 1, 1, 1, 1]
    # at day 30 the first payment is exactly 30 days old, and no older; at 30.5 it is older
    share = frame["customer_new_counterparty_amount_share_90d"].iloc[-1]
    assert share == pytest.approx(3 / 5)


def test_the_first_transaction_with_a_counterparty_dates_the_pair():
    rows = [("a", 0, "shop", 10.0), ("a", 1, "bar", 10.0), ("a", 2, "shop", 10.0)]
    frame = features_of([*rows, ("a", 3, "shop", 10.0), ("a", 3.5, "bar", 10.0)])
    since = frame["pair_counterparty_hours_since_first"]
    np.testing.assert_array_equal(since, [NAN, NAN, 48.0, 72.0, 60.0])


def test_a_half_life_halves():
    rows = [("a", 0, "shop", 80.0), ("a", 7, "shop", 40.0), ("a", 14, "shop", 1.0)]
    row = features_of(rows).iloc[-1]
    assert row["customer_amount_sum_half_life_7d"] == pytest.approx(80 / 4 + 40 / 2)
    assert row["customer_count_half_life_7d"] == pytest.approx(1 / 4 + 1 / 2)


def test_evenly_spaced_payments_have_no_variation_of_their_gaps():
    row = features_of([("a", day, "shop", 10.0) for day in (0, 2, 4, 6, 9)]).iloc[-1]
    assert row["customer_gap_mean_hours_30d"] == 48.0
    assert row["customer_gap_std_hours_30d"] == 0.0
    assert row["customer_gap_variation_30d"] == 0.0
    assert row["customer_hours_since_last_to_gap_mean_90d"] == 1.5


def test_a_large_payment_within_an_hour_of_a_probe_to_the_same_counterparty_is_flagged():
    past = [("a", day, "shop", 50.0) for day in range(20)]
    probe = ("a", 25, "mule", PROBE)
    for day, who, amount, flag in (
        (25 + 1 / 24, "mule", 60.0, 1.0),  # the window holds what is exactly an hour old
        (25 + 1.1 / 24, "mule", 60.0, 0.0),
        (25.01, "shop", 60.0, 0.0),
        (25.01, "mule", 20.0, 0.0),
    ):
        frame = features_of([*past, probe, ("a", day, who, amount)])
        assert frame["probe_then_big_1h"].iloc[-1] == flag, (day, who, amount)


def test_what_is_round_or_a_probe_is_the_configurations():
    rows = [("a", 0, "shop", 50.0), ("a", 1, "shop", 10.5), ("a", 1.5, "shop", 1.0)]
    assert features_of(rows)["customer_round_share_30d"].iloc[-1] == 0.0
    row = features_of(rows, round_to=50.0, probe=10.5).iloc[-1]
    assert row["customer_round_share_30d"] == 0.5
    assert row["customer_probe_count_1d"] == 1


def test_a_habitual_hour_surprises_less_than_a_new_one():
    habit = [("a", day + 0.5, "shop", 10.0) for day in range(30)]
    others = [("b", day + hour / 24, "shop", 10.0) for day in range(5) for hour in (3, 12, 20)]
    noon = features_of([*habit, *others, ("a", 40.5, "shop", 10.0)]).iloc[-1]
    night = features_of([*habit, *others, ("a", 40.125, "shop", 10.0)]).iloc[-1]
    # of 45 payments 35 came at noon and 5 at three; of the customer's 30, all and none
    assert noon["hour_surprise_90d"] == pytest.approx(-math.log((30 + 5 * 35 / 45) / 35))
    assert night["hour_surprise_90d"] == pytest.approx(-math.log((0 + 5 * 5 / 45) / 35))


@pytest.mark.parametrize(
    ("silence_days", "amount", "flags"),
    [
        (365, REPORT, (1.0, 1.0)),
        (364, REPORT, (0.0, 1.0)),
        (365, REPORT - 1, (0.0, 0.0)),
        (180, REPORT, (0.0, 1.0)),
        (179, REPORT, (0.0, 0.0)),
    ],
)
def test_a_large_flow_after_a_silence_is_a_reactivation(silence_days, amount, flags):
    first, again = 10, 10 + silence_days
    rows = [("a", day, "shop", 10.0) for day in (0, 5, first)]
    rows += [("a", again, "shop", amount), ("a", again + 1, "shop", 1.0)]
    ends, after = features_of(rows).iloc[-2], features_of(rows).iloc[-1]
    assert (ends["reactivates_365d"], ends["reactivates_180d"]) == flags
    assert (after["customer_reactivated_365d"], after["customer_reactivated_180d"]) == flags
    assert after["customer_silence_max_days_30d"] == silence_days
    assert after["reactivates_180d"] == 0.0


def test_a_flow_that_is_usual_for_the_customer_is_no_reactivation():
    rows = [("a", day, "shop", REPORT * 12) for day in (0, 1)]
    rows += [("a", 190, "shop", REPORT), ("a", 191, "shop", 1.0)]
    frame = features_of(rows)
    assert frame["customer_silence_180d_ended_30d"].iloc[-1] == 1.0
    assert frame["customer_reactivated_180d"].iloc[-1] == 0.0
    assert frame["reactivates_180d"].iloc[-2] == 0.0


def test_later_rows_change_nothing():
    source = hand_made()
    table = source.tables["transactions"]
    observations = payments(source)
    when = observations["decision_time"].to_pandas()
    cut = when.sort_values().iloc[len(when) // 2]
    kept = table.filter(table["event_time"].to_pandas().lt(cut).to_numpy())
    early = observations.filter(when.le(cut).to_numpy())
    expected = build_features(source, early, specs=specs_of("fraud"))
    alone = replace(source, tables={"transactions": kept})
    got = build_features(alone, early, specs=specs_of("fraud"))
    np.testing.assert_array_equal(got.numbers, expected.numbers)
