"""A model that is absent, malformed or was changed is refused; nothing is scored with it."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kyc_ml.config import SourceMapping, load_section
from kyc_ml.contract.source import read_source
from kyc_ml.errors import DatasetError
from kyc_ml.registry import BUNDLE, RunRecord, keep_training, register_kept, save_bundle
from kyc_ml.scoring import one_observation

FILES = ["model.txt", "features.json", "calibration.json", "reference.json", "metrics.json",
         "config.yaml", "tiers.yaml", "manifest.json"]  # fmt: skip


@pytest.fixture
def refused(place, tmp_path, below):
    """Score with a model that must be refused; give the one message."""

    def run(model, *, code=2, **environment):
        before = below(tmp_path)
        outcome = place.run(
            "score", "--model", model, *place.source_arguments(), "--out",
            tmp_path / "out" / "scored", **environment,
        )  # fmt: skip
        assert (outcome.code, outcome.crash) == (code, None), outcome
        assert "Traceback" not in outcome.err
        assert outcome.err.count("error: ") == 1
        assert below(tmp_path) == before
        return outcome.err

    return run


@pytest.fixture
def folder(model, tmp_path):
    return Path(shutil.copytree(model.folder, tmp_path / "bundle"))


@pytest.mark.parametrize("name", ["no_such_folder", "configs", "configs/fraud.yaml"])
def test_a_place_that_is_no_bundle(place, refused, name):
    message = refused(place.home / name)
    assert re.search(f"{re.escape(str(place.home / name))} .*manifest.json", message)


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("models:/nobody@challenger", "name=nobody"),
        ("models:/nobody/1", "name=nobody"),
        ("models:/fraud@champion", "champion"),
        ("models:/fraud/999", "version=999"),
        ("models:/fraud/99999999999999999999", "large"),
        ("models:/fraud", "/NAME/VERSION"),
        ("models:/", "/NAME/VERSION"),
        ("models:/fraud/1/bundle", "/NAME/VERSION"),
        ("models:/fraud/one", "/NAME/VERSION"),
        ("models:/fraud@", "alias"),
        ("models:/@challenger", "name"),
        ("models:/fraud@a@b", "alias"),
    ],
)
def test_a_model_that_the_registry_does_not_have(refused, model, uri, told):
    message = refused(uri)
    assert told in message
    assert uri in message


@pytest.mark.parametrize("uri", ["models:fraud@challenger", "runs:/1/bundle", "model:/fraud/1"])
def test_an_address_of_another_kind_is_told_how_to_write_one(refused, model, uri):
    assert "models:/NAME@ALIAS" in refused(uri)


@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte_of_any_file(refused, folder, name):
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    message = refused(folder)
    assert str(folder) in message
    assert "restore" in message


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file(refused, folder, name):
    (folder / name).unlink()
    assert name in refused(folder)


def test_an_added_file(refused, folder):
    (folder / "notes.txt").write_text("harmless")
    assert "notes.txt" in refused(folder)


@pytest.mark.parametrize("content", ["[]", "{}", "null", "1", '{\n "format_version": 2\n}\n', "{"])
def test_a_manifest_of_another_shape(refused, folder, content):
    (folder / "manifest.json").write_text(content)
    assert "manifest.json" in refused(folder)


@pytest.fixture
def stored(place, model):
    """The registered bundle as the store holds it; put back afterwards."""
    source = mlflow.MlflowClient(place.store).get_model_version("fraud", "1").source
    # MLflow puts artifacts below the folder in which the store was first used
    found = place.home.parent.rglob("mlruns/**/manifest.json")
    (folder,) = (path.parent for path in found if source.rpartition("/")[2] in path.parts)
    kept = {path: path.read_bytes() for path in folder.iterdir()}
    yield folder
    for path, content in kept.items():
        path.write_bytes(content)


def test_a_changed_byte_below_mlruns(refused, stored):
    content = bytearray((stored / "model.txt").read_bytes())
    content[len(content) // 2] ^= 1
    (stored / "model.txt").write_bytes(content)
    message = refused("models:/fraud@challenger")
    assert "models:/fraud@challenger" in message
    assert "model.txt" in message
    assert "(mlruns/)" in message  # the store itself is damaged, so it is not the cure


def test_a_whole_other_bundle_below_mlruns(refused, stored, model, tmp_path):
    """A forger who writes a sound bundle still lacks the registered digest."""
    bundle = model.result.bundle
    forged = replace(bundle, data={**bundle.data, "base_currency": "EUR"})
    save_bundle(forged, tmp_path / "forged")
    for path in (tmp_path / "forged").iterdir():
        shutil.copy(path, stored)
    message = refused("models:/fraud@challenger")
    assert "models:/fraud@challenger" in message
    assert "registered" in message


def test_a_removed_artifact(refused, stored):
    (stored / "tiers.yaml").unlink()
    assert "tiers.yaml" in refused("models:/fraud@challenger")


def test_a_version_that_kyc_ml_did_not_log(refused, own_store, place):
    with place.entered(MLFLOW_TRACKING_URI=own_store):
        mlflow.set_tracking_uri(own_store)
        client = mlflow.MlflowClient()
        client.create_registered_model("foreign")
        artifacts = place.home / "elsewhere"
        artifacts.mkdir(exist_ok=True)
        (artifacts / "weights.txt").write_text("1 2 3")
        client.create_model_version("foreign", source=artifacts.as_uri(), run_id=None)
    message = refused("models:/foreign/1", MLFLOW_TRACKING_URI=own_store)
    assert "logged" in message


def test_a_server_that_is_not_there_is_told_before_a_bundle_scores(refused, folder):
    message = refused(folder, code=4, MLFLOW_TRACKING_URI="http://127.0.0.1:1")
    assert "http://127.0.0.1:1" in message
    assert "later" in message
    assert "features" not in message  # no step had begun


def test_what_the_user_names_is_shown_as_it_is(place, tmp_path):
    """Brackets and colons mean something to a terminal's painter, and nothing to a user."""
    out = tmp_path / "[red]a:smile:b[/blue].parquet"
    outcome = place.run(
        "features", "build", "--config", place.configs / "fraud.yaml", *place.source_arguments(),
        "--out", out,
    )  # fmt: skip
    assert outcome.code == 0, outcome
    assert "[red]a:smile:b[/blue].parquet" in "".join(outcome.out.replace("│", "").split())
    assert out.exists()


