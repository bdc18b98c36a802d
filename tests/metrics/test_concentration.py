"""Concentration against the literature, and what its test cannot see."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.metrics import concentration, concentration_change

COUNTS = st.lists(st.integers(0, 1000), min_size=2, max_size=9).filter(any)


@given(counts=COUNTS, scale=st.integers(1, 50), data=st.data())
def test_only_shares_matter_in_any_order(counts, scale, data):
    shuffled = data.draw(st.permutations(counts))
    got, other = concentration(counts), concentration(np.array(shuffled) * scale)
    assert (other.variation, other.index, other.herfindahl) == pytest.approx(
        (got.variation, got.index, got.herfindahl), abs=1e-9
    )


@given(counts=COUNTS)
def test_figures_stay_in_their_ranges_and_agree(counts):
    got, k = concentration(counts), len(counts)
    assert -1e-9 <= got.variation <= np.sqrt(k - 1) + 1e-9
    assert -1e-9 <= got.index <= 1.0 + 1e-9
    assert got.herfindahl == pytest.approx((got.variation**2 + 1.0) / k)
    share = np.array(counts) / sum(counts)
    assert got.variation == pytest.approx(share.std() / share.mean(), abs=1e-9)


def test_even_counts_and_one_full_class_are_the_ends():
    even, full = concentration([7, 7, 7]), concentration([0, 9, 0])
    assert (even.variation, even.index, even.herfindahl) == pytest.approx((0.0, 0.0, 1 / 3))
    assert (full.variation, full.index, full.herfindahl) == pytest.approx((np.sqrt(2), 1.0, 1.0))


def test_the_golden_change():
    # Source: published golden numbers, "herf".
    got = concentration_change([50, 30, 10, 7, 3], [70, 20, 5, 3, 2])
    before, after = got.initial, got.current
    assert before.variation == pytest.approx(0.8826097665446491)
    assert before.index == pytest.approx(0.35792086431745773)
    assert before.herfindahl == pytest.approx(0.3558)
    assert after.variation == pytest.approx(1.2918978287774927)
    assert after.index == pytest.approx(0.6099669100858114)
    assert after.herfindahl == pytest.approx(0.5338)
    assert (got.statistic, got.p_value) == pytest.approx((0.43023043438629527, 0.33351401262810965))


@pytest.mark.parametrize(
    ("k", "variation", "least"),
    [  # Source: published golden numbers, "herf_minp_*".
        (5, 0.3, 0.12073085160659902),
        (7, 0.3, 0.07570141443648837),
        (5, 0.616, 0.23757928286411306),
        (7, 0.616, 0.1908947753723821),
        (5, 1.0, 0.31867594411696853),
        (7, 1.0, 0.28127511803841476),
    ],
)
def test_few_classes_can_never_be_found_out(k, variation, least):
    # K classes of this coefficient of variation: one class apart from equal others
    step = variation / np.sqrt(k - 1)
    initial = np.append(1.0 + step * (k - 1), np.full(k - 1, 1.0 - step))
    got = concentration_change(initial, initial)
    assert got.initial.variation == pytest.approx(variation)
    # the golden numbers were searched on a grid
    assert got.least_p == pytest.approx(least, rel=1e-4)


@given(initial=st.lists(st.integers(1, 99), min_size=5, max_size=5), current=COUNTS)
def test_no_counts_beat_the_least_p_value(initial, current):
    current = (current + [0] * 5)[:5]
    if not any(current):
        current = [1, 0, 0, 0, 0]
    got = concentration_change(initial, current)
    assert got.p_value >= got.least_p - 1e-9


def test_even_counts_are_no_more_concentrated_than_any():
    assert concentration_change([5, 3], [4, 4]).p_value == 1.0
    assert concentration_change([4, 4], [4, 4]).p_value == 0.5


def test_nobody_is_nowhere_concentrated():
    assert np.isnan(concentration([0, 0]).index)
    got = concentration_change([0, 0], [1, 2])
    assert np.isnan([got.statistic, got.p_value, got.least_p]).all()


def test_concentration_needs_the_same_classes_and_two_of_them():
    with pytest.raises(ValueError, match=r"\b2\b classes.*\b1\b"):
        concentration([3])
    with pytest.raises(ValueError, match=r"classes.*\b2\b.*\b3\b"):
        concentration_change([1, 2], [1, 2, 3])
