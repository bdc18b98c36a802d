"""Who moved, how far, and why."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kyc_ml.decision import TierPolicy, compare_scores
from kyc_ml.decision.tiers.sections import TierRule
from kyc_ml.errors import ConfigError
from kyc_ml.metrics import matrix_weighted_bandwidth

TIERS = ("low", "medium", "high")
POLICY = TierPolicy.model_construct(
    name="p", version=3, tiers=tuple(TierRule.model_construct(name=name) for name in TIERS)
)
COUNTS = st.integers(1, 7).flatmap(
    lambda k: hnp.arrays(np.int64, (k, k), elements=st.integers(0, 50))
)


def test_the_bandwidth_of_the_published_example():
    """MathWorks, example of migration matrices in credit validation: 0.6066 and 0.3306."""
    counts = np.array(
        [
            [10, 8, 15, 9, 10],
            [11, 9, 13, 9, 8],
            [0, 10, 10, 11, 10],
            [0, 0, 9, 11, 11],
            [0, 0, 0, 11, 10],
        ]
    )
    upward, downward = matrix_weighted_bandwidth(counts)
    assert upward == pytest.approx(0.6066066066066066, abs=1e-15)
    assert downward == pytest.approx(0.33064516129032256, abs=1e-15)


def by_hand(counts):
    """Sum as the formula is written, with places from 1."""
    k = len(counts)
    cells = [(i, j, int(counts[i - 1][j - 1])) for i in range(1, k + 1) for j in range(1, k + 1)]
    found = []
    for way in (1, -1):
        moved = [(i, j, n) for i, j, n in cells if (j - i) * way > 0]
        above = sum(abs(i - j) * n for i, j, n in moved)
        most = sum(max(i - 1, k - i) * n for i, j, n in moved)
        found.append(above / most if most else 0.0)
    return found


@given(counts=COUNTS)
def test_the_bandwidth_is_that_of_the_formula_and_mirrors(counts):
    got = matrix_weighted_bandwidth(counts)
    assert list(got) == pytest.approx(by_hand(counts))
    assert all(0.0 <= each <= 1.0 for each in got)
    assert matrix_weighted_bandwidth(counts[::-1, ::-1]) == pytest.approx(got[::-1])
    assert matrix_weighted_bandwidth(np.diag(np.diag(counts))) == (0.0, 0.0)


def scores(**rows):
    """Make a score table: tier, or a dict of what differs from usual, by customer."""
    lines = []
    for customer, given_ in rows.items():
        row = given_ if isinstance(given_, dict) else {"tier": given_}
        tier = row.get("tier_before_overrides", row["tier"])
        usual = {
            "customer_id": customer, "decision_time": pd.Timestamp("2026-01-01", tz="UTC"),
            "probability": 0.5, "tier_before_overrides": tier,
            "tier_of_score": row.get("tier_of_model", tier),
            "tier_of_model": tier, "expert_grade": None, "override_code": None,
            "segment": "all", "policy": "p v1",
            "model_name": "m", "model_digest": "d", "model_version": "m v1",
        }  # fmt: skip
        lines.append({**usual, **row})
    return pd.DataFrame(lines).astype({"override_code": object, "expert_grade": object})


def test_customers_are_counted_by_both_tiers_and_newcomers_apart():
    found = compare_scores(
        scores(a="low", b="low", c="high", d="medium", gone="high"),
        scores(a="low", b="high", c="medium", d="medium", new="low", newer="low"),
        policy=POLICY,
    )
    assert found.counts.to_numpy().tolist() == [[1, 0, 1], [0, 1, 0], [0, 1, 0]]
    assert (found.customers, found.only_before, found.only_after) == (4, 1, 2)
    assert (found.upward, found.downward) == (1.0, 0.5)
    assert found.moves[["customer_id", "steps"]].to_numpy().tolist() == [["b", 2], ["c", -1]]


MODEL = {"tier": "medium", "tier_of_model": "low", "tier_before_overrides": "medium"}


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ("low", "high", "probability"),
        ("low", {"tier": "high", "policy": "p v2"}, "policy"),
        ("low", {"tier": "high", "segment": "entity"}, "segment"),
        (
            "low",
            {"tier": "high", "tier_before_overrides": "low", "override_code": "list_hit"},
            "override began",
        ),
        (
            {"tier": "high", "tier_before_overrides": "low", "override_code": "list_hit"},
            "low",
            "override ended",
        ),
        (
            {"tier": "high", "tier_before_overrides": "low", "override_code": "a"},
            {"tier": "medium", "tier_before_overrides": "low", "override_code": "b"},
            "override changed",
        ),
        # in force without effect: the score moved it
        ("low", {"tier": "high", "override_code": "minor"}, "probability"),
        (
            {**MODEL, "tier": "low", "tier_before_overrides": "low", "expert_grade": "g1"},
            {**MODEL, "expert_grade": "g2"},
            "expert rating",
        ),
        ({**MODEL, "tier": "low", "tier_before_overrides": "low"}, MODEL, "history"),
    ],
)
def test_why_a_customer_moved(before, after, why):
    found = compare_scores(scores(a=before), scores(a=after), policy=POLICY)
    assert found.moves["why"].tolist() == [why]


def test_the_latest_row_of_a_customer_counts():
    early = scores(a="high").assign(decision_time=pd.Timestamp("2025-01-01", tz="UTC"))
    found = compare_scores(pd.concat([scores(a="low"), early]), scores(a="low"), policy=POLICY)
    assert found.moves.empty
    assert found.counts.loc["low", "low"] == 1


def test_tables_that_cannot_be_compared_are_refused():
    with pytest.raises(ConfigError) as caught:
        compare_scores(scores(a="lowest").drop(columns="segment"), scores(a="low"), policy=POLICY)
    assert "before: " in str(caught.value)
    assert "'lowest'" in str(caught.value)


def test_another_model_another_policy_and_a_wrong_order_are_told_together():
    early = pd.Timestamp("2025-01-01", tz="UTC")
    fraud = scores(a="low").assign(model_name="n", decision_time=early)
    with pytest.raises(ConfigError) as caught:
        compare_scores(scores(a="low"), fraud, policy=POLICY)
    told = str(caught.value)
    assert "model m, " in told
    assert re.search("2026-01-01 00:00.*2025-01-01 00:00", told)
    with pytest.raises(ConfigError, match=r"after: .*policy q, .* p"):
        compare_scores(scores(a="low"), scores(a={"tier": "low", "policy": "q v1"}), policy=POLICY)


def test_versions_of_one_model_and_of_one_policy_are_compared_and_named():
    newer = {"tier": "high", "policy": "p v9", "model_digest": "e", "model_version": "m v2"}
    found = compare_scores(scores(a="low"), scores(a=newer), policy=POLICY)
    assert (found.model_before, found.model_after) == ("m v1", "m v2")
    assert found.customers == 1


def test_a_rating_that_stood_in_is_compared_with_the_model_it_stood_in_for():
    rated = {"tier": "low", "model_name": "models:/m@champion", "model_digest": None}
    rated |= {"model_version": "card 1", "tier_of_model": None, "probability": np.nan}
    found = compare_scores(scores(a="low"), scores(a=rated), policy=POLICY)
    assert (found.customers, len(found.moves)) == (1, 0)
