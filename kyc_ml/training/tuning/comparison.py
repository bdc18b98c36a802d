"""Whether the chosen parameters beat the configuration's own on rows that no choice saw."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from kyc_ml import metrics
from kyc_ml.config import ModelConfig, Objective, TuningConfig
from kyc_ml.dataset import customers_of
from kyc_ml.display import StageProgress
from kyc_ml.training.tuning.objectives import MAXIMISED, compute_objective
from kyc_ml.training.tuning.rows import TuningFold, TuningRows
from kyc_ml.training.tuning.study import predict_test

_COLUMNS: Final = ["figure", "own", "chosen", "difference", "low", "high", "better"]
_KEPT: Final = (
    "No trial was better than the configuration's own parameters: they are kept, and there is "
    "nothing to compare on other rows."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterComparison:
    """Own and chosen parameters on the run's test part, which no trial saw.

    Of a run that is cross-validated by customer: on all rows, each predicted with what the
    inner folds of the other rows chose. That evaluates the tuning as a procedure; the parameters
    taken are those that it finds on all rows.
    """

    table: pd.DataFrame
    """One row a figure: figure, own, chosen, difference (chosen - own), low, high (its interval at
    95 %), better ('higher' or 'lower'). No row where the own are kept."""
    verdict: metrics.Verdict
    """'better', 'not shown better' or 'worse'; of the chosen parameters; see `judge_difference`."""
    sentence: str
    taken: ModelConfig
    """What to train with: the chosen parameters, or the own where the chosen are worse."""

    @property
    def worse(self) -> bool:
        """True if the chosen parameters are significantly worse than the own, which are kept."""
        return self.verdict == "worse"

    @property
    def compared(self) -> bool:
        """True if the chosen parameters differ from the own, so that there are figures."""
        return not self.table.empty


def compare(
    rows: TuningRows,
    *,
    own: ModelConfig,
    chosen: ModelConfig,
    config: TuningConfig,
    tell: StageProgress,
) -> ParameterComparison:
    """Fit both on the run's train and early stopping, and compare them on its test.

    Nothing is fitted where both are the same: there is nothing to compare.

    Intervals are those of `paired_differences`; no probability is calibrated.
    """
    if own == chosen:
        return nothing_to_compare(own)
    margins = []
    for number, model in enumerate((own, chosen), 1):
        margins.append(predict_test(rows, rows.final, model=model)[0])
        tell("comparing on the test part", number, 2)
    customers = customers_of(rows.features.keys)[rows.final.test.rows]
    table = compute_differences(
        rows.final, margins[0], margins[1], customers=customers, config=config
    )
    return conclude_tuning(table, own=own, chosen=chosen, config=config, where="On later data")


def nothing_to_compare(own: ModelConfig) -> ParameterComparison:
    """Return a comparison without figures: the configuration's own parameters are kept."""
    return ParameterComparison(
        table=pd.DataFrame(columns=_COLUMNS), verdict="not shown better", sentence=_KEPT, taken=own
    )


def conclude_tuning(
    table: pd.DataFrame, *, own: ModelConfig, chosen: ModelConfig, config: TuningConfig, where: str
) -> ParameterComparison:
    """Conclude from the differences; keep the own parameters if the chosen are significantly worse.

    `where` names the rows, at the beginning of the sentence.
    """
    verdict, sentence = _conclude(table, config.objective, where=where)
    taken = own if verdict == "worse" else chosen
    return ParameterComparison(table=table, verdict=verdict, sentence=sentence, taken=taken)


def compute_differences(
    final: TuningFold,
    own: metrics.Floats,
    chosen: metrics.Floats,
    *,
    customers: metrics.Names,
    config: TuningConfig,
) -> pd.DataFrame:
    """Tabulate both models' figures and their differences; see `ParameterComparison.table`."""
    target = final.test.target
    names: tuple[Objective, ...] = ("average_precision", "log_loss")
    names += () if config.objective in names else (config.objective,)

    def figure(name: Objective, margin: metrics.Floats, rows: metrics.Ints) -> float:
        return compute_objective(
            target[rows],
            margin[rows],
            final.test_day[rows],
            end_day=final.end_day,
            objective=name,
            config=config,
        )

    def differences(times: metrics.Ints) -> dict[Objective, float]:
        rows = metrics.drawn_rows(times)
        return {name: figure(name, chosen, rows) - figure(name, own, rows) for name in names}

    everything = np.arange(target.size)
    values = [[figure(name, margin, everything) for margin in (own, chosen)] for name in names]
    paired = metrics.paired_differences(
        differences, target=target, customers=customers, seed=config.seed
    )
    return pd.DataFrame(
        [
            {
                "figure": name,
                "own": before,
                "chosen": after,
                "difference": after - before,
                "low": paired.low[name],
                "high": paired.high[name],
                "better": "higher" if name in MAXIMISED else "lower",
            }
            for name, (before, after) in zip(names, values, strict=True)
        ],
        columns=_COLUMNS,
    )


def _conclude(
    table: pd.DataFrame, objective: Objective, *, where: str
) -> tuple[metrics.Verdict, str]:
    row = next(each for each in table.to_dict("records") if each["figure"] == objective)
    names = (f"{where} the tuned model", "the configuration's own")
    verdict, sentence = metrics.judge_difference(row, "chosen", "own", names=names, digits=".4f")
    kept = " Its parameters are not taken: the configuration's own are kept."
    return verdict, sentence + (kept if verdict == "worse" else "")
