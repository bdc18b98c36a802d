"""Find the one observation that a user names; report a wrong name before the tables are read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.config import DatasetConfig, IdentifierForm, SourceMapping, Unit, parse_time
from kyc_ml.contract import (
    CUSTOMER_ID,
    REVIEW_ID,
    REVIEWS,
    TRANSACTION_ID,
    TRANSACTIONS,
    ContractedTables,
    Sought,
    find_end,
    find_oldest,
    look_up,
    put_in_form,
    require_behaviour,
    seek_in,
)
from kyc_ml.dataset import make_observations, make_reviews_at, seen_in, when_first_seen
from kyc_ml.errors import ConfigError, DatasetError, some_of
from kyc_ml.features import DECISION_TIME, OBSERVATION_ID

_FOREVER: Final = pd.Timestamp("2200-01-01", tz="UTC")
_DATE: Final = "the date after @"
_CALLED: Final = {
    TRANSACTION_ID: "transaction",
    REVIEW_ID: "planned review",
    CUSTOMER_ID: "customer",
}
_SHOWN: Final = 10
"""Number of planned reviews of a customer that a message lists."""


def in_form(observation: str, form: IdentifierForm) -> str:
    """Return an observation id in the form of the tables; the date of CUSTOMER@DATE is kept."""
    customer, at, day = observation.rpartition("@")
    (name,) = put_in_form([customer if at else observation], form)
    return observation if name is None else f"{name}{at}{day.strip() if at else ''}"


def require_known_rows(mapping: SourceMapping, data: Path, observation: str) -> None:
    """Raise if no file of the source contains the identifier of an observation.

    This runs before the model is loaded, so it is not known yet whether the identifier is of a
    transaction, a planned review or a customer: any of them passes.

    Raises DatasetError if no row has the identifier, accepted or not; ConfigError if it has the
    form CUSTOMER@DATE, and the part after @ is not a date.
    """
    observation = in_form(observation, mapping.identifiers)
    customer, at, day = observation.rpartition("@")
    mapped = mapping.completed
    places = [
        _Place(tables=(table,), column=column, name=observation)
        for table, column in ((TRANSACTIONS, TRANSACTION_ID), (REVIEWS, REVIEW_ID))
        if table in mapped
    ]
    places.append(_customers(seen_in(mapped), customer or observation))
    try:
        dated, no_date = bool(at and parse_time(day, name=_DATE)), None
    except ConfigError as error:  # an identifier may contain an @ too
        dated, no_date = False, error
    alike = 0
    for place in reversed(places) if dated else places:
        sought = look_up(
            mapping, data=data, tables=place.tables, column=place.column, identifier=place.name
        )
        if sought is None:
            return
        if sought.there:
            if no_date is not None and place.column == CUSTOMER_ID:
                raise no_date
            return
        alike += sought.alike
    raise _unknown(places, Sought(there=False, alike=alike))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Tables and a column to look for an identifier in."""

    tables: tuple[str, ...]
    column: str
    name: str

    def __str__(self) -> str:
        where = f"table{'' if len(self.tables) == 1 else 's'} {', '.join(self.tables)}"
        return f"{_CALLED[self.column]} {self.name!r} in {where}"


def _customers(tables: Sequence[str], name: str) -> _Place:
    return _Place(tables=tuple(tables), column=CUSTOMER_ID, name=name)


def _unknown(places: Sequence[_Place], sought: Sought) -> DatasetError:
    return DatasetError(
        f"no {', no '.join(str(each) for each in places)}{sought.say_alike()}: a fraud model "
        "explains a transaction's id, a risk model CUSTOMER@YYYY-MM-DD or the id of a planned "
        "review, written as the source has it"
    )


def find_observation(tables: ContractedTables, observation: str, *, unit: Unit) -> pa.Table:
    """Find one observation: a transaction id, a review id, or CUSTOMER@DATE.

    Raises DatasetError if the source has no such observation, or the customer is not known at that
    date; ConfigError if the review lies before the data begins or after it ends.
    """
    planned = unit == "fraud" or REVIEWS in tables.tables
    row = _with_id(tables, observation, unit=unit) if planned else None
    if unit == "fraud" and row is not None:
        return row
    row = _review_at(tables, observation) if row is None else row
    require_behaviour(pd.Timestamp(row[DECISION_TIME][0].as_py()), tables)
    return row


def _with_id(tables: ContractedTables, observation: str, *, unit: Unit) -> pa.Table | None:
    """Find a transaction or a planned review by its id; None if no review has it."""
    found = make_observations(tables, unit=unit, start=None, end=_FOREVER, config=DatasetConfig())
    row = found.filter(pc.equal(found[OBSERVATION_ID], observation))
    if row.num_rows == 0 and unit == "fraud":
        sought = seek_in(found[OBSERVATION_ID], observation)
        place = _Place(tables=(TRANSACTIONS,), column=TRANSACTION_ID, name=observation)
        raise _unknown([place], sought)
    return row if row.num_rows else None


def _review_at(tables: ContractedTables, observation: str) -> pa.Table:
    """Return the review of CUSTOMER@DATE."""
    customer, at, day = observation.rpartition("@")
    seen = when_first_seen(tables)
    named = customer or observation
    if named not in seen.index:
        ids = pa.chunked_array([pa.array(seen.index, pa.string())])
        raise _unknown([_customers(seen_in(tables.tables), named)], seek_in(ids, named))
    if not at:
        msg = f"{named!r} is a customer: write CUSTOMER@DATE, {_say_dates(tables, named, seen)}"
        raise DatasetError(msg)
    found = make_reviews_at(tables, at=parse_time(day, name=_DATE))
    row = found.filter(pc.equal(found[CUSTOMER_ID], customer))
    if not row.num_rows:
        raise DatasetError(
            f"customer {customer!r} was not known before {day}: "
            f"{_say_dates(tables, customer, seen)}"
        )
    return row


def _say_dates(tables: ContractedTables, customer: str, seen: pd.Series) -> str:
    """Return the dates at which a customer can be reviewed, and the ids of the planned reviews."""
    first, end = pd.Timestamp(seen[customer]), find_end(tables)
    begun = find_oldest(tables)
    first = first if begun is None else max(first, begun)
    last = "" if end is None else f" and until {end:%Y-%m-%d}"
    dates = f"a date after {first:%Y-%m-%d}{last} (UTC)"
    if REVIEWS not in tables.tables:
        return dates
    reviews = tables.tables[REVIEWS]
    own = reviews.filter(pc.equal(reviews[CUSTOMER_ID], customer)).sort_by("event_time")
    ids = own[REVIEW_ID].to_pylist()
    return f"{dates}, or the id of a planned review ({some_of(ids, most=_SHOWN) or 'none'})"
