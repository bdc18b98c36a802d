"""Compare observed and expected positives in parts of the rows, such as segments or groups."""

from __future__ import annotations

import pandas as pd

from kyc_ml.metrics import Floats, Ints, Mask, observed_over_expected
from kyc_ml.validation.extremes import largest, smallest
from kyc_ml.validation.outcome import Value
from kyc_ml.validation.rows import ScoredRows
from kyc_ml.validation.text import Text, notice


def level_of(target: Floats, proba: Floats, customers: Ints) -> dict[str, float]:
    """Compare the positives of one part with the number that its probabilities predict.

    Returns
    -------
    dict of rows, positives, expected, o_e, low, high, under_p and over_p
        Observed over expected with its interval at 95%; see `observed_over_expected`. NaN where
        no positive is expected.
    """
    ratio = observed_over_expected(target, proba, customers)
    return {
        "rows": int(target.size),
        "positives": int(target.sum()),
        "expected": float(proba.sum()),
        "o_e": ratio.ratio,
        "low": ratio.low,
        "high": ratio.high,
        "under_p": ratio.under_p,
        "over_p": ratio.over_p,
    }


def level_at(rows: ScoredRows, here: Mask) -> dict[str, float]:
    """Return the level of some of the evaluated rows; see `level_of`."""
    return level_of(
        rows.target[here], rows.evaluated_probability[here], rows.evaluated_customers[here]
    )


def surest_levels(table: pd.DataFrame, *, named: str, fewest: float) -> dict[str, Value]:
    """Find the strongest evidence of a part with too low, and of one with too high, probabilities.

    Every part is checked for too low probabilities: the interval is right also for few positives,
    and a minimum of expected positives would exclude the very parts whose probabilities are too
    low. A part is checked for too high probabilities only if it expects `fewest` positives: no
    positive among the rows of one customer is too little evidence.

    `table` has one row for each part: `named`, expected, low and high of `level_of`.
    """
    enough = table[table["expected"] >= fewest].reset_index(drop=True)
    return {
        "highest_low": largest(table, "low", named=named),
        "lowest_high": smallest(enough, "high", named=named),
    }


def level_note(fewest: float) -> Text:
    """Return a note on the parts that `surest_levels` checks."""
    return notice("level_rule", fewest=fewest)
