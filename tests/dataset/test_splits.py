"""Parts follow one another in time, and no label of an earlier part ripens in a later one.

Folds keep the same promise, each with its own past; folds by customer share no customer.
"""

import copy
import pickle
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import sklearn
from hypothesis import given, reject
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils.metadata_routing import get_routing_for_object

from kyc_ml.config import PARTS, DatasetConfig, FoldsConfig, SplitConfig
from kyc_ml.dataset import (
    BETWEEN,
    LEFT_OUT,
    CustomerDisjointSplit,
    Labels,
    OutOfTimeCustomerSplit,
    OutOfTimeSplit,
    PrequentialSplit,
    RowAssignment,
    assign_parts,
    make_splitter,
    name_between,
    plan_out_of_time,
    summarise_parts,
)
from kyc_ml.errors import ConfigError, DatasetError
from kyc_ml.training.customer_folds import _count_all

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
    label_delay = (dataset.horizon_days + dataset.label_maturity_days) * DAY
    for name in PARTS[:3]:
        assert boundaries.parts[name][1] + label_delay <= boundaries.development_cutoff
    assert boundaries.parts["calibration"][1] + label_delay == boundaries.development_cutoff
    assert boundaries.parts["test"][1] + label_delay == boundaries.as_of == AS_OF
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
    # what a last fit learns besides lies between parts, with labels ripe at the same cut-off
    named = name_between(got, times(*(moment.tz_localize(None) for moment in moments)), boundaries)
    begin, last = boundaries.parts["train"][0], boundaries.parts["calibration"][1]
    for moment, part, name in zip(moments, got, named, strict=True):
        inside = (begin is None or begin <= moment) and moment < last
        assert name == (BETWEEN if inside and not part else part)


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
            st.sampled_from(["positive", "negative", "immature", "open_case", "already_adverse"]),
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
    sums = table["used"] + table[list(LEFT_OUT)].sum(axis="columns")
    assert (sums == table["observations"]).all()
    assert (named["outside_parts"] == 0).all()
    for found in named.itertuples():
        mine = [row for row in rows if row[0] == found.part]
        usable = [row for row in mine if row[1] in {"positive", "negative"}]
        assert found.used == len(usable)
        assert found.positives == sum(row[1] == "positive" for row in usable)
        assert found.customers == len({row[2] for row in usable})
        assert (found.start, found.end) == plan().parts[found.part] or found.part == "train"
    left_out = table.iloc[-1]
    assert not re.fullmatch("train|test|.*fold.*", left_out["part"])
    assert left_out["used"] == left_out["positives"] == left_out["customers"] == 0
    assert left_out["observations"] == sum(row[0] == "" for row in rows)


@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["positive", "negative", "immature", "open_case", "already_adverse"]),
            st.booleans(),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_one_part_of_everything_counts_everything_exactly_once(rows):
    status = np.array([state for state, _ in rows], dtype=object)
    # what has no outcome yet is not old enough, and a negative is
    settled = np.array([(old or s == "negative") and s != "immature" for s, old in rows])
    labels = Labels(status=status, settled=settled)
    observations = pa.table(
        {"customer_id": ["c"] * len(rows), "decision_time": [AS_OF.to_pydatetime()] * len(rows)}
    )
    (found,) = _count_all(observations, labels, labels.usable & settled).to_dict("records")
    assert found["observations"] == found["used"] + sum(found[name] for name in LEFT_OUT)


START = pd.Timestamp("2024-01-01", tz="UTC")
SPAN_DAYS = 200
# midnights fall on the edges of parts
HOUR = st.integers(0, SPAN_DAYS - 1).map(lambda day: 24 * day) | st.integers(0, 24 * SPAN_DAYS - 1)
HOURS = st.lists(HOUR, min_size=1, max_size=60)
LENGTHS = st.fixed_dictionaries(
    {
        "train_days": st.none() | st.integers(1, 40),
        "delay_days": st.integers(0, 20),
        "embargo_days": st.integers(0, 10),
        "horizon_days": st.integers(0, 30),
        "test_days": st.integers(1, 20),
        "start": st.just(START),
        "end": st.just(START + SPAN_DAYS * DAY),
    }
)
CUSTOMERS = st.lists(st.sampled_from("abcdefghij"), min_size=60, max_size=60)
OUTCOMES = st.lists(st.sampled_from([0.0, 0.0, 1.0, np.nan]), min_size=60, max_size=60)


