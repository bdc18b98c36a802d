"""run_tune: read, search parameters on folds, judge the best on rows it never saw, write them."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from kyc_ml.config import SEARCHED, RunConfig, TuningConfig, dump_section, section_digest
from kyc_ml.contract import ContractedTables, digest_together, known_until, read_tables
from kyc_ml.decision import load_run
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import RegistryError
from kyc_ml.registry import ChildRecord, RunRecord, log_tuning, reach_store
from kyc_ml.storage import require_place, written_whole
from kyc_ml.training.training_warnings import warn_of_few_positives
from kyc_ml.training.tuning.comparison import ParameterComparison
from kyc_ml.training.tuning.objectives import MAXIMISED
from kyc_ml.training.tuning.rows import TuningRows
from kyc_ml.training.tuning.study import Search, TrialRecord, identify_study
from kyc_ml.training.tuning.tune import Studies, prepare, require_tunable


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningResult:
    """What a study found, how it fared on later rows, and where the parameters are.

    Attributes
    ----------
    folds : DataFrame
        What each fold fitted on, stopped on and was judged by; see `TuningRows`.
    study, written : Path
        The SQLite study, and the YAML file of the model section to train with.
    """

    run: RunConfig
    search: Search
    comparison: ParameterComparison
    folds: pd.DataFrame
    study: Path
    written: Path
    mlflow_run: str
    seconds: dict[str, float]

    @property
    def ascending(self) -> bool:
        """True if the best trial is the one of the smallest value."""
        return self.run.tuning.objective not in MAXIMISED


def run_tune(
    *,
    config: Path,
    source: Path,
    data: Path,
    as_of: pd.Timestamp | None,
    study: Path,
    out: Path,
    trials: int | None,
    minutes: float | None,
    quarantine: Path | None,
    reporter: ProgressReporter,
) -> TuningResult:
    """Search the model's parameters and write the best as the model section of a run.

    Where the best of the folds are surely worse than the configuration's own on rows that no
    choice saw, it writes the own, with what was found as comments. These rows are later ones; of
    a run cross-validated by customer they are outer folds, each with a search of its own.

    Parameters
    ----------
    as_of : Timestamp or None
        What was known then may be used; None is the end of the data: see `end_of_data`.
    study : Path
        SQLite file of the study; one that is there is gone on with.
    out : Path
        YAML file to write, for ``model: !include FILE``.
    trials, minutes
        Budgets to use instead of the configuration's.

    Raises
    ------
    ConfigError
        If the study is of other data or settings.
    """
    run = load_run(config, source=source).run
    budget = {"trials": trials, "minutes": minutes}
    given = {name: value for name, value in budget.items() if value is not None}
    tuning = TuningConfig.model_validate({**run.tuning.model_dump(), **given})
    run = run.model_copy(update={"tuning": tuning})
    require_tunable(run)
    for place in (study, out):
        require_place(place)
    reach_store(writes_to=run.name)
    began = time.time()
    clock = time.perf_counter()
    seconds = {}

    def took(stage: str) -> None:
        nonlocal clock
        now = time.perf_counter()
        seconds[stage], clock = now - clock, now

    tables, mapping = read_tables(source, data, quarantine=quarantine, reporter=reporter)
    took("reading")
    moment = known_until(tables, as_of)
    rows = prepare(tables, config=run, as_of=moment, tell=reporter.progress)
    reporter.show("folds", rows.summary)
    warn_of_few_positives(_positives_of_judges(rows.summary), reporter)
    if run.selection.method != "none":
        reporter.info("selection is not part of tuning: all trials use all features")
    took("features")
    facts = {
        "source": section_digest(mapping),
        "files": dict(tables.digests),
        "as_of": moment.isoformat(),
    }
    identity = identify_study(run, facts)
    studies = Studies(config=run, identity=identity, path=study, tell=reporter.progress)
    found = studies.search(rows)
    took("searching")
    comparison = studies.compare(rows, found.chosen)
    with written_whole(out) as handle:
        handle.write(_section(run, found, comparison).encode())
    took("comparing")
    record, trials_done = _records(
        run, found=found, comparison=comparison, rows=rows, tables=tables, as_of=moment
    )
    try:
        logged = log_tuning(run.name, replace(record, began=began), trials_done)
    except RegistryError as error:
        msg = (
            f"{error}\nthe parameters are in {out} and the study in {study}: the same command "
            "again tries nothing twice, compares once more, and logs the run"
        )
        raise type(error)(msg) from None
    took("logging")
    return TuningResult(
        run=run,
        search=found,
        comparison=comparison,
        folds=rows.summary,
        study=study,
        written=out,
        mlflow_run=logged,
        seconds=seconds,
    )


def _positives_of_judges(folds: pd.DataFrame) -> dict[str, int]:
    """Count the positives that stop each fold, and those that judge it."""
    return {
        f"fold {row['fold']} {row['part']}": row["positives"]
        for row in folds.to_dict("records")
        if row["part"] != "fit"
    }


def trials_table(found: Search) -> pd.DataFrame:
    """Tabulate trials: trial, state, value, each fold's value, parameters, trees, seconds."""
    return pd.DataFrame(
        [
            {
                "trial": trial.number,
                "state": "pruned" if trial.pruned else "complete",
                "value": float("nan") if trial.value is None else trial.value,
                **{f"fold_{number}": value for number, value in enumerate(trial.folds, 1)},
                **{name: trial.parameters[name] for name in SEARCHED},
                "trees": max(trial.rounds),
                "seconds": trial.seconds,
            }
            for trial in found.trials
        ]
    )


