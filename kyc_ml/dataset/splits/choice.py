"""The splitter that a configuration names."""

from typing import Any

import numpy.typing as npt
import pandas as pd

from kyc_ml.config import CustomerFoldsConfig, DatasetConfig, FoldsConfig, OutOfTimeCustomersConfig
from kyc_ml.dataset.observations import history_start
from kyc_ml.dataset.splits.by_customer import CustomerDisjointSplit, OutOfTimeCustomerSplit
from kyc_ml.dataset.splits.in_time import PrequentialSplit
from kyc_ml.errors import ConfigError


def make_splitter(
    config: FoldsConfig,
    *,
    dataset: DatasetConfig,
    seed: int,
    end: pd.Timestamp | None = None,
    times: npt.ArrayLike | None = None,
) -> PrequentialSplit | CustomerDisjointSplit | OutOfTimeCustomerSplit:
    """Make the splitter of a tuning study or a cross-validation.

    `end`: end of the rows that may be used. For tuning inside a training run it is the end of the
    training part, so that no fold sees a later part.
    Raises ConfigError if the label delay is shorter than labels need to mature: of younger rows
    only the positives are known, and a model would learn from them alone.
    """
    if isinstance(config, CustomerFoldsConfig):
        return CustomerDisjointSplit(n_splits=config.folds, seed=seed, times=times)
    mature = dataset.label_delay.days
    delay = mature if config.delay_days is None else config.delay_days
    if delay < mature:
        raise ConfigError(
            f"delay_days ({delay}) must be at least dataset.horizon_days and "
            f"dataset.label_maturity_days together ({mature}): otherwise only the positives "
            "among a fold's last training rows are known; leave delay_days out to take that sum"
        )
    in_time: dict[str, Any] = {
        "n_splits": config.folds,
        "train_days": config.train_days,
        "delay_days": delay,
        "embargo_days": config.embargo_days,
        "horizon_days": dataset.horizon_days,
        "test_days": config.test_days,
        "start": history_start(dataset),
        "end": end,
        "times": times,
    }
    if isinstance(config, OutOfTimeCustomersConfig):
        return OutOfTimeCustomerSplit(seed=seed, **in_time)
    return PrequentialSplit(step_days=config.step_days, **in_time)
