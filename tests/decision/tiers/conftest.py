"""Small policies and the facts they read."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from kyc_ml.config import check_section
from kyc_ml.decision import TierPolicy
from kyc_ml.features import FeatureSpec, FeatureTable, Own


def tier(name, bound, months):
    return {
        "name": name, "name_zh": name, "from_probability": bound, "review_months": months,
        "due_diligence": "standard", "monitoring": "usual",
    }  # fmt: skip


POLICY = {
    "name": "p",
    "version": 1,
    "author": "a",
    "approver": "b",
    "valid_from": "2024-01-01",
    "tiers": [tier("low", 0.0, 24), tier("medium", 0.01, 12), tier("high", 0.1, 6)],
}


RULE = {
    "code": "list_hit", "english": "listed", "chinese": "名单", "source": "guideline",
    "when": [{"feature": "listed", "at_least": 1}], "floor": "high",
    "start": "2026-01-01", "expiry": "2027-01-01", "requester": "r", "approver": "s",
}  # fmt: skip
SEGMENT = {
    "name": "entity", "values": ["company"], "from_probability": {"high": 0.2}, "source": "c",
}  # fmt: skip
SEGMENTS = {"feature": "kind", "own": [SEGMENT]}
CARD = {
    "name": "card", "version": 1, "unit": "risk", "source": "c", "absent": "drop",
    "grades": [
        {"name": "g1", "name_zh": "一"},
        {"name": "g2", "name_zh": "二", "from_score": 50},
        {"name": "g3", "name_zh": "三", "from_score": 80},
    ],
    "cut_offs_source": "c",
    "sub_items": [
        {
            "name": "age", "family": "customer", "english": "age", "chinese": "年龄",
            "feature": "age", "weights": {"all": 100}, "below": 1,
            "steps": [{"from": 1, "score": 2}, {"from": 2, "score": 3}], "missing": 1,
            "source": "c",
        }
    ],
}  # fmt: skip
EXPERT = {"card": CARD, "tier_of_grade": {"g1": "low", "g2": "medium", "g3": "high"}}
TABLE = {
    "g1": {"low": "low", "medium": "medium", "high": "high"},
    "g2": {"low": "medium", "medium": "medium", "high": "high"},
    "g3": {"low": "high", "medium": "high", "high": "high"},
}
FULL = {
    "overrides": [
        RULE,
        {
            **RULE,
            "code": "pep",
            "floor": "medium",
            "when": [{"feature": "pep", "any_of": ["foreign"]}],
        },
    ],
    "expert": EXPERT,
    "segments": SEGMENTS,
    "calendar": {"timezone": "Asia/Shanghai", "working_days": "weekdays"},
}


def policy_with(**sections):
    """Make a three-grade policy, low below 0.01 and high from 0.1, with these sections."""
    return check_section({**POLICY, **sections}, TierPolicy, subject="p")


@pytest.fixture(scope="session")
def make_policy():
    """Make a policy with these sections; see `policy_with`."""
    return policy_with


@pytest.fixture(scope="session")
def sections():
    """Lawful sections of a policy, by name."""
    return SimpleNamespace(
        rule=RULE,
        segment=SEGMENT,
        card=CARD,
        expert=EXPERT,
        table=TABLE,
        full=FULL,
        segments=SEGMENTS,
    )


def _spec(name, kind):
    return FeatureSpec(
        name=name, family="profile", how=Own(reading="value"), unit="0 or 1", kind=kind,
        description=name, description_zh=name,
    )  # fmt: skip


def facts_of(n, *, customers=None, days=None, unavailable=(), **columns):
    """Put customers, days and facts, lists of numbers or of texts, into a feature table."""
    specs, numbers, categories = [], [], {}
    for name, values in columns.items():
        texts = any(isinstance(value, str) for value in values)
        specs.append(_spec(name, "category" if texts else "number"))
        numbers.append([np.nan] * n if texts else values)
        if texts:
            categories[name] = pa.array(values, pa.string())
    when = pd.to_datetime(["2026-06-15"] * n if days is None else days, utc=True).as_unit("us")
    keys = {
        "observation_id": pa.array([f"o{row}" for row in range(n)]),
        "customer_id": pa.array(
            [f"c{row}" for row in range(n)] if customers is None else customers
        ),
        "decision_time": pa.array(when.tz_localize(None)).cast(pa.timestamp("us", "UTC")),
    }
    matrix = np.array(numbers, dtype=np.float64).reshape(len(specs), n).T
    return FeatureTable(
        keys=pa.table(keys),
        specs=tuple(specs),
        numbers=np.asfortranarray(matrix),
        categories=categories,
        unavailable=dict.fromkeys(unavailable, "the source has no table customers"),
    )


@pytest.fixture(scope="session")
def make_facts():
    """Make a feature table; see `facts_of`."""
    return facts_of
