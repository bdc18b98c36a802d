"""The table of outcomes: at each instant every booked transaction is adverse, or it is not."""

from __future__ import annotations

import hypothesis.strategies as st
import pyarrow as pa
from hypothesis import given

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
