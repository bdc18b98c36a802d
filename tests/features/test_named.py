"""A feature that a configuration names is one that it chooses; else it says so at once."""

from __future__ import annotations

import pandas as pd
import pytest

from kyc_ml.config import RunConfig, TableAttribute
from kyc_ml.contract import ContractedTables, DataQualityReport
from kyc_ml.errors import ConfigError
from kyc_ml.features import on_source, require_named_features
from kyc_ml.training.api import train

NO_ROWS = ContractedTables(
    tables={},
    timezone="UTC",
    base_currency="CNY",
    digests={},
    quality=DataQualityReport(tables=()),
)
EDUCATION = TableAttribute(
    table="customers", name="education", type="text", description="education"
)
SEGMENTS = ": profile_customer_type"  # the categories of this run


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
    ("config", "named"),
    [
        (
            run_with(calibration={"segment": "profile_customer_typ"}),
            ("calibration.segment: 'profile_customer_typ'", "'profile_customer_type'", SEGMENTS),
        ),
        (
            run_with(calibration={"segment": "customer_count_7d"}),
            ("calibration.segment: 'customer_count_7d'", SEGMENTS),
        ),
        (
            run_with(explain={"peers": "profile_segment"}),
            ("explain.peers: 'profile_segment'", "'profile'", "features.include", SEGMENTS),
        ),
        (
            run_with(selection={"keep": ["transaction_channel"]}),
            ("selection.keep: 'transaction_channel'", "'profile'", "features.families"),
        ),
        (
            run_with("risk", selection={"keep": ["transaction_channel"]}),
            ("selection.keep: 'transaction_channel'", "fraud", "risk"),
        ),
        (
            run_with(
                features={"exclude": ["customer_count_7d"]},
                selection={"keep": ["customer_count_7d"]},
            ),
            ("selection.keep: 'customer_count_7d'", "features.exclude"),
        ),
    ],
)
def test_what_is_not_chosen_is_told_with_the_cure(config, named):
    with pytest.raises(ConfigError) as caught:
        require_named_features(config)
    _, fault = str(caught.value).splitlines()
    assert fault.startswith(f"  - {named[0]}")
    assert [each for each in named if each not in fault] == []


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
    with pytest.raises(ConfigError, match="source"):
        on_source(config, [])