def moments(hours):
    return pd.DatetimeIndex([START + pd.Timedelta(hours=hour) for hour in hours])


def folds_of(splitter, *data):
    """The folds, or no example at all where the lengths do not fit into the time."""
    try:
        return splitter.folds(*data)
    except DatasetError:
        reject()


def bank(n=400, seed=0):
    """Rows of 20 customers over 100 days; a feature that tells the outcome a little."""
    rng = np.random.default_rng(seed)
    target = (rng.random(n) < 0.3).astype(float)
    when = START + pd.to_timedelta(np.sort(rng.integers(0, 100 * 24, n)), unit="h")
    frame = pd.DataFrame(
        {"signal": target + rng.normal(size=n), "noise": rng.normal(size=n)},
        index=pd.DatetimeIndex(when, name="decision_time"),
    )
    return frame, target, rng.integers(0, 20, n)


SPLITTERS = {
    "out of time": OutOfTimeSplit(test_days=20, delay_days=7, embargo_days=3, horizon_days=5),
    "prequential": PrequentialSplit(n_splits=3, train_days=21, delay_days=7, test_days=14),
    "customers": CustomerDisjointSplit(n_splits=4, seed=0),
    "both": OutOfTimeCustomerSplit(n_splits=3, seed=0, delay_days=7, test_days=30),
}
every_splitter = pytest.mark.parametrize("splitter", SPLITTERS.values(), ids=SPLITTERS)
by_customer = pytest.mark.parametrize(
    "splitter", [SPLITTERS["customers"], SPLITTERS["both"]], ids=["customers", "both"]
)


@given(hours=HOURS, lengths=LENGTHS, n_splits=st.integers(1, 4), step=st.none() | st.integers(1, 9))
def test_each_row_of_each_fold_has_the_fate_that_its_time_gives_it(hours, lengths, n_splits, step):
    splitter = PrequentialSplit(n_splits=n_splits, step_days=step, **lengths)
    times = moments(hours)
    folds = folds_of(splitter, times)
    assert len(folds) == splitter.get_n_splits() == n_splits
    stride = (step or lengths["test_days"]) * DAY
    for back, fold in enumerate(reversed(folds)):
        test_end = lengths["end"] - back * stride
        test_start = test_end - lengths["test_days"] * DAY
        cutoff = test_start - lengths["embargo_days"] * DAY
        ripe = cutoff - lengths["delay_days"] * DAY
        begin = START if lengths["train_days"] is None else ripe - lengths["train_days"] * DAY
        for when, fate in zip(times, fold.fate, strict=True):
            if when < begin or when >= test_end:
                want = RowAssignment.OUTSIDE
            elif when >= test_start:
                want = RowAssignment.TEST
            elif when >= cutoff:
                want = RowAssignment.EMBARGOED
            elif when >= ripe:
                want = RowAssignment.DELAYED
            else:  # (when, when + horizon] meets [test_start, test_end)
                reaches = when + lengths["horizon_days"] * DAY >= test_start
                want = RowAssignment.PURGED if reaches else RowAssignment.TRAIN
            assert fate == want


@given(hours=HOURS, lengths=LENGTHS, n_splits=st.integers(1, 4))
def test_training_ends_before_the_test_less_embargo_and_delay(hours, lengths, n_splits):
    splitter = PrequentialSplit(n_splits=n_splits, **lengths)
    times = moments(hours)
    gap = (lengths["embargo_days"] + lengths["delay_days"]) * DAY
    for fold in folds_of(splitter, times):
        assert not set(fold.train) & set(fold.test)
        period = fold.period
        assert (times[fold.train] + gap < period.test_start).all()
        assert (times[fold.train] + lengths["horizon_days"] * DAY < period.test_start).all()
        assert (times[fold.test] >= period.test_start).all()
        assert period.train_cutoff == period.test_start - lengths["embargo_days"] * DAY
        label_delay = max(lengths["delay_days"], lengths["horizon_days"]) * DAY
        assert period.test_cutoff == period.test_end + label_delay


