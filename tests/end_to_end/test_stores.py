"""Stores that break, stores of others, and odd folders: found before the work, nothing lost."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
import yaml

from kyc_ml.cli.process import Terminated
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import RegistryError, UnreachableError
from kyc_ml.registry import load_bundle, reach_store, run_register
from kyc_ml.registry.tracking.server import connected, start_run
from kyc_ml.training import TrainRequest, run_train

# The superuser may read and write anywhere: in a container the tests take that right away.
CAPABILITIES = "-dac_override,-dac_read_search"
AS_USER = ("setpriv", f"--bounding-set={CAPABILITIES}", f"--inh-caps={CAPABILITIES}")
AS_USER = AS_USER if os.geteuid() == 0 else ()
ROOT = Path(__file__).parents[2]


@pytest.fixture
def alone(place, make_store, tmp_path):
    """Work in a folder of its own, with a store of its own in it."""
    with place.entered(tmp_path, MLFLOW_TRACKING_URI=make_store(tmp_path)):
        yield tmp_path


@pytest.fixture
def client(alone):
    return lambda: mlflow.MlflowClient(os.environ["MLFLOW_TRACKING_URI"])


class Breaking(ProgressReporter):
    """Takes the store away between training and registering."""

    def progress(self, stage, done, total):
        if (stage, done) == ("registering", 0):
            Path("mlflow.db").rename("elsewhere.db")


@pytest.fixture
def lean(place):
    config = yaml.safe_load((place.configs / "fraud.yaml").read_text())
    config["features"] = {"name": "lean", "description": "few", "families": ["velocity"]}
    config["model"]["n_estimators"] = 5
    (place.configs / "lean.yaml").write_text(yaml.safe_dump(config, allow_unicode=True))

    def train(reporter):
        request = TrainRequest(
            config=place.configs / "lean.yaml",
            source=place.source,
            data=place.data,
            quarantine=place.home / "refused.parquet",
        )
        return run_train(request, reporter=reporter)

    return train


def facts(client, version):
    """Give what a run and its version hold, but for the times and ids of this very run."""
    made = client.get_model_version("fraud", version)
    run = client.get_run(made.run_id)
    files = {
        Path(folder, name).relative_to(place).as_posix()
        for place in [client.download_artifacts(made.run_id, "")]
        for folder, _, names in os.walk(place)
        for name in names
    }
    timed = {name for name in run.data.metrics if name.startswith("seconds/")}
    metrics = {name: x for name, x in run.data.metrics.items() if name not in timed}
    tags = {name: x for name, x in run.data.tags.items() if not name.startswith("mlflow.log")}
    parts = sorted(each.dataset.digest for each in run.inputs.dataset_inputs)
    told = made.description.replace(made.run_id, "RUN")
    return run.data.params, metrics, timed, tags, files, parts, made.tags, told, run.info.run_name


def test_a_model_that_mlflow_did_not_take_is_registered_by_one_command(lean, place, alone, client):
    with pytest.raises(UnreachableError, match="kyc-ml register") as told:
        lean(Breaking())
    assert told.value.exit_code == 4
    kept = Path(re.search(r" in (\S+):", str(told.value))[1])
    assert (kept.stat().st_mode & 0o077, kept.parent) == (0, Path("build/unregistered"))
    assert not Path("mlflow.db").exists()
    Path("elsewhere.db").rename("mlflow.db")
    done = place.run(
        "register", kept, home=alone, MLFLOW_TRACKING_URI=os.environ["MLFLOW_TRACKING_URI"]
    )
    assert (done.code, done.err) == (0, "registering: done (1)\n")
    assert "models:/fraud/1" in done.out
    assert client().get_model_version_by_alias("fraud", "challenger").version == 1
    lean(ProgressReporter())
    assert facts(client(), "1") == facts(client(), "2")
    page = Path(client().download_artifacts(client().get_model_version("fraud", "1").run_id,
                                            "page.html")).read_text(encoding="utf-8")  # fmt: skip
    assert re.search(r"fraud v1\b.*\bchallenger\b", page)
    again = run_register(kept, trained_by=None, reporter=ProgressReporter())
    assert (again.was_there, again.uri, again.is_challenger) == (True, "models:/fraud/1", False)
    assert client().get_model_version_by_alias("fraud", "challenger").version == 2
    first = client().get_run(again.run_id).info
    assert first.status == "FINISHED"
    spent = client().get_run(again.run_id).data.metrics["seconds/training"]
    assert spent * 1000 <= first.end_time - first.start_time < (spent + 60) * 1000
    facts_file = kept / "registration.json"
    sound = facts_file.read_text(encoding="utf-8")
    for name, value in [
        ("metrics", {"seconds/training": "long"}),
        ("name", "another"),
        ("parts", 1),
    ]:
        facts_file.write_text(json.dumps({**json.loads(sound), name: value}), encoding="utf-8")
        with pytest.raises(RegistryError, match=r"registration\.json"):
            run_register(kept, trained_by=None, reporter=ProgressReporter())
    facts_file.write_text(sound, encoding="utf-8")
    (kept / "bundle" / "model.txt").write_text("")
    with pytest.raises(ValueError, match=r"model\.txt"):
        run_register(kept, trained_by=None, reporter=ProgressReporter())


GIVEN_BACK = """
from pathlib import Path
from kyc_ml.registry.loading import load_model
from kyc_ml.registry.register_job import run_register
from kyc_ml.display.progress import ProgressReporter
from kyc_ml.registry.tracking.promoting import fetch_candidate
for _ in range(2):
    made = run_register(Path({folder!r}), trained_by="somebody", reporter=ProgressReporter())
