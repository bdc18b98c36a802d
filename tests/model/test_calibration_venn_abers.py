"""The fast Venn-Abers map is the slow one: two isotonic fits for every margin asked."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from kyc_ml.model.calibration.venn_abers import apply_steps, fit_venn_abers


def by_brute_force(margin, target, asked):
    """Fit isotonic twice a margin, with one row more of either class."""
    found = []
    for each in asked:
        p0, p1 = (
            IsotonicRegression()
            .fit(np.append(margin, each), np.append(target, label))
            .predict([each])[0]
            for label in (0.0, 1.0)
        )
        found.append(p1 / (1.0 - p0 + p1))
    return np.array(found)


@st.composite
def rows(draw):
    """Draw margins, often equal, and outcomes of any kind, one class only included."""
    n = draw(st.integers(1, 25))
    margin = draw(st.lists(st.integers(-8, 8), min_size=n, max_size=n))
    target = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    return np.array(margin) / 3.0, np.array(target, dtype=float)


@settings(max_examples=3 * settings.default.max_examples)
@given(drawn=rows())
def test_it_is_the_brute_force_map_at_between_and_beyond_all_margins(drawn):
    margin, target = drawn
    asked = np.unique(np.concatenate([margin, margin + 0.1, [margin.min() - 1.0]]))
    got = apply_steps(asked, *fit_venn_abers(margin, target))
    np.testing.assert_allclose(got, by_brute_force(margin, target, asked), atol=1e-14)


@pytest.mark.parametrize("slope", [0.0, 1.0, 9.0])
def test_it_is_the_brute_force_map_of_many_rows(slope):
    rng = np.random.default_rng(0)
    margin = rng.normal(size=500)
    target = (rng.random(500) < 1 / (1 + np.exp(2 - slope * margin))).astype(float)
    asked = rng.normal(size=60)
    got = apply_steps(asked, *fit_venn_abers(margin, target))
    np.testing.assert_allclose(got, by_brute_force(margin, target, asked), atol=1e-14)


@given(drawn=rows())
def test_levels_do_not_fall_and_stay_an_observation_off_0_and_1(drawn):
    margin, target = drawn
    knots, levels = fit_venn_abers(margin, target)
    least = 1.0 / (target.size + 2)
    assert levels.size == 2 * knots.size + 1
    assert (np.diff(knots) > 0).all()
    assert (np.diff(levels) >= 0).all()
    assert levels[0] >= least - 1e-15
    assert levels[-1] <= 1.0 - least + 1e-15


def test_a_positive_above_a_negative_by_hand():
    # at 0: p0 = 0, p1 = 1/2; between: p0 = 0, p1 = 1; at 1: p0 = 1/2, p1 = 1
    knots, levels = fit_venn_abers(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    assert knots.tolist() == [0.0, 1.0]
    assert levels.tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 2, 2 / 3, 2 / 3])


def test_margins_without_order_give_the_rate_with_one_row_more():
    knots, levels = fit_venn_abers(np.zeros(8), np.repeat([0.0, 1.0], [6, 2]))
    p0, p1 = 2 / 9, 3 / 9
    at = p1 / (1 - p0 + p1)
    assert knots.tolist() == [0.0]
    assert levels.tolist() == pytest.approx([p1 / (1 + p1), at, 1 / (2 - p0)])
