"""Features from a store: those of `build_features` on all rows, however these were appended."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from kyc_ml.features import build_features, tables_read
from kyc_ml.history.append import append_tables
from kyc_ml.history.reading import History, create_history


@pytest.fixture(scope="module")
def specs(fraud_specs):
    """Features of transactions whose tables a store keeps."""
    return [spec for spec in fraud_specs if "patterns" not in tables_read(spec.how)]


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


@settings(max_examples=3, phases=[Phase.generate])
@given(seed=st.integers(0, 2**32), parts=st.integers(1, 4))
def test_any_division_into_appends_gives_the_bits_of_all_rows(
    tmp_path_factory, source, banks, specs, seed, parts
):
    bank = banks.disturbed(source, seed)
    rows = banks.observed_of(bank, "fraud", seed, 60)
    folder = tmp_path_factory.mktemp("history") / "store"
    with create_history(folder, bank, [specs]) as store:
        for some in divided(bank, seed, parts):
            done = append_tables(store, some, note={})
            assert done.appended == done.read
        got = History(store).features(rows, specs)
    banks.assert_equal_bits(got, build_features(bank, rows, specs=specs))
