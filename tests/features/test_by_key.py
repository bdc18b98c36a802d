"""Features from rows found by key: those of `build_features` on all rows, to the bit."""

from __future__ import annotations

import os

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from kyc_ml.features import build_features
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
from kyc_ml.features.prepare import columns_of
from kyc_ml.features.timed_rows import TimedRows

SEEDS = range(max(1, int(os.environ.get("KYC_ML_EXAMPLES", "20")) // 20))
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


@pytest.mark.parametrize("unit", ["fraud", "risk"])
@pytest.mark.parametrize("seed", SEEDS)
def test_every_feature_has_the_bits_of_all_rows_at_once(banks, unit, seed):
    bank, specs = banks.disturbed(seed), banks.specs[unit]
    rows = banks.observed_of(bank, unit, seed, 60)
    got = build_features_by_key(
        rows, specs=specs, by_key=by_key_of(bank, specs), columns=columns_of(bank)
    )
    banks.assert_equal_bits(got, build_features(bank, rows, specs=specs))
