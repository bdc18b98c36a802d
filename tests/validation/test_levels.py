"""The level of a part, and the parts that are most surely wrong."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from kyc_ml.metrics import observed_over_expected
from kyc_ml.validation.levels import bound_levels, level_of, surest_levels


def test_the_level_of_a_part_is_that_of_its_counts():
    target, proba = np.repeat([1.0, 0.0], [10, 90]), np.full(100, 0.05)
    found = level_of(target, proba, np.arange(100))
    level = observed_over_expected(target, proba)
    assert (found["rows"], found["positives"], found["expected"]) == (100, 10, pytest.approx(5.0))
    assert (found["o_e"], found["low"], found["high"]) == (level.ratio, level.low, level.high)
    assert (found["under_p"], found["over_p"]) == (level.under_p, level.over_p)


@pytest.mark.parametrize(
    ("expected", "most"),
    [
        (0.05, 0.05),
        (0.1, 0.05),
        (0.5, 0.05),
        (1.0, 0.05),
        (2.0, 0.006),
        (5.0, 0.006),
        (20.0, 0.006),
    ],
)
def test_a_sound_part_of_any_size_is_hardly_ever_taken_for_understated(expected, most):
    """What the limits of `calibration.segments` say of lower ends above 1.25."""
    n, count = 2000, np.arange(60)
    proba, rows = np.full(n, expected / n), np.arange(n)
    low = [level_of((rows < hits) * 1.0, proba, rows)["low"] for hits in count]
    chance = stats.binom.pmf(count, n, expected / n)[np.array(low) > 1.25].sum()
    assert chance < most


def test_few_expected_positives_are_enough_to_be_understated_and_not_to_be_overstated():
    table = pd.DataFrame(
        {"name": ["few", "many"], "expected": [5.0, 60.0], "low": [2.1, 0.9], "high": [3.0, 1.2]}
    )
    table = table.assign(under_p=[0.001, 0.6], over_p=[0.999, 0.4])
    parts = bound_levels(table, named="name", fewest=20)
    found = surest_levels(parts)
    assert (found["highest_low"].value, found["highest_low"].about) == (2.1, "few")
    assert (found["lowest_high"].value, found["lowest_high"].about) == (1.2, "many")
    assert found["under_p"].value == pytest.approx(0.002)
    assert (found["over_p"].value, found["over_p"].about) == (pytest.approx(0.4), "many")


def test_a_part_that_expects_nothing_has_no_level():
    found = level_of(np.zeros(5), np.zeros(5), np.arange(5))
    assert np.isnan([found["o_e"], found["low"], found["high"]]).all()
