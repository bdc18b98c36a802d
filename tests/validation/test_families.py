"""What single checks say: literals, edges, and when they do not apply."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from kyc_ml.features import Latest
from kyc_ml.metrics import holm, matrix_weighted_bandwidth, observed_over_expected
from kyc_ml.validation.catalogue import PROCEDURES
from kyc_ml.validation.evidence import ChampionScores, Retrained
from kyc_ml.validation.policy import Gate
from kyc_ml.validation.report.words import COLUMNS
from kyc_ml.validation.run.checks import run_check
from kyc_ml.validation.run.out_of_fold import NEEDS_REFERENCE, WITHOUT_REFERENCE

N = 6_000
GATED = {"pass", "finding", "fail"}
VERDICTS = {
    # later rows of the law of the training, the same without a positive, without a mature outcome
    "data.lineage": ("not_applicable", "not_applicable", "not_applicable"),
    "data.quarantine": ("not_applicable", "not_applicable", "not_applicable"),
    "data.representativeness": ("pass", "pass", "pass"),
    "data.missingness": ("pass", "pass", "pass"),
    "data.label_maturity": ("pass", "pass", "pass"),
    "data.point_in_time": ("not_applicable", "not_applicable", "not_applicable"),
    "data.leakage": ("pass", "not_applicable", "not_applicable"),
    "discrimination.auc": ("pass", "not_applicable", "not_applicable"),
    "discrimination.ranking": ("pass", "not_applicable", "not_applicable"),
    "discrimination.capacity": ("information", "not_applicable", "not_applicable"),
    "discrimination.recall_at_fpr": ("pass", "not_applicable", "not_applicable"),
    "discrimination.auc_decline": ("pass", "not_applicable", "not_applicable"),
    "discrimination.segments": ("pass", "not_applicable", "not_applicable"),
    "discrimination.periods": ("pass", "not_applicable", "not_applicable"),
    "discrimination.typologies": ("pass", "not_applicable", "not_applicable"),
    "calibration.overall": ("pass", "fail", "not_applicable"),
    "calibration.reliability": ("information", "information", "not_applicable"),
    "calibration.brier": ("pass", "not_judged", "not_applicable"),
    "calibration.spiegelhalter": ("information", "information", "not_applicable"),
    "calibration.hosmer_lemeshow": ("information", "information", "not_applicable"),
    "calibration.jeffreys": ("pass", "finding", "not_applicable"),
    "calibration.binomial": ("information", "information", "not_applicable"),
    "calibration.segments": ("pass", "finding", "not_applicable"),
    "tiers.ordering": ("pass", "pass", "not_applicable"),
    "tiers.concentration": ("information", "information", "information"),
    "tiers.migration": ("not_applicable", "not_applicable", "not_applicable"),
    "tiers.overrides": ("pass", "pass", "pass"),
    "stability.score_psi": ("pass", "pass", "pass"),
    "stability.feature_csi": ("pass", "pass", "pass"),
    "stability.importance": ("pass", "pass", "pass"),
    "stability.reasons": ("pass", "pass", "pass"),
    "robustness.noise": ("pass", "not_applicable", "not_applicable"),
    "robustness.missing_columns": ("information", "not_applicable", "not_applicable"),
    "robustness.weak_spots": ("pass", "not_applicable", "not_applicable"),
    "robustness.overfit": ("pass", "not_applicable", "not_applicable"),
    "robustness.training_range": ("pass", "pass", "pass"),
    "explanation.additivity": ("pass", "pass", "pass"),
    "explanation.shap_agreement": ("pass", "pass", "pass"),
    "explanation.monotone": ("not_applicable", "not_applicable", "not_applicable"),
    "explanation.reasons": ("pass", "pass", "pass"),
    "fairness.selection": ("information", "not_applicable", "not_applicable"),
    "fairness.predictive_equality": ("pass", "not_applicable", "not_applicable"),
    "fairness.equal_opportunity": ("pass", "not_applicable", "not_applicable"),
    "fairness.calibration": ("pass", "not_applicable", "not_applicable"),
    "benchmarks.logistic": ("pass", "not_applicable", "not_applicable"),
    "benchmarks.rating": ("not_applicable", "not_applicable", "not_applicable"),
    "benchmarks.champion": ("not_applicable", "not_applicable", "not_applicable"),
    "benchmarks.savings": ("pass", "not_applicable", "not_applicable"),
    "implementation.reproduction": ("not_applicable", "not_applicable", "not_applicable"),
    "implementation.recorded_figures": ("pass", "pass", "pass"),
    "implementation.parity": ("pass", "pass", "pass"),
    "implementation.reconciliation": ("pass", "pass", "pass"),
}
WITHOUT_SIGNAL = {
    # what a model finds that ranks at random, check by check
    "discrimination.auc": ("auc/amber", "auc_low_by_customer/red"),
    "discrimination.ranking": ("lift/amber",),
    "discrimination.recall_at_fpr": ("fpr_frozen/amber",),
    "discrimination.auc_decline": ("drop/red",),
    "discrimination.typologies": ("lowest_high/amber",),
    "calibration.overall": ("slope_high/amber",),
    "calibration.brier": ("skill_high/red",),
    "calibration.jeffreys": ("missed_share/red", "surplus_share/amber"),
    "robustness.weak_spots": (
        "highest_low/amber",
        "lowest_high/amber",
    ),
    "robustness.overfit": ("largest_low/amber",),
    "explanation.additivity": ("worst_error/red",),
    "benchmarks.logistic": ("ap_difference_high/amber",),
    "benchmarks.savings": ("savings_high/amber",),
}


def values(result):
    return {figure.name: figure.value for figure in result.figures}


@pytest.fixture
def as_risk(evidence):
    """Take the model for one of customers at review dates."""
    config = evidence.bundle.config.model_copy(update={"unit": "risk"})
    return replace(evidence, bundle=replace(evidence.bundle, config=config))


def test_figures_equal_scikit_learn(evidence, check):
    rows = evidence.current
    auc = values(check("discrimination.auc", evidence)[0])
    ranking = values(check("discrimination.ranking", evidence)[0])
    assert auc["auc"] == pytest.approx(roc_auc_score(rows.target, rows.margin))
    assert auc["gini"] == pytest.approx(2 * auc["auc"] - 1)
    precision = average_precision_score(rows.target, rows.margin)
    assert ranking["average_precision"] == pytest.approx(precision)
    assert ranking["partial_auc"] == pytest.approx(
        roc_auc_score(rows.target, rows.margin, max_fpr=0.05)
    )


def test_the_curve_of_precision_shows_the_head_row_by_row(evidence, check):
    margin = evidence.current.margin  # a few trees give many rows the same one
    rows = replace(evidence.current, margin=margin + 1e-9 * np.arange(margin.size))
    found = check("discrimination.ranking", replace(evidence, current=rows))[0]
    curve = found.table("precision_recall")
    order = np.argsort(-rows.evaluated_margin, kind="stable")
    found = np.cumsum(rows.target[order])
    head = curve.iloc[::-1].head(10)
    assert head["recall"].to_numpy() == pytest.approx(found[:10] / found[-1])
    assert head["precision"].to_numpy() == pytest.approx(found[:10] / np.arange(1, 11))
    assert curve["recall"].iloc[0] == 1.0


def test_the_frozen_threshold_is_that_of_the_reference_rows(evidence, check):
    found = values(check("discrimination.recall_at_fpr", evidence)[0])
    negatives = evidence.reference.margin[evidence.reference.status == "negative"]
    threshold = np.sort(negatives)[-int(0.05 * negatives.size)]
    now = evidence.current
    expected = (now.margin[now.status == "negative"] >= threshold).mean()
    assert found["fpr_frozen"] == pytest.approx(expected, abs=2e-3)


def test_capacity_is_the_models_own_and_the_points_reach_to_twice_of_it(evidence, check):
    result, _ = check("discrimination.capacity", evidence)
    own = evidence.bundle.config.tuning.capacity_per_day
    table = result.table("operating_points")
    assert values(result)["capacity"] == own
    assert len(table) == 20
    assert table["per_day"].max() == 2 * own
    assert table["recall"].is_monotonic_increasing


def require_verdict(expected, result, findings):
    """Assert a check's verdict, and that its findings or its reason bear it out."""
    assert result.verdict == expected, (result.check.id, findings)
    severities = {finding.severity for finding in findings}
    assert severities <= {"amber", "red"}
    assert ("red" in severities) == (expected == "fail")
    assert bool(severities) == (expected in {"finding", "fail"})
    assert bool(result.reason.en) == bool(result.reason.zh) == (expected == "not_applicable")


