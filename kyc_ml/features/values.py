"""How the value of a row, or of an observation, becomes a number or a category."""

from datetime import date
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.features.periods import DAY_US, HOUR_US
from kyc_ml.metrics import Floats, Ints

Reading = Literal[
    "value",  # the column as it is
    "category",  # the column as a category
    "flag",  # 1 where true, 0 where false
    "listed",  # 1 where the country is on the `listing` at the decision, else 0
    "age_hours",  # hours from the row's event time to the decision
    "years_since",  # years from the column's date to the decision
    "days_since",  # days from the column's date to the decision
    "days_until",  # days from the decision to the column's date
    "hour",  # local hour of the decision, 0 to 23
    "weekday",  # local weekday of the decision, Monday 0
    "night",  # 1 between 00:00 and 06:00 local time
]
Listing = tuple[tuple[str, str, str | None], ...]
"""Countries on a list: (ISO 3166-1 alpha-2, first day, first day off the list or None)."""

TEXT: Final = frozenset({"category"})
"""Readings that give text, not numbers."""

_YEAR_DAYS: Final = 365.25


def read_column(
    values: pa.Array, reading: Reading, *, decision: Ints, listing: Listing = ()
) -> Floats:
    """Turn a column of one value an observation into numbers; NaN where it is missing."""
    if reading in {"value", "flag"}:
        return np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False))
    if reading == "listed":
        return on_listing(values, decision, listing)
    moments = values.cast(pa.timestamp("us")).cast(pa.int64())
    return read_time(
        reading,
        decision=decision,
        # a missing moment is read as 0, and adding NaN makes its result missing
        moment=moments.fill_null(0).to_numpy(zero_copy_only=False),
        missing=np.where(values.is_null().to_numpy(zero_copy_only=False), np.nan, 0.0),
    )


def read_time(reading: Reading, *, decision: Ints, moment: Ints, missing: Floats) -> Floats:
    """Turn a moment of a visible row into hours, years or days from the decision.

    `decision`, `moment`: int64 arrays of shape (n,), microseconds.
    `missing`: float64 array of shape (n,); NaN where there is no moment, else 0.
    """
    match reading:
        case "age_hours":
            return (decision - moment) / HOUR_US + missing
        case "years_since":
            return (decision - moment) / (DAY_US * _YEAR_DAYS) + missing
        case "days_since":
            return (decision - moment) / DAY_US + missing
        case "days_until":
            return (moment - decision) / DAY_US + missing
        case _:
            raise ValueError(f"reading {reading!r} is not a reading of a time")


def on_listing(countries: pa.Array, moments: Ints, listing: Listing) -> Floats:
    """Return whether each country was on a list at its moment (UTC days).

    `countries`: string array of shape (n,); ISO 3166-1 alpha-2 codes.
    `moments`: int64 array of shape (n,), microseconds.
    `listing`: tuple of (country, first day, first day off the list or None).
    Returns float64 array of shape (n,); 1 on the list, 0 off it, NaN without a country.
    """
    found = np.zeros(len(countries))
    encoded = countries.dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    names = encoded.dictionary.to_pylist()
    for country, since, until in listing:
        if country not in names:
            continue
        at = codes == names.index(country)
        at &= moments >= _day_us(since)
        # half open: `until` is the first day off the list
        if until is not None:
            at &= moments < _day_us(until)
        found[at] = 1.0
    found[pc.is_null(countries).to_numpy(zero_copy_only=False)] = np.nan
    return found


def _day_us(day: str) -> int:
    return (date.fromisoformat(day) - date(1970, 1, 1)).days * DAY_US
