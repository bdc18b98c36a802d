"""A training run: its rows, its bundle, and the version in the registry that comes of it."""

import json
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

import mlflow
import numpy as np
import pandas as pd
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.dataset import Dataset
from mlflow.models import ModelSignature
from mlflow.models.model import ModelInfo
from mlflow.types import ColSpec, Schema, TensorSpec
from mlflow.types.schema import DataType

from kyc_ml.errors import RegistryError
from kyc_ml.features import FeatureSpec
from kyc_ml.registry.bundle import LIBRARIES, MANIFEST, Bundle
from kyc_ml.registry.score import policy_facts
from kyc_ml.registry.tracking import keeping, server
from kyc_ml.registry.tracking.listing import list_versions
from kyc_ml.registry.tracking.registry import DIGEST, TRAINED_BY, RegisteredModel
from kyc_ml.registry.tracking.runs import LoggedPart, log_facts
from kyc_ml.registry.tracking.serving import Scorer
from kyc_ml.registry.tracking.views import say_page
from kyc_ml.storage import digest_file

LOADER: Final = "kyc_ml.score"
CHALLENGER: Final = "challenger"
_TOLD: Final = (
    "unit", "as_of", "source", "policy", "code_version", "code_digest", "config_digest",
    "data_digest",
)  # fmt: skip
"""Tags of a run that its registered version has too."""
_LONGEST_DATASET_DIGEST: Final = 36
_SHORT: Final = 8  # characters of a digest that identify a model
_OUTPUT_TYPES: Final = {"f": DataType.double, "i": DataType.long, "b": DataType.boolean}
"""By kind of a column of pandas; all others are text."""


def register_kept(folder: Path, *, trained_by: str = "", later: bool = True) -> RegisteredModel:
    """Log a training run from its folder, register its bundle as `challenger`.

    Nothing is registered twice: where the registry has this very training already, its version
    is given; the alias is set if it was not, and no newer version came since.

    `folder`: what `keeping` wrote, or a bundle alone.
    `trained_by`: who trained a bundle that comes alone.
    `later`: the job that trained has ended: its run ends when the job did.
    Raises BundleError if the folder's bundle was changed; RegistryError if the tracking server
    cannot be reached or refuses, or does not give back what it took.
    """
    kept, bundle, place = keeping.load_kept(folder, trained_by=trained_by)
    if later:
        server.reach_store(writes_to=kept.name)
    with server.connected():
        there = _find_registered(kept) if later else None
        if there is not None:
            return there
        with (
            server.start_run(server.experiment_of(kept.name), kept.title, began=kept.began) as run,
            tempfile.TemporaryDirectory() as scratch,
        ):
            files = Path(scratch) / keeping.FILES
            if (folder / keeping.FILES).is_dir():
                shutil.copytree(folder / keeping.FILES, files)
            else:
                files.mkdir()
            _rewrite(files, run=run.info.run_id)
            log_facts(kept.parameters, kept.metrics, kept.tags, files)
            schema = _inputs(bundle.inputs)
            mlflow.log_inputs(
                datasets=[_PartDataset(part, schema) for part in kept.parts],
                contexts=[part.context for part in kept.parts],
                tags_list=[None for _ in kept.parts],
            )
            logged = _log_bundle(bundle, place)
            _require_given_back(logged, bundle, Path(scratch) / "given back")
            registered = _register(
                kept.name,
                logged,
                tags={
                    **{name: text for name, text in kept.tags.items() if name in _TOLD},
                    DIGEST: bundle.digest,
                    TRAINED_BY: kept.trained_by,
                },
                purpose=kept.purpose,
                description=keeping.without_marks(kept.description, run=run.info.run_id),
            )
            _rewrite(files, run=run.info.run_id, version=registered)
            if (files / keeping.PAGE).is_file():
                mlflow.log_artifact(str(files / keeping.PAGE))
        if later:
            end = int(kept.ended * 1000)
            mlflow.MlflowClient().set_terminated(run.info.run_id, end_time=end)
        runs = say_runs(server.experiment_of(kept.name), run.info.experiment_id)
    return RegisteredModel(
        name=kept.name,
        version=registered,
        run_id=run.info.run_id,
        digest=bundle.digest,
        runs=runs,
    )


