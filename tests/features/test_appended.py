"""Features from a store: those of `build_features` on all rows, however these were appended."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from kyc_ml.features import build_features
from kyc_ml.history.append import append_tables
from kyc_ml.history.reading import History, create_history

SEEDS = range(int(os.environ.get("KYC_ML_EXAMPLES", "20")) // 10)


def divided(source, seed, parts):
    """Divide the rows of a bank among appends, whatever their times."""
    rng = np.random.default_rng(seed)
    number = {name: rng.integers(parts, size=len(t)) for name, t in source.tables.items()}
    if seed % 2:  # mostly in order of time, as nights come
        for name, table in source.tables.items():
            share = np.arange(len(table)) * parts // max(len(table), 1)
            number[name] = np.where(rng.random(len(table)) < 0.9, share, number[name])
    for part in range(parts):
        yield replace(
            source,
            tables={n: t.filter(pa.array(number[n] == part)) for n, t in source.tables.items()},
        )


@pytest.mark.parametrize("unit", ["fraud", "risk"])
@pytest.mark.parametrize("seed", SEEDS)
def test_any_division_into_appends_gives_the_bits_of_all_rows(tmp_path_factory, banks, unit, seed):
    bank, parts = banks.disturbed(seed), 2 + seed % 2
    rows = banks.observed_of(bank, unit, seed, 60)
    specs = banks.specs[unit]
    folder = tmp_path_factory.mktemp("history") / "store"
    with create_history(folder, bank, [specs]) as store:
        for some in divided(bank, seed, parts):
            done = append_tables(store, some, note={})
            assert done.appended == done.read
        got = History(store, keep=True).features(rows, specs)
        again = History(store).features(rows, specs)
    banks.assert_equal_bits(got, build_features(bank, rows, specs=specs))
    banks.assert_equal_bits(again, got)