def test_a_value_of_the_data_cannot_break_the_explanation(place, model, scored, tmp_path):
    folder = Path(shutil.copytree(place.data, tmp_path / "bank"))
    table = pq.read_table(folder / "transactions.parquet")
    names = table["transaction_id"].to_pandas()
    strange = "T[/red]:smile:"
    last = int(np.argmax(table["event_time"].to_numpy()))
    names = names.where(names.index != last, strange)
    spot = table.column_names.index("transaction_id")
    table = table.set_column(spot, "transaction_id", pa.array(names, pa.string()))
    pq.write_table(table, folder / "transactions.parquet")
    outcome = place.run("explain", strange, "--model", model.uri, *place.source_arguments(folder))
    assert (outcome.code, outcome.crash) == (0, None), outcome
    assert f"{strange}: probability" in outcome.out


def test_a_calendar_of_centuries_is_not_built_to_find_no_review(place, model, monkeypatch):
    """A risk model of a source without planned reviews knows CUSTOMER@DATE alone."""

    def refuse(*_, **__):
        pytest.fail("the whole calendar was asked for")

    monkeypatch.setattr(one_observation, "make_observations", refuse)
    with pytest.raises(DatasetError, match="CUSTOMER@DATE"):
        one_observation.find_observation(_tables(place), "C0000001", unit="risk")


def _tables(place):
    return read_source(load_section(place.source, SourceMapping), data=place.data).accepted


def test_names_of_files_that_mlflow_does_not_take_as_tags(place, model, own_store, tmp_path):
    tags = {"data.sha256.deals (1), new.csv": "a", "data.sha256.交易.csv": "b", "unit": "fraud"}
    record = RunRecord(parameters={}, metrics={}, tags=tags, tables={}, figures={})
    with place.entered(MLFLOW_TRACKING_URI=own_store):
        shutil.copytree(model.folder, tmp_path / "kept" / BUNDLE)
        card = model.result.card
        keep_training(tmp_path / "kept", model.result.bundle, record, own={}, card=card)
        made = register_kept(tmp_path / "kept", later=False)
    kept = mlflow.MlflowClient(own_store).get_run(made.run_id).data.tags
    assert kept["data.sha256.deals _1__ new.csv"] == "a"
    assert kept["data.sha256.交易.csv"] == "b"