bundle, label = load_model("models:/fraud@challenger")
print(bundle.digest, label, made.was_there, fetch_candidate(made.uri).trainers[0])
"""


@pytest.mark.parametrize("name", ["a #1", "文?b;&'", "50%20x"])
def test_a_folder_of_any_name_gives_back_what_it_was_given(tmp_path, model, name):
    (tmp_path / name).mkdir()
    job = start(GIVEN_BACK.format(folder=str(model.folder)), cwd=tmp_path / name)
    out, err = job.communicate()
    assert (err, out) == ("", f"{model.result.bundle.digest} fraud v1 True somebody\n")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert sorted(path.name for path in (tmp_path / name).iterdir()) == ["mlflow.db", "mlruns"]


def test_who_trained_a_bundle_that_comes_alone_must_be_said(place, model, alone):
    done = place.run(
        "register", model.folder, home=alone, MLFLOW_TRACKING_URI=os.environ["MLFLOW_TRACKING_URI"]
    )
    assert (done.code, "--trained-by" in done.err) == (2, True)
    assert not Path("mlruns").exists()
    done = place.run(
        "register",
        alone,
        "--trained-by",
        "x",
        home=alone,
        MLFLOW_TRACKING_URI=os.environ["MLFLOW_TRACKING_URI"],
    )
    assert (done.code, "bundle" in done.err) == (2, True)


def test_a_bundle_that_mlflow_does_not_give_back_is_not_registered(
    alone, model, client, monkeypatch
):
    given = mlflow.artifacts.download_artifacts

    def damaged(**arguments):
        place = given(**arguments)
        next(Path(place).rglob("manifest.json")).write_text("{}")
        return place

    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", damaged)
    with pytest.raises(RegistryError, match="sqlite:///"):
        run_register(model.folder, trained_by="x", reporter=ProgressReporter())
    assert client().search_registered_models() == []
    assert [run.info.status for run in client().search_runs(["1"])] == ["FAILED"]


def test_a_deleted_experiment_is_found_before_the_work(alone, client):
    reach_store(writes_to="fraud")
    number = client().get_experiment_by_name("kyc_ml fraud").experiment_id
    client().delete_experiment(number)
    with pytest.raises(RegistryError, match="deleted") as told:
        reach_store(writes_to="fraud")
    assert f" restore -x {number}," in str(told.value)
    assert "name" not in str(told.value)
    client().restore_experiment(number)
    reach_store(writes_to="fraud")


@pytest.mark.parametrize(
    ("revision", "cure"),
    [("c48cb773bb87", "upgrade"), ("ffffffffffff", "newer")],
)
def test_a_store_of_another_mlflow_is_refused_and_left_as_it_is(alone, revision, cure):
    reach_store()
    elsewhere = alone / "another" / "mlflow.db"
    elsewhere.parent.mkdir()
    Path("mlflow.db").rename(elsewhere)
    with sqlite3.connect(elsewhere) as database:
        database.execute("UPDATE alembic_version SET version_num = ?", [revision])
        database.execute("DROP TABLE input_tags")
    database.close()
    before = elsewhere.read_bytes()
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{elsewhere}"
    with pytest.raises(RegistryError, match=cure):
        reach_store()
    assert elsewhere.read_bytes() == before


def start(code, *, cwd, prefix=(), **environment):
    environment = {"PYTHONPATH": str(ROOT), **environment}
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.Popen(  # noqa: S603
        [*prefix, sys.executable, "-c", code], cwd=cwd, env={**kept, **environment},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


REACH = "from kyc_ml.registry.tracking.server import reach_store; reach_store(writes_to='fraud')"


def test_a_store_may_be_first_used_by_several_at_once(tmp_path):
    jobs = [start(REACH, cwd=tmp_path) for _ in range(3)]
    for job in jobs:
        assert (job.communicate()[1], job.returncode) == ("", 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlflow.db", "mlruns"]
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        names = database.execute("SELECT name FROM experiments").fetchall()
    database.close()
    assert names == [("Default",), ("kyc_ml fraud",)]


SAID = """
import time
from kyc_ml.errors import RegistryError
from kyc_ml.registry.tracking.server import reach_store
began = time.monotonic()
try:
    reach_store(writes_to='fraud')
