"""The facts of a training in its bundle: those of the caller, and those of the run itself."""

from collections.abc import Mapping
from typing import Any, Final

import pandas as pd

from kyc_ml.config import parse_time
from kyc_ml.contract import ContractedTables
from kyc_ml.errors import ConfigError, LeakageError

_AS_OF: Final = "as_of"
_CURRENCY: Final = "base_currency"


def state_facts(
    given: Mapping[str, Any], source: ContractedTables, *, as_of: pd.Timestamp
) -> dict[str, Any]:
    """Add training date and base currency to the caller's facts.

    The date in the bundle decides which rows are new to the model: a caller may not change it.

    Raises LeakageError if the facts have another `as_of`; ConfigError if they have another base
    currency, or an `as_of` that is not a time.
    """
    _require_same_date(given.get(_AS_OF), as_of)
    stated = given.get(_CURRENCY, source.base_currency)
    if stated != source.base_currency:
        raise ConfigError(
            f"data of train says base_currency {stated!r}, but the source's is "
            f"{source.base_currency!r}: leave it out of data"
        )
    return {**given, _AS_OF: as_of.isoformat(), _CURRENCY: source.base_currency}


def _require_same_date(stated: Any, as_of: pd.Timestamp) -> None:  # noqa: ANN401  a caller's
    if stated is None:
        return
    moment = parse_time(stated, name="as_of in data of train")
    if moment != as_of:
        raise LeakageError(
            f"data of train says as_of {moment.isoformat()}, but the model learns what was known "
            f"until {as_of.isoformat()}, the argument as_of: leave it out of data"
        )
