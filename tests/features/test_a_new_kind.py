"""A kind that the engine has never met: its class alone takes it from the table to the values."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kyc_ml.config import AmountsOfInterest
from kyc_ml.features import (
    DECISION_TIME,
    build_features,
    build_features_in_buckets,
    find_time_bound,
    split_available,
)
from kyc_ml.features.families import tables
from kyc_ml.features.how import How, RowColumn, row_columns_of
from kyc_ml.features.kinds import KINDS
from kyc_ml.features.kinds.row_function import RowFunction


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity(How):
    """1 where the observation's hour is odd, else 0, read of a row column."""

    column: RowColumn

    def define(self):
        return f"parity_of {self.column.name}"

    @classmethod
    def parse(cls, sentence, names):
        found = re.fullmatch(r"parity_of (\w+)", sentence)
        return found and cls(column=names.column(found[1]))

    def columns(self, place):
        yield place, self.column

    def time_bound(self, of_feature):
        return "parity_of the clock"

    def read(self, place, *, tables, timezone):
        hours = place.table[self.column.name].cast(pa.int64()).to_numpy()
        return (hours % 2).astype(np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opposite(How):
    """One less another feature."""

    feature: str

    def define(self):
        return f"opposite_of {self.feature}"

    @classmethod
    def parse(cls, sentence, names):
        found = re.fullmatch(r"opposite_of (\w+)", sentence)
        return found and cls(feature=found[1])

    def features_read(self):
        return (self.feature,)

    def combine(self, inputs):
        return 1.0 - inputs[0]


TABLE = {
    "source": "test",
    "unit": "0 or 1",
    "columns": {"own_hour": "hour()", "far": "is_any_of(country; US)"},
    "features": [
        {"feature": "odd", "how": "parity_of own_hour", "en": "odd", "zh": "奇数"},
        {"feature": "even", "how": "opposite_of odd", "en": "even", "zh": "偶数"},
        {"feature": "odd_far", "how": "parity_of far", "en": "f", "zh": "远"},
    ],
}


@pytest.fixture
def specs(monkeypatch):
    monkeypatch.setattr(tables, "_table", lambda _: TABLE)
    monkeypatch.setattr(tables, "KINDS", (Parity, Opposite, *KINDS))
    return read_families_of_test()


def read_families_of_test():
    return tables.read_families.__wrapped__(("test",), AmountsOfInterest())


@pytest.fixture
def observations(source):
    rows = source.tables["transactions"].slice(100, 50)
    return pa.table(
        {
            "observation_id": rows["transaction_id"],
            "customer_id": rows["customer_id"],
            DECISION_TIME: rows["event_time"],
        }
    )


def test_it_is_declared_and_defined_as_it_was_written(specs):
    odd, even, _ = specs
    assert odd.how == Parity(column=RowColumn(name="own_hour", how=RowFunction(operation="hour")))
    assert [spec.how.define() for spec in (odd, even)] == ["parity_of own_hour", "opposite_of odd"]
    assert row_columns_of(odd.how) == {"own_hour": "hour()"}
    assert find_time_bound(specs) == dict.fromkeys(("odd", "odd_far"), "parity_of the clock")


def test_it_is_unavailable_where_a_column_behind_its_row_column_is_absent(specs):
    available, unavailable = split_available(specs, {}, ["observation_id", "customer_id"])
    assert [spec.name for spec in available] == ["odd", "even"]
    assert unavailable.keys() == {"odd_far"}
    assert "country" in unavailable["odd_far"]


@pytest.mark.parametrize("n_buckets", [None, 3])
def test_it_is_built_in_memory_and_in_buckets(specs, source, observations, tmp_path, n_buckets):
    specs = specs[:2]
    if n_buckets is None:
        built = build_features(source, observations, specs=specs).to_arrow()
    else:
        pq.write_table(observations, tmp_path / "observations.parquet")
        build_features_in_buckets(
            source.store(tmp_path / "stored").files,
            tmp_path / "observations.parquet",
            specs=specs,
            timezone=source.timezone,
            out=tmp_path / "features.parquet",
            scratch=tmp_path / "scratch",
            buckets=n_buckets,
        )
        built = pq.read_table(tmp_path / "features.parquet")
    local = built["decision_time"].to_pandas().dt.tz_convert(source.timezone)
    odd = (local.dt.hour % 2).astype(float).tolist()
    assert 0 < sum(odd) < len(odd) == 50
    assert built["odd"].to_pylist() == odd
    assert built["even"].to_pylist() == [1.0 - each for each in odd]
