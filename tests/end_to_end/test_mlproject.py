"""The project runs under MLflow too, from a copy of its folder."""

import os
import shutil
import sys
from pathlib import Path

import mlflow
import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_mlflow_runs_the_training_and_keeps_it_in_its_own_run(place, make_store, tmp_path, capfd):
    project, store = tmp_path / "project", make_store(tmp_path)
    project.mkdir()
    shutil.copy(ROOT / "MLproject", project)
    shutil.copytree(place.configs, project / "configs")
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with place.entered(project, MLFLOW_TRACKING_URI=store, PATH=programs):
        os.environ.pop("MLFLOW_EXPERIMENT_ID", None)
        mlflow.set_tracking_uri(store)
        done = mlflow.projects.run(
            ".",
            entry_point="train",
            parameters={"data": str(place.data)},
            env_manager="local",
            experiment_name="kyc_ml fraud",  # as the README says: that of kyc-ml train
        )
    assert done.get_status() == "FINISHED"
    told = capfd.readouterr().out
    assert "models:/fraud/1" in told
    assert "viewStateShareKey" in told
    client = mlflow.MlflowClient(store)
    version = client.get_model_version("fraud", "1")
    assert version.run_id == done.run_id
    run = client.get_run(done.run_id)
    assert run.data.params["config"].endswith("configs/fraud.yaml")
    assert "test/auc" in run.data.metrics
