"""Nights in a row, as a scheduler runs them: history, overrides, and what MLflow is told."""

import importlib.util
import json
import os
import stat
import time
from dataclasses import replace
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from kyc_ml.cli.process import Terminated
from kyc_ml.config import check_section
from kyc_ml.contract import digest_together
from kyc_ml.decision import Hysteresis
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import GateError, NotReadyError, OutputError, RegistryError
from kyc_ml.features import find_time_bound
from kyc_ml.model import PROBABILITY
from kyc_ml.monitoring import (
    NightsRecord,
    Playbooks,
    StepRequest,
    run_incident_open,
    run_incident_step,
)
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


def account(folder):
    manifest = read_manifest(folder)
    scores = {name: own for name, own in manifest.files.items() if name.startswith("scores/")}
    return digest_together({**scores, "run id": manifest.run_id})


def test_each_night_goes_on_from_those_before(run):
    days = ("2024-03-20", "2024-03-21", "2024-03-22", "2024-03-23")
    folders = [run(day) for day in days]
    accounts = [account(folder) for folder in folders]
    assert [earlier(folder) for folder in folders] == [
        set(), {accounts[0]}, {accounts[0], accounts[1]}, {accounts[1], accounts[2]}
    ]  # fmt: skip
    last = digest_file(folders[3] / MANIFEST)
    run(days[3])  # again: it is published already
    assert digest_file(folders[3] / MANIFEST) == last
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


# What MLflow knows of nights that did not go well


