"""Convert bookings of customers' accounts into payments between parties, each once."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.contract import AMOUNT, COUNTERPARTY_ID, CUSTOMER_ID, DIRECTION, EVENT_TIME, KNOWN_AT
from kyc_ml.features.periods import DAY_US, HOUR_US
from kyc_ml.features.timed_rows import microseconds
from kyc_ml.metrics import Floats, Ints, Ints32, Mask, Values
from kyc_ml.storage import kernel

SAME_PAYMENT_US: Final = HOUR_US
"""Two bookings of one amount, out of one account and into the other, are one payment if
they happened no further apart. Convention: banks book both sides of a transfer between
their own customers within seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPayments:
    """Payments from one party to another, in order of time."""

    names: pa.Array
    """String array; the parties."""
    source: Ints32
    target: Ints32
    """`source` and `target`: int32 arrays of shape (n,); payer and payee, as numbers of names."""
    event_time: Ints
    known_at: Ints
    """`event_time` and `known_at`: int64 arrays of shape (n,), microseconds."""
    amount: Floats
    """float64 array of shape (n,), base currency."""
    booking: Ints
    """int64 array of shape (n,); the row of the bookings that each payment is."""
    settled: int
    """From this instant on, in microseconds, no payment depends on bookings before the first day
    of those given: all bookings within an hour of one another are among them."""


def payments_of(transactions: pa.Table) -> NetworkPayments:
    """Turn bookings into payments, each once.

    A transfer between two customers is booked twice, out of one account and into the
    other. The booking that entered first, ``max(event_time, known_at)``, is the payment;
    the other adds nothing. So a booking that comes later changes no payment before it.
    Bookings without a counterparty or a direction are left out.
    """
    whole = pc.and_(
        pc.is_valid(transactions[COUNTERPARTY_ID]), pc.is_valid(transactions[DIRECTION])
    )
    kept = transactions.filter(whole)
    chunks = [*kept[CUSTOMER_ID].chunks, *kept[COUNTERPARTY_ID].chunks]
    parties = pa.chunked_array(chunks, pa.string()).combine_chunks().dictionary_encode()
    # by name: payments of one instant keep their order, whichever bookings are given
    names = np.asarray(pc.sort_indices(parties.dictionary))
    rank = np.empty(names.size, np.int32)
    rank[names] = np.arange(names.size, dtype=np.int32)
    codes = rank[np.asarray(parties.indices.to_numpy(zero_copy_only=False))]
    customer, other = codes[: len(kept)], codes[len(kept) :]
    into = np.asarray(pc.equal(kept[DIRECTION], "in").combine_chunks(), dtype=np.bool_)
    source, target = np.where(into, other, customer), np.where(into, customer, other)
    time, known = microseconds(kept[EVENT_TIME]), microseconds(kept[KNOWN_AT])
    amount = np.asarray(kept[AMOUNT].combine_chunks().to_numpy(zero_copy_only=False))
    # bookings of the same parties and amount follow each other, in order of entry: the last key
    # of lexsort is the first to sort by
    order = np.lexsort((into, time, np.maximum(time, known), amount, target, source))
    starts = _group_starts(order, source, target, amount)
    first = order[first_bookings(starts, time[order], into[order])]
    # a fixed order of equal times, whatever the order of the bookings
    first = first[
        np.lexsort((amount[first], target[first], source[first], known[first], time[first]))
    ]
    return NetworkPayments(
        names=parties.dictionary.take(pa.array(names)),
        source=source[first],
        target=target[first],
        event_time=time[first],
        known_at=known[first],
        amount=amount[first],
        booking=np.flatnonzero(np.asarray(whole.combine_chunks(), dtype=np.bool_))[first],
        settled=_settled(time, source, target, amount),
    )


def _settled(time: Ints, *parties_and_amount: Values) -> int:
    """Return when the last run of like bookings ends that may begin before the first day."""
    if not time.size:
        return 0
    order = np.lexsort((time, *parties_and_amount))
    ordered = time[order]
    begins = np.append(True, np.diff(ordered) > SAME_PAYMENT_US)[: time.size]
    begins[_group_starts(order, *parties_and_amount)[:-1]] = True
    run = np.cumsum(begins) - 1
    day = ordered.min() // DAY_US * DAY_US
    early = ordered[begins] <= day + SAME_PAYMENT_US
    return int(ordered[early[run]].max(initial=day)) + 1


@kernel()
def first_bookings(starts: Ints, event_time: Ints, into: Mask) -> Mask:
    """Return which bookings are payments, and not the other side of one.

    `starts`: int64 array of shape (n_groups + 1,); bookings of the same parties and amount, each
    group in order of entry.
    `event_time`: int64 array of shape (n,), microseconds.
    `into`: bool array of shape (n,); whether the booking is the payee's.
    Returns bool array of shape (n,).
    """
    first = np.ones(event_time.size, np.bool_)
    waiting = np.zeros(event_time.size, np.bool_)
    for group in range(starts.size - 1):
        head = starts[group]
        for booking in range(starts[group], starts[group + 1]):
            while head < booking and not waiting[head]:
                head += 1
            found = -1
            for earlier in range(head, booking):
                near = abs(event_time[booking] - event_time[earlier]) <= SAME_PAYMENT_US
                if waiting[earlier] and near and into[earlier] != into[booking]:
                    found = earlier
                    break
                gone = event_time[booking] - event_time[earlier] > SAME_PAYMENT_US
                if gone and earlier == head:
                    waiting[earlier] = False  # later bookings are too far apart to match it
                    head += 1
            if found >= 0:
                waiting[found] = False
                first[booking] = False
            else:
                waiting[booking] = True
    return first


def _group_starts(order: Ints, *columns: Values) -> Ints:
    """Find where, in an order, each run of rows that agree in all columns begins."""
    changes = np.zeros(order.size, np.bool_)
    changes[:1] = True
    for column in columns:
        ordered = column[order]
        changes[1:] |= ordered[1:] != ordered[:-1]
    return np.append(np.flatnonzero(changes), order.size).astype(np.int64)
