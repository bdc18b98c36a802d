import numpy as np
import pandas as pd
import pytest

from kyc_ml.features.network.patterns import PATTERN_NAMES, ROLE_NAMES, find_patterns

FRAUDS = {
    "account_takeover",
    "authorised_scam",
    "stolen_card",
    "compromised_terminal",
    "single_misuse",
}
LAUNDERING = {
    "structuring",
    "fan_in",
    "fan_out",
    "flow_through",
    "dormant_reactivation",
    "cycle",
    "scatter_gather",
}
HOUR = pd.Timedelta(hours=1)


def rings(rows, typology):
    found = rows[rows["typology"] == typology]
    assert len(found), f"no {typology}"
    return [ring for _, ring in found.groupby("ring_id")]


def test_every_typology_is_present(bank, small_bank):
    for each in (bank, small_bank):
        truth = each.answer_key["transactions"].to_pandas()
        present = set(truth["typology"].dropna())
        assert LAUNDERING | {"account_takeover", "authorised_scam", "stolen_card"} <= present
        assert set(each.answer_key["customers"].to_pandas()["typology"].dropna()) == LAUNDERING
    assert present <= FRAUDS | LAUNDERING
    assert "compromised_terminal" in set(
        bank.answer_key["transactions"].to_pandas()["typology"].dropna()
    )


def test_fraud_and_laundering_keep_their_shares(rows, bank):
    assert 0.008 < rows["true_fraud"].mean() < 0.012
    people = bank.answer_key["customers"].to_pandas()
    assert 0.10 < people["true_launderer"].mean() < 0.16
    assert (rows["true_fraud"] == rows["typology"].isin(FRAUDS)).all()
    guilty = set(people.loc[people["true_launderer"], "customer_id"])
    assert guilty == set(rows.loc[rows["typology"].isin(LAUNDERING), "customer_id"])


def test_labels_are_drawn_from_the_true_probability(rows):
    probability, fraud = rows["true_probability"], rows["true_fraud"]
    assert probability.between(0.0, 1.0).all()
    assert fraud[probability == 1.0].all()
    assert not fraud[probability == 0.0].any()
    assert fraud.sum() == pytest.approx(probability.sum(), rel=0.15)
    for low, high in [(0.0, 0.02), (0.2, 0.9), (0.9, 0.999)]:
        inside = (low < probability) & (probability <= high)
        assert fraud[inside].mean() == pytest.approx(probability[inside].mean(), abs=0.1)


def test_some_who_look_guilty_are_honest(rows, bank):
    people = bank.answer_key["customers"].to_pandas()
    alike = people[(people["true_probability"] > 0.0) & ~people["true_launderer"]]
    assert len(alike) >= 5
    assert alike[["typology", "start", "end"]].isna().all().all()
    assert alike["look_alike"].all()
    assert not (people["look_alike"] & people["true_launderer"]).any()
    assert people["look_alike"].sum() > people["true_launderer"].sum()
    assert rows["look_alike"].sum() > 3 * rows["true_fraud"].sum()
    assert not (rows["look_alike"] & (rows["true_fraud"] | rows["ring_id"].notna())).any()


def test_a_scheme_starts_and_ends_with_its_payments(rows, bank):
    people = bank.answer_key["customers"].to_pandas().dropna(subset="typology")
    planted = rows[rows["typology"].isin(LAUNDERING)].groupby("customer_id")["event_time"]
    spans = people.set_index("customer_id")
    pd.testing.assert_series_equal(spans["start"], planted.min(), check_names=False)
    pd.testing.assert_series_equal(spans["end"], planted.max(), check_names=False)


def test_structuring_stays_just_below_the_threshold(rows):
    for ring in rings(rows, "structuring"):
        cash = ring[ring["direction"] == "in"]
        assert (cash["instrument"] == "cash").all()
        assert len(cash) >= 3
        assert cash["amount"].between(40_000, 50_000, inclusive="left").all()
        assert cash["amount"].sum() > 50_000


@pytest.mark.parametrize(("typology", "many"), [("fan_in", "in"), ("fan_out", "out")])
def test_fans_join_many_to_few(rows, typology, many):
    for ring in rings(rows, typology):
        one = ring[ring["direction"] == many]
        other = ring[ring["direction"] != many]
        assert one["counterparty_id"].nunique() >= 5
        assert len(one) >= 3 * len(other)
        assert 0.90 <= moved_on(ring) <= 0.98


def test_flow_through_leaves_within_three_days_but_for_a_tenth(rows):
    for ring in rings(rows, "flow_through"):
        hours = (ring["event_time"] - ring["event_time"].min()) / HOUR
        into = hours[ring["direction"] == "in"].to_numpy()
        out = hours[ring["direction"] == "out"].to_numpy()
        wait = out[:, None] - into[None, :]
        soon = (wait > 0.0) & (wait <= 72.0)
        assert soon.any(axis=1).all()
        assert 0.90 <= moved_on(ring) <= 0.98


def test_dormant_accounts_wake_after_a_long_sleep(rows):
    larger = []
    for ring in rings(rows, "dormant_reactivation"):
        first = ring["event_time"].min()
        own = rows[rows["customer_id"] == ring["customer_id"].iloc[0]]
        before = own.loc[own["event_time"] < first, "event_time"]
        assert before.empty or first - before.max() >= pd.Timedelta(days=0.4 * 360)
        larger.append(
            ring["amount"].max() / own.loc[~own.index.isin(ring.index), "amount"].median()
        )
    assert np.nanmedian(larger) > 3


