"""Whether moves fade with distance; the bandwidth is tested beside the tiers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kyc_ml.metrics import matrix_weighted_bandwidth, migration_z

COUNTS = st.integers(2, 6).flatmap(
    lambda k: st.lists(st.lists(st.integers(0, 30), min_size=k, max_size=k), min_size=k, max_size=k)
)


@given(counts=COUNTS)
def test_bandwidths_are_shares_and_moving_less_far_never_raises_them_above_one(counts):
    upward, downward = matrix_weighted_bandwidth(np.array(counts))
    assert 0.0 <= upward <= 1.0
    assert 0.0 <= downward <= 1.0


@given(counts=COUNTS)
def test_every_cell_is_compared_with_its_neighbour_toward_the_diagonal(counts):
    table = np.array(counts)
    z, p_value = migration_z(table)
    k = len(counts)
    for i in range(k):
        for j in range(k):
            n = table[i].sum()
            if i == j or n == 0:
                assert np.isnan(z[i, j])
                continue
            far, near = table[i, j] / n, table[i, j - 1 if j > i else j + 1] / n
            spread = far * (1 - far) + near * (1 - near) + 2 * far * near
            if spread > 0:
                expected = (near - far) / np.sqrt(spread / n)
                assert z[i, j] == pytest.approx(expected)
            elif near == far:
                assert np.isnan(z[i, j])
            else:
                assert z[i, j] == (near - far) * np.inf
    known = ~np.isnan(z)
    assert p_value[known] == pytest.approx(stats.norm.cdf(z[known]))
    assert np.isnan(p_value[~known]).all()


@given(counts=COUNTS)
def test_a_mirrored_matrix_mirrors_the_test(counts):
    table = np.array(counts)
    one, other = migration_z(table)[0], migration_z(table[::-1, ::-1])[0]
    np.testing.assert_array_equal(other, one[::-1, ::-1])


def test_the_golden_row():
    # Source: published golden numbers, "mwb" and "migz_row0".
    counts = np.array(
        [
            [10, 8, 15, 9, 10],
            [11, 9, 13, 9, 8],
            [0, 10, 10, 11, 10],
            [0, 0, 9, 11, 11],
            [0, 0, 0, 11, 10],
        ]
    )
    z, _ = migration_z(counts)
    expected = [0.47241503539285884, -1.4904520299913435, 1.2428010522386694, -0.22953192315826923]
    assert z[0, 1:].tolist() == pytest.approx(expected)
    assert matrix_weighted_bandwidth(counts) == pytest.approx(
        (0.6066066066066066, 0.33064516129032256)
    )


def test_all_of_a_row_two_steps_away_is_as_unstable_as_can_be():
    z, p_value = migration_z(np.array([[0, 0, 9], [0, 5, 0], [0, 0, 5]]))
    assert (z[0, 2], p_value[0, 2]) == (-np.inf, 0.0)
    assert (z[1, 0], p_value[1, 0]) == (np.inf, 1.0)
    assert np.isnan(z[0, 1])
