"""Which observations a validation judges by, compares with, and learns baselines from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from kyc_ml.bundle import Bundle
from kyc_ml.comparison import trained_until
from kyc_ml.config import SplitConfig
from kyc_ml.contract.contracted import ContractedTables
from kyc_ml.contract.ending import observable_until
from kyc_ml.dataset import NEGATIVE, POSITIVE, Labels, make_observations, mature_labels
from kyc_ml.errors import ConfigError, DatasetError
from kyc_ml.features.history import microseconds
from kyc_ml.features.table import DECISION_TIME
from kyc_ml.splits import CALIBRATION, TEST, TRAIN, plan_out_of_time
from kyc_ml.training.evidence import history_start
from kyc_ml.training.out_of_time import label_parts
from kyc_ml.validation.policy import Settings
from kyc_ml.validation.rows import Role
from kyc_ml.validation.text import Text

Chosen = Literal["later", "test"]
"""Which rows judge the model: those after its training date, or those of its own test."""

_LATER: Final = Text(
    "decided after the training date: new to model and developer",
    "训练日期之后的样本：模型与开发人员均未见过",
)
_ORIGIN: Final = {
    TEST: Text(
        "the test part of the training run: not learned from, but seen by the developer",
        "训练运行的测试部分：未参与学习，但开发人员见过",
    ),
    CALIBRATION: Text(
        "the calibration part of the training run: the trees were not fitted on it",
        "训练运行的校准部分：未参与树的拟合",
    ),
    TRAIN: Text("rows the model was fitted on, a sample", "模型拟合所用样本（抽样）"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Observations of one role, with what is known of them."""

    role: Role
    origin: Text
    observations: pa.Table
    status: npt.NDArray[np.object_]
    judged: npt.NDArray[np.bool_]
    since: pd.Timestamp
    until: pd.Timestamp
    end: pd.Timestamp


def plan_parts(
    bundle: Bundle,
    tables: ContractedTables,
    *,
    chosen: Chosen,
    since: pd.Timestamp | None,
    as_of: pd.Timestamp,
    settings: Settings,
) -> tuple[list[Part], npt.NDArray[np.object_] | None]:
    """Choose the observations of each role.

    Returns
    -------
    parts : list of Part
        Current, reference and train.
    status : object array or None
        What was known on the training date of the run's own test rows; None where the run had
        none.

    Raises
    ------
    ConfigError
        If `chosen` is 'test' and the run had no test part.
    DatasetError
        If no row has a mature outcome.
    """
    splits = bundle.config.splits
    if isinstance(splits, SplitConfig):
        return _plan_in_time(
            bundle, tables, splits, chosen=chosen, since=since, as_of=as_of, settings=settings
        )
    if chosen == "test":
        msg = (
            "--rows test needs a model that was split in time: this one was cross-validated by "
            "customer, and learned from all its rows; leave --rows out and bring later data"
        )
        raise ConfigError(msg)
    known = trained_until(bundle)
    rows = make_observations(
        tables,
        unit=bundle.config.unit,
        start=history_start(bundle.config),
        end=observable_until(tables, known),
        config=bundle.config.dataset,
    )
    status = _labels(bundle, tables, rows, as_of=known).status
    train = _train_part(rows, status, settings, since=None, until=known)
    reference = Part(
        role="reference",
        origin=Text(
            "rows the model was fitted on: there are no others from its time",
            "模型拟合所用样本（训练期内无其他样本）",
        ),
        observations=rows,
        status=status,
        judged=np.isin(status, [POSITIVE, NEGATIVE]),
        since=train.since,
        until=known,
        end=known,
    )
    return [_later(bundle, tables, since=since, as_of=as_of), reference, train], None