@given(hours=HOURS, lengths=LENGTHS)
def test_purging_drops_exactly_the_labels_that_reach_into_the_test(hours, lengths):
    times = moments(hours)
    (purged,) = folds_of(OutOfTimeSplit(**lengths), times)
    (kept,) = folds_of(OutOfTimeSplit(**{**lengths, "horizon_days": 0}), times)
    reach = times + lengths["horizon_days"] * DAY
    overlapping = set(np.flatnonzero(reach >= purged.period.test_start))
    assert set(purged.train) == set(kept.train) - overlapping
    assert set(np.flatnonzero(purged.fate == RowAssignment.PURGED)) == set(kept.train) & overlapping
    assert np.array_equal(purged.test, kept.test)


@given(hours=HOURS, lengths=LENGTHS)
def test_out_of_time_is_a_rolling_origin_of_one_fold(hours, lengths):
    times = moments(hours)
    (one,) = folds_of(OutOfTimeSplit(**lengths), times)
    (rolled,) = PrequentialSplit(n_splits=1, **lengths).folds(times)
    assert one.period == rolled.period
    assert np.array_equal(one.fate, rolled.fate)


def test_the_dates_are_those_of_the_handbook():
    days = pd.date_range("2018-04-01", "2018-08-14 23:59:59", freq="6h", tz="UTC")
    splitter = PrequentialSplit(n_splits=4, train_days=7, delay_days=7, test_days=7)
    got = []
    for fold in splitter.folds(days):
        train, test = days[fold.train], days[fold.test]
        got.append([f"{day:%m-%d}" for day in (train[0], train[-1], test[0], test[-1])])
        assert fold.period.train_cutoff == fold.period.test_start
    # Source: Fraud Detection Handbook, prequentialSplit: starts of 2018-07-25 less 0 to 3 weeks
    assert got == [
        ["07-04", "07-10", "07-18", "07-24"],
        ["07-11", "07-17", "07-25", "07-31"],
        ["07-18", "07-24", "08-01", "08-07"],
        ["07-25", "07-31", "08-08", "08-14"],
    ]


@given(customers=CUSTOMERS, outcomes=OUTCOMES, n_splits=st.integers(2, 4), seed=st.integers(0, 99))
def test_customers_are_dealt_out_once_and_positives_evenly(customers, outcomes, n_splits, seed):
    target, names = np.array(outcomes), np.array(customers)
    splitter = CustomerDisjointSplit(n_splits=n_splits, seed=seed)
    folds = folds_of(splitter, np.zeros((60, 1)), target, names)
    tested = np.concatenate([fold.test for fold in folds])
    assert sorted(tested) == list(range(60))
    for fold in folds:
        assert not set(names[fold.train]) & set(names[fold.test])
        assert sorted([*fold.train, *fold.test]) == list(range(60))
    having = [len(set(names[fold.test][target[fold.test] == 1])) for fold in folds]
    numbers = [len(set(names[fold.test])) for fold in folds]
    assert max(having) - min(having) <= 1
    assert max(numbers) - min(numbers) <= 1


@given(
    hours=st.lists(HOUR, min_size=60, max_size=60),
    customers=CUSTOMERS,
    outcomes=OUTCOMES,
    lengths=LENGTHS,
    seed=st.integers(0, 99),
)
def test_both_at_once_is_what_either_split_allows(hours, customers, outcomes, lengths, seed):
    times, target, names = moments(hours), np.array(outcomes), np.array(customers)
    splitter = OutOfTimeCustomerSplit(n_splits=2, seed=seed, **lengths)
    folds = folds_of(splitter, times, target, names)
    (in_time,) = OutOfTimeSplit(**lengths).folds(times)
    apart = CustomerDisjointSplit(n_splits=2, seed=seed).folds(times, target, names)
    for fold, aside in zip(folds, apart, strict=True):
        assert set(fold.train) == set(in_time.train) & set(aside.train)
        assert set(fold.test) == set(in_time.test) & set(aside.test)
        assert not set(names[fold.train]) & set(names[fold.test])
    assert set().union(*(fold.test for fold in folds)) == set(in_time.test)