def test_every_check_has_its_verdicts_written_down():
    assert list(VERDICTS) == list(PROCEDURES)


@pytest.mark.parametrize("name", VERDICTS)
def test_later_rows_of_the_same_law(name, evidence, check):
    require_verdict(VERDICTS[name][0], *check(name, evidence, compared_rows=5))


@pytest.mark.parametrize("name", VERDICTS)
def test_rows_without_a_positive_are_no_error(name, evidence, score, world, check):
    features, target = world.draw(800, seed=5, first_day=160, days=60)
    none = replace(evidence, current=score((features, np.zeros_like(target))))
    require_verdict(VERDICTS[name][1], *check(name, none, compared_rows=5))


@pytest.mark.parametrize("name", VERDICTS)
def test_rows_without_a_mature_outcome_are_no_error(name, evidence, check):
    rows = evidence.current
    immature = np.full(len(rows), "immature", dtype=object)
    young = replace(rows, evaluated=np.zeros(len(rows), bool), status=immature)
    result, findings = check(name, replace(evidence, current=young), compared_rows=5)
    require_verdict(VERDICTS[name][2], result, findings)


@pytest.mark.parametrize(
    "name", [name for name, expected in VERDICTS.items() if expected[0] in GATED]
)
def test_every_figure_with_a_gate_can_fail_its_check(name, evidence, rules, check):
    """Move each bound just past the figure: a check that looks at nothing stays green."""
    honest, _ = check(name, evidence, compared_rows=5)
    gated = {gate.figure: gate.value for gate in honest.gates if gate.value is not None}
    assert gated
    for figure, value in gated.items():
        gate = Gate(check=name, figure=figure, at_most=value - 1e-6, severity="red", source="test")
        result, findings = run_check(
            PROCEDURES[name],
            evidence,
            policy=rules.model_copy(
                update={
                    "gates": (gate,),
                    "settings": rules.settings.model_copy(update={"compared_rows": 5}),
                }
            ),
            command="",
        )
        assert result.verdict == "fail"
        assert [finding.id for finding in findings] == [f"{name}/{figure}/red"]


