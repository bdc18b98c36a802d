"""A training whose features stay in files gives the bundle of one in memory, to the last byte."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import kyc_ml
from kyc_ml.features.buckets import build
from kyc_ml.registry import save_bundle
from kyc_ml.training import api, evidence

CONFIGS = Path(__file__).parents[2] / "configs"
AS_OF = pd.Timestamp("2024-12-15", tz="UTC")
SHORT = {"early_stopping_days": 35, "calibration_days": 35, "test_days": 35}
SHORT |= {"method": "out_of_time", "embargo_days": 10, "inner_embargo_days": 30}


@pytest.fixture(scope="module")
def source():
    bank = kyc_ml.make_bank(kyc_ml.BankConfig(transactions=30_000, seed=11))
    return kyc_ml.contract_tables(
        bank.tables, timezone="Asia/Shanghai", base_currency="CNY"
    ).accepted


def settings(unit, **changes):
    run = kyc_ml.load_section(CONFIGS / f"{unit}.yaml", kyc_ml.RunConfig)
    content = run.model_dump(mode="json", by_alias=True)
    content["features"] |= {"families": ["velocity", "devices", "profile", "third_party"]}
    content["model"] |= {"n_estimators": 12, "learning_rate": 0.2, "min_child_samples": 20}
    content["model"] |= {"n_jobs": 1, "negative_share": 0.3}
    content["calibration"] |= {"candidates": ["platt"], "folds": 2}
    for section, values in changes.items():
        content[section] = values if section == "splits" else content[section] | values
    return kyc_ml.RunConfig.model_validate(content)


def files_of(source, config, folder):
    policy = kyc_ml.load_section(CONFIGS / "tiers" / f"{config.unit}.yaml", kyc_ml.TierPolicy)
    card = (
        kyc_ml.load_section(CONFIGS / "rating" / "customer.yaml", kyc_ml.Scorecard)
        if config.unit == "risk"
        else None
    )
    trained = kyc_ml.train(source, config=config, policy=policy, as_of=AS_OF, card=card)
    save_bundle(trained.bundle, folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}, trained


@pytest.mark.parametrize(
    ("unit", "changes"),
    [
        ("fraud", {"model": {"refit": "all", "averaged": 2}}),
        (
            "fraud",
            {
                "dataset": {"history_start": "2024-03-01"},
                "model": {"refit": "none"},
                "selection": {"method": "noise", "repetitions": 1, "n_estimators": 5},
                "stability": {"seed_refits": 2, "explained_rows": 100},
            },
        ),
        (
            "risk",
            {
                "calibration": {"segment": "profile_customer_type"},
                "dataset": {"horizon_days": 30, "label_maturity_days": 0},
                "splits": SHORT,
            },
        ),
    ],
)
def test_where_features_are_kept_changes_no_byte(source, unit, changes, tmp_path, monkeypatch):
    config = settings(unit, **changes)
    memory, trained = files_of(source, config, tmp_path / "memory")
    (tmp_path / "tables").mkdir()
    stored = source.store(tmp_path / "tables")
    assert files_of(stored, config, tmp_path / "stored")[0] == memory
    monkeypatch.setattr(evidence, "_IN_MEMORY", 0)
    monkeypatch.setattr(build, "BUCKET_ROWS", 10_000)
    files, again = files_of(source, config, tmp_path / "large")
    assert files == memory
    assert again.quality == trained.quality
    assert np.array_equal(again.evidence.margin, trained.evidence.margin)
    assert again.explained.features.to_arrow().equals(trained.explained.features.to_arrow())


def test_cross_validation_by_customer_reads_stored_tables_whole(source, tmp_path, monkeypatch):
    config = settings("fraud", splits={"method": "customer_folds"}, model={"refit": "none"})
    monkeypatch.setattr(api, "train_customer_folds", lambda given, **_: given)
    policy = kyc_ml.load_section(CONFIGS / "tiers" / "fraud.yaml", kyc_ml.TierPolicy)
    given = kyc_ml.train(source.store(tmp_path), config=config, policy=policy)
    assert given.tables == source.tables
