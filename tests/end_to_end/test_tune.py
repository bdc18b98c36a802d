"""Tuning from the command line: a study, its parameters as YAML, and a training with them."""

import re
from dataclasses import replace

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml

from kyc_ml.config import EARLY_STOPPING, SEARCHED, ModelConfig, RunConfig, load_section
from kyc_ml.contract import end_of_data, read_tables
from kyc_ml.dataset import plan_out_of_time
from kyc_ml.display import ProgressReporter
from kyc_ml.registry import load_bundle
from kyc_ml.training.tuning.rows import prepare_rows

TUNING = {"folds": {"method": "prequential", "folds": 2, "test_days": 21}, "trials": 3}
FEATURES = {"families": ["velocity", "amounts"]}


@pytest.fixture(scope="module")
def config(place):
    content = yaml.safe_load((place.configs / "fraud.yaml").read_text())
    content |= {"name": "tuned", "features": FEATURES, "tuning": TUNING}
    content["model"].update(n_estimators=12, n_jobs=1)
    path = place.configs / "tune.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True))
    return path


@pytest.fixture(scope="module")
def tuned(place, config):
    out = place.configs / "tuned_model.yaml"
    return place.run("tune", "--config", config, *place.source_arguments(), "--out", out), out


@pytest.fixture(scope="module")
def tables(place):
    read, _ = read_tables(
        place.source,
        place.data,
        quarantine=place.home / "refused.parquet",
        reporter=ProgressReporter(),
    )
    return read


def test_it_says_whether_the_chosen_beat_the_own(tuned):
    done, _ = tuned
    assert (done.code, done.crash) == (0, None), done.err
    assert ("tuned" in done.out) or ("kept" in done.out)
    assert "precision" in done.out
    assert "trials: done (3)" in done.err


def test_the_parameters_are_a_model_section_that_train_includes(place, config, tuned, tmp_path):
    _, out = tuned
    chosen = load_section(out, ModelConfig)
    # a share of rows that were left out is written only where some were
    written = set(ModelConfig.model_fields) - {"negatives_kept"}
    assert set(yaml.safe_load(out.read_text())) == written
    content = yaml.safe_load(config.read_text())
    del content["model"]
    text = yaml.safe_dump(content, allow_unicode=True) + f"model: !include {out.name}\n"
    path = place.configs / "with_tuned.yaml"
    path.write_text(text)
    kept = tmp_path / "bundle"
    done = place.run("train", "--config", path, *place.source_arguments(), "--keep", kept)
    assert (done.code, done.crash) == (0, None), done.err
    trained = load_bundle(kept).config.model
    assert {n: getattr(trained, n) for n in SEARCHED} == {n: getattr(chosen, n) for n in SEARCHED}


def test_mlflow_keeps_each_trial_inside_the_study(place, tuned):
    client = mlflow.MlflowClient(place.store)
    experiment = client.get_experiment_by_name("kyc_ml tuned")
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if run.data.metrics.get("trials") == 3]
    children = [
        run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id
    ]
    assert {run.info.run_name for run in children} == {"trial 0", "trial 1", "trial 2"}
    for run in children:
        assert set(run.data.params) == {f"model.{name}" for name in SEARCHED}
        assert run.data.tags["state"] in {"complete", "pruned"}
        history = client.get_metric_history(run.info.run_id, "fold/average_precision")
        assert [metric.step for metric in history] == [1, 2]
    assert parent.data.metrics["trials"] == 3
    judged = {f"{who}/test/average_precision" for who in ("own", "chosen", "difference")}
    judged |= {"difference/test/average_precision_low"}
    kept = "kept" in tuned[0].out
    assert judged & set(parent.data.metrics) == (set() if kept else judged)


