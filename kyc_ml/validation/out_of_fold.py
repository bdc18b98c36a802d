"""Validation on out-of-fold rows: which checks they carry, and the caveat they come with.

A model cross-validated by customer has learned from all rows of its time. Each was predicted
once by a model that saw nothing of its customer: these predictions can be ranked, calibrated
and graded. What needs rows of another time, or the scores of one model, cannot be had.
"""

from __future__ import annotations

from datetime import timedelta
from types import MappingProxyType
from typing import Final

import pandas as pd

from kyc_ml.governance import OUT_OF_FOLD
from kyc_ml.validation.result import Finding
from kyc_ml.validation.text import Text

_NO_OTHER_TIME: Final = Text(
    "the rows are out of fold, all of the training's own time: there is no later time to compare "
    "with, and no drift can be shown",
    "样本为折外样本，均处于训练时期内：没有更晚的时期可比较，无法说明随时间的漂移",
)
_NO_FOLD_MODELS: Final = Text(
    "changed values would have to be scored by the models of the folds, which are not kept; the "
    "model itself has learned from these rows",
    "改变后的数值须由各折模型评分，而各折模型未保存；最终模型已学习过这些样本",
)
_SAME_ROWS: Final = Text(
    "the card's points would be calibrated on the very rows that judge it",
    "评分卡将在评估其自身的同一批样本上校准",
)

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
"""Why a check says nothing of out-of-fold rows, by its id."""

OF_THE_MODEL: Final = frozenset(
    {
        "explanation.additivity",
        "explanation.shap_agreement",
        "explanation.monotone",
        "explanation.reasons",
        "implementation.parity",
    }
)
"""Checks of how the model computes: they look at its own scores, also of rows it learned from."""


def caveat(known: pd.Timestamp, label_delay: timedelta) -> Finding:
    """Say what out-of-fold rows leave open, as a finding with an owner and a due date to come.

    Parameters
    ----------
    known : Timestamp
        The training date.
    label_delay : timedelta
        From a decision to its mature outcome.
    """
    check = OUT_OF_FOLD.partition("/")[0]
    day = f"{known + label_delay:%Y-%m-%d}"
    return Finding(
        id=OUT_OF_FOLD,
        check=check,
        severity="amber",
        text=Text(
            "Judged by out-of-fold rows: each was predicted by a model that saw nothing of its "
            "customer, but none was decided after the training. That the model holds over time is "
            f"not shown. Validate again on later rows: the first are mature after {day}.",
            "依据折外样本评估：每条样本均由未见过该客户的模型预测，但没有样本晚于训练日期，"
            f"未能说明模型随时间的稳定性。须以更晚的样本重新验证：最早的样本在 {day} 之后成熟。",
        ),
    )