def test_cycles_close_in_strictly_increasing_time(rows):
    for ring in rings(rows, "cycle"):
        out = ring[ring["direction"] == "out"].sort_values("event_time")
        length = out["customer_id"].nunique()
        assert 3 <= length <= 5
        assert len(out) % length == 0
        for start in range(0, len(out), length):
            hops = out.iloc[start : start + length]
            assert hops["event_time"].is_monotonic_increasing
            assert hops["event_time"].is_unique
            payees = hops["counterparty_id"].tolist()
            assert payees == np.roll(hops["customer_id"], -1).tolist()
            kept = hops["amount"].to_numpy()[1:] / hops["amount"].to_numpy()[:-1]
            assert ((kept > 0.86) & (kept < 0.95)).all()


def test_scattered_money_is_gathered_within_three_days_by_one_target(rows):
    for ring in rings(rows, "scatter_gather"):
        out = ring[ring["direction"] == "out"].sort_values("event_time")
        source, between, target = roles(out)
        assert 3 <= len(between) <= 6
        for relay in between:
            into = out[out["counterparty_id"] == relay]
            onward = out[out["customer_id"] == relay]
            assert set(into["customer_id"]) == {source}
            assert set(onward["counterparty_id"]) == {target}
            assert len(into) == len(onward)
            wait = onward["event_time"].to_numpy() - into["event_time"].to_numpy()
            assert (wait > pd.Timedelta(0)).all()
            assert (wait <= pd.Timedelta(days=3)).all()
            kept = onward["amount"].to_numpy() / into["amount"].to_numpy()
            assert ((kept > 0.899) & (kept < 0.981)).all()


@pytest.mark.parametrize("which", ["bank", "small_bank"])
def test_the_engine_finds_each_scattered_flow_in_the_whole_network(which, request):
    tables = request.getfixturevalue(which)
    paid = tables.tables["transactions"].to_pandas()
    paid = paid.join(tables.answer_key["transactions"].to_pandas().drop(columns="transaction_id"))
    paid = paid[(paid["direction"] == "out") & paid["counterparty_id"].notna()]
    names = pd.Index(pd.unique(paid[["customer_id", "counterparty_id"]].to_numpy().ravel()))
    time = paid["event_time"].astype("int64").to_numpy()
    found = find_patterns(
        names.get_indexer(paid["customer_id"]).astype(np.int32),
        names.get_indexer(paid["counterparty_id"]).astype(np.int32),
        time,
        time,  # as if all were known at once: a relay known too late is missed
        paid["amount"].to_numpy(),
        n_nodes=len(names),
    )
    kind = found.pattern == PATTERN_NAMES.index("scatter_gather")
    for ring in rings(paid, "scatter_gather"):
        source, between, target = roles(ring)
        groups = {"source": {source}, "intermediary": between, "target": {target}}
        closing = np.flatnonzero(paid["counterparty_id"].eq(target) & paid["typology"].notna())
        own = kind & np.isin(found.edge, closing)
        assert found.width[own].max() == len(between)
        for role, members in groups.items():
            nodes = found.node[own & (found.role == ROLE_NAMES.index(role))]
            assert set(names[nodes]) <= members
            assert role == "intermediary" or set(names[nodes]) == members


def test_the_first_scattered_flow_begins_in_the_first_half(bank, small_bank):
    for each in (bank, small_bank):
        people = each.answer_key["customers"].to_pandas()
        certain = people[people["typology"] == "scatter_gather"]
        middle = pd.Timestamp("2024-01-01", tz="Asia/Shanghai") + pd.Timedelta(days=180)
        assert certain["start"].min() < middle


def test_takeovers_are_bursts_of_large_transfers_after_a_strange_login(rows, bank):
    events = bank.tables["events"].to_pandas().rename(columns={"event_time": "at"})
    logins = events[events["event_type"] == "login"]
    usual = rows[rows["direction"] == "out"].groupby("customer_id")["amount"].median()
    large = []
    for ring in rings(rows, "account_takeover"):
        victim = ring["customer_id"].iloc[0]
        assert len(set(ring["customer_id"])) == 1
        assert (ring["instrument"] == "transfer").all()
        assert ring["event_time"].max() - ring["event_time"].min() < 6 * HOUR
        before = ring["event_time"].min() - logins.loc[logins["customer_id"] == victim, "at"]
        assert ((before > pd.Timedelta(0)) & (before < HOUR)).any()
        large.append(ring["amount"].median() / usual[victim])
    assert np.median(large) > 4


def test_stolen_cards_are_bursts_often_begun_by_a_probe(rows):
    probed = []
    for ring in rings(rows, "stolen_card"):
        assert len(set(ring["customer_id"])) == 1
        assert (ring["instrument"] == "card").all()
        assert ring["event_time"].max() - ring["event_time"].min() < 15 * HOUR
        probed.append(ring.sort_values("event_time")["amount"].iloc[0] <= 10.0)
    assert 0.4 < np.mean(probed) < 0.95


def test_compromised_terminals_turn_bad_for_some_weeks(rows):
    for ring in rings(rows, "compromised_terminal"):
        assert len(set(ring["counterparty_id"])) == 1
        assert ring["counterparty_id"].str.startswith("T").all()
        assert ring["event_time"].max() - ring["event_time"].min() < pd.Timedelta(days=35)
    bad = rows[rows["typology"] == "compromised_terminal"]
    assert bad["customer_id"].nunique() > bad["ring_id"].nunique()


def roles(out):
    """Tell source, intermediaries and target of the outgoing payments of a scattered flow."""
    payers, payees = set(out["customer_id"]), set(out["counterparty_id"])
    (source,), (target,) = payers - payees, payees - payers
    return source, payers & payees, target


def moved_on(ring):
    sums = ring.groupby("direction")["amount"].sum()
    return round(sums["out"] / sums["in"], 3)
