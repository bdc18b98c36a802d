"""Tuning: objectives by hand, folds that know only their past, a study that can be resumed."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from kyc_ml.config import SEARCHED, IntRange, ModelConfig, RunConfig, TuningConfig, parse_section
from kyc_ml.config.tuning import FloatRange, SearchConfig
from kyc_ml.errors import ConfigError
from kyc_ml.training import tune_job as tuning_job
from kyc_ml.training.tuning import comparison as comparison_module
from kyc_ml.training.tuning import study as study_module
from kyc_ml.training.tuning.comparison import (
    ParameterComparison,
    compare,
    compute_differences,
)
from kyc_ml.training.tuning.objectives import compute_objective
from kyc_ml.training.tuning.rows import TuningFold, TuningPart, TuningRows
from kyc_ml.training.tuning.study import identify_study, search
from kyc_ml.training.tuning.tune import Tuned

MODEL = ModelConfig(n_estimators=8, stopping_rounds=3, min_child_samples=10, learning_rate=0.2,
                    num_leaves=6, n_jobs=1, seed=0)  # fmt: skip
NARROW = SearchConfig(num_leaves=IntRange(low=3, high=8), max_bin=IntRange(low=15, high=63))
QUICK = TuningConfig(trials=4, seed=1, search=NARROW)
RUN = {"name": "x", "unit": "fraud", "features": {"families": ["amounts"]}, "tiers": "t.yaml"}


def silent(stage, done, total):
    """Listen to nothing."""


def objective(name, target, margin, day, *, end_day=2, **config):
    return compute_objective(
        np.array(target, float),
        np.array(margin, float),
        np.array(day, np.int64),
        end_day=end_day,
        objective=name,
        config=TuningConfig(**config),
    )


@pytest.fixture(scope="module")
def rows(small):
    """Two folds and the run's own parts over the 600 small rows, 200 rows on from each other."""

    def part(first, last):
        numbers = np.arange(first, last)
        return TuningPart(rows=numbers, target=small.target[numbers])

    def fold(name, start):
        test = part(start + 300, start + 400)
        return TuningFold(
            name=name,
            fit=part(start, start + 200),
            stop=part(start + 200, start + 300),
            test=test,
            test_day=test.rows // 24,
            end_day=30,
        )

    return TuningRows(
        features=small.features,
        folds=(fold("fold 1", 0), fold("fold 2", 100)),
        final=fold("own", 200),
        summary=pd.DataFrame(),
    )


def run_search(rows, path, *, config=QUICK, model=MODEL, identity="a"):
    return search(rows, model=model, config=config, identity=identity, path=path, tell=silent)


# --- objectives -----------------------------------------------------------------------


def test_average_precision_by_hand():
    got = objective("average_precision", [1, 0, 1, 0], [4, 3, 2, 1], [0, 0, 0, 0])
    assert got == pytest.approx((1 + 2 / 3) / 2)


def test_log_loss_by_hand():
    got = objective("log_loss", [1, 0], [np.log(3), np.log(1 / 4)], [0, 0])
    assert got == pytest.approx(-(np.log(0.75) + np.log(0.8)) / 2)


@pytest.mark.parametrize(
    ("per_day", "recall"),
    [(1.0, 0.5), (2.0, 1.0), (1.5, 0.75), (100.0, 1.0)],
)
def test_recall_at_capacity_counts_each_day_alone(per_day, recall):
    # day 0: the positive is second of two; day 1: it is first
    got = objective("recall_at_capacity", [1, 0, 1, 0], [1, 9, 3, 2], [0, 0, 1, 1],
                    capacity_per_day=per_day)  # fmt: skip
    assert got == recall


def test_days_without_decisions_add_to_the_capacity_of_the_day_before():
    arguments = ([1, 0, 1, 0], [1, 9, 1, 9], [0, 0, 10, 10])
    got = objective("recall_at_capacity", *arguments, end_day=11, capacity_per_day=1.0)
    assert got == 0.5
    got = objective("recall_at_capacity", *arguments, end_day=12, capacity_per_day=1.0)
    assert got == 1.0


