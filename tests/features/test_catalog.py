"""The catalogue is complete and consistent, and a wrong choice is explained."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date

import pytest

from kyc_ml.config import CountryList, FeatureConfig
from kyc_ml.config.features import CountryEntry
from kyc_ml.contract import CONTRACT, CUSTOMER_ID, TRANSACTIONS
from kyc_ml.errors import ConfigError
from kyc_ml.features import (
    FAMILIES,
    FeatureSpec,
    Latest,
    LatestValue,
    Matched,
    Own,
    RowColumn,
    RowFormula,
    RowFunction,
    Where,
    Window,
    all_made_of,
    choose_features,
    declare_features,
    definitions_digest,
    not_in_time,
)
from kyc_ml.features.made import ADVERSE, LABELS, LENGTH, OUTCOMES, PATTERN, PATTERNS, ROLE, WIDTH

LISTED = CountryList(
    name="watched",
    english="watched countries",
    chinese="关注国家或地区",
    source="test",
    verified_on=date(2024, 1, 1),
    entries=(CountryEntry(country="KP", since=date(2011, 2, 25)),),
)
CONFIG = FeatureConfig(
    families=tuple(FAMILIES), third_party_items=("score",), country_lists=(LISTED,)
)
DECLARED = declare_features(CONFIG)
EVERY = list(DECLARED.values())
READERS = [spec for spec in EVERY if isinstance(spec.how, Window | Latest | Own)]

COLUMNS = {name: set(contract.names) for name, contract in CONTRACT.items()}
COLUMNS[LABELS] = COLUMNS[TRANSACTIONS] | COLUMNS["cases"]
COLUMNS[OUTCOMES] = COLUMNS[TRANSACTIONS] | {ADVERSE}
COLUMNS[PATTERNS] = {CUSTOMER_ID, "event_time", "known_at", "amount", PATTERN, ROLE, LENGTH, WIDTH}


def row_columns(how: object, table: str):
    """Every (table, column) that a declaration reads, row columns and what they read."""
    direct: list[tuple[str, str | RowColumn | None]] = []
    match how:
        case Window() | Latest():
            read = how.value if isinstance(how, Window) else how.column
            weight = how.weight if isinstance(how, Window) else None
            direct += [(how.table, column) for column in (*how.key, read, weight)]
            direct += [(how.table, where.column) for where in conditions(how.where)]
            direct += [(table, column) for column in (how.key if how.at is None else how.at)]
            direct += [(table, how.own)] if isinstance(how, Window) else []
        case Own():
            direct += [(table, how.column)]
        case RowFunction() | RowFormula():
            direct += [(table, column) for column in how.inputs]
        case Matched():
            direct += [(table, "amount"), (table, "direction")]
    for where, column in direct:
        if column is None:
            continue
        yield where, column
        if isinstance(column, RowColumn):
            inner = column.how.how if isinstance(column.how, LatestValue) else column.how
            yield from row_columns(inner, where)


def conditions(where: Where | None):
    while where is not None:
        yield where
        where = where.also


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


@pytest.mark.parametrize("spec", READERS, ids=lambda spec: spec.name)
def test_each_feature_reads_contracted_columns(spec: FeatureSpec):
    for table, column in row_columns(spec.how, TRANSACTIONS):
        assert isinstance(column, RowColumn) or column in COLUMNS[table], (table, column)


def test_row_columns_of_one_name_are_the_same():
    found: dict[tuple[str, str], RowColumn] = {}
    for spec in READERS:
        for table, column in row_columns(spec.how, TRANSACTIONS):
            if isinstance(column, RowColumn):
                assert found.setdefault((table, column.name), column) == column, column.name
                assert column.name not in COLUMNS[table]


def test_every_formula_reads_declared_features():
    for spec in EVERY:
        assert set(all_made_of(spec, DECLARED)) <= set(DECLARED)


def test_reviews_have_no_field_of_their_own():
    for spec in choose_features(CONFIG, unit="risk"):
        assert not isinstance(spec.how, Own), spec.name
        if isinstance(spec.how, Window | Latest):
            assert set(spec.how.key if spec.how.at is None else spec.how.at) <= {CUSTOMER_ID}
            assert getattr(spec.how, "own", None) is None


def test_a_formula_brings_its_inputs_hidden():
    chosen = choose_features(
        FeatureConfig(families=("amounts",), exclude=("customer_amount_mean_1d",)), unit="fraud"
    )
    hidden = {spec.name for spec in chosen if spec.intermediate}
    assert "customer_amount_mean_1d" in hidden
    assert "amount_to_customer_mean_1d" not in hidden


def test_all_wrong_names_are_listed_with_the_nearest():
    config = FeatureConfig(families=("velocty", "amounts"), exclude=("amuont",))
    with pytest.raises(ConfigError) as caught:
        choose_features(config, unit="fraud")
    assert "'velocity'" in str(caught.value)
    assert "'amount'" in str(caught.value)


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
    spec = EVERY[0]
    assert definitions_digest([spec]) == definitions_digest([replace(spec, description="else")])
    assert definitions_digest([spec]) != definitions_digest([replace(spec, how=EVERY[1].how)])


def test_a_set_for_real_time_has_no_feature_that_searches_the_whole_bank():
    whole = FeatureConfig(families=("network", "velocity"))
    late = set(not_in_time(declare_features(whole)))
    chosen = {spec.name for spec in choose_features(whole, unit="fraud")}
    timely = choose_features(whole.model_copy(update={"real_time": True}), unit="fraud")
    assert late & chosen
    assert {spec.name for spec in timely} == chosen - late
    named = FeatureConfig(include=(min(late),), real_time=True)
    with pytest.raises(ConfigError, match=f"{min(late)}.*real_time"):
        choose_features(named, unit="fraud")
    assert "real_time" not in whole.model_dump()
