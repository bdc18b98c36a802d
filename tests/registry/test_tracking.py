"""What keeps the model store from serving: what passes by itself, and what does not."""

import re
import sqlite3
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import mlflow
import pytest
import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos import databricks_pb2
from sqlalchemy.exc import OperationalError

from kyc_ml.errors import RegistryError, UnreachableError
from kyc_ml.registry import fetch_champion, fetch_record, reach_store
from kyc_ml.registry.tracking.registry import fetch_bundle, resolve
from kyc_ml.registry.tracking.server import connected, start_run
from kyc_ml.registry.tracking.training import say_runs
from kyc_ml.registry.tracking.views import MODELS

pytestmark = [  # MLflow uses SQLAlchemy as it does: the user is not shown these warnings
    pytest.mark.filterwarnings(f"ignore::DeprecationWarning:{quiet}.*")
    for quiet in ("sqlalchemy", "mlflow", "alembic")
] + [pytest.mark.filterwarnings("ignore:The ``noload``")]

BAD_INPUT, TRY_LATER = 2, 4
SQLITE, POSTGRES = "sqlite:///mlflow.db", "postgresql://clerk:SECRET@db/mlflow"


def of_database(said):
    return OperationalError("select 1", {}, sqlite3.OperationalError(said))


def of_mlflow(cause=None, code=databricks_pb2.INTERNAL_ERROR):
    """Give an error as MLflow makes it from another one, which it follows."""
    error = MlflowException("said", error_code=code)
    error.__context__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "store", "away"),
    [
        (of_mlflow(requests.exceptions.ConnectionError()), "http://db", True),
        (of_mlflow(requests.exceptions.ReadTimeout()), "http://db", True),
        (of_mlflow(requests.exceptions.RetryError()), "http://db", True),
        (of_mlflow(requests.exceptions.InvalidURL()), "http://db", False),
        (of_mlflow(code=databricks_pb2.TEMPORARILY_UNAVAILABLE), "http://db", True),
        (of_mlflow(code=databricks_pb2.REQUEST_LIMIT_EXCEEDED), "http://db", True),
        (of_mlflow(code=databricks_pb2.RESOURCE_DOES_NOT_EXIST), "http://db", False),
        (of_mlflow(code=databricks_pb2.PERMISSION_DENIED), "http://db", False),
        (of_database("connection refused"), POSTGRES, True),
        (of_mlflow(of_database("the connection was closed")), POSTGRES, True),
        (of_database('FATAL: database "mlflow" does not exist'), POSTGRES, False),
        (of_database("FATAL: password authentication failed for user"), POSTGRES, False),
        (of_database("FATAL: the database system is starting up"), POSTGRES, True),
        (of_database("database is locked"), SQLITE, True),
        (of_mlflow(of_database("database is locked")), SQLITE, True),
        (of_database("unable to open database file"), SQLITE, False),
        (PermissionError(13, "Permission denied"), SQLITE, False),
    ],
)
def test_what_may_pass_by_itself_is_worth_another_try(monkeypatch, tmp_path, error, store, away):
    monkeypatch.chdir(tmp_path)
    Path("mlflow.db").touch()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.setattr(
        "kyc_ml.registry.tracking.server.open_store", lambda **_: None
    )  # it is not there
    with pytest.raises(RegistryError) as told, connected():
        raise error
    assert isinstance(told.value, UnreachableError) == away
    assert told.value.exit_code == (TRY_LATER if away else BAD_INPUT)
    assert ("later" in str(told.value)) == away
    assert "SECRET" not in str(told.value)
    assert "MLFLOW_TRACKING_URI" in str(told.value)


@pytest.fixture
def answering(monkeypatch):
    """Run a server that answers everything with one status."""
    servers = []

    def run(status):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_POST = do_GET  # noqa: N815  the library's name

            def log_message(self, *_):
                return None

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")

    yield run
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("status", "away"), [(503, True), (429, True), (403, False)])
def test_a_server_says_by_its_answer_whether_to_come_back(answering, status, away):
    answering(status)
    with pytest.raises(RegistryError) as told:
        reach_store()
    assert isinstance(told.value, UnreachableError) == away


@pytest.mark.parametrize("address", ["sqlite:///{}/gone/m.db", "sqlite:///gone/m.db", ""])
def test_a_lost_store_is_refused_and_none_is_made_in_its_place(monkeypatch, tmp_path, address):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address.format(tmp_path))
    lost = tmp_path / ("gone/m.db" if address else "mlflow.db")
    with pytest.raises(UnreachableError) as told:
        fetch_champion("fraud")
    with pytest.raises(UnreachableError):
        reach_store("build/model", "models:/fraud@champion")
    assert f" {lost} " in str(told.value)
    assert told.value.exit_code == TRY_LATER
    assert list(tmp_path.iterdir()) == []