except RegistryError as error:
    print(error, f"after {time.monotonic() - began:.0f} s")
"""


@pytest.mark.parametrize("what", ["folder", "file", "unreadable", "files"])
def test_a_store_that_cannot_be_written_is_named_with_the_user_and_at_once(alone, make_store, what):
    place = alone / "store"
    place.mkdir()
    if what != "folder":
        os.environ["MLFLOW_TRACKING_URI"] = make_store(place)
        with connected(makes=True):
            mlflow.MlflowClient().create_experiment(
                "kyc_ml fraud", artifact_location=str(place / "files" / "1")
            )
        (place / "files").mkdir()
    closed = {"folder": place, "files": place / "files"}.get(what, place / "mlflow.db")
    closed.chmod({"unreadable": 0o000, "file": 0o444}.get(what, 0o555))
    given = {} if what == "folder" else {"MLFLOW_TRACKING_URI": os.environ["MLFLOW_TRACKING_URI"]}
    job = start(SAID, cwd=place, prefix=AS_USER, **given)
    out, err = job.communicate()
    closed.chmod(0o700)
    assert (err, job.returncode) == ("", 0)
    assert str(closed) in out
    assert "read" in out if what == "unreadable" else "says 'Permission denied'" in out
    assert not re.search("INSERT|SELECT", out)
    # MLflow alone tries for 95 seconds; the machine of a test may be busy
    assert int(re.search(r"after (\d+) s", out)[1]) < 60


def test_scores_go_out_where_the_store_can_only_be_read(night, alone, tmp_path):
    reach_store()
    Path("mlflow.db").chmod(0o444)
    code = (
        "import sys; sys.argv[0] = 'kyc-ml'\n"
        "from kyc_ml.cli import app; app()"
    )  # fmt: skip
    request = night.request(tmp_path / "out")
    words = ["score", "--model", request.model, "--source", request.source, "--data", request.data,
             "--out", request.out, "--since", request.since,
             "--limits", request.limits]  # fmt: skip
    job = subprocess.run(  # noqa: S603
        [*AS_USER, sys.executable, "-c", code, *map(str, words)], cwd=alone, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert job.returncode == 0, job.stderr
    assert (tmp_path / "out" / "manifest.json").exists()
    warned = [line for line in job.stderr.splitlines() if line.startswith("warning: ")]
    assert len([line for line in warned if "MLflow" in line]) == 2
    assert "mlflow.db" in warned[0]
    assert not re.search("Traceback|INSERT", job.stderr)


def test_a_run_that_a_signal_ends_is_killed_and_one_that_fails_has_failed(alone, client):
    reach_store()
    for error in (Terminated(143), KeyboardInterrupt(), ValueError()):
        with pytest.raises(type(error)), connected(), start_run("kyc_ml fraud", "train"):
            raise error
    runs = client().search_runs(["1"], order_by=["attributes.start_time ASC"])
    assert [run.info.status for run in runs] == ["KILLED", "KILLED", "FAILED"]


def test_a_package_for_a_database_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://clerk:SECRET@localhost/mlflow")
    with pytest.raises(RegistryError, match=r"'kyc-ml\[postgres\]'") as told:
        reach_store()
    assert "SECRET" not in str(told.value)


def test_a_signal_while_it_registers_keeps_the_trained_model(lean, place, alone, monkeypatch):
    class Stopping(ProgressReporter):
        said = ""

        def info(self, line):
            self.said += line

        warning = info

    def stop(*_, **__):
        raise Terminated(128 + signal.SIGTERM)

    reporter = Stopping()
    monkeypatch.setattr("kyc_ml.registry.tracking.training._require_given_back", stop)
    with pytest.raises(Terminated):
        lean(reporter)
    kept = Path(re.search(r" in (\S+):", reporter.said)[1])
    assert load_bundle(kept / "bundle").config.name == "fraud"