def _find_registered(kept: keeping.Kept) -> RegisteredModel | None:
    """Find the version that this training has become already, and give it its alias."""
    client = mlflow.MlflowClient()
    versions = sorted(list_versions(client, kept.name), key=lambda each: int(each.version))
    runs = {
        each.version: client.get_run(each.run_id).info
        for each in versions
        if each.run_id and each.tags.get(DIGEST) == kept.digest
    }
    same = [each for each in versions if each.version in runs]
    if kept.parts:  # without parts the folder is only a bundle: one version is enough
        began = int(kept.began * 1000)
        same = [each for each in same if runs[each.version].start_time == began]
    if not same:
        return None
    found = same[-1]
    newest = found is versions[-1]
    if newest:
        client.set_registered_model_alias(kept.name, CHALLENGER, found.version)
    return RegisteredModel(
        name=kept.name,
        version=str(found.version),
        run_id=str(found.run_id),
        digest=kept.digest,
        runs=say_runs(server.experiment_of(kept.name), runs[found.version].experiment_id),
        was_there=True,
        is_challenger=newest,
    )


def _rewrite(files: Path, *, run: str, version: str = keeping.VERSION_MARK) -> None:
    """Write into the run's texts what only MLflow knows."""
    for path in (files / keeping.CARD, files / keeping.PAGE):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            path.write_bytes(keeping.without_marks(text, run=run, version=version).encode())


def _require_given_back(logged: ModelInfo, bundle: Bundle, into: Path) -> None:
    """Raise RegistryError if MLflow does not return the bundle as it was."""
    into.mkdir()
    given = mlflow.artifacts.download_artifacts(artifact_uri=logged.model_uri, dst_path=str(into))
    found = sorted(Path(given).rglob(MANIFEST))
    if [digest_file(path) for path in found] != [bundle.digest]:
        raise RegistryError(
            f"MLflow at {server.tracking_uri()} does not give back the bundle that it was given "
            f"({logged.artifact_path}): nothing was registered; check where its experiment keeps "
            "files"
        )


def say_runs(experiment: str, experiment_id: str) -> str:
    """Name the page that compares a run with others of its experiment, if there is one."""
    found = mlflow.get_experiment(experiment_id).name
    if found != experiment:
        return (
            f"this one is in experiment {found!r}, apart from those of kyc-ml train: use "
            f"mlflow run --experiment-name {experiment!r}"
        )
    return say_page(server.tracking_uri(), experiment_id)


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
        """Return what MLflow stores."""
        stored: dict[str, str] = super().to_dict()
        columns = {"mlflow_colspec": self.schema.to_dict()}
        return {**stored, "schema": json.dumps(columns), "profile": json.dumps(self.profile)}


def _log_bundle(bundle: Bundle, folder: Path) -> ModelInfo:
    example = usual_row(bundle)
    scored = Scorer(bundle).predict(example)
    with warnings.catch_warnings():
        # MLflow warns of what it makes of an example; the model is tried on it just above
        warnings.simplefilter("ignore", UserWarning)
        logged: ModelInfo = mlflow.pyfunc.log_model(
            name=f"bundle-{bundle.digest[:_SHORT]}",
            loader_module=LOADER,
            data_path=str(folder),
            signature=ModelSignature(
                inputs=_inputs((*bundle.inputs, *policy_facts(bundle))), outputs=_outputs(scored)
            ),
            input_example=example,
            pip_requirements=[f"{name}=={version(name)}" for name in LIBRARIES],
            metadata={"bundle_digest": bundle.digest},
        )
        return logged


def _register(
    name: str,
    logged: ModelInfo,
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


def _inputs(specs: Sequence[FeatureSpec]) -> Schema:
    """Describe the feature columns: each may hold missing values."""
    # all are optional here, though the model's own must be sent: `Scorer` refuses a request without
    # one in a sentence that names it, where MLflow's own check would write out the whole schema
    columns: list[ColSpec | TensorSpec] = [
        ColSpec(
            DataType.string if spec.kind == "category" else DataType.double,
            spec.name,
            required=False,
        )
        for spec in specs
    ]
    return Schema(columns)


def _outputs(scored: pd.DataFrame) -> Schema:
    """Describe every column that a prediction has."""
    columns: list[ColSpec | TensorSpec] = [
        ColSpec(_OUTPUT_TYPES.get(values.dtype.kind, DataType.string), str(name))
        for name, values in scored.items()
    ]
    return Schema(columns)


def usual_row(bundle: Bundle) -> pd.DataFrame:
    """Make an example of a request: medians and modes of the training rows, no customer's own."""
    usual = bundle.reference
    return pd.DataFrame(
        {
            spec.name: [usual.modes.get(spec.name)]
            if spec.kind == "category"
            else [float(usual.medians.get(spec.name, np.nan))]
            for spec in bundle.inputs
        }
    )
