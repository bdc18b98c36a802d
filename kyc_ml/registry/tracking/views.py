"""Saved views of MLflow's list of runs: the columns by which runs compare at a glance.

MLflow keeps a saved view as a tag of the experiment, and lists it below "Views"; its own page
shows no metric until columns are chosen. What MLflow does not understand it passes over.
Format: the page of MLflow 3.17, tag ``mlflow.sharedViewState.ID``, read with a browser.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

ID: Final = "kyc_ml"
_TAG: Final = f"mlflow.sharedViewState.{ID}"
_LOCAL: Final = "http://127.0.0.1:5000"
"""Where ``mlflow ui`` serves a store that is a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Columns to show in addition to the name and age of a run.

    `name` is what MLflow's menu shows.
    """

    name: str
    metrics: tuple[str, ...]
    tags: tuple[str, ...]

    def as_tags(self) -> Mapping[str, str]:
        """Return the experiment's tag that holds the view."""
        columns = [
            "attributes.`Created`",
            *(f"metrics.`{name}`" for name in self.metrics),
            *(f"tags.`{name}`" for name in self.tags),
        ]
        state = {
            "orderByKey": "attributes.start_time",
            "orderByAsc": False,
            "selectedColumns": columns,
        }
        now = time.time_ns() // 1_000_000
        view = {"name": self.name, "createdAt": now, "updatedAt": now, "state": json.dumps(state)}
        return {_TAG: json.dumps(view)}


MODELS: Final = View(
    name="Quality on the test part",
    metrics=(
        "test/average_precision",
        "baseline/test/average_precision",
        "test/auc",
        "test/observed_over_expected",
        "test/positives",
    ),
    tags=("job", "as_of", "source"),
)
NIGHTS: Final = View(
    name="Night after night",
    metrics=("rows/scored", "rows/quarantined", "drift/score_psi", "drift/features_drifted"),
    tags=("as_of", "model", "scored_by"),
)


def say_page(store: str, experiment_id: str) -> str:
    """Name the page that compares the runs of an experiment, in their saved view.

    `store`: the tracking server's address; one that no browser opens is served by ``mlflow ui``.

    Examples
    --------
    >>> say_page("https://mlflow.example", "1")
    'https://mlflow.example/#/experiments/1/runs?viewStateShareKey=kyc_ml'
    >>> say_page("sqlite:///mlflow.db", "1")
    'mlflow ui, then http://127.0.0.1:5000/#/experiments/1/runs?viewStateShareKey=kyc_ml'
    """
    page = f"/#/experiments/{experiment_id}/runs?viewStateShareKey={ID}"
    if store.startswith(("http://", "https://")):
        return f"{store.rstrip('/')}{page}"
    return f"mlflow ui, then {_LOCAL}{page}"