def _plan_in_time(
    bundle: Bundle,
    tables: ContractedTables,
    splits: SplitConfig,
    *,
    chosen: Chosen,
    since: pd.Timestamp | None,
    as_of: pd.Timestamp,
    settings: Settings,
) -> tuple[list[Part], npt.NDArray[np.object_]]:
    boundaries = plan_out_of_time(
        as_of=trained_until(bundle), splits=splits, dataset=bundle.config.dataset
    )
    observations, part, status_then = label_parts(
        tables, config=bundle.config, boundaries=boundaries
    )

    def take(name: str, role: Role) -> Part:
        here = part == name
        rows = observations.filter(pa.array(here))
        start, end = boundaries.parts[name]
        status = _labels(bundle, tables, rows, as_of=as_of).status
        return Part(
            role=role,
            origin=_ORIGIN[name],
            observations=rows,
            status=status,
            judged=np.isin(status, [POSITIVE, NEGATIVE]),
            since=_first(rows) if start is None else start,
            until=end,
            end=end,
        )

    start, end = boundaries.parts[TRAIN]
    train = _train_part(
        observations.filter(pa.array(part == TRAIN)),
        status_then[part == TRAIN],
        settings,
        since=start,
        until=end,
    )
    if chosen == "test":
        parts = [take(TEST, "current"), take(CALIBRATION, "reference"), train]
    else:
        later = _later(bundle, tables, since=since, as_of=as_of)
        parts = [later, take(TEST, "reference"), train]
    return parts, status_then[part == TEST]


def _later(
    bundle: Bundle, tables: ContractedTables, *, since: pd.Timestamp | None, as_of: pd.Timestamp
) -> Part:
    """Take the observations after the training date; judged are those old enough."""
    dataset = bundle.config.dataset
    start = trained_until(bundle) if since is None else since
    ripening = pd.Timedelta(days=dataset.horizon_days + dataset.label_maturity_days)
    end, until = (observable_until(tables, day) for day in (as_of - ripening, as_of))
    if end <= start:
        msg = (
            f"no row decided since {start:%Y-%m-%d} has a mature outcome on {as_of:%Y-%m-%d}: "
            f"outcomes take {ripening.days} days; bring data until "
            f"{start + ripening:%Y-%m-%d} at least, or judge by the training run's own test "
            "rows: --rows test"
        )
        raise DatasetError(msg)
    rows = make_observations(
        tables, unit=bundle.config.unit, start=start, end=until, config=dataset
    )
    labels = _labels(bundle, tables, rows, as_of=as_of)
    old = microseconds(rows[DECISION_TIME]) < end.value // 1000
    return Part(
        role="current",
        origin=_LATER,
        observations=rows,
        status=labels.status,
        judged=np.asarray(labels.usable & old),
        since=start,
        until=until,
        end=end,
    )


def _labels(
    bundle: Bundle, tables: ContractedTables, rows: pa.Table, *, as_of: pd.Timestamp
) -> Labels:
    config = bundle.config
    return mature_labels(tables, rows, unit=config.unit, as_of=as_of, config=config.dataset)


def _train_part(
    rows: pa.Table,
    status: npt.NDArray[np.object_],
    settings: Settings,
    *,
    since: pd.Timestamp | None,
    until: pd.Timestamp,
) -> Part:
    """Draw at most so many usable rows, at random: a sample has the rate of the whole."""
    usable = np.flatnonzero(np.isin(status, [POSITIVE, NEGATIVE]))
    if usable.size > settings.train_rows:
        rng = np.random.default_rng(settings.seed)
        usable = np.sort(rng.choice(usable, settings.train_rows, replace=False))
    return Part(
        role="train",
        origin=_ORIGIN[TRAIN],
        observations=rows.take(pa.array(usable)),
        status=status[usable],
        judged=np.ones(usable.size, np.bool_),
        since=_first(rows) if since is None else since,
        until=until,
        end=until,
    )


def _first(rows: pa.Table) -> pd.Timestamp:
    return pd.Timestamp(int(microseconds(rows[DECISION_TIME]).min()), unit="us", tz="UTC")
