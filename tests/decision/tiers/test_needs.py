"""A policy's facts are features, so they are as known at the decision."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from kyc_ml.config import FeatureConfig, RunConfig, load_section
from kyc_ml.contract.memory import contract_tables
from kyc_ml.decision import TierPolicy, declare_facts, features_needed, grade, merge_specs
from kyc_ml.errors import ConfigError
from kyc_ml.features import build_features

BASE = FeatureConfig(families=("velocity",))
REPEATED = [{"feature": "customer_reports_filed_ever", "at_least": 2}]


def at(*days):
    return pd.to_datetime(list(days), utc=True)


@pytest.fixture(scope="module")
def tables():
    """One customer with two reports and a fraud suffered, known some days after they happened."""
    cases = pd.DataFrame(
        {
            "case_id": ["k1", "k1", "k2", "k3"],
            "customer_id": ["a"] * 4,
            "event_time": at("2026-01-01", "2026-01-01", "2026-02-01", "2026-02-02"),
            "known_at": at("2026-01-10", "2026-01-20", "2026-03-01", "2026-02-03"),
            "outcome": ["open", "str_filed", "str_filed", "confirmed_fraud"],
        }
    )
    reports = pd.DataFrame(
        {
            "report_id": ["r1", "r2"],
            "customer_id": ["b", "b"],
            "event_time": at("2026-01-01", "2026-04-01"),
            "known_at": at("2026-01-05", "2026-04-05"),
            "provider": ["branch"] * 2,
            "item": ["refused_due_diligence"] * 2,
            "value": [1.0, 0.0],
        }
    )
    transactions = pd.DataFrame(
        {
            "transaction_id": ["t1", "t2"],
            "customer_id": ["a", "b"],
            "event_time": at("2025-12-01", "2025-12-01"),
            "amount": [1.0, 1.0],
            "direction": ["in", "in"],
        }
    )
    frames = {"cases": cases, "third_party": reports, "transactions": transactions}
    return contract_tables(frames, base_currency="CNY").accepted


def tiers_of(tables, policy, customer, *days):
    declared = declare_facts(BASE, policy)
    reviews = pa.table(
        {
            "observation_id": [f"{customer}@{day}" for day in days],
            "customer_id": [customer] * len(days),
            "decision_time": pa.array(at(*days).as_unit("us").to_pydatetime()).cast(
                pa.timestamp("us", "UTC")
            ),
        }
    )
    specs = features_needed(policy, declared, unit="risk")
    facts = build_features(tables, reviews, specs=specs)
    return grade(np.zeros(len(days)), facts, policy=policy).columns()["tier"].to_pylist()


def test_repeated_reports_count_from_the_day_the_second_was_known(tables, make_policy, sections):
    policy = make_policy(
        overrides=[{**sections.rule, "start": "2020-01-01", "expiry": "2030-01-01",
                    "when": REPEATED}]
    )  # fmt: skip
    days = ("2026-01-15", "2026-02-15", "2026-02-28", "2026-03-02", "2026-12-31")
    assert tiers_of(tables, policy, "a", *days) == ["low", "low", "low", "high", "high"]


def test_a_policy_reads_reports_that_the_model_does_not_know_of(tables, make_policy, sections):
    rule = {
        **sections.rule, "start": "2020-01-01",
        "when": [{"feature": "third_party_refused_due_diligence", "at_least": 1}],
    }  # fmt: skip
    policy = make_policy(overrides=[rule], facts={"third_party_items": ["refused_due_diligence"]})
    days = ("2026-01-04", "2026-01-06", "2026-04-04", "2026-04-06")
    assert tiers_of(tables, policy, "b", *days) == ["low", "high", "high", "low"]


def test_a_feature_that_is_not_declared_is_named_with_its_place(make_policy, sections):
    when = [{"feature": "profile_list_hits", "at_least": 1}]
    policy = make_policy(
        overrides=[{**sections.rule, "when": when}, {**sections.rule, "code": "x", "when": [
            {"feature": "profile_pep_status", "at_least": 1}]}],
        segments={"feature": "profile_age_years", "own": [sections.segment]},
    )  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        features_needed(policy, declare_facts(BASE, policy), unit="risk")
    told = str(caught.value)
    assert "overrides.list_hit.when.1: 'profile_list_hits'" in told
    assert "'profile_list_hit'" in told
    assert "overrides.x.when.1: 'profile_pep_status'" in told
    assert "segments: 'profile_age_years'" in told


def test_a_card_of_another_unit_is_refused(make_policy, sections):
    policy = make_policy(expert=sections.expert)
    with pytest.raises(ConfigError, match=r"risk.*fraud"):
        features_needed(policy, declare_facts(BASE, policy), unit="fraud")


def test_every_shipped_run_declares_what_its_policy_reads(configs):
    files = sorted(configs.glob("*.yaml"))
    runs = [path for path in files if "\ntiers: " in path.read_text("utf-8")]
    assert len(runs) >= 3
    for path in runs:
        run = load_section(path, RunConfig)
        policy = load_section(path.parent / run.tiers, TierPolicy)
        needed = features_needed(policy, declare_facts(run.features, policy), unit=run.unit)
        shown = {spec.name for spec in needed if not spec.intermediate}
        assert shown >= {each.feature for rule in policy.overrides for each in rule.when}


def test_a_model_s_own_feature_stays_as_the_model_knows_it(make_policy, sections):
    policy = make_policy(overrides=[{**sections.rule, "when": REPEATED}])
    (needed,) = features_needed(policy, declare_facts(BASE, policy), unit="risk")
    older = replace(needed, intermediate=True, description="as an older version declared it")
    (merged,) = merge_specs((older,), (needed,))
    assert merged == replace(older, intermediate=False)
    assert merge_specs((), (needed,)) == (needed,)
