"""The rows behind a feature give its value: computed again from them alone, it is the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from kyc_ml.config import DatasetConfig
from kyc_ml.dataset import make_observations, make_reviews_at
from kyc_ml.features import Formula, Latest, Window, build_features, find_rows
from kyc_ml.features.how import name_of

AT = pd.Timestamp("2024-05-20", tz="UTC")
CUSTOMERS = 6
AGAIN = {
    "count": len,
    "sum": np.nansum,
    "max": lambda values: max(values, default=np.nan),
    "min": lambda values: min(values, default=np.nan),
    "mean": lambda values: np.mean(values) if len(values) else np.nan,
    "distinct": lambda values: len(set(values)),
}


@pytest.fixture(scope="module", params=["fraud", "risk"])
def computed(request, source, fraud_specs, risk_specs):
    """Every feature of a few observations, intermediate ones too, and the rows behind each."""
    if request.param == "fraud":
        found = make_observations(source, unit="fraud", start=AT, end=AT + pd.Timedelta(days=9),
                                  config=DatasetConfig())  # fmt: skip
    else:
        found = make_reviews_at(source, at=AT)
    busy = found.take(np.linspace(0, found.num_rows - 1, CUSTOMERS).astype(int))
    chosen = fraud_specs if request.param == "fraud" else risk_specs
    specs = [replace(spec, intermediate=False) for spec in chosen]
    table = build_features(source, busy, specs=specs)
    specs = [spec for spec in specs if spec.name in table.names]
    rows = [
        find_rows(source, busy.slice(place, 1), table.names, specs=specs)
        for place in range(busy.num_rows)
    ]
    return specs, table, rows


def test_a_statistic_computed_from_the_listed_rows_alone_is_the_feature(computed):
    specs, table, rows = computed
    values, checked, nonzero = table.to_pandas(), set(), 0
    for spec in specs:
        how = spec.how
        if not isinstance(how, Window) or how.statistic not in AGAIN or not how.key:
            continue
        for place, behind in enumerate(rows):
            value = values[spec.name][place]
            (reading,) = behind[spec.name]
            column = [1] * reading.rows.num_rows
            if how.value is not None:
                column = reading.rows[name_of(how.value)].drop_null().to_pylist()
            if np.isnan(value) and how.statistic in {"count", "sum", "distinct"}:
                assert not column, spec.name  # the observation has no such key
                continue
            assert AGAIN[how.statistic](column) == pytest.approx(value, nan_ok=True), spec.name
            checked.add(spec.name)
            nonzero += value > 0
    assert len(checked) > 100
    assert nonzero > len(checked)


def test_a_latest_row_is_the_one_that_was_read(computed):
    specs, table, rows = computed
    values, checked = table.to_pandas(), 0
    for spec in specs:
        how = spec.how
        if isinstance(how, Latest) and how.reading in {"value", "category"} and how.column:
            for place, behind in enumerate(rows):
                (reading,) = behind[spec.name]
                column = reading.rows[name_of(how.column)].to_pylist()
                own = values[spec.name][place]
                assert column in ([own], [] if pd.isna(own) else [own], [None]), spec.name
                checked += bool(column) and not pd.isna(own)
    assert checked > CUSTOMERS


def test_no_listed_row_was_unknown_at_the_decision_or_happened_after_it(computed):
    _, table, rows = computed
    decided = table.keys["decision_time"].to_pylist()
    listed = 0
    for now, behind in zip(decided, rows, strict=True):
        for reading in (each for found in behind.values() for each in found):
            listed += reading.rows.num_rows
            assert all(when < now for when in reading.rows["event_time"].to_pylist())
            assert all(when <= now for when in reading.rows["known_at"].to_pylist())
    assert listed


def test_a_ratio_shows_the_rows_of_what_is_divided_not_of_what_it_is_divided_by(computed):
    specs, _, rows = computed
    formulas = {spec.name: spec.how for spec in specs if isinstance(spec.how, Formula)}
    ratios = [n for n, how in formulas.items() if how.operation == "ratio" and rows[0].get(n)]
    windows = {spec.name for spec in specs if isinstance(spec.how, Window) and spec.how.key}
    both = [n for n in ratios if windows.issuperset(formulas[n].inputs)]
    assert both
    for name in both:
        first, *_ = formulas[name].inputs
        assert [each.how for each in rows[0][name]] == [each.how for each in rows[0][first]]
