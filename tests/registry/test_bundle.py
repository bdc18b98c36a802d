"""What was saved is read back to the last bit, or not at all."""

import errno
import hashlib
import json
import os
import platform
import re
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import yaml

import kyc_ml
from kyc_ml.config import FeatureConfig, section_digest
from kyc_ml.decision import PeerReference
from kyc_ml.errors import BundleError, KycMlError, OutputError
from kyc_ml.features import FAMILIES, Formula, choose_features, definitions_digest, split_available
from kyc_ml.registry import (
    MANIFEST,
    compare_manifests,
    digest_distributions,
    load_bundle,
    save_bundle,
)

FILES = {
    "calibration.json",
    "config.yaml",
    "features.json",
    "manifest.json",
    "metrics.json",
    "model.txt",
    "reference.json",
    "tiers.yaml",
}


@pytest.fixture
def saved(bundle, tmp_path):
    save_bundle(bundle, tmp_path / "bundle")
    return tmp_path / "bundle"


def flip(path, place):
    """Change one byte of a file into another printable one."""
    content = bytearray(path.read_bytes())
    content[place] = ord("x") if content[place] != ord("x") else ord("y")
    path.write_bytes(bytes(content))


def test_a_bundle_that_was_loaded_scores_bit_equal(bundle, small, saved):
    again = load_bundle(saved)
    margin, margin_before = again.model.margin(small.matrix), bundle.model.margin(small.matrix)
    assert margin.tobytes() == margin_before.tobytes()
    proba = again.calibrator.probability(margin)
    assert proba.tobytes() == bundle.calibrator.probability(margin_before).tobytes()
    before, after = (
        bundle.model.contributions(small.matrix),
        again.model.contributions(small.matrix),
    )
    assert after.values.tobytes() == before.values.tobytes()


def test_everything_else_is_read_back_equal(bundle, saved):
    again = load_bundle(saved)
    for part in ("calibrator", "policy", "config", "specs", "vocabularies", "data"):
        assert getattr(again, part) == getattr(bundle, part), part
    assert again.reference.modes == bundle.reference.modes
    np.testing.assert_equal(dict(again.reference.medians), dict(bundle.reference.medians))
    assert np.isnan(again.reference.medians["all_missing"])


def test_figures_that_are_undefined_stay_undefined_numbers(bundle, saved):
    again = load_bundle(saved)
    np.testing.assert_equal(again.metrics, bundle.metrics)


def test_the_inputs_are_the_models_columns_without_the_hidden_ones(bundle, saved):
    names = ("signal", "noise", "constant", "all_missing", "channel")
    assert tuple(spec.name for spec in bundle.inputs) == names
    assert load_bundle(saved).inputs == bundle.inputs


@pytest.mark.parametrize("unit", ["fraud", "risk"])
def test_every_declared_feature_survives(bundle, tmp_path, unit):
    config = FeatureConfig(families=tuple(FAMILIES), third_party_items=("score", "medien é"))
    specs = (*bundle.specs, *choose_features(config, unit=unit))
    save_bundle(replace(bundle, specs=specs), tmp_path / "all")
    again = load_bundle(tmp_path / "all").specs
    assert again == specs
    assert definitions_digest(again) == definitions_digest(specs)


def left_behind(make_spec):
    """Declare hidden features whose own input the source did not have, as trainings once kept."""
    income = make_spec(
        "income_share", Formula(operation="ratio", inputs=("signal", "income")), intermediate=True
    )
    twice = make_spec(
        "income_twice",
        Formula(operation="sum", inputs=("income_share", "signal")),
        intermediate=True,
    )
    return income, twice


def test_a_bundle_that_kept_what_nothing_can_compute_loads_without_it(bundle, make_spec, tmp_path):
    old = replace(bundle, specs=(*bundle.specs, *left_behind(make_spec)))
    digest = save_bundle(old, tmp_path / "old")
    again = load_bundle(tmp_path / "old", digest=digest)
    assert again.specs == bundle.specs
    assert again.digest == digest
    tables = {name: {"customer_id"} for name in ("transactions", "third_party")}
    split_available(again.specs, tables, ())  # what ended in a KeyError


def test_a_column_of_the_model_that_nothing_can_compute_is_named(bundle, make_spec, tmp_path):
    broken = tuple(
        replace(spec, how=Formula(operation="ratio", inputs=("signal", "income")))
        if spec.name == "noise"
        else spec
        for spec in bundle.specs
    )
    save_bundle(replace(bundle, specs=broken), tmp_path / "old")
    with pytest.raises(BundleError, match="model"):
        load_bundle(tmp_path / "old")


