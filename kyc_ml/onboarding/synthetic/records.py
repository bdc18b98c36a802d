"""Columns of numbers that the generators share: payments and events.

Words, customers, counterparties and devices are positions; -1 stands for none. Times are
microseconds of UTC since 1970.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final, TypeVar

import numpy as np

from kyc_ml.metrics import Floats, Ints, Mask

NONE: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Payments, one position each; arrays of shape (n,)."""

    customer: Ints
    time: Ints
    amount: Floats
    """CNY, always positive."""
    incoming: Mask
    instrument: Ints
    channel: Ints
    counterparty: Ints
    """Position among terminals, customers and externals (see `Market`)."""
    country: Ints
    device: Ints
    probability: Floats
    """Probability of fraud before the label was drawn."""
    fraud: Mask
    typology: Ints
    ring: Ints
    """`typology` and `ring`: of the misconduct the row belongs to; -1 for honest rows."""
    province: Ints
    """Where a stranger ordered it; -1 for all others (see `whereabouts`)."""

    def __len__(self) -> int:
        return int(self.time.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLog:
    """Events other than payments; arrays of shape (n,)."""

    customer: Ints
    time: Ints
    kind: Ints
    device: Ints
    channel: Ints
    country: Ints

    def __len__(self) -> int:
        return int(self.time.size)


RecordT = TypeVar("RecordT", Ledger, EventLog)


def stack(parts: Sequence[RecordT]) -> RecordT:
    """Concatenate records; at least one is needed."""
    kind = type(parts[0])
    names = [field.name for field in fields(kind)]
    return kind(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})


def pick(record: RecordT, index: Ints | Mask) -> RecordT:
    """Take the rows at `index`, positions or a mask."""
    kind = type(record)
    return kind(**{field.name: getattr(record, field.name)[index] for field in fields(kind)})


def make_ledger(
    *,
    time: Ints,
    customer: Ints | int,
    amount: Floats,
    incoming: Mask | bool,
    instrument: Ints | int,
    channel: Ints | int,
    counterparty: Ints | int = NONE,
    country: Ints | int = 0,
    device: Ints | int = NONE,
    probability: Floats | float = 0.0,
    fraud: Mask | bool = False,
    typology: Ints | int = NONE,
    ring: Ints | int = NONE,
    province: Ints | int = NONE,
) -> Ledger:
    """Make payments; a single value stands for all rows. Amounts are rounded to 0.01 CNY."""
    n = time.size
    return Ledger(
        time=time,
        customer=_column(customer, n),
        amount=np.maximum(np.round(amount, 2), 0.01),
        incoming=np.broadcast_to(np.asarray(incoming, dtype=np.bool_), n),
        instrument=_column(instrument, n),
        channel=_column(channel, n),
        counterparty=_column(counterparty, n),
        country=_column(country, n),
        device=_column(device, n),
        probability=np.broadcast_to(np.asarray(probability, dtype=np.float64), n),
        fraud=np.broadcast_to(np.asarray(fraud, dtype=np.bool_), n),
        typology=_column(typology, n),
        ring=_column(ring, n),
        province=_column(province, n),
    )


def make_log(
    *,
    time: Ints,
    customer: Ints,
    kind: int,
    device: Ints | int = NONE,
    channel: Ints | int = NONE,
    country: Ints | int = 0,
) -> EventLog:
    """Make events of one kind; a single value stands for all rows."""
    n = time.size
    return EventLog(
        time=time,
        customer=customer,
        kind=_column(kind, n),
        device=_column(device, n),
        channel=_column(channel, n),
        country=_column(country, n),
    )


def sigmoid(x: Floats) -> Floats:
    """Map log-odds to probabilities."""
    return np.asarray(1.0 / (1.0 + np.exp(-x)), dtype=np.float64)


def _column(value: Ints | int, n: int) -> Ints:
    return np.broadcast_to(np.asarray(value, dtype=np.int64), n)