def test_it_resumes_and_refuses_other_settings(place, config, tuned, tmp_path):
    study = tuned[1].with_suffix(".db")
    arguments = (*place.source_arguments(), "--study", study, "--out", tmp_path / "m.yaml")
    again = place.run("tune", "--config", config, *arguments, "--trials", 4)
    assert (again.code, again.crash) == (0, None), again.err
    assert re.search("4.* 3 ", again.out)
    # a table of differences is there if, and only if, there is something to compare
    assert ("choice" in again.out) != ("kept" in again.out)
    quiet = place.run("tune", "--config", config, *arguments, "--trials", 4, "--quiet")
    assert quiet.is_summary_alone
    assert "verdict" in quiet.out
    content = yaml.safe_load(config.read_text())
    content["tuning"]["objective"] = "log_loss"
    other = place.configs / "tune_other.yaml"
    other.write_text(yaml.safe_dump(content, allow_unicode=True))
    refused = place.run("tune", "--config", other, *arguments)
    assert refused.code == 2
    assert "--study" in refused.err


def test_with_customer_folds_inner_folds_choose_and_outer_folds_judge(place, config, tmp_path):
    content = yaml.safe_load(config.read_text())
    content["splits"] = {"method": "customer_folds", "folds": 2}
    content["tuning"] |= {"folds": {"method": "prequential", "folds": 2}}
    path = place.configs / "tune_folds.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True))
    asked = ("--trials", 2, "--out", tmp_path / "m.yaml")
    done = place.run("tune", "--config", path, *place.source_arguments(), *asked)
    assert done.code == 0
    written = (tmp_path / "m.yaml").read_text()
    assert "outer" in written or "kept" in written
    assert yaml.safe_load(written)["n_estimators"] == content["model"]["n_estimators"]


def silent(stage, done, total):
    """Listen to nothing."""


def test_folds_end_before_calibration_and_read_no_later_label(tables, config):
    run = load_section(config, RunConfig)
    as_of = end_of_data(tables)
    plan = plan_out_of_time(as_of=as_of, splits=run.splits, dataset=run.dataset)
    rows = prepare_rows(tables, config=run, as_of=as_of, tell=silent)
    assert rows.summary["end"].max() == plan.parts[EARLY_STOPPING][1]
    assert rows.summary["labels_read"].max() <= plan.development_cutoff
    for number, fold in rows.summary.groupby("fold"):
        spans = fold.set_index("part")
        assert spans.loc["fit", "end"] < spans.loc["stop", "start"]
        assert spans.loc["fit", "labels_read"] <= spans.loc["test", "start"]
        assert spans.loc["test", "labels_read"] >= spans.loc["test", "end"]
        assert not set(rows.folds[number - 1].test.rows) & set(rows.final.test.rows)


def test_a_case_known_after_a_cut_off_changes_nothing_before_it(tables, config):
    """Change what became known after the last training cut-off: every fold fits the same."""
    run = load_section(config, RunConfig)
    as_of = end_of_data(tables)
    full = prepare_rows(tables, config=run, as_of=as_of, tell=silent)
    spans = full.summary.set_index(["fold", "part"])
    cutoff = spans.loc[(2, "fit"), "labels_read"]
    cases = tables.tables["cases"]
    known = pd.DatetimeIndex(cases["known_at"].to_pandas())
    assert (known > cutoff).any()
    # changing what is learnt later must not reach the training of a fold, but does reach tests
    outcome = cases["outcome"].to_pandas().astype(object).to_numpy().copy()
    outcome[(known > cutoff) & (np.arange(outcome.size) % 2 == 0)] = "cleared"
    column = cases.column_names.index("outcome")
    changed = cases.set_column(column, cases.schema.field("outcome"), [list(outcome)])
    other = prepare_rows(_with_cases(tables, changed), config=run, as_of=as_of, tell=silent)
    for before, after in zip(full.folds, other.folds, strict=True):
        ids = [_ids(table, part) for table, part in ((full, before.fit), (other, after.fit))]
        assert ids[0] == ids[1]
        np.testing.assert_array_equal(before.fit.target, after.fit.target)
        np.testing.assert_array_equal(before.stop.target, after.stop.target)
    before, after = full.folds[-1].test.target, other.folds[-1].test.target
    assert after.sum() < before.sum()


def _ids(rows, part):
    return rows.features.keys["observation_id"].to_pandas().iloc[part.rows].tolist()


def _with_cases(tables, cases):
    return replace(tables, tables={**tables.tables, "cases": cases})
