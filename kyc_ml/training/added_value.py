"""What the model adds over its baselines on the same test rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from kyc_ml import metrics
from kyc_ml.display import say_number

_BETTER: Final = {"auc": "higher", "average_precision": "higher", "log_loss": "lower"}
_OBJECTIVE: Final = "average_precision"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedValue:
    """The difference of a model from its baselines, with 95 % intervals."""

    table: pd.DataFrame
    """One row a baseline and figure: baseline, figure (auc, average_precision, log_loss),
    model_value, baseline_value, difference (model less baseline), low, high (of the difference; NaN
    where fewer than two samples hold both classes), better ('higher' or 'lower')."""
    sentence: str


def compute_added_value(
    target: metrics.Floats,
    model: metrics.Predictions,
    baselines: Mapping[str, metrics.Predictions],
    *,
    who: str,
    customers: metrics.Names,
    seed: int,
) -> AddedValue:
    """Compare a model with each baseline on the same rows.

    Intervals are those of `paired_differences`.

    `target`: array of 0 and 1, shape (n,), of both classes.
    `customers`: array of shape (n,); drawn whole, with all their rows.
    """
    ours = _figures_of(target, model)
    theirs = {name: _figures_of(target, baseline) for name, baseline in baselines.items()}

    def differences(times: metrics.Ints) -> dict[tuple[str, str], float]:
        mine = ours(times)
        others = {name: figures(times) for name, figures in theirs.items()}
        return {
            (name, figure): mine[figure] - other[figure]
            for name, other in others.items()
            for figure in _BETTER
        }

    whole = np.ones(target.size, np.int64)
    values, bases = ours(whole), {name: figures(whole) for name, figures in theirs.items()}
    found = metrics.paired_differences(differences, target=target, customers=customers, seed=seed)
    table = pd.DataFrame(
        [
            {
                "baseline": name,
                "figure": figure,
                "model_value": values[figure],
                "baseline_value": base[figure],
                "difference": values[figure] - base[figure],
                "low": found.low[name, figure],
                "high": found.high[name, figure],
                "better": better,
            }
            for name, base in bases.items()
            for figure, better in _BETTER.items()
        ]
    )
    return AddedValue(table=table, sentence=_sentence(table, who=who))


def _figures_of(
    target: metrics.Floats, predicted: metrics.Predictions
) -> Callable[[metrics.Ints], dict[str, float]]:
    ranking = metrics.Ranking.of(target, predicted.score)
    losses = metrics.log_losses(target, predicted.probability)

    def figures(times: metrics.Ints) -> dict[str, float]:
        hits, false = ranking.found(times)
        return {
            "auc": metrics.auc(hits, false),
            "average_precision": metrics.average_precision(hits, false),
            "log_loss": float(times @ losses) / float(times.sum()),
        }

    return figures


def _sentence(table: pd.DataFrame, *, who: str) -> str:
    said = [
        f"{_signed(row['difference'])} ({_signed(row['low'])} to {_signed(row['high'])}) average "
        f"precision over {row['baseline']}{_doubt(row['low'], row['high'])}"
        for row in table[table["figure"] == _OBJECTIVE].to_dict("records")
    ]
    return f"{who} adds {', and '.join(said)} (95 % intervals, same rows, customers resampled)."


def _doubt(low: float, high: float) -> str:
    if low > 0:
        return ""
    if high < 0:
        return ", so it is worse"
    return ", which chance alone may explain"


def _signed(value: float) -> str:
    return "unknown" if np.isnan(value) else say_number(value, "+.3f")
