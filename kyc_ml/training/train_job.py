"""run_train: read, train, register, and leave a page to look at."""

import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import pandas as pd
from matplotlib.figure import Figure

from kyc_ml import registry
from kyc_ml.config import CALIBRATION, EARLY_STOPPING, SourceMapping, section_digest
from kyc_ml.contract import ContractedTables, known_until, tell_late_reviews
from kyc_ml.dataset import customers_of
from kyc_ml.decision import RunFiles, assign_tiers, compute_tier_table, load_run
from kyc_ml.display import PageStory, ProgressReporter, render_page
from kyc_ml.features import declare_features, not_in_time, report_unavailable
from kyc_ml.history import read_tables
from kyc_ml.metrics import number_customers
from kyc_ml.storage import private_folder, require_place, write_whole
from kyc_ml.training import training_warnings
from kyc_ml.training.api import train
from kyc_ml.training.evidence import Trained
from kyc_ml.training.model_card.card import ModelCard, make_model_card
from kyc_ml.training.model_card.limitations import say_one_instant
from kyc_ml.training.recording import make_run_record
from kyc_ml.training.training_page import flow_table, tell_model, training_figures

_FEW_TREES: Final = 20
"""Convention: a model that stopped before has hardly begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """A registered model, the bundle as it was saved, and its evidence."""

    registered: registry.RegisteredModel
    bundle: registry.Bundle
    trained: Trained
    tiers: pd.DataFrame
    figures: dict[str, Figure]
    card: ModelCard
    seconds: dict[str, float]
    page_text: str = ""
    """The page of the training as HTML, as MLflow keeps it."""
    page: Path | None = None
    """Where it was written to as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRequest:
    """What to train, on what, and what to leave besides the registered model."""

    config: Path
    source: Path
    data: Path
    """`config`, `source` and `data`: run configuration, source mapping, and the folder of the files
    it names."""
    as_of: pd.Timestamp | None = None
    """What was known then may be used; None is the end of the data."""
    keep: Path | None = None
    """Folder to leave a copy of the bundle in."""
    page: Path | None = None
    card: Path | None = None
    """`page` and `card`: HTML page of the training and Markdown file of the model card to write."""
    quarantine: Path | None = None

    @property
    def command(self) -> str:
        """The command of this request, without the folders above each name."""
        data = self.data.resolve().name
        words = ["--config", self.config.name, "--source", self.source.name, "--data", data]
        words += [] if self.as_of is None else ["--as-of", self.as_of.isoformat()]
        return shlex.join(["kyc-ml", "train", *words])


def run_train(request: TrainRequest, *, reporter: ProgressReporter) -> TrainingResult:
    """Train a model on a source and register it as challenger; see `train_tables`."""
    files = load_run(request.config, source=request.source)
    # before hours of work, not after them
    for place in (request.keep, request.page, request.card):
        if place is not None:
            require_place(place)
    if request.keep is not None:
        registry.require_new(request.keep)
    registry.reach_store(writes_to=files.run.name)
    start = time.perf_counter()
    with private_folder(None) as folder:
        tables, mapping = read_tables(
            request.source,
            request.data,
            quarantine=request.quarantine,
            reporter=reporter,
            folder=folder,
        )
        result = train_tables(
            tables,
            mapping,
            files=files,
            as_of=request.as_of,
            keep=request.keep,
            reporter=reporter,
            command=request.command,
            spent={"reading": time.perf_counter() - start},
        )
    card = result.card.render(result.registered.run_id)
    for place, text in ((request.page, result.page_text), (request.card, card)):
        if place is not None:
            write_whole(place, text.encode())
    return replace(result, page=request.page)


def train_tables(
    tables: ContractedTables,
    mapping: SourceMapping,
    *,
    files: RunFiles,
    as_of: pd.Timestamp | None,
    keep: Path | None = None,
    reporter: ProgressReporter,
    command: str = "kyc_ml.training.train_tables",
    spent: Mapping[str, float] | None = None,
) -> TrainingResult:
    """Train on tables already read; see `run_train`.

    Parameters
    ----------
    as_of : Timestamp or None
        See `known_until`.
    command : str
        The command for the record of the run; without absolute paths.
    spent : mapping of stage to seconds, optional
        Stages that were done before.

    Raises
    ------
    ConfigError
        If `as_of` lies beyond the data.
    RegistryError
        If MLflow does not take the model; the message names the folder that keeps it.
    """
    registry.reach_store(writes_to=files.run.name)
    as_of = known_until(tables, as_of)
    seconds = dict(spent or {})
    began = time.time() - sum(seconds.values())
    start = time.perf_counter()
    trained = train_on(tables, mapping, files=files, as_of=as_of, reporter=reporter)
    seconds["training"] = time.perf_counter() - start
    _tell(trained, reporter)
    tier = assign_tiers(trained.evidence.probability, policy=files.policy)
    table = partial(
        compute_tier_table,
        tier,
        trained.evidence.probability,
        policy=files.policy,
        target=trained.evidence.target,
        customers=number_customers(customers_of(trained.evidence.features.keys)),
    )
    tiers = table()
    training_warnings.warn_of_odd_tiers(tiers, reporter)
    # of five good tiers one in four times one would miss its own 95 %: all are tested together
    training_warnings.warn_of_missed_rates(table(confidence=1.0 - 0.05 / len(tiers)), reporter)
    training_warnings.warn_of_sampled_level(
        files.run.model, trained.bundle.calibrator.method, reporter
    )
    figures = training_figures(trained, tiers)
    start = time.perf_counter()
    reporter.progress("registering", 0, 1)
    with registry.kept_unless_registered(files.run.name, reporter) as folder:
        registry.save_bundle(trained.bundle, folder / registry.BUNDLE)
        # the bundle as it will be read, with its digest
        bundle = registry.load_bundle(folder / registry.BUNDLE)
        if keep is not None:
            registry.save_bundle(trained.bundle, keep)
        card = make_model_card(bundle, trained, tiers=tiers)
        record = make_run_record(
            trained,
            bundle,
            tables,
            tiers=tiers,
            figures=figures,
            seconds=seconds,
            note=card.headline,
            began=began,
        )
        own = registry.write_record(
            run=files.run,
            policy=files.policy,
            card=files.card,
            mapping=mapping,
            as_of=as_of,
            command=command,
            files=tables.digests,
            bundle=folder / registry.BUNDLE,
            specs=bundle.specs,
        )
        page = render_page(
            _story(trained, bundle, tables, mapping, tiers=tiers, figures=figures, seconds=seconds)
        )
        registry.keep_training(folder, bundle, record, own=own, card=card, page=page)
        registered = registry.register_kept(folder, later=False)
    reporter.progress("registering", 1, 1)
    seconds["registering"] = time.perf_counter() - start
    return TrainingResult(
        registered=registered,
        bundle=bundle,
        trained=trained,
        tiers=tiers,
        figures=figures,
        card=card,
        seconds=seconds,
        page_text=registry.without_marks(page, run=registered.run_id, version=registered.version),
    )


