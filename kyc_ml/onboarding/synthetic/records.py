"""Columns of numbers that the generators share: payments and events.

Words, customers, counterparties and devices are positions; -1 stands for none. Times are
microseconds of UTC since 1970.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, TypeVar

import numpy as np

from kyc_ml.metrics import AnyArray, Floats, Ints, Mask

NONE: Final = -1
_HONEST: Final = {
    **dict.fromkeys(("counterparty", "device", "typology", "ring", "province"), NONE),
    **{"country": 0, "probability": 0.0, "fraud": False},
}
_TYPES: Final = {"probability": np.float64, "incoming": np.bool_, "fraud": np.bool_}
"""Types of columns; those of all others are whole numbers."""


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


def make_ledger(*, time: Ints, amount: Floats, **given: AnyArray | float) -> Ledger:
    """Make payments; a single value stands for all rows. Amounts are rounded to 0.01 CNY.

    `given`: the other columns; those of `_HONEST` may be left out.
    """
    amount = np.maximum(np.round(amount, 2), 0.01)
    return Ledger(time=time, amount=amount, **_columns(time.size, {**_HONEST, **given}))


def make_log(*, time: Ints, customer: Ints, **given: AnyArray | float) -> EventLog:
    """Make events of one kind; a single value stands for all rows. See `make_ledger`."""
    columns = _columns(time.size, {"device": NONE, "channel": NONE, "country": 0, **given})
    return EventLog(time=time, customer=customer, **columns)


def sigmoid(x: Floats) -> Floats:
    """Map log-odds to probabilities."""
    return np.asarray(1.0 / (1.0 + np.exp(-x)), dtype=np.float64)


def _columns(n: int, given: Mapping[str, AnyArray | float]) -> dict[str, Any]:
    return {
        name: np.broadcast_to(np.asarray(each, dtype=_TYPES.get(name, np.int64)), n)
        for name, each in given.items()
    }
