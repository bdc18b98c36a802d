"""A bundle written by an earlier version still loads, and scores as it did."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kyc_ml.bundle import load_bundle
from kyc_ml.score import features_from_frame, score_features

REFERENCE = Path(__file__).parents[1] / "models" / "reference"


@pytest.mark.parametrize("folder", sorted(REFERENCE.glob("format_*")), ids=lambda path: path.name)
def test_a_bundle_of_each_format_scores_as_when_it_was_written(folder):
    bundle = load_bundle(folder / "bundle")
    frame = pd.read_csv(folder / "features.csv", parse_dates=["decision_time"])
    expected = pd.read_csv(folder / "scores.csv")
    scores = score_features(bundle, features_from_frame(frame, specs=bundle.inputs)).to_pandas()
    assert len(scores) == 50
    np.testing.assert_allclose(scores["margin"], expected["margin"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(scores["probability"], expected["probability"], atol=1e-12)
    for name in ("observation_id", "tier", "reason_1_code", "reason_1_text", "reason_1_text_zh"):
        assert scores[name].tolist() == expected[name].tolist()