@pytest.fixture
def alone(make_store, tmp_path, monkeypatch):
    """Work with a store of its own; gives its scoring runs, the oldest first."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", make_store(tmp_path))

    def runs():
        client = mlflow.MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
        experiment = client.get_experiment_by_name("kyc_ml scoring")
        order = ["attributes.start_time ASC"]
        return client.search_runs([experiment.experiment_id], order_by=order) if experiment else []

    return runs


def test_a_refused_night_is_a_failed_run_with_its_reason(night, alone, tmp_path):
    limits = tmp_path / "limits.yaml"
    limits.write_text("quarantined_share: 0.0\n")
    with pytest.raises(GateError):
        night.score(tmp_path / "out" / "2024-03-20" / "m", limits=limits, as_of="2024-03-20")
    with pytest.raises(NotReadyError):
        night.score(tmp_path / "out" / "2024-06-01" / "m", limits=None, as_of="2024-06-01")
    refused, late = alone()
    assert [each.info.status for each in (refused, late)] == ["FAILED", "FAILED"]
    assert refused.info.run_name.endswith(" 2024-03-20")
    tags = refused.data.tags
    assert (tags["exit_code"], tags["limits"].split(", ")[0]) == ("1", "quarantined_share")
    assert "quarantined_share" in tags["reason"]
    assert late.data.tags["exit_code"] == "5"
    assert "stale_hours" in late.data.tags["reason"]


def test_a_night_that_a_signal_ends_is_a_killed_run(night, alone, tmp_path):
    class Ending(ProgressReporter):
        def progress(self, stage, done, total):
            raise Terminated(143)

    with pytest.raises(Terminated):
        night.score(tmp_path / "out" / "2024-03-20" / "m", reporter=Ending(), as_of="2024-03-20")
    [run] = alone()
    assert run.info.status == "KILLED"
    assert "exit_code" not in run.data.tags


def test_nights_that_mlflow_missed_are_made_up_for_with_their_own_times(
    night, alone, tmp_path, monkeypatch
):
    def away(*_, **__):
        msg = "away"
        raise RegistryError(msg)

    out = tmp_path / "out"
    missed = [out / day / "m" for day in ("2024-03-20", "2024-03-21")]
    with monkeypatch.context() as patched:
        patched.setattr("kyc_ml.scoring.recording.log_scoring", away)
        began = time.time()
        for folder in missed:
            assert night.score(folder, as_of=folder.parent.name, since=None).rows
        ended = time.time()
    assert alone() == []
    for folder in missed:
        kept = folder.with_name(".m.unlogged.json")
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        assert "SECRET" not in kept.read_text()
        os.utime(kept, (began - 7200, began - 7200))
    night.score(out / "2024-03-22" / "m", as_of="2024-03-22", since=None)
    runs = alone()
    assert [run.info.run_name[-10:] for run in runs] == ["2024-03-20", "2024-03-21", "2024-03-22"]
    for run in runs[:2]:
        assert began * 1000 - 1 <= run.info.start_time <= run.info.end_time <= ended * 1000
        assert (run.info.status, run.data.metrics["seconds/reading"] > 0) == ("FINISHED", True)
    assert [run.data.tags["run_id"] for run in runs[:2]] == [
        read_manifest(folder).run_id for folder in missed
    ]
    assert not list(out.rglob(".*.unlogged.json"))
    # once more: nothing is logged twice
    night.score(out / "2024-03-22" / "m", as_of="2024-03-22", since=None)
    assert len(alone()) == 3


def test_a_published_night_stands_when_the_extract_has_grown(night, alone, nightly, tmp_path):
    mine = night.copy(tmp_path / "mine")
    line = [
        *("--source", mine.source, "--data", mine.data, "--out", tmp_path / "out"),
        *("--model", mine.model, "--limits", mine.limits, "--as-of", "2024-03-20"),
    ]
    done = CliRunner().invoke(nightly, list(map(str, line)))
    assert done.exit_code == 0, done.output
    [folder] = [path.parent for path in (tmp_path / "out" / "2024-03-20").glob(f"*/{MANIFEST}")]
    before = digest_file(folder / MANIFEST)
    path = mine.data / "transactions.csv"
    late = path.read_text().splitlines()[-1].replace("SECRETTX0399", "SECRETTX0400")
    path.write_text(f"{path.read_text()}{late}\n")
    done = CliRunner().invoke(nightly, list(map(str, line)))
    assert (done.exit_code, digest_file(folder / MANIFEST)) == (0, before)
    warned = [each for each in done.stderr.splitlines() if "warning: " in each]
    assert any(str(folder) in each for each in warned)
    assert "input transactions.csv" in done.stderr
    # another model, or other code, is another run all the same
    done = CliRunner().invoke(nightly, [*map(str, line), "--overrides", str(_book(tmp_path))])
    assert done.exit_code == 2
    with pytest.raises(OutputError, match=r"transactions\.csv"):
        mine.score(
            folder, as_of="2024-03-20", since=None, contributions=False, csv=False, part_rows=32_768
        )


def _book(folder):
    path = folder / "book.yaml"
    path.write_text(yaml.safe_dump({"overrides": []}))
    return path


def test_an_open_incident_holds_a_night_and_lets_the_card_score(night, nightly, tmp_path):
    name = load_bundle(night.model).config.name
    config = yaml.safe_load(night.fallback.read_text()) | {"name": name}
    card = night.fallback.with_name(f"{tmp_path.name}.yaml")
    card.write_text(yaml.safe_dump(config, allow_unicode=True))
    steps = [{"step": each, "action": each} for each in ("hold", "release")]
    steps.append({"step": "card", "action": "rating", "config": str(card)})
    books = check_section(
        {"playbooks": [{"name": "p", "signals": ["*"], "steps": steps}]}, Playbooks, subject="p"
    )
    out, log, day = tmp_path / "out", tmp_path / "audit.jsonl", "2024-03-20"
    facts = {"reason": "r", "who": "li.na", "playbooks": books, "log": log}
    incident = run_incident_open(model=name, playbook="p", **facts).id

    def take(step):
        asked = {"incident": incident, "step": step, "who": "zhao.min"}
        run_incident_step(StepRequest(**asked, out=out, log=log, playbooks=books))

    def start(day):
        options = {
            "source": night.source, "data": night.data, "out": out, "model": night.model,
            "limits": night.limits, "as-of": day, "audit-log": log,
        }  # fmt: skip
        arguments = [str(each) for key, value in options.items() for each in (f"--{key}", value)]
        done = CliRunner().invoke(nightly, arguments)
        return done.exit_code, done.output

    take("hold")
    code, said = start(day)
    assert code == 1
    assert incident in said
    assert not (out / day / name).exists()
    held = out / day / f"{name}.held"
    take("release")
    assert start(day)[0] == 0
    assert read_manifest(out / day / name).files == read_manifest(held).files
    take("card")
    assert start("2024-03-21")[0] == 0
    manifest = read_manifest(out / "2024-03-21" / name)
    assert manifest.scored_by == "rating"
    assert incident in manifest.reason
    nights = NightsRecord.open(out).nights(every_run=True)
    assert sorted(zip(nights["day"], nights["status"], strict=True)) == [
        (day, "held"), (day, "published"), ("2024-03-21", "published")
    ]  # fmt: skip
    card.unlink()
