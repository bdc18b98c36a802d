"""A small bank, contracted in memory, shared by the feature tests."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from kyc_ml.config import CountryList, DatasetConfig, FeatureConfig
from kyc_ml.config.features import CountryEntry
from kyc_ml.contract import CONTRACT
from kyc_ml.contract.memory import contract_tables
from kyc_ml.dataset import make_observations, make_reviews_at
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


@pytest.fixture(scope="session")
def banks(source, fraud_specs, risk_specs):
    """How random banks are made, observed, and features of them compared."""
    return SimpleNamespace(
        disturbed=partial(_disturbed, source),
        specs={"fraud": fraud_specs, "risk": risk_specs},
        observed_of=_observed_of,
        assert_equal_bits=_assert_equal_bits,
    )


def _assert_equal_bits(got, expected):
    """Compare feature tables in every bit of the numbers."""
    assert got.specs == expected.specs
    assert got.unavailable == expected.unavailable
    differ = got.numbers.view(np.int64) != expected.numbers.view(np.int64)
    # what stands where there is no number is of no meaning
    differ &= ~(np.isnan(got.numbers) & np.isnan(expected.numbers))
    assert [got.names[at] for at in np.flatnonzero(differ.any(axis=0))] == []
    for name, values in expected.categories.items():
        assert got.categories[name].equals(values), name
    assert got.keys.equals(expected.keys)


def _disturbed(source, seed):
    """Take some rows of a bank: known late, at equal times, some keys gone, in contract order."""
    rng = np.random.default_rng(seed)
    tables = {}
    for name, table in source.tables.items():
        kept = table.filter(pa.array(rng.random(len(table)) < (0.1 if len(table) > 2000 else 0.8)))
        hour = 3_600_000_000
        event = np.asarray(kept["event_time"].cast(pa.int64()))
        # whole hours: several rows of a key at one instant
        event = np.where(rng.random(event.size) < 0.3, event // (24 * hour) * 24 * hour, event)
        late = rng.choice([0, 0, 0, 5 * hour, 30 * 24 * hour], event.size)
        for column, times in {"event_time": event, "known_at": event + late}.items():
            at = kept.column_names.index(column)
            kept = kept.set_column(at, column, pa.array(times).cast(kept[column].type))
        for column in {"counterparty_id", "device_id", "account_id"} & {*kept.column_names}:
            if name in {"transactions", "events"}:
                gone = pc.if_else(pa.array(rng.random(len(kept)) < 0.3), None, kept[column])
                kept = kept.set_column(kept.column_names.index(column), column, gone)
        order = dict.fromkeys(("event_time", "known_at", *CONTRACT[name].key))
        kept = kept.sort_by([(each, "ascending") for each in order])
        keys = kept.select(CONTRACT[name].key).to_pandas()
        tables[name] = kept.filter(pa.array(~keys.duplicated().to_numpy()))
    return replace(source, tables=tables)


def _observed_of(source, unit, seed, size):
    """Observations of a unit, some of them, in an order of their own."""
    if unit == "fraud":
        found = make_observations(
            source,
            unit="fraud",
            start=pd.Timestamp("2024-02-25", tz="UTC"),
            end=pd.Timestamp("2024-05-20", tz="UTC"),
            config=DatasetConfig(),
        )
    else:
        days = ("2024-03-01", "2024-04-17", "2024-05-20")
        found = pa.concat_tables(
            [make_reviews_at(source, at=pd.Timestamp(day, tz="UTC")) for day in days]
        )
    rng = np.random.default_rng(seed)
    return found.take(pa.array(rng.permutation(len(found))[:size]))
