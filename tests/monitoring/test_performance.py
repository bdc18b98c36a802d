"""Months of decision: closed rows are ranked, and the newest months have a corrected level."""

import numpy as np
import pytest

from kyc_ml.monitoring import performance_by_month


def bank(known, *, as_of, delay=60, rows=12_000, seed=0, **columns):
    """Make 360 days of calibrated rows whose positives are reported after 20 days on average."""
    rng = np.random.default_rng(seed)
    proba = 1 / (1 + np.exp(-rng.normal(-3.0, 1.0, rows)))
    return known(
        decided=np.linspace(0.0, 359.9, rows),
        probability=proba,
        target=(rng.random(rows) < proba).astype(float),
        took=np.minimum(rng.exponential(20.0, rows), 59.0),
        delay=delay,
        as_of=as_of,
        customer_id=[f"c{each}" for each in rng.integers(0, rows // 3, rows)],
        **columns,
    )


def test_newest_months_are_corrected_for_what_is_not_reported_yet(known):
    outcomes = bank(known, as_of=360)
    found = performance_by_month(outcomes, per_day=3.0, draws=50).set_index("month")
    assert list(found.index) == [f"2025-{month:02d}" for month in range(1, 13)]
    assert (found["complete"].iloc[:9] == 1.0).all()
    newest = found.iloc[-1]
    assert newest["closed"] == 0
    assert 0.3 < newest["complete"] < 0.7
    assert np.isnan(newest["auc"])
    rows = outcomes.rows[outcomes.month.to_numpy() == "2025-12"]
    raw = newest["positives"] / rows["probability"].sum()
    assert raw < 0.75
    assert abs(newest["o_e"] - 1.0) < 0.25
    assert (found["o_e_low"] <= 1.0).sum() >= 11
    assert (found["o_e_high"] >= 1.0).sum() >= 11
    # less is known of the newest month than of one that is complete
    width = np.log(found["o_e_high"] / found["o_e_low"])
    assert width.iloc[-1] > width.iloc[:9].max()


def test_closed_months_agree_with_the_figures_of_their_rows(known):
    outcomes = bank(known, as_of=500)
    found = performance_by_month(outcomes, per_day=2.0, draws=20).set_index("month")
    here = outcomes.month.to_numpy() == "2025-03"
    rows = outcomes.rows[here]
    target, score = rows["target"].to_numpy(), rows["probability"].to_numpy()
    above = score[target == 1][:, None] > score[target == 0]
    march = found.loc["2025-03"]
    assert march["auc"] == pytest.approx(above.mean())
    assert march["o_e"] == pytest.approx(target.sum() / score.sum())
    best = rows.assign(day=rows["decision_time"].dt.date).sort_values("probability").groupby("day")
    caught = best.tail(2)["target"].sum() / target.sum()
    assert march["recall_at_capacity"] == pytest.approx(caught)
    for name in ("auc", "average_precision", "recall_at_capacity"):
        assert march[f"{name}_low"] <= march[name] <= march[f"{name}_high"]


def test_too_few_closed_positives_correct_nothing(known):
    outcomes = bank(known, as_of=360, delay=355)
    newest = performance_by_month(outcomes, per_day=3.0, draws=10).iloc[-1]
    assert newest["positives"] > 0
    assert np.isnan(newest["o_e"])


def test_months_are_those_of_the_zone(known):
    found = performance_by_month(
        known(decided=[30.9], probability=[0.1], zone="Asia/Shanghai"), per_day=1.0
    )
    assert found["month"].tolist() == ["2025-02"]


def test_no_row_and_one_class(known):
    assert performance_by_month(known(decided=[], probability=np.zeros(0)), per_day=1.0).empty
    (line,) = performance_by_month(
        known(decided=[1.0, 2.0], probability=[0.0, 0.0]), per_day=1.0
    ).to_dict("records")
    assert line["rows"] == 2
    assert np.isnan(line["o_e"])
    assert np.isnan(line["auc"])