def train_on(
    tables: ContractedTables,
    mapping: SourceMapping,
    *,
    files: RunFiles,
    as_of: pd.Timestamp,
    reporter: ProgressReporter,
) -> Trained:
    """Train on tables already read, and write nothing: the same arguments, the same bundle.

    Raises DatasetError if the labelled observations cannot carry a model.
    """
    tell_late_reviews(tables, as_of, reporter)
    return train(
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
        progress=reporter.progress,
    )


def _story(
    trained: Trained,
    bundle: registry.Bundle,
    tables: ContractedTables,
    mapping: SourceMapping,
    *,
    tiers: pd.DataFrame,
    figures: dict[str, Figure],
    seconds: dict[str, float],
) -> PageStory:
    """Make the page of a training, with a mark where the version number will be."""
    run = bundle.config
    model = tell_model(
        bundle,
        trained,
        title=f"{run.name}: {run.unit} model",
        version=f"{run.name} v{registry.VERSION_MARK} (alias challenger)",
        tiers=tiers,
        figures=figures,
        scored=trained.evidence.target.size,
        seconds=seconds,
    )
    return PageStory(
        title=f"kyc_ml: model {run.name}",
        subtitle=f"Trained on {mapping.name}, known on "
        f"{pd.Timestamp(bundle.data['as_of']).tz_convert(tables.timezone):%Y-%m-%d %H:%M}",
        facts=(
            ("source", mapping.name),
            ("times of", tables.timezone),
            ("base currency", tables.base_currency),
        ),
        flow=flow_table(tables.quality),
        findings=tuple(f"{kind}: {each}" for kind, each in tables.quality.findings()),
        models=(model,),
    )


def _tell_of_few_trees(trained: Trained, reporter: ProgressReporter) -> None:
    """Warn if early stopping kept fewer trees than `_FEW_TREES`, perhaps by chance."""
    stopping = trained.parts[trained.parts["part"] == EARLY_STOPPING]
    if trained.best_round >= _FEW_TREES or stopping.empty:
        return
    reporter.warning(
        f"stopped after {trained.best_round} tree(s), by {int(stopping['positives'].sum()):,} "
        "positives of the early-stopping part: results are unreliable; give that part more days "
        "or the model a lower learning_rate, and compare with the logistic regression"
    )


def _tell_of_selection(trained: Trained, reporter: ProgressReporter) -> None:
    if trained.selection is None:
        return
    counts = trained.selection.counts()
    reasons = ", ".join(f"{n} {why}" for why, n in counts.items()) or "none"
    reporter.info(
        f"selection left out {sum(counts.values())} of {len(trained.selection.table)} features: "
        f"{reasons}; each with its figures in tables/selection.csv of the run in MLflow"
    )


def _positives_of_evaluation(trained: Trained) -> dict[str, int]:
    deciding = {EARLY_STOPPING, CALIBRATION, trained.evidence.part}
    return {
        row["part"].replace("_", " "): int(row["positives"])
        for row in trained.parts.to_dict("records")
        if row["part"] in deciding
    }


def _tell(trained: Trained, reporter: ProgressReporter) -> None:
    reporter.show("parts", trained.parts)
    features = trained.bundle.config.features
    if features.real_time:
        known = declare_features(features)
        late = [name for name in not_in_time(known) if known[name].family in features.families]
        report_unavailable(dict.fromkeys(late, "real_time leaves it out"), reporter)
    dropped = {} if trained.selection is None else trained.selection.dropped
    report_unavailable(
        {n: why for n, why in trained.left_out.items() if n not in dropped}, reporter
    )
    _tell_of_selection(trained, reporter)
    _tell_of_few_trees(trained, reporter)
    instant = say_one_instant(trained)
    if instant is not None:
        reporter.info(instant)
    training_warnings.warn_of_few_positives(_positives_of_evaluation(trained), reporter)
    reporter.show("calibration candidates", trained.calibration.candidates)
    if trained.calibration.segments is not None:
        reporter.show("calibration by segment", trained.calibration.segments)
    for found in trained.stability:
        reporter.show(f"{found.kind} stability: metrics on the test rows", found.metrics)
        reporter.show(f"{found.kind} stability: overlap of refits", found.overlaps)
