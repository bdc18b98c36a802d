"""A validation in MLflow: a separate run, and tags on the version that was validated."""

from pathlib import Path

import mlflow

from kyc_ml.registry.tracking.runs import RunRecord, log_record
from kyc_ml.registry.tracking.server import connected, experiment_of, start_run

VERDICT = "kyc_ml.validation_verdict"
REPORT = "kyc_ml.validation_report"
RUN = "kyc_ml.validation_run"
IN_PART = "in part"
"""Verdict of a report of some checks only: it says nothing of the model."""
_FOLDER = "validation"


def log_validation(
    name: str, version: str, record: RunRecord, folder: Path, *, verdict: str, report: str
) -> str:
    """Log a validation with its whole folder; returns the run's id.

    `version`: the registered version, which gets the tags; '' for a bundle's folder.
    `folder`: its report, page and tables are logged below ``validation/``.
    `verdict`, `report`: tags of the version: the verdict and the SHA-256 of report.json. Both ''
    leave the version as it is, as for a report of some checks only.
    Raises RegistryError if the tracking server cannot be reached or refuses.
    """
    model = f"{name} v{version}" if version else name
    title = f"validate {model}" if verdict else f"validate {model} {IN_PART}"
    with connected(), start_run(experiment_of(name), title, began=record.began) as run:
        log_record(record)
        for path in sorted(folder.glob("report.*")):
            mlflow.log_artifact(str(path), _FOLDER)
        for tables in sorted(path for path in folder.iterdir() if path.is_dir()):
            mlflow.log_artifacts(str(tables), f"{_FOLDER}/{tables.name}")
        if version and verdict:
            client = mlflow.MlflowClient()
            tags = {VERDICT: verdict, REPORT: report, RUN: run.info.run_id}
            for key, value in tags.items():
                client.set_model_version_tag(name, version, key, value)
    return str(run.info.run_id)


def fetch_report(name: str, version: str, into: Path) -> Path | None:
    """Bring the report.json of a version's last complete validation to a local folder.

    None where there is no such version, or it was not validated.

    Raises RegistryError if the server cannot be reached, or its run is gone.
    """
    with connected(uri=f"models:/{name}/{version}"):
        client = mlflow.MlflowClient()
        quoted = name.replace("'", "''")
        found = client.search_model_versions(f"name = '{quoted}' and version_number = {version}")
        run = found[0].tags.get(RUN) if found else None
        if run is None:
            return None
        return Path(client.download_artifacts(run, f"{_FOLDER}/report.json", str(into)))
