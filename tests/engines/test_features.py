"""Features on a cluster of two workers: those of one machine, to the bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from kyc_ml.config import DatasetConfig, FeatureConfig
from kyc_ml.contract import contract_tables
from kyc_ml.dataset import make_observations, make_reviews_at
from kyc_ml.engines import build_features_on_spark
from kyc_ml.engines.spark import skew
from kyc_ml.errors import ConfigError, OutputError, SourceError
from kyc_ml.features import FAMILIES, build_features_in_buckets, choose_features
from kyc_ml.onboarding.synthetic.bank import make_bank
from kyc_ml.onboarding.synthetic.settings import BankConfig

ITEMS = ("bureau_score", "adverse_media")


@pytest.fixture(scope="module")
def bank():
    """A small bank, some of whose payments lack a counterparty or are known late."""
    tables = dict(make_bank(BankConfig(transactions=5_000, days=120, seed=5)).tables)
    source = contract_tables(tables, timezone="Asia/Shanghai", base_currency="CNY").accepted
    rng = np.random.default_rng(0)
    paid = source["transactions"]
    gone = pc.if_else(pa.array(rng.random(len(paid)) < 0.2), None, paid["counterparty_id"])
    late = pa.array((rng.exponential(3e11, len(paid))).astype(int), pa.duration("us"))
    for name, values in (
        ("counterparty_id", gone),
        ("known_at", pc.add(paid["event_time"], late)),
    ):
        paid = paid.set_column(paid.column_names.index(name), name, values)
    order = [(name, "ascending") for name in ("event_time", "known_at", "transaction_id")]
    return replace(source, tables={**source.tables, "transactions": paid.sort_by(order)})


@pytest.fixture(scope="module")
def observed(bank):
    """Observations of both units, in an order of their own."""
    start, end = (pd.Timestamp(day, tz="UTC") for day in ("2024-03-01", "2024-04-10"))
    fraud = make_observations(bank, unit="fraud", start=start, end=end, config=DatasetConfig())
    reviews = [make_reviews_at(bank, at=day) for day in (start, end)]
    rng = np.random.default_rng(1)
    units = {"fraud": fraud, "risk": pa.concat_tables(reviews)}
    return {unit: rows.take(pa.array(rng.permutation(len(rows)))) for unit, rows in units.items()}


def specs_of(unit, families=tuple(FAMILIES)):
    items = ITEMS if "third_party" in families else ()
    return choose_features(FeatureConfig(families=families, third_party_items=items), unit=unit)


def divided(rows, folder, name, parts):
    """Write rows as several files, in order."""
    bounds = np.linspace(0, len(rows), parts + 1).astype(int)
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{name}-{at}.parquet" for at in range(parts)]
    for path, first, end in zip(paths, bounds[:-1], bounds[1:], strict=True):
        pq.write_table(rows.slice(first, end - first), path)
    return paths


def build_both(spark, bank, rows, specs, folder, *, buckets, parts):
    """Build features on one machine, and on the cluster from tables in several files."""
    pq.write_table(rows, folder / "observations.parquet")
    local = build_features_in_buckets(
        bank.store(folder / "stored").files,
        folder / "observations.parquet",
        specs=specs,
        timezone=bank.timezone,
        out=folder / "local.parquet",
        scratch=folder / "scratch",
        buckets=buckets,
    )
    built = build_features_on_spark(
        spark,
        {
            # the others are few rows
            name: divided(each, folder / "landed", name, parts if name == "transactions" else 1)
            for name, each in bank.tables.items()
        },
        divided(rows, folder / "landed", "observations", parts),
        specs=specs,
        timezone=bank.timezone,
        out=folder / "features",
        buckets=buckets,
    )
    got = pa.concat_tables(map(pq.read_table, built.files))
    return got, pq.read_table(folder / "local.parquet"), built, local


@pytest.mark.parametrize(("unit", "buckets", "parts"), [("fraud", 7, 3), ("risk", 1, 2)])
def test_every_feature_is_that_of_one_machine(  # noqa: PLR0917  fixtures
    spark, bank, observed, tmp_path, unit, buckets, parts
):
    got, expected, built, local = build_both(
        spark, bank, observed[unit], specs_of(unit), tmp_path, buckets=buckets, parts=parts
    )
    assert got.schema == expected.schema
    assert [name for name in got.column_names if not got[name].equals(expected[name])] == []
    assert len(built.files) == buckets
    assert (built.rows, built.specs, built.unavailable, built.notes) == (
        local.rows,
        local.specs,
        local.unavailable,
        local.notes,
    )
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_key_with_most_rows_is_divided_by_time(spark, bank, tmp_path, monkeypatch):
    rng = np.random.default_rng(2)
    paid = bank["transactions"]
    hot = pa.array(rng.random(len(paid)) < 0.4)
    for name in ("customer_id", "counterparty_id", "device_id"):
        values = pc.if_else(hot, paid[name].drop_null()[0], paid[name])
        paid = paid.set_column(paid.column_names.index(name), name, values)
    tables = replace(bank, tables={**bank.tables, "transactions": paid})
    rows = make_observations(
        tables,
        unit="fraud",
        start=pd.Timestamp("2024-02-01", tz="UTC"),
        end=pd.Timestamp("2024-04-20", tz="UTC"),
        config=DatasetConfig(),
    )
    monkeypatch.setattr(skew, "HEAVY_ROWS", 400)
    families = ("velocity", "amounts", "novelty", "devices", "flow_through", "label_history")
    got, expected, built, _ = build_both(
        spark, tables, rows, specs_of("fraud", families), tmp_path, buckets=5, parts=6
    )
    assert len(built.files) > 5
    assert [name for name in got.column_names if not got[name].equals(expected[name])] == []


def test_no_observations_give_empty_files_of_the_same_columns(spark, bank, observed, tmp_path):
    nobody, specs = observed["risk"].slice(0, 0), specs_of("risk", ("velocity", "timing"))
    got, expected, built, _ = build_both(spark, bank, nobody, specs, tmp_path, buckets=2, parts=1)
    assert (built.rows, len(got), len(expected)) == (0, 0, 0)
    assert got.schema == expected.schema


def test_what_cannot_be_read_or_written_is_refused_at_once(spark, tmp_path):
    given = {"specs": (), "timezone": "UTC", "out": tmp_path / "features"}
    absent, there = tmp_path / "absent.parquet", tmp_path / "there.parquet"
    pq.write_table(pa.table({"observation_id": ["a"]}), there)
    with pytest.raises(ConfigError, match=r"\b1\b.*\b32768\b.*\b0\b"):
        build_features_on_spark(spark, {}, [there], buckets=0, **given)
    with pytest.raises(SourceError, match="transactions"):
        build_features_on_spark(spark, {"transactions": [absent]}, [there], **given)
    with pytest.raises(OutputError, match=tmp_path.name):
        build_features_on_spark(spark, {}, [there], **{**given, "out": tmp_path})