def test_rows_of_equal_margin_share_what_reviews_are_left():
    target, day = [1, 0, 0, 0], [0, 0, 0, 0]
    for order in ([0, 1, 2, 3], [3, 2, 1, 0]):
        got = objective("recall_at_capacity", np.array(target)[order], [5, 5, 5, 5], day,
                        end_day=1, capacity_per_day=2.0)  # fmt: skip
        assert got == 0.5


def test_expected_cost_by_hand():
    margin = np.log([1.0, 0.01 / 0.99, 0.3 / 0.7, 1e-9])
    got = objective("expected_cost", [1, 1, 0, 0], margin, [0] * 4, review_cost=2, miss_cost=20)
    assert got == pytest.approx((2 * 2 + 20) / 4)


# --- configuration --------------------------------------------------------------------


def test_a_range_must_be_one_and_hold_what_a_model_can_have():
    for wrong in (
        lambda: IntRange(low=3, high=2),
        lambda: FloatRange(low=0.0, high=1.0, log=True),
        lambda: SearchConfig(num_leaves=IntRange(low=1, high=2)),
        lambda: SearchConfig(colsample_bytree=FloatRange(low=0.5, high=1.5)),
    ):
        with pytest.raises(ValueError, match=r"low|greater|less"):
            wrong()


def test_identity_hangs_on_all_but_budgets_threads_and_what_is_searched():
    run = RunConfig.model_validate(RUN)
    before = identify_study(run, {"as_of": "d"})

    def changed(**sections):
        return identify_study(RunConfig.model_validate({**RUN, **sections}), {"as_of": "d"})

    assert changed(tuning={"trials": 3, "minutes": 1.0}, name="y") == before
    assert changed(model={"num_leaves": 3, "n_jobs": 1}) == before
    assert changed(model={"n_estimators": 3}) != before
    assert changed(tuning={"objective": "log_loss"}) != before
    assert changed(dataset={"label_maturity_days": 3}) != before
    assert identify_study(run, {"as_of": "e"}) != before


# --- the study ------------------------------------------------------------------------


def test_the_first_trial_is_the_configurations_own(rows, tmp_path):
    found = run_search(rows, tmp_path / "s.db")
    own = {name: getattr(MODEL, name) for name in SEARCHED}
    assert found.trials[0].parameters == own
    assert found.own == found.trials[0]
    assert len(found.trials) == 4
    values = [trial.value for trial in found.trials if not trial.pruned]
    assert found.best.value == max(values)
    assert found.chosen == MODEL.model_copy(update=found.best.parameters)
    assert found.best.value == pytest.approx(np.mean(found.best.folds))


def test_the_same_seed_finds_the_same(rows, tmp_path):
    one, other = (run_search(rows, tmp_path / f"{n}.db") for n in "ab")
    assert [(t.parameters, t.folds) for t in one.trials] == [
        (t.parameters, t.folds) for t in other.trials
    ]
    third = run_search(rows, tmp_path / "c.db", config=QUICK.model_copy(update={"seed": 0}))
    assert third.trials[1].parameters != one.trials[1].parameters


def test_less_is_better_of_a_loss(rows, tmp_path):
    config = QUICK.model_copy(update={"objective": "log_loss"})
    found = run_search(rows, tmp_path / "s.db", config=config)
    assert found.best.value == min(trial.value for trial in found.trials if not trial.pruned)


def test_a_study_goes_on_where_it_stopped(rows, tmp_path):
    path = tmp_path / "new" / "which 50%?.db"
    first = run_search(rows, path, config=QUICK.model_copy(update={"trials": 2}))
    assert path.is_file()
    second = run_search(rows, path)
    assert (first.resumed, second.resumed) == (0, 2)
    assert second.trials[:2] == first.trials
    assert len(second.trials) == 4
    drawn = [tuple(trial.parameters.values()) for trial in second.trials]
    assert len(set(drawn)) == 4
    third = run_search(rows, path)
    assert third.trials == second.trials


def test_new_own_parameters_are_judged_even_when_the_trials_are_spent(rows, tmp_path):
    run_search(rows, tmp_path / "s.db")
    model = MODEL.model_copy(update={"num_leaves": 5, "learning_rate": 0.21})
    found = run_search(rows, tmp_path / "s.db", model=model)
    assert len(found.trials) == 5
    assert found.own.parameters["learning_rate"] == 0.21
    assert not found.own.pruned


