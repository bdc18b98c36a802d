"""What set a tier: the last step that changed it, and the numbers in its sentence."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kyc_ml.config import check_section
from kyc_ml.decision import (
    OverrideBook,
    TierHistory,
    grade,
    rate,
    rating_points,
    set_by_columns,
    tiers_set_table,
)

NAMES = ("low", "medium", "high")
ENTRY = {
    "customer_id": "c0", "code": "committee", "reason": "known to the branch", "source": "minutes",
    "start": "2026-01-01", "expiry": "2027-01-01", "approved_on": "2026-01-01",
    "requester": "r", "approver": "s",
}  # fmt: skip
REVIEWS = [("2026-01-01", "medium"), ("2026-02-01", "high"), ("2026-03-01", "high")]


def book_of(*entries):
    rows = [{**ENTRY, **entry} for entry in entries]
    return check_section({"overrides": rows}, OverrideBook, subject="book")


def history_of(policy, reviews=REVIEWS, **columns):
    days, tiers = zip(*reviews, strict=True)
    frame = pd.DataFrame(
        {
            "customer_id": "c0", "decision_time": pd.to_datetime(list(days), utc=True),
            "tier_before_overrides": tiers, "tier_of_score": tiers, **columns,
        }
    )  # fmt: skip
    return TierHistory.of(frame, policy=policy)


def set_by(grades, **how):
    columns = {name: each.to_pylist() for name, each in set_by_columns(grades, **how).items()}
    return list(zip(*columns.values(), strict=True))


@pytest.fixture
def policy_facts(make_policy, sections, make_facts):
    """Return a policy with separate cut-offs of a segment, and what makes its facts."""
    return make_policy(segments=sections.full["segments"]), make_facts


CASES = st.fixed_dictionaries(
    {
        "listed": st.sampled_from([0.0, 1.0, np.nan]),
        "age": st.sampled_from([0.0, 1.0, 2.0, np.nan]),
        "kind": st.sampled_from(["company", "person"]),
        "pep": st.sampled_from(["foreign", "none"]),
    }
)
PROBAS = [0.0, 0.005, 0.01, 0.05, 0.1, 0.19, 0.2, 1.0]
ENTERED = st.sampled_from([(), ({"tier": "low"},), ({"tier": "medium"},), ({"floor": "medium"},)])


@settings(max_examples=settings.default.max_examples * 3)
@given(
    case=CASES,
    how=st.tuples(st.sampled_from(PROBAS), ENTERED, st.booleans()),
)
def test_the_step_named_changed_the_tier_and_no_later_one_did(
    make_policy, sections, make_facts, case, how
):
    (proba, entered, past), parts = how, {**sections.full, "hysteresis": {"reviews": 3}}
    policy = make_policy(**parts)
    facts = make_facts(1, **{name: [value] for name, value in case.items()})
    rest = {"book": book_of(*entered), "history": history_of(policy) if past else None}
    got = grade(np.array([proba]), facts, policy=policy, **rest)
    ((by, english, chinese),) = set_by(got)

    def tier_without(*steps):
        """Grade again with fewer steps of the policy."""
        left = {name: part for name, part in parts.items() if name not in steps}
        again = dict(rest)
        if "overrides" in steps:
            again["book"] = OverrideBook()
        return grade(np.array([proba]), facts, policy=make_policy(**left), **again).tier[0]

    later = {"model": ("expert", "hysteresis", "overrides"), "rating": ("hysteresis", "overrides"),
             "history": ("overrides",), "override": ()}[by]  # fmt: skip
    own = {"model": (), "rating": ("expert",), "history": ("hysteresis",),
           "override": ("overrides",)}[by]  # fmt: skip
    assert tier_without(*later) == got.tier[0]
    if own:
        assert tier_without(*own, *later) != got.tier[0]
    if by != "model":
        assert NAMES[got.tier[0]] in english.lower() or by == "rating"
    assert "{" not in english + chinese


@pytest.mark.parametrize(
    ("kind", "proba", "held"),
    [
        ("person", 0.0, {"0%", "1%", "medium"}),
        ("person", 0.00999996, {"0.999996%", "1%"}),  # never written as the cut-off itself
        ("person", 0.01, {"1%", "medium"}),
        ("person", 0.15, {"15%", "10%", "high"}),
        ("company", 0.15, {"15%", "1%", "medium", "entity"}),
        ("company", 0.2, {"20%", "high", "entity"}),
    ],
)
def test_the_model_s_sentence_has_the_cut_off_of_the_segment(policy_facts, kind, proba, held):
    policy, make_facts = policy_facts
    got = grade(np.array([proba]), make_facts(1, kind=[kind]), policy=policy)
    ((by, english, _),) = set_by(got)
    assert by == "model"
    assert held <= {word.strip(",") for word in english.lower().split()}


def test_the_rating_s_sentence_has_points_and_sub_items(make_policy, sections, make_facts):
    policy = make_policy(expert=sections.full["expert"])
    facts = make_facts(2, age=[2, 0])
    got = grade(np.array([0.0, 0.0]), facts, policy=policy)
    (by, english, chinese), (low_by, _, _) = set_by(got)
    assert (by, low_by) == ("rating", "model")
    for text, words in ((english, ("G3", "100.0", "age 66.7")), (chinese, ("三", "年龄66.7"))):
        assert all(word in text for word in words)
    said = {word.strip(";") for word in english.lower().split()}
    assert {"low", "high"} <= said  # what the model alone gave, and now
    alone = set_by(got, rated=True)
    assert [each[0] for each in alone] == ["rating", "rating"]
    assert not any("model" in text or "模型" in text for text in alone[0][1:])  # there was none


def test_a_direct_criterion_is_named_instead_of_points(make_policy, sections, make_facts):
    card = {**sections.card, "direct_highest": [
        {"code": "d", "english": "on a list", "chinese": "名单", "source": "c",
         "feature": "listed", "at_least": 1}
    ]}  # fmt: skip
    policy = make_policy(expert={**sections.full["expert"], "card": card})
    got = grade(np.array([0.0]), make_facts(1, age=[0], listed=[1]), policy=policy)
    ((by, english, chinese),) = set_by(got)
    assert by == "rating"
    assert english.endswith("on a list")
    assert chinese.endswith("名单")


def test_history_names_the_earlier_tier_and_since_when(make_policy, make_facts):
    policy = make_policy(hysteresis={"reviews": 3})
    got = grade(np.array([0.0]), make_facts(1), policy=policy, history=history_of(policy))
    ((by, english, chinese),) = set_by(got)
    assert by == "history"
    for text in (english.lower(), chinese):
        assert "high" in text
        assert "2026-02-01" in text
        assert "low" in text


def test_an_override_names_rule_source_last_day_approver_and_what_it_raised(
    make_policy, sections, make_facts
):
    policy = make_policy(overrides=[sections.rule])
    got = grade(np.array([0.05]), make_facts(1, listed=[1]), policy=policy)
    ((by, english, chinese),) = set_by(got)
    assert by == "override"
    for text in (english.lower(), chinese):
        said = ("list_hit", "guideline", "2026-12-31", "high", "medium")
        assert all(word in text for word in said)
    assert "名单" in chinese


def test_of_several_overrides_the_one_that_gave_the_tier_is_named(
    make_policy, sections, make_facts
):
    policy = make_policy(overrides=[{**sections.rule, "floor": "medium"}])
    facts = make_facts(1, listed=[1])
    for entries, code in (
        ([{"tier": "high"}], "committee"),
        ([{"tier": "low"}], "list_hit"),
        ([{"tier": "medium"}], "list_hit"),  # a floor is named before a fixed tier
        ([{"floor": "high", "code": "second"}, {"tier": "medium"}], "second"),
    ):
        got = grade(np.array([0.0]), facts, policy=policy, book=book_of(*entries))
        ((by, english, _),) = set_by(got)
        assert (by, english.split()[1].strip(":")) == ("override", code)


# --- what a case sheet and a page read -------------------------------------------------


def test_points_of_the_sub_items_add_up_to_the_rating(sections, make_facts, make_policy):
    card = make_policy(expert=sections.full["expert"]).expert.card
    for age, value in ((0, 0.0), (2, 2.0), (np.nan, None)):
        facts = make_facts(1, age=[age])
        points, rating = rating_points(facts, card), rate(facts, card)
        assert points["points"].sum() == pytest.approx(rating.score[0])
        assert points["above"].sum() + 100 / card.m == pytest.approx(rating.score[0])
        assert points.loc[0, ["name", "chinese"]].tolist() == ["age", "年龄"]
        assert points.loc[0, "value"] == value or value is None


@pytest.mark.parametrize(
    ("tier", "day", "since"),
    [
        ("high", "2026-06-01", "2026-02-01"),
        ("high", "2026-02-02", "2026-02-01"),
        ("high", "2026-02-01", None),  # a review at the decision is not known to it
        ("medium", "2026-06-01", None),
        ("medium", "2026-01-15", "2026-01-01"),
    ],
)
def test_a_tier_holds_since_the_first_unbroken_review(make_policy, tier, day, since):
    policy = make_policy()
    decision = pd.Timestamp(day, tz="UTC")
    for columns in ({}, {"tier": [each for _, each in REVIEWS]}):
        history = history_of(policy, **columns)
        got = history.tier_since("c0", NAMES.index(tier), decision=decision)
        assert got == (None if since is None else pd.Timestamp(since, tz="UTC"))
    assert history.tier_since("c9", 2, decision=decision) is None


def test_since_counts_the_tier_in_force_and_not_that_before_overrides(make_policy):
    policy = make_policy()
    history = history_of(policy, tier=["high", "high", "high"])
    got = history.tier_since("c0", 2, decision=pd.Timestamp("2026-06-01", tz="UTC"))
    assert got == pd.Timestamp("2026-01-01", tz="UTC")


def test_the_table_counts_each_row_by_model_in_force_and_by_what_set_it(
    make_policy, sections, make_facts
):
    policy = make_policy(**sections.full)
    facts = make_facts(4, listed=[1, 0, 0, 0], age=[0, 2, 0, 0], pep=["x"] * 4, kind=["person"] * 4)
    got = grade(np.array([0.0, 0.0, 0.05, 0.5]), facts, policy=policy)
    table = tiers_set_table(pa.table({**got.columns(), **set_by_columns(got)}), policy)
    assert table["tier"].tolist() == ["high", "medium", "low"]
    assert table["by_model"].tolist() == [1, 1, 2]
    assert table["in_force"].tolist() == [3, 1, 0]
    steps = [name for name in table if name.startswith("set_by_")]
    assert table[steps].sum(axis=1).tolist() == table["in_force"].tolist()
    assert table.loc[0, ["set_by_model", "set_by_rating", "set_by_override"]].tolist() == [1, 1, 1]
