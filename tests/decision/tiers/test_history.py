"""A tier rises at once, and falls only after enough reviews, or by a margin."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.decision import TierHistory, assign_tiers, grade
from kyc_ml.errors import ConfigError

LOW, MEDIUM, HIGH = 0, 1, 2
NAMES = ("low", "medium", "high")
PROBA = st.floats(0.0, 1.0)
PLACES = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=6)


def reviews_of(*tiers, customer="c0", first="2025-12-01"):
    """Give monthly reviews: (tier before overrides, tier of the score), oldest first."""
    dates = pd.date_range(first, periods=len(tiers), freq="MS", tz="UTC")
    return pd.DataFrame(
        {
            "customer_id": [customer] * len(tiers),
            "decision_time": dates,
            "tier_before_overrides": [NAMES[before] for before, _ in tiers],
            "tier_of_score": [NAMES[score] for _, score in tiers],
        }
    )


def history_of(policy, *tiers, **rest):
    return TierHistory.of(reviews_of(*tiers, **rest), policy=policy)


def before(make_facts, policy, history, proba, day="2026-06-15"):
    facts = make_facts(1, days=[day])
    return grade(np.array([proba]), facts, policy=policy, history=history).before[0]


@pytest.mark.parametrize(
    ("past", "falls_to"),
    [
        ([LOW], HIGH),  # two reviews with this one: too few, though both are low
        ([HIGH, LOW], HIGH),
        ([LOW, HIGH], HIGH),
        ([LOW, LOW], LOW),
        ([HIGH, LOW, LOW], LOW),
        ([HIGH, MEDIUM, LOW], MEDIUM),  # the highest of the three
    ],
)
def test_a_tier_falls_to_what_the_last_reviews_all_stayed_at_or_below(
    make_policy, make_facts, past, falls_to
):
    policy = make_policy(hysteresis={"reviews": 3})
    history = history_of(policy, *[(HIGH, score) for score in past])
    assert before(make_facts, policy, history, 0.0) == falls_to


@pytest.mark.parametrize("past", range(6))
def test_more_reviews_are_asked_for_than_there_are(make_policy, make_facts, past):
    policy = make_policy(hysteresis={"reviews": 6})
    history = history_of(policy, *[(HIGH, LOW)] * past)
    expected = LOW if past in {0, 5} else HIGH  # nothing to hold up, or five and this one
    assert before(make_facts, policy, history, 0.0) == expected


@pytest.mark.parametrize(
    ("proba", "stays"),
    [(0.0999, HIGH), (0.0801, HIGH), (0.0799, MEDIUM), (0.0081, MEDIUM), (0.0079, LOW)],
)
def test_a_tier_falls_by_a_margin(make_policy, make_facts, proba, stays):
    policy = make_policy(hysteresis={"margin": 0.2})  # 0.08 and 0.008 instead of 0.1 and 0.01
    assert before(make_facts, policy, history_of(policy, (HIGH, HIGH)), proba) == stays


def test_one_review_and_no_margin_hold_nothing_up(make_policy, make_facts):
    for rule in ({"reviews": 1}, {"margin": 0.0}):
        policy = make_policy(hysteresis=rule)
        assert before(make_facts, policy, history_of(policy, (HIGH, HIGH)), 0.0) == LOW


def test_nothing_falls_while_a_rise_cools_down(make_policy, make_facts):
    policy = make_policy(hysteresis={"reviews": 1, "cool_down_days": 90})
    history = history_of(policy, (LOW, LOW), (HIGH, HIGH), first="2026-01-01")  # rose in February
    assert before(make_facts, policy, history, 0.0, "2026-05-01") == HIGH
    assert before(make_facts, policy, history, 0.0, "2026-05-02") == LOW  # 90 days later
    never = history_of(policy, (HIGH, HIGH), (HIGH, HIGH), first="2026-04-01")
    assert before(make_facts, policy, never, 0.0, "2026-05-02") == LOW


RULES = st.builds(
    dict,
    reviews=st.sampled_from([None, 1, 2, 3]),
    margin=st.just(0.3),
    cool_down_days=st.sampled_from([0, 400]),
)


@given(tiers=PLACES, proba=PROBA, rule=RULES)
def test_what_is_held_up_lies_between_the_score_and_the_last_tier(
    make_policy, make_facts, tiers, proba, rule
):
    policy = make_policy(hysteresis=rule)
    score = assign_tiers(np.array([proba]), policy=policy)[0]
    last = tiers[-1][0] if tiers else score
    got = before(make_facts, policy, history_of(policy, *tiers), proba)
    assert score <= got <= max(score, last)


@given(tiers=PLACES, probas=st.tuples(PROBA, PROBA).map(sorted))
def test_held_tiers_are_monotone_in_probability(make_policy, make_facts, tiers, probas):
    policy = make_policy(hysteresis={"reviews": 2, "margin": 0.4})
    history = history_of(policy, *tiers)
    low, high = (before(make_facts, policy, history, proba) for proba in probas)
    assert low <= high


@given(tiers=PLACES.filter(bool), later=PLACES.filter(bool))
def test_later_reviews_and_those_of_others_change_nothing(make_policy, make_facts, tiers, later):
    policy = make_policy(hysteresis={"reviews": 2, "cool_down_days": 60})
    past = reviews_of(*tiers)
    future = reviews_of(*later, first="2026-07-01")
    that_day = reviews_of(later[0]).assign(decision_time=pd.Timestamp("2026-06-15", tz="UTC"))
    others = reviews_of(*later, customer="c9")
    more = pd.concat([future, that_day, others, past], ignore_index=True)
    one, other = (TierHistory.of(frame, policy=policy) for frame in (past, more))
    assert before(make_facts, policy, one, 0.0) == before(make_facts, policy, other, 0.0)


def test_an_override_that_has_ended_leaves_nothing_behind(make_policy, make_facts, sections):
    policy = make_policy(hysteresis={"reviews": 3}, overrides=[sections.rule])
    facts = make_facts(1, days=["2026-12-31"], listed=[1])
    during = grade(np.array([0.0]), facts, policy=policy)
    assert (during.tier[0], during.before[0]) == (HIGH, LOW)
    columns = {**dict(zip(facts.keys.column_names, facts.keys.columns, strict=True)),
               **during.columns()}  # fmt: skip
    scored = pd.DataFrame({name: column.to_pylist() for name, column in columns.items()})
    after = grade(
        np.array([0.0]), make_facts(1, days=["2027-01-31"], listed=[1]), policy=policy,
        history=TierHistory.of(scored, policy=policy),
    )  # fmt: skip
    assert after.tier[0] == LOW


def test_each_row_of_a_batch_has_its_own_customer_s_history(make_policy, make_facts):
    policy = make_policy(hysteresis={"reviews": 2})
    rows = pd.concat([reviews_of((HIGH, HIGH), customer=name) for name in ("c3", "c1")])
    history = TierHistory.of(rows, policy=policy)
    facts = make_facts(5, customers=["c0", "c1", None, "c3", "c1"], days=["2026-06-15"] * 5)
    got = grade(np.zeros(5), facts, policy=policy, history=history)
    assert got.before.tolist() == [LOW, HIGH, LOW, HIGH, HIGH]
    assert got.counts["held up by their history"] == 3


def test_history_of_other_tiers_is_refused(make_policy):
    frame = pd.DataFrame(
        {
            "customer_id": ["c0"],
            "decision_time": [pd.Timestamp("2026-01-01", tz="UTC")],
            "tier_before_overrides": ["medium_high"],
            "tier_of_score": ["low"],
        }
    )
    with pytest.raises(ConfigError, match="tier_before_overrides: medium_high"):
        TierHistory.of(frame, policy=make_policy())
    with pytest.raises(ConfigError, match="tier_of_score"):
        TierHistory.of(frame.drop(columns="tier_of_score"), policy=make_policy())