@every_splitter
@given(seed=st.integers(0, 1000))
def test_the_order_of_rows_changes_nothing(splitter, seed):
    frame, target, customers = bank()
    order = np.random.default_rng(seed).permutation(len(frame))
    shuffled = splitter.folds(frame.iloc[order], target[order], customers[order])
    for fold, other in zip(splitter.folds(frame, target, customers), shuffled, strict=True):
        assert fold.period == other.period
        assert np.array_equal(fold.fate[order], other.fate)


@by_customer
def test_the_same_seed_gives_the_same_split_and_another_does_not(splitter):
    data = bank()

    def sides(seed):
        made = type(splitter)(n_splits=3, seed=seed)
        return np.array([fold.fate for fold in made.folds(*data)])

    assert np.array_equal(sides(0), sides(0))
    assert not np.array_equal(sides(0), sides(1))


@every_splitter
def test_scikit_learn_validates_and_searches_with_it(splitter):
    frame, target, customers = bank()
    groups = customers if splitter.needs_customers else None
    scores = cross_val_score(
        LogisticRegression(), frame, target, groups=groups, cv=splitter, scoring="roc_auc"
    )
    assert scores.shape == (splitter.get_n_splits(frame, target, groups),)
    assert (scores > 0.55).all()
    search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=splitter, scoring="roc_auc")
    search.fit(frame, target, groups=groups)
    assert search.n_splits_ == splitter.get_n_splits()
    assert search.cv_results_["mean_test_score"].max() > 0.6


@every_splitter
def test_scikit_learn_routes_customers_where_they_are_needed(splitter):
    frame, target, customers = bank()
    with sklearn.config_context(enable_metadata_routing=True):
        routing = get_routing_for_object(splitter)
        assert routing.split.requests == ({"groups": True} if splitter.needs_customers else {})
        params = {"groups": customers} if splitter.needs_customers else None
        scores = cross_val_score(DummyClassifier(), frame, target, cv=splitter, params=params)
    assert scores.shape == (splitter.get_n_splits(),)


@every_splitter
def test_train_and_test_are_ascending_row_numbers_of_either_class(splitter):
    frame, target, customers = bank()
    target[::7] = np.nan
    groups = customers if splitter.needs_customers else None
    for train, test in splitter.split(frame, target, groups):
        for rows in (train, test):
            assert rows.dtype == np.int64
            assert (np.diff(rows) > 0).all()
            assert set(target[rows]) == {0.0, 1.0}  # and no unknown outcome
        assert not set(train) & set(test)


@every_splitter
def test_a_copy_splits_alike_and_its_name_says_how(splitter):
    data = bank()
    for other in (copy.deepcopy(splitter), pickle.loads(pickle.dumps(splitter))):  # noqa: S301
        for mine, its in zip(splitter.folds(*data), other.folds(*data), strict=True):
            assert np.array_equal(mine.fate, its.fate)
    assert repr(splitter).startswith(f"{type(splitter).__name__}(")


def test_a_name_shows_lengths_and_no_rows():
    splitter = OutOfTimeSplit(test_days=7, times=moments(range(1000)))
    assert repr(splitter) == (
        "OutOfTimeSplit(train_days=None, delay_days=0, embargo_days=0, horizon_days=0, "
        "test_days=7, start=None, end=None)"
    )


def test_time_is_read_wherever_rows_carry_it():
    frame, target, _ = bank()
    when = frame.index
    bare = frame.to_numpy()
    carriers = {
        "index": (frame, None),
        "level": (frame.assign(k=0).set_index("k", append=True), None),
        "unnamed index": (frame.rename_axis(None), None),
        "column": (frame.reset_index(), None),
        "series": (pd.Series(when), None),
        "array": (when.tz_localize(None).to_numpy(), None),
        "another zone": (when.tz_convert("Asia/Shanghai"), None),
        "arrow": (pa.table({"decision_time": pa.array(when.to_pydatetime())}), None),
        "beside a matrix": (bare, when),
        "beside a list": (bare.tolist(), when.tz_localize(None)),
    }
    (want,) = OutOfTimeSplit(test_days=20).folds(frame)
    for name, (rows, times) in carriers.items():
        (got,) = OutOfTimeSplit(test_days=20, times=times).folds(rows, target)
        assert np.array_equal(got.fate, want.fate), name


