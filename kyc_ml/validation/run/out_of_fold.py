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

_NO_OTHER_TIME: Final = notice("no_other_time")
_NO_FOLD_MODELS: Final = notice("no_fold_models")
_SAME_ROWS: Final = notice("same_rows")

NOT_APPLICABLE: Final = MappingProxyType(
    {
        "data.representativeness": _NO_OTHER_TIME,
        "data.missingness": _NO_OTHER_TIME,
        "tiers.migration": _NO_OTHER_TIME,
        "stability.score_psi": _NO_OTHER_TIME,
        "stability.feature_csi": _NO_OTHER_TIME,
        "stability.importance": _NO_OTHER_TIME,
        "stability.reasons": _NO_OTHER_TIME,
        "robustness.training_range": _NO_OTHER_TIME,
        "robustness.noise": _NO_FOLD_MODELS,
        "robustness.missing_columns": _NO_FOLD_MODELS,
        "benchmarks.rating": _SAME_ROWS,
    }
)
"""Reason why a check does not apply to out-of-fold rows, by its id."""

NEEDS_REFERENCE: Final = frozenset(
    check
    for check, why in NOT_APPLICABLE.items()
    if why is not _NO_FOLD_MODELS and check != "robustness.training_range"
)
"""Checks that compare with earlier rows: a test has none if the model learned from all of them."""

WITHOUT_REFERENCE: Final = notice("no_unseen_reference")
"""Reason why they do not apply then."""

OF_THE_MODEL: Final = frozenset(
    {
        "explanation.additivity",
        "explanation.shap_agreement",
        "explanation.monotone",
        "explanation.reasons",
        "implementation.parity",
    }
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
