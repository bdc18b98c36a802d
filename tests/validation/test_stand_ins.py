"""A planted feature that is missing for one direction alone is found; with the field it is not."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from kyc_ml.features import Own
from kyc_ml.validation.stand_ins import find_stand_ins

N = 2_000


@pytest.fixture
def planted(make_spec, make_table):
    rng = np.random.default_rng(4)
    way = rng.choice(["in", "out"], N)
    channel = rng.choice(["a", "b", "c"], N)
    covered = np.where(way == "in", np.nan, 1.0)
    partly = np.where((channel == "a") & (rng.random(N) < 0.6), np.nan, 1.0)
    chance = np.where(rng.random(N) < 0.5, np.nan, 1.0)
    names = ("covered", "partly", "chance", "whole")
    specs = [make_spec(name, Own(reading="value", column="amount")) for name in names]
    numbers = np.column_stack([covered, partly, chance, np.ones(N)])
    features = make_table(specs, numbers, {})
    fields = {"direction": way, "channel": channel, "note": [f"n{row}" for row in range(N)]}
    shuffled = rng.permutation(N)
    rows = pa.table({"observation_id": features.keys["observation_id"], **fields})
    return features, rows.take(pa.array(shuffled)), way


def test_the_planted_feature_is_named_with_its_field(planted):
    features, observations, _ = planted
    found = find_stand_ins(features, observations).set_index(["feature", "field"])["agreement"]
    assert found["covered", "direction"] == pytest.approx(1.0)
    assert found.drop(("covered", "direction")).max() < 0.9
    assert found["chance", "direction"] < 0.1
    assert "whole" not in found.index.get_level_values("feature")  # never missing
    assert set(found.index.get_level_values("field")) == {"direction", "channel"}


def test_a_field_that_the_model_has_needs_no_stand_in(planted, make_spec, make_table):
    features, observations, way = planted
    spec = make_spec(
        "way", Own(reading="category", column="direction"), unit="category", kind="category"
    )
    numbers = np.column_stack([features.numbers, np.full(N, np.nan)])
    having = make_table([*features.specs, spec], numbers, {"way": way.tolist()})
    assert set(find_stand_ins(having, observations)["field"]) == {"channel"}
