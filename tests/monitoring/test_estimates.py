"""Estimates without outcomes agree with the truth while their assumption holds."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from kyc_ml.metrics import auc, average_precision
from kyc_ml.metrics.ranking import Ranking
from kyc_ml.monitoring import coverage_signals, estimates_by_period
from kyc_ml.monitoring.estimates import ASSUMPTIONS, ESTIMATED, density_ratio, widen


def bank(known, *, rows=12_000, days=300, seed=0, published=lambda p: p, **columns):
    """Score rows of 300 days; `published` spoils the true chance."""
    rng = np.random.default_rng(seed)
    true = expit(rng.normal(-2.0, 1.2, rows))
    return known(
        decided=np.linspace(0.0, days - 0.1, rows),
        probability=published(true),
        target=(rng.random(rows) < true).astype(float),
        delay=40,
        **columns,
    )


def estimate(outcomes, **options):
    return estimates_by_period(outcomes, per_day=4.0, **{"draws": 60, **options})


def test_intervals_contain_the_truth_that_comes_later(known):
    found = pd.concat([estimate(bank(known, seed=seed)) for seed in (10, 11, 12)])
    later = found[found["reference_rows"] > 0]
    assert set(later["estimator"]) == {"cbpe"}
    assert later["covered"].mean() >= 0.9
    assert found["truth"].notna().all()


def test_what_is_known_at_the_end_of_a_month_is_all_that_is_used(known):
    whole = estimate(bank(known), draws=10).set_index(["month", "figure"])
    early = estimate(bank(known, as_of=180), draws=10).set_index(["month", "figure"])
    months = [f"2025-{month:02d}" for month in range(1, 6)]
    for month in months:
        columns = ["estimate", "low", "high", "reference_rows"]
        pd.testing.assert_frame_equal(
            early.loc[[month], columns], whole.loc[[month], columns], rtol=1e-9
        )
    # of June, windows close after day 180
    assert early.loc["2025-06", "truth"].isna().all()
    assert set(early.loc["2025-06", "covered"]) == {None}


def test_spoilt_probabilities_are_calibrated_again(known):
    found = estimate(bank(known, published=lambda p: expit(logit(p) * 1.5 + 1.0)))
    level = found[(found["figure"] == "o_e") & (found["reference_rows"] > 0)]
    assert (level["truth"] < 0.9).all()
    assert (level["estimate"] - level["truth"]).abs().mean() < 0.07


def test_truth_is_that_of_the_metrics(known):
    outcomes = bank(known)
    here = (outcomes.month == "2025-05").to_numpy()
    rows = outcomes.rows[here]
    target = rows["target"].to_numpy()
    found = estimate(outcomes, draws=2).set_index(["month", "figure"])["truth"]["2025-05"]
    ranked = Ranking.of(target, rows["probability"].to_numpy()).found(np.ones(here.sum(), np.int64))
    assert found["auc"] == pytest.approx(auc(*ranked))
    assert found["average_precision"] == pytest.approx(average_precision(*ranked))
    assert found["o_e"] == pytest.approx(target.sum() / rows["probability"].sum())


def test_weights_by_features_see_a_shift_that_the_probability_hides(known):
    rng = np.random.default_rng(0)
    rows = 12_000
    late = np.linspace(0.0, 300.0, rows) >= 240.0
    # the model does not know a feature that triples the odds and becomes common
    flag = (rng.random(rows) < np.where(late, 0.8, 0.1)).astype(float)
    base = rng.normal(-2.0, 1.2, rows)
    true = expit(base + np.log(3.0) * flag)
    outcomes = known(
        decided=np.linspace(0.0, 299.9, rows),
        probability=expit(base),
        target=(rng.random(rows) < true).astype(float),
        delay=40,
    )
    features = pd.DataFrame(
        {"flag": flag, "base": base, "nothing": np.nan}, index=outcomes.rows["observation_id"]
    )
    found = estimate(outcomes, features=features)
    last = found[(found["figure"] == "o_e") & (found["month"] == "2025-09")]
    by = last.set_index("estimator")
    away = (by["estimate"] - by["truth"]).abs()
    assert away["pape"] < away["cbpe"] / 3.0
    assert by.loc["pape", "covered"]


def test_the_ratio_of_densities_is_that_of_the_samples():
    rng = np.random.default_rng(0)
    past, now = rng.normal(0.0, 1.0, (4000, 1)), rng.normal(0.5, 1.0, (4000, 1))
    found = density_ratio(past, now, seed=0)
    true = np.exp(0.5 * past[:, 0] - 0.125)
    assert np.corrcoef(found, true)[0, 1] > 0.8
    assert found.mean() == pytest.approx(1.0)


def test_no_ratio_is_learned_of_periods_that_are_alike():
    rng = np.random.default_rng(1)
    past, now = rng.normal(size=(2, 2000, 3))
    assert (density_ratio(past, now, seed=0) == 1.0).all()


ENDS = np.array([[0.6] * 3 + [0.9], [0.8] * 3 + [1.1]])
MIDDLE = ENDS.mean(axis=0)


@pytest.mark.parametrize("between", [0.0, 0.1])
def test_new_months_are_in_intervals_that_earlier_errors_widen(between):
    rng = np.random.default_rng(0)
    own = np.full(4, 0.1 / 1.96)
    inside = []
    for _ in range(400):
        error = rng.normal(scale=np.hypot(own, between), size=(13, 4)) / 5.0
        known = [(each, own / 5.0) for each in error[1:]]
        ends = MIDDLE + (ENDS - MIDDLE) / 5.0
        low, high = widen(MIDDLE, ends, known)
        assert (low <= ends[0]).all()
        assert (high >= ends[1]).all()
        inside.append((np.abs(error[0]) <= (high - low) / 2.0).mean())
    assert 0.92 < np.mean(inside) < 0.99


def test_widened_ends_stay_figures_and_unknown_errors_do_not_count():
    own = np.full(4, 0.05)
    far = [(np.full(4, 5.0), own)] * 5
    low, high = widen(MIDDLE, ENDS, far)
    assert (low == 0.0).all()
    assert (high[:3] == 1.0).all()
    assert high[3] > 5.0
    small = [(np.full(4, 0.01), own)] * 5
    unknown = [(np.full(4, np.nan), own), (np.zeros(4), np.zeros(4))]
    np.testing.assert_array_equal(widen(MIDDLE, ENDS, small + unknown), widen(MIDDLE, ENDS, small))
    assert np.isfinite(widen(MIDDLE, ENDS, unknown * 2)).all()


def test_without_a_reference_probabilities_are_taken_as_they_are(known):
    found = estimate(bank(known, rows=400, days=29, as_of=28))
    assert (found["reference_rows"] == 0).all()
    level = found.set_index("figure").loc["o_e"]
    assert level["estimate"] == pytest.approx(1.0)
    assert level["low"] < 1.0 < level["high"]


def test_a_figure_that_few_draws_determine_is_not_estimated(known):
    rng = np.random.default_rng(3)
    few = known(
        decided=np.linspace(0.0, 20.0, 100), probability=rng.uniform(0.001, 0.02, 100),
        target=np.zeros(100), delay=40,
    )  # fmt: skip
    found = estimate(few, draws=200).set_index("figure")
    ends = ["estimate", "low", "high"]
    assert found.loc[["auc", "average_precision", "recall_at_capacity"], ends].isna().all(axis=None)
    assert found.loc["o_e", "low"] == 0.0
    assert found.loc["o_e", "estimate"] == pytest.approx(1.0)
    assert 1.0 < found.loc["o_e", "high"] < 6.0


def test_another_version_of_the_model_is_no_reference(known):
    rows = 3000
    model = np.where(np.arange(rows) < rows / 2, "fraud v1", "fraud v2")
    found = estimate(bank(known, rows=rows, model=model), draws=2)
    june = found[found["month"] == "2025-06"]
    assert (june["reference_rows"] == 0).all()
    assert (found[found["month"] == "2025-09"]["reference_rows"] > 0).all()


def test_no_row(known):
    assert estimate(known(decided=[], probability=np.zeros(0))).empty


@pytest.mark.parametrize(("missed", "signals"), [(0, 0), (1, 0), (9, 1)])
def test_coverage_is_tested(missed, signals):
    months = 12
    table = pd.DataFrame(
        {
            "month": [f"2025-{month + 1:02d}" for month in range(months)],
            "estimator": "cbpe",
            "figure": "auc",
            "reference_rows": 100,
            "covered": [place >= missed for place in range(months)],
        }
    ).astype({"covered": object})
    found = coverage_signals(table, model="fraud", day="2026-01-01")
    assert [each.subject for each in found] == ["cbpe.auc"] * signals
    for each in found:
        assert each.value >= each.limit
        assert "{" not in each.text + each.text_zh + each.guarantee + each.guarantee_zh


def test_each_estimator_states_its_assumption():
    assert all(text.en and text.zh for text in ASSUMPTIONS.values())
    assert len(ESTIMATED) == 4