def _section(run: RunConfig, found: Search, comparison: ParameterComparison) -> str:
    """Write the model section to train with, with where it comes from as comments."""
    objective = run.tuning.objective.replace("_", " ")
    whose = "the configuration's own, kept" if comparison.worse else "chosen"
    lines = [
        f"Model parameters {whose} by kyc-ml tune for {run.name}; use: model: !include FILE",
        f"Trial {found.best.number} of {len(found.trials)}: mean {objective} over "
        f"{len(found.best.folds)} folds {found.best.value:.6g}, with the configuration's own "
        f"{found.own.value:.6g}.",
        comparison.sentence,
    ]
    if comparison.worse:
        lines.append(f"Not taken, of trial {found.best.number}:")
        lines += [f"  {name}: {value:.6g}" for name, value in found.best.parameters.items()]
    return "".join(f"# {line}\n" for line in lines) + dump_section(comparison.taken)


_COLUMNS = {
    "own": ("own", ""),
    "chosen": ("chosen", ""),
    "difference": ("difference", ""),
    "low": ("difference", "_low"),
    "high": ("difference", "_high"),
}
"""Whose figure a column of the comparison is, and how its name ends."""


def _records(
    run: RunConfig,
    *,
    found: Search,
    comparison: ParameterComparison,
    rows: TuningRows,
    tables: ContractedTables,
    as_of: pd.Timestamp,
) -> tuple[RunRecord, list[ChildRecord]]:
    """Collect what MLflow is to keep of the study, and of each of its trials."""
    compared = comparison.table.to_dict("records")
    kind = "outer_folds" if rows.outer else "test"
    record = RunRecord(
        parameters={
            **{f"model.{name}": value for name, value in found.chosen.model_dump().items()},
            **{
                f"tuning.{name}": value
                for name, value in run.tuning.model_dump().items()
                if name != "search"
            },
        },
        metrics={
            "trials": len(found.trials),
            "pruned": sum(trial.pruned for trial in found.trials),
            f"chosen/folds/{run.tuning.objective}": found.best.value or 0.0,
            f"own/folds/{run.tuning.objective}": found.own.value or 0.0,
            **{
                f"{name}/{kind}/{row['figure']}{end}": row[column]
                for row in compared
                for column, (name, end) in _COLUMNS.items()
            },
        },
        note=comparison.sentence,
        tags={
            "job": "tune",
            "unit": run.unit,
            "as_of": as_of.isoformat(),
            "code_version": version("kyc-ml"),
            "config_digest": section_digest(run),
            "verdict": comparison.verdict,
            "data_digest": digest_together(tables.digests),
        },
        tables={
            "trials": trials_table(found),
            "folds": rows.summary,
            **({"comparison": comparison.table} if comparison.compared else {}),
        },
        figures={},
    )
    return record, [_child(trial, run.tuning.objective) for trial in found.trials]


def _child(trial: TrialRecord, objective: str) -> ChildRecord:
    value = {} if trial.value is None else {objective: trial.value}
    return ChildRecord(
        name=f"trial {trial.number}",
        parameters={f"model.{name}": chosen for name, chosen in trial.parameters.items()},
        metrics={**value, "seconds": trial.seconds},
        steps={f"fold/{objective}": trial.folds, "fold/trees": trial.rounds},
        tags={"state": "pruned" if trial.pruned else "complete"},
    )
