"""Formulas are missing where they are undefined."""

from __future__ import annotations

import numpy as np
import pytest

from kyc_ml.features import DAY_US
from kyc_ml.features.formulas import evaluate
from kyc_ml.features.periods import HOUR_US
from kyc_ml.features.values import read_time

NAN = np.nan


@pytest.mark.parametrize(
    ("operation", "parameter", "inputs", "expected"),
    [
        ("ratio", 0, [[6, 6, 0, NAN], [3, 0, 2, 1]], [2, NAN, 0, NAN]),
        ("difference", 0, [[6, NAN], [4, 1]], [2, NAN]),
        ("sum", 0, [[6, NAN], [4, 1], [1, 1]], [11, NAN]),
        ("product", 0, [[6, NAN], [4, 1]], [24, NAN]),
        ("minimum", 0, [[6, NAN], [4, 1]], [4, NAN]),
        ("maximum", 0, [[6, 2], [4, NAN]], [6, NAN]),
        ("z_score", 0, [[9, 9, 9], [5, 5, 5], [2, 0, NAN]], [2, NAN, NAN]),
        ("equals_zero", 0, [[0, 3, NAN]], [1, 0, NAN]),
        ("at_least", 0, [[5, 4, NAN, 5], [5, 5, 5, NAN]], [1, 0, NAN, NAN]),
        ("at_least", 5, [[5, 4, NAN]], [1, 0, NAN]),
        ("below", 0, [[5, 4], [5, 5]], [0, 1]),
        ("below", 5, [[5, 4, NAN]], [0, 1, NAN]),
        ("minus_log", 0, [[1, 0, NAN]], [0, NAN, NAN]),
        ("log_ratio", 1, [[1, 0, NAN], [1, 0, 1]], [0, 0, NAN]),
        ("scaled", 0.5, [[6, NAN]], [3, NAN]),
        ("shrunk_share", 5, [[0, 0], [0, 0], [2, 0], [100, 0]], [0.02, NAN]),
    ],
)
def test_arithmetic_is_missing_where_it_is_undefined(operation, parameter, inputs, expected):
    arrays = [np.array(values, dtype=float) for values in inputs]
    np.testing.assert_array_equal(evaluate(operation, arrays, parameter=parameter), expected)


def test_a_shrunk_share_starts_at_the_prior_and_follows_the_evidence():
    columns = [[0, 50, 0], [0, 100, 0], [2, 2, 0], [100, 100, 0]]
    arrays = [np.array(column, dtype=float) for column in columns]
    got = evaluate("shrunk_share", arrays, parameter=5.0)
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
