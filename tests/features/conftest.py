"""A small bank, contracted in memory, shared by the feature tests."""

from __future__ import annotations

import pytest

from kyc_ml.config import CountryList, FeatureConfig
from kyc_ml.config.features import CountryEntry
from kyc_ml.contract.memory import contract_tables
from kyc_ml.features import FAMILIES, choose_features
from kyc_ml.onboarding.synthetic.bank import make_bank
from kyc_ml.onboarding.synthetic.settings import BankConfig

WATCHED = CountryList(
    name="watched",
    english="watched countries",
    chinese="受关注国家或地区",
    source="made up",
    verified_on="2024-01-01",
    entries=[
        CountryEntry(country="US", since="2024-02-01", until="2024-04-01"),
        CountryEntry(country="KH", since="2020-01-01"),
    ],
)
EVERYTHING = {"families": tuple(FAMILIES), "country_lists": (WATCHED,)}
ITEMS = ("bureau_score", "adverse_media", "due_diligence_report")


@pytest.fixture(scope="session")
def bank():
    """Tables of a small synthetic bank."""
    return dict(make_bank(BankConfig(transactions=8_000, days=150, seed=3)).tables)


@pytest.fixture(scope="session")
def source(bank):
    """The same tables, through the contract."""
    return contract_tables(bank, timezone="Asia/Shanghai", base_currency="CNY").accepted


@pytest.fixture(scope="session")
def fraud_specs():
    """Every declared feature that a transaction has."""
    return choose_features(FeatureConfig(**EVERYTHING, third_party_items=ITEMS), unit="fraud")


@pytest.fixture(scope="session")
def risk_specs():
    """Every declared feature that a review has."""
    return choose_features(FeatureConfig(**EVERYTHING, third_party_items=ITEMS), unit="risk")
