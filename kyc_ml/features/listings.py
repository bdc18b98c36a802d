"""Lists of countries as they stood at any moment."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.features.spec import DAY_US, Listing
from kyc_ml.metrics import Floats, Ints


def on_listing(countries: pa.Array, moments: Ints, listing: Listing) -> Floats:
    """Tell whether each country stood on a list at its moment (UTC days).

    Parameters
    ----------
    countries : string array of shape (n,)
        ISO 3166-1 alpha-2 codes.
    moments : int64 array of shape (n,), microseconds
    listing : tuple of (country, first day, first day off the list or None)

    Returns
    -------
    float64 array of shape (n,)
        1 on the list, 0 off it, NaN without a country.
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
        if until is not None:
            at &= moments < _day_us(until)
        found[at] = 1.0
    found[pc.is_null(countries).to_numpy(zero_copy_only=False)] = np.nan
    return found


def _day_us(day: str) -> int:
    return (date.fromisoformat(day) - date(1970, 1, 1)).days * DAY_US
