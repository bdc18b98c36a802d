"""What is wrong with a cluster is one message before any work."""

import copy
import os
import pickle
import subprocess
import sys

import pytest
from pyspark import cloudpickle

from kyc_ml.engines import open_cluster
from kyc_ml.engines.spark import session
from kyc_ml.errors import ConfigError, OutputError


def refusal(master=None):
    with pytest.raises(ConfigError) as error, open_cluster(master):
        pass
    assert error.value.exit_code == 2
    return str(error.value)


@pytest.mark.parametrize("said", ["1.8.0_402", "11.0.2", "none at all"])
def test_an_old_java_is_named(said, tmp_path, monkeypatch):
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{said}\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match="17"):
        session.require_java()
    java.write_text("#!/bin/sh\necho 'openjdk version \"21\" 2023-09-19' >&2\n")
    session.require_java()


def test_no_java_names_where_it_is_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match="JAVA_HOME"):
        session.require_java()


def test_without_pyspark_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(session, "find_spec", lambda name: None)
    assert "kyc-ml[spark]" in refusal()


def test_a_worker_describes_itself_without_kyc_ml(tmp_path):
    """The function travels by its content: on this worker kyc_ml is another package."""
    (tmp_path / "kyc_ml").mkdir()
    (tmp_path / "kyc_ml" / "__init__.py").write_text("raise ImportError\n")
    code = "import pickle, sys; print(pickle.loads(sys.stdin.buffer.read())()['about']['kyc_ml'])"
    there = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code],
        input=cloudpickle.dumps(session._describe()),
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    here = session._describe()()["about"]["kyc_ml"]
    assert here.startswith("code ")
    assert there.stdout.decode().strip() != here
    assert pickle.loads(cloudpickle.dumps(session._describe()))()["about"]["kyc_ml"] == here  # noqa: S301


def test_every_fault_of_every_worker_is_listed(monkeypatch):
    own = session._describe()()
    other = copy.deepcopy(own) | {"host": "far", "full": ["/full"]}
    other["about"] |= {"Python": "3.9", "numba": "absent", "kyc_ml": "code 0"}
    monkeypatch.setattr(session, "_ask_workers", lambda spark: [own, other])
    with pytest.raises(ConfigError) as error:
        session._require_workers(None)
    assert all(word in str(error.value) for word in ("Python", "numba", "kyc_ml", "/full"))
    assert str(error.value).count("far") == 4
    monkeypatch.setattr(session, "_ask_workers", lambda spark: [own, own])
    session._require_workers(None)


@pytest.mark.parametrize(
    ("error", "word"),
    [
        ("[PYTHON_VERSION_MISMATCH] 3.9 3.11", "PYSPARK_PYTHON"),
        ('Cannot run program "python9": error=2', "PYSPARK_PYTHON"),
        ("ModuleNotFoundError: No module named 'pyarrow'", "pyarrow"),
        ("Job 0 cancelled part of all jobs", "spark.local.dir"),
        ("", "executors"),
    ],
)
def test_a_cluster_without_an_answer_names_the_cure(error, word):
    assert word in session._say_unanswered(error)


def test_a_folder_for_shuffle_files_is_checked(tmp_path, monkeypatch):
    assert list(session._scratch_faults("here", [str(tmp_path)])) == []
    monkeypatch.setattr(session, "LEAST_SCRATCH", 1 << 62)
    [small] = session._scratch_faults("here", [str(tmp_path)])
    [absent] = session._scratch_faults("here", [str(tmp_path / "absent")])
    assert "SPARK_LOCAL_DIRS" in small
    assert "SPARK_LOCAL_DIRS" in absent


def test_a_session_of_another_zone_is_refused(spark):
    zone = "spark.sql.session.timeZone"
    spark.conf.set(zone, "Asia/Shanghai")
    try:
        assert "UTC" in refusal()
    finally:
        spark.conf.set(zone, "UTC")


def test_workers_share_the_folder(spark, tmp_path):
    with open_cluster() as cluster:
        assert cluster.session is spark
        cluster.require_shared(tmp_path)
        assert list(tmp_path.iterdir()) == []
        tmp_path.chmod(0o700)
        with pytest.raises((OutputError, OSError)):
            cluster.require_shared(tmp_path / "absent")
    assert spark.range(3).count() == 3  # the session of a user goes on
