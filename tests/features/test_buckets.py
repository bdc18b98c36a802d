"""Features by buckets: the values of `build_features`, whatever the number of buckets."""

from __future__ import annotations

import errno
import os
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.config import DatasetConfig
from kyc_ml.dataset import make_observations, make_reviews_at
from kyc_ml.errors import ConfigError, OutputError, SourceError
from kyc_ml.features import (
    EVER,
    Latest,
    LatestValue,
    Matched,
    Own,
    RowColumn,
    RowFormula,
    RowFunction,
    Window,
    all_made_of,
    build_features,
    build_features_in_buckets,
)
from kyc_ml.features.buckets import build as under_test
from kyc_ml.features.buckets import exchange
from kyc_ml.features.buckets.exchange import bucket_of
from kyc_ml.features.kinds.peer import Peer
from kyc_ml.features.periods import period_of


@pytest.fixture(scope="module")
def observed(source):
    """Observations of both units, in an order of their own."""
    fraud = make_observations(
        source,
        unit="fraud",
        start=pd.Timestamp("2024-03-25", tz="UTC"),
        end=pd.Timestamp("2024-04-20", tz="UTC"),
        config=DatasetConfig(),
    )
    days = ("2024-03-01", "2024-04-01", "2024-04-20")
    reviews = [make_reviews_at(source, at=pd.Timestamp(day, tz="UTC")) for day in days]
    order = np.random.default_rng(5)
    return {
        unit: table.take(order.permutation(len(table)))
        for unit, table in {"fraud": fraud, "risk": pa.concat_tables(reviews)}.items()
    }


@pytest.fixture(scope="module")
def specs_of(fraud_specs, risk_specs):
    """Every declared feature of a unit."""
    return {"fraud": fraud_specs, "risk": risk_specs}


@pytest.fixture
def build(source, tmp_path):
    """Build features in buckets from files, and read what was written."""

    def run(rows, specs, *, tables=source, **settings):
        stored = tables.store(tmp_path / "stored").files
        pq.write_table(rows, tmp_path / "observations.parquet")
        result = build_features_in_buckets(
            stored,
            tmp_path / "observations.parquet",
            specs=specs,
            timezone=tables.timezone,
            out=tmp_path / "features.parquet",
            scratch=tmp_path / "scratch",
            **settings,
        )
        return pq.read_table(tmp_path / "features.parquet"), result

    return run


def assert_same(got, expected):
    """Compare tables whose rows may come in another order."""
    assert got.column_names == expected.column_names
    assert got.schema.types == expected.schema.types
    place = pc.index_in(got["observation_id"], value_set=expected["observation_id"])
    ordered = expected.take(place)
    assert len(got) == len(expected) == pc.count_distinct(place).as_py()
    for name in got.column_names:
        ours, theirs = got[name].combine_chunks(), ordered[name].combine_chunks()
        if pa.types.is_floating(ours.type):
            a, b = (each.to_numpy(zero_copy_only=False) for each in (ours, theirs))
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=0, err_msg=name)
        else:
            assert ours.equals(theirs), name


@pytest.mark.parametrize("n_buckets", [1, 3, 7])
@pytest.mark.parametrize("unit", ["fraud", "risk"])
def test_every_feature_is_that_of_the_engine_in_memory(  # noqa: PLR0917  fixtures
    source, observed, build, specs_of, unit, n_buckets
):
    specs = specs_of[unit]
    expected = build_features(source, observed[unit], specs=specs)
    got, result = build(observed[unit], specs, buckets=n_buckets)
    assert_same(got, expected.to_arrow())
    assert result.rows == len(expected)
    assert result.specs == expected.specs
    assert result.unavailable == expected.unavailable
    assert result.notes == expected.notes


def test_rows_keep_the_order_of_observations_inside_a_bucket(observed, build, fraud_specs):
    rows = observed["fraud"]
    got, _ = build(rows, fraud_specs[:40], buckets=5)
    number = bucket_of(rows["customer_id"].combine_chunks(), 5)
    order = np.argsort(number, kind="stable")
    assert got["observation_id"].to_pylist() == rows["observation_id"].take(order).to_pylist()


