"""What keeps the model store from serving: what passes by itself, and what does not."""

import sqlite3
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos import databricks_pb2
from sqlalchemy.exc import OperationalError

from kyc_ml.cli.options import BAD_INPUT, TRY_LATER, exit_code_of
from kyc_ml.errors import RegistryError, UnreachableError
from kyc_ml.tracking.registry import resolve
from kyc_ml.tracking.server import connected, reach_store

pytestmark = [  # MLflow uses SQLAlchemy as it does: the user is not shown these warnings
    pytest.mark.filterwarnings(f"ignore::DeprecationWarning:{quiet}.*")
    for quiet in ("sqlalchemy", "mlflow", "alembic")
] + [pytest.mark.filterwarnings("ignore:The ``noload``")]

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
        (of_database("database is locked"), SQLITE, True),
        (of_mlflow(of_database("database is locked")), SQLITE, True),
        (of_database("unable to open database file"), SQLITE, False),
        (PermissionError(13, "Permission denied"), SQLITE, False),
    ],
)
def test_what_may_pass_by_itself_is_worth_another_try(monkeypatch, error, store, away):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    with pytest.raises(RegistryError) as told, connected():
        raise error
    assert isinstance(told.value, UnreachableError) == away
    assert exit_code_of(told.value) == (TRY_LATER if away else BAD_INPUT)
    assert ("try again later" in str(told.value)) == away
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


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Make a registry of two models; the first has two versions and an alias."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"
    client = MlflowClient(uri, uri)
    for name in ("fraud", "risk"):
        client.create_registered_model(name)
    for _ in range(2):
        client.create_model_version("fraud", source="/nowhere")
    client.set_registered_model_alias("fraud", "challenger", "2")
    return uri


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("models:/fruad@challenger", "not found (did you mean 'fraud'?); check the name"),
        ("models:/nothing_like_it/1", "not found; registered are fraud, risk; check the name"),
        (
            "models:/fraud@chalenger",
            "not found (did you mean 'challenger'?); fraud has versions 1, 2 and aliases "
            "challenger; check",
        ),
        ("models:/fraud@champion", "not found; fraud has versions 1, 2 and aliases challenger; "),
        ("models:/fraud/9", "not found; fraud has versions 1, 2 and aliases challenger; check"),
        ("models:/risk/1", "not found; risk has no version; check"),
    ],
)
def test_an_address_that_names_nothing_is_told_what_there_is(store, monkeypatch, uri, told):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    with pytest.raises(RegistryError) as caught, connected(uri=uri):
        MlflowClient().get_model_version(*resolve(uri))
    assert told in str(caught.value)
    assert ".;" not in str(caught.value)
