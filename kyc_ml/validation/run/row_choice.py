"""Choose the observations to evaluate, to compare with, and to fit baselines on."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from kyc_ml import dataset, training
from kyc_ml.config import CALIBRATION, TEST, TRAIN, SplitConfig
from kyc_ml.contract import ContractedTables
from kyc_ml.errors import ConfigError
from kyc_ml.features import DECISION_TIME, microseconds
from kyc_ml.metrics import Floats, Mask, Names
from kyc_ml.registry import Bundle, trained_until
from kyc_ml.validation.policy import Settings
from kyc_ml.validation.rows import Role
from kyc_ml.validation.text import Text, notice

ChosenPart = Literal["later", "test", "out_of_fold"]
"""Rows to evaluate on: those after the training date, the model's own test part, or its
out-of-fold rows if it was cross-validated by customer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewPart:
    """Observations of one role, with the status of their outcomes."""

    role: Role
    origin: Text
    observations: pa.Table
    status: Names
    evaluated: Mask
    since: pd.Timestamp
    until: pd.Timestamp
    end: pd.Timestamp
    learned: Floats | None = None
    """Outcomes known on the training date, if the rows are to be predicted out of fold."""


def choose_rows(
    bundle: Bundle,
    tables: ContractedTables,
    asked: ChosenPart | None,
    *,
    since: pd.Timestamp | None,
    as_of: pd.Timestamp,
) -> ChosenPart:
    """Return the kind of rows to evaluate on: the one asked for, or by default later rows.

    The default for a model cross-validated by customer is its out-of-fold rows while the mature
    later rows do not have both classes.

    Raises ConfigError if the model does not have the rows asked for, or `since` is given for
    other rows than later ones.
    """
    if asked in {"test", "out_of_fold"} and since is not None:
        msg = f"--since applies to later rows only, not to --rows {asked}: leave one of them out"
        raise ConfigError(msg)
    if asked == "out_of_fold":
        training.require_customer_folds(bundle.config)
    if asked == "test" and training.is_cross_validated(bundle):
        raise ConfigError(
            "--rows test needs a model that was split in time: this one was cross-validated by "
            "customer, and learned from all its rows; leave --rows out, or name out_of_fold"
        )
    if asked is not None:
        return asked
    if since is not None or not training.is_cross_validated(bundle):
        return "later"
    later = dataset.can_evaluate(tables, bundle.config, since=trained_until(bundle), as_of=as_of)
    return "later" if later else "out_of_fold"


def plan_parts(
    bundle: Bundle,
    tables: ContractedTables,
    *,
    chosen: ChosenPart,
    since: pd.Timestamp | None,
    as_of: pd.Timestamp,
    settings: Settings,
) -> tuple[list[ReviewPart], Names]:
    """Choose the observations of each role.

    Raises DatasetError if no row has a mature outcome.

    Returns `parts`: current, reference and train. Out-of-fold rows have no reference, it would be
    the same, nor has the test of a model that learned from the calibration rows.
    Returns `status`: object array; outcomes, as known on the training date, of the run's own
    held-out rows: its test part, or all its rows, each held out once.
    """
    splits = bundle.config.splits
    if isinstance(splits, SplitConfig):
        return _plan_in_time(
            bundle, tables, splits, chosen=chosen, since=since, as_of=as_of, settings=settings
        )
    known, rows = trained_until(bundle), training.list_fold_rows(bundle, tables)
    labels = dataset.labels_of(tables, rows.observations, bundle.config, as_of=as_of)
    role: Role = "current" if chosen == "out_of_fold" else "reference"
    held_out = ReviewPart(
        role=role,
        origin=notice("origin_out_of_fold"),
        observations=rows.observations,
        status=labels.status,
        evaluated=labels.usable,
        since=rows.since,
        until=known,
        end=known,
        learned=rows.target,
    )
    then = dataset.to_status(rows.target)
    train = _train_part(rows.observations, then, settings, since=None, until=known)
    later = () if chosen == "out_of_fold" else (_later(bundle, tables, since=since, as_of=as_of),)
    return [*later, held_out, train], then


def _plan_in_time(
    bundle: Bundle,
    tables: ContractedTables,
    splits: SplitConfig,
    *,
    chosen: ChosenPart,
    since: pd.Timestamp | None,
    as_of: pd.Timestamp,
    settings: Settings,
) -> tuple[list[ReviewPart], Names]:
    boundaries = dataset.plan_out_of_time(
        as_of=trained_until(bundle), splits=splits, dataset=bundle.config.dataset
    )
    observations, part, status_then = dataset.label_parts(
        tables, config=bundle.config, boundaries=boundaries
    )

    def take(name: str, role: Role) -> ReviewPart:
        here = part == name
        rows = observations.filter(pa.array(here))
        start, end = boundaries.parts[name]
        labels = dataset.labels_of(tables, rows, bundle.config, as_of=as_of)
        return ReviewPart(
            role=role,
            origin=notice(f"origin_{name}"),
            observations=rows,
            status=labels.status,
            evaluated=labels.usable,
            since=_first(rows) if start is None else start,
            until=end,
            end=end,
        )

    learned = training.learned_parts(bundle.config.model)
    here = np.isin(part, learned)
    train = _train_part(
        observations.filter(pa.array(here)),
        status_then[here],
        settings,
        since=boundaries.parts[TRAIN][0],
        until=max(end for name, (_, end) in boundaries.parts.items() if name in learned),
    )
    if chosen == "test":
        # rows that the model learned would look better than the test, whatever the model
        unseen = () if CALIBRATION in learned else (take(CALIBRATION, "reference"),)
        parts = [take(TEST, "current"), *unseen, train]
    else:
        later = _later(bundle, tables, since=since, as_of=as_of)
        parts = [later, take(TEST, "reference"), train]
    return parts, status_then[part == TEST]


def _later(
    bundle: Bundle, tables: ContractedTables, *, since: pd.Timestamp | None, as_of: pd.Timestamp
) -> ReviewPart:
    """Take the observations after the training date; those old enough are evaluated."""
    start = trained_until(bundle) if since is None else since
    kind = "out_of_fold" if training.is_cross_validated(bundle) else "test"
    found = dataset.evaluation_rows(
        tables,
        bundle.config,
        since=start,
        as_of=as_of,
        cure=f", or evaluate on the training run's own held-out rows: --rows {kind}",
    )
    return ReviewPart(
        role="current",
        origin=notice("origin_later"),
        observations=found.observations,
        status=found.labels.status,
        evaluated=found.counted,
        since=start,
        until=found.until,
        end=found.end,
    )


def _train_part(
    rows: pa.Table,
    status: Names,
    settings: Settings,
    *,
    since: pd.Timestamp | None,
    until: pd.Timestamp,
) -> ReviewPart:
    """Draw at most `train_rows` usable rows, not by class, so that the rate does not change."""
    usable = np.flatnonzero(~np.isnan(dataset.to_target(status)))
    if usable.size > settings.train_rows:
        rng = np.random.default_rng(settings.seed)
        # sorted: the sample keeps the order of the rows
        usable = np.sort(rng.choice(usable, settings.train_rows, replace=False))
    return ReviewPart(
        role="train",
        origin=notice("origin_train"),
        observations=rows.take(pa.array(usable)),
        status=status[usable],
        evaluated=np.ones(usable.size, np.bool_),
        since=_first(rows) if since is None else since,
        until=until,
        end=until,
    )


def _first(rows: pa.Table) -> pd.Timestamp:
    return pd.Timestamp(int(microseconds(rows[DECISION_TIME]).min()), unit="us", tz="UTC")
