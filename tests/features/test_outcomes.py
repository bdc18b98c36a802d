"""The table of outcomes: at each instant every booked transaction is adverse, or it is not."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given

from kyc_ml.config import FeatureConfig
from kyc_ml.features import build_features, choose_features
from kyc_ml.features.outcomes import outcomes_of
from kyc_ml.features.timed_rows import NEVER_US, microseconds

UTC = pa.timestamp("us", tz="UTC")
BOOKED = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4)), min_size=1, max_size=12)
LABELS = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 20), st.none() | st.integers(0, 20)), max_size=12
)


def instants(values):
    return pa.array(values, pa.int64()).cast(UTC)


@given(BOOKED, LABELS, st.integers(1, 12))
def test_a_transaction_is_adverse_while_a_label_counts(booked, labels, size):
    booked = sorted(booked)
    transactions = pa.table(
        {
            "transaction_id": [str(number) for number in range(len(booked))],
            "event_time": instants([event for event, _ in booked]),
            "known_at": instants([event + delay for event, delay in booked]),
            "device_id": [str(number) for number in range(len(booked))],
        }
    )
    # a label is known when its transaction is, at the earliest; number 12 names none
    spans = [
        (number, max(since, sum(booked[number])) if number < len(booked) else since, until)
        for number, since, until in labels
    ]
    known = pa.table(
        {
            "transaction_id": pa.array([str(n) if n < 12 else None for n, _, _ in spans], "string"),
            "known_at": instants([since for _, since, _ in spans]),
            "superseded_at": instants([until for _, _, until in spans]),
        }
    )
    pieces = [transactions.slice(at, size) for at in range(0, len(booked), size)]

    found = pa.concat_tables(outcomes_of(iter([transactions.slice(0, 0), *pieces]), known))

    event = microseconds(found["event_time"]).tolist()
    adverse = found["adverse"].to_pylist()
    assert list(zip(event, adverse, strict=True)) == sorted(zip(event, adverse, strict=True))
    since = microseconds(found["known_at"]).tolist()
    until = found["superseded_at"].cast(pa.int64()).fill_null(NEVER_US).to_pylist()
    rows = list(zip(found["device_id"].to_pylist(), since, until, adverse, strict=True))
    for now in range(25):
        for number, (event_time, delay) in enumerate(booked):
            states = [flag for who, a, b, flag in rows if who == str(number) and a <= now < b]
            counts = [n for n, a, b in spans if n == number and a <= now and (b is None or now < b)]
            assert states == ([float(bool(counts))] if event_time + delay <= now else [])


@pytest.fixture(scope="module")
def plain(source):
    """Transactions, and the states of their cases with the time each ends."""
    transactions = source.tables["transactions"].to_pandas()
    cases = source.tables["cases"].to_pandas().sort_values("known_at", kind="stable")
    cases["until"] = cases.groupby("case_id")["known_at"].shift(-1)
    return transactions, cases[cases["outcome"].isin(["confirmed_fraud", "str_filed", "default"])]


@pytest.mark.parametrize("key", ["customer_id", "counterparty_id", "device_id", "channel"])
def test_history_of_a_key_equals_a_loop_over_what_was_known(source, plain, key):
    """Shares over all history, and runs, of sampled payments; then one payment alone."""
    who = key.removesuffix("_id")
    transactions, cases = plain
    names = [f"{who}_adverse_share_ever_lag7d"]
    if key in {"counterparty_id", "device_id"}:
        names += [f"{who}_adverse_run_rows_30d", f"{who}_hours_since_good_30d"]
    specs = choose_features(FeatureConfig(include=tuple(names)), unit="fraud")
    # payments of keys with an adverse outcome, where there is something to count
    of_cases = transactions.loc[transactions["transaction_id"].isin(cases["transaction_id"]), key]
    rows = transactions[transactions[key].isin(of_cases.dropna())].tail(60)
    observed = source.tables["transactions"].take(pa.array(rows.index)).drop_columns(["known_at"])
    observed = observed.rename_columns(
        {"transaction_id": "observation_id", "event_time": "decision_time"}
    )

    found = build_features(source, observed, specs=specs).to_arrow().to_pandas()

    day = pd.Timedelta(days=1)
    for got, now, value in zip(
        found.to_dict("records"), rows["event_time"], rows[key], strict=True
    ):
        known = cases[(cases["known_at"] <= now) & ~(cases["until"] <= now)]
        past = transactions[(transactions["event_time"] < now) & (transactions["known_at"] <= now)]
        past = past.assign(adverse=past["transaction_id"].isin(known["transaction_id"]))
        old = past[past["event_time"] < now - 7 * day]
        own = old[old[key] == value]
        expected = (own["adverse"].sum() + 20 * old["adverse"].mean()) / (len(own) + 20)
        assert got[names[0]] == pytest.approx(expected, rel=1e-12)
        if len(names) > 1:
            recent = past[(past[key] == value) & (past["event_time"] >= now - 30 * day)]
            recent = recent[recent["adverse"] | (recent["event_time"] < now - 7 * day)]
            run = run_of(recent.sort_values("event_time")["adverse"].tolist())
            good = recent.loc[~recent["adverse"], "event_time"].max()
            assert got[names[1]] == run
            since = (now - good) / pd.Timedelta(hours=1)
            np.testing.assert_allclose(got[names[2]], since, rtol=1e-12)
    alone = build_features(source, observed[-1:], specs=specs).to_arrow().to_pandas()
    pd.testing.assert_frame_equal(alone, found.tail(1).reset_index(drop=True))


def run_of(adverse):
    """Count the rows of the last unbroken run of True."""
    backwards = adverse[::-1]
    upto = backwards[backwards.index(True) :] if any(adverse) else []
    return upto.index(False) if False in upto else len(upto)
