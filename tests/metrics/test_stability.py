"""Population stability by law, by literature, and of frozen bins."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kyc_ml.metrics import FrozenBins, compute_drift, compute_psi, psi_critical

COUNTS = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=2, max_size=12)


def columns(pairs):
    """Two histograms, neither empty."""
    one, two = (np.array(column) for column in zip(*pairs, strict=True))
    one[0], two[0] = max(one[0], 1), max(two[0], 1)
    return one, two


@given(pairs=COUNTS)
def test_psi_is_symmetric_and_never_negative_and_nothing_for_equal_histograms(pairs):
    one, two = columns(pairs)
    assert compute_psi(one, two) == pytest.approx(compute_psi(two, one))
    assert compute_psi(one, two) >= 0.0
    assert compute_psi(one, one) == 0.0


@given(pairs=COUNTS, data=st.data())
def test_neither_the_order_of_bins_nor_an_empty_one_matters(pairs, data):
    order = data.draw(st.permutations(range(len(pairs))))
    one, two = columns(pairs)
    got = compute_drift(one, two)
    again = compute_drift(np.append(one[order], 0), np.append(two[order], 0))
    assert again.bins == got.bins
    assert (again.psi, again.p_value) == pytest.approx((got.psi, got.p_value))


@given(pairs=COUNTS, scale=st.integers(2, 9))
def test_without_smoothing_only_shares_matter(pairs, scale):
    one, two = (counts + 1 for counts in columns(pairs))
    assert compute_psi(one, two * scale, smoothing=0.0) == pytest.approx(
        compute_psi(one, two, smoothing=0.0), abs=1e-12
    )


def test_psi_of_the_golden_histograms():
    # Source: published golden numbers, "psi".
    got = compute_psi([40, 30, 20, 10], [30, 30, 25, 15], smoothing=0.0)
    assert got == pytest.approx(0.06019864021629681)


def test_an_empty_bin_counts_as_half_a_row():
    p, q = np.array([0.5, 10.5]) / 11, np.array([10.5, 0.5]) / 11
    assert compute_psi([0, 10], [10, 0]) == pytest.approx(((p - q) * np.log(p / q)).sum())


@pytest.mark.parametrize(
    ("n", "m", "expected"),
    [  # Source: (1/N + 1/M) chi-squared of 9 degrees of freedom at 0.95, which is 16.9190.
        (1000, 500, 0.050757),
        (10_000, 10_000, 0.0033838),
        (100_000, 2000, 0.0086287),
    ],
)
def test_critical_values_shrink_with_the_samples(n, m, expected):
    assert psi_critical(10, n, m, level=0.05) == pytest.approx(expected, rel=1e-4)


@given(pairs=COUNTS)
def test_the_p_value_is_that_of_pearsons_test(pairs):
    one, two = columns(pairs)
    got = compute_drift(one, two)
    if got.bins > 1:
        used = one + two > 0
        reference = stats.chi2_contingency([one[used], two[used]], correction=False)
        assert got.p_value == pytest.approx(reference.pvalue, rel=1e-9, abs=1e-300)
        assert got.critical_95 < got.critical_99


@pytest.mark.parametrize("moved", [0, 15, 19, 23, 40])
def test_the_p_value_says_what_the_critical_values_say_of_full_bins(moved):
    got = compute_drift([500, 500], [500 + moved, 500 - moved])
    assert (got.psi > got.critical_95) == (got.p_value < 0.05)


def test_a_bin_of_few_customers_alarms_no_more_often_than_the_level():
    """Ten rows a customer; the PSI of a rare bin that is empty once exceeds its critical value."""
    rng = np.random.default_rng(4)
    one, two = (rng.multinomial(100, [0.88, 0.04, 0.04, 0.04], 4_000) for _ in range(2))
    found = [
        compute_drift(10 * first, 10 * second, n_expected=100, n_actual=100)
        for first, second in zip(one, two, strict=True)
    ]
    assert np.mean([each.p_value <= 0.005 for each in found]) <= 0.008
    assert np.mean([each.psi > each.critical_99 for each in found]) > 0.04


def test_rows_of_few_customers_prove_less():
    rows = compute_drift([400, 600], [460, 540])
    customers = compute_drift([400, 600], [460, 540], n_expected=100, n_actual=100)
    assert customers.psi == rows.psi
    assert customers.p_value > 0.3
    assert rows.p_value < 0.01
    assert customers.critical_95 == pytest.approx(10 * rows.critical_95)


def test_one_bin_cannot_shift_and_no_rows_say_nothing():
    one = compute_drift([5, 0], [9, 0])
    assert (one.psi, one.bins, one.p_value) == (0.0, 1, 1.0)
    empty = compute_drift([5, 3], [0, 0])
    assert empty.bins == 2
    assert np.isnan([empty.psi, empty.critical_95, empty.p_value]).all()


# --- frozen bins ------------------------------------------------------------------------

NUMBERS = st.lists(st.floats(allow_nan=True, allow_infinity=False), min_size=1, max_size=60)


@given(reference=NUMBERS, later=NUMBERS, n_bins=st.integers(2, 12))
def test_every_number_has_one_bin_and_missing_its_own(reference, later, n_bins):
    bins = FrozenBins.of(np.array(reference), n_bins=n_bins)
    place, count = bins.place(np.array(later)), bins.count(np.array(later))
    assert count.sum() == len(later)
    assert count.size == len(bins.cuts) + 2 == len(bins.labels)
    assert count.size <= n_bins + 1
    assert ((place == 0) == np.isnan(later)).all()
    ends = [*bins.cuts, np.inf]
    for value, here in zip(later, place, strict=True):
        if here:
            assert value <= ends[here - 1]
            assert here == 1 or value > ends[here - 2]


def test_bins_of_different_numbers_hold_equal_shares():
    values = np.random.default_rng(0).normal(size=1000)
    assert FrozenBins.of(values).count(values).tolist() == [0, *[100] * 10]


def test_a_common_value_has_a_bin_of_its_own():
    values = np.append(np.zeros(70), np.arange(1.0, 31.0))
    bins = FrozenBins.of(values)
    assert bins.cuts == (0.0, 10.0, 20.0)
    assert bins.count(values).tolist() == [0, 70, 10, 10, 10]
    assert bins.labels == ("missing", "(-inf, 0]", "(0, 10]", "(10, 20]", "(20, inf]")


@pytest.mark.parametrize(
    ("reference", "later"),
    [
        (["b", "a", "b", "c", None], ["a", "z", None, "c", "b"]),
        ([2.0, 1.0, 2.0, 3.0, np.nan], [1.0, 9.0, np.nan, 3.0, 2.0]),
    ],
)
def test_categories_have_bins_in_order_and_strangers_share_one(reference, later):
    kind = object if isinstance(reference[0], str) else float
    bins = FrozenBins.of(np.array(reference, dtype=kind), category=True, n_bins=2)
    assert bins.cuts == (("a", "b") if kind is object else (1.0, 2.0))
    assert bins.place(np.array(later, dtype=kind)).tolist() == [1, 3, 0, 3, 2]
    assert bins.labels[0] == "missing"
    assert bins.labels[-1] == "other"


@pytest.mark.parametrize("category", [False, True])
def test_a_feature_that_was_always_missing_has_one_bin_for_what_comes(category):
    bins = FrozenBins.of(np.full(3, np.nan), category=category)
    assert bins.count(np.array([np.nan, 1.0, 2.0])).tolist() == [1, 2]


def test_a_new_category_is_a_drift():
    reference = np.repeat(["a", "b"], [600, 400]).astype(object)
    later = np.repeat(["a", "b", "new"], [540, 360, 100]).astype(object)
    bins = FrozenBins.of(reference, category=True)
    got = compute_drift(bins.count(reference), bins.count(later))
    assert got.bins == 3
    assert got.p_value < 1e-6
