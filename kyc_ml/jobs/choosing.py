"""Which observations a job is about."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from kyc_ml.config import DatasetConfig, Unit
from kyc_ml.contract.contracted import ContractedTables
from kyc_ml.contract.tables import REVIEWS
from kyc_ml.dataset import make_arrivals, make_observations, make_reviews_at
from kyc_ml.errors import ConfigError, DatasetError
from kyc_ml.jobs.reading import require_behaviour_until


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