def test_payments_without_a_key_and_late_bookings_are_as_in_memory(
    source, observed, build, fraud_specs
):
    rng = np.random.default_rng(0)
    tables = dict(source.tables)
    booked = tables["transactions"]
    late = pc.add(
        booked["event_time"],
        pa.array(rng.exponential(3 * 86_400e6, len(booked)).astype(int), pa.duration("us")),
    )
    tables["transactions"] = _blanked(booked, rng).set_column(
        booked.column_names.index("known_at"), "known_at", late
    )
    changed, rows = replace(source, tables=tables), _blanked(observed["fraud"], rng)
    expected = build_features(changed, rows, specs=fraud_specs).to_arrow()
    got, _ = build(rows, fraud_specs, tables=changed, buckets=4)
    assert_same(got, expected)


def _blanked(table, rng):
    """Forget the counterparty, the device or the account of many rows."""
    for name in ("counterparty_id", "device_id", "account_id"):
        if name in table.column_names:
            gone = pc.if_else(pa.array(rng.random(len(table)) < 0.4), None, table[name])
            table = table.set_column(table.column_names.index(name), name, gone)
    return table


def test_columns_read_by_one_key_feed_features_of_another(source, observed, build, make_spec):
    by_customer = Window(
        table="transactions",
        key=("customer_id",),
        statistic="sum",
        value="amount",
        period=period_of("7d"),
    )
    spent = RowColumn(name="spent_before", how=LatestValue(how=by_customer))
    grown = RowFormula(operation="log_ratio", inputs=(spent, spent), parameter=1.0)
    scaled = RowColumn(name="spent_scaled", how=grown)
    by_device = replace(by_customer, key=("device_id",), statistic="max", value=spent)
    through_device = RowColumn(name="most_of_device", how=LatestValue(how=by_device))
    passed_on = RowColumn(
        name="passed_on", how=Matched(reading="matched", within_us=period_of("30d").us)
    )
    hour = RowColumn(name="at_hour", how=RowFunction(operation="hour"))
    hourly = RowColumn(
        name="bank_hourly",
        how=LatestValue(
            how=Window(
                table="transactions", key=(hour,), statistic="count", period=period_of("30d")
            )
        ),
    )
    by_counterparty = replace(by_customer, key=("counterparty_id",), period=EVER)
    hows = {
        "one_hop": replace(by_counterparty, statistic="max", value=spent),
        "mixed": replace(by_counterparty, value=scaled),
        "two_hops": replace(by_counterparty, statistic="max", value=through_device),
        "money": replace(by_counterparty, value=passed_on),
        "whole_bank": replace(by_customer, key=(), statistic="max", value=spent),
        "of_hour": replace(by_customer, key=(hour,), value=hourly),
        "own_hop": Own(reading="value", column=through_device),
        "of_payee": Latest(
            table="customers",
            key=("customer_id",),
            at=("counterparty_id",),
            reading="category",
            column="segment",
        ),
    }
    specs = [
        make_spec(name, how, kind="category" if name == "of_payee" else "number")
        for name, how in hows.items()
    ]
    expected = build_features(source, observed["fraud"], specs=specs).to_arrow()
    assert all(expected[name].null_count < len(expected) for name in hows)
    assert_same(build(observed["fraud"], specs, buckets=3)[0], expected)


def test_peers_are_compared_in_what_sets_them_apart_from_others(
    source, observed, build, risk_specs, make_spec
):
    known = {spec.name: spec for spec in risk_specs}
    inner = known["customer_count_30d_peer_z"]
    outer = make_spec("z_of_z", Peer(feature=inner.name, by=("profile_segment",), fewest=3))
    names = {outer.name, inner.name, *all_made_of(outer, {**known, outer.name: outer})}
    specs = [*(spec for spec in risk_specs if spec.name in names), outer]
    expected = build_features(source, observed["risk"], specs=specs).to_arrow()
    assert expected["z_of_z"].null_count < len(expected)
    assert_same(build(observed["risk"], specs, buckets=3)[0], expected)


def test_no_observations_give_an_empty_table_of_the_same_columns(
    source, observed, build, fraud_specs
):
    nobody = observed["fraud"].slice(0, 0)
    got, result = build(nobody, fraud_specs, buckets=2)
    assert result.rows == len(got) == 0
    assert got.schema.names[:3] == ["observation_id", "customer_id", "decision_time"]
    assert got.schema.names[3:] == [spec.name for spec in result.specs]


def test_scratch_is_empty_afterwards_and_the_end_is_told(observed, build, risk_specs, tmp_path):
    told = []
    build(observed["risk"], risk_specs, buckets=2, progress=lambda *done: told.append(done))
    assert list((tmp_path / "scratch").iterdir()) == []
    assert told[-1][0] == told[-1][1] == len(told)


