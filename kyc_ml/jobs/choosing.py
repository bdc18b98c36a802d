"""Which observations a job is about."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.arguments import read_moment
from kyc_ml.config import DatasetConfig, Unit
from kyc_ml.contract.contracted import ContractedTables
from kyc_ml.contract.tables import REVIEWS
from kyc_ml.dataset import make_arrivals, make_observations, make_reviews_at
from kyc_ml.errors import ConfigError, DatasetError
from kyc_ml.features.table import DECISION_TIME, OBSERVATION_ID
from kyc_ml.jobs.reading import require_behaviour, require_behaviour_until


def choose_observations(
    tables: ContractedTables,
    *,
    unit: Unit,
    since: pd.Timestamp | None,
    as_of: pd.Timestamp,
    dataset: DatasetConfig,
) -> pa.Table:
    """List what is to be scored.

    For `fraud`: the transactions that became known in ``[since, as_of)``, by default in the
    day before `as_of`, however late: consecutive nights score each exactly once. For `risk`:
    the reviews in that time if the source plans them and `since` is given, else every
    customer, reviewed at `as_of`.

    Raises
    ------
    ConfigError
        If `as_of` lies beyond the data: empty windows would look like quiet customers.
    DatasetError
        If there is nothing to score.
    """
    require_behaviour_until(as_of, tables)
    if unit == "fraud":
        start = as_of - pd.Timedelta(days=1) if since is None else since
        return make_arrivals(tables, since=start, until=as_of)
    if since is not None and REVIEWS not in tables.tables:
        msg = "--since chooses planned reviews, but the source has no table reviews: leave it out"
        raise ConfigError(msg)
    if since is not None:
        return make_observations(tables, unit=unit, start=since, end=as_of, config=dataset)
    reviews = make_reviews_at(tables, at=as_of)
    if not reviews.num_rows:
        msg = (
            f"no customer was known before {as_of.date().isoformat()}: check --as-of against the "
            "first and last event of the data-quality summary"
        )
        raise DatasetError(msg)
    return reviews


def find_observation(tables: ContractedTables, observation: str, *, unit: Unit) -> pa.Table:
    """Find one observation by its id: a transaction's, a review's, or CUSTOMER@DATE.

    Raises
    ------
    DatasetError
        If the source has none of that id.
    ConfigError
        If it is a review before the data begins or after it ends.
    """
    _, at, day = observation.rpartition("@")
    forever = pd.Timestamp("2200-01-01", tz="UTC")
    if unit == "risk" and at:
        found = make_reviews_at(tables, at=read_moment(day, name="the date after @"))
    elif unit == "fraud" or REVIEWS in tables.tables:
        found = make_observations(
            tables, unit=unit, start=None, end=forever, config=DatasetConfig()
        )
    else:  # the reviews of a calendar are all of the form CUSTOMER@DATE
        found = make_reviews_at(tables, at=forever).slice(0, 0)
    row = found.filter(pc.equal(found[OBSERVATION_ID], observation))
    if row.num_rows == 0:
        msg = (
            f"the source has no {unit} observation of that id: give a transaction's id for a "
            "fraud model, a review's id or CUSTOMER@YYYY-MM-DD for a risk model"
        )
        raise DatasetError(msg)
    if unit == "risk":
        require_behaviour(pd.Timestamp(row[DECISION_TIME][0].as_py()), tables)
    return row
