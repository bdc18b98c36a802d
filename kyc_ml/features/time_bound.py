"""Which features move with time alone, whatever the customers do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from kyc_ml.features.spec import CURRENT_ACCOUNTS, FeatureSpec, Formula, How, Latest, Own, Window

CLOCK: Final = "clock of the decision"
ALL_HISTORY: Final = "all history"
COUNTDOWN: Final = "days to a date"
BANK_LEVEL: Final = "level of the whole bank"

_CLOCK_READINGS: Final = frozenset({"hour", "weekday", "night"})
_OF_LATEST: Final = {
    "age_hours": ALL_HISTORY,
    "years_since": ALL_HISTORY,
    "days_since": ALL_HISTORY,
    "days_until": COUNTDOWN,
}


def find_time_bound(specs: Iterable[FeatureSpec]) -> dict[str, str]:
    """Give each feature that moves with time alone, and why.

    Parameters
    ----------
    specs : iterable of FeatureSpec
        All of a model, those included that only feed formulas.

    Returns
    -------
    dict of name to reason
        `CLOCK`: each day has another weekday. `ALL_HISTORY`: a window without a beginning, or
        the age of a row however old, grows with the data alone. `COUNTDOWN`: the days left to
        a date fall from day to day. `BANK_LEVEL`: what all customers did together is one value
        for all rows of an instant, and where a customer has no history a share shrunk to it is
        that value. A formula has the reason of its first input that has one.
    """
    known = {spec.name: spec for spec in specs}
    reasons = {name: _reason(spec.how, known) for name, spec in known.items()}
    return {name: reason for name, reason in reasons.items() if reason}


def find_time_bound_beyond_the_clock(specs: Iterable[FeatureSpec]) -> dict[str, str]:
    """Give what `find_time_bound` gives, without `CLOCK`: over months its hours come round again.

    Parameters
    ----------
    specs : iterable of FeatureSpec
        See `find_time_bound`.
    """
    return {name: why for name, why in find_time_bound(specs).items() if why != CLOCK}


def _reason(how: How, known: Mapping[str, FeatureSpec]) -> str:
    match how:
        case Own(reading=reading):
            return CLOCK if reading in _CLOCK_READINGS else ""
        case Window(table=table, period=period, key=key) if table != CURRENT_ACCOUNTS:
            return ALL_HISTORY if period.us is None else "" if key else BANK_LEVEL
        case Latest(reading=reading):
            return _OF_LATEST.get(reading, "")
        case Formula(inputs=inputs):
            found = (_reason(known[name].how, known) for name in inputs if name in known)
            return next(filter(None, found), "")
        case _:
            return ""
