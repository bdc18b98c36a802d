"""Search parameters and compare them: on folds in time, or on nested folds by customer."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from kyc_ml.config import SEARCHED, CustomerFoldsConfig, ModelConfig, RunConfig, TuningConfig
from kyc_ml.contract import ContractedTables
from kyc_ml.display import ProgressReporter, StageProgress, say_in_html, say_plainly
from kyc_ml.training.training_warnings import warn_of_few_positives
from kyc_ml.training.tuning.by_customer import compare_out_of_fold, prepare_folds, require_foldable
from kyc_ml.training.tuning.comparison import ParameterComparison, compare
from kyc_ml.training.tuning.objectives import MAXIMISED
from kyc_ml.training.tuning.rows import TuningRows, prepare_rows
from kyc_ml.training.tuning.study import Search, identify_study, search


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """Parameters found on folds, and how they did on rows that no choice saw.

    Attributes
    ----------
    config : RunConfig
        The run with the model section to train with, and the budgets of the search.
    search : Search
    comparison : ParameterComparison
        The configuration's own parameters and the chosen ones on rows that no trial saw; where
        the own are kept, it has a sentence and no table.
    folds : DataFrame
        What each fold was fitted, stopped and evaluated on; see `TuningRows.summary`.
    seconds : mapping of stage to what it took
    study, written : Path or None
        The SQLite study, and the YAML file of the model section; None where none was kept.
    mlflow_run : str
        Id of the run in MLflow; empty for a search in memory.
    """

    config: RunConfig
    search: Search
    comparison: ParameterComparison
    folds: pd.DataFrame
    seconds: Mapping[str, float] = field(default_factory=dict)
    study: Path | None = None
    written: Path | None = None
    mlflow_run: str = ""

    @property
    def trials(self) -> pd.DataFrame:
        """One row a trial: trial, state, value, each fold's value, parameters, trees, seconds."""
        return pd.DataFrame(
            [
                {
                    "trial": trial.number,
                    "state": "pruned" if trial.pruned else "complete",
                    "value": float("nan") if trial.value is None else trial.value,
                    **{f"fold_{number}": value for number, value in enumerate(trial.folds, 1)},
                    **{name: trial.parameters[name] for name in SEARCHED},
                    "trees": max(trial.trees),
                    "seconds": trial.seconds,
                }
                for trial in self.search.trials
            ]
        )

    @property
    def ascending(self) -> bool:
        """True if smaller values of the objective are better."""
        return self.config.tuning.objective not in MAXIMISED

    def _facts(self) -> dict[str, object]:
        found = self.search
        return {
            "objective": self.config.tuning.objective.replace("_", " "),
            "trials": f"{len(found.trials)}, {sum(t.pruned for t in found.trials)} of them pruned",
            "on the folds": f"own {found.own.value:.4g}, best {found.best.value:.4g} "
            f"(trial {found.best.number})",
            "on other rows": self.comparison.sentence,
        }

    def __repr__(self) -> str:
        return say_plainly("Tuned", self._facts())

    def _repr_html_(self) -> str:
        compared = self.comparison
        tables = [compared.table.round(4)] if compared.compared else []
        return say_in_html("Tuned", self._facts(), tables=tables)


def with_budget(config: RunConfig, *, trials: int | None, minutes: float | None) -> RunConfig:
    """Return the run with other budgets, where they are given; refuse what cannot be tuned.

    Raises ConfigError if tuning cannot follow the settings.
    """
    given = {"trials": trials, "minutes": minutes}
    changed = {name: value for name, value in given.items() if value is not None}
    # validated again: `model_copy` alone would take a budget of 0
    tuning = TuningConfig.model_validate({**config.tuning.model_dump(), **changed})
    if isinstance(config.splits, CustomerFoldsConfig):
        require_foldable(config.model_copy(update={"tuning": tuning}), config.splits)
    return config.model_copy(update={"tuning": tuning})


def tune_tables(
    source: ContractedTables,
    *,
    config: RunConfig,
    as_of: pd.Timestamp,
    facts: Mapping[str, Any],
    study: Path,
    reporter: ProgressReporter,
) -> Tuned:
    """Search on folds, and compare what was found with the configuration's own parameters.

    `study`: SQLite file; a study in it of the same data and settings is continued.
    """
    seconds: dict[str, float] = {}
    clock = time.perf_counter()

    def took(stage: str) -> None:
        nonlocal clock
        now = time.perf_counter()
        seconds[stage], clock = now - clock, now

    splits, tell = config.splits, reporter.progress
    rows = (
        prepare_folds(source, config=config, splits=splits, as_of=as_of, tell=tell)
        if isinstance(splits, CustomerFoldsConfig)
        else prepare_rows(source, config=config, as_of=as_of, tell=tell)
    )
    reporter.show("folds", rows.summary)
    warn_of_few_positives(_positives_of_evaluation(rows.summary), reporter)
    if config.selection.method != "none":
        reporter.info("selection is not part of tuning: all trials use all features")
    took("features")
    identity = identify_study(config, facts)
    studies = _Studies(config=config, identity=identity, path=study, tell=tell)
    found = studies.search(rows)
    took("searching")
    comparison = studies.compare(rows, found.chosen)
    took("comparing")
    return Tuned(
        config=config.model_copy(update={"model": comparison.taken}),
        search=found,
        comparison=comparison,
        folds=rows.summary,
        seconds=seconds,
    )


def _positives_of_evaluation(folds: pd.DataFrame) -> dict[str, int]:
    return {
        f"fold {row['fold']} {row['part']}": row["positives"]
        for row in folds.to_dict("records")
        if row["part"] != "fit"
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Studies:
    """Searches that share a SQLite file, a configuration and its budget."""

    config: RunConfig
    identity: str
    path: Path
    tell: StageProgress

    def search(self, rows: TuningRows) -> Search:
        return search(
            rows,
            model=self.config.model,
            config=self._budget(rows),
            identity=self.identity,
            path=self.path,
            tell=self.tell,
        )

    def compare(self, rows: TuningRows, chosen: ModelConfig) -> ParameterComparison:
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
        tuning = self.config.tuning
        if tuning.minutes is None:
            return tuning
        return tuning.model_copy(update={"minutes": tuning.minutes / (1 + len(rows.outer))})