def test_the_digest_is_returned_recorded_and_checked(bundle, tmp_path):
    digest = save_bundle(bundle, tmp_path / "bundle")
    assert re.fullmatch("[0-9a-f]{64}", digest)
    assert load_bundle(tmp_path / "bundle", digest=digest).digest == digest


def test_the_same_content_has_the_same_digest_wherever_it_lies(bundle, tmp_path):
    one = save_bundle(bundle, tmp_path / "one")
    assert save_bundle(load_bundle(tmp_path / "one"), tmp_path / "deep" / "two") == one
    for name in FILES:
        copies = [(tmp_path / folder / name).read_bytes() for folder in ("one", "deep/two")]
        assert copies[0] == copies[1]


def test_another_content_has_another_digest(bundle, tmp_path):
    changed = [
        replace(bundle, metrics={"test": {"auc": 0.8}}),
        replace(bundle, data={**bundle.data, "as_of": "2024-07-02"}),
        replace(bundle, vocabularies={"channel": ("app",)}),
        replace(bundle, reference=PeerReference(medians={}, modes={})),
        replace(
            bundle, policy=bundle.policy.model_copy(update={"version": bundle.policy.version + 1})
        ),
        bundle,
    ]
    digests = {save_bundle(each, tmp_path / f"{i}") for i, each in enumerate(changed)}
    assert len(digests) == len(changed)


@pytest.mark.parametrize("name", sorted(FILES - {MANIFEST}))
@pytest.mark.parametrize("place", [0, -2])
def test_one_changed_byte_is_refused_and_the_file_is_named(saved, name, place):
    flip(saved / name, place)
    told = f"differs from its manifest: {re.escape(name)} was changed; restore it"
    with pytest.raises(BundleError, match=told):
        load_bundle(saved)


def test_any_changed_byte_of_the_manifest_is_refused(saved):
    path = saved / MANIFEST
    content = path.read_bytes()
    for place in range(0, len(content), 11):
        flip(path, place)
        with pytest.raises(BundleError):
            load_bundle(saved)
        path.write_bytes(content)
    load_bundle(saved)


@pytest.mark.parametrize(
    ("old", "new"), [('"CNY"', '"USD"'), ('"name": "fraud"', '"name": "fraua"'), ("0.1.0", "0.1.1")]
)
def test_a_fact_changed_in_the_manifest_is_refused(saved, old, new):
    path = saved / MANIFEST
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(BundleError, match=r"manifest\.json"):
        load_bundle(saved)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]\n", b"{\n", b"\xff\xfe", b"null\n", b"1\n"])
def test_what_is_no_manifest_is_refused(saved, content):
    (saved / MANIFEST).write_bytes(content)
    with pytest.raises(BundleError, match="changed"):
        load_bundle(saved)


@pytest.mark.parametrize("name", sorted(FILES - {MANIFEST}))
def test_a_missing_file_is_refused_and_named(saved, name):
    (saved / name).unlink()
    with pytest.raises(BundleError, match=re.escape(name)):
        load_bundle(saved)


def test_all_differences_are_named_at_once(saved):
    (saved / "extra.txt").touch()
    (saved / "metrics.json").unlink()
    flip(saved / "model.txt", 100)
    with pytest.raises(BundleError) as caught:
        load_bundle(saved)
    told = "metrics.json is missing; extra.txt was added; model.txt was changed"
    assert told in str(caught.value)


def test_a_folder_in_a_files_place_is_refused(saved):
    (saved / "model.txt").unlink()
    (saved / "model.txt").mkdir()
    with pytest.raises(BundleError, match=r"model\.txt"):
        load_bundle(saved)


def test_another_bundle_than_the_registered_one_is_refused(saved):
    with pytest.raises(BundleError, match="000000000000"):
        load_bundle(saved, digest="0" * 64)


@pytest.mark.parametrize("name", ["", "absent"])
def test_a_folder_without_a_manifest_is_no_bundle(tmp_path, name):
    with pytest.raises(BundleError, match=r"manifest\.json"):
        load_bundle(tmp_path / name)


def test_another_format_asks_for_the_version_that_wrote_it(saved):
    path = saved / MANIFEST
    path.write_text(path.read_text().replace('"format_version": 4', '"format_version": 9'))
    with pytest.raises(BundleError, match=r"\b9\b.*kyc_ml.*\b1\b.*\b3\b.*\b4\b"):
        load_bundle(saved)


def test_format_2_holds_the_former_names_of_parameters_and_loads_alike(bundle, tmp_path):
    save_bundle(bundle, tmp_path / "two", format_version=2)
    save_bundle(bundle, tmp_path / "three")
    old, new = (
        yaml.safe_load((tmp_path / name / "config.yaml").read_text()) for name in ("two", "three")
    )
    assert old["model"]["lambda_l2"] == new["model"]["reg_lambda"] == bundle.config.model.reg_lambda
    assert old["tuning"]["search"]["lambda_l2"] == new["tuning"]["search"]["reg_lambda"]
    assert old["selection"]["rounds"] == new["selection"]["n_estimators"]
    assert not {"reg_lambda", "n_estimators", "n_jobs"} & old["model"].keys()
    assert load_bundle(tmp_path / "two").config == load_bundle(tmp_path / "three").config


def test_an_existing_folder_is_never_written_into(bundle, tmp_path):
    folder = tmp_path / "bundle"
    folder.mkdir()
    with pytest.raises(OutputError, match="exists"):
        save_bundle(bundle, folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), os.strerror(errno.ENOSPC)),
        (OSError("told nothing"), "refused"),
    ],
)
def test_a_failing_disk_leaves_nothing_behind(bundle, tmp_path, monkeypatch, error, reason):
    written = []
    write_bytes = Path.write_bytes

    def fail_at_third(path, content):
        if len(written) == 2:
            raise error
        written.append(path.name)
        return write_bytes(path, content)

    monkeypatch.setattr(Path, "write_bytes", fail_at_third)
    with pytest.raises(OutputError, match=reason):
        save_bundle(bundle, tmp_path / "bundle")
    assert len(written) == 2
    assert list(tmp_path.iterdir()) == []


