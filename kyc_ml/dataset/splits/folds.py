"""The assignment of each row in each fold, and the table that counts them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from kyc_ml.config import TEST, TRAIN
from kyc_ml.dataset.labels import ALREADY_ADVERSE, IMMATURE, NEGATIVE, OPEN_CASE, POSITIVE
from kyc_ml.dataset.splits.periods import Period
from kyc_ml.errors import DatasetError
from kyc_ml.metrics import AnyArray, Ints, Mask, Names, Times

StatusAt: TypeAlias = Callable[[pd.Timestamp], Names]
"""Returns the status of all rows as known at a date; see `mature_labels`."""


class RowAssignment(IntEnum):
    """How a fold uses a row, or why it does not."""

    OUTSIDE = 0
    TRAIN = 1
    TEST = 2
    PURGED = 3
    """Its label horizon reaches into the test."""
    DELAYED = 4
    """Its label is too young at the fold's cut-off: the label delay."""
    EMBARGOED = 5
    UNKNOWN = 6
    """In the training period, but its label became known only after the cut-off."""
    OTHER_CUSTOMER = 7
    """In the training or test period, but its customer belongs to the other part."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fold:
    """One fold of a split."""

    number: int
    """From 1; folds in time are numbered from the earliest."""
    period: Period | None
    """None if the fold does not depend on time."""
    fate: npt.NDArray[np.int8]
    """int8 array of shape (n,); a `RowAssignment` for every row."""
    in_test_period: Mask
    """bool array of shape (n,); separates the rows of OTHER_CUSTOMER: those of the test period from
    the others."""

    @classmethod
    def of_customers(cls, number: int, tested: Mask) -> Self:
        """Return a fold that tests some rows and trains on all others."""
        fate = np.where(tested, RowAssignment.TEST, RowAssignment.TRAIN).astype(np.int8)
        return cls(number=number, period=None, fate=fate, in_test_period=tested)

    @property
    def train(self) -> Ints:
        """Row numbers to train on, ascending."""
        return np.flatnonzero(self.fate == RowAssignment.TRAIN)

    @property
    def test(self) -> Ints:
        """Row numbers to test on, ascending."""
        return np.flatnonzero(self.fate == RowAssignment.TEST)


_BETWEEN: Final = np.array(
    [
        RowAssignment.OUTSIDE,
        RowAssignment.TRAIN,
        RowAssignment.PURGED,
        RowAssignment.DELAYED,
        RowAssignment.EMBARGOED,
        RowAssignment.TEST,
        RowAssignment.OUTSIDE,
    ],
    dtype=np.int8,
)


def assign_fates(times: Times, period: Period, *, known_at: Times | None) -> npt.NDArray[np.int8]:
    """Assign each row by its time; all periods are half open."""
    edges = [
        period.train_start,
        period.train_end,
        period.mature_until,
        period.train_cutoff,
        period.test_start,
        period.test_end,
    ]
    # "right": a row at an edge belongs to the period that begins there
    fate = _BETWEEN[np.searchsorted(np.array([moment(edge) for edge in edges]), times, "right")]
    if known_at is not None:
        known = known_at <= moment(period.train_cutoff)  # NaT, never known, is False
        fate[(fate == RowAssignment.TRAIN) & ~known] = RowAssignment.UNKNOWN
    return fate


def moment(time: pd.Timestamp) -> np.datetime64:
    """Convert a time to a numpy datetime in UTC, without a zone."""
    return np.datetime64(time.tz_convert("UTC").tz_localize(None).to_pydatetime(), "us")


DATES: Final = ("start", "end", "labels_read", "first", "last")
COUNTS: Final = (
    "observations",
    "rows",
    "positives",
    "negatives",
    "customers",
    "immature",
    "open_case",
    "already_adverse",
    "dropped_by_delay",
    "dropped_by_embargo",
    "dropped_by_purging",
    "dropped_by_customer",
)


def summarise_folds(
    folds: Sequence[Fold],
    *,
    times: Times | None,
    status: Names | StatusAt | None,
    customers: AnyArray | None,
) -> pd.DataFrame:
    """Count what each part of each fold holds and what was left out of it.

    `status`: object array of shape (n,), or a function of a date that gives one, or None; the
    function is called with the cut-offs of each fold.
    One row per fold and part; a count is missing if its input was not given.
    """
    rows = []
    for fold in folds:
        for part in (TRAIN, TEST):
            states = _states(status, fold, part)
            rows.append(
                {
                    "fold": fold.number,
                    "part": part,
                    **_dates(fold, part, times=times, states=states),
                    **_counts(fold, part, states=states, customers=customers),
                }
            )
    instants = dict.fromkeys(DATES, "datetime64[us, UTC]")
    return pd.DataFrame(rows).astype({**instants, **dict.fromkeys(COUNTS, "Int64")})


def _states(status: Names | StatusAt | None, fold: Fold, part: str) -> Names | None:
    if not callable(status):
        return status
    if fold.period is None:
        msg = "folds without a period have no cut-off: give status as an array, not a function"
        raise DatasetError(msg)
    cutoff = fold.period.train_cutoff if part == TRAIN else fold.period.test_cutoff
    states = np.asarray(status(cutoff), dtype=object)
    if states.shape != fold.fate.shape:
        msg = f"status gave {states.shape} states for {fold.fate.size} rows: give one a row"
        raise DatasetError(msg)
    return states


def _used(fold: Fold, part: str, states: Names | None) -> Mask:
    used = np.asarray(fold.fate == (RowAssignment.TRAIN if part == TRAIN else RowAssignment.TEST))
    if states is not None:
        used &= np.isin(states, [POSITIVE, NEGATIVE])
    return used


def _dates(
    fold: Fold, part: str, *, times: Times | None, states: Names | None
) -> dict[str, pd.Timestamp | None]:
    period = fold.period
    dates: dict[str, pd.Timestamp | None] = dict.fromkeys(DATES)
    if period is not None and part == TRAIN:
        dates.update(
            start=period.train_start, end=period.train_end, labels_read=period.train_cutoff
        )
    elif period is not None:
        dates.update(start=period.test_start, end=period.test_end, labels_read=period.test_cutoff)
    if times is not None:
        seen = times[_used(fold, part, states)]
        if seen.size:
            dates.update(first=_at(seen.min()), last=_at(seen.max()))
    return dates


def _at(when: np.datetime64) -> pd.Timestamp:
    return pd.Timestamp(when).tz_localize("UTC")


def _counts(
    fold: Fold, part: str, *, states: Names | None, customers: AnyArray | None
) -> dict[str, int | None]:
    fate, training = fold.fate, part == TRAIN
    used = _used(fold, part, states)
    unknown = (fate == RowAssignment.UNKNOWN) & training
    here = (fate == (RowAssignment.TRAIN if training else RowAssignment.TEST)) | unknown
    counted = here & ~unknown

    def having(state: str) -> int | None:
        return None if states is None else int((counted & (states == state)).sum())

    def dropped(reason: RowAssignment) -> int:
        return int((fate == reason).sum()) if training else 0

    young = having(IMMATURE)
    if unknown.any():
        young = int(unknown.sum()) + (young or 0)
    return {
        "observations": int(here.sum()),
        "rows": int(used.sum()),
        "positives": having(POSITIVE),
        "negatives": having(NEGATIVE),
        "customers": None if customers is None else int(pd.unique(customers[used]).size),
        "immature": young,
        "open_case": having(OPEN_CASE),
        "already_adverse": having(ALREADY_ADVERSE),
        "dropped_by_delay": dropped(RowAssignment.DELAYED),
        "dropped_by_embargo": dropped(RowAssignment.EMBARGOED),
        "dropped_by_purging": dropped(RowAssignment.PURGED),
        "dropped_by_customer": int(
            ((fate == RowAssignment.OTHER_CUSTOMER) & (fold.in_test_period != training)).sum()
        ),
    }
