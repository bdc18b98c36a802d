"""Runs: what a job records in MLflow besides a model."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import mlflow
import pandas as pd
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from kyc_ml.registry.environment import digest_code
from kyc_ml.registry.tracking.server import NIGHTLY, connected, experiment_of, start_run
from kyc_ml.registry.tracking.views import NIGHTS
from kyc_ml.storage import save_csv

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedPart:
    """Rows that MLflow lists as a dataset of the run; the rows themselves stay where they are."""

    name: str
    """Source and part, such as "synthetic test"."""
    context: str
    """What they were for: training, early_stopping, calibration or test."""
    digest: str
    """SHA-256 of what determines them: files, mapping, period, features."""
    facts: Mapping[str, str]
    """Where they come from, in names that mean the same elsewhere: no absolute path."""
    rows: int
    positives: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """What a training run leaves in MLflow besides the bundle."""

    parameters: Mapping[str, object]
    metrics: Mapping[str, float]
    """Mapping of ``part/figure`` to number; NaN is not logged."""
    tags: Mapping[str, str]
    tables: Mapping[str, pd.DataFrame]
    figures: Mapping[str, Figure]
    """`tables` and `figures`: Mapping by file name, without its ending."""
    note: str = ""
    """Markdown that the page of the run opens with."""
    parts: tuple[LoggedPart, ...] = ()
    """The rows that a model was trained and evaluated on."""
    began: float | None = None
    """When the job began, in seconds since 1970; None is when it is logged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildRecord:
    """One trial of a tuning study, as MLflow keeps it."""

    name: str
    parameters: Mapping[str, object]
    metrics: Mapping[str, float]
    steps: Mapping[str, Sequence[float]]
    """Mapping of metric name to its values, step by step from 1."""
    tags: Mapping[str, str]


def log_scoring(
    *,
    model: str,
    day: str,
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    began: float,
    ended: float,
    status: Literal["FINISHED", "FAILED", "KILLED"] = "FINISHED",
) -> str:
    """Log the counts of a scoring run of a day; returns the run's id.

    `began`, `ended`: in seconds since 1970; a run may be logged long after it.
    """
    title = f"score {model} {day}".rstrip()
    with connected():
        with start_run(experiment_of(NIGHTLY), title, view=NIGHTS, began=began) as run:
            mlflow.set_tags(dict(tags))  # first, so that an interrupted run shows its subject
            mlflow.log_metrics(dict(metrics))
        mlflow.MlflowClient().set_terminated(run.info.run_id, status, end_time=int(ended * 1000))
    return str(run.info.run_id)


def is_scoring_logged(run_id: str, *, out: str) -> bool:
    """Return whether MLflow has a scoring run, by the identifier of its manifest and its folder."""
    with connected():
        found = mlflow.search_runs(
            experiment_names=[experiment_of(NIGHTLY)],
            filter_string=f"tags.run_id = '{run_id}'",
            output_format="list",
        )
    return any(run.data.tags.get("out") == out for run in found)


def log_job(job: str, name: str, record: RunRecord, trials: Sequence[ChildRecord] = ()) -> str:
    """Log a job for the model `name` as one run, its trials nested in it; return the run's id.

    Raises RegistryError if the tracking server cannot be reached or refuses.
    """
    with connected(), start_run(experiment_of(name), f"{job} {name}", began=record.began) as run:
        log_record(record)
        for trial in trials:
            with mlflow.start_run(run_name=trial.name, nested=True):
                mlflow.log_params(dict(trial.parameters))
                mlflow.log_metrics(dict(trial.metrics))
                for metric, values in trial.steps.items():
                    for step, value in enumerate(values, 1):
                        mlflow.log_metric(metric, value, step=step)
                mlflow.set_tags(dict(trial.tags))
    return str(run.info.run_id)


def log_record(record: RunRecord) -> None:
    """Log all that a record holds to the run in progress."""
    with tempfile.TemporaryDirectory() as folder:
        write_files(record, Path(folder))
        log_facts(dict(record.parameters), facts_of(record), tags_of(record), Path(folder))


def log_facts(
    parameters: Mapping[str, object],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    files: Path,
) -> None:
    """Log facts to the run in progress, and all files of a folder."""
    mlflow.log_params(dict(parameters))
    mlflow.log_metrics(dict(metrics))
    mlflow.set_tags(dict(tags))
    mlflow.log_artifacts(str(files))


def facts_of(record: RunRecord) -> dict[str, float]:
    """Return the metrics that are numbers: MLflow takes no NaN."""
    # only NaN differs from itself
    return {name: value for name, value in record.metrics.items() if value == value}  # noqa: PLR0124


def write_files(record: RunRecord, folder: Path) -> None:
    """Write plots and tables as a run holds them."""
    for name, figure in record.figures.items():
        (folder / "plots").mkdir(exist_ok=True)
        figure.savefig(folder / "plots" / f"{name}.svg")
    for name, table in record.tables.items():
        (folder / "tables").mkdir(exist_ok=True)
        save_csv(table, folder / "tables" / f"{name}.csv")


def tags_of(record: RunRecord) -> dict[str, str]:
    """Return the tags with names that MLflow takes; the bundle keeps the names as they are.

    Every run also has `code_digest`, which `kyc-ml --version` prints: in development the source
    changes, and the version does not.
    """
    tags = {"code_digest": digest_code(), **record.tags}
    named = {re.sub(r"[^\w./: -]", "_", name)[:250]: text for name, text in tags.items()}
    return {**named, **({MLFLOW_RUN_NOTE: record.note} if record.note else {})}