@pytest.mark.parametrize("name", WITHOUT_SIGNAL)
def test_a_model_whose_scores_are_shuffled_is_caught(name, evidence, check):
    rows = evidence.current
    order = np.random.default_rng(0).permutation(len(rows))
    shuffled = replace(rows, margin=rows.margin[order], probability=rows.probability[order])
    _, findings = check(name, replace(evidence, current=shuffled), compared_rows=5)
    found = {finding.id.removeprefix(f"{name}/") for finding in findings}
    assert set(WITHOUT_SIGNAL[name]) <= found


def test_migration_follows_customers(as_risk, check):
    result, _ = check("tiers.migration", as_risk)
    found = values(result)
    names = as_risk.bundle.policy.tier_names
    counts = result.table("matrix")["customers"].to_numpy().reshape(len(names), len(names))
    assert found["customers"] == counts.sum()
    assert found["moved"] == pytest.approx(1 - np.trace(counts) / counts.sum())
    assert (found["upward"], found["downward"]) == pytest.approx(matrix_weighted_bandwidth(counts))


def test_nobody_moves_where_nothing_changed(as_risk, check):
    # a copy: the rows themselves would mean that there are no earlier ones
    same = replace(as_risk, reference=replace(as_risk.current))
    found = values(check("tiers.migration", same)[0])
    assert (found["upward"], found["downward"], found["moved"]) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("name", sorted(NEEDS_REFERENCE))
def test_a_test_without_unseen_rows_before_it_is_compared_with_none(name, as_risk, check):
    alone, _ = check(name, replace(as_risk, reference=as_risk.current))
    assert alone.verdict == "not_applicable"
    assert alone.reason == WITHOUT_REFERENCE
    compared, _ = check(name, replace(as_risk, reference=replace(as_risk.current)))
    assert compared.reason != WITHOUT_REFERENCE


