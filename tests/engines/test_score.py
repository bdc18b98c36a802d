"""A night that a cluster scores is that of one machine, whatever fails on the way."""

import json
import os
import signal
import threading
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from kyc_ml import cli
from kyc_ml.display import ProgressReporter
from kyc_ml.engines import Cluster
from kyc_ml.errors import ConfigError, OutputError
from kyc_ml.model import learn_profile
from kyc_ml.registry import save_bundle
from kyc_ml.scoring import ScoringRequest, run_score
from kyc_ml.scoring.parts import _together

N = 4_000


def draw_tables():
    rng = np.random.default_rng(5)
    booked = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(N) * 36, unit="min")
    late = pd.to_timedelta(np.where(rng.random(N) < 0.1, 30, 0), unit="h")
    amounts = rng.lognormal(4, 1, N).round(2)
    amounts[[7, 388]] = -1
    who = [f"c{n}" for n in range(60)]
    payments = {
        "transaction_id": [f"t{n:05d}" for n in range(N)],
        "customer_id": rng.choice(who, N),
        "event_time": booked,
        "known_at": booked + late,
        "amount": amounts,
        "direction": rng.choice(["in", "out"], N),
        "counterparty_id": rng.choice(who, N),
        "channel": rng.choice(["app", "branch", "web", "a new one", None], N),
    }
    start = pd.Timestamp("2023-01-01")
    customers = {"customer_id": who, "event_time": start, "customer_type": "person"}
    reports = {
        "report_id": [f"r{n}" for n in range(60)],
        "customer_id": who,
        "event_time": pd.Timestamp("2024-01-02"),
        "provider": "bureau",
        "item": "score",
        "value": 1.5,
    }
    return {"transactions": payments, "customers": customers, "third_party": reports}


@pytest.fixture(scope="module")
def night(tmp_path_factory, make_store, bundle, small):
    """Write a small bank, a mapping, limits and a model; give what asks to score its last days."""
    home = tmp_path_factory.mktemp("night")
    tables = draw_tables()
    for name, columns in tables.items():
        rows = pa.Table.from_pandas(pd.DataFrame(columns), preserve_index=False)
        for at, field in enumerate(rows.schema):
            if pa.types.is_timestamp(field.type):
                utc = rows[field.name].cast(pa.timestamp("us", "UTC"))
                rows = rows.set_column(at, field.name, utc)
        pq.write_table(rows, home / f"{name}.parquet", write_page_checksum=True)
    mapping = {
        "name": "night",
        "base_currency": "CNY",
        "files": {name: {"path": f"{name}.parquet", "format": "parquet"} for name in tables},
        "tables": {
            name: {"from": name, "columns": {column: column for column in columns}}
            for name, columns in tables.items()
        },
    }
    (home / "source.yaml").write_text(yaml.safe_dump(mapping))
    limits = {
        "unknown_categories_share": 1.0,
        "unknown_customers_share": 1.0,
        "drift": {"score": None, "features_drifted": None},
    }
    (home / "limits.yaml").write_text(yaml.safe_dump(limits))
    proba = bundle.calibrator.probability(small.model.margin(small.matrix))
    save_bundle(replace(bundle, profile=learn_profile(small.features, proba)), home / "model")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MLFLOW_TRACKING_URI", make_store(home))
        yield {
            "model": str(home / "model"),
            "source": home / "source.yaml",
            "data": home,
            "limits": home / "limits.yaml",
            "since": "2024-03-01",
            "contributions": True,
        }


def score(asked, out, **changed):
    request = ScoringRequest(**{**asked, **changed}, out=out)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow's own packages, on import
        return run_score(request, reporter=ProgressReporter())


@pytest.fixture(scope="module")
def local(night, tmp_path_factory):
    return score(night, tmp_path_factory.mktemp("local") / "out")


def rows_of(folder, kind="scores"):
    parts = sorted((folder / kind).glob("part-*.parquet"))
    return pa.concat_tables(map(pq.read_table, parts)).sort_by("observation_id")


def require_same(result, local):
    """Compare all that is published but the run's own name, and how it is cut into files."""
    for kind in ("scores", "contributions"):
        here, there = rows_of(local.path, kind), rows_of(result.path, kind)
        assert here.schema == there.schema
        for name in set(here.column_names) - {"run_id"}:
            assert here[name].combine_chunks() == there[name].combine_chunks(), name
    before, after = (
        json.loads((each.path / "manifest.json").read_text()) for each in (local, result)
    )
    for facts in (before, after):
        expected = facts["counts"].pop("expected")
        facts["sums"] = {tier: round(total, 9) for tier, total in expected.items()}
        for name in ("run_id", "files", "identity"):
            del facts[name]
    assert before == after


def test_a_night_is_that_of_one_machine(spark, night, local, tmp_path):
    result = score(night, tmp_path / "out", engine="spark", part_rows=700)
    require_same(result, local)
    assert len(list((tmp_path / "out" / "scores").iterdir())) > 1
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    assert score(night, tmp_path / "out", engine="spark", part_rows=700).was_there


