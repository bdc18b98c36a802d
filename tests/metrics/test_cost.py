"""What reviews and misses cost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.metrics import compute_costs, compute_savings


@given(
    rows=st.lists(
        st.tuples(st.booleans(), st.booleans(), st.floats(0, 1e6)), min_size=1, max_size=30
    ),
    review_cost=st.floats(0.01, 100),
)
def test_costs_are_those_of_the_formula_and_savings_never_exceed_one(rows, review_cost):
    y, flag, amount = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    by_formula = y * (flag * review_cost + (1 - flag) * amount) + (1 - y) * flag * review_cost
    got = compute_costs(y, flag == 1, review_cost=review_cost, miss_cost=amount)
    assert got.tolist() == pytest.approx(by_formula.tolist())
    saved = compute_savings(y, flag == 1, review_cost=review_cost, miss_cost=amount)
    assert saved.cost == pytest.approx(by_formula.sum())
    assert np.isnan(saved.savings) or saved.savings <= 1.0


def test_the_golden_savings():
    # Source: published golden numbers, "savings", of rows that give these costs.
    target = np.repeat([1.0, 0.0], [3, 9])
    amount = np.append([2000.0, 100.0, 10.0], np.full(9, 500.0))
    flagged = np.array([1, 1, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0], dtype=bool)
    got = compute_savings(target, flagged, review_cost=10.0, miss_cost=amount)
    assert (got.cost, got.cost_of_none, got.cost_of_all) == (70.0, 2110.0, 120.0)
    assert got.savings == pytest.approx(0.4166666666666667)


def test_flags_of_no_model_save_nothing():
    target = np.array([1.0, 0, 0])
    for flagged in (np.zeros(3, bool), np.ones(3, bool)):
        assert compute_savings(target, flagged, review_cost=1.0, miss_cost=3.0).savings == 0.0


def test_where_nothing_can_be_lost_nothing_is_saved():
    got = compute_savings(np.zeros(2), np.array([True, False]), review_cost=1.0, miss_cost=9.0)
    assert got.cost_of_none == 0.0
    assert np.isnan(got.savings)