def test_a_row_not_known_at_the_cut_off_does_not_train():
    times = pd.date_range(START, periods=10, freq="D")
    known = times + 4 * DAY
    known = known.where(np.arange(10) != 2)  # the third is never known
    splitter = OutOfTimeSplit(test_days=2, known_at=known)
    (fold,) = splitter.folds(times)
    # the test starts with the ninth day: by then the first five are known
    assert fold.train.tolist() == [0, 1, 3, 4]
    assert fold.test.tolist() == [8, 9]
    table = splitter.describe(times, np.arange(10) % 2)
    assert table["immature"].tolist() == [4, 0]
    assert table["observations"].tolist() == [8, 2]


@every_splitter
@given(
    states=st.lists(
        st.sampled_from(["positive", "negative", "immature", "open_case", "already_adverse"]),
        min_size=400,
        max_size=400,
    )
)
def test_a_description_counts_every_row_of_a_fold_once(splitter, states):
    frame, target, customers = bank()
    status = np.array(states, dtype=object)
    table = splitter.describe(frame, target, customers, status=status)
    kinds = ["rows", "immature", "open_case", "already_adverse"]
    assert (table[kinds].sum(axis=1) == table["observations"]).all()
    assert (table["positives"] + table["negatives"] == table["rows"]).all()
    dropped = [name for name in table if name.startswith("dropped_by_")]
    for fold in splitter.folds(frame, target, customers):
        mine = table[table["fold"] == fold.number].set_index("part")
        counted = mine[["observations", *dropped]].to_numpy().sum()
        assert counted + (fold.fate == RowAssignment.OUTSIDE).sum() == 400
        for part, rows in (("train", fold.train), ("test", fold.test)):
            used = rows[np.isin(status[rows], ["positive", "negative"])]
            assert mine.loc[part, "rows"] == used.size
            assert mine.loc[part, "customers"] == np.unique(customers[used]).size
            if used.size:
                assert mine.loc[part, "first"] == frame.index[used].min()
                assert mine.loc[part, "last"] == frame.index[used].max()
        if fold.period is not None:
            assert mine.loc["train", "labels_read"] == fold.period.train_cutoff
            assert mine.loc["test", "start"] == fold.period.test_start


def test_a_description_asks_for_the_labels_of_each_fold_on_its_own_day():
    frame, _, _ = bank()
    splitter = PrequentialSplit(n_splits=2, train_days=20, delay_days=5, test_days=10)
    asked = []

    def status(day):
        asked.append(day)
        return np.where(frame.index < day - 5 * DAY, "negative", "immature").astype(object)

    table = splitter.describe(frame, status=status)
    cutoffs = [(fold.train_cutoff, fold.test_cutoff) for fold in splitter.periods(frame)]
    assert asked == [day for pair in cutoffs for day in pair]
    assert (table["immature"] == 0).all()  # the delay leaves nothing young to train on
    assert (table["rows"] == table["observations"]).all()


def test_rows_of_the_other_sides_customers_are_counted_where_they_would_have_been():
    frame, target, customers = bank()
    both = SPLITTERS["both"]
    in_time = OutOfTimeSplit(delay_days=7, test_days=30).describe(frame, target)
    table = both.describe(frame, target, customers)
    for part, whole in zip(("train", "test"), in_time["rows"], strict=True):
        mine = table[table["part"] == part]
        assert (mine["rows"] + mine["dropped_by_customer"] == whole).all()
        assert (mine["dropped_by_customer"] > 0).all()
    assert table.loc[table["part"] == "test", "rows"].sum() == in_time["rows"].iloc[1]


