"""Only mature rows evaluate a model: decided in [since, as_of - label delay), outcome known."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.config import DatasetConfig, RunConfig
from kyc_ml.contract.memory import contract_tables
from kyc_ml.dataset import EvaluationRows, can_evaluate, evaluation_rows, make_observations
from kyc_ml.errors import DatasetError

TEN = RunConfig(
    name="x",
    unit="fraud",
    features={"families": ["amounts"]},
    tiers="t.yaml",
    dataset=DatasetConfig(label_maturity_days=10),
)
DAYS = 40


def day(number):
    return pd.Timestamp("2024-01-01", tz="UTC") + pd.Timedelta(days=number)


def bank(outcomes):
    """Make one transaction a day at midnight, and cases by day: outcome and day it was known."""
    transactions = [
        {
            "transaction_id": f"t{number}",
            "customer_id": "c",
            "event_time": day(number),
            "known_at": day(number),
            "amount": 1.0,
        }
        for number in range(DAYS)
    ]
    cases = [
        {
            "case_id": f"k{number}",
            "customer_id": "c",
            "event_time": day(known),
            "known_at": day(known),
            "outcome": outcome,
            "transaction_id": f"t{number}",
        }
        for number, (outcome, known) in outcomes.items()
    ]
    frames = {"transactions": pa.Table.from_pylist(transactions)}
    if cases:
        frames["cases"] = pa.Table.from_pylist(cases)
    return contract_tables(
        frames, base_currency="EUR", max_quarantined_share=0.0, max_orphan_share=1.0
    ).accepted


def counted(tables, *, since, as_of):
    rows = evaluation_rows(tables, TEN, since=day(since), as_of=as_of)
    names = rows.observations["observation_id"].to_pandas()
    return [int(name[1:]) for name in names[rows.counted]]


@pytest.mark.parametrize(("late_us", "last"), [(-1, 19), (0, 19), (1, 20)])
def test_the_period_is_half_open(late_us, last):
    """A row decided exactly the label delay before `as_of` does not count yet."""
    as_of = day(30) + pd.Timedelta(microseconds=late_us)
    assert counted(bank({}), since=5, as_of=as_of) == list(range(5, last + 1))


def test_a_young_row_does_not_count_even_where_its_case_is_decided():
    tables = bank({22: ("confirmed_fraud", 23), 24: ("cleared", 25), 12: ("confirmed_fraud", 13)})
    rows = evaluation_rows(tables, TEN, since=day(10), as_of=day(30))
    assert np.nansum(rows.target) == 1
    assert np.flatnonzero(~np.isnan(rows.target)).tolist() == list(range(10))
    assert rows.end == day(20)
    assert rows.until == day(30)


def test_an_open_case_does_not_count():
    assert counted(bank({15: ("open", 16)}), since=14, as_of=day(27)) == [14, 16]


OUTCOMES = st.dictionaries(
    st.integers(0, DAYS - 1),
    st.tuples(st.sampled_from(["open", "cleared", "confirmed_fraud"]), st.integers(0, DAYS)),
    max_size=6,
).map(lambda found: {n: (what, max(n, known)) for n, (what, known) in found.items()})


@given(outcomes=OUTCOMES, as_of=st.integers(15, DAYS))
def test_chosen_rows_and_all_rows_follow_one_rule(outcomes, as_of):
    """What an audit marks among all observations is what an evaluation lists."""
    tables = bank(outcomes)
    everything = make_observations(
        tables, unit="fraud", start=None, end=day(DAYS), config=TEN.dataset
    )
    all_rows = EvaluationRows.of(tables, everything, TEN, as_of=day(as_of))
    listed = counted(tables, since=3, as_of=day(as_of))
    marked = [n for n in np.flatnonzero(all_rows.counted).tolist() if n >= 3]
    assert listed == marked
    assert max(listed, default=0) < as_of - 10


def test_where_no_row_is_old_enough_the_message_says_what_data_would_do():
    with pytest.raises(DatasetError, match=r"2024-02-10 00:00.*cure$"):
        evaluation_rows(bank({}), TEN, since=day(30), as_of=day(40), cure="; cure")


@pytest.mark.parametrize(("since", "can"), [(4, True), (5, False), (30, False)])
def test_rows_can_evaluate_if_they_hold_both_classes(since, can):
    tables = bank({4: ("confirmed_fraud", 6)})
    assert can_evaluate(tables, TEN, since=day(since), as_of=day(40)) == can
