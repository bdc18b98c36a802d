"""The level is tested in order of maturity, and an alarm is open until the level is right again."""

import numpy as np
import pytest

from kyc_ml.metrics import level_evidence
from kyc_ml.monitoring import LevelPolicy, Severity, level_signals

DAYS, EACH = 200, 20


def bank(known, rate, *, p=0.05, days=DAYS, seed=0, **columns):
    """Score 20 rows a day; `rate` gives the true chance of each day."""
    rng = np.random.default_rng(seed)
    decided = np.repeat(np.arange(days), EACH)
    true = np.array([rate(day) for day in range(days)])[decided]
    return known(
        decided=decided + 0.5,
        probability=p,
        target=(rng.random(decided.size) < true).astype(float),
        **columns,
    )


def test_a_right_level_raises_nothing(known):
    found = level_signals(bank(known, lambda day: 0.05))
    assert found.signals == ()
    assert not found.path["alarm"].any()
    assert found.path["rows"].sum() == 2 * DAYS * EACH  # all, and one tier


def test_a_level_twice_as_high_is_found_with_its_time(known):
    outcomes = bank(known, lambda day: 0.05 if day < 100 else 0.12)
    found = {each.code: each for each in level_signals(outcomes).signals}
    assert set(found) == {"level.all", "level.tier"}
    signal = found["level.tier"]
    assert signal.subject == "low"
    assert signal.severity is Severity.CRITICAL
    assert 1.8 < signal.value < 3.0
    # decided from day 100, windows of 30 days
    assert "2025-05-11" <= signal.day <= "2025-06-10"
    for text in (signal.text, signal.text_zh, signal.guarantee, signal.guarantee_zh):
        assert text
        assert "{" not in text


def test_too_high_probabilities_are_found_too(known):
    (signal, _) = level_signals(bank(known, lambda day: 0.02)).signals
    assert signal.value < 0.7
    assert signal.limit == pytest.approx(0.8)


def test_a_level_that_is_right_again_closes_the_alarm(known):
    outcomes = bank(known, lambda day: 0.15 if 50 <= day < 70 else 0.05, days=300)
    found = level_signals(outcomes)
    assert found.path["alarm"].any()
    assert found.signals == ()


def test_a_change_inside_the_margin_is_no_signal(known):
    found = level_signals(bank(known, lambda day: 0.3 * 1.15, p=0.3, days=340))
    assert found.path["alarm"].any()
    assert found.signals == ()


def test_early_reports_do_not_make_evidence_early(known):
    # positives of open windows are known, their negatives are not
    outcomes = bank(known, lambda day: 0.05, as_of=DAYS + 5, took=1.0)
    path = level_signals(outcomes).path
    assert path["day"].max() < "2025-07-26"
    assert path["rows"].sum() == 2 * (DAYS - 25) * EACH


def test_a_positive_reported_late_counts_as_negative(known):
    outcomes = bank(known, lambda day: 0.05, took=31.0)
    assert level_signals(outcomes).path["positives"].sum() == 0


def test_limits_are_shared_by_the_tiers_of_a_family(known):
    tier = np.tile(["low", "high"], DAYS * EACH // 2)
    outcomes = bank(known, lambda day: 0.05, tier=tier)
    path = level_signals(outcomes, LevelPolicy(false_alarms=1.0)).path
    first = path[(path["family"] == "tier") & (path["subject"] == "high")].iloc[0]
    rows = outcomes.rows[(outcomes.rows["tier"] == "high")].iloc[: EACH // 2]
    zero = np.zeros(len(rows), np.int64)
    values = level_evidence(
        rows["target"].to_numpy(), rows["probability"].to_numpy(), day=zero,
        groups=np.arange(len(rows)),
    )  # fmt: skip
    weights = np.array([0.35, 0.25, 0.1, 0.2, 0.1])
    assert first["evidence"] == pytest.approx(np.exp(values[0]) @ weights / (2 * 365))


def test_segments_are_a_family_where_there_are_several(known):
    one = level_signals(bank(known, lambda day: 0.05)).path
    two = level_signals(
        bank(known, lambda day: 0.05, segment=np.tile(["retail", "business"], DAYS * EACH // 2))
    ).path
    assert set(one["family"]) == {"all", "tier"}
    assert set(two.loc[two["family"] == "segment", "subject"]) == {"retail", "business"}


def test_no_outcome_yet(known):
    found = level_signals(bank(known, lambda day: 0.05, days=10, as_of=20))
    assert found.signals == ()
    assert found.path.empty
