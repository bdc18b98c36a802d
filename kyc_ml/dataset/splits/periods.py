"""When the folds of a split in time begin and end."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from kyc_ml.errors import DatasetError, Faults


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """One fold in time: half-open periods, and the days on which its labels are read.

    ``train_start <= train_end <= ripe_until <= train_cutoff <= test_start < test_end``

    Attributes
    ----------
    train_start, train_end : Timestamp
        The rows to train on.
    ripe_until : Timestamp
        From `train_end` to here the label horizon reaches into the test: purged.
    train_cutoff : Timestamp
        The training labels are those known then. From `ripe_until` to here they are too
        young: the label delay. From here to `test_start` lies the embargo.
    test_start, test_end : Timestamp
    test_cutoff : Timestamp
        First day on which all labels of the test are as old as those of the training were.
    """

    train_start: pd.Timestamp
    train_end: pd.Timestamp
    ripe_until: pd.Timestamp
    train_cutoff: pd.Timestamp
    test_start: pd.Timestamp
    test_end: pd.Timestamp
    test_cutoff: pd.Timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """What a rolling origin is made of, in whole days of 24 hours."""

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
    """Lay out the folds backwards from `end`, the earliest first.

    Raises
    ------
    DatasetError
        If a fold would train before `start`, or has no day left to train on; every such
        fold is named.
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
    ripe_until = cutoff - lengths.delay_days * days
    train_start = start if lengths.train_days is None else ripe_until - lengths.train_days * days
    return Period(
        train_start=train_start,
        # A label made in (t, t + horizon] overlaps the test unless t + horizon < test_start.
        # Source: López de Prado 2018, Advances in Financial Machine Learning, 7.4.1.
        train_end=min(ripe_until, test_start - lengths.horizon_days * days),
        ripe_until=ripe_until,
        train_cutoff=cutoff,
        test_start=test_start,
        test_end=end,
        test_cutoff=end + max(lengths.delay_days, lengths.horizon_days) * days,
    )
