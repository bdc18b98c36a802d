"""Attributes obey the time rule, and their values are those of a plain calculation."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.config import Attribute, DatasetConfig, FeatureConfig, TableAttribute
from kyc_ml.contract.memory import contract_tables
from kyc_ml.dataset import make_observations, make_reviews_at
from kyc_ml.decision.explain.sentences import EFFECTS, say_reason, say_usual
from kyc_ml.errors import ConfigError
from kyc_ml.features import (
    audit_features,
    build_features,
    build_features_in_buckets,
    choose_features,
    find_time_bound,
    from_plain,
    to_plain,
)
from kyc_ml.features.families.attributes import declare, with_attributes
from kyc_ml.features.periods import period_of

DAY = 86_400_000_000
MONTH = 30 * DAY
START = pd.Timestamp("2024-01-01", tz="UTC").value // 1000
NUMBERS = ("latest", "mean", "maximum", "minimum", "sum", "trend")
CHOSEN = FeatureConfig(families=("attributes",))
WITH_HISTORY = FeatureConfig(families=("attributes", "label_history"))


def attribute(kind="number", over_time=("latest",), **given_):
    words = {"description": "credit use", "description_zh": "额度使用"}
    return Attribute(type=kind, over_time=over_time, **{**words, **given_})


def at(us):
    return pa.array(np.asarray(us, np.int64) + START).cast(pa.timestamp("us", "UTC"))


def moment(us):
    return pd.Timestamp(us + START, unit="us", tz="UTC")


def tables_of(rows, own, table="customers"):
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    times = {name: at(columns[name]) for name in ("event_time", "known_at")}
    return contract_tables(
        {table: pa.table({**columns, **times})},
        attributes={table: own},
        base_currency="CNY",
        max_quarantined_share=0.0,
    ).accepted


def observed_at(times, customer="a"):
    return pa.table(
        {
            "observation_id": [f"o{n}" for n in range(len(times))],
            "customer_id": [customer] * len(times),
            "decision_time": at(times),
        }
    )


def values_of(source, observations, *, unit="risk"):
    specs = choose_features(CHOSEN, unit=unit, attributes=source.attributes)
    return build_features(source, observations, specs=specs).to_arrow().to_pandas()


# --- versions of a customer against a plain calculation ---------------------------------

versions = st.lists(
    st.tuples(
        st.integers(0, 30),  # day it began
        st.integers(-3, 40),  # days until it was known
        st.one_of(st.none(), st.integers(-50, 50), st.floats(-1e6, 1e6)),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda version: version[:2],
)


def visible(found, now, window):
    """Values and days of the versions that a decision may see, by the rule as it is written."""
    return [
        (day, value)
        for day, late, value in found
        if day < now and day + late <= now and (window is None or day >= now - window)
    ]


def slope(points):
    """The least-squares slope in 30 days, in exact arithmetic."""
    n = len(points)
    if len({day for day, _ in points}) < 2:
        return np.nan
    days = [Fraction(day) for day, _ in points]
    held = [Fraction(value) for _, value in points]
    middle, mean = sum(days) / n, sum(held) / n
    spread = sum((day - middle) ** 2 for day in days)
    together = sum((d - middle) * (v - mean) for d, v in zip(days, held, strict=True))
    return float(30 * together / spread)


def plainly(points):
    held = [float(value) for _, value in points if value is not None]
    known = [(day, value) for day, value in points if value is not None]
    return {
        "mean": np.mean(held) if held else np.nan,
        "max": max(held, default=np.nan),
        "min": min(held, default=np.nan),
        "sum": float(sum(map(Fraction, held))),
        "trend": slope(known),
    }


@given(found=versions, decisions=st.lists(st.integers(0, 60), min_size=1, max_size=6))
def test_versions_are_read_as_a_plain_calculation_reads_them(found, decisions):
    rows = [
        {
            "customer_id": "a",
            "event_time": day * DAY,
            "known_at": (day + late) * DAY,
            "use": None if value is None else float(value),
        }
        for day, late, value in found
    ]
    own = {"use": attribute(over_time=NUMBERS, windows=("10d", "ever"))}
    got = values_of(tables_of(rows, own), observed_at([each * DAY for each in decisions]))
    for n, now in enumerate(decisions):
        for window, label in ((10, "10d"), (None, "ever")):
            expected = plainly(visible(found, now, window))
            for name, value in expected.items():
                column = got[f"customer_attr_use_{name}_{label}"]
                size = max((abs(v) for *_, v in found if v is not None), default=0)
                np.testing.assert_allclose(column[n], value, rtol=1e-9, atol=1e-9 * (1 + size))
        last = max(((day, late, v) for day, late, v in found
                    if day < now and day + late <= now), default=(0, 0, None))  # fmt: skip
        # equal numbers are equal bits: the contract holds no -0.0
        expected_last = np.nan if last[2] is None else float(last[2]) + 0.0
        np.testing.assert_equal(got["customer_attr_use"][n], expected_last)


@given(
    value=st.floats(-1e100, 1e100),
    times=st.lists(st.integers(0, 10**15), min_size=2, max_size=8, unique=True),
)
def test_a_value_that_never_moves_has_a_trend_of_exactly_zero(value, times):
    rows = [
        {"customer_id": "a", "event_time": t, "known_at": t, "use": value} for t in sorted(times)
    ]
    own = {"use": attribute(over_time=("trend",), windows=("ever",))}
    got = values_of(tables_of(rows, own), observed_at([max(times) + 1]))
    assert got["customer_attr_use_trend_ever"].tolist() == [0.0]


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([(0, 1.0)], np.nan),
        ([(0, 1.0), (0, 3.0)], np.nan),  # reported again, of the same day
        ([(0, 1.0), (30, 3.0)], 2.0),
        ([(0, 0.5), (30, 0.4), (60, 0.3)], -0.1),
        ([(0, None), (30, 3.0)], np.nan),
        ([(0, 1.0), (10, None), (30, 3.0)], 2.0),
    ],
)
def test_a_trend_is_the_slope_in_30_days_of_at_least_two_times(points, expected):
    rows = [
        {"customer_id": "a", "event_time": day * DAY, "known_at": (day + n) * DAY, "use": value}
        for n, (day, value) in enumerate(points)
    ]
    own = {"use": attribute(over_time=("trend",), windows=("365d",))}
    got = values_of(tables_of(rows, own), observed_at([100 * DAY]))
    np.testing.assert_allclose(got["customer_attr_use_trend_365d"], [expected], rtol=1e-12)


def test_a_version_counts_from_when_it_was_known_and_missing_stays_missing():
    rows = [
        {"customer_id": "a", "event_time": 0, "known_at": 0, "use": 0.2, "home": "自有"},
        {"customer_id": "a", "event_time": DAY, "known_at": 9 * DAY, "use": 0.9, "home": None},
    ]
    own = {"use": attribute(), "home": attribute("text")}
    times = [0, 1, 9 * DAY - 1, 9 * DAY]
    got = values_of(tables_of(rows, own), observed_at(times))
    np.testing.assert_equal(got["customer_attr_use"].to_numpy(), [np.nan, 0.2, 0.2, 0.9])
    assert got["customer_attr_home"].isna().tolist() == [True, False, False, True]
    assert got["customer_attr_home"][1] == "自有"


def test_flags_and_dates_are_numbers():
    rows = [
        {
            "customer_id": "a",
            "event_time": day * DAY,
            "known_at": day * DAY,
            "late": late,
            "opened": "2023-12-31",
        }
        for day, late in ((0, True), (1, False), (2, None))
    ]
    own = {
        "late": attribute("boolean", over_time=("latest", "mean"), windows=("90d",)),
        "opened": attribute("date"),
    }
    got = values_of(tables_of(rows, own), observed_at([2 * DAY, 3 * DAY]))
    np.testing.assert_equal(got["customer_attr_late"].to_numpy(), [0.0, np.nan])
    np.testing.assert_equal(got["customer_attr_late_mean_90d"].to_numpy(), [0.5, 0.5])
    np.testing.assert_equal(got["customer_attr_opened_days"].to_numpy(), [3.0, 4.0])


# --- accounts ---------------------------------------------------------------------------

account_versions = st.lists(
    st.tuples(
        st.sampled_from("xyz"),  # account
        st.sampled_from("ab"),  # owner
        st.integers(0, 12),
        st.integers(-3, 12),
        st.sampled_from(["open", "frozen", "closed", None]),
        st.one_of(st.none(), st.integers(-9, 9)),
        st.sampled_from(["card", "loan", None]),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda version: (version[0], *version[2:4]),
)


@given(found=account_versions, decisions=st.lists(st.integers(0, 25), min_size=1, max_size=6))
def test_current_accounts_are_the_last_version_of_each_that_is_visible(found, decisions):
    rows = [
        {
            "account_id": account,
            "customer_id": owner,
            "event_time": day * DAY,
            "known_at": (day + late) * DAY,
            "status": status,
            "limit": None if value is None else float(value),
            "product": product,
        }
        for account, owner, day, late, status, value, product in found
    ]
    own = {"limit": attribute(), "product": attribute("text")}
    source = tables_of(rows, own, table="accounts")
    got = values_of(source, observed_at([each * DAY for each in decisions]))
    for n, now in enumerate(decisions):
        last = {}
        for version in sorted(found, key=lambda each: (each[2], each[2] + each[3])):
            if version[2] < now and version[2] + version[3] <= now:
                last[version[0]] = version
        mine = [v for v in last.values() if v[1] == "a" and v[4] != "closed"]
        limits = [float(v[5]) for v in mine if v[5] is not None]
        products = [v[6] for v in mine if v[6] is not None]
        expected = {
            "limit_sum": sum(limits) if any(v[1] == "a" for v in found) else None,
            "limit_mean": np.mean(limits) if limits else np.nan,
            "limit_max": max(limits, default=np.nan),
            "limit_min": min(limits, default=np.nan),
            "product_distinct": len(set(products)) if any(v[1] == "a" for v in found) else None,
            "product_commonest_share": max(Counter(products).values()) / len(products)
            if products
            else np.nan,
        }
        for name, value in expected.items():
            if value is not None:
                np.testing.assert_equal(got[f"accounts_attr_{name}"][n], value, err_msg=name)


def test_the_bookings_own_account_gives_its_own_value():
    rows = [
        {"account_id": name, "customer_id": "a", "event_time": 0, "known_at": 0, "limit": limit}
        for name, limit in (("x", 5.0), ("y", 7.0))
    ]
    source = tables_of(rows, {"limit": attribute()}, table="accounts")
    paid = observed_at([DAY, DAY, DAY]).append_column("account_id", pa.array(["y", "x", None]))
    got = values_of(source, paid, unit="fraud")
    np.testing.assert_equal(got["account_attr_limit"].to_numpy(), [7.0, 5.0, np.nan])
    np.testing.assert_equal(got["accounts_attr_limit_sum"].to_numpy(), [12.0] * 3)


# --- bookings and reviews ---------------------------------------------------------------


def test_a_booking_has_its_own_attributes_and_those_before_it():
    rows = [
        {
            "transaction_id": f"t{n}",
            "customer_id": "a",
            "event_time": n * DAY,
            "known_at": n * DAY,
            "amount": 1.0,
            "mcc": mcc,
            "km": km,
        }
        for n, (mcc, km) in enumerate([("5411", 1.0), ("5411", 9.0), ("7995", None)])
    ]
    own = {
        "mcc": attribute("text", ("latest", "distinct", "commonest_share"), windows=("30d",)),
        "km": attribute(over_time=("latest", "mean", "maximum", "sum"), windows=("30d",)),
    }
    source = tables_of(rows, own, table="transactions")
    config = DatasetConfig()
    paid = make_observations(source, unit="fraud", start=None, end=moment(9 * DAY), config=config)
    got = values_of(source, paid, unit="fraud")
    assert got["transaction_attr_mcc"].tolist() == ["5411", "5411", "7995"]
    np.testing.assert_equal(got["transaction_attr_km"].to_numpy(), [1.0, 9.0, np.nan])
    np.testing.assert_equal(got["transaction_attr_km_max_30d"].to_numpy(), [np.nan, 1.0, 9.0])
    np.testing.assert_equal(got["transaction_attr_mcc_distinct_30d"].to_numpy(), [0.0, 1.0, 1.0])
    reviewed = values_of(source, make_reviews_at(source, at=moment(3 * DAY)))
    assert set(reviewed) >= {"transaction_attr_km_sum_30d", "transaction_attr_mcc_distinct_30d"}
    assert "transaction_attr_mcc" not in reviewed
    assert reviewed["transaction_attr_km_sum_30d"].tolist() == [10.0]
    np.testing.assert_allclose(reviewed["transaction_attr_mcc_commonest_share_30d"], [2 / 3])


def test_a_review_has_the_fields_of_its_application():
    rows = [
        {"review_id": "r1", "customer_id": "a", "event_time": 0, "known_at": 0, "sum": 9e3},
        {"review_id": "r2", "customer_id": "a", "event_time": DAY, "known_at": 0, "sum": None},
    ]
    source = tables_of(rows, {"sum": attribute(unit="base currency")}, table="reviews")
    asked = make_observations(
        source, unit="risk", start=None, end=moment(9 * DAY), config=DatasetConfig()
    )
    got = values_of(source, asked)
    np.testing.assert_equal(got["review_attr_sum"].to_numpy(), [9e3, np.nan])
    specs = choose_features(CHOSEN, unit="risk", attributes=source.attributes)
    built = build_features(source, observed_at([DAY]), specs=specs)
    assert built.unavailable.keys() == {"review_attr_sum"}


# --- the time rule, on disk and in memory -----------------------------------------------


@pytest.fixture(scope="module")
def rich(bank):
    """The small bank with attributes on every table that takes them."""
    rng = np.random.default_rng(11)
    tables = {name: bank[name] for name in ("customers", "accounts", "transactions", "cases")}
    own = {}
    for name in ("customers", "accounts", "transactions"):
        rows = tables[name].num_rows
        number = pa.array(rng.normal(size=rows).round(3), mask=rng.random(rows) < 0.1)
        text = pa.array(rng.choice(["甲", "乙", "丙"], rows), mask=rng.random(rows) < 0.1)
        flag = pa.array(rng.random(rows) < 0.3, mask=rng.random(rows) < 0.1)
        day = pa.array(rng.integers(18_000, 19_800, rows).astype(np.int32)).cast(pa.date32())
        for column, values in (("n", number), ("t", text), ("f", flag), ("d", day)):
            tables[name] = tables[name].append_column(column, values)
        numbers = NUMBERS if name == "customers" else NUMBERS[:-1]
        own[name] = {
            "n": attribute(over_time=numbers),
            "t": attribute("text", ("latest", "distinct", "commonest_share")),
            "f": attribute("boolean", numbers),
            "d": attribute("date"),
        }
    return contract_tables(
        tables, attributes=own, timezone="Asia/Shanghai", base_currency="CNY"
    ).accepted


def observations_of(source, unit):
    if unit == "risk":
        days = ("2024-03-01", "2024-04-20")
        reviews = [make_reviews_at(source, at=pd.Timestamp(day, tz="UTC")) for day in days]
        return pa.concat_tables(reviews)
    return make_observations(
        source,
        unit=unit,
        start=pd.Timestamp("2024-04-01", tz="UTC"),
        end=pd.Timestamp("2024-04-20", tz="UTC"),
        config=DatasetConfig(),
    )


@pytest.mark.parametrize("unit", ["fraud", "risk"])
def test_no_attribute_knows_the_future(rich, unit):
    specs = choose_features(WITH_HISTORY, unit=unit, attributes=rich.attributes)
    found = audit_features(
        rich, observations_of(rich, unit), specs=specs, times=2, seed=3, build=build_features
    )
    assert found.passed, found
    assert not found.unavailable


@pytest.mark.parametrize("unit", ["fraud", "risk"])
def test_buckets_give_the_same_bits_as_memory(rich, unit, tmp_path):
    specs = choose_features(WITH_HISTORY, unit=unit, attributes=rich.attributes)
    rows = observations_of(rich, unit)
    expected = build_features(rich, rows, specs=specs).to_arrow()
    pq.write_table(rows, tmp_path / "observations.parquet")
    build_features_in_buckets(
        rich.store(tmp_path / "stored").files,
        tmp_path / "observations.parquet",
        specs=specs,
        timezone=rich.timezone,
        out=tmp_path / "features.parquet",
        scratch=tmp_path / "scratch",
        buckets=3,
    )
    got = pq.read_table(tmp_path / "features.parquet")
    order = [("observation_id", "ascending")]
    assert got.sort_by(order).equals(expected.sort_by(order).cast(got.schema))
    assert len(got.column_names) > 40


def test_the_order_of_rows_moves_nothing(rich):
    specs = choose_features(CHOSEN, unit="risk", attributes=rich.attributes)
    rows = observations_of(rich, "risk")
    turned = build_features(rich, rows.take(list(range(len(rows)))[::-1]), specs=specs).to_arrow()
    straight = build_features(rich, rows, specs=specs).to_arrow()
    assert turned.take(list(range(len(rows)))[::-1]).equals(straight)


def test_an_attribute_has_the_share_of_adverse_outcomes_over_all_history(rich):
    name = "transaction_attr_t_adverse_share_ever_lag7d"
    config = FeatureConfig(families=("attributes",), include=(name,))
    specs = choose_features(config, unit="fraud", attributes=rich.attributes)
    rows = observations_of(rich, "fraud").slice(0, 40)
    got = build_features(rich, rows, specs=specs).to_arrow()[name].to_pylist()
    past = rich.tables["transactions"].select(
        ["transaction_id", "event_time", "known_at", "attr_t"]
    )
    past, cases = past.to_pandas(), rich.tables["cases"].to_pandas()
    cases = cases[cases["outcome"].isin(["confirmed_fraud", "str_filed", "default"])]
    for found, now, value in zip(
        got, rows["decision_time"].to_pylist(), rows["attr_t"].to_pylist(), strict=True
    ):
        known = cases.loc[cases["known_at"] <= now, "transaction_id"]
        old = past[(past["event_time"] < now - pd.Timedelta(days=7)) & (past["known_at"] <= now)]
        adverse = old["transaction_id"].isin(known)
        if value is None:
            assert found is None
            continue
        own = old["attr_t"] == value
        share = ((adverse & own).sum() + 20 * adverse.mean()) / (own.sum() + 20)
        assert found == pytest.approx(share, rel=1e-12)


# --- what a feature says of itself ------------------------------------------------------


def everything(table="customers", **given_):
    own = attribute(**{"over_time": NUMBERS, "unit": "share", **given_})
    return TableAttribute(table=table, name="use", **own.model_dump())


def test_names_units_words_and_directions_follow_from_the_declaration():
    specs = {spec.name: spec for spec in declare([everything(direction=1, windows=("90d",))])}
    assert list(specs) == [
        "customer_attr_use",
        *(f"customer_attr_use_{name}_90d" for name in ("mean", "max", "min", "sum", "trend")),
    ]
    assert {spec.family for spec in specs.values()} == {"attributes"}
    assert {name: spec.monotone for name, spec in specs.items() if not spec.monotone} == {
        "customer_attr_use_trend_90d": 0
    }
    mean = specs["customer_attr_use_mean_90d"]
    assert re.fullmatch("mean .*credit.* 90 days", mean.description)
    assert mean.description_zh == "近90天额度使用均值"
    assert mean.reason_code == "attributes.customer_attr_use_mean_90d"
    assert not find_time_bound(specs.values())


def test_every_reason_can_be_said_in_both_languages():
    declared = [
        everything("customers"),
        everything("accounts", over_time=NUMBERS[:-1]),
        everything("customers", kind="date", unit="number", over_time=("latest",)),
        everything("customers", kind="boolean", unit="number"),
        everything(
            "transactions",
            kind="text",
            unit="number",
            over_time=("latest", "distinct", "commonest_share"),
        ),
    ]
    from kyc_ml.decision.explain.reference import Usual  # noqa: PLC0415

    for spec in declare(declared):
        own = "甲" if spec.kind == "category" else 1.0
        nothing = Usual(medians={}, modes={})
        usual = say_usual(spec, nothing, group=None, currency="CNY")
        english, chinese = say_reason(
            spec, own, usual=usual, percentile=0.5, currency="CNY", effect=EFFECTS[1.0]
        )
        assert english.isascii() or spec.kind == "category"
        assert "credit" not in chinese


def test_a_window_of_any_length_has_words():
    assert period_of("90d").english.endswith(" 90 days")
    assert (period_of("45d").us, period_of("45d").chinese) == (45 * DAY, "近45天")
    assert (period_of("12h").us, period_of("12h").english) == (DAY // 2, "the last 12 hours")
    assert period_of("ever").us is None


def test_declarations_survive_being_written_down():
    specs = declare([everything(), everything("accounts", over_time=("latest",))])
    assert from_plain(to_plain(specs)) == specs


def test_the_family_is_taken_whole_by_name_and_single_features_too():
    own = (everything(over_time=("latest", "mean"), windows=("90d",)),)
    plain = FeatureConfig(families=("profile",))
    assert with_attributes(plain, own) == plain
    one = FeatureConfig(families=("profile",), include=("customer_attr_use",))
    names = [spec.name for spec in choose_features(one, unit="risk", attributes=own)]
    assert "customer_attr_use" in names
    assert "customer_attr_use_mean_90d" not in names
    without = FeatureConfig(families=("attributes",), exclude=("customer_attr_use",))
    names = [spec.name for spec in choose_features(without, unit="risk", attributes=own)]
    assert names == ["customer_attr_use_mean_90d"]
    with pytest.raises(ConfigError, match="source"):
        choose_features(CHOSEN, unit="risk", attributes=())
    with pytest.raises(ConfigError, match="customer_attr_used"):
        choose_features(replace_include(one, "customer_attr_used"), unit="risk", attributes=own)


def replace_include(config, name):
    return config.model_copy(update={"include": (name,), "families": ("attributes",)})


def test_an_attribute_that_the_source_lacks_is_left_out_with_the_reason(rich):
    specs = choose_features(CHOSEN, unit="risk", attributes=rich.attributes)
    lean = rich["customers"].drop_columns(["attr_n"])
    source = replace(rich, tables={**rich.tables, "customers": lean})
    built = build_features(source, observations_of(rich, "risk"), specs=specs)
    assert "customer_attr_n" in built.unavailable
    assert "attribute" in built.unavailable["customer_attr_n"]


def test_two_attributes_cannot_give_one_feature():
    source = tables_of(
        [{"customer_id": "a", "event_time": 0, "known_at": 0, "use": 1.0, "use_mean_90d": 2.0}],
        {"use": attribute(over_time=("mean",)), "use_mean_90d": attribute()},
    )
    with pytest.raises(ConfigError, match=r"attributes.*'customer_attr_use_mean_90d'"):
        choose_features(CHOSEN, unit="risk", attributes=source.attributes)
