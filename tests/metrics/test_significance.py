"""Several tests read together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.metrics import holm


@given(p_values=st.lists(st.floats(0, 1) | st.just(np.nan), max_size=12))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(p_values):
    given_p = np.array(p_values)
    adjusted = holm(given_p)
    assert (np.isnan(adjusted) == np.isnan(given_p)).all()
    known = ~np.isnan(given_p)
    assert (adjusted[known] >= given_p[known]).all()
    assert (adjusted[known] <= np.minimum(1.0, known.sum() * given_p[known] + 1e-12)).all()
    order = np.argsort(given_p[known], kind="stable")
    assert (np.diff(adjusted[known][order]) >= 0).all()


def test_holm_is_that_of_statsmodels():
    # Source: statsmodels 0.15.0, multipletests(method="holm").
    got = holm([0.001, 0.02, 0.013, 0.5, 0.04, 0.04])
    assert got.tolist() == pytest.approx([0.006, 0.08, 0.065, 0.5, 0.12, 0.12])


def test_a_missing_p_value_is_not_counted():
    assert holm([0.02, np.nan, 0.01]).tolist() == pytest.approx([0.02, np.nan, 0.02], nan_ok=True)
