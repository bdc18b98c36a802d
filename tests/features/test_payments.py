"""A transfer between two customers is one payment, however its two sides were booked."""

from __future__ import annotations

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given

from kyc_ml.features.network.payments import SAME_PAYMENT_US, payments_of

UTC = pa.timestamp("us", tz="UTC")
MINUTE = SAME_PAYMENT_US // 60


def bookings(rows):
    """Rows (customer, counterparty, direction, minute, delay in minutes, amount)."""
    event = [row[3] * MINUTE for row in rows]
    known = [(row[3] + row[4]) * MINUTE for row in rows]
    return pa.table(
        {
            "customer_id": pa.array([row[0] for row in rows], pa.string()),
            "counterparty_id": pa.array([row[1] for row in rows], pa.string()),
            "direction": pa.array([row[2] for row in rows], pa.string()),
            "event_time": pa.array(event, pa.int64()).cast(UTC),
            "known_at": pa.array(known, pa.int64()).cast(UTC),
            "amount": pa.array([row[5] for row in rows], pa.float64()),
        }
    )


def found(rows):
    """Payments as (payer, payee, minute, minute known, amount)."""
    paid = payments_of(bookings(rows))
    names = paid.names.to_pylist()
    return [
        (names[source], names[target], time // MINUTE, known // MINUTE, amount)
        for source, target, time, known, amount in zip(
            paid.source,
            paid.target,
            paid.event_time.tolist(),
            paid.known_at.tolist(),
            paid.amount.tolist(),
            strict=True,
        )
    ]


@pytest.mark.parametrize(("apart", "payments"), [(0, 1), (1, 1), (60, 1), (61, 2)])
def test_two_sides_within_an_hour_are_one_payment(apart, payments):
    rows = [("a", "b", "out", 100, 0, 5.0), ("b", "a", "in", 100 + apart, 0, 5.0)]
    assert len(found(rows)) == payments
    assert found(rows)[0] == ("a", "b", 100, 100, 5.0)


def test_the_side_that_was_known_first_is_the_payment():
    rows = [("a", "b", "out", 100, 30, 5.0), ("b", "a", "in", 101, 0, 5.0)]
    assert found(rows) == [("a", "b", 101, 101, 5.0)]


def test_five_equal_transfers_of_a_day_are_five():
    out = [("a", "b", "out", 100, 0, 5.0)] * 5
    into = [("b", "a", "in", 100, 0, 5.0)] * 5
    assert len(found(out + into)) == 5


@pytest.mark.parametrize(
    "other",
    [
        ("b", "a", "in", 100, 0, 5.01),
        ("b", "c", "in", 100, 0, 5.0),
        ("a", "b", "out", 100, 0, 5.0),
        ("b", "a", "out", 100, 0, 5.0),
    ],
)
def test_what_differs_is_another_payment(other):
    assert len(found([("a", "b", "out", 100, 0, 5.0), other])) == 2


def test_a_booking_without_a_counterparty_or_a_direction_is_no_payment():
    rows = [("a", None, "out", 1, 0, 5.0), ("a", "b", None, 1, 0, 5.0)]
    assert found(rows) == []


BOOKINGS = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        st.sampled_from("ab"),
        st.sampled_from(["in", "out"]),
        st.integers(0, 200),
        st.sampled_from([0, 0, 0, 40, 90]),
        st.sampled_from([5.0, 7.0]),
    ),
    max_size=20,
)


@given(BOOKINGS, st.integers(0, 300))
def test_what_happens_or_is_known_later_changes_no_payment(rows, now):
    past = [row for row in rows if row[3] < now and row[3] + row[4] <= now]
    seen = [each for each in found(rows) if each[2] < now and each[3] <= now]
    assert sorted(found(past)) == sorted(seen)


@given(BOOKINGS, st.data())
def test_the_order_of_bookings_changes_no_payment(rows, data):
    assert sorted(found(data.draw(st.permutations(rows)))) == sorted(found(rows))
