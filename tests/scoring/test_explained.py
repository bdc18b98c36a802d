"""An explanation as a notebook shows it."""

import numpy as np
import pandas as pd

from kyc_ml.decision import NOTHING_STANDS_OUT, Counterfactual
from kyc_ml.scoring import Explained


def test_a_reason_without_figures_is_shown_by_its_sentence_alone():
    nothing = {"code": NOTHING_STANDS_OUT, "text": "usual", "contribution": np.nan, "share": np.nan}
    explained = Explained(
        observation_id="a", decided=pd.Timestamp("2024-01-01", tz="UTC"), probability=0.1,
        tier="low", tier_zh="低", margin=1.0, base_value=1.0, score={"tier_set_by_text": "model"},
        contributions=pd.DataFrame([nothing]), lowering=Counterfactual(lines=(), note=("", "")),
    )  # fmt: skip
    for shown in (repr(explained), explained._repr_html_()):
        assert "usual" in shown
        assert "nan" not in shown.lower()
