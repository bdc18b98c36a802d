"""A weak region is found where it was planted, and its bounds are told in words."""

from dataclasses import replace

import numpy as np
import pytest

from kyc_ml.validation.slices import find_slices


@pytest.fixture(scope="module")
def spoilt(evidence):
    """Make half of the negatives with a high `plain` positive: a region nobody modelled."""
    rows = evidence.current
    status = rows.status.copy()
    here = (rows.number("plain") > 1.0) & (np.random.default_rng(0).random(len(rows)) < 0.5)
    status[here] = "positive"
    return replace(rows, status=status)


def slices_of(rows):
    everything = np.arange(len(rows))
    return find_slices(rows, everything, columns=[0, 1, 2], leaves=8, seed=1)


def test_a_planted_region_is_described(spoilt):
    found = slices_of(spoilt)
    rates = {
        said: (spoilt.status[here] == "positive").mean() - spoilt.probability[here].mean()
        for said, here in found
    }
    worst = max(rates, key=rates.get)
    assert "plain" in worst
    assert rates[worst] > 0.2


def test_regions_share_no_row_and_no_customer_that_found_them(spoilt):
    found = slices_of(spoilt)
    rows = np.concatenate([here for _, here in found])
    assert rows.size == np.unique(rows).size
    assert rows.size < len(spoilt)
    others = np.setdiff1d(np.arange(len(spoilt)), rows)
    assert not set(spoilt.customers[rows]) & set(spoilt.customers[others])


def test_a_description_says_which_rows_a_region_holds(spoilt):
    for said, here in slices_of(spoilt):
        for bound in said.split(" and "):
            left, _, right = bound.partition(" <= ")
            low, _, name = left.rpartition(" < ")
            values = spoilt.number(name)[here]
            if right:
                assert (values <= float(right) + 1e-2 * abs(float(right)) + 1e-3).all()
            if low:
                assert (values > float(low) - 1e-2 * abs(float(low)) - 1e-3).all()


def test_missing_values_are_named_where_they_go(spoilt):
    numbers = spoilt.features.numbers.copy(order="F")
    numbers[::3, 2] = np.nan
    rows = replace(spoilt, features=replace(spoilt.features, numbers=numbers))
    assert any("missing" in said for said, _ in slices_of(rows))


def test_without_columns_or_with_one_class_there_are_no_regions(spoilt):
    everything = np.arange(len(spoilt))
    assert find_slices(spoilt, everything, columns=[], leaves=8, seed=1) is None
    negatives = np.flatnonzero(spoilt.status == "negative")
    assert find_slices(spoilt, negatives, columns=[0], leaves=8, seed=1) is None