def test_transactions_do_not_migrate(evidence, check):
    assert check("tiers.migration", evidence)[0].verdict == "not_applicable"


def test_overrides_are_counted_by_direction(evidence, check):
    grades = evidence.current.grades
    tier = grades.before.copy()
    tier[:1500], tier[1500:1600] = 4, 0
    rows = replace(evidence.current, grades=replace(grades, tier=tier))
    result, findings = check("tiers.overrides", replace(evidence, current=rows))
    found = values(result)
    assert found["raised"] == (grades.before[:1500] < 4).sum()
    assert found["lowered"] == (grades.before[1500:1600] > 0).sum()
    assert found["rate"] == pytest.approx((found["raised"] + found["lowered"]) / len(rows))
    assert [finding.id for finding in findings] == ["tiers.overrides/rate/amber"]


def test_each_row_of_a_tier_in_force_was_set_by_its_last_step(evidence, check):
    grades, rows = evidence.current.grades, evidence.current
    rated, final = grades.model.copy(), grades.model.copy()
    rated[:900] = 2  # the expert rating sets these, where the model did not give the same tier
    final[:] = rated
    final[800:1000] = 4  # and an override sets these
    graded = replace(grades, of_score=rated, before=rated, tier=final)
    result, _ = check(
        "tiers.concentration", replace(evidence, current=replace(rows, grades=graded))
    )
    table = result.table("in_force")
    steps = table[["by_model", "by_rating", "by_history", "by_override"]]
    assert (steps.sum(axis=1) == table["rows"]).all()
    assert table["rows"].sum() == len(rows)
    assert steps.iloc[4].to_dict() == {
        "by_model": (grades.model[np.r_[0:800, 1000 : len(rows)]] == 4).sum()
        - (grades.model[:800] == 4).sum()
        + (rated[800:1000] == 4).sum(),
        "by_rating": 0,
        "by_history": 0,
        "by_override": (rated[800:1000] != 4).sum(),
    }
    assert steps["by_rating"].sum() == (grades.model[:800] != 2).sum()
    assert table["positives"].sum() == rows.target.sum()
    assert table["expected"].sum() == pytest.approx(rows.evaluated_probability.sum())
    assert (table["customers"] <= table["rows"]).all()


def test_the_counts_of_each_period_add_up_to_the_whole(evidence, check):
    rows, result = evidence.current, check("discrimination.periods", evidence)[0]
    table = result.table("auc")
    assert len(table) > 1
    assert table["positives"].sum() == rows.target.sum()
    assert table["expected"].sum() == pytest.approx(rows.evaluated_probability.sum())


def test_a_worse_model_than_the_champion_fails(evidence, check):
    noise = np.random.default_rng(0).normal(size=len(evidence.current)) * 2
    rows = replace(evidence.current, margin=evidence.current.margin + noise)
    rival = ChampionScores(label="world v1", rows=evidence.current)
    result, findings = check("benchmarks.champion", replace(evidence, current=rows, rival=rival))
    assert result.verdict == "fail"
    assert values(result)["auc_difference"] < 0
    assert values(result)["moved"] == 0.0  # tiers are of the probability, which is the same
    assert "benchmarks.champion/ap_difference_high/red" in {each.id for each in findings}


def test_the_champion_beside_itself_makes_no_difference(evidence, check):
    rival = ChampionScores(label="itself", rows=evidence.current)
    result, findings = check("benchmarks.champion", replace(evidence, rival=rival))
    assert values(result)["ap_difference"] == 0.0
    assert not findings


@pytest.mark.parametrize(("again", "verdict"), [("a", "pass"), ("b", "fail")])
def test_a_retrained_bundle_must_be_the_same(evidence, check, again, verdict):
    retrained = Retrained(
        recorded="a", again=again, differing=() if again == "a" else ("model.txt",), changes=()
    )
    result, _ = check("implementation.reproduction", replace(evidence, retrained=retrained))
    assert result.verdict == verdict


