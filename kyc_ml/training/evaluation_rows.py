"""Which rows a model did not learn from; `kyc_ml.dataset.evaluation_rows` finds the mature ones.

A model split in time has not seen the rows from the start of its test part on. A model
cross-validated by customer has learned from every row before its training date, but each row
was held out once: those predictions are its out-of-fold rows.
"""

from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from kyc_ml.config import TEST, CustomerFoldsConfig, SplitConfig
from kyc_ml.contract import ContractedTables
from kyc_ml.dataset import plan_out_of_time
from kyc_ml.errors import require_both_classes
from kyc_ml.features import DECISION_TIME
from kyc_ml.metrics import Floats
from kyc_ml.registry import Bundle, trained_until
from kyc_ml.training.customer_folds import list_observations
from kyc_ml.training.out_of_fold import FOLDS, require_customer_folds


def unseen_since(bundle: Bundle) -> pd.Timestamp:
    """Return the earliest decision time of rows that were neither fitted nor calibrated on."""
    trained, run = trained_until(bundle), bundle.config
    if not isinstance(run.splits, SplitConfig):
        return trained
    boundaries = plan_out_of_time(as_of=trained, splits=run.splits, dataset=run.dataset)
    first = boundaries.parts[TEST][0]
    return trained if first is None else first


def is_cross_validated(bundle: Bundle) -> bool:
    """Return whether a model was cross-validated by customer, and so has out-of-fold rows."""
    return isinstance(bundle.config.splits, CustomerFoldsConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldRows:
    """The rows that a cross-validated model was trained on, to be predicted out of fold."""

    observations: pa.Table
    target: Floats
    """float64 array of shape (n,); outcomes as they were known on the training date."""
    since: pd.Timestamp
    until: pd.Timestamp
    """`since` and `until`: decisions in ``[since, until)``; `until` is the training date."""
    difference: str
    """What the data hold otherwise than at the training, in a sentence; '' where nothing."""


def list_fold_rows(bundle: Bundle, tables: ContractedTables) -> FoldRows:
    """List the rows that a cross-validated model was trained on.

    Raises ConfigError if the model was not cross-validated by customer; DatasetError if the data
    have too few of them for its folds.
    """
    splits = require_customer_folds(bundle.config)
    trained = trained_until(bundle)
    rows = list_observations(tables, config=bundle.config, as_of=trained)
    positives = int(rows.target.sum())
    require_both_classes(
        f"cross-validating again what was known on {trained:%Y-%m-%d %H:%M}",
        positives,
        rows.target.size,
        fewest=splits.folds,
        cure="bring the data that the model was trained on, or rows decided later",
    )
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
    differing = " and ".join(f"{found[name]:,} {name} for {recorded[name]:,.0f}" for name in other)
    return (
        f"of the training's time the data have {differing} at the training: the models of the "
        "folds are fitted on other rows than then"
    )
