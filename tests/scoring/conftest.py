"""A scored part, an account of a run, and the parts of both."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from kyc_ml.contract import NOT_IN_CUSTOMERS, DataQualityReport, TableQuality
from kyc_ml.contract.quality import RuleFinding
from kyc_ml.decision import NO_OVERRIDES
from kyc_ml.model import learn_profile
from kyc_ml.scoring.by_model import ModelScorer
from kyc_ml.scoring.counts import Counts
from kyc_ml.scoring.manifest import Manifest


def quality_of(*, read=100, refused=0, late=0, unknown=0):
    """Make a summary of a table of transactions."""
    why = RuleFinding(
        table="transactions", column="amount", rule="below 0", count=refused, cure="c"
    )
    who = RuleFinding(
        table="transactions", column="customer_id", rule=NOT_IN_CUSTOMERS, count=unknown, cure="c"
    )
    table = TableQuality(
        table="transactions",
        read=read,
        accepted=read - refused,
        quarantined=refused,
        reasons=(why,) if refused else (),
        missing={"amount": 0.0, "channel": 1 / 3},
        first_event_time=datetime(2024, 1, 1, tzinfo=UTC),
        last_event_time=datetime(2024, 3, 1, 12, 0, 0, 1, tzinfo=UTC),
        late_rows=late,
    )
    return DataQualityReport(tables=(table,), warnings=(who,) if unknown else ())


@pytest.fixture(scope="session")
def make_quality():
    return quality_of


@pytest.fixture
def make_manifest():
    """Make an account of a run of five rows."""

    def make(**changed):
        drift = pd.DataFrame(
            {
                "column": ["probability", "signal"],
                "psi": [0.1 + 0.2, np.nan],
                "critical_99": [1 / 3, 0.0],
                "drifted": [False, True],
                "not_counted": ["", "all history"],
            }
        )
        content = {
            "identity": {"input tx.csv": "a" * 64, "model": "模型 1"},
            "as_of": "2024-03-01T00:00:00+00:00",
            "scored_by": "model",
            "reason": "",
            "observations": 5,
            "customers": 2,
            "not_scored": {"not due yet": 4},
            "quality": quality_of(refused=3, late=1, unknown=2),
            "counts": Counts(
                rows=5, tiers={"low": 3, "high": 2}, expected={"low": 0.1 + 0.2, "high": 1 / 3},
                unknown_categories={"channel": 1}, graded={"rows": 1}, unchecked={"floor": "why"},
                profile={"signal": [0, 5]},
            ),
            "drift": drift,
            "faults": ("one", "zwei 二"),
            "files": {"scores/part-00000.parquet": "b" * 64},
        }  # fmt: skip
        return Manifest(**{**content, **changed})

    return make


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
