"""What would lower a tier is what model and policy say together, card and overrides included."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from kyc_ml.config import check_section
from kyc_ml.decision import NO_OVERRIDES, OverrideBook, TierPolicy, name_grade, write_both
from kyc_ml.features import FeatureTable, Window
from kyc_ml.features.periods import period_of
from kyc_ml.registry import score_features
from kyc_ml.scoring.case import Case
from kyc_ml.scoring.counterfactual import find_counterfactual

CASH = Window(
    table="transactions",
    key=("customer_id",),
    statistic="sum",
    value="amount",
    period=period_of("90d"),
)
NAMES = ("g1", "g2", "g3")


@pytest.fixture(scope="module")
def rated(bundle, small, make_spec):
    """Bundle the small model with a card that reads one feature of conduct beside it."""
    names = bundle.policy.tier_names
    card = {
        "name": "card", "version": 1, "unit": bundle.config.unit, "source": "c", "absent": "drop",
        "grades": [
            {"name": "g1", "name_zh": "一"},
            {"name": "g2", "name_zh": "二", "from_score": 50},
            {"name": "g3", "name_zh": "三", "from_score": 80},
        ],
        "cut_offs_source": "c",
        "sub_items": [
            {
                "name": "cash", "family": "product", "english": "cash", "chinese": "现金",
                "feature": "cash", "weights": {"all": 100}, "below": 1,
                "steps": [{"from": 100, "score": 2}, {"from": 500, "score": 3}], "missing": 1,
                "source": "c",
            }
        ],
    }  # fmt: skip
    tier_of_grade = {"g1": names[0], "g2": names[-2], "g3": names[-1]}
    policy = check_section(
        {
            **bundle.policy.model_dump(mode="json"),
            "expert": {"card": card, "tier_of_grade": tier_of_grade},
        },
        TierPolicy,
        subject="p",
    )
    spec = replace(make_spec("cash", CASH, unit="base currency"), family="instruments")
    lowest = int(np.argmin(bundle.model.margin(small.matrix)))
    features = small.features.take([lowest])

    def case_of(cash, book=NO_OVERRIDES):
        facts = FeatureTable(
            keys=features.keys,
            specs=(*features.specs, spec),
            numbers=np.asfortranarray(np.column_stack([features.numbers, [cash]])),
            categories=features.categories,
            unavailable={},
        )
        own = replace(bundle, policy=policy, specs=(*bundle.specs, spec))
        score = score_features(own, features, facts=facts, book=book).to_pylist()[0]
        return Case(
            bundle=own, observation=features.keys, features=features, facts=facts, book=book,
            history=None, score=score, reasons=pd.DataFrame(),
        )  # fmt: skip

    return case_of


@pytest.mark.parametrize(
    ("cash", "then", "grade"), [(700.0, "495", 1), (300.0, "99", 0), (500.0, "495", 1)]
)
def test_a_tier_that_the_rating_holds_falls_with_what_the_rating_reads(rated, cash, then, grade):
    case = rated(cash)
    assert case.score["tier"] == case.score["tier_of_score"] != case.score["tier_of_model"]
    drop = find_counterfactual(case)
    ((english, chinese),) = drop.lines
    currency = case.bundle.data["base_currency"]
    assert re.search(f": {then} {currency} .* {cash:.0f} {currency}$", english)
    assert chinese.endswith(f"：{cash:.0f} {currency}→{then} {currency}")
    lower = case.bundle.policy.expert.tier_of_grade[NAMES[grade]]
    assert f" {name_grade(lower)}," in drop.note[0]
    after = rated(float(then))
    assert after.score["tier"] == lower


def test_what_an_override_holds_no_habit_lowers(rated):
    case = rated(700.0)
    entry = {
        "customer_id": case.score["customer_id"], "code": "B-1", "reason": "r", "source": "s",
        "floor": case.bundle.policy.tier_names[-1], "start": "2000-01-01", "expiry": "2199-01-01",
        "approved_on": "2000-01-01", "requester": "a", "approver": "b",
    }  # fmt: skip
    book = check_section({"overrides": [entry]}, OverrideBook, subject="book")
    drop = find_counterfactual(rated(700.0, book))
    assert drop.lines == ()
    assert re.search(r"probability 0 .*\(G3\).* B-1\.$", drop.note[0])


def test_nothing_lowers_the_lowest_tier(rated):
    case = rated(0.0)
    assert case.score["tier"] == case.bundle.policy.tier_names[0]
    assert find_counterfactual(case).note == write_both("counterfactual", "lowest")
