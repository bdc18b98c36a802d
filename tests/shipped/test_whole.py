"""Every shipped configuration, on data of its form, by the commands that a first hour needs."""

import re

import pytest
import yaml

from kyc_ml.config import SplitConfig, load_section
from kyc_ml.decision import TierPolicy

FORMS = ("fraud", "risk", "handbook", "berka", "amlsim")


def write_limits(path):
    """Let data of few rows and long ago be scored."""
    relaxed = {
        "stale_hours": None,
        "extract": {"arrivals": None},
        "drift": {"score": None, "features_drifted": None},
    }
    path.write_text(yaml.safe_dump(relaxed))
    return path


def write_fixed(form, path):
    """Keep the cut-offs of a policy where they are: a few rows carry no others."""
    policy = load_section(form.config.parent / form.run.tiers, TierPolicy)
    content = policy.model_dump(mode="json", by_alias=True)
    content["fit"] = {"whole": {"method": "fixed"}, "samples": 0}
    path.write_text(yaml.safe_dump(content, allow_unicode=True))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMS)
def test_what_is_shipped_works_on_data_of_its_form(forms, kyc, name, tmp_path):
    form, model = forms[name], tmp_path / "bundle"
    source = ("--source", form.source, "--data", form.data)
    until = ("--as-of", form.as_of)
    in_time = isinstance(form.run.splits, SplitConfig)
    limits = write_limits(tmp_path / "limits.yaml")
    policy = write_fixed(form, tmp_path / "tiers.yaml")
    scores = ("score", "--quiet", "--model", model, *source, "--limits", limits, "--out")
    judged = ("validate", model, *source, "--only", "tiers", "--out", tmp_path / "report")
    works = [
        ("check", *source),
        ("train", "--config", form.config, *source, *until, "--keep", model),
        ("explain", form.observation, "--model", model, *source, "--sheet", tmp_path / "s.html"),
        ("explain", form.observation, "--model", model, *source, "--customer-safe"),
        (*scores, tmp_path / "scores"),
        ("tiers", "fit", model, *source, *until, "--policy", policy),
        ("features", "build", "--config", form.config, *source, "--out", tmp_path / "f.parquet"),
        ("reproduce", f"models:/{name}@challenger", "--data", form.data),
    ]
    for arguments in works:
        code, said = kyc(*arguments)
        assert code == 0, (arguments[:2], said)
    # a gate may fail: a few rows are no bank
    assert kyc("audit", "--config", form.config, *source, *until, "--times", 1)[0] in {0, 1}
    code, said = kyc(*scores, tmp_path / "full", "--full", *(until if name == "amlsim" else ()))
    assert code == (2 if name == "risk" else 0), said
    assert name != "risk" or "reviews" in said
    code, said = kyc(*judged, *until, "--rows", "test" if in_time else "out_of_fold")
    assert code in {0, 1}, said


def test_a_model_of_planned_reviews_learns_of_those_at_the_end_of_the_data(forms, kyc, tmp_path):
    form = forms["amlsim"]
    source = ("--source", form.source, "--data", form.data)
    code, said = kyc("train", "--config", form.config, *source)  # at the end of the data
    assert code == 2
    assert re.search(r"\b90\b.*2017-05-31 00:00.*--as-of", said)
