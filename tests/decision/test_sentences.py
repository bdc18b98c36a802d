"""Sentences against the raw rows: number, unit, peers, direction, and nothing of the future."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from kyc_ml.config import FeatureConfig
from kyc_ml.contract.memory import contract_tables
from kyc_ml.dataset import make_reviews_at
from kyc_ml.decision import learn_reference, make_reasons
from kyc_ml.decision.explain.reference import LEVELS, Usual
from kyc_ml.decision.explain.sentences import figures_beside, has_range, say_value
from kyc_ml.features import build_features, declare_features
from kyc_ml.onboarding.synthetic.bank import make_bank
from kyc_ml.onboarding.synthetic.settings import BankConfig
from kyc_ml.registry import score_features

AT = pd.Timestamp("2024-09-02", tz="UTC")

# feature: days, direction, what of the rows, unit in English, unit in Chinese
COUNTED = {
    "customer_count_7d": (7, None, "count", "", "笔"),
    "customer_count_90d": (90, None, "count", "", "笔"),
    "customer_in_count_90d": (90, "in", "count", "", "笔"),
    "customer_out_count_30d": (30, "out", "count", "", "笔"),
    "customer_amount_sum_30d": (30, None, "sum", " CNY", " CNY"),
    "customer_in_sum_90d": (90, "in", "sum", " CNY", " CNY"),
    "customer_out_sum_90d": (90, "out", "sum", " CNY", " CNY"),
    "customer_amount_max_30d": (30, None, "max", " CNY", " CNY"),
    "customer_amount_mean_90d": (90, None, "mean", " CNY", " CNY"),
    "customer_counterparties_30d": (30, None, "nunique", "", "个"),
    "customer_payees_30d": (30, "out", "nunique", "", "个"),
}
WORDS = {
    "count": ("transactions", "payments"),
    "sum": ("amount",),
    "max": ("largest amount",),
    "mean": ("mean amount",),
    "nunique": ("different",),
}


@pytest.fixture(scope="module")
def raw():
    return make_bank(BankConfig(transactions=12_000, seed=11)).tables


def reasons_of(tables):
    """Give every listed feature as a reason of every customer, with random contributions."""
    source = contract_tables(tables, timezone="Asia/Shanghai", base_currency="CNY").accepted
    declared = declare_features(
        FeatureConfig(families=("velocity", "amounts", "counterparties", "profile"))
    )
    specs = tuple(declared[name] for name in (*COUNTED, "profile_segment"))
    observations = make_reviews_at(source, at=AT)
    features = build_features(source, observations, specs=specs)
    rng = np.random.default_rng(2)
    pushed = rng.choice([-1.0, 1.0], size=(len(features), len(specs)))
    pushed *= 1.0 + rng.random(pushed.shape)
    reference = learn_reference(features, np.ones(len(features), np.bool_))
    columns = make_reasons(
        features, pushed, reference=reference, currency="CNY", k=len(features.specs)
    )
    names = [spec.name for spec in features.specs]
    frames = []
    for place in range(1, len(names) + 1):
        frame = pd.DataFrame(
            {
                name: columns[f"reason_{place}_{name}"].to_pylist()
                for name in ("code", "text", "text_zh", "value", "percentile", "contribution")
            }
        )
        frame["customer"] = features.keys["customer_id"].to_pylist()
        frames.append(frame)
    said = pd.concat(frames, ignore_index=True)
    said["feature"] = said["code"].str.partition(".")[2]
    order = {name: column for column, name in enumerate(names)}
    row = {each: number for number, each in enumerate(features.keys["customer_id"].to_pylist())}
    said["pushed"] = [
        pushed[row[customer], order[name]]
        for customer, name in zip(said["customer"], said["feature"], strict=True)
    ]
    return said, {spec.name: spec for spec in features.specs}


@pytest.fixture(scope="module")
def said(raw):
    return reasons_of(raw)


def counted_by_hand(raw, customers, days, direction, what):
    """Count over the raw rows with pandas alone."""
    rows = raw["transactions"]
    rows = rows.to_pandas() if hasattr(rows, "to_pandas") else rows
    rows = rows[(rows["event_time"] < AT) & (rows["event_time"] >= AT - pd.Timedelta(days=days))]
    rows = rows[rows["known_at"].fillna(rows["event_time"]) <= AT]
    if direction is not None:
        rows = rows[rows["direction"] == direction]
    groups = rows.groupby("customer_id")
    found = {
        "count": groups.size,
        "sum": groups["amount"].sum,
        "max": groups["amount"].max,
        "mean": groups["amount"].mean,
        "nunique": groups["counterparty_id"].nunique,
    }[what]()
    found = found.reindex(customers)
    return found if what in {"max", "mean"} else found.fillna(0.0)


def read_number(text, unit):
    """Read a number said with its unit; NaN where it is not known."""
    if text in {"not known", "未知"}:
        return np.nan
    assert text.endswith(unit)
    number = text.removesuffix(unit)
    assert re.fullmatch(r"-?[\d,]+(\.\d+)?", number), text
    return float(number.replace(",", ""))


def test_a_thousand_sentences_say_what_the_raw_rows_say(raw, said):
    table, specs = said
    checked = 0
    for name, (days, direction, what, unit, unit_zh) in COUNTED.items():
        own = table[table["feature"] == name].set_index("customer")
        expected = counted_by_hand(raw, own.index, days, direction, what)
        known = np.sort(expected.dropna().to_numpy())
        ends = np.quantile(known, [0.05, 0.95], method="inverted_cdf")
        assert specs[name].description.startswith(WORDS[what])
        assert specs[name].description.endswith(f"last {days} days")
        for value, row in zip(expected, own.itertuples(), strict=True):
            english = re.fullmatch(
                rf"{re.escape(specs[name].description)}: (.+) \(usual: (.+?)( to (.+?))?"
                r"(, percentile (\d+))?\); (raises|lowers) .+",
                row.text,
            )
            chinese = re.fullmatch(
                rf"{re.escape(specs[name].description_zh)}：(.+)（通常：(.+?)(至(.+?))?"
                r"(，第(\d+)百分位)?）；使风险(升高|降低)",
                row.text_zh,
            )
            assert english, row.text
            assert chinese, row.text_zh
            for found, told in ((english, unit), (chinese, unit_zh)):
                assert read_number(found[1], told) == pytest.approx(value, abs=0.00501, nan_ok=True)
                # of a range only the end has the unit
                low = read_number(found[2], "" if found[4] else told)
                high = read_number(found[4], told) if found[4] else low
                assert (low, high) == pytest.approx(tuple(ends), abs=0.00501)
            if np.isnan(value):
                assert english[5] is None
                assert np.isnan(row.percentile)
            else:
                exact = (np.mean(known < value) + np.mean(known <= value)) / 2.0
                assert row.percentile == pytest.approx(exact, abs=0.1)
                assert int(english[6]) == int(chinese[6]) == int(100 * row.percentile + 1e-9)
            rises = row.pushed > 0
            assert english[7] == ("raises" if rises else "lowers")
            assert chinese[7] == ("升高" if rises else "降低")
            assert row.contribution == row.pushed
            checked += 1
    assert checked >= 1000


def test_a_category_is_the_latest_profile_known_then(raw, said):
    table, specs = said
    profiles = raw["customers"]
    profiles = profiles.to_pandas() if hasattr(profiles, "to_pandas") else profiles
    known = profiles["known_at"].fillna(profiles["event_time"])
    profiles = profiles[(profiles["event_time"] < AT) & (known <= AT)]
    latest = profiles.sort_values("event_time", kind="stable").groupby("customer_id").last()
    own = table[table["feature"] == "profile_segment"].set_index("customer")
    assert len(own) > 50
    for customer, text in own["text"].items():
        assert text.startswith(
            f"{specs['profile_segment'].description}: {latest.loc[customer, 'segment']} (usual: "
        )
    assert own["value"].isna().all()
    assert own["percentile"].isna().all()


def test_rows_that_were_not_known_yet_change_no_sentence(raw, said):
    blind = {}
    for name, table in raw.items():
        kept = pc.less_equal(
            table["known_at"], pa.scalar(AT.to_pydatetime(), pa.timestamp("us", tz="UTC"))
        )
        blind[name] = table.filter(pc.fill_null(kept, fill_value=True))
    assert len(blind["transactions"]) < len(raw["transactions"])
    table, _ = reasons_of(blind)
    pd.testing.assert_frame_equal(table, said[0])


def test_reasons_and_base_make_the_margin_whatever_rows_come_along(bundle, small):
    config = bundle.config.model_copy(
        update={"explain": bundle.config.explain.model_copy(update={"reasons": 20})}
    )
    all_reasons = replace(bundle, config=config)
    scores = score_features(all_reasons, small.features).to_pandas()
    places = range(1, len(bundle.inputs) + 1)
    pushed = scores[[f"reason_{place}_contribution" for place in places]].to_numpy()
    shares = scores[[f"reason_{place}_share" for place in places]].to_numpy()
    np.testing.assert_allclose(
        scores["base_value"] + pushed.sum(axis=1), scores["margin"], atol=1e-9
    )
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, atol=1e-9)
    np.testing.assert_allclose(shares, np.abs(pushed) / np.abs(pushed).sum(axis=1)[:, None])
    for row in (0, 42, 599):
        alone = score_features(all_reasons, small.features.take([row])).to_pandas()
        pd.testing.assert_frame_equal(
            alone, scores.iloc[[row]].reset_index(drop=True), check_exact=True
        )


@pytest.mark.parametrize(
    ("unit", "own", "ends"),
    [
        ("nats", 2.2533, (0.0, 2.2491)),
        ("share", 0.01041, (0.003, 0.01038)),
        ("hours", 0.10306, (0.10304, 26.0)),
        ("ratio", 3.0, (0.0, 2.0)),
    ],
)
def test_a_value_beyond_the_usual_range_never_looks_like_its_end(unit, own, ends):
    declared = declare_features(FeatureConfig(families=("velocity",))).values()
    spec = replace(next(each for each in declared if has_range(each)), unit=unit)
    grid = np.where(np.array(LEVELS) < 0.5, *ends)
    usual = Usual(medians={}, modes={}, quantiles={spec.name: grid}, missing={spec.name: 0.0})
    more = figures_beside(spec, own, usual, currency="CNY")
    written = {
        say_value(spec, each, currency="CNY", language="en", more=more) for each in (own, *ends)
    }
    assert len(written) == 3
    assert (more == 0) == (unit == "ratio")


@pytest.mark.parametrize(
    ("hours", "written"),
    [(187 / 3600, "3.12 minutes"), (7 / 60, "7 minutes"), (100.1, "4.17 days"), (96.0, "4 days")],
)
def test_a_time_in_another_unit_has_no_digit_that_was_rounded_away(hours, written):
    declared = declare_features(FeatureConfig(families=("velocity",))).values()
    spec = replace(next(each for each in declared if has_range(each)), unit="hours")
    assert say_value(spec, hours, currency="CNY", language="en") == written
