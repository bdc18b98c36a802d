"""The cases behind positive observations."""

from types import SimpleNamespace

import pandas as pd
import pyarrow as pa
import pytest

from kyc_ml.config import DatasetConfig
from kyc_ml.dataset import positive_cases

DAY = pd.Timedelta(days=1)
T0 = pd.Timestamp("2024-03-01", tz="UTC")


def moments(days):
    when = pd.DatetimeIndex([T0 + day * DAY for day in days]).tz_localize(None).as_unit("us")
    return pa.array(when).cast(pa.timestamp("us", "UTC"))


def source(cases):
    """Give a source of these cases: (id, customer, transaction, known on day, outcome, kind)."""
    names = ("case_id", "customer_id", "transaction_id", "day", "outcome", "typology")
    columns = dict(zip(names, zip(*cases, strict=True), strict=True))
    table = pa.table(
        {
            **{name: pa.array(columns[name], pa.string()) for name in names if name != "day"},
            "known_at": moments(columns["day"]),
            "event_time": moments(columns["day"]),
        }
    )
    return SimpleNamespace(tables={"cases": table})


OBSERVATIONS = pa.table(
    {
        "observation_id": ["t1", "t2", "t3"],
        "customer_id": ["a", "b", "b"],
        "decision_time": moments([0, 0, 10]),
    }
)


def found(cases, *, unit="fraud", as_of=100, **dataset):
    return positive_cases(
        source(cases), OBSERVATIONS, unit=unit, as_of=T0 + as_of * DAY,
        config=DatasetConfig(**dataset),
    )  # fmt: skip


def test_days_run_from_the_decision_to_the_first_knowledge():
    got = found([("k", "b", "t2", 7, "confirmed_fraud", "mule")])
    assert got.to_dict("records") == [{"row": 1, "days": 7.0, "typology": "mule"}]


def test_what_is_known_later_does_not_count_yet():
    assert found([("k", "b", "t2", 7, "confirmed_fraud", "mule")], as_of=6).empty


@pytest.mark.parametrize("last", ["cleared", "open"])
def test_a_case_that_was_overturned_makes_nothing_positive(last):
    cases = [("k", "b", "t2", 7, "confirmed_fraud", "mule"), ("k", "b", "t2", 9, last, "mule")]
    assert found(cases).empty


def test_the_first_of_several_cases_counts():
    cases = [
        ("k", "b", "t2", 9, "confirmed_fraud", "theft"),
        ("l", "b", "t2", 7, "str_filed", None),
    ]
    assert found(cases).to_dict("records") == [{"row": 1, "days": 7.0, "typology": None}]


@pytest.mark.parametrize(("day", "rows"), [(0, []), (1, [1]), (30, [1, 2]), (31, [2]), (41, [])])
def test_a_review_looks_into_its_horizon(day, rows):
    got = found([("k", "b", None, day, "str_filed", "mule")], unit="risk", horizon_days=30)
    assert got["row"].tolist() == rows


def test_a_source_without_cases_has_none():
    empty = positive_cases(
        SimpleNamespace(tables={}), OBSERVATIONS, unit="fraud", as_of=T0, config=DatasetConfig()
    )
    assert empty.empty
