"""Observations with the part and the label by which a model is trained and tested on them."""

import numpy as np
import pandas as pd
import pyarrow as pa

from kyc_ml.config import TEST, DatasetConfig, RunConfig
from kyc_ml.contract import ContractedTables
from kyc_ml.dataset.evaluated import labels_of, observations_of
from kyc_ml.dataset.splits.parts import Boundaries, assign_parts
from kyc_ml.features import DECISION_TIME, microseconds
from kyc_ml.metrics import Names


def label_parts(
    source: ContractedTables, *, config: RunConfig, boundaries: Boundaries
) -> tuple[pa.Table, Names, Names]:
    """Return each observation's part and label; labels of a part are those known at its cut-off."""
    observations = observations_of(
        source,
        config,
        until=boundaries.parts[TEST][1],
        end_is=_say_end(config.dataset, boundaries.as_of),
    )
    decision = microseconds(observations[DECISION_TIME]).view("datetime64[us]")
    part = assign_parts(decision, boundaries)
    status = np.empty(part.size, dtype=object)
    for date, rows in (
        (boundaries.development_cutoff, part != TEST),
        (boundaries.as_of, part == TEST),
    ):
        known = labels_of(source, observations.filter(pa.array(rows)), config, as_of=date)
        status[rows] = known.status
    return observations, part, status


def _say_end(dataset: DatasetConfig, as_of: pd.Timestamp) -> str:
    """Return how the end of the parts follows from `as_of`: no user gave that date."""
    horizon = f"{dataset.horizon_days} days of horizon and " if dataset.horizon_days else ""
    delay = f"{horizon}{dataset.label_maturity_days} days of label maturity"
    return f"as_of {as_of.date().isoformat()} less {delay}"
