"""A customer is told plain facts of their own, and never that somebody watches."""

import json

import pyarrow as pa
import pytest

from kyc_ml.config import FeatureConfig, load_section
from kyc_ml.decision import confidentiality, customer_safe, declare_facts, disclosable
from kyc_ml.errors import ConfigError
from kyc_ml.features import FeatureSpec, Latest

SECRET_FAMILIES = {"third_party", "label_history", "network", "structuring", "flow_through",
                   "geography", "peers"}  # fmt: skip


@pytest.fixture(scope="module")
def declared(configs, policy):
    config = load_section(configs / "features" / "customers.yaml", FeatureConfig)
    return declare_facts(config, policy)


@pytest.fixture(scope="module")
def every_family(declared):
    return tuple({spec.family for spec in declared.values()})


def test_profile_facts_are_told_but_for_lists_and_exposure(declared):
    told = disclosable(declared, families=("profile",))
    assert "profile_document_days_left" in told
    assert "profile_age_years" in told
    for name in ("profile_list_hit", "profile_pep_status", "profile_inflow_90d_to_quarter_income",
                 "profile_document_expired"):  # fmt: skip
        assert name not in told


def test_even_a_policy_that_allows_every_family_tips_nobody_off(declared, every_family):
    told = disclosable(declared, families=every_family)
    assert told
    assert not {spec.family for spec in told.values()} & SECRET_FAMILIES
    assert all(spec.typology is None for spec in told.values())
    text = json.dumps([repr(spec.how) for spec in told.values()])
    for word in ("cases", "labels", "patterns", "third_party", "list_hit", "pep_status",
                 "counterparty_id',), statistic"):  # fmt: skip
        assert word not in text


def test_a_policy_that_would_tell_of_a_secret_family_is_refused(make_policy):
    with pytest.raises(ConfigError, match=r"tellable_families.*label_history"):
        make_policy(tellable_families=["profile", "network", "label_history"])


def test_nothing_is_told_of_a_family_that_is_not_listed(declared):
    assert disclosable(declared, families=()) == {}
    assert {spec.family for spec in disclosable(declared, families=("velocity",)).values()} == {
        "velocity"
    }


@pytest.mark.parametrize(
    "change",
    [
        {"table": "cases"},
        {"table": "third_party"},
        {"table": "a_table_nobody_thought_of"},
        {"column": "list_hit"},
        {"column": "pep_status"},
        {"key": ("counterparty_id",)},
        {"at": ("counterparty_id",)},
        {"reading": "listed", "listing": (("KP", "2020-01-01", None),)},
    ],
)
def test_a_family_is_no_pass_for_what_else_a_feature_reads(change):
    usual = {"table": "customers", "key": ("customer_id",), "reading": "value", "column": "income"}

    def spec_of(**how):
        return FeatureSpec(
            name="x", family="profile", how=Latest(**{**usual, **how}), unit="days",
            description="x", description_zh="x",
        )  # fmt: skip

    assert disclosable({"x": spec_of()}, families=("profile",))
    assert not disclosable({"x": spec_of(**change)}, families=("profile",))


def test_the_safe_rendering_holds_facts_only(declared):
    scores = pa.table(
        {
            "observation_id": ["o0", "o1"],
            "customer_id": ["c0", "c1"],
            "decision_time": pa.array([0, 0], pa.timestamp("us", "UTC")),
            "probability": [0.9, 0.1],
            "tier": ["high", "low"],
            "override_code": ["list_hit", None],
            "reason_1_code": ["profile.list", "profile.age"],
            "reason_1_feature": ["profile_list_hit", "profile_age_years"],
            "reason_1_text": ["on a watch list: yes; raises the risk", "age"],
            "reason_1_value": [1.0, 17.0],
            "reason_1_contribution": [2.0, 0.1],
            "reason_2_code": ["profile.document", "unheard.of"],
            "reason_2_feature": ["profile_document_days_left", None],
            "reason_2_text": ["days until …; raises the risk", "x"],
            "reason_2_value": [12.0, 3.0],
            "reason_2_contribution": [1.0, 0.0],
        }
    )
    safe = customer_safe(scores, disclosable(declared, families=("profile",)))
    assert safe.column_names == [
        *("observation_id", "customer_id", "decision_time"),
        *("fact_1", "fact_1_zh", "fact_1_value", "fact_1_code"),
        *("fact_2", "fact_2_zh", "fact_2_value", "fact_2_code"),
    ]
    words = {name: spec.description for name, spec in declared.items()}
    assert safe["fact_1"].to_pylist() == [
        words["profile_document_days_left"], words["profile_age_years"],
    ]  # fmt: skip
    assert safe["fact_1_value"].to_pylist() == [12.0, 17.0]
    assert safe["fact_1_code"].to_pylist() == [
        "profile.profile_document_days_left", "profile.profile_age_years",
    ]  # fmt: skip
    assert safe["fact_2"].to_pylist() == safe["fact_2_code"].to_pylist() == [None, None]
    text = json.dumps(safe.to_pylist(), default=str)
    for secret in ("list", "risk", "high", "0.9", "unheard"):
        assert secret not in text


def test_every_score_table_states_that_it_is_internal_and_how_long_it_is_kept(make_policy):
    stated = confidentiality(make_policy(retention={"years": 5, "source": "31 CFR"}))
    assert stated == {
        "disclosure": "internal_only",
        "retention": "5 years from the end of the business relationship",
        "retention_source": "31 CFR",
        "policy": "p v1",
    }
