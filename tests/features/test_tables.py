"""The tables of the families: what a sentence reads, and what a wrong table says."""

from __future__ import annotations

import pytest

from kyc_ml.config import AmountsOfInterest, CountryList, FeatureConfig
from kyc_ml.config.features import CountryEntry
from kyc_ml.errors import ConfigError
from kyc_ml.features import (
    DAY_US,
    FAMILIES,
    Latest,
    LatestValue,
    Matched,
    Own,
    RowColumn,
    RowFormula,
    RowFunction,
    Where,
    Window,
    declare_features,
)
from kyc_ml.features.families import tables
from kyc_ml.features.families.attributes import ATTRIBUTES
from kyc_ml.features.families.tables import read_families
from kyc_ml.features.how import Names, read_sentence, row_columns_of
from kyc_ml.features.kinds import COLUMN_KINDS, KINDS
from kyc_ml.features.kinds.peer import Peer
from kyc_ml.features.periods import HOUR_US, period_of
from kyc_ml.features.sentences import number

LISTING = (("KP", "2011-02-25", None),)
NAMES = Names(columns={"is_night": "night()"}, listings={"watched": LISTING}, kinds=COLUMN_KINDS)
NIGHT = RowColumn(name="is_night", how=RowFunction(operation="night"))
ONE = {
    "source": "test",
    "features": [{"feature": "f", "how": "own amount", "unit": "u", "en": "e", "zh": "z"}],
}


def read_feature(sentence, names):
    return read_sentence(sentence, names, KINDS)


def read_column(sentence, names):
    return read_sentence(sentence, names, COLUMN_KINDS)


@pytest.fixture
def declare(monkeypatch):
    """Declare the features of a table that a test gives."""

    def declare(table):
        monkeypatch.setattr(tables, "_table", lambda _: table)
        return read_families.__wrapped__(("test",), AmountsOfInterest())

    return declare


def with_one(**fields):
    return {**ONE, "features": [{**ONE["features"][0], **fields}]}


@pytest.mark.parametrize(
    "sentence",
    [
        "count over transactions by customer_id, 7d",
        "sum of amount over transactions by the whole bank, ever",
        "count over transactions by customer_id, is_night, 6h ending 7d before",
        "decayed_sum of amount over transactions by customer_id, ever, half-life 7d",
        "entropy of country by amount over transactions by device_id where channel in (atm), 30d",
        "rank of amount below own amount over transactions by customer_id, 90d",
        "age as age_hours of the latest row of transactions by customer_id, device_id",
        "list_hit as flag of the latest row of customers by customer_id (looked up by "
        'counterparty_id) where customer_type in (person, "a, (b)") and region in (x)',
        "own time as hour",
        "own amount",
        "ratio(customer_in_sum_7d, customer_out_sum_7d)",
        "at_least(amount; 0.5)",
        "customer_count_7d compared with at least 9 customers alike in profile_segment",
    ],
)
def test_a_sentence_is_the_definition_that_people_read(sentence):
    assert read_feature(sentence, NAMES).define() == sentence


def test_what_people_read_is_the_whole_definition():
    amounts = AmountsOfInterest(cash_report=33_333.33, near_share=1 / 3, probe=0.1)
    items = ("score", 'adverse media, (all) "x"')
    config = FeatureConfig(families=("velocity",), amounts=amounts, third_party_items=items)
    for spec in declare_features(config).values():
        names = Names(columns=row_columns_of(spec.how), listings={}, kinds=COLUMN_KINDS)
        assert read_feature(spec.how.define(), names) == spec.how


def test_a_window_holds_what_its_sentence_says():
    assert read_feature(
        "mean of is_night over transactions by counterparty_id where instrument in (cash) and "
        "direction in (in, out), 30d ending 7d before",
        NAMES,
    ) == Window(
        table="transactions",
        key=("counterparty_id",),
        statistic="mean",
        period=period_of("30d"),
        value=NIGHT,
        lag_us=7 * DAY_US,
        where=Where(
            column="instrument",
            values=("cash",),
            also=Where(column="direction", values=("in", "out")),
        ),
    )


def test_readings_and_lists_of_the_other_forms():
    assert read_feature("own channel as category", NAMES) == Own(
        reading="category", column="channel"
    )
    assert read_feature("a compared with at least 20 customers alike in b, c", NAMES) == Peer(
        feature="a", by=("b", "c")
    )
    assert read_feature(
        "nationality as listed on watched of the latest row of customers by customer_id", NAMES
    ) == Latest(
        table="customers",
        key=("customer_id",),
        reading="listed",
        column="nationality",
        listing=LISTING,
    )


@pytest.mark.parametrize(
    ("sentence", "how"),
    [
        ("matched within 2h", Matched(reading="matched", within_us=2 * HOUR_US)),
        ("dwell", Matched(reading="dwell")),
        ("is_any_of(channel; atm, web)", RowFunction(
            operation="is_any_of", inputs=("channel",), values=("atm", "web"))),
        ("between(amount; 0, 0.5*7)", RowFunction(
            operation="between", inputs=("amount",), parameters=(0.0, 3.5))),
        ("listed(country; watched)", RowFunction(
            operation="listed", inputs=("country",), listing=LISTING)),
        ("product(is_night, amount)", RowFormula(operation="product", inputs=(NIGHT, "amount"))),
        ("count over events by customer_id, 1d", LatestValue(how=Window(
            table="events", key=("customer_id",), statistic="count", period=period_of("1d")))),
    ],
)  # fmt: skip
def test_row_columns(sentence, how):
    assert read_column(sentence, NAMES) == how


