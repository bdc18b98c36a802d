"""Formulas are missing where they are undefined."""

from __future__ import annotations

import numpy as np
import pytest

from kyc_ml.features.formulas import evaluate, read_time
from kyc_ml.features.spec import DAY_US, HOUR_US, Formula

NAN = np.nan


@pytest.mark.parametrize(
    ("operation", "inputs", "expected"),
    [
        ("ratio", [[6, 6, 0, NAN], [3, 0, 2, 1]], [2, NAN, 0, NAN]),
        ("difference", [[6, NAN], [4, 1]], [2, NAN]),
        ("z_score", [[9, 9, 9], [5, 5, 5], [2, 0, NAN]], [2, NAN, NAN]),
        ("equals_zero", [[0, 3, NAN]], [1, 0, NAN]),
    ],
)
def test_arithmetic(operation, inputs, expected):
    arrays = [np.array(values, dtype=float) for values in inputs]
    got = evaluate(Formula(operation=operation, inputs=("a",) * len(inputs)), arrays)
    np.testing.assert_array_equal(got, expected)


def test_a_shrunk_share_starts_at_the_prior_and_follows_the_evidence():
    how = Formula(operation="shrunk_share", inputs=("a", "b", "c", "d"), parameter=5.0)
    columns = [[0, 50, 0], [0, 100, 0], [2, 2, 0], [100, 100, 0]]
    got = evaluate(how, [np.array(column, dtype=float) for column in columns])
    np.testing.assert_allclose(got, [0.02, (50 + 5 * 0.02) / 105, np.nan])


@pytest.mark.parametrize(
    ("reading", "moment", "expected"),
    [("age_hours", -3 * HOUR_US, 3.0), ("days_until", 2 * DAY_US, 2.0)],
)
def test_times_are_read_from_the_decision(reading, moment, expected):
    decision = np.array([1_000 * DAY_US, 1_000 * DAY_US])
    missing = np.array([0.0, np.nan])
    got = read_time(reading, decision=decision, moment=decision + moment, missing=missing)
    np.testing.assert_array_equal(got, [expected, np.nan])


def test_years_are_julian_years():
    decision = np.array([int(36525 * DAY_US)])
    got = read_time("years_since", decision=decision, moment=np.array([0]), missing=np.zeros(1))
    np.testing.assert_allclose(got, [100.0])
