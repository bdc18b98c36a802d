"""Which rows may evaluate a model: one rule for audit, tier fitting, validation and comparison.

A row counts if its outcome is known and its decision is earlier than ``as_of - label_delay``.
Of younger rows only the positives are known: they would make a rate too high, and would make
anything that changes over time look predictive.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
import pyarrow as pa

from kyc_ml.config import RunConfig
from kyc_ml.contract import ContractedTables, observable_until
from kyc_ml.dataset.labels import Labels, mature_labels
from kyc_ml.dataset.observations import history_start, make_observations
from kyc_ml.display import say_moment
from kyc_ml.errors import DatasetError
from kyc_ml.features import DECISION_TIME, microseconds
from kyc_ml.metrics import Floats, Mask


def observations_of(
    tables: ContractedTables, run: RunConfig, *, until: pd.Timestamp, end_is: str = ""
) -> pa.Table:
    """List the observations that a run may use, decided before `until`; see `make_observations`."""
    return make_observations(
        tables,
        unit=run.unit,
        start=history_start(run.dataset),
        end=observable_until(tables, until),
        config=run.dataset,
        end_is=end_is,
    )


def labels_of(
    tables: ContractedTables, rows: pa.Table, run: RunConfig, *, as_of: pd.Timestamp
) -> Labels:
    """Label observations as a run does, with what is known at `as_of`; see `mature_labels`."""
    return mature_labels(tables, rows, unit=run.unit, as_of=as_of, config=run.dataset)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRows:
    """Observations, and which of them may evaluate a model."""

    observations: pa.Table
    """pyarrow.Table of n rows."""
    labels: Labels
    """Outcomes as known at `as_of`."""
    counted: Mask
    """bool array of shape (n,); rows with a known outcome that were decided before `end`."""
    end: pd.Timestamp
    """Rows decided before it are old enough for any outcome to be known."""
    until: pd.Timestamp
    """All rows were decided before it."""

    @classmethod
    def of(
        cls,
        tables: ContractedTables,
        observations: pa.Table,
        run: RunConfig,
        *,
        as_of: pd.Timestamp,
    ) -> Self:
        """Find which of the given observations may evaluate a model."""
        labels = labels_of(tables, observations, run, as_of=as_of)
        end = _end(tables, run, as_of)
        # `value` is in nanoseconds
        old = microseconds(observations[DECISION_TIME]) < end.value // 1000
        return cls(
            observations=observations,
            labels=labels,
            counted=np.asarray(labels.usable & old),
            end=end,
            until=observable_until(tables, as_of),
        )

    @property
    def target(self) -> Floats:
        """1 for positive and 0 for negative rows, shape (n,); NaN for rows that do not count."""
        return np.where(self.counted, self.labels.target, np.nan)

    @property
    def both_classes(self) -> bool:
        """True if the rows that count hold positives and negatives."""
        return {0.0, 1.0} <= set(self.target[self.counted])


def evaluation_rows(
    tables: ContractedTables,
    run: RunConfig,
    *,
    since: pd.Timestamp,
    as_of: pd.Timestamp,
    cure: str = "",
) -> EvaluationRows:
    """List the observations decided from `since` on, with what is known of them at `as_of`.

    `cure`: what the user can do if no row is old enough, for the message.
    Raises DatasetError if no row is old enough.
    """
    delay = run.dataset.label_delay
    if _end(tables, run, as_of) <= since:
        first, last, needed = (
            say_moment(each, tables.timezone) for each in (since, as_of, since + delay)
        )
        raise DatasetError(
            f"no row decided since {first} has a mature outcome on {last}: outcomes take "
            f"{delay.days} days; bring data until {needed} at least{cure}"
        )
    end = observable_until(tables, as_of)
    rows = make_observations(tables, unit=run.unit, start=since, end=end, config=run.dataset)
    return EvaluationRows.of(tables, rows, run, as_of=as_of)


def can_evaluate(
    tables: ContractedTables, run: RunConfig, *, since: pd.Timestamp, as_of: pd.Timestamp
) -> bool:
    """Return whether rows decided from `since` on have mature outcomes, of both classes."""
    if _end(tables, run, as_of) <= since:
        return False
    return evaluation_rows(tables, run, since=since, as_of=as_of).both_classes


def _end(tables: ContractedTables, run: RunConfig, as_of: pd.Timestamp) -> pd.Timestamp:
    return observable_until(tables, as_of - run.dataset.label_delay)
