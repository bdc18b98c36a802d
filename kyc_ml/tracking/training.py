"""A training run: its rows, its bundle, and the version in the registry that comes of it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

import mlflow
import numpy as np
import pandas as pd
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.dataset import Dataset
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec
from mlflow.types.schema import DataType

from kyc_ml.bundle import Bundle
from kyc_ml.features.spec import FeatureSpec
from kyc_ml.governance import current_account
from kyc_ml.model_card import ModelCard
from kyc_ml.score import Scorer, policy_facts
from kyc_ml.tracking.registry import DIGEST, RECORD, TRAINED_BY, RegisteredModel
from kyc_ml.tracking.runs import LoggedPart, RunRecord, log_record, tags_of
from kyc_ml.tracking.server import connected, start_run, tracking_uri
from kyc_ml.tracking.views import say_page

LOADER: Final = "kyc_ml.score"
CHALLENGER: Final = "challenger"
_LONGEST_DESCRIPTION: Final = 5_000  # characters that MLflow's registry has room for
_TOLD: Final = (
    "unit", "as_of", "source", "policy", "code_version", "code_digest", "config_digest",
    "data_digest",
)  # fmt: skip
"""Tags of a run that its registered version has too."""
_LONGEST_DATASET_DIGEST: Final = 36
_SHORT: Final = 8  # characters of a digest that tell models apart
_CARD: Final = "model_card.md"
_OUTPUT_TYPES: Final = {"f": DataType.double, "i": DataType.long, "b": DataType.boolean}
"""By kind of a column of pandas; all others are text."""


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
    with connected():
        # MLflow's list cuts a name off after some 25 characters; runs of one day differ in
        # their digest
        title = f"train {bundle.data['as_of'][:10]} {bundle.digest[:_SHORT]}"
        experiment = f"kyc_ml {name}"
        with start_run(experiment, title) as run:
            log_record(record)
            _log_parts(record.parts, bundle)
            for path, text in own.items():
                mlflow.log_text(text, f"{RECORD}/{path}")
            mlflow.log_text(card.render(run.info.run_id), _CARD)
            logged = _log_bundle(bundle, folder)
        version_tags = {name: text for name, text in tags_of(record).items() if name in _TOLD}
        registered = _register(
            name,
            logged,
            tags={**version_tags, DIGEST: bundle.digest, TRAINED_BY: current_account()},
            purpose=card.purpose,
            description=card.shorten(run.info.run_id, longest=_LONGEST_DESCRIPTION),
        )
        runs = say_runs(experiment, run.info.experiment_id)
    return RegisteredModel(
        name=name,
        version=registered,
        run_id=run.info.run_id,
        digest=bundle.digest,
        runs=runs,
    )


def say_runs(experiment: str, experiment_id: str) -> str:
    """Say on which page a run stands beside the others of its experiment, or that it does not."""
    found = mlflow.get_experiment(experiment_id).name
    if found != experiment:
        return (
            f"this one is in experiment {found!r}, apart from those of kyc-ml train: use "
            f"mlflow run --experiment-name {experiment!r}"
        )
    return say_page(tracking_uri(), experiment_id)


def _log_parts(parts: Sequence[LoggedPart], bundle: Bundle) -> None:
    """List the parts as datasets of the run, with the feature columns as their schema."""
    schema = _inputs(bundle.inputs)
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
    example = usual_row(bundle)
    scored = Scorer(bundle).predict(example)
    with warnings.catch_warnings():
        # MLflow warns of what it makes of an example; the model is tried on it just above
        warnings.simplefilter("ignore", UserWarning)
        logged: mlflow.models.model.ModelInfo = mlflow.pyfunc.log_model(
            name=f"bundle-{bundle.digest[:_SHORT]}",
            loader_module=LOADER,
            data_path=str(folder),
            signature=ModelSignature(
                inputs=_inputs(bundle.inputs, policy_facts(bundle)), outputs=_outputs(scored)
            ),
            input_example=example,
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


def _inputs(specs: Sequence[FeatureSpec], facts: Sequence[FeatureSpec] = ()) -> Schema:
    """Describe the feature columns: each may hold missing values.

    The model's must be there; `facts`, which the tier policy reads beside them, may be. Where
    one of the model's is not, MLflow refuses the request before `Scorer` sees it, and writes out
    the whole schema before the name: columns said to be optional would shorten that message,
    but tell whoever reads the signature something untrue.
    """
    columns: list[ColSpec | TensorSpec] = [
        ColSpec(
            DataType.string if spec.kind == "category" else DataType.double,
            spec.name,
            required=required,
        )
        for part, required in ((specs, True), (facts, False))
        for spec in part
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
