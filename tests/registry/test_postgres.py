"""A real PostgreSQL database as MLflow's store, which several jobs may use first at once."""

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

psycopg = pytest.importorskip("psycopg", reason="pip install 'kyc-ml[postgres]'")

PROGRAMS = {name: shutil.which(name) for name in ("initdb", "pg_ctl")}
ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        None in PROGRAMS.values(), reason="no PostgreSQL server: install initdb and pg_ctl"
    ),
]

FIRST = """
from kyc_ml.registry import NIGHTLY, NIGHTS, log_scoring, reach_store
reach_store(writes_to="fraud")
reach_store(writes_to=NIGHTLY, view=NIGHTS)
log_scoring(model="fraud v1", day="2026-03-02", metrics={"rows/scored": 1}, tags={"run_id": "x"},
            began=1.0, ended=2.0)
"""


@pytest.fixture
def place():
    """Make a folder that another user can enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture
def database(place):
    """Start an empty server; it refuses to run as root, so that another user runs it there."""
    user = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(place, nobody.pw_uid, nobody.pw_gid)
        user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def run(*words):
        subprocess.run(  # noqa: S603  our own words
            words, check=True, cwd=place, stdout=subprocess.DEVNULL, **user,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
        )  # fmt: skip

    data = str(place / "data")
    run(PROGRAMS["initdb"], "-D", data, "-U", "kyc", "-A", "trust", "-E", "UTF8", "-N")
    options = f"-p {port} -h 127.0.0.1 -k {place} -F"
    run(PROGRAMS["pg_ctl"], "-D", data, "-w", "-l", str(place / "log"), "-o", options, "start")
    yield f"postgresql+psycopg://kyc@127.0.0.1:{port}/postgres"
    run(PROGRAMS["pg_ctl"], "-D", data, "-w", "-m", "immediate", "stop")


def test_an_empty_database_may_be_first_used_by_several_at_once(database, tmp_path):
    environment = {**os.environ, "MLFLOW_TRACKING_URI": database, "PYTHONPATH": str(ROOT)}
    jobs = [
        subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", FIRST], cwd=tmp_path, env=environment,
            stderr=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    ends = [job.communicate()[1] for job in jobs]
    assert "".join(ends) == ""
    with psycopg.connect(database.replace("+psycopg", "")) as connection:
        names = connection.execute("SELECT name FROM experiments ORDER BY name").fetchall()
        runs = connection.execute("SELECT status, end_time FROM runs").fetchall()
    assert [name for (name,) in names] == ["Default", "kyc_ml fraud", "kyc_ml scoring"]
    assert runs == [("FINISHED", 2000)] * 2
