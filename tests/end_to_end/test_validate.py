"""Validating a registered model from the command line, on rows that are new to it."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import yaml
from sklearn.metrics import roc_auc_score

from kyc_ml.config import RunConfig, SourceMapping, load_section
from kyc_ml.contract.source import read_source
from kyc_ml.dataset import mature_labels
from kyc_ml.validation import CHECKS
from kyc_ml.validation.report.storage import from_json

TRAINED = "2024-09-10"
SPLITS = {
    "method": "out_of_time", "early_stopping_days": 14, "calibration_days": 21, "test_days": 21,
    "embargo_days": 3, "inner_embargo_days": 1,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Validated:
    """A model, its full validation, and what the command said."""

    uri: str
    out: Path
    log: Path
    outcome: object

    @property
    def report(self):
        return from_json((self.out / "report.json").read_text(), subject="report")


def validate(place, uri, out, *options, log=None):
    audit = place.home / "validate.jsonl" if log is None else log
    return place.run(
        "validate", uri, *place.source_arguments(), "--policy", place.configs / "validation.yaml",
        "--validator", "somebody", "--out", out, "--log", audit, *options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def validated(place, configs):
    """Train a small model as of a day that leaves later rows, and validate it."""
    content = yaml.safe_load((place.configs / "fraud.yaml").read_text())
    families = {"families": ["velocity", "amounts", "profile", "label_history"]}
    content |= {"name": "reviewed", "features": families, "splits": SPLITS, "rating": None}
    content["model"].update(n_estimators=12, n_jobs=1)
    content["dataset"].update(label_maturity_days=30)
    config = place.configs / "reviewed.yaml"
    config.write_text(yaml.safe_dump(content, allow_unicode=True))
    policy = yaml.safe_load((configs / "validation.yaml").read_text())
    policy["settings"].update(draws=100, compared_rows=10, audit_times=1, train_rows=5_000)
    (place.configs / "validation.yaml").write_text(yaml.safe_dump(policy, allow_unicode=True))
    place.run(
        "train", "--config", config, *place.source_arguments(), "--as-of", f"{TRAINED}T00:00Z"
    )
    out, uri = place.home / "validated", "models:/reviewed/1"
    outcome = validate(place, uri, out)
    return Validated(uri=uri, out=out, log=place.home / "validate.jsonl", outcome=outcome)


def test_a_validation_runs_all_checks_and_exits_by_the_verdict(validated):
    assert validated.outcome.code in {0, 1}, validated.outcome.err
    report = validated.report
    assert validated.outcome.code == (1 if report.verdict == "fail" else 0)
    assert report.complete
    assert [result.check.id for result in report.results] == list(CHECKS)
    assert report.verdict.replace("_", " ") in validated.outcome.out


def test_the_report_names_model_validator_data_and_rows(validated):
    report = validated.report
    assert (report.model.name, report.model.version) == ("reviewed", "1")
    assert report.validator == "somebody"
    assert report.model.trainer
    started = datetime.fromisoformat(report.model.trained_at)
    assert timedelta(0) <= datetime.now(UTC) - started < timedelta(days=1)
    assert len(report.data.files) == 6
    current = next(rows for rows in report.rows if rows.role == "current")
    assert current.since.startswith(TRAINED)
    assert current.judged > current.positives > 0


def test_what_needs_the_source_is_computed(validated):
    report = validated.report
    for name in ("data.lineage", "data.point_in_time", "implementation.recorded_figures"):
        assert report.result(name).verdict != "not_applicable", name
    assert report.result("data.point_in_time").figure("moved").value == 0
    assert report.result("implementation.recorded_figures").figure("largest_difference").value == 0
    assert report.result("implementation.parity").figure("largest_difference").value == 0


def test_the_folder_holds_report_page_and_tables(validated):
    assert (validated.out / "report.html").stat().st_size < 10_000_000
    assert (validated.out / "tables" / "calibration.jeffreys.tiers.parquet").is_file()


def test_no_customer_is_named(validated, place):
    text = (validated.out / "report.json").read_text()
    assert "C0000" not in text
    assert str(place.home) not in json.dumps(
        [each["tables"] for each in json.loads(text)["results"]]
    )


def test_mlflow_has_the_report_on_the_version(validated, place):
    with place.entered():
        client = mlflow.MlflowClient(tracking_uri=place.store)
        tags = client.get_model_version("reviewed", "1").tags
        run = client.get_run(tags["kyc_ml.validation_run"])
    assert tags["kyc_ml.validation_verdict"] == validated.report.verdict
    assert (
        tags["kyc_ml.validation_report"]
        == sha256((validated.out / "report.json").read_bytes()).hexdigest()
    )
    assert run.data.metrics["discrimination.auc/auc"] == pytest.approx(
        validated.report.result("discrimination.auc").figure("auc").value
    )
    part = "test" if "--rows test" in validated.report.command else "later"
    shared = {"average_precision", "auc", "observed_over_expected", "brier"}
    assert {f"{part}/{name}" for name in shared} <= run.data.metrics.keys()
    assert run.data.metrics[f"{part}/auc"] == run.data.metrics["discrimination.auc/auc"]
    spent = sum(n for name, n in run.data.metrics.items() if name.startswith("seconds/"))
    assert run.info.end_time - run.info.start_time >= spent * 1000


def test_the_verdict_is_in_the_audit_log(validated):
    entries = [json.loads(line) for line in validated.log.read_text().splitlines()]
    assert "verdict" in {entry["kind"] for entry in entries}


@pytest.mark.parametrize("name", ["calibration.jeffreys", "benchmarks"])
def test_a_check_alone_gives_the_same_figures_and_approves_nothing(validated, place, name):
    out = place.home / "again" / name
    log = place.home / "again" / f"{name}.jsonl"
    outcome = validate(place, validated.uri, out, "--only", name, log=log)
    assert outcome.code in {0, 1}, outcome.err
    again = from_json((out / "report.json").read_text(), subject="again")
    assert not again.complete
    for result in again.results:
        assert result.figures == validated.report.result(result.check.id).figures
    assert not log.exists()
    with place.entered():
        client = mlflow.MlflowClient(tracking_uri=place.store)
        kept = client.get_model_version("reviewed", "1").tags["kyc_ml.validation_run"]
        experiment = client.get_run(kept).info.experiment_id
        (run,) = client.search_runs([experiment], order_by=["start_time DESC"], max_results=1)
    assert run.info.run_name.split()[:3] == ["validate", "reviewed", "v1"]
    assert run.data.tags["verdict"] not in {"pass", "pass_with_findings", "fail"}


def test_every_judged_row_can_be_had_to_compute_with(validated, place, tmp_path):
    path = tmp_path / "rows.parquet"
    options = ("--only", "discrimination.auc", "--judged-rows", path)
    outcome = validate(place, validated.uri, tmp_path / "again", *options)
    assert outcome.code in {0, 1}, outcome.err
    rows = pd.read_parquet(path)
    judged = rows[rows["judged"]]
    report = from_json((tmp_path / "again" / "report.json").read_text(), subject="report")
    used = next(each for each in report.rows if each.role == "current")
    assert (len(rows), len(judged)) == (used.rows, used.judged)
    assert judged["target"].sum() == used.positives
    assert rows.loc[~rows["judged"], "target"].isna().all()
    auc = next(each for each in report.result("discrimination.auc").figures if each.name == "auc")
    assert roc_auc_score(judged["target"].astype(int), judged["margin"]) == pytest.approx(auc.value)
    assert set(rows["tier"]) <= {"low", "medium_low", "medium", "medium_high", "high"}
    assert path.stat().st_mode & 0o077 == 0
    assert not list((tmp_path / "again").rglob("*rows*"))


def test_the_runs_own_test_part_can_judge_instead(validated, place, tmp_path):
    """By the outcomes known today; those known on the training date give the recorded figure."""
    out, path = place.home / "tested", tmp_path / "rows.parquet"
    options = ("--rows", "test", "--only", "discrimination.auc", "--lang", "zh", "--quiet")
    outcome = validate(place, validated.uri, out, *options, "--judged-rows", path)
    assert outcome.code in {0, 1}, outcome.err
    assert outcome.is_summary_alone
    report = from_json((out / "report.json").read_text(), subject="tested")
    auc = report.result("discrimination.auc").figure("auc").value
    with place.entered():
        recorded = mlflow.MlflowClient(tracking_uri=place.store)
        version = recorded.get_model_version("reviewed", "1")
        metrics = recorded.get_run(version.run_id).data.metrics
    rows = pd.read_parquet(path)
    today = rows[rows["judged"]]
    assert roc_auc_score(today["target"].astype(int), today["margin"]) == pytest.approx(auc)

    config = load_section(place.configs / "reviewed.yaml", RunConfig)
    tables = read_source(load_section(place.source, SourceMapping), data=place.data).accepted
    trained = pd.Timestamp(TRAINED, tz="UTC")
    keys = rows[["observation_id", "customer_id", "decision_time"]]
    then = mature_labels(tables, keys, unit="fraud", as_of=trained, config=config.dataset)
    known = rows[then.usable].assign(target=then.target[then.usable])
    assert metrics["test/auc"] == pytest.approx(roc_auc_score(known["target"], known["margin"]))
    assert today["target"].sum() >= known["target"].sum()  # cases may end after the training date
    assert '<html lang="zh' in (out / "report.html").read_text()[:200]


def test_a_report_is_not_written_over_by_another(validated, place):
    """Of other options at once, of another content at the end, and never without --force."""
    out, auc = place.home / "kept", ("--only", "discrimination.auc")
    assert validate(place, validated.uri, out, *auc).code in {0, 1}
    first = (out / "report.json").read_bytes()
    again = validate(place, validated.uri, out, *auc)
    assert again.code in {0, 1}, again.err  # the same one: to the byte, so a sign-off stays good
    assert (out / "report.json").read_bytes() == first
    for options, said in [
        ((*auc, "--rows", "test"), "options"),
        (("--only", "calibration.jeffreys"), "content"),
    ]:
        refused = validate(place, validated.uri, out, *options)
        assert refused.code == 2, refused.err
        assert said in refused.err
        assert re.search("--out.*--force", refused.err)
        assert (out / "report.json").read_bytes() == first
    forced = validate(place, validated.uri, out, *auc, "--rows", "test", "--force")
    assert forced.code in {0, 1}, forced.err
    assert (out / "report.json").read_bytes() != first


def test_a_report_that_cannot_be_read_is_not_written_over(validated, place):
    out = place.home / "unreadable"
    out.mkdir()
    (out / "report.json").write_text("somebody's own")
    refused = validate(place, validated.uri, out, "--only", "discrimination.auc")
    assert refused.code == 2
    assert "--force" in refused.err
    assert (out / "report.json").read_text() == "somebody's own"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--only", "calibration.jefreys"), "'calibration.jeffreys'"),
        (("--rows", "mine"), "'later', 'test'"),
        (("--since", "2024-08-01"), "--since is 2024-08-01 00:00 Asia/Shanghai"),
        (("--as-of", "2024-09-20"), "--rows test"),
        (("--policy", "nowhere.yaml"), "--policy nowhere.yaml"),
    ],
)
def test_what_cannot_be_validated_is_refused_with_a_cure(validated, place, options, said):
    outcome = validate(place, validated.uri, place.home / "refused", *options)
    assert outcome.code == 2
    assert said in outcome.err
    assert not (place.home / "refused").exists()