def test_scratch_is_empty_after_an_error_and_the_old_result_is_kept(
    observed, build, risk_specs, tmp_path, monkeypatch
):
    (tmp_path / "features.parquet").write_text("yesterday")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exchange.pa.ipc, "new_stream", full)
    with pytest.raises(OutputError, match=os.strerror(errno.ENOSPC)):
        build(observed["risk"], risk_specs, buckets=2)
    assert list((tmp_path / "scratch").iterdir()) == []
    assert (tmp_path / "features.parquet").read_text() == "yesterday"


def test_what_cannot_be_read_or_parted_is_refused_at_once(observed, build, risk_specs, tmp_path):
    with pytest.raises(ConfigError, match=r"\b1\b.*\b256\b.*\b0\b"):
        build(observed["risk"], risk_specs, buckets=0)
    with pytest.raises(SourceError, match="transactions"):
        build_features_in_buckets(
            {"transactions": tmp_path / "absent.parquet"},
            tmp_path / "observations.parquet",
            specs=risk_specs,
            timezone="UTC",
            out=tmp_path / "features.parquet",
            scratch=tmp_path,
        )


def test_the_number_of_buckets_follows_the_longest_table(observed, build, fraud_specs, monkeypatch):
    monkeypatch.setattr(under_test, "BUCKET_ROWS", 2_000)
    told = []
    build(observed["fraud"], fraud_specs[:5], progress=lambda *done: told.append(done))
    assert told[-1][1] == 4


@given(st.lists(st.none() | st.text(max_size=6), max_size=30), st.integers(1, 9))
def test_equal_keys_share_a_bucket_wherever_they_stand(keys, n_buckets):
    together = bucket_of(pa.array(keys, pa.string()), n_buckets)
    alone = [int(bucket_of(pa.array([key], pa.string()), n_buckets)[0]) for key in keys]
    assert together.tolist() == alone
    parted = pa.chunked_array([pa.array(["x", *keys], pa.string()).slice(1)])
    assert bucket_of(parted, n_buckets).tolist() == alone
    assert all(number < n_buckets for number in alone)


def test_buckets_of_consecutive_keys_are_about_equal():
    counts = np.bincount(bucket_of(pa.array([f"c{n}" for n in range(32_000)]), 32), minlength=32)
    assert counts.min() > 850
    assert counts.max() < 1150


@pytest.mark.parametrize("unit", ["fraud", "risk"])
def test_features_computed_in_another_way_are_written_alike(  # noqa: PLR0917  fixtures
    source, build, observed, specs_of, unit, tmp_path, monkeypatch
):
    monkeypatch.setattr(under_test, "BUCKET_ROWS", source["transactions"].num_rows // 5)
    rows, specs = observed[unit], specs_of[unit]
    build(rows, specs, group_rows=50)
    monkeypatch.setattr(under_test, "_VALUES_AT_ONCE", 100 * len(specs))
    result = under_test.write_as_in_buckets(
        tmp_path / "observations.parquet",
        lambda some: build_features(source, some, specs=specs),
        rows={name: table.num_rows for name, table in source.tables.items()},
        columns={name: table.column_names for name, table in source.tables.items()},
        specs=specs,
        out=tmp_path / "other.parquet",
        group_rows=50,
    )
    assert result.rows == rows.num_rows
    with (
        pq.ParquetFile(tmp_path / "other.parquet") as got,
        pq.ParquetFile(tmp_path / "features.parquet") as expected,
    ):
        assert got.num_row_groups == expected.num_row_groups > 5
        sizes = [
            [each.metadata.row_group(n).num_rows for n in range(each.num_row_groups)]
            for each in (got, expected)
        ]
        assert sizes[0] == sizes[1]
        assert_same_rows(got.read(), expected.read())


def assert_same_rows(got, expected):
    """Compare tables to the bit, in their order."""
    assert got.schema.equals(expected.schema)
    for name in got.column_names:
        ours, theirs = (each[name].combine_chunks() for each in (got, expected))
        if pa.types.is_floating(ours.type):
            assert ours.is_null().equals(theirs.is_null()), name
            ours, theirs = (each.fill_null(0).to_numpy().view(np.uint64) for each in (ours, theirs))
            assert np.array_equal(ours, theirs), name
        else:
            assert ours.equals(theirs), name