def test_a_lost_or_doubled_row_fails(evidence, check):
    keys = evidence.current.features.keys
    result, _ = check(
        "implementation.reconciliation",
        replace(evidence, observations=SimpleNamespace(num_rows=keys.num_rows + 1)),
    )
    assert values(result)["lost"] == 1
    assert result.verdict == "fail"
    ids = keys["observation_id"].to_pylist()
    ids[1] = ids[0]
    doubled = keys.set_column(0, "observation_id", pa.array(ids))
    rows = evidence.current
    rows = replace(rows, features=replace(rows.features, keys=doubled))
    result, _ = check("implementation.reconciliation", replace(evidence, current=rows))
    assert values(result)["doubled"] == 1


def test_contributions_that_do_not_add_up_fail(evidence, check):
    margin = evidence.current.margin.copy()
    margin[7] += 1e-3
    result, _ = check(
        "explanation.additivity",
        replace(evidence, current=replace(evidence.current, margin=margin)),
    )
    assert values(result)["worst_error"] == pytest.approx(1e-3)
    assert result.verdict == "fail"


def test_a_declared_direction_is_held_against_the_model(evidence, check):
    config = evidence.bundle.config
    declared = config.model_copy(
        update={"model": config.model.model_copy(update={"monotone": True})}
    )
    claimed = replace(evidence, bundle=replace(evidence.bundle, config=declared))
    result, findings = check("explanation.monotone", claimed)
    # the model was not made to keep it: a bundle that says so is caught
    assert values(result)["features"] == 1
    assert (values(result)["violations"] > 0) == bool(findings)


def test_values_beyond_the_training_rows_are_counted(evidence, check):
    numbers = evidence.current.matrix.copy(order="F")
    numbers[:3_000, 0] = 99.0
    rows = evidence.current
    rows = replace(rows, features=replace(rows.features, numbers=numbers))
    result, _ = check("robustness.training_range", replace(evidence, current=rows))
    assert values(result)["rows"] == pytest.approx(0.25, abs=0.01)
    assert result.figure("highest").about == "signal"
    assert result.verdict == "finding"


def test_features_that_move_with_time_alone_are_outside_the_range_by_themselves(evidence, check):
    numbers = evidence.current.matrix.copy(order="F")
    numbers[:3_000, 0] = 99.0
    aged = tuple(
        replace(spec, how=Latest(table="third_party", key=("customer_id",), reading="age_hours"))
        if spec.name == "signal"
        else spec
        for spec in evidence.bundle.specs
    )
    rows = evidence.current
    moved = replace(
        evidence,
        bundle=replace(evidence.bundle, specs=aged),
        current=replace(rows, features=replace(rows.features, numbers=numbers)),
    )
    result, _ = check("robustness.training_range", moved)
    assert values(result)["rows"] < 0.1
    assert values(result)["rows_time_bound"] == pytest.approx(0.25, abs=0.01)
    assert result.verdict == "pass"


def test_periods_and_segments_sum_to_all_rows(evidence, check):
    for name in ("discrimination.periods", "discrimination.segments"):
        table = check(name, evidence)[0].table("auc")
        assert table["rows"].sum() == len(evidence.current)


def test_fairness_names_the_groups_and_leaves_small_ones_out(evidence, check):
    result, _ = check("fairness.equal_opportunity", evidence, fewest=300)
    rates = result.table("rates")
    assert set(rates["feature"]) == {"segment", "plain"}
    small = rates["positives"] < 300
    assert small.any()
    assert rates["rate"].isna().equals(small)
    said = " ".join(note.en for note in result.notes)
    assert all(name in said for name in rates.loc[small, "group"])


def test_a_group_of_few_positives_has_a_false_positive_rate(evidence, check):
    """Honest customers are what it is of: a group without misconduct may be bothered most."""
    rows = evidence.current
    private = rows.category("segment") == "private"
    spared = rows.status.copy()
    spared[private & (rows.status == "positive")] = "negative"
    honest = replace(rows, status=spared)
    result, _ = check("fairness.predictive_equality", replace(evidence, current=honest))
    rates = result.table("rates").set_index("group")
    flagged = (
        rows.margin
        >= np.sort(rows.margin[spared == "negative"])[::-1][
            int(0.05 * (spared == "negative").sum()) - 1
        ]
    )
    assert rates.loc["private", "positives"] == 0
    assert rates.loc["private", "rate"] == pytest.approx(flagged[private].mean(), abs=2e-3)


