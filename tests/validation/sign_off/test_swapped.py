"""Attacks with rights to the registry and its files, but not to the audit log.

What was promoted is what scores: each attack is named by ``audit-log verify`` and refused by
everything that loads a model.
"""

import json
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import mlflow
import pytest
from typer.testing import CliRunner

from kyc_ml.cli import app
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import AuditError, BundleError, RegistryError, UnreachableError
from kyc_ml.registry import AuditLog, load_in_use, record_entry, save_bundle
from kyc_ml.registry.tracking.registry import fetch_bundle

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:sqlalchemy.*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow.*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:alembic.*"),
    pytest.mark.filterwarnings("ignore:The ``noload``"),
]
DIGEST = "kyc_ml.bundle_digest"


class Registry:
    """A registry with two models of two versions each; fraud v1 is champion by the log."""

    def __init__(self, folder, bundle):
        self.folder, self.bundle = folder, bundle
        self.log = folder / "audit.jsonl"
        self.client = mlflow.MlflowClient()
        for name in ("fraud", "risk"):
            self.client.create_registered_model(name)
            for number in (1, 2):
                place = folder / f"{name}-{number}"
                digest = save_bundle(replace(bundle, metrics={name: {"n": number}}), place)
                self.client.create_model_version(name, f"file://{place}", tags={DIGEST: digest})

    def log_entry(self, kind, version, **facts):
        """Enter a decision as promote, rollback and withdraw do, and move the alias."""
        facts = {"reason": "r", **facts}
        record_entry(kind, actor="zhao", model="fraud", version=version, facts=facts, log=self.log)

    def promote(self, version, previous=""):
        digest = self.client.get_model_version("fraud", version).tags[DIGEST]
        facts = {"previous_champion": previous, "bundle_digest": digest}
        self.log_entry("promotion", version, **facts)
        self.client.set_registered_model_alias("fraud", "champion", version)

    def forge(self, version, name="fraud"):
        """Exchange a version's bundle for another sound one, and its tag too."""
        place = self.folder / f"{name}-{version}"
        shutil.rmtree(place)
        policy = self.bundle.policy.model_copy(update={"version": 99})
        digest = save_bundle(replace(self.bundle, policy=policy), place)
        self.client.set_model_version_tag(name, version, DIGEST, digest)
        return digest

    def load(self, model="models:/fraud@champion", *, allow=False, log=None):
        told = []
        reporter = ProgressReporter()
        reporter.warning = told.append
        found = load_in_use(
            model, log=log or self.log, allow_unpromoted=allow, job="score", reporter=reporter
        )
        return found.standing, told

    def verify(self):
        done = CliRunner().invoke(app, ["audit-log", "verify", "--log", str(self.log)])
        return done.exit_code, " ".join(done.stdout.split())