def test_an_interrupted_trial_does_not_count(rows, tmp_path, monkeypatch):
    judged = study_module._evaluate

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(study_module, "_evaluate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_search(rows, tmp_path / "s.db")
    monkeypatch.setattr(study_module, "_evaluate", judged)
    found = run_search(rows, tmp_path / "s.db")
    assert found.resumed == 0
    assert len(found.trials) == 4
    assert found.own.parameters["num_leaves"] == MODEL.num_leaves


def test_a_study_of_something_else_is_refused(rows, tmp_path):
    run_search(rows, tmp_path / "s.db", config=QUICK.model_copy(update={"trials": 1}))
    with pytest.raises(ConfigError, match="--as-of"):
        run_search(rows, tmp_path / "s.db", identity="b")


def test_a_file_that_is_no_study_is_refused_and_kept(rows, tmp_path):
    path = tmp_path / "s.db"
    path.write_text("thesis, the only copy\n" * 100)
    with pytest.raises(ConfigError, match="study"):
        run_search(rows, path)
    assert path.read_text().startswith("thesis")


def test_poor_trials_are_given_up_after_a_fold(rows, tmp_path, monkeypatch):
    def judge(rows, fold, *, model, config):
        return (0.5 if model.num_leaves == MODEL.num_leaves else 0.4 - calls.pop() / 100), 1

    calls = list(range(40))[::-1]
    monkeypatch.setattr(study_module, "_evaluate", judge)
    found = run_search(rows, tmp_path / "s.db", config=QUICK.model_copy(update={"trials": 12}))
    pruned = [trial for trial in found.trials if trial.pruned]
    assert pruned
    assert all(len(trial.folds) == 1 and trial.number >= 5 for trial in pruned)
    assert found.best == found.own


def test_time_ends_a_run_but_not_before_the_own_parameters_are_judged(rows, tmp_path):
    config = QUICK.model_copy(update={"minutes": 1e-9})
    found = run_search(rows, tmp_path / "s.db", config=config)
    assert (len(found.trials), found.stopped_by) == (1, "minutes")


def test_the_own_value_widens_a_range(rows, tmp_path):
    model = MODEL.model_copy(update={"num_leaves": 20})
    found = run_search(rows, tmp_path / "s.db", model=model)
    assert found.own.parameters["num_leaves"] == 20
    assert all(3 <= trial.parameters["num_leaves"] <= 20 for trial in found.trials)


def test_a_logarithmic_range_cannot_hold_zero(rows, tmp_path):
    ranged = SearchConfig(reg_lambda=FloatRange(low=0.1, high=9.0, log=True))
    with pytest.raises(ConfigError, match=r"log.*false"):
        run_search(rows, tmp_path / "s.db", model=MODEL.model_copy(update={"reg_lambda": 0.0}),
                   config=QUICK.model_copy(update={"search": ranged}))  # fmt: skip


# --- the comparison -------------------------------------------------------------------


def differences(rows, own, chosen, **config):
    customers = np.array([f"c{row % 17}" for row in rows.final.test.rows], dtype=object)
    return compute_differences(
        rows.final, own, chosen, customers=customers, config=TuningConfig(**config)
    )


def test_a_better_model_beats_and_an_equal_one_does_not(rows):
    target = rows.final.test.target
    rng = np.random.default_rng(0)
    noise = rng.normal(size=target.size)
    table = differences(rows, noise, 3 * target + noise, objective="recall_at_capacity")
    assert table["figure"].tolist() == ["average_precision", "log_loss", "recall_at_capacity"]
    by = table.set_index("figure")
    assert by.loc["average_precision", "low"] > 0
    assert by.loc["log_loss", "high"] < 0
    same = differences(rows, noise, noise)
    assert (same[["difference", "low", "high"]] == 0).all(axis=None)


def test_the_order_of_rows_changes_no_interval(rows):
    test = rows.final.test
    rng = np.random.default_rng(1)
    noise, better = (
        rng.normal(size=test.target.size),
        test.target + rng.normal(size=test.target.size),
    )
    customers = np.array([f"c{row % 17}" for row in test.rows], dtype=object)
    order = rng.permutation(test.target.size)
    moved = replace(
        rows.final,
        test=TuningPart(rows=test.rows[order], target=test.target[order]),
        test_day=rows.final.test_day[order],
    )
    config = TuningConfig(objective="recall_at_capacity")
    one = compute_differences(rows.final, noise, better, customers=customers, config=config)
    two = compute_differences(
        moved, noise[order], better[order], customers=customers[order], config=config
    )
    pd.testing.assert_frame_equal(one, two, rtol=1e-9)
    assert (one["low"] < one["high"])[:2].all()


def test_what_is_kept_is_not_compared_with_itself(rows, monkeypatch):
    def fitted(*args, **kwargs):
        pytest.fail("nothing is to be fitted: there is nothing to compare")

    monkeypatch.setattr(comparison_module, "predict_test", fitted)
    got = compare(rows, own=MODEL, chosen=MODEL, config=QUICK, tell=silent)
    assert got.verdict == "not shown better"
    assert got.taken == MODEL
    assert got.table.empty
    assert not got.compared


def test_an_empty_comparison_has_the_columns_of_a_full_one(rows):
    kept, other = (
        compare(rows, own=own, chosen=MODEL, config=QUICK, tell=silent)
        for own in (MODEL, MODEL.model_copy(update={"min_child_samples": 20}))
    )
    assert other.compared
    assert list(kept.table) == list(other.table)


def test_a_crippled_configuration_is_beaten(rows):
    poor = MODEL.model_copy(update={"min_child_samples": 500})
    got = compare(rows, own=poor, chosen=MODEL, config=QUICK, tell=silent)
    assert got.verdict == "better"
    assert (got.worse, got.taken) == (False, MODEL)


def test_what_is_surely_worse_on_later_data_is_not_taken(rows):
    poor = MODEL.model_copy(update={"min_child_samples": 500})
    got = compare(rows, own=MODEL, chosen=poor, config=QUICK, tell=silent)
    assert got.verdict == "worse"
    assert (got.worse, got.taken) == (True, MODEL)


@pytest.mark.parametrize(
    ("objective", "low", "high", "verdict"),
    [
        ("average_precision", 0.01, 0.02, "better"),
        ("average_precision", 0.0, 0.02, "not shown better"),
        ("average_precision", -0.02, 0.0, "not shown better"),
        ("average_precision", -0.02, -0.01, "worse"),
        ("log_loss", -0.02, -0.01, "better"),
        ("log_loss", 0.01, 0.02, "worse"),
        ("log_loss", -0.01, 0.02, "not shown better"),
        ("log_loss", float("nan"), float("nan"), "not shown better"),
    ],
)
def test_only_a_whole_interval_on_one_side_decides(objective, low, high, verdict):
    table = pd.DataFrame(
        [
            {
                "figure": objective,
                "own": 0.5,
                "chosen": 0.5,
                "difference": low,
                "low": low,
                "high": high,
                "better": "lower" if objective == "log_loss" else "higher",
            }
        ]
    )
    assert comparison_module._conclude(table, objective, where="There")[0] == verdict


def test_the_file_of_what_is_worse_holds_the_own_and_what_was_found_as_comments(rows, tmp_path):
    found = run_search(rows, tmp_path / "s.db", model=MODEL, config=QUICK)
    worse = ParameterComparison(
        table=pd.DataFrame(), verdict="worse", sentence="It is worse.", taken=MODEL
    )
    run = SimpleNamespace(name="x", tuning=QUICK)
    text = tuning_job._section(
        Tuned(config=run, search=found, comparison=worse, folds=pd.DataFrame())
    )
    assert parse_section(text, ModelConfig, subject="it") == MODEL
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert "kyc-ml tune" in comments[0]
    assert f"# {worse.sentence}" in comments
    [place] = [n for n, line in enumerate(comments) if line.endswith(f" {found.best.number}:")]
    assert comments[place + 1 :] == [
        f"#   {name}: {value:.6g}" for name, value in found.best.parameters.items()
    ]