def test_a_part_that_expects_few_is_judged_for_too_low_probabilities(evidence, check):
    """The lower its probabilities are, the fewer positives it expects."""
    rows = evidence.current
    corporate = rows.category("segment") == "corporate"
    factor = 8.0 / rows.probability[corporate].sum()  # of some hundred positives
    lowered = replace(
        rows, probability=np.where(corporate, factor * rows.probability, rows.probability)
    )
    worse = replace(evidence, current=lowered)
    result, findings = check("calibration.segments", worse, fewest=20)
    table = result.table("segments").set_index("segment")
    assert table.loc["segment = corporate", "expected"] == pytest.approx(8.0)
    assert values(result)["highest_low"] == table.loc["segment = corporate", "low"]
    assert "calibration.segments/missed_share/red" in {each.id for each in findings}
    result, findings = check("fairness.calibration", worse, fewest=20)
    assert values(result)["highest_low"] == table.loc["segment = corporate", "low"]


def test_the_level_of_all_rows_and_of_each_tier_is_tested_by_customer(evidence, check):
    rows = evidence.current
    result = check("calibration.jeffreys", evidence)[0]
    found, table = values(result), result.table("tiers")
    whole = observed_over_expected(
        rows.target, rows.evaluated_probability, rows.evaluated_customers
    )
    assert (found["under_p_all"], found["over_p_all"]) == (whole.under_p, whole.over_p)
    tier = rows.grades.model[rows.evaluated]
    under = [
        observed_over_expected(
            rows.target[tier == each],
            rows.evaluated_probability[tier == each],
            rows.evaluated_customers[tier == each],
        ).under_p
        for each in range(len(table))
    ]
    assert found["under_p"] == np.nanmin(holm(under))
    assert table["level_under"].to_numpy() == pytest.approx(holm(under), nan_ok=True)


def test_savings_take_the_policys_costs_before_the_models_own(evidence, check):
    usual = values(check("benchmarks.savings", evidence)[0])
    told = values(check("benchmarks.savings", evidence, review_cost=1.0, miss_cost=100.0)[0])
    positives = evidence.current.target.sum()
    assert told["cost_of_none"] == pytest.approx(100 * positives)
    assert told["cost_of_all"] == pytest.approx(len(evidence.current))
    assert usual["cost_of_none"] == pytest.approx(
        (evidence.current.amount * evidence.current.target).sum()
    )


def test_every_table_is_small_enough_for_a_report(evidence, check):
    for name in PROCEDURES:
        for table in check(name, evidence, compared_rows=5)[0].tables:
            assert len(table.frame) <= 500
            assert isinstance(table.frame.index, pd.RangeIndex)


def test_every_column_of_a_table_has_a_chinese_name(as_risk, evidence, check):
    for each in (evidence, as_risk):
        for name in PROCEDURES:
            for table in check(name, each, compared_rows=5)[0].tables:
                unnamed = set(table.frame.columns) - set(COLUMNS)
                assert not unnamed, (name, table.name, unnamed)


def test_tiers_that_no_probability_reaches_are_named(evidence, check):
    rows = evidence.current
    flat = replace(rows, grades=replace(rows.grades, model=np.full_like(rows.grades.model, 2)))
    figure = check("tiers.concentration", replace(evidence, current=flat))[0].figure("unreached")
    names = evidence.bundle.policy.tier_names
    assert figure.value == len(names) - 1
    assert figure.about == ", ".join(name for name in names if name != names[2])


def test_the_auc_of_the_probability_counts_its_ties(evidence, check):
    rows = evidence.current
    coarse = np.where(rows.probability > np.median(rows.probability), 0.1, 0.01)
    found = values(
        check("discrimination.auc", replace(evidence, current=replace(rows, probability=coarse)))[0]
    )
    assert found["distinct"] == 2
    assert found["auc_of_probability"] == pytest.approx(roc_auc_score(rows.target, coarse))
    assert found["auc"] > found["auc_of_probability"]
