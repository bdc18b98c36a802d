"""Scored rows with outcomes, made in memory."""

import numpy as np
import pandas as pd
import pytest

from kyc_ml.monitoring import KnownOutcomes

START = pd.Timestamp("2025-01-01", tz="UTC")


@pytest.fixture
def known():
    """Make `KnownOutcomes` of plain columns; the rest is filled."""

    def make(*, days=None, delay=30, as_of=400, zone="UTC", **columns):
        rows = pd.DataFrame(columns)
        n = len(rows)
        decided = np.asarray(rows.pop("decided"), np.float64)
        defaults = {
            "observation_id": [f"o{place}" for place in range(n)],
            "customer_id": [f"c{place}" for place in range(n)],
            "tier": "low",
            "segment": "all",
            "model": "fraud v1",
            "policy": "p",
            "night": "2025-01-01",
            "target": 0.0,
            "took": 1.0,
        }
        for name, value in defaults.items():
            if name not in rows:
                rows[name] = value
        rows["decision_time"] = START + pd.to_timedelta(decided, unit="D").round("us")
        took = pd.to_timedelta(rows.pop("took").where(rows["target"] == 1.0), unit="D")
        rows["reported"] = rows["decision_time"] + took.dt.round("us")
        end = START + pd.Timedelta(days=as_of)
        open_ = (rows["decision_time"] + pd.Timedelta(days=delay) > end).to_numpy()
        unseen = open_ & ~(rows["reported"] <= end).to_numpy()
        rows.loc[unseen, "target"] = np.nan
        rows.loc[unseen, "reported"] = pd.NaT
        rows["label"] = rows["target"].map({1.0: "positive", 0.0: "negative"})
        rows["label"] = rows["label"].fillna("immature")
        return KnownOutcomes(
            rows=rows.sort_values("decision_time", ignore_index=True),
            delay=pd.Timedelta(days=delay),
            as_of=end,
            name="fraud",
            timezone=zone,
        )

    return make
