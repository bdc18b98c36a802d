"""The level of a part, and the parts that are most surely wrong."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kyc_ml.validation.levels import level_of, surest_levels


@given(positives=st.integers(0, 30), rows=st.integers(40, 400), rate=st.floats(0.001, 0.5))
def test_the_interval_of_rows_of_different_customers_is_that_of_a_poisson_count(
    positives, rows, rate
):
    target = np.r_[np.ones(positives), np.zeros(rows - positives)]
    found = level_of(target, np.full(rows, rate), np.arange(rows))
    assert (found["rows"], found["positives"]) == (rows, positives)
    assert found["expected"] == pytest.approx(rows * rate)
    low = stats.chi2.ppf(0.025, 2 * positives) / 2 if positives else 0.0
    assert found["low"] == pytest.approx(low / found["expected"])
    assert found["high"] == pytest.approx(
        stats.chi2.ppf(0.975, 2 * positives + 2) / 2 / found["expected"]
    )


@pytest.mark.parametrize("expected", [0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0])
def test_a_sound_part_of_any_size_is_hardly_ever_taken_for_understated(expected):
    """What the limits of `calibration.segments` say: at most 0.5 of 100 above 1.25."""
    count = np.arange(200)
    low = np.where(count > 0, stats.chi2.ppf(0.025, 2 * count) / 2, 0.0)
    chance = stats.poisson.pmf(count, expected)[low / expected > 1.25].sum()
    assert chance < 0.005


def test_few_expected_positives_are_enough_to_be_understated_and_not_to_be_overstated():
    table = pd.DataFrame(
        {"name": ["few", "many"], "expected": [5.0, 60.0], "low": [2.1, 0.9], "high": [3.0, 1.2]}
    )
    found = surest_levels(table, named="name", fewest=20)
    assert (found["highest_low"].value, found["highest_low"].about) == (2.1, "few")
    assert (found["lowest_high"].value, found["lowest_high"].about) == (1.2, "many")


def test_a_part_that_expects_nothing_has_no_level():
    found = level_of(np.zeros(5), np.zeros(5), np.arange(5))
    assert np.isnan([found["o_e"], found["low"], found["high"]]).all()
