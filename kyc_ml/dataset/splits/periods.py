"""Begin and end of the folds of a split in time."""

from dataclasses import dataclass

import pandas as pd

from kyc_ml.errors import DatasetError, Faults


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """One fold in time: half-open periods, and the dates at which its labels are read.

    ``train_start <= train_end <= mature_until <= train_cutoff <= test_start < test_end``
    """

    train_start: pd.Timestamp
    train_end: pd.Timestamp
    """`train_start` and `train_end`: the rows to train on."""
    mature_until: pd.Timestamp
    """Rows from `train_end` until then are purged: their label horizon reaches into the test."""
    train_cutoff: pd.Timestamp
    """The training labels are those known then. Rows from `mature_until` until then are too young
    (label delay); the days until `test_start` are the embargo."""
    test_start: pd.Timestamp
    test_end: pd.Timestamp
    test_cutoff: pd.Timestamp
    """First day on which the youngest test label is as old as the youngest training label was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """The lengths of a rolling origin, in whole days of 24 hours."""

    folds: int
    train_days: int | None
    delay_days: int
    embargo_days: int
    horizon_days: int
    test_days: int
    step_days: int


def plan_periods(
    lengths: Lengths, *, start: pd.Timestamp, end: pd.Timestamp, subject: str
) -> tuple[Period, ...]:
    """Plan the folds backwards from `end`; return the earliest first.

    Raises DatasetError if a fold would train before `start`, or has no day left to train on; every
    such fold is named.
    """
    step = pd.Timedelta(days=lengths.step_days)
    earlier = range(lengths.folds - 1, -1, -1)
    periods = tuple(_plan_one(lengths, start=start, end=end - back * step) for back in earlier)
    faults = Faults(
        f"{subject} does not fit into {start.date()} to {end.date()}: give more rows or days, "
        "or fewer folds, or shorter parts",
        DatasetError,
    )
    for number, period in enumerate(periods, 1):
        if period.train_start < start:
            faults.add(
                f"fold {number} would train from {period.train_start.date()}, but rows count "
                f"from {start.date()}"
            )
        elif period.train_end <= period.train_start:
            faults.add(
                f"fold {number} has no day to train on: its training would start on "
                f"{period.train_start.date()} and end on {period.train_end.date()}"
            )
    faults.raise_if_any()
    return periods


def _plan_one(lengths: Lengths, *, start: pd.Timestamp, end: pd.Timestamp) -> Period:
    days = pd.Timedelta(days=1)
    test_start = end - lengths.test_days * days
    cutoff = test_start - lengths.embargo_days * days
    mature_until = cutoff - lengths.delay_days * days
    train_start = start if lengths.train_days is None else mature_until - lengths.train_days * days
    return Period(
        train_start=train_start,
        # A label made in (t, t + horizon] overlaps the test unless t + horizon < test_start.
        # Source: López de Prado 2018, Advances in Financial Machine Learning, 7.4.1.
        train_end=min(mature_until, test_start - lengths.horizon_days * days),
        mature_until=mature_until,
        train_cutoff=cutoff,
        test_start=test_start,
        test_end=end,
        test_cutoff=end + max(lengths.delay_days, lengths.horizon_days) * days,
    )
