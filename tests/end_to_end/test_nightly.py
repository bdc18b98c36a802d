"""Nights in a row, as a scheduler runs them: history, overrides, and what MLflow is told."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from kyc_ml.decision import Hysteresis
from kyc_ml.features import find_time_bound
from kyc_ml.model import PROBABILITY
from kyc_ml.registry import load_bundle, save_bundle
from kyc_ml.scoring.manifest import read_manifest, score_files
from kyc_ml.storage import MANIFEST, digest_file

pytestmark = pytest.mark.usefixtures("in_store")

NIGHTLY = Path(__file__).parents[2] / "pipelines" / "nightly.py"
ORDER = {
    "code": "court_order", "tier": "high", "reason": "order of a court", "source": "court",
    "start": "2024-01-01", "expiry": "2024-12-31", "requester": "lin.hua", "approver": "zhao.min",
    "approved_on": "2024-01-01",
}  # fmt: skip


@pytest.fixture(scope="module")
def nightly():
    """The script's own command."""
    spec = importlib.util.spec_from_file_location("nightly_end_to_end", NIGHTLY)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.app


@pytest.fixture
def run(night, nightly, tmp_path):
    """Run nights with a model whose policy holds tiers up; gives the published folder."""
    bundle = load_bundle(night.model)
    held = {"hysteresis": Hysteresis(margin=0.9, cool_down_days=2)}
    policy = bundle.policy.model_copy(update=held)
    save_bundle(replace(bundle, policy=policy), tmp_path / "model")
    out = tmp_path / "out"

    def start(day, *options):
        done = CliRunner().invoke(
            nightly,
            [
                *("--source", str(night.source), "--data", str(night.data), "--out", str(out)),
                *("--model", str(tmp_path / "model"), "--limits", str(night.limits)),
                *("--as-of", day, *map(str, options)),
            ],
        )
        assert done.exit_code == 0, done.output
        return out / day / bundle.config.name

    return start


def earlier(folder):
    return {
        digest
        for name, digest in read_manifest(folder).identity.items()
        if name.startswith("previous")
    }


def test_each_night_goes_on_from_those_before(run):
    days = ("2024-03-20", "2024-03-21", "2024-03-22", "2024-03-23")
    folders = [run(day) for day in days]
    accounts = [digest_file(folder / MANIFEST) for folder in folders]
    assert [earlier(folder) for folder in folders] == [
        set(), {accounts[0]}, {accounts[0], accounts[1]}, {accounts[1], accounts[2]}
    ]  # fmt: skip
    run(days[3])  # again: it is published already
    assert digest_file(folders[3] / MANIFEST) == accounts[3]
    assert earlier(run("2024-03-24", "--no-previous")) == set()


def test_overrides_are_applied_and_drift_is_drawn(run, tmp_path):
    book = tmp_path / "overrides.yaml"
    entries = [{**ORDER, "customer_id": f"SECRETCLIENT{number}"} for number in range(20)]
    book.write_text(yaml.safe_dump({"overrides": entries}))
    folder = run("2024-03-21", "--overrides", book)
    scores = pd.concat([pd.read_parquet(path) for path in score_files(folder)])
    assert set(scores["tier"]) == {"high"}
    assert set(scores["override_code"]) == {"court_order"}
    table = read_manifest(folder).drift.set_index("column")
    specs = load_bundle(tmp_path / "model").specs
    excused = find_time_bound(specs)
    assert table["not_counted"].to_dict() == {name: excused.get(name, "") for name in table.index}
    assert {"clock of the decision", "all history"} <= set(table["not_counted"])
    features = table.drop(PROBABILITY)[lambda part: part["not_counted"] == ""]
    [logged] = mlflow.MlflowClient().search_runs(
        [mlflow.get_experiment_by_name("kyc_ml scoring").experiment_id],
        filter_string=f"tags.out = '{folder}'",  # tells a rehearsal of this night from it
    )
    assert logged.data.metrics["drift/score_psi"] == table.loc[PROBABILITY, "psi"]
    assert logged.data.metrics["drift/highest_feature_psi"] == features["psi"].max()
    assert logged.data.metrics["drift/features_drifted"] == features["drifted"].sum()
    assert logged.data.tags["run_id"] == read_manifest(folder).run_id


def test_every_line_of_a_log_says_which_day_and_whose_it_is(night, nightly, tmp_path):
    bundle = load_bundle(night.model)
    other = replace(bundle, config=bundle.config.model_copy(update={"name": "other"}))
    save_bundle(other, tmp_path / "other")
    labels = [f"{each} {load_bundle(folder).digest[:12]}" for each, folder in (
        (bundle.config.name, night.model), ("other", tmp_path / "other")
    )]  # fmt: skip
    line = [
        *("--source", night.source, "--data", night.data, "--out", tmp_path / "out"),
        *("--limits", night.limits, "--as-of", "2024-03-20", "--log", "json"),
        *("--model", night.model, "--model", tmp_path / "other"),
    ]
    for event in ("step", "note"):  # the second start finds all published
        done = CliRunner().invoke(nightly, list(map(str, line)))
        assert done.exit_code == 0, done.output
        logged = [json.loads(each) for each in done.stderr.splitlines()]
        assert {each["as_of"] for each in logged} == {"2024-03-20T00:00:00+00:00"}
        whose = [each.get("model") for each in logged]
        shared = whose.count(None)
        assert set(whose[:shared]) <= {None}  # the tables are read once, for both
        assert list(dict.fromkeys(whose[shared:])) == labels
        for label in labels:
            events = [each["event"] for each in logged if each.get("model") == label]
            assert events[-1] == "summary"
            assert event in events


def test_a_log_says_its_day_once_the_data_has_told_it(place, night, tmp_path):
    done = place.run(
        "score", "--model", night.model, "--source", night.source, "--data", night.data,
        "--out", tmp_path / "scored", "--limits", night.limits, "--log", "json",
    )  # fmt: skip
    assert done.code == 0, done.err
    logged = [json.loads(each) for each in done.err.splitlines()]
    days = [each.get("as_of") for each in logged]
    as_of = read_manifest(tmp_path / "scored").as_of
    unknown = days.count(None)
    assert days == [None] * unknown + [as_of] * (len(days) - unknown)
    assert {each.get("stage", "") for each in logged[:unknown]} <= {"reading", ""}
    assert {each["model"] for each in logged} == {
        read_manifest(tmp_path / "scored").identity["model"]
    }
