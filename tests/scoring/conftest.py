"""A scored part, an account of a run, and the parts of both."""

import pytest

from kyc_ml.decision import NO_OVERRIDES
from kyc_ml.model import learn_profile
from kyc_ml.scoring.by_model import ModelScorer


@pytest.fixture(scope="session")
def scorer(bundle, small):
    """A model scorer of the small model, with a profile of its rows."""
    from dataclasses import replace  # noqa: PLC0415  only here

    proba = bundle.calibrator.probability(small.model.margin(small.matrix))
    profile = learn_profile(small.features, proba)
    return ModelScorer(
        bundle=replace(bundle, profile=profile, digest="d" * 64), label="small 1",
        book=NO_OVERRIDES, history=None, full=True,
    )  # fmt: skip
