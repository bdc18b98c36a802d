"""What a configuration may ask for beside the model: card, selection, segments, refits."""

import json
import re

import yaml

from kyc_ml.registry import load_bundle


def train(place, tmp_path, **changes):
    """Train with a changed fraud configuration; the outcome and the kept bundle."""
    config = yaml.safe_load((place.configs / "fraud.yaml").read_text())
    for section, values in changes.items():
        config[section] = {**config.get(section, {}), **values}
    config["name"] = "options"
    path = place.configs / f"{tmp_path.name}.yaml"
    path.write_text(yaml.safe_dump(config, allow_unicode=True))
    kept = tmp_path / "bundle"
    done = place.run("train", "--config", path, *place.source_arguments(), "--keep", kept)
    return done, kept


def test_everything_at_once(place, tmp_path):
    done, kept = train(
        place,
        tmp_path,
        features={"families": ["velocity", "amounts", "profile"]},
        selection={
            "method": "noise", "repetitions": 2, "noise_features": 10, "n_estimators": 10,
            "keep": ["profile_customer_type"],
        },
        calibration={"segment": "profile_customer_type", "candidates": ["platt", "isotonic"]},
        stability={"seed_refits": 2},
        model={"negative_share": 0.3, "refit": "all", "averaged": 2, "n_jobs": 1},
    )  # fmt: skip
    assert (done.code, done.crash) == (0, None)
    assert "expert" in done.out
    assert re.search("calibration.*segment", done.err + done.out)
    assert "stability" in done.err + done.out
    [left] = [line for line in done.err.splitlines() if " left " in line]
    assert "selection" in left
    assert "tables/selection.csv" in done.err
    bundle = load_bundle(kept)
    assert bundle.calibrator.segments is not None
    assert bundle.config.model.negative_share == 0.3
    assert set(bundle.metrics) == {"train", "test"}
    assert "profile_customer_type" in {spec.name for spec in bundle.inputs}
    scored = place.run(
        "score", "--model", kept, *place.source_arguments(), "--out", tmp_path / "s.parquet"
    )
    assert (scored.code, scored.crash) == (0, None)


def test_the_number_of_threads_changes_no_byte_of_the_bundle(place, tmp_path):
    digests = []
    for threads in (1, 2):
        folder = tmp_path / str(threads)
        folder.mkdir()
        features = {"families": ["velocity", "amounts"]}
        done, kept = train(place, folder, features=features, model={"n_jobs": threads})
        assert done.code == 0, done.err
        manifest = json.loads((kept / "manifest.json").read_text())
        digests.append(manifest["manifest_sha256"])
    assert digests[0] == digests[1]


def test_a_segment_that_is_no_feature_is_refused(place, tmp_path):
    done, _ = train(
        place, tmp_path, features={"families": ["velocity"]}, calibration={"segment": "region"}
    )
    assert done.code == 2
    assert "calibration.segment: 'region'" in done.err


def test_what_needs_parts_in_time_is_refused_with_customer_folds(place, tmp_path):
    config = yaml.safe_load((place.configs / "fraud.yaml").read_text())
    config["splits"] = {"method": "customer_folds"}
    config["stability"] = {"seed_refits": 2}
    config["model"] = {**config.get("model", {}), "refit": True}
    path = place.configs / "folds.yaml"
    path.write_text(yaml.safe_dump(config, allow_unicode=True))
    done = place.run("train", "--config", path, *place.source_arguments())
    assert done.code == 2
    assert re.search(r"stability\.seed_refits.*out_of_time", done.err)
    assert "out_of_time" in done.err
    assert re.search(r"model\.refit.*out_of_time", done.err)
