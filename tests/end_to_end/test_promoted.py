"""A night scores what was promoted: score, explain and nightly.py against an exchanged registry."""

import importlib.util
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
from typer.testing import CliRunner

from kyc_ml.errors import BundleError
from kyc_ml.registry import load_bundle, load_pyfunc, record_entry, save_bundle
from kyc_ml.scoring.manifest import read_manifest

NIGHTLY = Path(__file__).parents[2] / "pipelines" / "nightly.py"
DIGEST = "kyc_ml.bundle_digest"
DAY = "2024-03-20"


class Bank:
    """The small bank of `night` with its model registered as night v1, and a store of its own."""

    def __init__(self, night, place, store, folder):
        self.night, self.place, self.store, self.folder = night, place, store, folder
        self.log, self.stored = folder / "audit.jsonl", folder / "stored"
        shutil.copytree(night.model, self.stored)
        with self.entered():
            self.client = mlflow.MlflowClient(store)
            self.client.create_registered_model("night")
            self.digest = load_bundle(self.stored).digest
            self.client.create_model_version(
                "night", f"file://{self.stored}", tags={DIGEST: self.digest}
            )
            self.client.set_registered_model_alias("night", "champion", "1")

    def entered(self):
        return self.place.entered(self.folder, MLFLOW_TRACKING_URI=self.store)

    def promote(self):
        facts = {"reason": "r", "previous_champion": "", "bundle_digest": self.digest}
        with self.entered():
            record_entry(
                "promotion", actor="zhao", model="night", version="1", facts=facts, log=self.log
            )

    def forge(self):
        """Widen the lowest tier to everything, seal the bundle again and change the tag."""
        bundle = load_bundle(self.stored)
        shutil.rmtree(self.stored)
        forged = replace(bundle, policy=bundle.policy.model_copy(update={"version": 77}))
        digest = save_bundle(forged, self.stored)
        self.client.set_model_version_tag("night", "1", DIGEST, digest)
        return digest

    def arguments(self, model="models:/night@champion"):
        named = {"--source": self.night.source, "--data": self.night.data, "--model": model}
        return [str(each) for pair in named.items() for each in pair]

    def score(self, *more, **asked):
        out = self.folder / "out"
        done = self.place.run(
            "score", *self.arguments(**asked), "--as-of", DAY, "--out", out,
            "--limits", self.night.limits, *more,
            home=self.folder, MLFLOW_TRACKING_URI=self.store,
        )  # fmt: skip
        return done.code, done.out + done.err, out

    def nightly(self, *more):
        spec = importlib.util.spec_from_file_location("nightly_promoted", NIGHTLY)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        out = self.folder / "nights"
        with self.entered():
            done = CliRunner().invoke(
                module.app,
                [
                    *self.arguments(), "--as-of", DAY, "--out", str(out),
                    "--limits", str(self.night.limits), *map(str, more),
                ],
            )  # fmt: skip
        return done.exit_code, done.output, out / DAY / "fraud"


@pytest.fixture
def bank(night, place, make_store, tmp_path):
    return Bank(night, place, make_store(tmp_path), tmp_path)


def test_a_promoted_champion_is_scored_and_the_manifest_names_its_promotion(bank):
    bank.promote()
    code, said, out = bank.score()
    assert code == 0, said
    entry = json.loads(bank.log.read_text())
    assert read_manifest(out).promotion == {
        "status": "champion", "promotion": f"1:{entry['hash']}", "allowed": "",
    }  # fmt: skip
    assert bank.score()[0] == 0  # published before
    code, said, folder = bank.nightly()
    assert code == 0, said
    assert read_manifest(folder).promotion["status"] == "champion"


