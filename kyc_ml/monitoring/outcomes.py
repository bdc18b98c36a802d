"""Published scores of many nights, joined with their outcomes as known at a date."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from kyc_ml.config import RunConfig
from kyc_ml.contract import ContractedTables
from kyc_ml.validation import Text


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownOutcomes:
    """Scored observations of one model name, and what is known of their outcomes.

    Attributes
    ----------
    rows : DataFrame
        One row an observation, in order of decision, with night (ISO date of its folder),
        observation_id, customer_id (that of the observation where it has no customer),
        decision_time (UTC), probability, tier, segment, model (name and version), policy,
        label (positive, negative, immature, open_case, already_adverse, withdrawn: a positive
        outcome was known once and is no more; the row then counts as negative once its window
        has closed), target (1, 0; NaN where the outcome may not be used) and reported (when the
        positive outcome became known; NaT without one).
    delay : Timedelta
        Outcome window: horizon and maturity. A row's window closes at decision_time + delay.
    as_of : Timestamp
        Outcomes known later were not used.
    timezone : str
        Zone whose days and months are counted.
    remarks : tuple of Text
        What was left out and why: nights missing or of another model, rows scored twice, rated
        or without a usable label, labels withdrawn; empty if there was nothing of the kind.
    """

    rows: pd.DataFrame
    delay: pd.Timedelta
    as_of: pd.Timestamp
    timezone: str = "UTC"
    remarks: tuple[Text, ...] = ()


def read_outcomes(
    out: Path,
    name: str,
    *,
    tables: ContractedTables,
    run: RunConfig,
    as_of: pd.Timestamp,
) -> KnownOutcomes:
    """Read the published nights of a model and join their outcomes.

    Parameters
    ----------
    out : Path
        Folder of nights, each published as ``OUT/YYYY-MM-DD/NAME``.
    name : str
        Name of the model; for a shadow the folder's name.
    run : RunConfig
        Unit and label delay, such as those of the champion's bundle.

    Raises
    ------
    ConfigError
        If the manifest or a score file of a night is damaged.
    """
    raise NotImplementedError
