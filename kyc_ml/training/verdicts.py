"""What a validator would say of a model's figures on rows it did not learn from, in words."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from kyc_ml.display import WORDS, Said
from kyc_ml.training.evidence import MODEL, Trained

_RANKED = "average_precision"


def say_verdict(trained: Trained) -> tuple[Said, ...]:
    """Compare the model with each benchmark, then what came with what was predicted.

    A difference or a ratio counts only if its 95 % interval excludes no difference.
    """
    return (*_against_benchmarks(trained.added_value.table), _calibration(trained))


def _against_benchmarks(table: pd.DataFrame) -> Iterator[Said]:
    for row in table[table["figure"] == _RANKED].to_dict("records"):
        if pd.isna(row["low"]):
            continue
        kind = "better" if row["low"] > 0 else "worse" if row["high"] < 0 else "alike"
        figures = {name: _signed(row[name]) for name in ("difference", "low", "high")}
        yield _fill(kind, who=str(row["baseline"]), **figures)


def _calibration(trained: Trained) -> Said:
    quality = trained.quality[MODEL][trained.evidence.part]
    ratio = quality.observed_over_expected
    low, high = quality.observed_over_expected_low, quality.observed_over_expected_high
    kind = "under" if low > 1 else "over" if high < 1 else "calibrated"
    observed = float(trained.evidence.target.sum())
    return _fill(
        kind,
        # of the outcomes predicted: 41 % more came, or 20 % too many were predicted
        percent=f"{100 * (ratio - 1 if ratio > 1 else 1 - ratio):.0f}",
        observed=f"{observed:,.0f}",
        expected=f"{float(trained.evidence.probability.sum()):,.0f}",
        ratio=f"{ratio:.2f}",
        low=f"{low:.2f}",
        high=f"{high:.2f}",
    )


def _fill(kind: str, **values: Any) -> Said:  # noqa: ANN401
    words, who = WORDS["verdicts"][kind], values.get("who", "")
    named = WORDS["predictors"].get(who, {})
    english, chinese = (
        words[each].format(**values | {"who": named.get(each, who)}) for each in ("en", "zh")
    )
    return english, chinese


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")
