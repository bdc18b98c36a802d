"""What the model adds over its baselines, on the same rows that judge them all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from kyc_ml.presentation import say_number
from kyc_ml.ranking import Ranking, auc, average_precision
from kyc_ml.resampling import draw_customers, number_customers

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SAMPLES: Final = 400
"""Bootstrap samples of the customers; convention."""
_LEVELS: Final = (0.025, 0.975)
_BETTER: Final = {"auc": "higher", "average_precision": "higher", "log_loss": "lower"}
_OBJECTIVE: Final = "average_precision"
_TINY: Final = 1e-15
"""Probabilities are held so far from 0 and 1, as scikit-learn's log loss does for doubles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """What one predictor says of n rows.

    Attributes
    ----------
    score : float64 array of shape (n,)
        What it ranks by: a margin, or the score of a card.
    probability : float64 array of shape (n,)
    """

    score: Floats
    probability: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedValue:
    """How much better a model is than its baselines. Intervals are at 95 %.

    Attributes
    ----------
    table : DataFrame
        One row a baseline and figure: baseline, figure (auc, average_precision, log_loss),
        model_value, baseline_value, difference (model less baseline), low, high (of the
        difference; NaN where fewer than two samples hold both classes), better ('higher' or
        'lower').
    sentence : str
        What is added in average precision over each baseline, and whether chance may be all.
    """

    table: pd.DataFrame
    sentence: str


def compute_added_value(
    target: Floats,
    model: Predictions,
    baselines: Mapping[str, Predictions],
    *,
    who: str,
    customers: npt.NDArray[np.object_],
    seed: int,
) -> AddedValue:
    """Compare a model with each baseline on the same rows.

    The interval is the percentile interval of a paired bootstrap over customers: it tells
    the chance in which customers the rows hold, not that of fitting, nor of another time.

    Parameters
    ----------
    target : array of 0 and 1, shape (n,), of both classes
    who : str
        Name of the model in the sentence.
    customers : array of shape (n,)
        Drawn whole, with all their rows.
    seed : int
        Draws the samples.
    """
    draws = _draw(target, customers, seed=seed)
    ours, drawn = _judge(target, model, draws)
    lines = []
    for name, baseline in baselines.items():
        theirs, sampled = _judge(target, baseline, draws)
        for figure, better in _BETTER.items():
            gaps = drawn[figure] - sampled[figure]
            low, high = np.quantile(gaps, _LEVELS) if gaps.size > 1 else (np.nan, np.nan)
            lines.append(
                {
                    "baseline": name,
                    "figure": figure,
                    "model_value": ours[figure],
                    "baseline_value": theirs[figure],
                    "difference": ours[figure] - theirs[figure],
                    "low": float(low),
                    "high": float(high),
                    "better": better,
                }
            )
    table = pd.DataFrame(lines)
    return AddedValue(table=table, sentence=_sentence(table, who=who))


def _draw(target: Floats, customers: npt.NDArray[np.object_], *, seed: int) -> list[Ints]:
    """Say how often each row is there, in samples of both classes."""
    groups, positive = number_customers(customers), target.astype(np.int64)
    rng = np.random.default_rng(seed)
    draws = [draw_customers(groups, rng) for _ in range(SAMPLES)]
    return [times for times in draws if 0 < times @ positive < times.sum()]


def _judge(
    target: Floats, said: Predictions, draws: list[Ints]
) -> tuple[dict[str, float], dict[str, Floats]]:
    """Compute a predictor's figures of all rows, and of each sample."""
    ranking = Ranking.of(target, said.score)
    proba = np.clip(said.probability, _TINY, 1.0 - _TINY)
    loss = -np.log(np.where(target == 1.0, proba, 1.0 - proba))

    def figures(times: Ints) -> dict[str, float]:
        hits, false = ranking.found(times)
        return {
            "auc": auc(hits, false),
            "average_precision": average_precision(hits, false),
            "log_loss": float(times @ loss) / float(times.sum()),
        }

    sampled = [figures(times) for times in draws]
    return figures(np.ones(target.size, np.int64)), {
        name: np.array([found[name] for found in sampled]) for name in _BETTER
    }


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
