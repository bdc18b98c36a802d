"""Warnings about a valid result: too few positives, or a tier that does not fit its rows."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd

from kyc_ml.config import ModelConfig
from kyc_ml.display import ProgressReporter
from kyc_ml.training.model_card.limitations import FEW_POSITIVES

_NAMED: Final = 5
"""Features that a line names; the others are counted."""
_MANY: Final = 1_000
"""Rows needed before the share of a tier is evidence about its policy; convention."""
_EMPTY: Final = 0.01
_SWOLLEN: Final = 0.9
"""Shares of the rows: a lowest tier below the first, or a higher one above the second, does not
separate customers; convention."""


def warn_of_odd_tiers(tiers: pd.DataFrame, reporter: ProgressReporter) -> None:
    """Warn if nearly no row is in the lowest tier, or nearly all are in a higher one.

    Most customers are low risk: such cut-offs were made for other probabilities.

    `tiers`: one row a tier, lowest first, with tier and rows, as `compute_tier_table` gives it.
    """
    total = int(tiers["rows"].sum())
    if total < _MANY:
        return
    share = tiers["rows"].to_numpy() / total
    odd = np.where(np.arange(share.size) == 0, share < _EMPTY, share > _SWOLLEN)
    named = " and ".join(
        f"tier {row['tier']} holds {row['rows']:,} of {total:,} rows"
        for row in tiers[odd].to_dict("records")
    )
    if named:
        reporter.warning(
            f"{named}: the cut-offs of the policy do not suit these probabilities; have "
            "others proposed from rows with outcomes, with kyc-ml tiers fit"
        )


def warn_of_few_positives(positives: Mapping[str, int], reporter: ProgressReporter) -> None:
    """Warn if parts for early stopping, calibration or evaluation have few positives.

    `positives` maps the name of a part, in words, to its positives.
    """
    few = ", ".join(f"{part} {n:,}" for part, n in positives.items() if n < FEW_POSITIVES)
    if few:
        reporter.warning(
            f"too few positives: {few} (at least {FEW_POSITIVES} recommended): results are "
            "unreliable; add data, or give parts in time more days"
        )


def warn_of_missed_rates(tiers: pd.DataFrame, reporter: ProgressReporter) -> None:
    """Warn of each tier whose expected rate lies outside the interval of its observed rate.

    `tiers` is what `compute_tier_table` returns with outcomes; tiers without rows have no rates.
    Give it intervals of ``1 - 0.05 / k`` for k tiers: of a good model they all hold in 95 % of
    trainings (Bonferroni).
    """
    for row in tiers.to_dict("records"):
        expected, low, high = row["expected_rate"], row["ci_low"], row["ci_high"]
        if not (expected < low or expected > high):
            continue
        side = "more" if expected < low else "fewer"
        reporter.warning(
            f"tier {row['tier']}: {side} positives than expected ({100 * expected:.2f} %, "
            f"observed {100 * low:.2f} % to {100 * high:.2f} %); its probabilities are not well "
            "calibrated: look at the reliability plot before you set tiers by them"
        )


def warn_of_sampled_level(
    config: ModelConfig, calibration: str, reporter: ProgressReporter
) -> None:
    """Warn if positives have other weight than negatives and nothing calibrates the level.

    Margins are corrected for it exactly, but only as far as the trees fitted the changed odds:
    regularised ones stop short of them, and the correction then goes too far.

    `calibration`: method of the calibrator; see `CalibrationConfig`.
    """
    shares = config.negative_share * config.negatives_kept
    sampled = shares != 1.0 or config.positive_weight != 1.0
    if sampled and calibration == "none":
        reporter.warning(
            f"negative_share {shares:g} and positive_weight "
            f"{config.positive_weight:g} without calibration: the level of the probabilities is "
            "10 to 20 % off where trees are regularised; add platt to calibration.candidates, "
            "or leave both at 1"
        )
