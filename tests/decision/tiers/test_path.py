"""How a tier came about, in words: silent where the probability alone decided."""

import pytest

from kyc_ml.decision import say_path

SCORE = {
    **dict.fromkeys(("tier", "tier_before_overrides", "tier_of_score", "tier_of_model"), "medium"),
    "segment": "all",
    "expert_grade": "low",
    "override_code": None,
}


def changed(**values):
    return say_path({**SCORE, **values})


def test_the_probability_alone_needs_no_word():
    assert changed() == ""
    assert changed(override_code="floor that was reached anyhow") == ""


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"segment": "entity"}, "medium by the probability, cut-offs of segment entity"),
        (
            {"tier": "high", "tier_before_overrides": "high", "tier_of_score": "high",
             "expert_grade": "top"},
            "medium by the probability; high with the expert rating (top)",
        ),
        (
            {"tier": "high", "tier_before_overrides": "high"},
            "medium by the probability; kept at high by hysteresis",
        ),
        (
            {"tier": "high", "override_code": "list_hit;case"},
            "medium by the probability; high by override list_hit;case",
        ),
    ],
)  # fmt: skip
def test_each_step_that_moved_the_tier_is_named(values, said):
    assert changed(**values) == said


def test_steps_are_told_in_the_order_in_which_a_tier_comes_about():
    said = changed(
        tier="a", override_code="x", tier_before_overrides="b", tier_of_score="c", segment="s"
    )
    assert [said.index(word) for word in ("medium", "segment s", "c with", "at b", "a by")] == (
        sorted(said.index(word) for word in ("medium", "segment s", "c with", "at b", "a by"))
    )
