"""The scale of log-odds: a cut-off is drawn at the margin from which its tier begins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.model import Calibrator
from kyc_ml.scoring.sheet_content import scale_of


@given(slope=st.floats(0.2, 3.0), intercept=st.floats(-3.0, 3.0), base=st.floats(-9.0, 3.0))
def test_each_cut_off_is_the_least_margin_of_its_probability(policy, slope, intercept, base):
    calibrator = Calibrator(method="platt", slope=slope, intercept=intercept)
    scale = scale_of(calibrator, policy, base=base, cut_offs="all", segment=None)
    assert [each[0] for each in scale.cut_offs] == list(range(1, len(policy.tiers)))
    margins = [margin for _, _, margin in scale.cut_offs]
    assert margins == sorted(margins)
    for _, least, margin in scale.cut_offs:
        below, at = calibrator.probability(np.array([margin - 1e-5, margin]))
        assert below < least <= at
        assert scale.low < margin < scale.high
    assert scale.low < base < scale.high


def test_a_tier_that_no_margin_reaches_is_left_out(policy):
    highest = policy.cut_offs()[-1]
    calibrator = Calibrator(method="isotonic", knots=(-5.0, 0.0), levels=(1e-6, highest * 0.9))
    scale = scale_of(calibrator, policy, base=-4.0, cut_offs="all", segment=None)
    assert scale.cut_offs[-1][1] == pytest.approx(policy.cut_offs()[-2])


def test_a_tier_below_the_lowest_probability_begins_nowhere(policy):
    lowest = policy.cut_offs()[1]
    calibrator = Calibrator(method="isotonic", knots=(-5.0, 5.0), levels=(lowest * 2, 0.999))
    scale = scale_of(calibrator, policy, base=-4.0, cut_offs="all", segment=None)
    assert scale.cut_offs[0] == (1, lowest, -np.inf)
    assert np.isfinite([scale.low, scale.high]).all()
