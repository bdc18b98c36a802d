"""The level of probabilities in each of several parts, and the parts that stray most surely."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from kyc_ml.metrics import Floats, Ints, clustered_observed_over_expected
from kyc_ml.validation.extremes import largest, smallest
from kyc_ml.validation.outcome import Value
from kyc_ml.validation.text import Text, notice


@dataclass(frozen=True, slots=True)
class Level:
    """Observed over expected positives of one part, with its interval at 95 %; see `level_of`."""

    rows: int
    positives: int
    expected: float
    o_e: float
    low: float
    high: float


def level_of(target: Floats, proba: Floats, customers: Ints) -> Level:
    """Compare a part's positives with what its probabilities say.

    The interval is exact for few positives too; see `clustered_observed_over_expected`. NaN
    where nothing is expected.
    """
    ratio = clustered_observed_over_expected(target, proba, customers)
    return Level(
        rows=int(target.size),
        positives=int(target.sum()),
        expected=float(proba.sum()),
        o_e=ratio.ratio,
        low=ratio.low,
        high=ratio.high,
    )


def surest_levels(table: pd.DataFrame, *, named: str, fewest: float) -> dict[str, Value]:
    """Give the part that is most surely understated, and the one most surely overstated.

    Understated may be any part: an exact interval holds for few as for many, and to ask for
    expected positives would pass over the very parts that get too low probabilities. To be
    overstated a part must expect `fewest` positives: that none came of one customer's rows is
    too little evidence, and the upper end of few positives is too low.

    Parameters
    ----------
    table : DataFrame
        One row a part: `named`, expected, low and high as of `level_of`.
    """
    enough = table[table["expected"] >= fewest].reset_index(drop=True)
    return {
        "highest_low": largest(table, "low", named=named),
        "lowest_high": smallest(enough, "high", named=named),
    }


def who_is_judged(fewest: float) -> Text:
    """Return a note on the parts that `surest_levels` evaluates."""
    return notice("level_rule", fewest=fewest)