def executors(spark):
    """List the executors of the local cluster: children of its Java process."""
    java = spark.sparkContext._gateway.proc.pid
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            command = (place / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == java and b"CoarseGrainedExecutorBackend" in command:
            found.append(int(place.name))
    return sorted(found)


@pytest.mark.parametrize("stage", [3, 9])
def test_an_executor_that_is_killed_changes_nothing(spark, night, local, tmp_path, stage):
    tracker, seen, stop = spark.sparkContext.statusTracker(), set(), threading.Event()
    killed = []

    def kill():
        while not stop.is_set() and not killed:
            seen.update(tracker.getActiveStageIds())
            running = executors(spark)
            if len(seen) >= stage and len(running) == 2:
                os.kill(running[0], signal.SIGKILL)
                killed.append(running[0])
            time.sleep(0.01)

    watch = threading.Thread(target=kill)
    watch.start()
    try:
        result = score(night, tmp_path / "out", engine="spark")
    finally:
        stop.set()
        watch.join()
    assert killed
    require_same(result, local)


def test_a_driver_that_ends_early_goes_on_from_what_was_landed(
    spark, night, local, tmp_path, monkeypatch
):
    stored = []
    store, build = Cluster.store, Cluster.build

    def fail(*_, **__):
        raise OutputError("full")

    monkeypatch.setattr(Cluster, "store", lambda *a, **k: stored.append(1) or store(*a, **k))
    monkeypatch.setattr(Cluster, "build", fail)
    with pytest.raises(OutputError):
        score(night, tmp_path / "out", engine="spark")
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(Cluster, "build", build)
    require_same(score(night, tmp_path / "out", engine="spark"), local)
    assert stored == [1]


def test_rows_are_put_together_in_order(tmp_path):
    rng = np.random.default_rng(3)
    sizes = [0, 5, 1, 0, 12, 3, 7, 0]
    rows = pa.table({"n": np.arange(sum(sizes))})
    files = [tmp_path / f"{at}.parquet" for at in range(len(sizes))]
    for path, size, end in zip(files, sizes, np.cumsum(sizes), strict=True):
        pq.write_table(rows.slice(end - size, size), path)
    for most in (1, 4, int(rng.integers(5, 27)), 28, 100):
        parts = list(_together(files, most))
        assert pa.concat_tables(parts) == rows
        assert [len(part) for part in parts[:-1]] == [most] * (len(parts) - 1)


def test_what_a_cluster_does_not_do_is_refused(night, tmp_path):
    for wrong in (
        {"engine": "spark", "history": tmp_path / "h"},
        {"engine": "spark", "shadow": True},
        {"master": "local[2]"},
    ):
        with pytest.raises(ConfigError, match="--engine"):
            score(night, tmp_path / "out", **wrong)


def test_commands_check_and_build_on_a_cluster(spark, night, tmp_path, configs):
    source = [f"--source={night['source']}", f"--data={night['data']}", "--engine=spark"]
    aside = tmp_path / "aside"
    found = CliRunner().invoke(cli.app, ["check", *source, f"--quarantine={aside}"])
    assert found.exit_code == 0, found.output
    assert sum(pq.read_metadata(path).num_rows for path in aside.iterdir()) == 2
    again = CliRunner().invoke(cli.app, ["check", *source, f"--quarantine={aside}"])
    assert again.exit_code == 2
    tiers = str(configs / "tiers" / "fraud.yaml")
    config = {"name": "x", "unit": "fraud", "tiers": tiers, "features": {"families": ["velocity"]}}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    command = ["features", "build", f"--config={tmp_path / 'run.yaml'}", "--since=2024-03-20"]
    given = [*command, *source, f"--quarantine={tmp_path / 'refused'}", "--buckets=3"]
    built = CliRunner().invoke(cli.app, [*given, f"--out={tmp_path / 'spark'}"])
    assert built.exit_code == 0, built.output
    one = [each for each in given if each.split("=")[0] not in {"--engine", "--quarantine"}]
    built = CliRunner().invoke(cli.app, [*one, f"--out={tmp_path / 'local.parquet'}"])
    assert built.exit_code == 0, built.output
    parts = sorted((tmp_path / "spark").iterdir())
    assert len(parts) == 3
    assert pa.concat_tables(map(pq.read_table, parts)) == pq.read_table(tmp_path / "local.parquet")


def test_a_registered_model_scores_the_same_by_spark_udf(spark, bundle, small, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow and PySpark about each other's versions
        import mlflow  # noqa: PLC0415  it loads for long
        from mlflow.models import ModelSignature  # noqa: PLC0415

        from kyc_ml.registry.tracking.training import LOADER, _inputs  # noqa: PLC0415

        save_bundle(bundle, tmp_path / "bundle")
        mlflow.pyfunc.save_model(
            path=str(tmp_path / "model"),
            loader_module=LOADER,
            data_path=str(tmp_path / "bundle"),
            signature=ModelSignature(inputs=_inputs(bundle.inputs)),
            pip_requirements=[],
        )
        names = [spec.name for spec in bundle.inputs]
        frame = small.features.to_arrow().select(names).slice(0, 50)
        predict = mlflow.pyfunc.spark_udf(
            spark, str(tmp_path / "model"), result_type="double", env_manager="local"
        )
        found = spark.createDataFrame(frame).repartition(1).select(predict(*names)).toArrow()
    expected = bundle.calibrator.probability(small.model.margin(small.matrix[:50]))
    np.testing.assert_array_equal(np.sort(found.column(0).to_numpy()), np.sort(expected))
