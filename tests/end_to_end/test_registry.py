"""What MLflow keeps of a training run, as a second user finds it."""

import json
from importlib.metadata import version

import mlflow
import pandas as pd
import pytest

from kyc_ml.config import PARTS, TEST, TRAIN
from kyc_ml.contract import digest_together
from kyc_ml.registry import current_account, digest_code
from kyc_ml.registry.tracking.server import start_run

FIGURES = {
    "roc",
    "precision_recall",
    "reliability",
    "score_distribution",
    "tiers",
    "importance",
    "beeswarm",
}
RECORD = {
    "environment.json",
    "facts.json",
    "features.json",
    "manifest.json",
    "rating.yaml",
    "run.yaml",
    "source.yaml",
    "tiers.yaml",
}
TABLES = {
    "quality",
    "added_value",
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
    assert tags["kyc_ml.trained_by"] == current_account()
    assert tags["code_version"] == version("kyc-ml")
    assert tags["code_digest"] == digest_code()
    assert tags["data_digest"] == digest_together(bundle.data["files"])
    assert "transactions.parquet" in bundle.data["files"]
    assert {"unit", "as_of", "source", "policy", "config_digest"} <= set(tags)


def test_the_model_says_what_it_is_for_and_the_version_how_good_it_is(client, model):
    assert "probability" in (client.get_registered_model("fraud").description)
    told = client.get_model_version("fraud", "1").description
    assert len(told) <= 5_000
    assert told.startswith(model.result.card.headline)
    assert f"kyc-ml reproduce {model.result.registered.run_id} " in told


def test_the_model_card_is_an_artifact(client, run, model):
    path = client.download_artifacts(run.info.run_id, "model_card.md")
    with open(path, encoding="utf-8") as handle:  # noqa: PTH123  MLflow gives a text
        assert handle.read() == model.result.card.render(run.info.run_id)


def test_every_part_has_its_figures(run):
    metrics = run.data.metrics
    for part in PARTS:
        assert {f"{part}/auc", f"{part}/brier", f"{part}/average_precision"} <= set(metrics)
    assert {"baseline/test/auc", "rating/test/auc", "train/trees"} <= set(metrics)
    assert metrics["seconds/training"] > 0
    assert metrics["test/rows"] > metrics["test/positives"] > 0


def test_the_figures_that_decide_come_first(client, run, model):
    shown = list(run.data.metrics)
    assert shown[:3] == [
        "test/average_precision", "baseline/test/average_precision", "rating/test/average_precision"
    ]  # fmt: skip
    assert run.data.tags["mlflow.note.content"] == model.result.card.headline
    tags = client.get_experiment(run.info.experiment_id).tags
    assert tags["mlflow.experiment.primaryMetric.name"] == shown[0]
    assert tags["mlflow.experimentKind"] == "custom_model_development"


def test_parts_are_datasets_with_digest_schema_and_counts(run, model):
    logged = {
        {tag.key: tag.value for tag in each.tags}["mlflow.data.context"]: each.dataset
        for each in run.inputs.dataset_inputs
    }
    assert set(logged) == {"training", "early_stopping", "calibration", "test"}
    assert len({dataset.digest for dataset in logged.values()}) == len(logged)
    parts = model.result.trained.parts.set_index("part")
    for context, part in (("training", TRAIN), ("test", TEST)):
        dataset = logged[context]
        assert dataset.name == f"synthetic {part}"
        assert json.loads(dataset.profile) == {
            "num_rows": parts.loc[part, "used"], "num_positives": parts.loc[part, "positives"],
        }  # fmt: skip
        columns = json.loads(dataset.schema)["mlflow_colspec"]
        assert [each["name"] for each in columns] == list(model.result.bundle.model.feature_names)


def test_the_record_holds_all_but_the_data_and_no_path_of_this_machine(client, run, place, model):
    assert names_in(client, run.info.run_id, "record") == RECORD
    folder = place.home / "mlruns"
    texts = [path.read_text() for path in folder.rglob(f"*{run.info.run_id}/artifacts/record/*")]
    assert len(texts) == len(RECORD)
    assert not [text for text in texts if str(place.home) in text]
    facts = json.loads(next(text for text in texts if '"command"' in text))
    assert facts["files"] == model.result.bundle.data["files"]
    assert facts["command"] == (
        "kyc-ml train --config fraud.yaml --source synthetic.yaml --data bank"
    )


def test_settings_are_parameters(run):
    assert run.data.params["model.n_estimators"] == "20"
    assert run.data.params["dataset.label_maturity_days"] == "45"


def test_plots_and_tables_are_artifacts(client, run):
    plots = {f"{name}.svg" for name in (*FIGURES, "parts")}
    assert names_in(client, run.info.run_id, "plots") == plots
    assert names_in(client, run.info.run_id, "tables") == {f"{name}.csv" for name in TABLES}


def test_tables_hold_what_was_told(client, run, model):
    path = client.download_artifacts(run.info.run_id, "tables/parts.csv")
    assert pd.read_csv(path)["used"].tolist() == model.result.trained.parts["used"].tolist()


@pytest.mark.parametrize("name", ["kyc_ml fraud", "kyc_ml scoring"])
def test_a_saved_view_shows_figures_that_runs_have(client, model, scored, name):
    experiment = client.get_experiment_by_name(name)
    kept = json.loads(experiment.tags["mlflow.sharedViewState.kyc_ml"])
    columns = json.loads(kept["state"])["selectedColumns"]
    runs = client.search_runs([experiment.experiment_id])
    done = [run.data for run in runs if run.data.tags.get("job") in {"train", "score"}]
    known = {f"metrics.`{each}`" for data in done for each in data.metrics}
    known |= {f"tags.`{each}`" for data in done for each in data.tags}
    assert set(columns) - {"attributes.`Created`"} <= known
    if name == "kyc_ml fraud":
        page = f"/#/experiments/{experiment.experiment_id}/runs?viewStateShareKey=kyc_ml"
        assert model.result.registered.runs.endswith(page)


def test_a_saved_view_that_a_person_changed_stays(client, model, own_store, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", own_store)
    mlflow.set_tracking_uri(own_store)
    own = mlflow.MlflowClient()
    experiment = own.get_experiment_by_name("kyc_ml fraud").experiment_id
    own.set_experiment_tag(experiment, "mlflow.sharedViewState.kyc_ml", "mine")
    with start_run("kyc_ml fraud", "another"):
        pass
    assert own.get_experiment(experiment).tags["mlflow.sharedViewState.kyc_ml"] == "mine"


def test_a_scoring_run_keeps_its_counts(client, model, scored):
    experiment = client.get_experiment_by_name("kyc_ml scoring")
    runs = client.search_runs([experiment.experiment_id])
    wanted = {"as_of": scored.as_of.isoformat(), "bundle_digest": model.result.bundle.digest}
    same = [run for run in runs if wanted.items() <= run.data.tags.items()
            and run.data.metrics.get("rows/scored") == len(scored.frame())]  # fmt: skip
    assert same
    metrics = same[0].data.metrics
    tiers = sum(value for name, value in metrics.items() if name.startswith("tier/"))
    assert tiers == metrics["rows/scored"]
