"""Models cross-validated by customer: what out-of-fold rows are, and all that they serve."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

import kyc_ml
from kyc_ml.config import RunConfig
from kyc_ml.errors import ConfigError, DatasetError, LeakageError
from kyc_ml.features import DECISION_TIME
from kyc_ml.metrics import FrozenBins
from kyc_ml.model import PROBABILITY, calibrate_by_fold, choose_rounds, fit_fixed
from kyc_ml.model.booster import _dataset, _parameters
from kyc_ml.registry import OUT_OF_FOLD
from kyc_ml.training import FOLDS, list_fold_rows, out_of_fold, predict_again
from kyc_ml.training import tier_fitting as tiering
from kyc_ml.training.out_of_fold import fit_whole, predict_out_of_fold, split_customers
from kyc_ml.training.tiers_job import write_proposal
from kyc_ml.validation import CHECKS
from kyc_ml.validation.run.out_of_fold import NOT_APPLICABLE, OF_THE_MODEL

CONFIGS = Path(__file__).parents[2] / "configs"
AS_OF = pd.Timestamp("2024-09-15", tz="UTC")
MODEL = "LightGBM"


def silent(stage, done, total):
    """Listen to nothing."""


# --- the folds, on a matrix ------------------------------------------------------------


@pytest.fixture(scope="module")
def run(small):
    """Configure three folds of the small model."""

    def make(*, folds=3, model=None, **splits):
        content = kyc_ml.load_section(CONFIGS / "fraud.yaml", RunConfig).model_dump(by_alias=True)
        content["splits"] = {"method": "customer_folds", "folds": folds, **splits}
        content["model"] = {**small.quick.model_dump(), **(model or {})}
        content["calibration"] |= {"segment": None}
        return RunConfig.model_validate(content)

    return make


@pytest.fixture(scope="module")
def customers():
    return np.array([f"c{row % 120}" for row in range(600)], dtype=object)


@given(
    owner=st.lists(st.integers(0, 12), min_size=30, max_size=80),
    seed=st.integers(0, 5),
    folds=st.integers(2, 4),
)
def test_all_rows_of_a_customer_are_in_one_fold(owner, seed, folds):
    names = np.array([f"c{each}" for each in owner], dtype=object)
    target = np.arange(names.size) % 2 * 1.0
    if pd.unique(names).size < folds:
        with pytest.raises(DatasetError, match="customers"):
            split_customers(target, names, folds=folds, seed=seed)
        return
    fold = split_customers(target, names, folds=folds, seed=seed)
    assert fold.min() >= 0
    assert fold.max() < folds
    assert pd.DataFrame({"c": names, "f": fold}).groupby("c")["f"].nunique().max() == 1


def test_a_row_is_predicted_by_what_other_folds_hold_alone(small, run, customers, monkeypatch):
    fold = split_customers(small.target, customers, folds=3, seed=0)
    monkeypatch.setattr(out_of_fold, "split_customers", lambda *_, **__: fold)

    def predict(target, matrix):
        found = predict_out_of_fold(
            matrix, target, customers, specs=small.features.specs, config=run(), tell=silent
        )
        return found, found.probability(target, method="platt")

    held = fold == 1
    other, changed = small.target.copy(), small.matrix.copy()
    other[held] = 1 - other[held]  # its own outcomes say nothing to its models and its map
    one, probability = predict(small.target, small.matrix)
    two, again = predict(other, small.matrix)
    np.testing.assert_array_equal(one.margin[held], two.margin[held])
    np.testing.assert_array_equal(one.baseline[held], two.baseline[held])
    assert (one.margin[~held] != two.margin[~held]).mean() > 0.9
    assert (probability[held] != again[held]).all()  # margins of other folds moved, so did its map
    changed[held, 0] += 3  # nor do its neighbours of the same fold: each is predicted alone
    moved, _ = predict(small.target, changed)
    model = fit_fixed(
        small.matrix[~held], small.target[~held], specs=small.features.specs, config=small.quick
    )
    np.testing.assert_array_equal(moved.margin[held], model.margin(changed[held]))


def test_a_map_of_other_folds_has_seen_no_outcome_of_the_row():
    rng = np.random.default_rng(0)
    margin, fold = rng.normal(size=300), np.arange(300) % 3
    target = (rng.random(300) < expit(margin)).astype(float)
    found = calibrate_by_fold(margin, target, fold, method="platt")
    other = target.copy()
    other[fold == 2] = 1 - other[fold == 2]
    again = calibrate_by_fold(margin, other, fold, method="platt")
    np.testing.assert_array_equal(found[fold == 2], again[fold == 2])
    for number in range(3):  # an independent reference: an unpenalised regression
        rest, here = fold != number, fold == number
        platt = LogisticRegression(C=np.inf, tol=1e-10).fit(margin[rest, None], target[rest])
        expected = platt.predict_proba(margin[here, None])[:, 1]
        np.testing.assert_allclose(found[here], expected, atol=1e-3)


def test_where_other_folds_rank_the_wrong_way_the_rate_of_theirs_is_the_probability():
    target = np.tile([0.0, 0, 0, 1], 30)
    margin = -target + np.linspace(0, 0.1, 120)
    fold = np.repeat([0, 1, 2], 40)
    np.testing.assert_allclose(calibrate_by_fold(margin, target, fold, method="platt"), 0.25)


def test_outcomes_that_were_shuffled_are_not_found_again(small, run, customers):
    rng = np.random.default_rng(5)
    areas = []
    for _ in range(5):
        shuffled = rng.permutation(small.target)
        found = predict_out_of_fold(
            small.matrix, shuffled, customers, specs=small.features.specs, config=run(), tell=silent
        )
        areas.append(roc_auc_score(shuffled, found.margin))
    assert np.mean(areas) == pytest.approx(0.5, abs=0.05)


# --- early stopping by inner folds -----------------------------------------------------


@pytest.mark.parametrize("metric", ["binary_logloss", "average_precision"])
def test_rounds_are_where_the_mean_of_the_folds_is_best(small, metric):
    config = small.quick.model_copy(
        update={"n_estimators": 60, "stopping_rounds": 60, "metric": metric}
    )
    fold = np.arange(600) % 3
    pairs = [(np.flatnonzero(fold != n), np.flatnonzero(fold == n)) for n in range(3)]
    specs, curves = small.features.specs, []
    for fitted, held in pairs:  # an independent reference: LightGBM's own recorder
        train = _dataset(small.matrix, small.target, fitted, specs, config)
        recorded = {}
        lgb.train(
            _parameters(specs, config),
            train,
            60,
            valid_sets=[train.create_valid(small.matrix[held], small.target[held])],
            callbacks=[lgb.record_evaluation(recorded)],
        )
        curves.append(recorded["valid_0"][metric])
    mean = np.mean(curves, axis=0) * (1 if metric == "average_precision" else -1)
    chosen = choose_rounds(small.matrix, small.target, pairs, specs=specs, config=config)
    assert chosen == int(np.argmax(mean)) + 1
    patient = config.model_copy(update={"stopping_rounds": 1})
    fewer = choose_rounds(small.matrix, small.target, pairs, specs=specs, config=patient)
    assert 1 <= fewer <= chosen


def test_the_final_model_has_the_trees_that_folds_of_all_rows_choose(small, run, customers):
    stopping = {"n_estimators": 200, "stopping_rounds": 10, "metric": "binary_logloss"}
    config = run(early_stopping_folds=3, model=stopping)
    rows = (small.matrix, small.target, customers)
    model = fit_whole(*rows, specs=small.features.specs, config=config)
    assert 1 < model.n_trees < 200
    fixed = config.model.model_copy(update={"n_estimators": model.n_trees})
    same = fit_fixed(*rows[:2], specs=small.features.specs, config=fixed)
    assert model.text.partition("parameters:")[0] == same.text.partition("parameters:")[0]
    assert (
        fit_whole(*rows, specs=small.features.specs, config=run()).n_trees
        == small.quick.n_estimators
    )


# --- a trained model, in memory --------------------------------------------------------


@pytest.fixture(scope="module")
def source():
    bank = kyc_ml.make_bank(kyc_ml.BankConfig(transactions=16_000, seed=11, fraud_share=0.02))
    return kyc_ml.contract_tables(
        bank.tables, timezone="Asia/Shanghai", base_currency="CNY"
    ).accepted


@pytest.fixture(scope="module")
def config():
    content = kyc_ml.load_section(CONFIGS / "fraud.yaml", RunConfig).model_dump(by_alias=True)
    content["features"] |= {"families": ["velocity", "devices"]}
    content["splits"] = {"method": "customer_folds", "folds": 3}
    content["model"] |= {"n_estimators": 20, "learning_rate": 0.2, "min_child_samples": 20}
    content["model"] |= {"n_jobs": 1, "refit": "none"}
    content["calibration"] |= {"candidates": ["platt"], "folds": 2, "segment": None}
    content["tuning"] |= {"trials": 2, "folds": {"method": "prequential", "folds": 3}}
    return RunConfig.model_validate(content)


@pytest.fixture(scope="module")
def policy():
    shipped = kyc_ml.load_section(CONFIGS / "tiers" / "fraud.yaml", kyc_ml.TierPolicy)
    content = shipped.model_dump(by_alias=True)
    content["fit"]["whole"]["alerts"] = {"high": 0.5, "medium_high": 1.0, "medium": 3.0}
    return kyc_ml.TierPolicy.model_validate(content)


@pytest.fixture(scope="module")
def trained(source, config, policy):
    return kyc_ml.train(source, config=config, policy=policy, as_of=AS_OF, data={"source": "test"})


def test_the_rows_are_predicted_again_to_the_last_bit(source, trained):
    rows = list_fold_rows(trained.bundle, source)
    evidence = trained.evidence
    np.testing.assert_array_equal(rows.target, evidence.target)
    assert rows.difference == ""
    found, probability = predict_again(trained.bundle, evidence.features, rows.target, tell=silent)
    np.testing.assert_array_equal(found.margin, evidence.margin)
    np.testing.assert_array_equal(probability, evidence.probability)
    tested = trained.folds[trained.folds["part"] == "test"]
    assert tested["rows"].tolist() == np.bincount(found.fold).tolist()
    assert tested["trees"].tolist() == list(found.trees)


def test_data_of_other_rows_than_at_the_training_are_told(source, trained):
    changed = {**trained.bundle.metrics[FOLDS], "positives": 7.0}
    other = replace(trained.bundle, metrics={FOLDS: changed})
    assert "7 at" in list_fold_rows(other, source).difference
    early = replace(trained.bundle, data={**trained.bundle.data, "as_of": "2023-01-01"})
    with pytest.raises(DatasetError):
        list_fold_rows(early, source)


def test_tiers_are_fitted_on_all_rows_out_of_fold(source, trained):
    fitted = kyc_ml.fit_tiers(trained.bundle, source, as_of=AS_OF)
    evidence = trained.evidence
    assert (fitted.basis, fitted.rows) == ("out_of_fold", evidence.target.size)
    assert fitted.positives == evidence.target.sum()
    expected = [
        np.sum(evidence.probability >= cut) for cut in fitted.proposal.policy.cut_offs("all")
    ]
    rows = fitted.proposal.table["rows"].to_numpy()
    assert rows[::-1].cumsum()[::-1].tolist() == expected
    assert "fold" in write_proposal(fitted)


def test_tiers_are_not_fitted_on_learned_rows_unless_forced(source, trained):
    with pytest.raises(LeakageError, match="learned-rows"):
        kyc_ml.fit_tiers(trained.bundle, source, since="2024-03-01", as_of=AS_OF)
    forced = kyc_ml.fit_tiers(
        trained.bundle, source, since="2024-03-01", as_of=AS_OF, learned_rows=True
    )
    assert forced.basis == "learned"
    assert forced.since.isoformat() == "2024-03-01T00:00:00+08:00"  # a day of the source
    assert "WARNING" in write_proposal(forced)
    later = kyc_ml.fit_tiers(trained.bundle, source, since=AS_OF)
    assert later.basis == "unseen"


def test_a_policy_without_targets_is_refused_before_features_are_built(
    source, trained, policy, monkeypatch
):
    monkeypatch.setattr(tiering, "features_and_facts", None)
    with pytest.raises(ConfigError, match="fit"):
        kyc_ml.fit_tiers(
            trained.bundle, source, policy=policy.model_copy(update={"fit": None}), as_of=AS_OF
        )


def test_validation_judges_out_of_fold_rows_while_there_are_no_later_ones(source, trained):
    only = ["discrimination.auc", "calibration.overall", "stability", "benchmarks.logistic",
            "implementation", "explanation.additivity", "robustness.overfit"]  # fmt: skip
    gates = CONFIGS / "validation.yaml"
    report = kyc_ml.validate(trained.bundle, source, policy=gates, as_of=AS_OF, only=only)
    current = report.rows[0]
    assert [rows.role for rows in report.rows] == ["current", "train"]
    assert (current.judged, current.positives) == (
        trained.evidence.target.size,
        trained.evidence.target.sum(),
    )
    seen = trained.quality[MODEL][FOLDS]
    auc = report.result("discrimination.auc").figure("auc")
    assert (auc.value, auc.low) == (seen.auc, seen.auc_low)
    recorded = report.result("implementation.recorded_figures")
    assert recorded.figure("largest_difference").value == 0
    other = trained.quality["logistic regression on bins"][FOLDS]
    assert report.result("benchmarks.logistic").figure("auc").value == pytest.approx(other.auc)
    assert report.result("stability.score_psi").verdict == "not_applicable"
    assert report.result("explanation.additivity").verdict == "pass"
    assert report.result("implementation.parity").verdict == "pass"
    assert report.result("robustness.overfit").figure("gap").value > 0  # held-out rows, not learned
    caveat = next(found for found in report.findings if found.id == OUT_OF_FOLD)
    ripe = AS_OF + pd.Timedelta(days=trained.bundle.config.dataset.label_maturity_days)
    assert f"{ripe:%Y-%m-%d}" in caveat.text.en
    assert report.verdict != "pass"


def test_a_champion_with_the_same_rows_out_of_fold_is_compared_with(source, trained):
    renamed = trained.bundle.config.model_copy(update={"name": "twin"})
    twin = replace(trained.bundle, config=renamed)
    report = kyc_ml.validate(
        trained.bundle, source, policy=CONFIGS / "validation.yaml", as_of=AS_OF, champion=twin,
        only=["benchmarks.champion"],
    )  # fmt: skip
    found = report.result("benchmarks.champion")
    assert found.figure("auc").value == pytest.approx(trained.quality[MODEL][FOLDS].auc)
    assert found.figure("auc_difference").value == 0


def test_later_rows_are_preferred_to_out_of_fold_ones(source, trained):
    gates, only = CONFIGS / "validation.yaml", ["implementation.recorded_figures"]
    report = kyc_ml.validate(trained.bundle, source, policy=gates, only=only)
    assert "decided" in report.rows[0].origin.en
    assert "fold" in report.rows[1].origin.en  # what was normal then, and not learned scores
    assert OUT_OF_FOLD not in [found.id for found in report.findings]
    recorded = report.result("implementation.recorded_figures")
    assert recorded.figure("rows_difference").value == 0
    asked = kyc_ml.validate(trained.bundle, source, policy=gates, only=only, rows="out_of_fold")
    assert asked.rows[0].judged == trained.evidence.target.size


def test_rows_that_a_model_does_not_have_are_refused(source, trained):
    gates = CONFIGS / "validation.yaml"
    with pytest.raises(ConfigError, match="out_of_fold"):
        kyc_ml.validate(trained.bundle, source, policy=gates, rows="test")
    with pytest.raises(ConfigError, match="--since"):
        kyc_ml.validate(trained.bundle, source, policy=gates, rows="out_of_fold", since=AS_OF)


def test_every_check_named_for_out_of_fold_rows_exists():
    assert {*NOT_APPLICABLE, *OF_THE_MODEL, OUT_OF_FOLD.partition("/")[0]} <= {*CHECKS}
    assert not {*NOT_APPLICABLE} & OF_THE_MODEL


def test_two_models_are_compared_on_the_rows_both_have_out_of_fold(source, trained):
    renamed = trained.bundle.config.model_copy(update={"name": "twin"})
    twin = replace(trained.bundle, config=renamed)
    compared = kyc_ml.compare(twin, trained.bundle, source, as_of=AS_OF)
    assert (compared.kind, compared.judged) == ("out-of-fold", trained.evidence.target.size)
    assert (compared.metrics["difference"] == 0).all()
    figures = compared.metrics.drop_duplicates("figure").set_index("figure")
    # the rows come in another order, and a sum of weights may end in another last digit
    kept = trained.quality[MODEL][FOLDS].auc
    assert figures.loc["auc", "champion"] == pytest.approx(kept, rel=1e-14)
    assert compared.sentence.startswith("On out-of-fold rows")
    assert kyc_ml.compare(twin, trained.bundle, source).kind == "later"


def test_tuning_judges_by_folds_that_no_choice_saw(source, config):
    searched = {"num_leaves": {"low": 2, "high": 3}}
    tuning = config.tuning.model_dump() | {"search": searched}
    content = config.model_dump(by_alias=True) | {"tuning": tuning}
    content["splits"] |= {"folds": 2, "early_stopping_folds": 2}
    tuned = kyc_ml.tune(source, config=RunConfig.model_validate(content), as_of=AS_OF)
    rows = tuned.folds[tuned.folds["part"] == "test"]["rows"].sum()
    assert rows == tuned.folds[tuned.folds["fold"] == 1]["rows"].sum()  # each row once
    assert len(tuned.trials) == 2
    if tuned.comparison.compared:
        assert "outer" in tuned.comparison.sentence
    for changed, said in (
        ({"objective": "recall_at_capacity"}, "recall_at_capacity"),
        ({"folds": {"method": "prequential", "folds": 3, "train_days": 30}}, "tuning.folds"),
        ({"folds": {"method": "prequential", "folds": 2}}, "3, .* 2"),
    ):
        other = RunConfig.model_validate(content | {"tuning": tuning | changed})
        with pytest.raises(ConfigError, match=said):
            kyc_ml.tune(source, config=other, as_of=AS_OF)


def test_a_profile_holds_the_probabilities_that_the_bundle_gives_the_latest_rows(trained):
    bundle, evidence = trained.bundle, trained.evidence
    times = evidence.features.keys[DECISION_TIME].to_numpy()
    latest = times >= np.quantile(times, 0.75, method="lower")
    own = bundle.calibrator.probability(evidence.margin[latest])
    bins = bundle.profile.bins[PROBABILITY]
    assert bundle.profile.rows == own.size == pytest.approx(times.size / 4, abs=2)
    assert bins == FrozenBins.of(own)
    assert list(bundle.profile.counts[PROBABILITY]) == bins.count(own).tolist()