@pytest.mark.parametrize("text", ["1/24", "24*180", "0.1*3.0/7.0", "1/50000.0"])
def test_numbers_are_those_of_python(text):
    assert number(text) == eval(text)  # noqa: S307  a literal of this test


@pytest.mark.parametrize(
    ("sentence", "named"),
    [
        ("own amout", "amount"),
        ("ratioo(a, b)", "ratio"),
        ("counts over transactions by customer_id, 7d", "count"),
        ("count over transactions by customer_id, 7w", "7w"),
        ("amount of transactions", "amount of transactions"),
        ("count over transactions by customer_id where channel is atm, 7d", "channel is atm"),
    ],
)
def test_a_sentence_that_cannot_be_read_is_named(sentence, named):
    with pytest.raises(ConfigError, match=named):
        read_feature(sentence, NAMES)


def test_a_row_column_cannot_be_made_of_itself():
    circle = Names(
        columns={"a": "sum(b, b)", "b": "equals_zero(a)"}, listings={}, kinds=COLUMN_KINDS
    )
    with pytest.raises(ConfigError, match="'a'"):
        read_feature("own a", circle)


def test_words_multiply_and_the_first_is_the_slowest(declare):
    table = with_one(
        **{"for": {"p": ["1h", "7d"], "who": ["x", "y"]}},
        feature="<who>_<p>",
        en="<who> in <p>, <who.more>",
        zh="<p><who><who.more>",
        unit="<who.unit>",
    )
    table["words"] = {
        "who": {"x": {"en": "ex", "zh": "甲", "unit": "u1", "more": ["m", "多"]},
                "y": {"unit": 2, "more": "same"}}
    }  # fmt: skip
    specs = declare(table)
    assert [spec.name for spec in specs] == ["x_1h", "y_1h", "x_7d", "y_7d"]
    assert [spec.unit for spec in specs] == ["u1", "2", "u1", "2"]
    assert specs[0].description == "ex in the last hour, m"
    assert specs[2].description_zh == "近7天甲多"
    assert specs[3].description == "y in the last 7 days, same"


def test_a_group_gives_its_fields_and_a_feature_overrides_them(declare):
    inner = {"feature": "a", "how": "own amount", "en": "e", "zh": "z"}
    group = {
        "typology": "t", "observation_units": "fraud", "unit": "u", "monotone": 1,
        "features": [inner, {**inner, "feature": "b", "typology": None, "monotone": -1}],
    }  # fmt: skip
    first, second = declare({"source": "s", "features": [group]})
    assert (first.typology, first.observation_units, first.monotone) == ("t", ("fraud",), 1)
    assert (second.typology, second.observation_units, second.monotone) == (None, ("fraud",), -1)


def test_a_third_party_item_may_be_any_text():
    item = 'adverse media, (all) "x" <p>'
    config = FeatureConfig(families=("third_party",), third_party_items=(item,))
    how = declare_features(config)[f"third_party_{item}_count_365d"].how
    assert isinstance(how, Window)
    assert how.where == Where(column="item", values=(item,))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"unit": "<nobody>"}, "nobody"),
        ({"monoton": 1}, r"test\.yaml: .*monotone"),
        ({"how": "own amout"}, r"test\.yaml: f: .*amout"),
        ({"how": "own <p>"}, "<p>"),
        ({"for": {"p": "country_list"}}, "country_lists"),
        ({"monotone": 2}, "2"),
    ],
)
def test_a_wrong_table_names_family_feature_and_fault(declare, fields, named):
    with pytest.raises(ConfigError, match=named):
        declare(with_one(**fields))


def test_the_faults_of_all_entries_are_listed_together(declare):
    wrong = [{**ONE["features"][0], "how": f"own {name}"} for name in ("amout", "chanel")]
    with pytest.raises(ConfigError, match=r"(?s)2 faults.*amount.*channel"):
        declare({"source": "s", "features": wrong})


def test_a_wrong_key_at_the_top_is_named(declare):
    with pytest.raises(ConfigError, match=r"test\.yaml: .*typology"):
        declare({**ONE, "typologi": "x"})


def test_every_lacking_field_is_named(declare):
    with pytest.raises(ConfigError, match="how, unit, zh"):
        declare({"source": "s", "features": [{"feature": "f", "en": "e"}]})


def test_every_shared_row_column_is_declared_once_and_read():
    declared = [
        name
        for family in FAMILIES
        if family != ATTRIBUTES
        for name in tables._table(family).get("columns", {})
    ]
    assert len(set(declared)) == len(declared)
    lists = [CountryList(
        name="watched", english="e", chinese="z", source="s", verified_on="2024-01-01",
        entries=[CountryEntry(country="KP", since="2011-02-25")],
    )]  # fmt: skip
    config = FeatureConfig(families=("velocity",), country_lists=lists)
    read = {name for spec in declare_features(config).values() for name in row_columns_of(spec.how)}
    assert set(declared) <= read
