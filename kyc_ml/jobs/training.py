"""run_train: read, train, register, and leave a page to look at."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Final

import pandas as pd
from matplotlib.figure import Figure

from kyc_ml.bundle import Bundle, load_bundle, require_new, save_bundle
from kyc_ml.config import SourceMapping, section_digest
from kyc_ml.contract.source import ContractedTables
from kyc_ml.engine.writing import require_place
from kyc_ml.jobs.configuring import RunFiles, load_run
from kyc_ml.jobs.reading import (
    end_of_data,
    last_known,
    parse_moment,
    read_tables,
    require_data_until,
)
from kyc_ml.jobs.story import flow_table, tell_model, training_figures
from kyc_ml.jobs.watch import Watch
from kyc_ml.page import PageStory, save_page
from kyc_ml.tiers import assign_tiers, compute_tier_table
from kyc_ml.tracking import RegisteredModel, RunRecord, log_training, reach_store
from kyc_ml.training import BASELINE, MODEL, RATING, Trained, train


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """A registered model, the bundle as it was saved, and its evidence."""

    registered: RegisteredModel
    bundle: Bundle
    trained: Trained
    tiers: pd.DataFrame
    figures: dict[str, Figure]
    seconds: dict[str, float]
    page: Path | None = None


def run_train(
    *,
    config: Path,
    source: Path,
    data: Path,
    as_of: str | None,
    quarantine: Path,
    keep: Path | None,
    page: Path | None,
    watch: Watch,
) -> TrainingResult:
    """Train a model on a source and register it as challenger.

    Parameters
    ----------
    as_of : str or None
        What was known then may be used; None is the day after the last event.
    keep : Path or None
        Folder to leave a copy of the bundle in.
    page : Path or None
        HTML page to write.
    """
    files = load_run(config)
    for place in (keep, page):
        if place is not None:
            require_place(place)
    if keep is not None:
        require_new(keep)
    start = time.perf_counter()
    tables, mapping = read_tables(source, data, quarantine=quarantine, watch=watch)
    read_seconds = time.perf_counter() - start
    moment = end_of_data(tables) if as_of is None else parse_moment(as_of, name="--as-of")
    result = train_tables(
        tables,
        mapping,
        files=files,
        as_of=moment,
        keep=keep,
        watch=watch,
    )
    result = replace(result, seconds={"reading": read_seconds, **result.seconds}, page=page)
    if page is not None:
        save_page(_story(result, tables, mapping), page)
    return result


def train_tables(
    tables: ContractedTables,
    mapping: SourceMapping,
    *,
    files: RunFiles,
    as_of: pd.Timestamp,
    keep: Path | None,
    watch: Watch,
) -> TrainingResult:
    """Train on tables already read; see `run_train`."""
    require_data_until(as_of, last_known(tables), what="the tables")
    reach_store()
    start = time.perf_counter()
    trained = train(
        tables,
        config=files.run,
        policy=files.policy,
        card=files.card,
        as_of=as_of,
        data={
            "source": mapping.name,
            "source_digest": section_digest(mapping),
            "files": dict(tables.digests),
            "as_of": as_of.isoformat(),
            "base_currency": tables.base_currency,
            "timezone": tables.timezone,
        },
        progress=watch.step,
    )
    seconds = {"training": time.perf_counter() - start}
    _tell(trained, watch)
    tier = assign_tiers(trained.evidence.probability, policy=files.policy)
    tiers = compute_tier_table(
        tier, trained.evidence.probability, policy=files.policy, target=trained.evidence.target
    )
    figures = training_figures(trained, tiers)
    start = time.perf_counter()
    watch.step("registering", 0, 1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "bundle" if keep is None else keep
        save_bundle(trained.bundle, folder)
        bundle = load_bundle(folder)
        registered = log_training(bundle, folder, _record(trained, tables, tiers, figures))
    watch.step("registering", 1, 1)
    seconds["registering"] = time.perf_counter() - start
    return TrainingResult(
        registered=registered,
        bundle=bundle,
        trained=trained,
        tiers=tiers,
        figures=figures,
        seconds=seconds,
    )


def _story(result: TrainingResult, tables: ContractedTables, mapping: SourceMapping) -> PageStory:
    run = result.bundle.config
    model = tell_model(
        result.bundle,
        result.trained,
        title=f"{run.name}: {run.unit} model",
        version=f"{result.registered.name} v{result.registered.version} (alias challenger)",
        tiers=result.tiers,
        figures=result.figures,
        scored=result.trained.evidence.target.size,
        seconds=result.seconds,
    )
    return PageStory(
        title=f"kyc_ml: model {run.name}",
        subtitle=f"Trained on {mapping.name}, known on {result.bundle.data['as_of'][:10]}",
        facts=(("source", mapping.name), ("base currency", tables.base_currency)),
        flow=flow_table(tables.quality),
        findings=tuple(tables.quality.lines()),
        models=(model,),
    )


_PREFIX: Final = {MODEL: "", BASELINE: "baseline_", RATING: "rating_"}
"""How a metric's name says whose it is."""


def _tell(trained: Trained, watch: Watch) -> None:
    watch.show("parts", trained.parts)
    for name, reason in trained.left_out.items():
        watch.say(f"feature left out: {name}: {reason}")
    watch.show("calibration candidates", trained.calibration.candidates)
    if trained.calibration.segments is not None:
        watch.show("calibration by segment", trained.calibration.segments)
    for found in trained.stability:
        watch.show(f"{found.kind} stability: metrics on the test rows", found.metrics)
        watch.show(f"{found.kind} stability: overlap of refits", found.overlaps)


def _record(
    trained: Trained,
    tables: ContractedTables,
    tiers: pd.DataFrame,
    figures: dict[str, Figure],
) -> RunRecord:
    """Collect what MLflow is to keep of the run."""
    run = trained.bundle.config
    metrics = {
        f"{who}{part}/{name}": value
        for owner, parts in trained.quality.items()
        for part, quality in parts.items()
        for name, value in quality.as_dict().items()
        for who in (_PREFIX[owner],)
    }
    metrics["best_round"] = trained.best_round
    return RunRecord(
        parameters={
            **{f"model.{name}": value for name, value in run.model.model_dump().items()},
            **{f"splits.{name}": value for name, value in run.splits.model_dump().items()},
            **{f"dataset.{name}": value for name, value in run.dataset.model_dump().items()},
            "features.families": ",".join(run.features.families),
            "features.count": len(trained.bundle.inputs),
            "calibration.chosen": trained.bundle.calibrator.method,
        },
        metrics=metrics,
        tags={
            "unit": run.unit,
            "as_of": str(trained.bundle.data["as_of"]),
            "source": str(trained.bundle.data["source"]),
            "code_version": version("kyc-ml"),
            "config_digest": section_digest(run),
            "policy": f"{trained.bundle.policy.name} v{trained.bundle.policy.version}",
            **{f"data.sha256.{path}": digest for path, digest in tables.digests.items()},
        },
        tables={
            "parts": trained.parts,
            "tiers": tiers,
            "importance": trained.importance,
            "calibration_candidates": trained.calibration.candidates,
            "data_quality": tables.quality.to_frame(),
            "reliability_of_calibration_rows": trained.calibration.reliability,
            **{f"stability_{found.kind}": found.runs for found in trained.stability},
        },
        figures=figures,
    )