def test_a_champion_exchanged_after_its_promotion_scores_no_night(bank):
    bank.promote()
    forged = bank.forge()
    for job in (bank.score, bank.nightly):
        for more in ((), ("--allow-unpromoted",)):
            code, said, out = job(*more)
            assert code == 2
            assert bank.digest[:12] in said
            assert forged[:12] in said
            assert not out.exists()
    code, said, _ = bank.score(model="models:/night/1")
    assert code == 2
    done = bank.place.run(
        "explain", "SECRETTX0300", *bank.arguments(),
        home=bank.folder, MLFLOW_TRACKING_URI=bank.store,
    )  # fmt: skip
    assert done.code == 2
    assert forged[:12] in done.err


@pytest.mark.parametrize("logged", [True, False])
def test_an_alias_set_by_hand_scores_only_with_the_option_and_all_records_say_so(bank, logged):
    if logged:  # another model's decision: the log knows nothing of this one
        with bank.entered():
            bank.client.create_registered_model("fraud")
            bank.client.create_model_version("fraud", f"file://{bank.stored}")
            record_entry("refusal", actor="z", model="fraud", version="1",
                         facts={"command": "promote", "refusals": []}, log=bank.log)  # fmt: skip
    for job in (bank.score, bank.nightly):
        code, said, out = job()
        assert code == 2
        assert "--allow-unpromoted" in said if logged else "--audit-log" in said
        assert not out.exists()
    code, said, out = bank.score("--allow-unpromoted")
    assert code == 0, said
    promotion = read_manifest(out).promotion
    assert promotion["status"] == "not_promoted"
    assert promotion["allowed"]
    kinds = [json.loads(line)["kind"] for line in bank.log.read_text().splitlines()]
    assert kinds[-1] == "unpromoted_use"
    (experiment,) = bank.client.search_experiments(filter_string="name = 'kyc_ml scoring'")
    runs = bank.client.search_runs([experiment.experiment_id])
    tags = [each.data.tags for each in runs if each.data.tags["out"] == str(out)]
    allowed = [each["promotion/allowed"] for each in tags if "promotion/allowed" in each]
    assert allowed == [promotion["allowed"]]  # the refused starts are runs without it


def test_a_rehearsal_by_number_needs_no_log_and_says_so(bank):
    code, said, out = bank.score(model="models:/night/1")
    assert code == 0, said
    assert read_manifest(out).promotion["status"] == "not_compared"


def test_a_server_refuses_a_bundle_that_is_not_the_one_logged_beside_it(model, tmp_path):
    folder = tmp_path / "model" / "data" / "bundle"
    shutil.copytree(model.folder, folder)
    beside = folder.parents[1] / "MLmodel"
    digest = model.result.bundle.digest
    beside.write_text(f"metadata:\n  bundle_digest: {digest}\n")
    assert load_pyfunc(str(folder)).bundle.digest == digest
    beside.write_text(f"metadata:\n  bundle_digest: {'0' * 64}\n")
    with pytest.raises(BundleError, match="0" * 12):
        load_pyfunc(str(folder))


def test_a_server_serves_only_the_digest_that_it_was_given(model, monkeypatch):
    monkeypatch.setenv("KYC_ML_BUNDLE_DIGEST", model.result.bundle.digest)
    assert load_pyfunc(str(model.folder))
    monkeypatch.setenv("KYC_ML_BUNDLE_DIGEST", "f" * 64)
    with pytest.raises(BundleError, match=r"KYC_ML_BUNDLE_DIGEST.*f{12}"):
        load_pyfunc(str(model.folder))


def test_what_mlflow_would_install_has_no_name_that_a_stranger_could_take(place, model):
    """No index holds a kyc-ml of ours: whoever published one would run code in every server."""
    with place.entered():
        mlflow.set_tracking_uri(place.store)
        version = mlflow.MlflowClient().get_model_version("fraud", "1")
        logged = Path(mlflow.artifacts.download_artifacts(f"models:/fraud/{version.version}"))
    for name in ("requirements.txt", "conda.yaml", "python_env.yaml"):
        assert not re.search(r"kyc.ml", (logged / name).read_text(), re.IGNORECASE)
    assert "lightgbm==" in (logged / "requirements.txt").read_text()
