"""Tables and a configuration in, a bundle and its evidence out. Pure: it writes nothing."""

from __future__ import annotations

from typing import Any

import pandas as pd

from kyc_ml.config import CustomerFoldsConfig, RunConfig, TierPolicy
from kyc_ml.contract.source import ContractedTables
from kyc_ml.training.customer_folds import train_customer_folds
from kyc_ml.training.evidence import BASELINE, MODEL, Evidence, Progress, Trained
from kyc_ml.training.out_of_time import train_out_of_time

__all__ = ["BASELINE", "MODEL", "Evidence", "Trained", "train"]


def train(
    source: ContractedTables,
    *,
    config: RunConfig,
    policy: TierPolicy,
    as_of: pd.Timestamp,
    data: dict[str, Any],
    progress: Progress | None = None,
) -> Trained:
    """Train, calibrate and judge a model with what was known at `as_of`.

    Parameters
    ----------
    data : dict
        Facts about the source that go into the bundle: name, digests, currency.

    Raises
    ------
    DatasetError
        If the labelled observations cannot carry a model.
    """
    tell = progress or _silent
    if isinstance(config.splits, CustomerFoldsConfig):
        return train_customer_folds(
            source,
            config=config,
            splits=config.splits,
            policy=policy,
            as_of=as_of,
            data=data,
            tell=tell,
        )
    return train_out_of_time(
        source,
        config=config,
        splits=config.splits,
        policy=policy,
        as_of=as_of,
        data=data,
        tell=tell,
    )


def _silent(stage: str, done: int, total: int) -> None:
    """Report progress to nobody."""
