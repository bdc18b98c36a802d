"""Which features move with time alone, whatever the customers do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from kyc_ml.features.spec import FeatureSpec, Formula, Latest, Own, Window

CLOCK: Final = "clock of the decision"
ALL_HISTORY: Final = "all history"

_CLOCK_READINGS: Final = frozenset({"hour", "weekday", "night"})


def find_time_bound(specs: Iterable[FeatureSpec]) -> dict[str, str]:
    """Give each feature that moves with time alone, and why.

    Parameters
    ----------
    specs : iterable of FeatureSpec
        All of a model, those included that only feed formulas.

    Returns
    -------
    dict of name to `CLOCK` or `ALL_HISTORY`
    """
    known = {spec.name: spec for spec in specs}
    found = {}
    for spec in known.values():
        if reads_clock(spec, known):
            found[spec.name] = CLOCK
        elif reads_all_history(spec, known):
            found[spec.name] = ALL_HISTORY
    return found


def reads_clock(spec: FeatureSpec, known: Mapping[str, FeatureSpec]) -> bool:
    """Tell whether a feature reads the decision's own clock: each day has another weekday."""
    match spec.how:
        case Own(reading=reading):
            return reading in _CLOCK_READINGS
        case Formula(inputs=inputs):
            return any(name in known and reads_clock(known[name], known) for name in inputs)
        case _:
            return False


def reads_all_history(spec: FeatureSpec, known: Mapping[str, FeatureSpec]) -> bool:
    """Tell whether a feature looks back without an end: it grows with the data alone.

    It reads a window without a beginning, or the age of a row however old.
    """
    match spec.how:
        case Window(period=period):
            return period.us is None
        case Latest(reading=reading):
            return reading in {"age_hours", "years_since"}
        case Formula(inputs=inputs):
            return any(name in known and reads_all_history(known[name], known) for name in inputs)
        case _:
            return False