def test_what_an_earlier_crash_left_is_cleared_away(bundle, tmp_path):
    half = tmp_path / ".bundle.writing"
    half.mkdir()
    (half / "leftover").touch()
    save_bundle(bundle, tmp_path / "bundle")
    assert {path.name for path in tmp_path.iterdir()} == {"bundle"}
    load_bundle(tmp_path / "bundle")


def test_a_bundle_is_text_for_people_and_standard_json(saved):
    assert {path.name for path in saved.iterdir()} == FILES
    for path in saved.iterdir():
        content = path.read_bytes()
        text = content.decode("utf-8")
        assert "\0" not in text
        assert not content.startswith(b"\x80")  # every pickle since protocol 2 does
        if path.suffix == ".json":
            json.loads(text, parse_constant=pytest.fail)  # NaN and Infinity are no JSON
    assert "低" in (saved / "tiers.yaml").read_text(encoding="utf-8")


def test_no_module_imports_a_pickler():
    sources = sorted(Path(kyc_ml.__file__).parent.rglob("*.py"))
    assert len(sources) > 40
    banned = re.compile(r"^\s*(?:import|from)\s+(?:pickle|joblib|dill|cloudpickle|shelve)\b", re.M)
    assert [path.name for path in sources if banned.search(path.read_text())] == []


# --- what the manifest says of how a bundle came about ---------------------------------


def test_the_manifest_says_what_a_rerun_needs(bundle, saved):
    manifest = json.loads((saved / MANIFEST).read_text())
    assert manifest["python"] == platform.python_version()
    assert manifest["distributions_digest"] == digest_distributions()
    assert manifest["code_version"] == version("kyc-ml")
    assert manifest["seeds"]["model"] == bundle.config.model.seed
    assert {"model", "calibration", "selection", "stability", "tuning"} == set(manifest["seeds"])
    assert manifest["config_digest"] == section_digest(bundle.config)


def test_a_bundle_is_equal_to_itself(saved):
    manifest = json.loads((saved / MANIFEST).read_text())
    assert compare_manifests(manifest, manifest) == ()


def test_files_and_entries_that_differ_are_named(bundle, saved, tmp_path):
    other = replace(bundle, metrics={}, data={**bundle.data, "as_of": "2024-07-02"})
    save_bundle(other, tmp_path / "other")
    manifests = [json.loads((path / MANIFEST).read_text()) for path in (saved, tmp_path / "other")]
    assert compare_manifests(*manifests) == ("metrics.json", "manifest.json (data)")
    del manifests[1]["seeds"]  # as an older kyc_ml wrote it
    assert compare_manifests(*manifests) == ("metrics.json", "manifest.json (data, seeds)")


