"""The only importer of MLflow: runs, registered versions and aliases.

The tracking server is the one that ``MLFLOW_TRACKING_URI`` names; without it a SQLite
file, ``mlflow.db``, in the working folder.

One scheme of names serves training, tuning, scoring and comparing, so that runs compare:

- parameter: the configuration's own key, ``model.num_leaves``; what a run chose itself has
  ``.chosen``, as in ``calibration.chosen``.
- metric: ``part/figure`` of the run's own model, ``test/auc``; another's figure has its owner
  before it, ``baseline/test/auc``. Owners are ``baseline`` and ``rating`` in training, ``own``
  and ``chosen`` in tuning, ``champion`` and ``challenger`` in comparing; ``difference`` is
  later less earlier. Counts are ``rows/scored``, ``tier/high``; times ``seconds/features``.
- tag: ``job`` (train, tune, score, compare), ``unit``, ``as_of``, ``source``, ``policy``, and
  the digests ``bundle_digest``, ``config_digest``, ``data_digest`` with ``code_version``.
- artifact: plots below ``plots/``, tables below ``tables/``, what a rerun needs below
  ``record/``, the model card ``model_card.md``.
"""

from __future__ import annotations

import json
import logging
import os
import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

# MLflow decides when it is imported whether it sends usage statistics out of the house.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import mlflow
import pandas as pd
from matplotlib.figure import Figure
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.dataset import Dataset
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec
from mlflow.types.schema import DataType
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE
from sqlalchemy.exc import SQLAlchemyError

from kyc_ml.bundle import MANIFEST, Bundle
from kyc_ml.errors import RegistryError
from kyc_ml.features.spec import FeatureSpec
from kyc_ml.model_card import ModelCard
from kyc_ml.score import policy_facts

DEFAULT_STORE: Final = "sqlite:///mlflow.db"
LOADER: Final = "kyc_ml.score"
CHALLENGER: Final = "challenger"
_LONGEST_DESCRIPTION: Final = 5_000  # characters that MLflow's registry has room for
_DIGEST: Final = "kyc_ml.bundle_digest"
_TOLD: Final = ("unit", "as_of", "source", "policy", "code_version", "config_digest", "data_digest")
"""Tags of a run that its registered version has too."""
_LONGEST_DATASET_DIGEST: Final = 36
_SHORT: Final = 8  # characters of a digest that tell models apart
_RECORD: Final = "record"
_CARD: Final = "model_card.md"

# without a kind MLflow's page shows an experiment as one of language models, without its runs
_EXPERIMENT: Final = {
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.experiment.primaryMetric.name": "test/average_precision",
    "mlflow.experiment.primaryMetric.greaterIsBetter": "True",
}

