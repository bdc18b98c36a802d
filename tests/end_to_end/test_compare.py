"""Comparing two models from the command line, on rows that are new to both."""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import yaml

from kyc_ml.config import RunConfig
from kyc_ml.contract import end_of_data, read_tables
from kyc_ml.dataset import make_observations, mature_labels
from kyc_ml.decision import load_run
from kyc_ml.display import ProgressReporter
from kyc_ml.features import Formula
from kyc_ml.registry import load_bundle, save_bundle
from kyc_ml.training.api import train
from kyc_ml.validation.comparison.later_rows import join_specs

TRAINED = "2024-09-10"
SPLITS = {
    "method": "out_of_time", "early_stopping_days": 14, "calibration_days": 21, "test_days": 21,
    "embargo_days": 3, "inner_embargo_days": 1,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Rivals:
    """Two bundles, what compared them, and where its files are."""

    challenger: Path
    champion: Path
    outcome: object
    out: Path

    @property
    def figures(self):
        return json.loads((self.out / "comparison.json").read_text())


def train_bundle(place, tables, name, *, families, **dataset):
    """Train a small model as of a day that leaves later rows, and save it; no registry."""
    content = yaml.safe_load((place.configs / "fraud.yaml").read_text())
    content |= {"name": name, "features": {"families": families}, "splits": SPLITS, "rating": None}
    content["model"].update(n_estimators=12, n_jobs=1)
    content["dataset"].update(label_maturity_days=30, **dataset)
    path = place.configs / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True))
    files = load_run(path)
    data = {"name": "bank", "as_of": TRAINED, "base_currency": tables.base_currency}
    trained = train(
        tables, config=files.run, policy=files.policy, as_of=pd.Timestamp(TRAINED, tz="UTC"),
        data=data,
    )  # fmt: skip
    save_bundle(trained.bundle, place.home / name)
    return place.home / name


def compare(place, challenger, champion, *options):
    return place.run("compare", challenger, champion, *place.source_arguments(), *options)


@pytest.fixture(scope="module")
def tables(place):
    read, _ = read_tables(
        place.source,
        place.data,
        quarantine=place.home / "refused.parquet",
        reporter=ProgressReporter(),
    )
    return read


@pytest.fixture(scope="module")
def rivals(place, tables):
    champion = train_bundle(place, tables, "old", families=["profile"])
    challenger = train_bundle(
        place, tables, "new", families=["profile", "timing"], history_start="2024-02-01"
    )
    out = place.home / "compared"
    done = compare(
        place, challenger, champion, "--capacity", 1, "--capacity", 5, "--loss", 40, "--out", out
    )
    return Rivals(challenger=challenger, champion=champion, outcome=done, out=out)


def test_it_ends_with_a_verdict_and_its_figures(rivals):
    done = rivals.outcome
    assert (done.code, done.crash) == (0, None), done.err
    assert rivals.figures["sentence"].split(":")[0] in done.out
    for word in ("DeLong", "observed", "tier", "5 a", "pays"):
        assert word in done.out
    assert "customers" in done.err


def test_the_rows_are_those_that_are_mature_and_new_to_both(rivals, tables):
    figures = rivals.figures
    assert figures["since"] == pd.Timestamp(TRAINED, tz="UTC").isoformat()
    as_of = end_of_data(tables)
    until = as_of - pd.Timedelta(days=30)
    assert (figures["as_of"], figures["until"]) == (as_of.isoformat(), until.isoformat())
    config = load_bundle(rivals.champion).config
    start = pd.Timestamp(TRAINED, tz="UTC")
    rows = {}
    for end in (as_of, until):
        found = make_observations(tables, unit="fraud", start=start, end=end, config=config.dataset)
        rows[end] = mature_labels(tables, found, unit="fraud", as_of=as_of, config=config.dataset)
    assert figures["rows"] == rows[as_of].status.size
    assert figures["judged"] == rows[until].usable.sum()
    assert figures["positives"] == (rows[until].target == 1).sum()


def test_a_files_probabilities_are_those_that_score_gives(place, rivals, tmp_path):
    moved = pd.read_parquet(rivals.out / "moved.parquet").set_index("observation_id")
    assert len(moved) == sum(
        line["rows"] for line in rivals.figures["tiers"]
        if line["champion_tier"] != line["challenger_tier"]
    )  # fmt: skip
    for who, folder in (("challenger", rivals.challenger), ("champion", rivals.champion)):
        scores = tmp_path / who
        done = place.run(
            "score", "--model", folder, *place.source_arguments(), "--since", TRAINED,
            "--out", scores,
        )  # fmt: skip
        assert done.code == 0, done.err
        found = pd.read_parquet(scores / "scores").set_index("observation_id")
        shared = moved.index.intersection(found.index)
        assert len(shared) > 0.9 * len(moved) > 0  # a late one is scored in another night
        both = found.loc[shared], moved.loc[shared]
        assert (both[0]["probability"] == both[1][f"{who}_probability"]).all()
        assert (both[0]["tier"] == both[1][f"{who}_tier"]).all()