@pytest.fixture
def registry(make_store, tmp_path, monkeypatch, bundle):
    address = make_store(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(address)
    made = Registry(tmp_path, bundle)
    made.promote("1")
    return made


def test_the_champion_of_the_log_is_loaded_and_says_where_it_was_promoted(registry):
    standing, told = registry.load()
    entry = AuditLog(registry.log).require_sound()[0]
    assert standing.to_dict() == {
        "status": "champion", "promotion": str(entry.anchor), "allowed": "",
    }  # fmt: skip
    assert told == []
    assert registry.load("models:/fraud/1")[0] == standing
    assert registry.load("models:/fraud/2")[0].status == "not_promoted"
    assert registry.load(str(registry.folder / "fraud-1"))[0].status == "not_promoted"
    assert registry.verify()[0] == 0


@pytest.mark.parametrize("address", ["fraud@champion", "fraud/1"])
@pytest.mark.parametrize("allow", [False, True])
def test_a_bundle_resealed_after_its_promotion_is_refused_under_every_address(
    registry, address, allow
):
    promoted = registry.client.get_model_version("fraud", "1").tags[DIGEST]
    forged = registry.forge("1")
    with pytest.raises(BundleError) as told:
        registry.load(f"models:/{address}", allow=allow)
    assert all(each in str(told.value) for each in (promoted[:12], forged[:12], "fraud v1"))
    code, said = registry.verify()
    assert code == 1
    assert all(each in said for each in (promoted[:12], forged[:12], "fraud v1"))


@pytest.mark.parametrize("name", ["tiers.yaml", "model.txt", "manifest.json", "metrics.json"])
def test_an_edited_file_is_named_by_verify_too(registry, name):
    path = registry.folder / "fraud-1" / name
    path.write_bytes(path.read_bytes().replace(b"1", b"2", 1))
    code, said = registry.verify()
    assert code == 1
    assert name in said
    with pytest.raises(BundleError, match=name):
        registry.load()


def test_folders_of_two_versions_or_models_that_were_swapped(registry):
    for other in ("fraud-2", "risk-1"):
        kept = registry.folder / "kept"
        mine, theirs = registry.folder / "fraud-1", registry.folder / other
        shutil.move(mine, kept)
        shutil.copytree(theirs, mine)
        digest = registry.client.get_model_version(*other.split("-")).tags[DIGEST]
        registry.client.set_model_version_tag("fraud", "1", DIGEST, digest)
        with pytest.raises(BundleError, match=digest[:12]):
            registry.load()
        assert registry.verify()[0] == 1
        shutil.rmtree(mine)
        shutil.move(kept, mine)


@pytest.mark.parametrize("alias", ["champion", "Champion", "CHAMPION", "ch\u0430mpion"])
def test_an_alias_set_by_hand_is_refused_however_it_is_written(registry, alias):
    registry.client.set_registered_model_alias("fraud", alias, "2")
    address = f"models:/fraud@{alias}"
    with pytest.raises(RegistryError, match=r"fraud v2.*not_promoted.*--allow-unpromoted"):
        registry.load(address)
    if alias == "champion":
        assert registry.verify()[0] == 1
    standing, told = registry.load(address, allow=True)
    assert standing.status == "not_promoted"
    assert "fraud v2" in standing.allowed
    assert any("--allow-unpromoted" in each for each in told)
    entry = AuditLog(registry.log).require_sound()[-1]
    assert (entry.kind, entry.model, entry.version) == ("unpromoted_use", "fraud", "2")
    assert entry.facts["command"] == "score"


def test_aliases_for_a_rehearsal_load_and_are_not_promoted(registry):
    registry.client.set_registered_model_alias("fraud", "challenger", "2")
    assert registry.load("models:/fraud@challenger")[0].status == "not_promoted"
    registry.forge("2")  # nothing was promoted that it could differ from
    assert registry.load("models:/fraud@challenger")[0].status == "not_promoted"
    assert registry.verify()[0] == 0


def test_the_alias_back_at_a_version_that_was_replaced_rolled_back_or_withdrawn(registry):
    alias = registry.client.set_registered_model_alias
    registry.promote("2", previous="1")
    assert registry.load()[0].status == "champion"
    assert registry.load("models:/fraud/1")[0].status == "promoted_before"
    alias("fraud", "champion", "1")
    with pytest.raises(RegistryError, match=r"fraud v1.*promoted_before"):
        registry.load()
    registry.log_entry("rollback", "1", **{"from": "2"})
    assert registry.load()[0].status == "champion"
    alias("fraud", "champion", "2")
    with pytest.raises(RegistryError, match=r"fraud v2.*promoted_before"):
        registry.load()
    registry.log_entry("withdrawal", "1")
    alias("fraud", "champion", "1")
    with pytest.raises(RegistryError, match=r"fraud v1.*promoted_before"):
        registry.load()
    registry.promote("1")
    assert registry.load()[0].status == "champion"
    assert registry.verify()[0] == 0


def test_a_night_that_starts_in_the_middle_of_a_promotion_is_tried_again(registry, monkeypatch):
    registry.promote("2", previous="1")
    registry.client.set_registered_model_alias("fraud", "champion", "1")  # as if not moved yet
    with pytest.raises(UnreachableError, match=r"fraud v1.*promoted_before"):
        registry.load(allow=True)
    monkeypatch.setattr("kyc_ml.registry.in_use._MOVED_WITHIN", timedelta(0))
    with pytest.raises(RegistryError) as told:
        registry.load()
    assert not isinstance(told.value, UnreachableError)


def test_a_model_that_was_renamed_deleted_or_registered_again(registry):
    client = registry.client
    client.rename_registered_model("fraud", "fraud2")
    with pytest.raises(RegistryError, match="fraud2 v1"):
        registry.load("models:/fraud2@champion")
    client.create_registered_model("fraud")
    digest = client.get_model_version("risk", "1").tags[DIGEST]
    client.create_model_version(
        "fraud", f"file://{registry.folder / 'risk-1'}", tags={DIGEST: digest}
    )
    client.set_registered_model_alias("fraud", "champion", "1")
    with pytest.raises(BundleError, match=digest[:12]):
        registry.load()
    assert registry.verify()[0] == 1
    client.delete_registered_model("fraud")
    assert registry.verify()[0] == 1
    with pytest.raises(RegistryError):
        registry.load()


def test_a_champion_without_its_files_or_without_its_alias_is_named(registry):
    registry.client.delete_registered_model_alias("fraud", "champion")
    assert registry.verify()[0] == 1
    registry.client.set_registered_model_alias("fraud", "champion", "1")
    shutil.move(registry.folder / "fraud-1", registry.folder / "away")
    code, said = registry.verify()
    assert code == 1
    assert "fraud v1" in said


def test_a_rollback_never_reaches_a_champion_that_was_set_by_hand(registry):
    registry.client.set_registered_model_alias("fraud", "champion", "2")
    registry.promote("1", previous="2")
    done = CliRunner().invoke(
        app, ["rollback", "fraud", "--approver", "zhao", "--reason", "r", "--log", "audit.jsonl"]
    )
    assert done.exit_code == 1
    found = registry.client.get_registered_model("fraud").aliases
    assert str(found["champion"]) == "1"


def test_without_its_log_a_champion_is_refused_and_a_rehearsal_is_not_compared(registry):
    away = registry.folder / "elsewhere" / "audit.jsonl"
    with pytest.raises(AuditError, match=r"--audit-log.*KYC_ML_AUDIT_LOG"):
        registry.load(log=away)
    assert registry.load("models:/fraud/1", log=away)[0].status == "not_compared"
    standing, told = registry.load(log=away, allow=True)
    assert standing.status == "not_compared"
    assert "audit.jsonl" in standing.allowed
    assert len(told) == 2  # that it is used, and that the log cannot say so
    assert not away.exists()


def test_a_log_cut_back_to_an_earlier_champion_is_refused(registry):
    """With the promotion of v2 cut off, v1 would look like the champion again."""
    before = registry.log.read_bytes()
    registry.promote("2", previous="1")
    registry.log.write_bytes(before)
    registry.client.set_registered_model_alias("fraud", "champion", "1")
    for address in ("fraud@champion", "fraud/1"):
        with pytest.raises(AuditError, match="MLflow"):
            registry.load(f"models:/{address}")


def test_what_only_a_receipt_sees(registry):
    """Log and registry put back together: the limit that log.py and VALIDATION.md state."""
    before = registry.log.read_bytes()
    tags = dict(registry.client.get_registered_model("fraud").tags)
    registry.promote("2", previous="1")
    receipt = str(AuditLog(registry.log).require_sound()[-1].anchor)
    registry.log.write_bytes(before)
    registry.client.set_registered_model_alias("fraud", "champion", "1")
    for key, value in tags.items():
        registry.client.set_registered_model_tag("fraud", key, value)
    registry.client.delete_model_version_tag("fraud", "2", "kyc_ml.audit_anchor")
    assert registry.verify()[0] == 0
    assert registry.load()[0].status == "champion"
    done = CliRunner().invoke(
        app, ["audit-log", "verify", "--log", str(registry.log), "--receipt", receipt]
    )
    assert done.exit_code == 1


def test_an_edited_log_is_refused_and_a_broken_tag_of_the_registry_too(registry):
    registry.client.set_registered_model_tag("fraud", "kyc_ml.audit_anchor", "nonsense")
    with pytest.raises(RegistryError, match="fraud"):
        registry.load()
    entry = json.loads(registry.log.read_text())
    entry["facts"]["bundle_digest"] = registry.forge("1")
    registry.log.write_text(json.dumps(entry) + "\n")
    with pytest.raises(AuditError, match="line 1"):
        registry.load()


def test_the_address_of_the_registered_digest_stays_what_mlflow_says(registry, tmp_path):
    found = fetch_bundle("models:/fraud@champion", Path(tmp_path / "into"))
    assert (found.name, found.version, found.alias) == ("fraud", "1", "champion")
    assert fetch_bundle("models:/fraud/1", Path(tmp_path / "other")).alias == ""
