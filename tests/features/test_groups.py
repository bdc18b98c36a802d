"""Groups of features: each is named, and features that move together share one."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from kyc_ml.config import FeatureConfig
from kyc_ml.contract import contract_tables
from kyc_ml.dataset import make_observations
from kyc_ml.decision import load_run
from kyc_ml.features import (
    FAMILIES,
    GROUPS,
    Own,
    build_features,
    choose_features,
    declare_features,
    definitions_digest,
    from_plain,
    name_group,
    to_plain,
)
from kyc_ml.onboarding import make_bank
from kyc_ml.onboarding.synthetic.settings import BankConfig

BOUND = 0.95
"""Rank correlation above which two features say the same to an analyst. Convention."""

APART = {
    # a sum over one or two transactions is also their largest amount
    ("amounts.sizes", "velocity.activity"),
    # a customer with few transactions: each has another amount, payee or province
    ("amounts.repeated", "velocity.activity"),
    ("counterparties.spread", "velocity.activity"),
    ("counterparties.payees", "velocity.out"),
    ("geography.regions", "velocity.in"),
    # nearly all that some customers move goes one way
    ("velocity.activity", "velocity.in"),
    ("velocity.activity", "velocity.out"),
    ("flow_through.balance", "velocity.out"),
    # a payment is covered if money came in just before: an analyst must read which it is
    ("flow_through.pass_through", "velocity.in"),
    # few frauds of the small bank: nearly every device has one customer
    ("label_history.customer", "label_history.device"),
}
"""Pairs of groups that stay apart although some of their features move together."""


@pytest.fixture(scope="module")
def source():
    tables = make_bank(BankConfig(transactions=12_000, seed=11)).tables
    return contract_tables(tables, timezone="Asia/Shanghai", base_currency="CNY").accepted


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fraud", "risk"])
def test_features_that_move_together_share_a_group(source, configs, name):
    run = load_run(configs / f"{name}.yaml").run
    end = pd.Timestamp("2024-12-15", tz="UTC")
    start = end - pd.Timedelta(days=120)
    rows = make_observations(source, unit=run.unit, start=start, end=end, config=run.dataset)
    features = build_features(source, rows, specs=choose_features(run.features, unit=run.unit))
    places = [place for place, spec in enumerate(features.specs) if spec.kind == "number"]
    ranks = pd.DataFrame(features.numbers[:, places]).rank()
    together = np.argwhere(np.triu(ranks.corr(min_periods=200).abs() > BOUND, k=1))
    pairs = [(features.specs[places[a]], features.specs[places[b]]) for a, b in together]
    assert len(pairs) > 50
    apart = {
        tuple(sorted((a.reason_code, b.reason_code))): (a.name, b.name)
        for a, b in pairs
        if a.reason_code != b.reason_code
    }
    assert {key: names for key, names in apart.items() if key not in APART} == {}


def test_every_group_has_a_name_in_both_languages_and_features():
    config = FeatureConfig(families=tuple(FAMILIES), third_party_items=("x",))
    used = {spec.group for spec in declare_features(config).values() if spec.group}
    assert set(GROUPS) <= used
    assert used - set(GROUPS) == {"third_party.x"}
    for code in GROUPS:
        english, chinese = name_group(code)
        assert re.search(r"[a-z]", english)
        assert re.search(r"[一-鿿]", chinese)
    assert name_group("third_party.x") is None


def test_a_group_decides_the_code_and_nothing_else(make_spec):
    own = make_spec("a", Own(reading="value", column="x"))
    joined = replace(own, group="velocity.in")
    assert own.reason_code == own.code == joined.code
    assert joined.reason_code == "velocity.in"
    assert joined == own
    assert definitions_digest([joined]) == definitions_digest([own])
    assert from_plain(to_plain(joined)).group == "velocity.in"
