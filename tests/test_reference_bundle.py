"""A bundle written by an earlier version still loads, and scores as it did."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kyc_ml.errors import DatasetError
from kyc_ml.registry import load_bundle, score_features
from kyc_ml.registry.tracking.serving import features_from_frame

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


def reference():
    folder = sorted(REFERENCE.glob("format_*"))[-1]
    bundle = load_bundle(folder / "bundle")
    frame = pd.read_csv(folder / "features.csv", parse_dates=["decision_time"])
    return bundle, features_from_frame(frame, specs=bundle.inputs)


def test_columns_are_taken_by_name_whatever_their_order():
    bundle, features = reference()
    kinds = ("number", "category")  # a table holds its categories last
    names = [s.name for kind in kinds for s in features.specs[::-1] if s.kind == kind]
    assert names != [spec.name for spec in features.specs]
    expected = score_features(bundle, features).to_pandas()
    turned = score_features(bundle, features.reorder(names)).to_pandas()
    pd.testing.assert_frame_equal(turned, expected)


def test_a_table_without_a_column_of_the_model_is_refused_by_name():
    bundle, features = reference()
    name = features.specs[0].name
    with pytest.raises(DatasetError, match=f"needs 1 column.*{name}"):
        score_features(bundle, features.reorder([spec.name for spec in features.specs[1:]]))
