"""The tracking server: where it is, how it is reached, and how a run starts."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import mlflow
from mlflow.entities import Experiment, LifecycleStage
from mlflow.exceptions import MlflowException
from mlflow.tracking.context.registry import resolve_tags
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME
from sqlalchemy.exc import SQLAlchemyError

from kyc_ml.errors import RegistryError
from kyc_ml.registry.bundle import REGISTERED
from kyc_ml.registry.tracking.refusing import explained, without_password
from kyc_ml.registry.tracking.store import (
    address,
    location_for,
    make_files_private,
    open_store,
    require_writable_files,
    require_writable_store,
)
from kyc_ml.registry.tracking.views import MODELS, View

NIGHTLY: Final = "scoring"
"""What scoring runs are kept under, whatever model scored."""

_KIND: Final = "mlflow.experimentKind"
# without a kind MLflow's page shows an experiment as one of language models, without its runs
_EXPERIMENT: Final = {
    _KIND: "custom_model_development",
    "mlflow.experiment.primaryMetric.name": "test/average_precision",
    "mlflow.experiment.primaryMetric.greaterIsBetter": "True",
}

# By default MLflow retries for four minutes when no server answers.
_PATIENCE: Final = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}


def tracking_uri() -> str:
    """Return the address of the tracking server in use, without a password."""
    return without_password(address())


def reach_store(*models: str, writes_to: str = "", view: View = MODELS) -> None:
    """Check that the tracking server answers, before a long job relies on it.

    A store that is a file and does not exist is made here and nowhere else, unless one of
    the models must be in it.

    `models`: the models that the job uses: registry addresses, or bundles' folders.
    `writes_to`: model whose experiment the job will log its run to, or `NIGHTLY`: it is made if it
    is not there, and written to, for a store that can be read may refuse that.
    Raises UnreachableError if it does not answer; RegistryError if its address is not valid, it
    refuses, or the experiment was deleted.
    """
    asked = any(model.startswith(REGISTERED) for model in models)
    with connected(makes=not asked):
        mlflow.search_experiments(max_results=1)
        if writes_to:
            require_writable_store()
            if "MLFLOW_RUN_ID" not in os.environ:  # else `mlflow run` has chosen it
                _open_experiment(experiment_of(writes_to), view)


def experiment_of(name: str) -> str:
    """Return the name of the experiment of a model's runs."""
    return f"kyc_ml {name}"


@contextmanager
def connected(*, uri: str = "", makes: bool = False) -> Iterator[None]:
    """Use the tracking server; whatever keeps it from serving is one error.

    `makes`: whether a store that is a file may be made where it does not exist.
    Raises UnreachableError if it does not answer, or its file is missing: try again later;
    RegistryError if it refuses.
    """
    for name, value in {"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false", **_PATIENCE}.items():
        os.environ.setdefault(name, value)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # it logs SQL with a traceback in addition to the error, which is reported here
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    try:
        open_store(makes=makes)
        mlflow.set_tracking_uri(address())
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise explained(error, uri=uri) from None


@contextmanager
def start_run(
    experiment: str, name: str, *, view: View = MODELS, began: float | None = None
) -> Iterator[mlflow.ActiveRun]:
    """Start a run, or continue the one that `mlflow run` started for this process.

    That one stays in the experiment given to `mlflow run`: a run cannot be moved. A run
    that a signal or Ctrl-C ends has the status KILLED.

    `view`: of the experiment's runs; one that was changed in MLflow stays as it is.
    `began`: when the job began, in seconds since 1970: MLflow shows how long it took. None is now.
    """
    client = mlflow.MlflowClient()
    begun = os.environ.get("MLFLOW_RUN_ID")
    if begun is None:
        found = _open_experiment(experiment, view)
        mlflow.set_experiment(experiment_id=found.experiment_id)
        run_id = client.create_run(
            found.experiment_id,
            start_time=None if began is None else int(began * 1000),
            tags=resolve_tags({MLFLOW_RUN_NAME: name}),
            run_name=name,
        ).info.run_id
    else:
        run_id = begun
        found = mlflow.get_experiment(mlflow.get_run(begun).info.experiment_id)
        if found.name == experiment:  # `mlflow run` may have another experiment, which is not ours
            _tag_experiment(found, view)
    try:
        with mlflow.start_run(run_id=None if begun else run_id, run_name=name) as run:
            yield run
    except Exception:
        # MLflow's own context has marked the run as failed
        raise
    except BaseException:
        # a signal is not a failure of the job
        client.set_terminated(run_id, status="KILLED")
        raise


def _open_experiment(name: str, view: View) -> Experiment:
    """Create or use an experiment; RegistryError if it was deleted or cannot be written."""
    client = mlflow.MlflowClient()
    found = client.get_experiment_by_name(name) or _make_experiment(client, name)
    if found.lifecycle_stage == LifecycleStage.DELETED:
        number = found.experiment_id
        raise RegistryError(
            f"experiment {name!r} of MLflow at {tracking_uri()} was deleted: restore it with "
            f"mlflow experiments restore -x {number}, or remove it for good with mlflow gc "
            f"--experiment-ids {number}"
        )
    require_writable_files(found.artifact_location, experiment=name)
    _tag_experiment(found, view)
    return found


def _make_experiment(client: mlflow.MlflowClient, name: str) -> Experiment:
    try:
        number = client.create_experiment(name, artifact_location=location_for(name))
    except MlflowException as error:
        made = client.get_experiment_by_name(name)
        if made is None:
            raise error from None
        return made  # by another job, in the same moment
    found = client.get_experiment(number)
    make_files_private(found.artifact_location)
    return found


def _tag_experiment(found: Experiment, view: View) -> None:
    """Describe the experiment and how its runs compare; an existing view is kept."""
    client = mlflow.MlflowClient()
    known = {**_EXPERIMENT, **view.as_tags()}
    # its kind is written each time: it is the sign that this user may write here
    for tag in (known.keys() - found.tags.keys()) | {_KIND}:
        client.set_experiment_tag(found.experiment_id, tag, known[tag])