def reseal(folder, name, content):
    """Change a file as somebody with all rights would: every digest agrees again."""
    (folder / name).write_text(content)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"][name] = hashlib.sha256(content.encode()).hexdigest()
    seal_again(folder, manifest)


def seal_again(folder, manifest):
    from kyc_ml.registry.bundle import _seal  # noqa: PLC0415
    from kyc_ml.storage import dump_json  # noqa: PLC0415

    del manifest["manifest_sha256"]
    sealed = {**manifest, "manifest_sha256": _seal(manifest)}
    (folder / MANIFEST).write_text(dump_json(sealed))


def put(content, path, value):
    *parents, last = path
    for key in parents:
        content = content[key]
    content[last] = value


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("calibration.json", ["slope"], "steep"),
        ("calibration.json", ["slope"], None),
        ("calibration.json", ["method"], "magic"),
        ("calibration.json", ["method"], "venn_abers"),
        ("calibration.json", ["method"], "beta"),
        ("calibration.json", ["knots"], [1.0, 0.0]),
        ("calibration.json", ["levels"], [0.5]),
        ("calibration.json", ["surprise"], 1),
        ("reference.json", ["quantiles", "signal"], [1.0, 2.0]),
        ("reference.json", ["quantiles", "signal"], list(range(21, 0, -1))),
        ("reference.json", ["medians"], []),
        ("reference.json", ["groups"], {"x": 1}),
        ("metrics.json", ["test"], 3),
        ("features.json", ["vocabularies"], {}),
        ("features.json", ["vocabularies", "channel"], ["a", "a"]),
        ("features.json", ["vocabularies", "channel"], [1, 2]),
    ],
)
def test_a_resealed_file_of_another_form_is_refused(saved, name, path, value):
    content = json.loads((saved / name).read_text())
    put(content, path, value)
    reseal(saved, name, json.dumps(content))
    with pytest.raises(BundleError, match=re.escape(str(saved))):
        load_bundle(saved)


@pytest.mark.parametrize("name", sorted(FILES - {MANIFEST, "model.txt"}))
@pytest.mark.parametrize(
    "content", ["", "null", "[]", "[" * 100_000, '{"a": NaN}', '{"a": 1e999}', "{" * 100_000]
)
def test_a_resealed_file_of_no_form_is_refused(saved, name, content):
    reseal(saved, name, content)
    with pytest.raises(KycMlError, match=re.escape(str(saved))):
        load_bundle(saved)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["columns", "signal", "counts"], [1]),
        (["columns", "signal", "counts"], "many"),
        (["columns", "signal", "cuts"], [2.0, 1.0]),
        (["columns", "probability"], {}),
        (["rows"], -1),
        (["effective_customers"], 0),
    ],
)
def test_a_profile_whose_counts_are_not_those_of_its_bins_is_refused(bundle, path, value, small):
    from kyc_ml.model import Profile, learn_profile  # noqa: PLC0415

    learned = learn_profile(small.features, np.linspace(0.0, 1.0, len(small.features)))
    content = json.loads(json.dumps(learned.to_dict()))
    assert Profile.from_dict(content).to_dict() == learned.to_dict()
    put(content, path, value)
    with pytest.raises((KeyError, TypeError, ValueError)):
        Profile.from_dict(content)


@pytest.mark.parametrize("key", ["files", "data"])
@pytest.mark.parametrize("value", [None, 5, [], "x"])
def test_a_resealed_manifest_of_another_form_is_refused(saved, key, value):
    seal_again(saved, {**json.loads((saved / MANIFEST).read_text()), key: value})
    with pytest.raises(BundleError, match=MANIFEST):
        load_bundle(saved)


def test_a_resealed_model_with_a_circle_is_refused(saved):
    text = (saved / "model.txt").read_text()
    changed = re.sub(r"(?<=\nright_child=)\S+", "0", text, count=1)
    reseal(saved, "model.txt", changed)
    with pytest.raises(BundleError):
        load_bundle(saved)


def test_a_link_in_place_of_the_unfinished_bundle_is_not_followed(bundle, tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "mine").touch()
    (tmp_path / ".bundle.writing").symlink_to(victim)
    with pytest.raises(OutputError):
        save_bundle(bundle, tmp_path / "bundle")
    assert [each.name for each in victim.iterdir()] == ["mine"]
