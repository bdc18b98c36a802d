"""Parts follow one another in time, and no label of an earlier part ripens in a later one."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.config import DatasetConfig, SplitConfig
from kyc_ml.errors import DatasetError
from kyc_ml.splits import PARTS, assign_parts, plan_out_of_time, summarise_parts

AS_OF = pd.Timestamp("2024-07-01", tz="UTC")
DAY = pd.Timedelta(days=1)

SPLITS = st.builds(
    SplitConfig,
    train_days=st.none() | st.integers(1, 400),
    early_stopping_days=st.integers(1, 60),
    calibration_days=st.integers(1, 60),
    test_days=st.integers(1, 60),
    embargo_days=st.integers(0, 60),
    inner_embargo_days=st.integers(0, 30),
)
DATASETS = st.builds(
    DatasetConfig,
    horizon_days=st.integers(0, 90),
    label_maturity_days=st.integers(0, 180),
)


def times(*texts):
    return np.array(texts, "datetime64[us]")


def plan(splits=None, dataset=None, as_of=AS_OF):
    return plan_out_of_time(
        as_of=as_of,
        splits=splits or SplitConfig(),
        dataset=dataset or DatasetConfig(label_maturity_days=10),
    )


@given(splits=SPLITS, dataset=DATASETS)
def test_parts_follow_one_another_with_the_days_between_left_out(splits, dataset):
    boundaries = plan(splits, dataset)
    (train_start, train_end), stopping, calibration, test = (
        boundaries.parts[name] for name in PARTS
    )
    inner = splits.inner_embargo_days * DAY
    assert train_start is None or train_end - train_start == splits.train_days * DAY
    assert stopping[0] - train_end == inner
    assert calibration[0] - stopping[1] == inner
    assert test[0] - boundaries.development_cutoff == splits.embargo_days * DAY
    lengths = [end - start for start, end in (stopping, calibration, test)]
    days = (splits.early_stopping_days, splits.calibration_days, splits.test_days)
    assert lengths == [n * DAY for n in days]


@given(splits=SPLITS, dataset=DATASETS)
def test_labels_are_ripe_when_they_are_used(splits, dataset):
    boundaries = plan(splits, dataset)
    ripening = (dataset.horizon_days + dataset.label_maturity_days) * DAY
    for name in PARTS[:3]:
        assert boundaries.parts[name][1] + ripening <= boundaries.development_cutoff
    assert boundaries.parts["calibration"][1] + ripening == boundaries.development_cutoff
    assert boundaries.parts["test"][1] + ripening == boundaries.as_of == AS_OF
    assert boundaries.development_cutoff <= boundaries.parts["test"][0]


@given(splits=SPLITS, dataset=DATASETS, hours=st.lists(st.integers(0, 24 * 900), max_size=50))
def test_every_moment_is_in_the_one_part_whose_bounds_hold_it(splits, dataset, hours):
    boundaries = plan(splits, dataset)
    moments = [AS_OF - pd.Timedelta(hours=hour) for hour in hours]
    got = assign_parts(times(*(moment.tz_localize(None) for moment in moments)), boundaries)
    for moment, part in zip(moments, got, strict=True):
        holding = [
            name
            for name, (start, end) in boundaries.parts.items()
            if (start is None or start <= moment) and moment < end
        ]
        assert holding == ([part] if part else [])


def test_the_dates_of_a_plan_by_hand():
    boundaries = plan()  # 28 days of test, 14 of each inner part, embargoes of 7 and 1
    days = {
        name: tuple(None if day is None else day.strftime("%m-%d") for day in bounds)
        for name, bounds in boundaries.parts.items()
    }
    assert days == {
        "train": (None, "04-07"),
        "early_stopping": ("04-08", "04-22"),
        "calibration": ("04-23", "05-07"),
        "test": ("05-24", "06-21"),
    }
    assert boundaries.development_cutoff == pd.Timestamp("2024-05-17", tz="UTC")


@pytest.mark.parametrize(
    ("moment", "part"),
    [
        ("1999-01-01T00:00:00", "train"),
        ("2024-04-06T23:59:59.999999", "train"),
        ("2024-04-07T00:00:00", ""),
        ("2024-04-08T00:00:00", "early_stopping"),
        ("2024-05-06T23:59:59.999999", "calibration"),
        ("2024-05-07T00:00:00", ""),
        ("2024-05-23T23:59:59.999999", ""),
        ("2024-05-24T00:00:00", "test"),
        ("2024-06-20T23:59:59.999999", "test"),
        ("2024-06-21T00:00:00", ""),
    ],
)
def test_parts_are_half_open(moment, part):
    assert assign_parts(times(moment), plan()).tolist() == [part]


def test_a_training_date_in_another_zone_is_the_same_instant():
    shanghai = plan(as_of=AS_OF.tz_convert("Asia/Shanghai"))
    hours = np.arange("2024-03-01", "2024-07-01", dtype="datetime64[h]").astype("datetime64[us]")
    assert np.array_equal(assign_parts(hours, shanghai), assign_parts(hours, plan()))


@pytest.mark.parametrize(
    ("train_days", "history_start", "start"),
    [
        (None, None, None),
        (10, None, "2024-03-28"),
        (None, "2024-02-01", "2024-02-01"),
        (10, "2024-02-01", "2024-03-28"),
        (100, "2024-02-01", "2024-02-01"),
    ],
)
def test_training_starts_at_the_later_of_its_two_limits(train_days, history_start, start):
    dataset = DatasetConfig(label_maturity_days=10, history_start=history_start)
    got = plan(SplitConfig(train_days=train_days), dataset).parts["train"][0]
    assert got == (None if start is None else pd.Timestamp(start, tz="UTC"))


def test_one_day_is_enough_to_train_on():
    dataset = DatasetConfig(label_maturity_days=10, history_start="2024-04-06")
    start, end = plan(dataset=dataset).parts["train"]
    assert end - start == DAY


def test_no_room_to_train_is_refused_with_the_dates():
    dataset = DatasetConfig(label_maturity_days=10, history_start="2024-04-07")
    with pytest.raises(DatasetError) as caught:
        plan(dataset=dataset)
    told = "with as_of 2024-07-01 the training rows end on 2024-04-07, but start on 2024-04-07"
    assert told in str(caught.value)


@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from([*PARTS, ""]),
            st.sampled_from(["positive", "negative", "immature", "open_case"]),
            st.sampled_from(["a", "b", "c"]),
        ),
        max_size=40,
    )
)
def test_a_summary_counts_everything_exactly_once(rows):
    part, status, customer = (
        np.array([row[column] for row in rows], dtype=object) for column in range(3)
    )
    table = summarise_parts(part, status, customer, plan())
    assert table["observations"].sum() == len(rows)
    named = table[table["part"].isin(PARTS)]
    assert len(named) == len(table) - 1 == 4
    sums = named["used"] + named["immature"] + named["open_case"]
    assert (sums == named["observations"]).all()
    for found in named.itertuples():
        mine = [row for row in rows if row[0] == found.part]
        usable = [row for row in mine if row[1] in {"positive", "negative"}]
        assert found.used == len(usable)
        assert found.positives == sum(row[1] == "positive" for row in usable)
        assert found.customers == len({row[2] for row in usable})
        assert (found.start, found.end) == plan().parts[found.part] or found.part == "train"
    left_out = table.iloc[-1]
    assert left_out["part"].startswith("left out")
    assert left_out["used"] == left_out["positives"] == left_out["customers"] == 0
    assert left_out["observations"] == sum(row[0] == "" for row in rows)
