"""The catalogue is complete and consistent, and a wrong choice is explained."""

from __future__ import annotations

import re

import pytest

from kyc_ml.config import FeatureConfig
from kyc_ml.contract.tables import CONTRACT
from kyc_ml.errors import ConfigError
from kyc_ml.features.catalog import FAMILIES, choose_features
from kyc_ml.features.families.third_party import features_of
from kyc_ml.features.spec import (
    IS_NIGHT,
    LABELS,
    FeatureSpec,
    Formula,
    Latest,
    Own,
    Window,
    definitions_digest,
)

EVERY = [spec for specs in FAMILIES.values() for spec in specs] + list(features_of(["score"]))


def test_names_are_unique_and_plain():
    names = [spec.name for spec in EVERY]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names)


@pytest.mark.parametrize("spec", EVERY, ids=lambda spec: spec.name)
def test_each_feature_says_what_it_is(spec: FeatureSpec):
    assert spec.description
    assert re.search(r"[\u4e00-\u9fff]", spec.description_zh)
    assert spec.unit
    assert spec.source
    assert spec.family in FAMILIES


@pytest.mark.parametrize(
    "spec", [spec for spec in EVERY if isinstance(spec.how, Window | Latest)], ids=lambda s: s.name
)
def test_each_feature_reads_contracted_columns(spec: FeatureSpec):
    how = spec.how
    assert isinstance(how, Window | Latest)
    columns = {
        column
        for name in ({"transactions", "cases"} if how.table == LABELS else {how.table})
        for column in CONTRACT[name].names
    }
    value = how.value if isinstance(how, Window) else how.column
    wanted = {*how.key, value, how.where.column if how.where else None} - {None, IS_NIGHT}
    assert wanted <= columns


def test_every_formula_reads_declared_features():
    names = {spec.name for spec in EVERY}
    for spec in EVERY:
        if isinstance(spec.how, Formula):
            assert set(spec.how.inputs) <= names


def test_reviews_have_no_field_of_their_own():
    chosen = choose_features(FeatureConfig(families=tuple(FAMILIES)), unit="risk")
    assert not [spec.name for spec in chosen if isinstance(spec.how, Own)]


def test_a_formula_brings_its_inputs_hidden():
    chosen = choose_features(
        FeatureConfig(families=("amounts",), exclude=("customer_amount_mean_1d",)), unit="fraud"
    )
    hidden = {spec.name for spec in chosen if spec.hidden}
    assert "customer_amount_mean_1d" in hidden
    assert "amount_to_customer_mean_1d" not in hidden


def test_all_wrong_names_are_listed_with_the_nearest():
    config = FeatureConfig(families=("velocty", "amounts"), exclude=("amuont",))
    with pytest.raises(ConfigError) as caught:
        choose_features(config, unit="fraud")
    assert "did you mean 'velocity'" in str(caught.value)
    assert "did you mean 'amount'" in str(caught.value)


def test_third_party_items_need_their_family():
    config = FeatureConfig(families=("amounts",), third_party_items=("score",))
    with pytest.raises(ConfigError, match="third_party"):
        choose_features(config, unit="fraud")


def test_items_that_give_the_same_feature_are_refused():
    config = FeatureConfig(
        families=("third_party",), third_party_items=("score", "score_age_hours", "score")
    )
    with pytest.raises(ConfigError, match="third_party_score'"):
        choose_features(config, unit="fraud")


def test_the_digest_is_of_the_computation_not_of_the_words():
    from dataclasses import replace  # noqa: PLC0415

    spec = EVERY[0]
    assert definitions_digest([spec]) == definitions_digest([replace(spec, description="else")])
    assert definitions_digest([spec]) != definitions_digest([replace(spec, how=EVERY[1].how)])
