"""Days of decisions, of next reviews, and from which a policy is valid."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Protocol
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa

from kyc_ml.decision.tiers.policy import TierPolicy
from kyc_ml.decision.tiers.sections import CalendarPolicy
from kyc_ml.errors import ConfigError
from kyc_ml.features import DECISION_TIME, FEW_ROWS, FeatureTable
from kyc_ml.metrics import Ints, Times
from kyc_ml.storage import remember

_SATURDAY: Final = 5

_ANNOUNCED: Final = np.timedelta64(21, "D")
"""How long before a list ends the next days are announced at the latest.

Convention: the State Council announced 2023 as late as 8 December 2022."""


class WorkingDays(Protocol):
    """A calendar: any object that knows the working days."""

    def is_working_day(self, day: date) -> bool:
        """Return whether the bank works on a day."""


@dataclass(frozen=True, slots=True)
class EveryDay:
    """A calendar on which every day is a working day."""

    def is_working_day(self, day: date) -> bool:
        """Return True."""
        del day
        return True


@dataclass(frozen=True, slots=True)
class Weekdays:
    """Monday to Friday, except for the days listed."""

    holidays: frozenset[date] = frozenset()
    """Weekdays off."""
    make_up_days: frozenset[date] = frozenset()
    """Weekend days that are worked."""

    def is_working_day(self, day: date) -> bool:
        """Return whether a day is worked; a day that is not listed follows the week."""
        if day.weekday() >= _SATURDAY:
            return day in self.make_up_days
        return day not in self.holidays


@remember
def working_days_of(calendar: CalendarPolicy) -> WorkingDays:
    """Return the calendar that a policy describes."""
    if calendar.working_days == "every_day":
        return EveryDay()
    if calendar.listed is None:
        return Weekdays()
    return Weekdays(
        holidays=frozenset(calendar.listed.holidays),
        make_up_days=frozenset(calendar.listed.make_up_days),
    )


def last_working_day(day: date, calendar: WorkingDays) -> date:
    """Return the last working day on or before a day.

    Raises ValueError if the 60 days before it have no working day.

    Examples
    --------
    >>> last_working_day(date(2026, 11, 22), Weekdays())  # a Sunday
    datetime.date(2026, 11, 20)
    """
    for back in range(61):
        candidate = day - timedelta(days=back)
        if calendar.is_working_day(candidate):
            return candidate
    raise ValueError(f"the calendar has no working day in the 60 days before {day}: correct it")


def decision_days(decision: pd.DatetimeIndex, calendar: CalendarPolicy) -> Times:
    """Return the local day of each instant, as datetime64[D]; NaT stays NaT."""
    local = decision.tz_convert(calendar.timezone).tz_localize(None)
    return np.asarray(local.to_numpy().astype("datetime64[D]"))


def local_days(facts: FeatureTable, calendar: CalendarPolicy) -> Times:
    """Return the local day of each row's decision, as `decision_days`."""
    if len(facts) > FEW_ROWS:
        return decision_days(facts.decided, calendar)
    zone, moments = ZoneInfo(calendar.timezone), facts.keys[DECISION_TIME].to_pylist()
    return np.array([each and each.astimezone(zone).date() for each in moments], "datetime64[D]")


def due_days(
    days: Times, tier: Ints, *, policy: TierPolicy, calendar: WorkingDays | None = None
) -> Times:
    """Return the day by which each customer must be reviewed again, as datetime64[D].

    The tier's calendar months after the local day of the decision; where that is not a working
    day, the last one before it, so that no interval is longer than the policy allows. NaT
    where the decision has no time.

    `days`: datetime64[D] array of shape (n,), as `decision_days` returns it.
    `calendar`: the bank's calendar instead of the policy's.
    """
    works = working_days_of(policy.calendar) if calendar is None else calendar
    due = np.full(days.size, np.datetime64("NaT"), dtype="datetime64[D]")
    for place in set(tier.tolist()):
        months = policy.tiers[place].review_months
        here = (tier == place) & ~np.isnat(days)
        # a batch has few different days: the calendar is asked once for each
        distinct, back = np.unique(days[here], return_inverse=True)
        worked = [last_working_day(_later(day, months), works) for day in distinct.tolist()]
        due[here] = np.array(worked, dtype="datetime64[D]")[back]
    return due


def _later(day: date, months: int) -> date:
    """Return the day some calendar months later, at most the last one of its month."""
    year, month = divmod(12 * day.year + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def count_beyond(due: Times, calendar: CalendarPolicy) -> int:
    """Count days after the last listed one; they follow the week alone."""
    if calendar.listed is None:
        return 0
    return int((due > np.datetime64(calendar.listed.until, "D")).sum())


def count_announced(decided: Times, due: Times, calendar: CalendarPolicy) -> int:
    """Count those of `count_beyond` that the list should contain by now.

    A list is for a year, and reviews are due later: most nights some are after its end, and
    nothing can be done about it. From three weeks before its end something can be done: the
    next year has been announced.

    `decided`, `due`: datetime64[D] arrays of shape (n,); local day of each decision, and the day
    its review is due; NaT counts as neither.
    """
    if calendar.listed is None:
        return 0
    until = np.datetime64(calendar.listed.until, "D")
    return int(((due > until) & (decided + _ANNOUNCED > until)).sum())


def require_in_force(policy: TierPolicy, as_of: pd.Timestamp) -> None:
    """Raise if a policy is not valid yet on the day of a run.

    An older decision that this run scores is still scored under the policy;
    `mark_in_force` marks it.

    `as_of`: Timestamp with a timezone; up to when data is known: the present time of the run.
    Raises ConfigError if that day, local to the policy's calendar, lies before `valid_from`.
    """
    day = decision_days(pd.DatetimeIndex([as_of]), policy.calendar)[0]
    if policy.valid_from is not None and day < np.datetime64(policy.valid_from, "D"):
        raise ConfigError(
            f"tier policy {policy.label!r} is valid from {policy.valid_from}, and this run is "
            f"as of {day}: use a model with the policy in force then, or a later date"
        )


def mark_in_force(policy: TierPolicy, days: Times) -> pa.Array:
    """Mark the decisions on whose local day the policy was valid, shape (n,).

    Null where the day is NaT, or where the policy has no `valid_from`.
    """
    if policy.valid_from is None:
        return pa.nulls(days.size, pa.bool_())
    valid = days >= np.datetime64(policy.valid_from, "D")
    return pa.array(valid, pa.bool_(), mask=np.isnat(days))
