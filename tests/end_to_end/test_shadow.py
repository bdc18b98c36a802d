"""Challengers in the shadow of a night: the same rows and features, and no effect on the night."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from kyc_ml.display import ProgressReporter
from kyc_ml.monitoring import MonitorRequest, record_folder, run_monitor
from kyc_ml.registry import load_bundle, save_bundle
from kyc_ml.scoring import (
    features_beside,
    night_before,
    read_scores,
    run_score,
    run_shadows,
    score_job,
    scoring_run,
)
from kyc_ml.scoring.manifest import read_manifest

pytestmark = pytest.mark.usefixtures("in_store")


class Warned(ProgressReporter):
    """Keeps warnings."""

    def __init__(self):
        self.warnings = []

    def warning(self, text):
        self.warnings.append(text)


@pytest.fixture
def champion(night, tmp_path):
    """Publish a night and keep its features; gives its request and its result."""
    out = tmp_path / "out" / "2024-04-10" / "fraud"
    request = night.request(out, contributions=False, csv=False)
    keep = features_beside(out)
    return request, run_score(request, reporter=ProgressReporter(), keep_features=keep)


def other_policy(night, folder):
    """Save the model under another digest: its tiers begin elsewhere."""
    bundle = load_bundle(night.model)
    tiers = [
        tier.model_copy(update={"from_probability": tier.from_probability**0.1})
        for tier in bundle.policy.tiers
    ]
    policy = bundle.policy.model_copy(update={"tiers": tuple(tiers)})
    save_bundle(replace(bundle, policy=policy), folder)
    return folder


def test_a_challenger_scores_the_same_rows_from_the_same_features(
    champion, night, tmp_path, monkeypatch
):
    request, result = champion
    before = {p: p.read_bytes() for p in result.path.rglob("*") if p.is_file()}
    built = []
    monkeypatch.setattr(
        scoring_run, "build_features_in_buckets", lambda *_, **asked: built.append(asked)
    )
    uri = str(other_policy(night, tmp_path / "challenger"))
    [shadow] = run_shadows([(request, result)], [uri], reporter=ProgressReporter())
    assert not built  # every feature was at hand
    ours, theirs = read_scores(result.path), read_scores(shadow.path)
    same = ["observation_id", "customer_id", "decision_time", "probability"]
    pd.testing.assert_frame_equal(ours[same], theirs[same])
    assert (ours["tier"] != theirs["tier"]).any()
    # nothing of the night has changed, and nothing downstream finds the challenger
    assert before == {p: p.read_bytes() for p in result.path.rglob("*") if p.is_file()}
    assert shadow.path.parent.name == "fraud.shadow"
    assert night_before(tmp_path / "out", "fraud", as_of=pd.Timestamp("2025-01-01", tz="UTC"))
    assert not features_beside(request.out).exists()


def test_features_that_only_the_challenger_reads_are_computed_for_the_same_rows(
    champion, night, tmp_path
):
    request, result = champion
    at_hand = result.features
    columns = pq.read_schema(at_hand.path).names
    gone = {each.name for each in at_hand.specs if each.name in columns[-2:]}
    assert gone  # as if the champion did not read the last two
    fewer = pq.read_table(at_hand.path).drop_columns(sorted(gone))
    pq.write_table(fewer, at_hand.path, row_group_size=60)
    some = tuple(each for each in at_hand.specs if each.name not in gone)
    result = replace(result, features=replace(at_hand, specs=some))
    uri = str(other_policy(night, tmp_path / "challenger"))
    [shadow] = run_shadows([(request, result)], [uri], reporter=ProgressReporter())
    whole = read_scores(result.path)
    assert read_scores(shadow.path)["probability"].tolist() == whole["probability"].tolist()


@pytest.mark.parametrize("fault", ["absent", "defect", "limits"])
def test_a_challenger_that_fails_is_a_warning(champion, night, tmp_path, monkeypatch, fault):
    request, result = champion
    uri = str(tmp_path / "none") if fault == "absent" else str(night.model)
    if fault == "defect":
        monkeypatch.setattr(score_job, "identify_run", lambda *_, **__: 1 / 0)
    if fault == "limits":
        strict = json.dumps({"unknown_categories_share": 0.0})
        Path(tmp_path / "limits.yaml").write_text(strict)
        request = replace(request, limits=tmp_path / "limits.yaml")
    reporter = Warned()
    found = run_shadows([(request, result)], [uri], reporter=reporter)
    assert not found
    assert any(uri in warned for warned in reporter.warnings)
    assert read_manifest(result.path).run_id == result.manifest.run_id
    assert not features_beside(request.out).exists()


def test_monitoring_compares_a_challenger_with_the_model_in_whose_shadow_it_scored(
    champion, night, tmp_path
):
    request, result = champion
    out = tmp_path / "out"
    uri = str(other_policy(night, tmp_path / "challenger"))
    [shadow] = run_shadows([(request, result)], [uri], reporter=ProgressReporter())
    record_folder(out)
    found = run_monitor(
        MonitorRequest(
            out=out,
            source=night.source,
            data=night.data,
            models=(str(night.model),),
            log_mlflow=False,
        )
    )
    [watched] = found.models  # a challenger has no nights of its own
    [challenger] = watched.challengers
    assert challenger.label == shadow.path.name
    ours, theirs = read_scores(result.path)["tier"], read_scores(shadow.path)["tier"]
    swap = challenger.swap.set_index("tier")
    for tier in swap.index:
        assert swap.loc[tier, "champion"] == (ours == tier).sum()
        assert swap.loc[tier, "challenger"] == (theirs == tier).sum()


def test_a_challenger_without_features_at_hand_computes_its_own(champion, night, tmp_path):
    request, result = champion
    alone = replace(result, features=None)
    [shadow] = run_shadows([(request, alone)], [str(night.model)], reporter=ProgressReporter())
    assert shadow.rows == result.rows
