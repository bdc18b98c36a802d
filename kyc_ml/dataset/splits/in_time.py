# ruff: noqa: N803  scikit-learn names the rows X
"""Splits in time: once, or with a rolling origin."""

from dataclasses import dataclass, field, replace

import numpy.typing as npt
import pandas as pd

from kyc_ml.dataset.splits.folds import Fold, RowAssignment, assign_fates
from kyc_ml.dataset.splits.periods import Lengths, Period, plan_periods
from kyc_ml.dataset.splits.protocol import Splitter, check_counts
from kyc_ml.dataset.splits.rows import Data, read_times, to_times
from kyc_ml.errors import ConfigError, DatasetError, Faults
from kyc_ml.metrics import Times


@dataclass(frozen=True, kw_only=True, eq=False)
class SplitInTime(Splitter):
    """The parameters that splits in time share: lengths and place of a fold."""

    train_days: int | None = None
    delay_days: int = 0
    embargo_days: int = 0
    horizon_days: int = 0
    test_days: int = 28
    start: pd.Timestamp | None = None
    end: pd.Timestamp | None = None
    times: npt.ArrayLike | None = field(default=None, repr=False)
    known_at: npt.ArrayLike | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        faults = Faults(self._subject, ConfigError)
        lowest = {"test_days": 1, "delay_days": 0, "embargo_days": 0, "horizon_days": 0}
        if self.train_days is not None:
            lowest["train_days"] = 1
        check_counts(self, {**lowest, **self._lowest()}, faults)
        for name in ("start", "end"):
            when = getattr(self, name)
            if when is not None and pd.Timestamp(when).tz is None:
                faults.add(f"{name} must carry a timezone, got {when}")
        faults.raise_if_any()

    def _lowest(self) -> dict[str, int]:
        return {}

    def _lengths(self) -> Lengths:
        return Lengths(
            folds=1,
            train_days=self.train_days,
            delay_days=self.delay_days,
            embargo_days=self.embargo_days,
            horizon_days=self.horizon_days,
            test_days=self.test_days,
            step_days=self.test_days,
        )

    def _times(self, X: Data) -> Times:
        return read_times(X, self.times, subject=self._subject)

    def periods(self, X: Data) -> tuple[Period, ...]:
        """Plan the folds, the earliest first, with the dates at which labels are read.

        Raises DatasetError if the rows do not reach far enough back.
        """
        return self._plan(self._times(X))

    def folds(
        self,
        X: Data,
        y: npt.ArrayLike | None = None,
        groups: npt.ArrayLike | None = None,
    ) -> tuple[Fold, ...]:
        """Assign each row of each fold by its time, independently of its outcome.

        Raises DatasetError if the rows have no times, or do not reach far enough back.
        """
        times = self._times(X)
        known = None
        if self.known_at is not None:
            known = to_times(
                self.known_at, n_rows=times.size, name="known_at", subject=self._subject
            )
        found = []
        for number, period in enumerate(self._plan(times), 1):
            fate = assign_fates(times, period, known_at=known)
            found.append(
                Fold(
                    number=number,
                    period=period,
                    fate=fate,
                    in_test_period=fate == RowAssignment.TEST,
                )
            )
        return tuple(found)

    def _plan(self, times: Times) -> tuple[Period, ...]:
        if times.size == 0:
            raise DatasetError(f"{self._subject}: there is no row to split")
        day = pd.Timedelta(days=1)
        start, end = self.start, self.end
        if start is None:
            start = pd.Timestamp(times.min(), tz="UTC").normalize()
        if end is None:
            end = pd.Timestamp(times.max(), tz="UTC").normalize() + day
        return plan_periods(self._lengths(), start=start, end=end, subject=repr(self))


@dataclass(frozen=True, kw_only=True, eq=False)
class OutOfTimeSplit(SplitInTime):
    """One split: train before, test after, and nothing from the days between.

    Counted back from the end: the test, the embargo, the label delay, the training.

    Parameters
    ----------
    train_days : int or None
        None trains on all the past.
    delay_days : int
        Age at which a label is known: younger rows do not train.
    embargo_days : int
        Days before the test that are left out, even if their labels are known; the training
        labels are those known when these days begin.
    horizon_days : int
        A label is made of what happens in ``(t, t + horizon_days]``. Training rows whose
        horizon reaches into the test are purged.
    test_days : int
    start, end : Timestamp with a zone, or None
        Rows count from `start` (None: the first row's day) to before `end` (None: the day
        after the last row).
    times : array of shape (n,), optional
        Decision times of the rows of X, if X itself does not hold them.
    known_at : array of shape (n,), optional
        When the outcome of each row became known; NaT if it is not known yet.

    Examples
    --------
    >>> days = pd.date_range("2024-01-01", "2024-01-31", tz="UTC")
    >>> split = OutOfTimeSplit(test_days=7, embargo_days=2, delay_days=10)
    >>> [(train, test)] = split.split(days)
    >>> [str(days[rows[i]].date()) for rows in (train, test) for i in (0, -1)]
    ['2024-01-01', '2024-01-12', '2024-01-25', '2024-01-31']
    """


@dataclass(frozen=True, kw_only=True, eq=False)
class PrequentialSplit(SplitInTime):
    """Rolling origin: folds that step through time, each trained on its own past.

    Counted back from the end, each fold is an `OutOfTimeSplit`, with its parameters. Unlike
    the Handbook's code it keeps customers with a known fraud in the test.

    Source: Le Borgne et al. 2022, Reproducible Machine Learning for Credit Card Fraud
    Detection, chapter 5: delta_train, delta_delay and delta_test are `train_days`,
    `delay_days` and `test_days`; delta_assessment is `step_days`.

    Parameters
    ----------
    n_splits : int
    step_days : int or None
        Days from one test to the next. None takes `test_days`, so that tests follow each other.
        With fewer days they overlap, and rows are tested more than once.

    Examples
    --------
    >>> days = pd.date_range("2018-07-01", "2018-08-14", tz="UTC")
    >>> split = PrequentialSplit(n_splits=2, train_days=7, delay_days=7, test_days=7)
    >>> for period in split.periods(days):
    ...     print(*(f"{day:%m-%d}" for day in (period.train_start, period.test_start)))
    07-18 08-01
    07-25 08-08
    """

    n_splits: int = 4
    step_days: int | None = None

    def _lowest(self) -> dict[str, int]:
        return {"n_splits": 1, **({} if self.step_days is None else {"step_days": 1})}

    def _lengths(self) -> Lengths:
        step = self.test_days if self.step_days is None else self.step_days
        return replace(super()._lengths(), folds=self.n_splits, step_days=step)
