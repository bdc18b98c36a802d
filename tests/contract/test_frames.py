"""Tables in memory: each kind of value is read rightly, or refused with its table and column."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from kyc_ml.contract.memory import contract_tables
from kyc_ml.errors import SourceError

ROW = {"transaction_id": ["t"], "customer_id": ["c"], "event_time": ["2024-01-05"], "amount": [1.0]}
NAIVE = pd.Timestamp("2024-01-05 09:00")
ZONED = pd.Timestamp("2024-01-05 09:00", tz="Asia/Shanghai")


def read(frame):
    got = contract_tables(
        {"transactions": frame}, timezone="Asia/Shanghai", base_currency="CNY",
        max_quarantined_share=0.0,
    )  # fmt: skip
    return got.accepted.tables["transactions"]


def arrow(values, kind=None, column="amount"):
    return pa.table({**ROW, column: pa.array(values, kind)})


def objects(*values):
    n = len(values)
    frame = pd.DataFrame({name: cells * n for name, cells in ROW.items()})
    ids = [f"t{i}" for i in range(n)]
    return frame.assign(transaction_id=ids, event_time=pd.Series(list(values), dtype=object))


HALF = pa.array([np.float16(1.5)], pa.float16())


@pytest.mark.parametrize(
    "amount",
    [
        HALF,
        pa.DictionaryArray.from_arrays(pa.array([0], pa.int8()), HALF),
        pa.RunEndEncodedArray.from_arrays(pa.array([1], pa.int32()), HALF),
        pa.array([Decimal("1.5")], pa.decimal256(50, 2)),
        pa.array([Decimal("1.5")], pa.decimal32(5, 2)),
        pa.array(["1.5"], pa.string_view()),
        pa.array(["1.5"], pa.large_string()),
        pa.array(["1.5"]).dictionary_encode(),
    ],
    ids=lambda array: str(array.type)[:30],
)
def test_kinds_that_hold_a_number_are_read(amount):
    assert read(pa.table({**ROW, "amount": amount}))["amount"].to_pylist() == [1.5]


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame(ROW).assign(amount=np.array([1.5], "float16")),
        pd.DataFrame(ROW).assign(amount=pd.arrays.SparseArray([1.5])),
        pl.DataFrame({**ROW, "amount": [Decimal("1.5")]}),
        pl.DataFrame(ROW | {"amount": ["1.5"]}, schema_overrides={"amount": pl.Categorical}),
    ],
)
def test_data_frames_of_such_kinds_are_read(frame):
    assert read(frame)["amount"].to_pylist() == [1.5]


@pytest.mark.parametrize(
    "frame",
    [
        arrow([Decimal("1.5")], pa.decimal256(76, 40)),
        arrow([None], pa.month_day_nano_interval()),
        arrow([None], pa.time32("s")),
        arrow([None], pa.duration("ns")),
        arrow([[1]], pa.list_(pa.int32())),
        arrow([None], pa.list_(pa.float16())),
        arrow([{"x": 1}], pa.struct([("x", pa.int32())])),
        arrow([None], pa.map_(pa.string(), pa.int32())),
        arrow([b"a"], pa.binary()),
        pl.DataFrame({**ROW, "amount": [1]}, schema_overrides={"amount": pl.Int128}),
        pl.DataFrame({**ROW, "amount": [object()]}, schema_overrides={"amount": pl.Object}),
        pd.DataFrame(ROW).assign(amount=[1j]),
        pd.DataFrame(ROW).assign(amount=np.array([1.5], "longdouble")),
        pd.DataFrame(ROW).assign(amount=pd.period_range("2024-01", periods=1, freq="M")),
        pd.DataFrame(ROW).assign(amount=pd.arrays.IntervalArray.from_breaks([0, 1])),
        pa.Table.from_arrays(
            [pa.array(cells) for cells in [*ROW.values(), [2.0]]], names=[*ROW, "amount"]
        ),
    ],
)
def test_other_kinds_are_one_fault_that_names_table_and_column(frame):
    with pytest.raises(SourceError) as told:
        read(frame)
    assert ": 1 fault\n" in str(told.value)
    assert "table 'transactions'" in str(told.value)
    assert "'amount'" in str(told.value)


@pytest.mark.parametrize(
    "values",
    [
        (NAIVE, ZONED),
        (ZONED, NAIVE),
        (dt.datetime(2024, 1, 5, 9), dt.datetime(2024, 1, 5, 9, tzinfo=dt.UTC)),  # noqa: DTZ001
        (np.datetime64("2024-01-05"), ZONED),
        (dt.date(2024, 1, 5), NAIVE),
    ],
)
@pytest.mark.parametrize("kind", ["object", "category"])
def test_times_of_several_kinds_in_one_column_are_refused(values, kind):
    frame = objects(*values)
    frame["event_time"] = frame["event_time"].astype(kind)
    with pytest.raises(SourceError) as told:
        read(frame)
    assert "column 'event_time' mixes" in str(told.value)


def test_frames_that_are_put_together_are_refused_where_one_alone_is_right():
    naive, zoned = objects(NAIVE).infer_objects(), objects(ZONED).infer_objects()
    for frame in (naive, zoned):
        assert read(frame)["event_time"][0].as_py().hour == 1
    with pytest.raises(SourceError, match=r"zone.*without.*zone"):
        read(pd.concat([naive, zoned], ignore_index=True))


def test_times_of_several_zones_are_instants_each():
    berlin = pd.Timestamp("2024-01-05 02:00", tz="Europe/Berlin")
    read_ = read(objects(ZONED, berlin))["event_time"].to_pylist()
    assert read_ == [dt.datetime(2024, 1, 5, 1, tzinfo=dt.UTC)] * 2
