"""One way to tune: folds in time for a run parted in time, nested folds by customer for others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from kyc_ml.config import CustomerFoldsConfig, ModelConfig, RunConfig, TuningConfig
from kyc_ml.contract import ContractedTables
from kyc_ml.display import StageProgress
from kyc_ml.training.tuning.by_customer import compare_out_of_fold, prepare_folds, require_foldable
from kyc_ml.training.tuning.comparison import ParameterComparison, compare
from kyc_ml.training.tuning.rows import TuningRows, prepare_rows
from kyc_ml.training.tuning.study import Search, search


def require_tunable(config: RunConfig) -> None:
    """Refuse settings that tuning cannot follow, before anything is read.

    Raises
    ------
    ConfigError
        Naming them.
    """
    if isinstance(config.splits, CustomerFoldsConfig):
        require_foldable(config, config.splits)


def prepare(
    source: ContractedTables, *, config: RunConfig, as_of: pd.Timestamp, tell: StageProgress
) -> TuningRows:
    """Compute the features of all rows that tuning uses, and part them into folds.

    Raises
    ------
    ConfigError, DatasetError
        As `prepare_rows` and `prepare_folds` do.
    """
    if isinstance(config.splits, CustomerFoldsConfig):
        return prepare_folds(source, config=config, splits=config.splits, as_of=as_of, tell=tell)
    return prepare_rows(source, config=config, as_of=as_of, tell=tell)


@dataclass(frozen=True, slots=True, kw_only=True)
class Studies:
    """Searches that share a file, a configuration and its budget.

    Attributes
    ----------
    identity : str
        See `identify`.
    path : Path
        SQLite file.
    """

    config: RunConfig
    identity: str
    path: Path
    tell: StageProgress

    def search(self, rows: TuningRows) -> Search:
        """Search on all rows; see `search`."""
        return search(
            rows,
            model=self.config.model,
            config=self._budget(rows),
            identity=self.identity,
            path=self.path,
            tell=self.tell,
        )

    def compare(self, rows: TuningRows, chosen: ModelConfig) -> ParameterComparison:
        """Say whether what was chosen beats the configuration's own on rows no choice saw."""
        own = self.config.model
        if not rows.outer:
            return compare(rows, own=own, chosen=chosen, config=self.config.tuning, tell=self.tell)
        budget = self._budget(rows)

        def choose(part: TuningRows, number: int) -> ModelConfig:
            def tell(stage: str, done: int, total: int) -> None:
                self.tell(f"outer fold {number}: {stage}", done, total)

            return search(
                part,
                model=own,
                config=budget,
                identity=self.identity,
                path=self.path,
                tell=tell,
                name=f"outer fold {number}",
            ).chosen

        return compare_out_of_fold(
            rows, own=own, chosen=chosen, config=self.config, choose=choose, tell=self.tell
        )

    def _budget(self, rows: TuningRows) -> TuningConfig:
        """Share the minutes out to the searches; each has all trials."""
        tuning = self.config.tuning
        if tuning.minutes is None:
            return tuning
        return tuning.model_copy(update={"minutes": tuning.minutes / (1 + len(rows.outer))})