def test_mlflow_keeps_figures_and_pictures_but_no_customer(place, rivals):
    client = mlflow.MlflowClient(place.store)
    experiment = client.get_experiment_by_name("kyc_ml new")
    runs = client.search_runs([experiment.experiment_id])
    (run,) = [run for run in runs if run.data.params.get("capacities") == "[1.0, 5.0]"]
    assert run.info.run_name.split() == ["compare", "new"]
    assert run.data.tags["job"] == "compare"
    assert run.data.tags["verdict"] == rivals.figures["verdict"]
    by = {line["figure"]: line for line in reversed(rivals.figures["metrics"])}
    for name in ("auc", "average_precision", "recall_at_5_a_day"):
        for who in ("champion", "challenger", "difference"):
            assert run.data.metrics[f"{who}/later/{name}"] == pytest.approx(by[name][who])
        for end in ("low", "high"):
            logged = run.data.metrics[f"difference/later/{name}_{end}"]
            assert logged == pytest.approx(by[name][end])
    kept = {
        file.path for folder in ("plots", "tables")
        for file in client.list_artifacts(run.info.run_id, folder)
    }  # fmt: skip
    assert {"plots/reliability.svg", "plots/tier_moves.svg", "tables/metrics.csv"} <= kept
    assert "tables/moved.csv" not in kept


def test_a_model_beside_itself_is_refused_before_any_data_is_read(place, rivals, tmp_path):
    copy = shutil.copytree(rivals.champion, tmp_path / "copy")
    done = compare(place, copy, rivals.champion, "--out", tmp_path / "out")
    assert (done.code, done.crash) == (2, None), done.err
    assert "bundle" in done.err
    assert "reading" not in done.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("model", ["fraud/2", "fraud@champion"])
def test_an_address_without_its_beginning_is_recognised(place, rivals, model):
    done = compare(place, model, rivals.champion)
    assert done.code == 2
    assert f" models:/{model}?" in done.err


def test_an_objective_of_the_users_own(place, rivals, tmp_path):
    done = compare(
        place, rivals.challenger, rivals.champion, "--objective", "recall_at_capacity",
        "--capacity", 2.5, "--since", "2024-10-01T00:00Z", "--quiet",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.is_summary_alone
    assert re.search(r"recall.*2\.5", done.out)
    assert "decided 2024-10-01" in done.out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--since", "2024-09-09"), "--since"),
        (("--since", "soon"), "--since"),
        (("--as-of", "2024-10-05"), "2024-10-10 08:00"),
        (("--as-of", "2030-01-01"), "2030-01-01"),
        (("--capacity", "0"), "capacities"),
        (("--review-cost", "-1", "--loss", "nan"), "2 faults"),
        (("--objective", "beauty"), "objective"),
    ],
)
def test_bad_options_are_one_message(place, rivals, options, told):
    done = compare(place, rivals.challenger, rivals.champion, *options)
    assert (done.code, done.crash) == (2, None)
    assert told in done.err
    assert done.err.lower().count("error: ") == 1
    assert "Traceback" not in done.err


def test_a_model_of_other_outcomes_is_refused(place, rivals, tmp_path):
    bundle = load_bundle(rivals.champion)
    content = bundle.config.model_dump(mode="json")
    content["dataset"]["adverse_outcomes"] = ["default"]
    other = RunConfig.model_validate(content)
    object.__setattr__(bundle, "config", other)
    save_bundle(bundle, tmp_path / "other")
    done = compare(place, tmp_path / "other", rivals.champion)
    assert done.code == 2
    assert re.search(r"dataset\.adverse_outcomes.*confirmed_fraud", done.err)


def test_a_source_of_another_currency_is_refused(place, rivals, tmp_path):
    shutil.copytree(place.configs / "sources", tmp_path / "sources")
    source = tmp_path / "sources" / "synthetic.yaml"
    source.write_text(source.read_text().replace("base_currency: CNY", "base_currency: EUR"))
    done = place.run(
        "compare", rivals.challenger, rivals.champion, *place.source_arguments(source=source)
    )
    assert done.code == 2
    assert re.search("base_currency.*EUR.*CNY", done.err)


def test_a_place_that_cannot_be_written_is_refused_before_any_work(place, rivals):
    done = compare(place, rivals.challenger, rivals.champion, "--out", place.source / "out")
    assert done.code == 2
    assert "written" in done.err
    assert "reading" not in done.err


def test_contradicting_declarations_are_computed_for_each(rivals):
    """Merge what agrees; what is hidden in one model and shown in the other is shown."""
    one, other = (load_bundle(folder).specs for folder in (rivals.challenger, rivals.champion))
    merged = join_specs(one, other)
    names = {spec.name for spec in (*one, *other)}
    assert {spec.name for spec in merged} == names
    shown = {spec.name for spec in (*one, *other) if not spec.intermediate}
    assert {spec.name for spec in merged if not spec.intermediate} == shown
    place, spec = next(
        (place, spec) for place, spec in enumerate(other) if not isinstance(spec.how, Formula)
    )
    object.__setattr__(spec, "description", "something else")
    changed = (*other[:place], spec, *other[place + 1 :])
    assert join_specs(load_bundle(rivals.champion).specs, changed) is None
