"""Tables and a configuration in, a bundle and its evidence out. Pure: it writes nothing."""

from __future__ import annotations

from typing import Any

import pandas as pd

from kyc_ml.config import CustomerFoldsConfig, RunConfig
from kyc_ml.contract.contracted import ContractedTables
from kyc_ml.errors import ConfigError, Faults
from kyc_ml.features.named import require_named_features
from kyc_ml.rating import RatingCard
from kyc_ml.tiers import TierPolicy
from kyc_ml.training.customer_folds import train_customer_folds
from kyc_ml.training.evidence import BASELINE, MODEL, RATING, Evidence, Progress, Trained
from kyc_ml.training.out_of_time import train_out_of_time

__all__ = ["BASELINE", "MODEL", "RATING", "Evidence", "Trained", "train"]


def train(
    source: ContractedTables,
    *,
    config: RunConfig,
    policy: TierPolicy,
    as_of: pd.Timestamp,
    data: dict[str, Any],
    card: RatingCard | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Train, calibrate and judge a model with what was known at `as_of`.

    Parameters
    ----------
    data : dict
        Facts about the source that go into the bundle: name, digests, currency.
    card : RatingCard, optional
        Expert rating to hold the model against, on the same test rows.

    Raises
    ------
    ConfigError
        If selection, refits or a card are asked for where rows are not parted in time, or
        the configuration names features that it does not choose.
    DatasetError
        If the labelled observations cannot carry a model.
    """
    tell = progress or _silent
    require_named_features(config)
    if isinstance(config.splits, CustomerFoldsConfig):
        _require_no_extras(config, card)
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
        card=card,
        as_of=as_of,
        data=data,
        tell=tell,
    )


def _require_no_extras(config: RunConfig, card: RatingCard | None) -> None:
    """Refuse what needs parts in time: it must not be left out in silence."""
    asked = {
        "selection.method": config.selection.method != "none",
        "model.refit": config.model.refit,
        "stability.seed_refits": config.stability.seed_refits > 0,
        "stability.bootstrap_refits": config.stability.bootstrap_refits > 0,
        "rating": card is not None,
    }
    faults = Faults("splits.method is customer_folds", ConfigError)
    faults.extend(
        f"{name} works with out_of_time only: leave it out" for name in asked if asked[name]
    )
    faults.raise_if_any()


def _silent(stage: str, done: int, total: int) -> None:
    """Report progress to nobody."""
