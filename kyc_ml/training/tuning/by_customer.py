"""Nested cross-validation by customer: inner folds choose parameters, outer folds evaluate.

Every row is predicted with parameters that were chosen without its customer: the search is
repeated for each outer fold, on the other rows alone.

Source: Cawley and Talbot 2010, Journal of Machine Learning Research 11, 2079-2107; Varma and
Simon 2006, BMC Bioinformatics 7, 91.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from kyc_ml.config import CustomerFoldsConfig, ModelConfig, PrequentialConfig, RunConfig
from kyc_ml.contract import ContractedTables
from kyc_ml.dataset import customers_of
from kyc_ml.display import StageProgress
from kyc_ml.errors import ConfigError, Faults, require_both_classes
from kyc_ml.features import DECISION_TIME, choose_features, microseconds
from kyc_ml.metrics import Floats, Ints, Names
from kyc_ml.training.customer_folds import list_observations
from kyc_ml.training.evidence import build_all
from kyc_ml.training.out_of_fold import fit_whole, split_customers
from kyc_ml.training.tuning import comparison
from kyc_ml.training.tuning.rows import (
    OuterFold,
    TuningFold,
    TuningPart,
    TuningRows,
    fold_rows,
    require_classes_in,
)

Choose = Callable[[TuningRows, int], ModelConfig]
"""Takes the rows and the number of an outer fold; returns what the search on its folds chose."""


def require_foldable(config: RunConfig, splits: CustomerFoldsConfig) -> None:
    """Raise ConfigError for all settings of tuning that folds by customer cannot follow."""
    tuning, inner = config.tuning, config.tuning.folds.folds
    usual = PrequentialConfig(method="prequential", folds=inner)
    fewest = 2 if splits.early_stopping_folds is None else 3
    faults = Faults("tuning of a run with splits.method customer_folds", ConfigError)
    if tuning.folds != usual:
        days = ", ".join(sorted(tuning.folds.model_fields_set - {"method", "folds"}))
        faults.add(f"tuning.folds: only folds, their number, is read: leave {days} out")
    if inner < fewest:
        faults.add(f"tuning.folds.folds must be at least {fewest}, got {inner}")
    if tuning.objective == "recall_at_capacity":
        faults.add(
            "tuning.objective recall_at_capacity needs all rows of a day, and a fold holds a part "
            "of them: choose another objective"
        )
    faults.raise_if_any()


def prepare_folds(
    source: ContractedTables,
    *,
    config: RunConfig,
    splits: CustomerFoldsConfig,
    as_of: pd.Timestamp,
    tell: StageProgress,
) -> TuningRows:
    """Split the rows that the run would be trained on into outer and inner folds.

    Raises ConfigError: see `require_foldable`; DatasetError if a fold lacks rows of one of the
    classes.
    """
    require_foldable(config, splits)
    found = list_observations(source, config=config, as_of=as_of)
    require_both_classes(
        f"tuning on {splits.folds} folds",
        int(found.target.sum()),
        found.target.size,
        fewest=splits.folds,
        cure="lower splits.folds, or check cases and the dates",
    )
    specs = choose_features(config.features, unit=config.unit, attributes=source.attributes)
    features = build_all(source, found.used, specs, config=config, tell=tell)
    split = _Splitting(
        target=found.target,
        customers=customers_of(features.keys),
        times=microseconds(features.keys[DECISION_TIME]),
        end=as_of,
        seed=config.tuning.seed,
        inner=config.tuning.folds.folds,
        stops=splits.early_stopping_folds is not None,
    )
    everything = np.arange(found.target.size)
    fold = split_customers(
        found.target, split.customers, folds=splits.folds, seed=config.model.seed
    )
    outer = tuple(
        OuterFold(
            fit=split.part(np.flatnonzero(fold != number)),
            test=split.part(np.flatnonzero(fold == number)),
            folds=split.inner_folds(np.flatnonzero(fold != number), f"outer fold {number + 1}, "),
        )
        for number in range(splits.folds)
    )
    folds = split.inner_folds(everything, "")
    require_classes_in([*folds, *(each for one in outer for each in one.folds)])
    return TuningRows(
        features=features,
        folds=folds,
        final=fold_rows(
            "all rows out of fold",
            {"fit": split.part(everything[:0]), "test": split.part(everything)},
            split.times,
            as_of,
        ),
        summary=split.summarise(outer),
        outer=outer,
    )


def compare_out_of_fold(
    rows: TuningRows,
    *,
    own: ModelConfig,
    chosen: ModelConfig,
    config: RunConfig,
    choose: Choose,
    tell: StageProgress,
) -> comparison.ParameterComparison:
    """Predict each outer fold with the own parameters and with those chosen on the other rows.

    No search is needed if no trial on all rows beats the own parameters. The interval is
    that of `compute_differences`; margins of the folds are pooled without calibration.

    `chosen` is the result of the search on all rows, which the run takes.
    """
    if own == chosen:
        return comparison.nothing_to_compare(own)
    customers = customers_of(rows.features.keys)
    margins = np.zeros((2, customers.size))
    for number, fold in enumerate(rows.outer, 1):
        inner = choose(replace(rows, folds=fold.folds, outer=()), number)
        fitted = np.zeros(customers.size, np.bool_)
        fitted[fold.fit.rows] = True
        matrix, _ = rows.features.encode(rows.features.learn_vocabularies(fitted))
        for place, model in enumerate((own, inner)):
            found = fit_whole(
                matrix[fold.fit.rows],
                fold.fit.target,
                customers[fold.fit.rows],
                specs=rows.features.specs,
                config=config.model_copy(update={"model": model}),
            )
            margins[place, fold.test.rows] = found.margin(matrix[fold.test.rows], threads=1)
        tell("comparing on outer folds", number, len(rows.outer))
    table = comparison.compute_differences(
        rows.final, margins[0], margins[1], customers=customers, config=config.tuning
    )
    where = "On outer folds, of customers that the choice did not use,"
    return comparison.conclude_tuning(
        table, own=own, chosen=chosen, config=config.tuning, where=where
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Splitting:
    """Rows to split by customer; with `stops` a fold of the `inner` ones is for early stopping."""

    target: Floats
    customers: Names
    times: Ints
    end: pd.Timestamp
    seed: int
    inner: int
    stops: bool

    def part(self, rows: Ints) -> TuningPart:
        return TuningPart(rows=rows, target=self.target[rows])

    def inner_folds(self, rows: Ints, name: str) -> tuple[TuningFold, ...]:
        """Split by customer: each inner fold tests once, and the next one is for early stopping."""
        fold = split_customers(
            self.target[rows], self.customers[rows], folds=self.inner, seed=self.seed
        )
        made = []
        for number in range(self.inner):
            stop = (number + 1) % self.inner if self.stops else -1
            places = {"fit": (fold != number) & (fold != stop), "test": fold == number}
            places |= {"stop": fold == stop} if self.stops else {}
            parts = {each: self.part(rows[here]) for each, here in places.items()}
            made.append(fold_rows(f"{name}inner fold {number + 1}", parts, self.times, self.end))
        return tuple(made)

    def summarise(self, outer: tuple[OuterFold, ...]) -> pd.DataFrame:
        """Count the rows of each outer fold, in the form of `TuningRows.summary`."""
        when = pd.to_datetime(self.times, unit="us", utc=True)
        return pd.DataFrame(
            [
                {
                    "fold": number,
                    "part": name,
                    "start": when[part.rows].min(),
                    "end": when[part.rows].max(),
                    "labels_read": self.end,
                    "rows": part.rows.size,
                    "positives": int(part.target.sum()),
                }
                for number, fold in enumerate(outer, 1)
                for name, part in (("fit", fold.fit), ("test", fold.test))
            ]
        )
