"""When a customer is reviewed again, on a calendar of working days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa

from kyc_ml.decision.tiers.policy import TierPolicy
from kyc_ml.decision.tiers.sections import CalendarPolicy
from kyc_ml.errors import ConfigError
from kyc_ml.metrics import Ints, Times

_SATURDAY: Final = 5

_ANNOUNCED: Final = np.timedelta64(21, "D")
"""How long before a list ends the days after it are announced.

Convention: the State Council announced 2023 as late as 8 December 2022.
"""


class WorkingDays(Protocol):
    """A calendar: any object that tells working days from others."""

    def is_working_day(self, day: date) -> bool:
        """Tell whether the bank works on a day."""


@dataclass(frozen=True, slots=True)
class EveryDay:
    """A calendar on which every day is worked."""

    def is_working_day(self, day: date) -> bool:
        """Say yes."""
        del day
        return True


@dataclass(frozen=True, slots=True)
class Weekdays:
    """Monday to Friday, but for the days listed.

    Attributes
    ----------
    holidays : frozenset of date
        Weekdays off.
    make_up_days : frozenset of date
        Weekend days that are worked.
    """

    holidays: frozenset[date] = frozenset()
    make_up_days: frozenset[date] = frozenset()

    def is_working_day(self, day: date) -> bool:
        """Tell whether a day is worked; beyond the listed days by the week alone."""
        if day.weekday() >= _SATURDAY:
            return day in self.make_up_days
        return day not in self.holidays


def working_days_of(calendar: CalendarPolicy) -> WorkingDays:
    """Give the calendar that a policy names."""
    if calendar.working_days == "every_day":
        return EveryDay()
    if calendar.listed is None:
        return Weekdays()
    return Weekdays(
        holidays=frozenset(calendar.listed.holidays),
        make_up_days=frozenset(calendar.listed.make_up_days),
    )


def last_working_day(day: date, calendar: WorkingDays) -> date:
    """Give the last working day on or before a day.

    Raises
    ------
    ValueError
        If there is none in the 60 days before it.

    Examples
    --------
    >>> last_working_day(date(2026, 11, 22), Weekdays())  # a Sunday
    datetime.date(2026, 11, 20)
    """
    for back in range(61):
        candidate = day - timedelta(days=back)
        if calendar.is_working_day(candidate):
            return candidate
    msg = f"the calendar has no working day in the 60 days before {day}: mend it"
    raise ValueError(msg)


def decision_days(decision: pd.DatetimeIndex, calendar: CalendarPolicy) -> Times:
    """Give the local day of each instant, as datetime64[D]; NaT stays NaT."""
    local = decision.tz_convert(calendar.timezone).tz_localize(None)
    return np.asarray(local.to_numpy().astype("datetime64[D]"))


def due_days(
    decision: pd.DatetimeIndex,
    tier: Ints,
    *,
    policy: TierPolicy,
    calendar: WorkingDays | None = None,
) -> Times:
    """Give the day by which each customer is to be reviewed again, as datetime64[D].

    So many calendar months after the local day of the decision; where that is no working
    day, the last one before it, so that no interval is longer than the policy says. NaT
    where the decision has no time.

    Parameters
    ----------
    calendar : WorkingDays, optional
        A calendar of the bank's own; default: the policy's.
    """
    works = working_days_of(policy.calendar) if calendar is None else calendar
    days = decision_days(decision, policy.calendar)
    due = np.full(days.size, np.datetime64("NaT"), dtype="datetime64[D]")
    for place, rule in enumerate(policy.tiers):
        here = (tier == place) & ~np.isnat(days)
        distinct, back = np.unique(days[here], return_inverse=True)
        later = pd.DatetimeIndex(distinct.astype("datetime64[s]"))
        later = later + pd.DateOffset(months=rule.review_months)
        worked = [last_working_day(day, works) for day in later.date]
        due[here] = np.array(worked, dtype="datetime64[D]")[back]
    return due


def next_reviews(decision: pd.DatetimeIndex, tier: Ints, *, policy: TierPolicy) -> pd.DatetimeIndex:
    """Give `due_days` as midnights UTC."""
    due = due_days(decision, tier, policy=policy)
    return pd.DatetimeIndex(due.astype("datetime64[us]")).tz_localize("UTC")


def count_beyond(due: Times, calendar: CalendarPolicy) -> int:
    """Count days after the last one that the listed calendar knows; they follow the week alone."""
    if calendar.listed is None:
        return 0
    return int((due > np.datetime64(calendar.listed.until, "D")).sum())


def count_announced(decided: Times, due: Times, calendar: CalendarPolicy) -> int:
    """Count those of `count_beyond` that the list should know by now.

    A list is for a year, and reviews are due later: most nights some lie beyond it, and nobody
    can mend that. From three weeks before its end somebody can, for the next year is announced.

    Parameters
    ----------
    decided, due : datetime64[D] arrays of shape (n,)
        Local day of each decision, and the day its review is due; NaT counts as neither.
    """
    if calendar.listed is None:
        return 0
    until = np.datetime64(calendar.listed.until, "D")
    return int(((due > until) & (decided + _ANNOUNCED > until)).sum())


def require_in_force(policy: TierPolicy, as_of: pd.Timestamp) -> None:
    """Refuse to grade on a day before a policy is valid.

    The day of the run decides. A decision that is older than the policy but is graded only
    now is graded by it, and `mark_in_force` says so.

    Parameters
    ----------
    as_of : Timestamp with a timezone
        Up to when facts are known: what the run takes for now.

    Raises
    ------
    ConfigError
        If that day, local to the policy's calendar, lies before `valid_from`.
    """
    day = decision_days(pd.DatetimeIndex([as_of]), policy.calendar)[0]
    if policy.valid_from is not None and day < np.datetime64(policy.valid_from, "D"):
        msg = (
            f"tier policy {policy.label!r} is valid from {policy.valid_from}, and this run grades "
            f"as of {day}: use a model with the policy in force then, or a later date"
        )
        raise ConfigError(msg)


def mark_in_force(policy: TierPolicy, days: Times) -> pa.Array:
    """Tell of each decision's local day whether the policy was valid, shape (n,).

    Null where the day is NaT, or where the policy does not say since when it is valid.
    """
    if policy.valid_from is None:
        return pa.nulls(days.size, pa.bool_())
    valid = days >= np.datetime64(policy.valid_from, "D")
    return pa.array(valid, pa.bool_(), mask=np.isnat(days))
