"""What MLflow keeps of a training run, as a second user finds it."""

from importlib.metadata import version

import mlflow
import pandas as pd
import pytest

from kyc_ml.splits import PARTS

FIGURES = {"roc", "precision_recall", "reliability", "score_distribution", "tiers", "importance"}
TABLES = {
    "parts",
    "tiers",
    "importance",
    "calibration_candidates",
    "reliability_of_calibration_rows",
    "data_quality",
}


@pytest.fixture
def client(place, model):
    with place.entered():
        mlflow.set_tracking_uri(place.store)
        yield mlflow.MlflowClient()


@pytest.fixture
def run(client, model):
    return client.get_run(model.result.registered.run_id)


def names_in(client, run, folder):
    return {entry.path.removeprefix(f"{folder}/") for entry in client.list_artifacts(run, folder)}


def test_the_alias_challenger_points_at_the_version(client, model):
    found = client.get_model_version_by_alias("fraud", "challenger")
    assert str(found.version) == model.result.registered.version == "1"
    assert found.run_id == model.result.registered.run_id


def test_the_version_names_its_bundle_code_and_data(client, model):
    tags = client.get_model_version("fraud", "1").tags
    bundle = model.result.bundle
    assert tags["kyc_ml.bundle_digest"] == bundle.digest
    assert tags["code_version"] == version("kyc-ml")
    files = {name.removeprefix("data.sha256."): digest for name, digest in tags.items()
             if name.startswith("data.sha256.")}  # fmt: skip
    assert files == bundle.data["files"]
    assert "transactions.parquet" in files


def test_every_part_has_its_figures(run):
    metrics = run.data.metrics
    for part in PARTS:
        assert {f"{part}/auc", f"{part}/brier", f"{part}/average_precision"} <= set(metrics)
    assert "baseline_test/auc" in metrics
    assert metrics["test/rows"] > metrics["test/positives"] > 0


def test_settings_are_parameters(run):
    assert run.data.params["model.rounds"] == "20"
    assert run.data.params["dataset.label_maturity_days"] == "45"


def test_plots_and_tables_are_artifacts(client, run):
    plots = {f"{name}.svg" for name in (*FIGURES, "parts")}
    assert names_in(client, run.info.run_id, "plots") == plots
    assert names_in(client, run.info.run_id, "tables") == {f"{name}.csv" for name in TABLES}


def test_tables_hold_what_was_told(client, run, model):
    path = client.download_artifacts(run.info.run_id, "tables/parts.csv")
    assert pd.read_csv(path)["used"].tolist() == model.result.trained.parts["used"].tolist()


def test_a_scoring_run_keeps_its_counts(client, model, scored):
    experiment = client.get_experiment_by_name("kyc_ml scoring")
    runs = client.search_runs([experiment.experiment_id])
    same = [run for run in runs if run.data.tags["as_of"] == scored.as_of.isoformat()
            and run.data.metrics["rows_scored"] == len(scored.frame())]  # fmt: skip
    assert same
    assert same[0].data.tags["bundle_digest"] == model.result.bundle.digest
    metrics = same[0].data.metrics
    tiers = sum(value for name, value in metrics.items() if name.startswith("tier_"))
    assert tiers == metrics["rows_scored"]
