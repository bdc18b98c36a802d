"""The rating that stands in: no probability, the card's grade, every row marked."""

import numpy as np
import pytest

from kyc_ml.config import check_section
from kyc_ml.decision import NO_OVERRIDES, TierPolicy
from kyc_ml.errors import ConfigError
from kyc_ml.features import Own
from kyc_ml.scoring.by_rating import RatingScorer, card_of
from kyc_ml.scoring.schema import RATING, describe_columns


def tier(name, bound, months):
    return {
        "name": name, "name_zh": name, "from_probability": bound, "review_months": months,
        "due_diligence": "standard", "monitoring": "usual",
    }  # fmt: skip


ITEM = {
    "name": "age", "family": "customer", "english": "age", "chinese": "年龄", "feature": "age",
    "weights": {"all": 100}, "below": 1, "missing": 1, "source": "c",
    "steps": [{"from": 1, "score": 2}, {"from": 2, "score": 3}],
}  # fmt: skip
CARD = {
    "name": "card", "version": 4, "unit": "risk", "source": "c", "absent": "drop",
    "cut_offs_source": "c", "sub_items": [ITEM],
    "grades": [
        {"name": "g1", "name_zh": "一"},
        {"name": "g2", "name_zh": "二", "from_score": 50},
        {"name": "g3", "name_zh": "三", "from_score": 80},
    ],
}  # fmt: skip
POLICY = {
    "name": "p", "version": 1, "author": "a", "approver": "b", "valid_from": "2024-01-01",
    "tiers": [tier("low", 0.0, 24), tier("medium", 0.01, 12), tier("high", 0.1, 6)],
    "expert": {"card": CARD, "tier_of_grade": {"g1": "low", "g2": "medium", "g3": "high"}},
}  # fmt: skip


@pytest.fixture
def scorer(make_spec):
    return RatingScorer(
        policy=check_section(POLICY, TierPolicy, subject="p"),
        specs=(make_spec("age", Own(reading="night"), family="profile"),),
        name="models:/risk@champion", currency="CNY", cash_report=50_000.0, reasons=2,
        book=NO_OVERRIDES,
    )  # fmt: skip


def test_rows_are_rated_and_marked(scorer, make_table):
    facts = make_table(scorer.specs, np.array([[0.0], [1.0], [2.0], [np.nan]]), {})
    part = scorer.score(facts)
    table = part.scores.to_pydict()
    assert table["expert_grade"] == ["g1", "g2", "g3", "g1"]
    assert table["tier"] == ["low", "medium", "high", "low"]
    for name in ("margin", "probability", "tier_of_model", "model_digest"):
        assert table[name] == [None] * 4
    assert set(table["scored_by"]) == {RATING}
    assert set(table["model_version"]) == {"card 4"}
    assert part.contributions is None
    assert (part.counts.rows, part.counts.expected) == (4, {})
    assert part.counts.tiers == {"low": 2, "medium": 1, "high": 1}
    assert part.counts.graded == {}  # there was no model's tier that the rating could move
    assert set(part.scores.column_names) <= set(describe_columns(reasons=2))


def test_reasons_and_base_make_the_score_of_the_card(scorer, make_table):
    part = scorer.score(make_table(scorer.specs, np.array([[0.0], [1.0], [2.0]]), {}))
    base = np.array(part.scores["base_value"])
    points = np.array(part.scores["reason_1_contribution"])
    np.testing.assert_allclose(base + points, [100 / 3, 200 / 3, 100.0])


def test_one_row_is_rated_as_in_a_batch(scorer, make_table):
    values = np.array([[2.0], [0.0], [1.0]])
    whole = scorer.score(make_table(scorer.specs, values, {})).scores.to_pylist()
    single = scorer.score(make_table(scorer.specs, values[:1], {})).scores.to_pylist()
    assert single == whole[:1]


def test_a_policy_without_a_card_cannot_stand_in(policy):
    with pytest.raises(ConfigError, match="rating"):
        card_of(policy)
