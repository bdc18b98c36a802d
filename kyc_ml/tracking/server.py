"""The tracking server: where it is, how it is reached, and how a run starts."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import mlflow
import requests
from mlflow.exceptions import MlflowException
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from kyc_ml.errors import RegistryError, UnreachableError
from kyc_ml.tracking.listing import say_near
from kyc_ml.tracking.views import MODELS, View

DEFAULT_STORE: Final = "sqlite:///mlflow.db"
REGISTERED: Final = "models:/"
"""How the address of a model in the registry begins; others are folders."""

# without a kind MLflow's page shows an experiment as one of language models, without its runs
_EXPERIMENT: Final = {
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.experiment.primaryMetric.name": "test/average_precision",
    "mlflow.experiment.primaryMetric.greaterIsBetter": "True",
}

# MLflow alone retries for four minutes a server that is not there.
_NOT_NOW: Final = frozenset(
    {"DEADLINE_EXCEEDED", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED", "TEMPORARILY_UNAVAILABLE"}
)
"""Codes by which MLflow says: later."""
_NOT_THERE: Final = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"})
"""Codes by which MLflow says that an address names nothing; the second one of an alias."""

_NO_ANSWER: Final = (
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
    requests.exceptions.RetryError,
)

_PATIENCE: Final = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}


def tracking_uri() -> str:
    """Name the tracking server in use, without a password."""
    return _without_password(_address())


def reach_store(*models: str) -> None:
    """Ask the tracking server for a sign of life, before a long job relies on it.

    A store that is a file and does not exist is made here and nowhere else, unless one of
    the models must be in it.

    Parameters
    ----------
    models : str
        What the job scores or judges by: registry addresses, or bundles' folders.

    Raises
    ------
    UnreachableError
        If it does not answer.
    RegistryError
        If its address is none, or it refuses.
    """
    asked = any(model.startswith(REGISTERED) for model in models)
    with connected(makes=not asked):
        mlflow.search_experiments(max_results=1)


@contextmanager
def connected(*, uri: str = "", makes: bool = False) -> Iterator[None]:
    """Use the tracking server; whatever keeps it from serving is one error.

    Parameters
    ----------
    makes : bool
        Whether a store that is a file may be made where it does not exist.

    Raises
    ------
    UnreachableError
        If it does not answer, or its file is not there: to be tried again later.
    RegistryError
        If it refuses.
    """
    for name, value in {"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false", **_PATIENCE}.items():
        os.environ.setdefault(name, value)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        if not makes:
            _require_file(_address())
        mlflow.set_tracking_uri(_address())
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise _told(error, uri=uri) from None


@contextmanager
def start_run(experiment: str, name: str, *, view: View = MODELS) -> Iterator[mlflow.ActiveRun]:
    """Start a run, or go on with the one that `mlflow run` started for this process.

    That one stays in the experiment that `mlflow run` was told: a run cannot be moved.

    Parameters
    ----------
    view : View
        Of the experiment's runs; one that was changed in MLflow stays as it is.
    """
    begun = os.environ.get("MLFLOW_RUN_ID")
    if begun is None:
        found = mlflow.set_experiment(experiment)
    else:
        found = mlflow.get_experiment(mlflow.get_run(begun).info.experiment_id)
    if found.name == experiment:  # `mlflow run` may have been told another: it is not ours
        told = {**_EXPERIMENT, **view.as_tags()}
        for tag in told.keys() - found.tags.keys():
            mlflow.MlflowClient().set_experiment_tag(found.experiment_id, tag, told[tag])
    with mlflow.start_run(run_name=name) as run:
        yield run


def _address() -> str:
    return os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_STORE


def _require_file(address: str) -> None:
    """Refuse a store whose file is lost, which MLflow would replace by a new one without models.

    Raises
    ------
    UnreachableError
        Naming the file; a share that is not mounted may be later.
    """
    url = make_url(address) if address.startswith("sqlite") else None
    if url is None or url.database in {None, "", ":memory:"}:
        return
    path = Path(str(url.database)).absolute()
    if not path.exists():
        msg = (
            f"MLflow's store {path} does not exist: mount its share, start in the folder that "
            "has it, or name it in MLFLOW_TRACKING_URI; where there never was one, kyc-ml "
            "train makes it"
        )
        raise UnreachableError(msg)


def _without_password(text: str) -> str:
    return re.sub(r"(://[^/\s:@]*:)[^/\s]*@", r"\1***@", text)


def _told(error: Exception, *, uri: str) -> RegistryError:
    """Make one message of what MLflow or its database says."""
    reason = _without_password(" ".join(str(error).split())).rstrip(".")
    kind = "model" if uri.startswith(REGISTERED) else "run"
    subject = f"{kind} {uri}" if uri else "MLflow"
    said = f"{subject} at {tracking_uri()}: {reason}"
    if _is_away(error):
        msg = f"{said}; it is not there or too busy: try again later, or check MLFLOW_TRACKING_URI"
        return UnreachableError(msg)
    near = _near(error, uri)
    msg = (
        f"{said}{near}; check the name (kyc-ml train registers one), the alias, and "
        "MLFLOW_TRACKING_URI"
    )
    return RegistryError(msg)


def _near(error: Exception, uri: str) -> str:
    """Say what the registry has beside an address that names nothing."""
    names_nothing = isinstance(error, MlflowException) and error.error_code in _NOT_THERE
    if not (names_nothing and uri.startswith(REGISTERED)):
        return ""
    try:
        return say_near(uri)
    except (MlflowException, SQLAlchemyError, OSError):  # the first error is the one to tell
        return ""


def _is_away(error: BaseException) -> bool:
    """Tell whether the store may serve later what it does not serve now.

    MLflow puts what the network or the database said into an error of its own, from which it
    follows. A database in a file is always there: only a lock on it passes by itself.
    """
    causes: list[BaseException] = []
    follows: BaseException | None = error
    while follows is not None and follows not in causes:
        causes.append(follows)
        follows = follows.__cause__ or follows.__context__
    if any(isinstance(each, _NO_ANSWER) for each in causes):
        return True
    for each in causes:
        if isinstance(each, OperationalError):
            return not _address().startswith("sqlite:") or "database is locked" in str(each)
    return isinstance(error, MlflowException) and error.error_code in _NOT_NOW
