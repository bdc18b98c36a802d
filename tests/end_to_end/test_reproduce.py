"""A run of kyc-ml train can be run again from its own record, by anyone who has the data."""

import hashlib
import json
import re
import shutil
from contextlib import contextmanager
from pathlib import Path

import mlflow
import pytest
import yaml

from kyc_ml.config import RunConfig, dump_section, load_section
from kyc_ml.registry import load_bundle, save_bundle

NEW = "small"


@pytest.fixture(scope="module")
def trained(place):
    """Train a model of few features; give its run."""
    config = yaml.safe_load((place.configs / "fraud.yaml").read_text())
    config |= {"name": NEW, "features": {"name": NEW, "families": ["velocity", "timing"]}}
    config["model"] |= {"n_jobs": 2, "colsample_bytree": 0.5}
    (place.configs / "features").mkdir(exist_ok=True)
    shared = place.configs / "features" / "small.yaml"
    shared.write_text(yaml.safe_dump(config.pop("features")))
    path = place.configs / "small.yaml"
    text = yaml.safe_dump(config, allow_unicode=True)
    path.write_text(f"{text}features: !include features/small.yaml\n")
    card = place.home / "small.md"
    done = place.run("train", "--config", path, *place.source_arguments(), "--card", card)
    assert (done.code, done.crash) == (0, None), done.err
    path.unlink()  # the record alone must do
    shared.unlink()
    version = mlflow.MlflowClient(place.store).get_model_version(NEW, "1")
    return mlflow.MlflowClient(place.store).get_run(version.run_id)


@contextmanager
def changed(trained, name, old, new):
    """Change a file of the record, and change it back."""
    path = Path(trained.info.artifact_uri) / "record" / name
    before = path.read_text()
    assert old in before
    path.write_text(before.replace(old, new))
    try:
        yield
    finally:
        path.write_text(before)


def state(place):
    """Everything that a reproduction must leave as it was."""
    client = mlflow.MlflowClient(place.store)
    model = client.get_registered_model(NEW)
    experiments = [each.experiment_id for each in client.search_experiments()]
    runs = {run.info.run_id for run in client.search_runs(experiments)}
    versions = [each.version for each in client.search_model_versions(f"name = '{NEW}'")]
    return runs, versions, model.aliases


def test_the_same_data_give_the_same_bundle_and_nothing_is_registered(place, trained):
    before = state(place)
    done = place.run("reproduce", trained.info.run_id, "--data", place.data, "--quiet")
    assert (done.code, done.crash) == (0, None), done.err
    assert done.is_summary_alone
    assert f"{NEW}: reproduced" in done.out
    assert trained.data.tags["bundle_digest"] in done.out
    assert state(place) == before


def test_a_registered_version_with_another_number_of_threads_too(place, trained):
    name = f"models:/{NEW}@challenger"
    done = place.run("reproduce", name, "--data", place.data, "--threads", 1)
    assert (done.code, done.crash) == (0, None), done.err
    assert trained.info.run_id in done.out
    assert "reproduced" in done.out


def test_the_record_is_told_to_have_changed_by_what_comes_out(place, trained):
    seed = "  seed: 20130105\n  n_jobs"
    digest = digests(trained)["customer_count_30d"]
    with (
        changed(trained, "features.json", '"customer_count_7d": ', '"customer_count_7d_": '),
        changed(trained, "features.json", digest, "0" * 64),
        changed(trained, "run.yaml", seed, "  seed: 7\n  n_jobs"),
        changed(trained, "environment.json", f'"numpy": "{numpy_version()}"', '"numpy": "1.0"'),
    ):
        done = place.run("reproduce", trained.info.run_id, "--data", place.data)
    assert (done.code, done.crash) == (1, None), done.err
    assert f"{NEW}: NOT reproduced" in done.out
    for name in ("config.yaml", "model.txt", "manifest.json (config_digest, seeds)"):
        assert name in done.out
    assert "tiers.yaml" not in done.out
    assert "added: customer_count_7d" in done.out
    assert "customer_count_30d" in done.out
    assert "removed: customer_count_7d_" in done.out
    assert f"numpy 1.0 -> {numpy_version()}" in done.out


def digests(trained):
    folder = Path(trained.info.artifact_uri) / "record"
    return json.loads((folder / "features.json").read_text(encoding="utf-8"))


def test_the_features_of_an_older_record_are_said_to_be_unknown(place, trained):
    seed = "  seed: 20130105\n  n_jobs"
    features = Path(trained.info.artifact_uri) / "record" / "features.json"
    before = features.read_text()
    features.unlink()
    try:
        with changed(trained, "run.yaml", seed, "  seed: 7\n  n_jobs"):
            done = place.run("reproduce", trained.info.run_id, "--data", place.data)
    finally:
        features.write_text(before)
    assert (done.code, done.crash) == (1, None), done.err
    assert "older" in done.out