def test_what_nothing_tells_is_missing_from_a_description():
    frame, _, _ = bank()
    table = OutOfTimeSplit(test_days=20).describe(frame)
    for name in ("positives", "negatives", "customers", "immature", "open_case"):
        assert table[name].isna().all()
    assert (table["rows"] > 0).all()
    timeless = CustomerDisjointSplit(n_splits=2, seed=0).describe(
        np.zeros((4, 1)), groups=["a", "b", "c", "d"]
    )
    assert timeless[["start", "end", "labels_read", "first", "last"]].isna().all(axis=None)
    assert timeless["customers"].tolist() == [2, 2, 2, 2]


def test_a_fold_too_poor_is_described_but_not_split():
    times = pd.date_range(START, periods=30, freq="D")
    target = np.zeros(30)
    target[3] = 1.0
    splitter = PrequentialSplit(n_splits=2, test_days=5)
    assert splitter.describe(times, target)["positives"].tolist() == [1, 0, 1, 0]
    with pytest.raises(DatasetError) as caught:
        list(splitter.split(times, target))
    told = str(caught.value)
    assert "out: 2" in told
    assert re.search(r"\b1\b.*\b5\b.*negatives", told)
    assert re.search(r"\b2\b.*\b5\b.*negatives", told)


def test_a_fold_without_rows_is_named():
    times = moments([1, 2, 24 * 50])
    splitter = PrequentialSplit(n_splits=2, test_days=5, train_days=5)
    with pytest.raises(DatasetError, match=r"fold \b1\b"):
        list(splitter.split(times))
    table = splitter.describe(times)
    assert table["rows"].tolist() == [0, 0, 0, 1]
    assert table["first"].isna().tolist() == [True, True, True, False]
    assert table["start"].notna().all()


@pytest.mark.parametrize(
    ("lengths", "told"),
    [
        ({"train_days": 30}, ["fold 1 would train from 2023-12-22", "rows count from 2024-01-01"]),
        ({"delay_days": 25}, ["2 faults", "fold 2 has no day to train on", "2024-01-01"]),
        ({"horizon_days": 40}, ["fold 2 has no day to train on", "end on 2023-12-17"]),
    ],
)
def test_too_short_a_time_is_refused_with_the_dates(lengths, told):
    times = pd.date_range(START, periods=30, freq="D")
    with pytest.raises(DatasetError) as caught:
        PrequentialSplit(n_splits=2, test_days=5, **lengths).folds(times)
    assert "shorter" in str(caught.value)
    for words in told:
        assert words in str(caught.value)


def test_too_few_customers_are_refused_all_faults_at_once():
    with pytest.raises(DatasetError) as caught:
        CustomerDisjointSplit(n_splits=3, seed=0).folds(np.zeros(4), [1, 0, 0, 0], list("aabb"))
    told = str(caught.value)
    assert re.search(r"\b3\b.*customers.*\b2\b", told)
    assert re.search(r"\b3\b.*customers.*\b1\b.*\b2\b", told)


@pytest.mark.parametrize(
    ("splitter", "data", "told"),
    [
        (OutOfTimeSplit(), (np.zeros((3, 2)),), "times="),
        (OutOfTimeSplit(), (pd.DataFrame({"a": [1]}),), "time"),
        (OutOfTimeSplit(), (pa.table({"a": [1]}),), "time"),
        (OutOfTimeSplit(times=times("2024-01-01")), (np.zeros((3, 2)),), "3 rows"),
        (OutOfTimeSplit(times=["x"]), (np.zeros((1, 2)),), "times"),
        (OutOfTimeSplit(times=[20240101]), (np.zeros((1, 2)),), "times"),
        (OutOfTimeSplit(), (times("NaT", "2024-01-01"),), "1 of 2"),
        (OutOfTimeSplit(), (times(),), "row"),
        (CustomerDisjointSplit(seed=0), (np.zeros(3),), "customer"),
        (CustomerDisjointSplit(seed=0), (np.zeros(3), None, ["a"]), "3 rows"),
        (CustomerDisjointSplit(seed=0), (np.zeros(2), None, ["a", None]), "1 of 2"),
        (CustomerDisjointSplit(seed=0), (np.zeros(2), [1, 2], ["a", "b"]), "1, 0"),
        (CustomerDisjointSplit(seed=0), (np.zeros(2), ["x", "y"], ["a", "b"]), "1, 0"),
        (CustomerDisjointSplit(seed=0), (np.zeros(2), [1], ["a", "b"]), "2 rows"),
    ],
)
def test_rows_that_cannot_be_split_are_refused_with_the_cure(splitter, data, told):
    with pytest.raises(DatasetError) as caught:
        splitter.folds(*data)
    assert told in str(caught.value)


