"""run_tune: read, search parameters on folds, compare the best on other rows, write and log it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from kyc_ml.config import CustomerFoldsConfig, RunConfig, dump_section, section_digest
from kyc_ml.contract import ContractedTables, digest_together, known_until
from kyc_ml.decision import load_run
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import RegistryError
from kyc_ml.history import read_tables
from kyc_ml.registry import ChildRecord, RunRecord, log_job, reach_store
from kyc_ml.storage import require_place, write_whole
from kyc_ml.training.tuning.study import TrialRecord
from kyc_ml.training.tuning.tune import Tuned, tune_tables, with_budget


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneRequest:
    """What to tune, on what, for how long, and where to keep it."""

    config: Path
    source: Path
    data: Path
    """`config`, `source` and `data`: run configuration, source mapping, and the folder of the files
    it names."""
    out: Path
    """YAML file to write, for ``model: !include FILE``."""
    study: Path | None = None
    """SQLite file of the study; an existing study is resumed. None is `out` as ``.db``."""
    as_of: pd.Timestamp | None = None
    """What was known then may be used; None is the end of the data."""
    trials: int | None = None
    minutes: float | None = None
    """`trials` and `minutes`: budgets to use instead of the configuration's."""
    quarantine: Path | None = None


def run_tune(request: TuneRequest, *, reporter: ProgressReporter) -> Tuned:
    """Search the model's parameters and write the best as the model section of a run.

    Where the best parameters of the folds are significantly worse than the configuration's own
    on rows that no choice saw, it writes the own, and what was found as comments. These rows are
    later ones; of a run cross-validated by customer they are outer folds, each with its search.

    Raises ConfigError if the study is of other data or settings.
    """
    run = load_run(request.config, source=request.source).run
    run = with_budget(run, trials=request.trials, minutes=request.minutes)
    out = request.out
    study = out.with_suffix(".db") if request.study is None else request.study
    # before hours of work, not after them
    for place in (study, out):
        require_place(place)
    reach_store(writes_to=run.name)
    began = time.time()
    clock = time.perf_counter()
    tables, mapping = read_tables(
        request.source, request.data, quarantine=request.quarantine, reporter=reporter
    )
    reading = time.perf_counter() - clock
    as_of = known_until(tables, request.as_of)
    facts = {
        "source": section_digest(mapping),
        "files": dict(tables.digests),
        "as_of": as_of.isoformat(),
    }
    tuned = tune_tables(
        tables, config=run, as_of=as_of, facts=facts, study=study, reporter=reporter
    )
    write_whole(out, _section(tuned).encode())
    clock = time.perf_counter()
    try:
        logged = log_job(
            "tune",
            run.name,
            _record(run, tuned, tables, as_of=as_of, began=began),
            [_child(trial, tuned.config.tuning.objective) for trial in tuned.search.trials],
        )
    except RegistryError as error:
        msg = (
            f"{error}\nthe parameters are in {out} and the study in {study}: the same command "
            "again repeats no trial, compares once more, and logs the run"
        )
        raise type(error)(msg) from None
    logging = time.perf_counter() - clock
    return replace(
        tuned,
        study=study,
        written=out,
        mlflow_run=logged,
        seconds={"reading": reading, **tuned.seconds, "logging": logging},
    )


def _section(tuned: Tuned) -> str:
    run, found, comparison = tuned.config, tuned.search, tuned.comparison
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


def _record(
    run: RunConfig, tuned: Tuned, tables: ContractedTables, *, as_of: pd.Timestamp, began: float
) -> RunRecord:
    found, comparison = tuned.search, tuned.comparison
    compared = comparison.table.to_dict("records")
    kind = "outer_folds" if isinstance(run.splits, CustomerFoldsConfig) else "test"
    return RunRecord(
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
            "trials": tuned.trials,
            "folds": tuned.folds,
            **({"comparison": comparison.table} if comparison.compared else {}),
        },
        figures={},
        began=began,
    )


def _child(trial: TrialRecord, objective: str) -> ChildRecord:
    value = {} if trial.value is None else {objective: trial.value}
    return ChildRecord(
        name=f"trial {trial.number}",
        parameters={f"model.{name}": chosen for name, chosen in trial.parameters.items()},
        metrics={**value, "seconds": trial.seconds},
        steps={f"fold/{objective}": trial.folds, "fold/trees": trial.trees},
        tags={"state": "pruned" if trial.pruned else "complete"},
    )