def test_a_run_of_bundle_format_2_is_reproduced_to_the_byte(place, trained, tmp_path):
    artifacts = Path(trained.info.artifact_uri)
    (folder,) = {
        path.parent
        for path in artifacts.parent.parent.rglob("manifest.json")
        if (path.parent / "model.txt").is_file()
        and path.read_text() == (artifacts / "record" / "manifest.json").read_text()
    }
    save_bundle(load_bundle(folder), tmp_path / "old", format_version=2)
    run = artifacts / "record" / "run.yaml"
    former = dump_section(load_section(run, RunConfig), former=True)
    manifest = (tmp_path / "old" / "manifest.json").read_text()
    with (
        changed(trained, "run.yaml", run.read_text(), former),
        changed(trained, "manifest.json", (folder / "manifest.json").read_text(), manifest),
    ):
        assert "lambda_l2" in run.read_text()
        done = place.run("reproduce", trained.info.run_id, "--data", place.data)
    assert (done.code, done.crash) == (0, None), done.err
    assert hashlib.sha256(manifest.encode()).hexdigest() in done.out


def numpy_version():
    from importlib.metadata import version  # noqa: PLC0415

    return version("numpy")


def test_other_data_are_refused_and_every_file_is_named(place, trained, tmp_path):
    data = Path(shutil.copytree(place.data, tmp_path / "bank"))
    content = bytearray((data / "cases.parquet").read_bytes())
    content[len(content) // 2] ^= 1
    (data / "cases.parquet").write_bytes(bytes(content))
    (data / "events.parquet").unlink()
    done = place.run("reproduce", trained.info.run_id, "--data", data)
    assert (done.code, done.crash) == (2, None)
    assert "run" in done.err
    assert re.search(r"cases\.parquet.*SHA-256", done.err)
    assert "events.parquet" in done.err
    assert "transactions.parquet" not in done.err


def test_a_data_folder_that_is_not_there_is_refused(place, trained, tmp_path):
    done = place.run("reproduce", trained.info.run_id, "--data", tmp_path / "none")
    assert (done.code, done.crash) == (2, None)
    assert "exist" in done.err


def test_a_run_that_is_not_there_is_refused(place, trained):
    done = place.run("reproduce", "0" * 32, "--data", place.data)
    assert (done.code, done.crash) == (2, None)
    assert f"run {'0' * 32}" in done.err
    done = place.run("reproduce", f"models:/{NEW}@champion", "--data", place.data)
    assert (done.code, done.crash) == (2, None)
    assert f" models:/{NEW}@champion" in done.err


def test_a_run_without_a_record_is_refused(place, trained):
    client = mlflow.MlflowClient(place.store)
    other = client.create_run(trained.info.experiment_id, run_name="by hand")
    done = place.run("reproduce", other.info.run_id, "--data", place.data)
    assert (done.code, done.crash) == (2, None)
    assert "record" in done.err


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("facts.json", ('"as_of"', '"as_off"'), "KeyError"),
        ("environment.json", ("{", ""), "changed"),
        ("features.json", ("{", ""), "changed"),
        ("run.yaml", ("num_leaves", "num_leafs"), "'num_leaves'"),
    ],
)
def test_a_record_that_cannot_be_read_is_refused(place, trained, name, change, told):
    with changed(trained, name, *change):
        done = place.run("reproduce", trained.info.run_id, "--data", place.data)
    assert (done.code, done.crash) == (2, None)
    assert told in done.err


def test_a_store_that_cannot_be_reached_is_refused(place, trained):
    done = place.run(
        "reproduce", trained.info.run_id, "--data", place.data,
        MLFLOW_TRACKING_URI="http://127.0.0.1:9", MLFLOW_HTTP_REQUEST_MAX_RETRIES="0",
    )  # fmt: skip
    assert (done.code, done.crash) == (4, None)
    assert "127.0.0.1:9" in done.err


def test_the_card_was_written_beside(place, trained):
    card = (place.home / "small.md").read_text(encoding="utf-8")
    assert f"kyc-ml reproduce {trained.info.run_id} --data FOLDER" in card


def test_the_record_is_of_the_configuration_as_it_was_resolved(trained):
    folder = Path(trained.info.artifact_uri) / "record"
    run = yaml.safe_load((folder / "run.yaml").read_text(encoding="utf-8"))
    assert run["features"]["families"] == ["velocity", "timing"]
    assert run["model"]["n_estimators"] == 20
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["seeds"]["model"] == run["model"]["seed"]
