"""Compare observed and expected positives in parts of the rows, such as segments or groups."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Final

import numpy as np
import pandas as pd

from kyc_ml.metrics import Floats, Ints, Mask, holm, observed_over_expected
from kyc_ml.validation.extremes import largest, smallest
from kyc_ml.validation.outcome import Value
from kyc_ml.validation.rows import ScoredRows
from kyc_ml.validation.text import Text, notice

_LEVEL: Final = (
    "rows", "positives", "expected", "o_e", "low", "high", "under_p", "over_p", "design_effect",
)  # fmt: skip
_EVIDENT: Final = 0.05
"""Corrected p-value below which a part is shown before parts that deviate more (convention)."""


def level_of(target: Floats, proba: Floats, customers: Ints) -> dict[str, float]:
    """Compare the positives of one part with the number that its probabilities predict.

    Observed over expected with its interval at 95% and its tests; see `observed_over_expected`. NaN
    where no positive is expected.
    """
    figures = asdict(observed_over_expected(target, proba, customers))
    return {
        "rows": int(target.size),
        "positives": int(target.sum()),
        "expected": float(proba.sum()),
        "o_e": figures.pop("ratio"),
        **figures,
    }


def level_at(rows: ScoredRows, here: Mask) -> dict[str, float]:
    """Return the level of some of the evaluated rows; see `level_of`."""
    return level_of(
        rows.target[here], rows.evaluated_probability[here], rows.evaluated_customers[here]
    )


def compare_parts(rows: ScoredRows, parts: Iterable[tuple[str, Mask]]) -> pd.DataFrame:
    """Return the level of each part, and what its deviation means for all rows.

    A tier with half as many positives again as expected matters little with 3 of 200 positives,
    and much with 90 of them.

    `parts`: iterable of name and mask of the evaluated rows.
    One row for each part that has rows: part; the figures of `level_of`, with p-values corrected by
    Holm for the number of parts; missed, the positives above expectation (below 0 if there are
    fewer); missed_share, of all positives; surplus_share, the expected positives above the observed
    ones, of all that are expected.
    """
    lines = [{"part": name, **level_at(rows, here)} for name, here in parts if here.any()]
    table = pd.DataFrame(lines, columns=["part", *_LEVEL])
    return table.assign(
        under_p=holm(table["under_p"]),
        over_p=holm(table["over_p"]),
        missed=table["positives"] - table["expected"],
        missed_share=_shares(table["positives"] - table["expected"], float(rows.target.sum())),
        surplus_share=_shares(
            table["expected"] - table["positives"], float(rows.evaluated_probability.sum())
        ),
    )


def material_levels(parts: pd.DataFrame) -> dict[str, Value]:
    """Return the figures that decide how severe a wrong level is; see `compare_parts`.

    Parts whose deviation is evident come first, then the largest deviation.
    """
    under, over = (
        parts[parts[name] <= _EVIDENT] if (parts[name] <= _EVIDENT).any() else parts
        for name in ("under_p", "over_p")
    )
    return {
        "missed": largest(under, "missed", named="part"),
        "missed_share": largest(under, "missed_share", named="part"),
        "surplus_share": largest(over, "surplus_share", named="part"),
        "under_p": smallest(parts, "under_p", named="part"),
        "over_p": smallest(parts, "over_p", named="part"),
    }


def bound_levels(table: pd.DataFrame, *, named: str, fewest: float) -> pd.DataFrame:
    """Return the ends of the intervals of parts that overlap or do not cover all rows.

    Every part is checked for too low probabilities: a minimum of expected positives would exclude
    the very parts whose probabilities are too low. A part is checked for too high probabilities
    only if it expects `fewest` positives: no positive among the rows of one customer is too
    little evidence, and the upper end of few positives is too low.

    `table` has one row for each part: `named`, and the figures of `level_of`.

    part, highest_low, lowest_high, and under_p and over_p corrected by Holm; NaN where a part is
    not checked.
    """
    enough = table["expected"] >= fewest
    return pd.DataFrame(
        {
            "part": table[named],
            "highest_low": table["low"],
            "lowest_high": table["high"].where(enough),
            "under_p": holm(table["under_p"]),
            "over_p": holm(table["over_p"].where(enough)),
        }
    )


def surest_levels(parts: pd.DataFrame) -> dict[str, Value]:
    """Find the strongest evidence of a part with too low, and of one with too high, probabilities.

    `parts` are those of `bound_levels`.
    """
    return {
        "highest_low": largest(parts, "highest_low", named="part"),
        "lowest_high": smallest(parts, "lowest_high", named="part"),
        "under_p": smallest(parts, "under_p", named="part"),
        "over_p": smallest(parts, "over_p", named="part"),
    }


def level_note(fewest: float) -> Text:
    """Return a note on the parts that `bound_levels` checks."""
    return notice("level_rule", fewest=fewest)


def _shares(counts: pd.Series, of: float) -> pd.Series:
    return counts / of if of else counts * np.nan
