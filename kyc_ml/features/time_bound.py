"""Which features change with time alone, whatever the customers do."""

from collections.abc import Iterable

from kyc_ml.contract import CUSTOMER_ID, TRANSACTIONS
from kyc_ml.features.how import CLOCK
from kyc_ml.features.kinds.rows_of_key import Latest
from kyc_ml.features.spec import FeatureSpec


def find_time_bound(specs: Iterable[FeatureSpec]) -> dict[str, str]:
    """Return the features whose values change with time alone, and why.

    `specs`: all of a model, those included that only feed formulas.
    Returns dict of name to reason; `CLOCK`: each day has another weekday. `ALL_HISTORY`: a window
    without a beginning, or the age of a row however old, grows with the data alone. `COUNTDOWN`:
    the days left to a date fall from day to day. `BANK_LEVEL`: what all customers did together is
    one value for all rows of an instant, and where a customer has no history a share shrunk to it
    is that value. A formula has the reason of its first input that has one.
    """
    known = {spec.name: spec for spec in specs}

    def reason_of(name: str) -> str:
        return known[name].how.time_bound(reason_of) if name in known else ""

    reasons = {name: reason_of(name) for name in known}
    return {name: reason for name, reason in reasons.items() if reason}


def find_time_bound_beyond_the_clock(specs: Iterable[FeatureSpec]) -> dict[str, str]:
    """Return what `find_time_bound` does without `CLOCK`: over months its hours repeat.

    `specs`: see `find_time_bound`.
    """
    return {name: why for name, why in find_time_bound(specs).items() if why != CLOCK}


def grows_with_data(spec: FeatureSpec) -> bool:
    """Return whether a long time says mostly how far the data reach back.

    So it is for the age of a first or rare row: months after a training, most exceed all ages of
    the training rows. The customer's own silence is the exception: each payment ends it.
    """
    match spec.how:
        case Latest(reading="age_hours", table=table, key=key, where=where):
            return (table, key, where) != (TRANSACTIONS, (CUSTOMER_ID,), None)
        case _:
            return False
