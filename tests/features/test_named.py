"""A feature that a configuration names is one that it chooses; else it says so at once."""

from __future__ import annotations

import pandas as pd
import pytest

from kyc_ml.config import RunConfig, TableAttribute
from kyc_ml.contract.contracted import ContractedTables
from kyc_ml.contract.quality import QualitySummary
from kyc_ml.errors import ConfigError
from kyc_ml.features.named import on_source, require_named_features
from kyc_ml.training import train

NO_ROWS = ContractedTables(
    tables={},
    timezone="UTC",
    base_currency="CNY",
    digests={},
    quality=QualitySummary(tables=()),
)
EDUCATION = TableAttribute(
    table="customers", name="education", type="text", description="education"
)
SEGMENTS = "categories of this run: profile_customer_type"


def run_with(unit="fraud", features=None, **sections):
    chosen = {"families": ["velocity"], "include": ["profile_customer_type"], **(features or {})}
    dataset = {"horizon_days": 30} if unit == "risk" else {}
    splits = {"method": "out_of_time", "inner_embargo_days": 30}
    return RunConfig.model_validate(
        {
            "name": "x",
            "unit": unit,
            "tiers": "t.yaml",
            "features": chosen,
            "dataset": dataset,
            "splits": splits,
            **sections,
        }
    )


def test_chosen_features_may_be_named():
    require_named_features(
        run_with(
            selection={"keep": ["profile_customer_type", "customer_count_7d"]},
            calibration={"segment": "profile_customer_type"},
            explain={"peers": "profile_customer_type"},
        )
    )


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (
            run_with(calibration={"segment": "profile_customer_typ"}),
            "calibration.segment: 'profile_customer_typ' is no declared feature (did you mean "
            f"'profile_customer_type'?); see kyc-ml features list; {SEGMENTS}",
        ),
        (
            run_with(calibration={"segment": "customer_count_7d"}),
            f"calibration.segment: 'customer_count_7d' is a number; {SEGMENTS}",
        ),
        (
            run_with(explain={"peers": "profile_segment"}),
            "explain.peers: 'profile_segment' is a feature of family 'profile', which features "
            "does not choose: add it to features.include, or the family to features.families; "
            f"{SEGMENTS}",
        ),
        (
            run_with(selection={"keep": ["transaction_channel"]}),
            "selection.keep: 'transaction_channel' is a feature of family 'profile', which "
            "features does not choose: add it to features.include, or the family to "
            "features.families",
        ),
        (
            run_with("risk", selection={"keep": ["transaction_channel"]}),
            "selection.keep: 'transaction_channel' is a feature of fraud observations, not of risk",
        ),
        (
            run_with(
                features={"exclude": ["customer_count_7d"]},
                selection={"keep": ["customer_count_7d"]},
            ),
            "selection.keep: 'customer_count_7d' is taken out by features.exclude: remove it there",
        ),
    ],
)
def test_what_is_not_chosen_is_told_with_the_cure(config, told):
    with pytest.raises(ConfigError) as caught:
        require_named_features(config)
    assert f"  - {told}" in str(caught.value).splitlines()


def test_all_faults_are_told_at_once_and_before_the_tables_are_looked_at(policy):
    config = run_with(calibration={"segment": "nope"}, explain={"peers": "nor this"})
    with pytest.raises(ConfigError, match=r"configuration 'x': 2 faults\n"):
        train(
            NO_ROWS,
            config=config,
            policy=policy,
            as_of=pd.Timestamp("2024-01-01", tz="UTC"),
            data={},
        )


def test_an_attribute_may_be_named_once_the_source_is_known():
    config = run_with(
        features={"families": ["attributes"], "include": []},
        explain={"peers": "customer_attr_education"},
    )
    with pytest.raises(ConfigError, match="customer_attr_education"):
        require_named_features(config)
    known = on_source(config, [EDUCATION])
    require_named_features(known)
    assert on_source(known, [EDUCATION]) == known
    assert on_source(run_with(), [EDUCATION]) == run_with()
    with pytest.raises(ConfigError, match="source declares none"):
        on_source(config, [])
