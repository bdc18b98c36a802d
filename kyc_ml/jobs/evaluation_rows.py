"""The rows that may evaluate a model: which are mature, and which it did not learn from.

One rule for `tiers fit`, `validate` and `compare`. A row counts once anybody can know its
outcome; among younger ones only the positives are known. A model split in time has not seen
the rows from the start of its test part on; one cross-validated by customer has learned from
every row before its training date, but each was held out once: its out-of-fold rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from kyc_ml.bundle import Bundle
from kyc_ml.comparison import trained_until
from kyc_ml.config import CustomerFoldsConfig, DatasetConfig, SplitConfig, Unit
from kyc_ml.contract.contracted import ContractedTables
from kyc_ml.contract.ending import observable_until
from kyc_ml.dataset import Labels, make_observations, mature_labels
from kyc_ml.errors import DatasetError
from kyc_ml.features.history import microseconds
from kyc_ml.features.table import DECISION_TIME, FeatureTable
from kyc_ml.jobs.watch import Watch
from kyc_ml.splits import TEST, plan_out_of_time
from kyc_ml.training.customer_folds import list_observations
from kyc_ml.training.out_of_fold import FOLDS, predict_again, require_customer_folds

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatureRows:
    """Observations of a period, and which of them have a mature outcome.

    Attributes
    ----------
    observations : pyarrow.Table of n rows
    labels : Labels
    counted : bool array of shape (n,)
        Their outcome is known, and they are old enough for any outcome to be known.
    end : Timestamp
        Counted rows were decided before it.
    until : Timestamp
        All rows were decided before it.
    """

    observations: pa.Table
    labels: Labels
    counted: npt.NDArray[np.bool_]
    end: pd.Timestamp
    until: pd.Timestamp

    @property
    def both_classes(self) -> bool:
        """True if the counted rows can be ranked."""
        positives = int(np.nansum(self.labels.target[self.counted]))
        return 0 < positives < int(self.counted.sum())


def list_mature(
    tables: ContractedTables,
    *,
    unit: Unit,
    config: DatasetConfig,
    since: pd.Timestamp,
    as_of: pd.Timestamp,
    cure: str = "",
) -> MatureRows:
    """List the observations decided from `since` on, with what is known of them at `as_of`.

    Parameters
    ----------
    cure : str
        What else can be done where no row is old enough.

    Raises
    ------
    DatasetError
        If none is.
    """
    ripening = pd.Timedelta(days=config.horizon_days + config.label_maturity_days)
    end, until = (observable_until(tables, day) for day in (as_of - ripening, as_of))
    if end <= since:
        msg = (
            f"no row decided since {since:%Y-%m-%d %H:%M} has a mature outcome on "
            f"{as_of:%Y-%m-%d %H:%M}: outcomes take {ripening.days} days; bring data until "
            f"{since + ripening:%Y-%m-%d %H:%M} at least{cure}"
        )
        raise DatasetError(msg)
    rows = make_observations(tables, unit=unit, start=since, end=until, config=config)
    labels = mature_labels(tables, rows, unit=unit, as_of=as_of, config=config)
    old = microseconds(rows[DECISION_TIME]) < end.value // 1000
    return MatureRows(
        observations=rows,
        labels=labels,
        counted=np.asarray(labels.usable & old),
        end=end,
        until=until,
    )


def can_evaluate(
    tables: ContractedTables,
    *,
    unit: Unit,
    config: DatasetConfig,
    since: pd.Timestamp,
    as_of: pd.Timestamp,
) -> bool:
    """Tell whether rows decided from `since` on have mature outcomes, of both classes."""
    ripening = pd.Timedelta(days=config.horizon_days + config.label_maturity_days)
    if observable_until(tables, as_of - ripening) <= since:
        return False
    return list_mature(tables, unit=unit, config=config, since=since, as_of=as_of).both_classes


def unseen_since(bundle: Bundle) -> pd.Timestamp:
    """Give the first decision whose row a model was neither fitted nor calibrated on."""
    trained, run = trained_until(bundle), bundle.config
    if not isinstance(run.splits, SplitConfig):
        return trained
    boundaries = plan_out_of_time(as_of=trained, splits=run.splits, dataset=run.dataset)
    first = boundaries.parts[TEST][0]
    return trained if first is None else first


def is_cross_validated(bundle: Bundle) -> bool:
    """Tell whether a model was cross-validated by customer, and so has out-of-fold rows."""
    return isinstance(bundle.config.splits, CustomerFoldsConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldRows:
    """The rows that a cross-validated model was trained on, to be predicted out of fold.

    Attributes
    ----------
    observations : pyarrow.Table of n rows
    target : float64 array of shape (n,)
        Outcomes as they were known on the training date.
    since, until : Timestamp
        Decisions in ``[since, until)``; `until` is the training date.
    difference : str
        What the data hold otherwise than at the training, in a sentence; '' where nothing.
    """

    observations: pa.Table
    target: Floats
    since: pd.Timestamp
    until: pd.Timestamp
    difference: str


def list_fold_rows(bundle: Bundle, tables: ContractedTables) -> FoldRows:
    """List the rows that a cross-validated model was trained on.

    Raises
    ------
    ConfigError
        If the model was not cross-validated by customer.
    DatasetError
        If the data do not hold enough of them to be parted into its folds.
    """
    splits = require_customer_folds(bundle.config)
    trained = trained_until(bundle)
    rows = list_observations(tables, config=bundle.config, as_of=trained)
    positives = int(rows.target.sum())
    if min(positives, rows.target.size - positives) < splits.folds:
        msg = (
            f"out-of-fold rows are those of the training, but of what was known on "
            f"{trained:%Y-%m-%d %H:%M} the data hold {rows.target.size:,} rows with {positives:,} "
            f"positives, too few for {splits.folds} folds: bring the data that the model was "
            "trained on, or rows decided later"
        )
        raise DatasetError(msg)
    decided = pd.DatetimeIndex(rows.used[DECISION_TIME].to_pandas())
    return FoldRows(
        observations=rows.used,
        target=rows.target,
        since=decided.min(),
        until=trained,
        difference=_say_difference(bundle, rows.target.size, positives),
    )


def _say_difference(bundle: Bundle, rows: int, positives: int) -> str:
    recorded = bundle.metrics.get(FOLDS, {})
    found = {"rows": rows, "positives": positives}
    other = [name for name, n in found.items() if recorded.get(name, n) != n]
    if not other:
        return ""
    said = " and ".join(f"{found[name]:,} {name} for {recorded[name]:,.0f}" for name in other)
    return (
        f"warning: of the training's time the data hold {said} at the training: the models of the "
        "folds are fitted on other rows than then"
    )


def predict_fold_rows(
    bundle: Bundle, features: FeatureTable, target: Floats, watch: Watch
) -> tuple[Floats, Floats]:
    """Give margin and probability of each row by models that saw nothing of its customer.

    Parameters
    ----------
    features : FeatureTable
        Of the rows of `list_fold_rows`, in their order.
    """
    found, probability = predict_again(bundle, features, target, tell=watch.step)
    return found.margin, probability