# MLflow alone retries for four minutes a server that is not there.
_PATIENCE: Final = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredModel:
    """A version in the registry."""

    name: str
    version: str
    run_id: str
    digest: str

    @property
    def uri(self) -> str:
        """Registry address of exactly this version."""
        return f"models:/{self.name}/{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedPart:
    """Rows that MLflow lists as a dataset of the run; the rows themselves stay where they are.

    Attributes
    ----------
    name : str
        Source and part, such as "synthetic test".
    context : str
        What they were for: training, early_stopping, calibration or test.
    digest : str
        SHA-256 of what determines them: files, mapping, period, features.
    facts : mapping
        Where they come from, in names that mean the same elsewhere: no absolute path.
    rows, positives : int
    """

    name: str
    context: str
    digest: str
    facts: Mapping[str, str]
    rows: int
    positives: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """What a training run leaves in MLflow besides the bundle.

    Attributes
    ----------
    parameters : mapping of name to value
    metrics : mapping of ``part/figure`` to number; NaN is left out
    tags : mapping of name to text
    tables : mapping of file name to data frame
    figures : mapping of file name to plot
    note : str
        Markdown that the page of the run opens with.
    parts : tuple of LoggedPart
        The rows a model was made of and judged by.
    """

    parameters: Mapping[str, object]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    tables: Mapping[str, pd.DataFrame]
    figures: Mapping[str, Figure]
    note: str = ""
    parts: tuple[LoggedPart, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildRecord:
    """One trial of a tuning study, as MLflow keeps it.

    Attributes
    ----------
    steps : mapping of metric name to its values, step by step from 1
    """

    name: str
    parameters: Mapping[str, object]
    metrics: Mapping[str, float]
    steps: Mapping[str, Sequence[float]]
    tags: Mapping[str, str]


def tracking_uri() -> str:
    """Name the tracking server in use, without a password."""
    return _without_password(_address())


def reach_store() -> None:
    """Ask the tracking server for a sign of life, before a long job relies on it.

    Raises
    ------
    RegistryError
        If it cannot be reached.
    """
    with _connected():
        mlflow.search_experiments(max_results=1)


def log_training(
    bundle: Bundle, folder: Path, record: RunRecord, *, own: Mapping[str, str], card: ModelCard
) -> RegisteredModel:
    """Log a training run, register its bundle and point the alias `challenger` at it.

    Parameters
    ----------
    folder : Path
        The saved bundle.
    own : mapping of file name to text
        What a rerun needs; see `kyc_ml.record`.

    Raises
    ------
    RegistryError
        If the tracking server cannot be reached or refuses.
    """
    name = bundle.config.name
    with _connected():
        # runs of one day differ in their digest: charts tell them apart by the name
        title = f"train {bundle.digest[:_SHORT]} {bundle.data['as_of'][:10]}"
        with _run(f"kyc_ml {name}", title) as run:
            _log_record(record)
            _log_parts(record.parts, bundle)
            for path, text in own.items():
                mlflow.log_text(text, f"{_RECORD}/{path}")
            mlflow.log_text(card.render(run.info.run_id), _CARD)
            logged = _log_bundle(bundle, folder)
        version_tags = {name: text for name, text in _tags(record).items() if name in _TOLD}
        registered = _register(
            name,
            logged,
            tags={**version_tags, _DIGEST: bundle.digest},
            purpose=card.purpose,
            description=card.shorten(run.info.run_id, longest=_LONGEST_DESCRIPTION),
        )
    return RegisteredModel(
        name=name, version=registered, run_id=run.info.run_id, digest=bundle.digest
    )


def fetch_bundle(uri: str, into: Path) -> tuple[Path, str, str]:
    """Bring a registered bundle to a local folder.

    Parameters
    ----------
    uri : str
        ``models:/name@alias`` or ``models:/name/version``.

    Returns
    -------
    folder : Path
        The bundle.
    digest : str
        The digest that was registered.
    version : str
        Name and version, for the score table.

    Raises
    ------
    RegistryError
        If the model, version or alias does not exist, or the server cannot be reached.
    """
    with _connected(uri=uri):
        name, number = _resolve(uri)
        tags = mlflow.MlflowClient().get_model_version(name, number).tags
        fetched = mlflow.artifacts.download_artifacts(
            artifact_uri=f"models:/{name}/{number}", dst_path=str(into)
        )
    manifests = sorted(Path(fetched).rglob(MANIFEST))
    if len(manifests) != 1:
        msg = f"{uri} holds {len(manifests)} kyc_ml bundles, must hold 1: was it logged by kyc_ml?"
        raise RegistryError(msg)
    if _DIGEST not in tags:
        msg = (
            f"{uri} has no tag {_DIGEST}: without the digest that was registered the bundle "
            "cannot be trusted; register it again with kyc-ml train"
        )
        raise RegistryError(msg)
    return manifests[0].parent, tags[_DIGEST], f"{name} v{number}"


def fetch_record(run: str, into: Path) -> tuple[str, Path]:
    """Bring what a training run recorded of itself to a local folder.

    Parameters
    ----------
    run : str
        Id of the run, or ``models:/name@alias`` or ``models:/name/version`` for the run that
        made this version.

    Returns
    -------
    run_id : str
    folder : Path

    Raises
    ------
    RegistryError
        If there is no such run, it has no record, or the server cannot be reached.
    """
    with _connected(uri=run):
        run_id = _run_of(run) if run.startswith("models:/") else run
        client = mlflow.MlflowClient()
        if not client.list_artifacts(run_id, _RECORD):
            msg = (
                f"run {run_id} has no record to train again from: it is no training run, or "
                "an older kyc-ml logged it; name another run, or train again"
            )
            raise RegistryError(msg)
        return run_id, Path(client.download_artifacts(run_id, _RECORD, str(into)))


def log_scoring(*, model: str, metrics: Mapping[str, float], tags: Mapping[str, str]) -> str:
    """Log the counts of a scoring run; returns the run's id."""
    with _connected(), _run("kyc_ml scoring", f"score {model}") as run:
        mlflow.log_metrics(dict(metrics))
        mlflow.set_tags(dict(tags))
    return str(run.info.run_id)


def log_tuning(name: str, record: RunRecord, trials: Sequence[ChildRecord]) -> str:
    """Log a tuning study as one run, its trials as runs nested in it; returns the run's id.

    Raises
    ------
    RegistryError
        If the tracking server cannot be reached or refuses.
    """
    with _connected(), _run(f"kyc_ml {name}", f"tune {name}") as run:
        _log_record(record)
        for trial in trials:
            with mlflow.start_run(run_name=trial.name, nested=True):
                mlflow.log_params(dict(trial.parameters))
                mlflow.log_metrics(dict(trial.metrics))
                for metric, values in trial.steps.items():
                    for step, value in enumerate(values, 1):
                        mlflow.log_metric(metric, value, step=step)
                mlflow.set_tags(dict(trial.tags))
    return str(run.info.run_id)


def log_comparison(name: str, record: RunRecord) -> str:
    """Log what a challenger is worth beside a champion; returns the run's id.

    Raises
    ------
    RegistryError
        If the tracking server cannot be reached or refuses.
    """
    with _connected(), _run(f"kyc_ml {name}", f"compare {name}") as run:
        _log_record(record)
    return str(run.info.run_id)


def _address() -> str:
    return os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_STORE


def _without_password(text: str) -> str:
    return re.sub(r"(://[^/\s:@]*:)[^/\s]*@", r"\1***@", text)


@contextmanager
def _connected(*, uri: str = "") -> Iterator[None]:
    """Use the tracking server; whatever keeps it from serving is one RegistryError."""
    for name, value in {"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false", **_PATIENCE}.items():
        os.environ.setdefault(name, value)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        mlflow.set_tracking_uri(_address())
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise _unreachable(error, uri=uri) from None


def _resolve(uri: str) -> tuple[str, str]:
    """Split a registry address into name and version, looking an alias up."""
    rest = uri.removeprefix("models:/")
    client = mlflow.MlflowClient()
    if "@" in rest:
        name, alias = rest.split("@", 1)
        return name, str(client.get_model_version_by_alias(name, alias).version)
    name, slash, number = rest.partition("/")
    if not slash or not number.isdigit():
        msg = f"{uri} is no model address: write models:/NAME@ALIAS or models:/NAME/VERSION"
        raise RegistryError(msg)
    return name, number


def _run_of(uri: str) -> str:
    """Find the run that made a registered version."""
    name, number = _resolve(uri)
    run_id = mlflow.MlflowClient().get_model_version(name, number).run_id
    if not run_id:
        msg = f"{uri} names no run that made it: name the id of a run of kyc-ml train"
        raise RegistryError(msg)
    return str(run_id)


@contextmanager
def _run(experiment: str, name: str) -> Iterator[mlflow.ActiveRun]:
    """Start a run, or go on with the one that `mlflow run` started for this process."""
    if "MLFLOW_RUN_ID" not in os.environ:
        found = mlflow.set_experiment(experiment)
        new = {name: text for name, text in _EXPERIMENT.items() if name not in found.tags}
        if new:
            mlflow.set_experiment_tags(new)
    with mlflow.start_run(run_name=name) as run:
        yield run


def _log_record(record: RunRecord) -> None:
    mlflow.log_params(dict(record.parameters))
    known = {name: value for name, value in record.metrics.items() if value == value}  # noqa: PLR0124
    mlflow.log_metrics(known)
    mlflow.set_tags({**_tags(record), **({MLFLOW_RUN_NOTE: record.note} if record.note else {})})
    for name, figure in record.figures.items():
        mlflow.log_figure(figure, f"plots/{name}.svg")
    with tempfile.TemporaryDirectory() as folder:
        for name, table in record.tables.items():
            path = Path(folder) / f"{name}.csv"
            table.to_csv(path, index=False)
            mlflow.log_artifact(str(path), "tables")


def _tags(record: RunRecord) -> dict[str, str]:
    """Give the tags with names that MLflow takes; the bundle keeps the names as they are."""
    return {re.sub(r"[^\w./: -]", "_", name)[:250]: text for name, text in record.tags.items()}


def _log_parts(parts: Sequence[LoggedPart], bundle: Bundle) -> None:
    """List the parts as datasets of the run, with the feature columns as their schema."""
    schema = _signature(bundle.inputs).inputs
    mlflow.log_inputs(
        datasets=[_PartDataset(part, schema) for part in parts],
        contexts=[part.context for part in parts],
        tags_list=[None for _ in parts],
    )


class _PartDataset(Dataset):
    """A dataset by name, digest, schema and counts: nothing of it is read or copied."""

    def __init__(self, part: LoggedPart, schema: Schema) -> None:
        self._part, self._columns = part, schema
        super().__init__(source=CodeDatasetSource(tags=dict(part.facts)), name=part.name)

    def _compute_digest(self) -> str:
        return self._part.digest[:_LONGEST_DATASET_DIGEST]

    @property
    def schema(self) -> Schema:
        """The feature columns."""
        return self._columns

    @property
    def profile(self) -> dict[str, int]:
        """Rows and positives."""
        return {"num_rows": self._part.rows, "num_positives": self._part.positives}

    def to_dict(self) -> dict[str, str]:
        """Give what MLflow stores."""
        stored: dict[str, str] = super().to_dict()
        columns = {"mlflow_colspec": self.schema.to_dict()}
        return {**stored, "schema": json.dumps(columns), "profile": json.dumps(self.profile)}


def _log_bundle(bundle: Bundle, folder: Path) -> mlflow.models.model.ModelInfo:
    with warnings.catch_warnings():
        # MLflow warns that it could not try the model on an example: its loader needs no trial
        warnings.simplefilter("ignore", UserWarning)
        logged: mlflow.models.model.ModelInfo = mlflow.pyfunc.log_model(
            name=f"bundle-{bundle.digest[:_SHORT]}",
            loader_module=LOADER,
            data_path=str(folder),
            signature=_signature(bundle.inputs, policy_facts(bundle)),
            pip_requirements=[f"kyc-ml=={version('kyc-ml')}"],
            metadata={"bundle_digest": bundle.digest},
        )
        return logged


def _register(
    name: str,
    logged: mlflow.models.model.ModelInfo,
    *,
    tags: dict[str, str],
    purpose: str,
    description: str,
) -> str:
    """Make the logged model a version of `name`, the challenger; returns its number."""
    client = mlflow.MlflowClient()
    if not client.search_registered_models(filter_string=f"name = '{name}'"):
        client.create_registered_model(name, description=purpose)
    made = client.create_model_version(
        name,
        source=logged.model_uri,
        run_id=logged.run_id,
        tags=tags,
        model_id=logged.model_id,
        description=description,
    )
    client.set_registered_model_alias(name, CHALLENGER, made.version)
    return str(made.version)


def _signature(specs: Sequence[FeatureSpec], facts: Sequence[FeatureSpec] = ()) -> ModelSignature:
    """Describe the feature columns: each may hold missing values.

    The model's must be there; `facts`, which the tier policy reads beside them, may be.
    """
    inputs: list[ColSpec | TensorSpec] = [
        ColSpec(
            DataType.string if spec.kind == "category" else DataType.double,
            spec.name,
            required=required,
        )
        for part, required in ((specs, True), (facts, False))
        for spec in part
    ]
    outputs: list[ColSpec | TensorSpec] = [
        ColSpec(DataType.double, "margin"),
        ColSpec(DataType.double, "probability"),
        ColSpec(DataType.string, "tier"),
    ]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs))


def _unreachable(error: Exception, *, uri: str = "") -> RegistryError:
    reason = _without_password(" ".join(str(error).split()))
    kind = "model" if uri.startswith("models:/") else "run"
    subject = f"{kind} {uri}" if uri else "MLflow"
    msg = (
        f"{subject} at {tracking_uri()}: {reason}; check the name (kyc-ml train registers "
        "one), the alias, and MLFLOW_TRACKING_URI"
    )
    return RegistryError(msg)