@pytest.mark.parametrize("status", [["positive"], lambda day: np.array(["positive"])])
def test_states_of_other_rows_are_refused(status):
    frame, _, _ = bank()
    with pytest.raises(DatasetError, match="row"):
        OutOfTimeSplit(test_days=20).describe(frame, status=status)


def test_folds_without_a_cut_off_take_no_function_of_a_day():
    with pytest.raises(DatasetError, match="status"):
        CustomerDisjointSplit(n_splits=2, seed=0).describe(
            np.zeros(2), groups=["a", "b"], status=lambda day: day
        )


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: OutOfTimeSplit(test_days=0), "test_days"),
        (lambda: OutOfTimeSplit(train_days=0), "train_days"),
        (lambda: OutOfTimeSplit(delay_days=-1), "delay_days"),
        (lambda: OutOfTimeSplit(test_days=1.5), "got 1.5"),
        (lambda: OutOfTimeSplit(end=pd.Timestamp("2024-01-01")), "end"),
        (lambda: PrequentialSplit(n_splits=0, step_days=0), "2 faults"),
        (lambda: CustomerDisjointSplit(n_splits=1, seed=-1), "2 faults"),
        (lambda: OutOfTimeCustomerSplit(n_splits=1, seed=0), "n_splits"),
    ],
)
def test_impossible_lengths_are_refused_at_once(make, told):
    with pytest.raises(ConfigError) as caught:
        make()
    assert told in str(caught.value)


def test_customers_given_to_a_split_in_time_are_ignored_aloud():
    frame, target, customers = bank()
    with pytest.warns(UserWarning, match="OutOfTimeSplit"):
        list(OutOfTimeSplit(test_days=20).split(frame, target, customers))


RIPENING = DatasetConfig(label_maturity_days=7, horizon_days=3, history_start="2024-01-01")


@pytest.mark.parametrize(
    ("section", "want"),
    [
        (
            {"method": "prequential", "folds": 3, "train_days": 9, "test_days": 5, "step_days": 2},
            PrequentialSplit(
                n_splits=3,
                train_days=9,
                delay_days=10,
                horizon_days=3,
                test_days=5,
                step_days=2,
                start=START,
                end=AS_OF,
            ),
        ),
        ({"method": "customer_folds", "folds": 3}, CustomerDisjointSplit(n_splits=3, seed=0)),
        (
            {"method": "out_of_time_customers", "folds": 2, "delay_days": 12, "embargo_days": 1},
            OutOfTimeCustomerSplit(
                n_splits=2,
                seed=0,
                delay_days=12,
                embargo_days=1,
                horizon_days=3,
                start=START,
                end=AS_OF,
            ),
        ),
    ],
)
def test_a_configuration_names_its_splitter(section, want):
    config = TypeAdapter(FoldsConfig).validate_python(section)
    assert repr(make_splitter(config, dataset=RIPENING, seed=0, end=AS_OF)) == repr(want)


def test_a_delay_in_which_labels_cannot_ripen_is_refused():
    config = TypeAdapter(FoldsConfig).validate_python({"method": "prequential", "delay_days": 9})
    with pytest.raises(ConfigError, match=r"delay_days \(9\) .* \(10\)"):
        make_splitter(config, dataset=RIPENING, seed=0)


def test_a_misspelt_key_of_folds_is_an_error():
    with pytest.raises(ValidationError, match="test_day"):
        TypeAdapter(FoldsConfig).validate_python({"method": "prequential", "test_day": 9})
