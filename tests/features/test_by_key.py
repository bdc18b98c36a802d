"""Features from rows found by key: those of `build_features` on all rows, to the bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kyc_ml.config import DatasetConfig
from kyc_ml.contract import CONTRACT
from kyc_ml.dataset import make_observations, make_reviews_at
from kyc_ml.features import all_made_of, build_features
from kyc_ml.features.buckets.anchors import plan_passes
from kyc_ml.features.buckets.populations import peer_rounds
from kyc_ml.features.build import timed_tables
from kyc_ml.features.by_key import (
    ByKey,
    MadeOnReading,
    MonthlyPeers,
    WholeRows,
    build_features_by_key,
)
from kyc_ml.features.how import OBSERVED
from kyc_ml.features.kinds.peer import Peer
from kyc_ml.features.prepare import columns_of
from kyc_ml.features.timed_rows import TimedRows

TIMES = ("event_time", "known_at", "superseded_at")


class KeyedTables:
    """Rows by key of tables in memory, without those that are made on reading."""

    def __init__(self, tables):
        self.tables = dict(tables)

    def rows(self, table, key, values, columns, *, since_us=None):
        found = self.tables[table]
        names = [n for n in found.column_names if n in {*columns, *TIMES}]
        assert set(columns) <= set(names)
        kept = pc.is_in(found[key], value_set=values.cast(pa.string()))
        return found.select(names).filter(kept)


def by_key_of(source, specs):
    """Return what computes features by key from tables in memory, with carried columns."""
    timed, _ = timed_tables(source, specs)
    keyed = KeyedTables(
        {n: t.table for n, t in timed.items() if n not in {"outcomes", "current_accounts"}}
    )
    whole = WholeRows(lambda table, names: keyed.tables[table], timezone=source.timezone)
    by_key = ByKey(
        keyed=MadeOnReading(keyed, columns_of(source)),
        whole=whole,
        timezone=source.timezone,
        peers=MonthlyPeers(
            specs=specs,
            by_key=lambda: by_key,
            customers=lambda: TimedRows(keyed.tables["customers"]),
        ),
    )
    rounds = peer_rounds(specs)
    for each in plan_passes({**{p: r.measured for p, r in rounds.items()}, OBSERVED: specs}).passes:
        if each.site.carries and each.site.place != OBSERVED:
            place = TimedRows(keyed.tables[each.site.place])
            for name, values in by_key.carried(each, place).items():
                table = keyed.tables[each.site.place]
                keyed.tables[each.site.place] = table.append_column(name, values)
    return by_key


def assert_equal_bits(got, expected):
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


def disturbed(source, seed):
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
        tables[name] = kept.sort_by([(each, "ascending") for each in order])
    return replace(source, tables=tables)


def observed_of(source, unit, seed, size):
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


@pytest.mark.parametrize("unit", ["fraud", "risk"])
@settings(max_examples=4)
@given(seed=st.integers(0, 2**32))
def test_every_feature_has_the_bits_of_all_rows_at_once(
    source, fraud_specs, risk_specs, unit, seed
):
    bank = disturbed(source, seed)
    specs = {"fraud": fraud_specs, "risk": risk_specs}[unit]
    rows = observed_of(bank, unit, seed, 60)
    got = build_features_by_key(
        rows, specs=specs, by_key=by_key_of(bank, specs), columns=columns_of(bank)
    )
    expected = build_features(bank, rows, specs=specs)
    assert_equal_bits(got, expected)
