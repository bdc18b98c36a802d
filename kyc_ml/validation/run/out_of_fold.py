"""Validation on out-of-fold rows: the checks that apply, and the caveat.

A model cross-validated by customer has learned from all rows of its period. Each row was predicted
once by a model that did not see its customer, and these predictions can be ranked, calibrated and
graded. Checks that need rows of another period, or the scores of a single model, do not apply.
"""

from datetime import timedelta
from types import MappingProxyType
from typing import Final

import pandas as pd

from kyc_ml.registry import OUT_OF_FOLD
from kyc_ml.validation.result import Finding
from kyc_ml.validation.text import notice

_COMPARED: Final = (
    *("data.representativeness", "data.missingness", "tiers.migration", "benchmarks.rating"),
    *("stability.score_psi", "stability.feature_csi", "stability.importance", "stability.reasons"),
)
"""Checks that compare with earlier rows, or with those of the scorecard."""
NOT_APPLICABLE: Final = MappingProxyType(
    dict.fromkeys((*_COMPARED, "robustness.training_range"), notice("no_other_time"))
    | dict.fromkeys(("robustness.noise", "robustness.missing_columns"), notice("no_fold_models"))
    | {"benchmarks.rating": notice("same_rows")}
)
"""Reason why a check does not apply to out-of-fold rows, by its id."""

NEEDS_REFERENCE: Final = frozenset(_COMPARED)
"""Checks that compare with earlier rows: a test has none if the model learned from all of them."""

WITHOUT_REFERENCE: Final = notice("no_unseen_reference")
"""Reason why they do not apply then."""

OF_THE_MODEL: Final = frozenset(
    (
        *("explanation.additivity", "explanation.shap_agreement", "explanation.monotone"),
        *("explanation.reasons", "implementation.parity"),
    )
)
"""Checks of the computation: they use the final model's scores, also of rows it learned from."""


def caveat(known: pd.Timestamp, label_delay: timedelta) -> Finding:
    """Return a finding for the question that out-of-fold rows cannot answer: stability over time.

    `known`: the training date.
    `label_delay`: timedelta; from a decision to its mature outcome.
    """
    return Finding(
        id=OUT_OF_FOLD,
        check=OUT_OF_FOLD.partition("/")[0],
        severity="amber",
        text=notice("out_of_fold_finding", day=f"{known + label_delay:%Y-%m-%d}"),
    )