def test_who_asks_for_nothing_in_it_may_make_the_store(monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/new/m.db")
    reach_store("build/model")
    assert (tmp_path / "new" / "m.db").is_file()
    with pytest.raises(RegistryError, match="found") as told:
        fetch_champion("fraud")
    assert not isinstance(told.value, UnreachableError)


@pytest.mark.parametrize("form", ["file://{}", "{}"])
def test_files_of_a_model_that_are_not_mounted_are_no_model_of_another_make(
    make_store, monkeypatch, tmp_path, form
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", make_store(tmp_path))
    reach_store()
    gone = tmp_path / "not mounted"
    client = mlflow.MlflowClient()
    client.create_registered_model("fraud")
    experiment = client.create_experiment("e", artifact_location=form.format(gone))
    run = client.create_run(experiment).info.run_id
    client.create_model_version("fraud", form.format(gone / "model"), run_id=run)
    for fetch, what in (
        (lambda: fetch_bundle("models:/fraud/1", tmp_path / "into"), "models:/fraud/1"),
        (lambda: fetch_record("models:/fraud/1", tmp_path / "into"), f"run {run}"),
    ):
        with pytest.raises(UnreachableError, match="files") as told:
            fetch()
        assert re.search(f" {re.escape(what)}, .* {re.escape(str(gone))}", str(told.value))
        assert told.value.exit_code == TRY_LATER
    assert not gone.exists()


@pytest.fixture
def under_mlflow_run(make_store, monkeypatch, tmp_path):
    """Start a run as `mlflow run` does for the process that it starts; gives its experiment."""

    def begin(experiment):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", make_store(tmp_path))
        monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "0")  # start_run changes it: given back
        # as in a process of its own: what an earlier test chose is MLflow's until then
        monkeypatch.setattr("mlflow.tracking.fluent._active_experiment_id", None)
        reach_store()
        client = mlflow.MlflowClient()
        number = client.create_experiment(experiment, artifact_location=f"file:{tmp_path}/files")
        monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", number)
        monkeypatch.setenv("MLFLOW_RUN_ID", client.create_run(number).info.run_id)
        with connected(), start_run("kyc_ml fraud", "train") as run:
            assert run.info.experiment_id == number
            said = say_runs("kyc_ml fraud", number)
        return client.get_experiment(number).tags, said

    return begin


def test_an_experiment_that_mlflow_run_made_gets_the_saved_view(under_mlflow_run):
    tags, said = under_mlflow_run("kyc_ml fraud")
    assert MODELS.as_tags().keys() <= tags.keys()
    assert "viewStateShareKey" in said


def test_a_run_apart_from_the_others_says_so_and_leaves_that_experiment_alone(under_mlflow_run):
    tags, said = under_mlflow_run("another")
    assert not MODELS.as_tags().keys() & tags.keys()
    assert "kyc-ml" in said
    assert "--experiment-name 'kyc_ml" in said


@pytest.fixture(scope="module")
def store(make_store, tmp_path_factory):
    """Make a registry of two models; the first has two versions and an alias."""
    uri = make_store(tmp_path_factory.mktemp("models"))
    client = MlflowClient(uri, uri)
    for name in ("fraud", "risk"):
        client.create_registered_model(name)
    for _ in range(2):
        client.create_model_version("fraud", source="/nowhere")
    client.set_registered_model_alias("fraud", "challenger", "2")
    return uri


def test_an_address_is_what_the_registry_calls_it(store, monkeypatch):
    """The audit log knows version 1, and no version 01."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    with connected():
        assert [resolve(f"models:/fraud/{number}") for number in ("1", "01", "\uff11")] == [
            ("fraud", "1")
        ] * 3
    with pytest.raises(RegistryError):
        resolve("models:/fraud/\u00b2")


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("models:/fruad@challenger", "'fraud'"),
        ("models:/nothing_like_it/1", "fraud, risk"),
        (
            "models:/fraud@chalenger",
            "'challenger'",
        ),
        ("models:/fraud@champion", "1, 2 and"),
        ("models:/fraud/9", "1, 2 and"),
        ("models:/risk/1", "risk"),
    ],
)
def test_an_address_that_names_nothing_is_told_what_there_is(store, monkeypatch, uri, told):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    with pytest.raises(RegistryError) as caught, connected(uri=uri):
        MlflowClient().get_model_version(*resolve(uri))
    assert told in str(caught.value)
    assert ".;" not in str(caught.value)
