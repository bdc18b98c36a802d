"""Conditions and constants of checks that rank rows."""

from typing import Final

import numpy as np

from kyc_ml.metrics import Floats, Ranking, auc, effective_customers
from kyc_ml.validation.evidence import ReviewEvidence
from kyc_ml.validation.outcome import NotApplicable, not_applicable
from kyc_ml.validation.policy import Settings
from kyc_ml.validation.rows import ScoredRows
from kyc_ml.validation.text import Text, notice

FPR: Final = 0.05
"""False-positive rate at the threshold. Source: Jesus et al. 2022."""


FEWEST_CUSTOMERS: Final = 10.0
"""Equally active customers with positives below which no interval is trusted (convention): as in
`kyc_ml.metrics.effective_customers`, a customer with most of the positives counts for most."""


def trusted(end: float, *periods: ScoredRows) -> float:
    """Return the end of an interval, or NaN if a period has too few customers of a class."""
    least = min(
        effective_customers(rows.evaluated_customers[rows.target == each])
        for rows in periods
        for each in (0.0, 1.0)
    )
    return end if least >= FEWEST_CUSTOMERS else np.nan


def few_customers(*periods: ScoredRows) -> tuple[Text, ...]:
    """Return a note where `trusted` trusts nothing."""
    if not np.isnan(trusted(0.0, *periods)):
        return ()
    return (notice("few_customers", fewest=FEWEST_CUSTOMERS),)


def draws_of(rows: ScoredRows, settings: Settings) -> int:
    """Return the number of bootstrap samples for these rows."""
    return settings.draws_of_large if rows.target.size > settings.large else settings.draws


def one_class(rows: ScoredRows) -> NotApplicable | None:
    """Return the reason why rows of one class cannot be ranked; None if there are both classes."""
    positives, negatives = rows.classes
    if positives and negatives:
        return None
    return not_applicable("one_class", positives=positives, negatives=negatives)


def missing(needs: str, evidence: ReviewEvidence) -> NotApplicable | None:
    """Return why the rows do not meet a condition of `Procedure.needs`; None if they do."""
    rows = evidence.current
    if needs == "outcomes" and not rows.target.size:
        return not_applicable("no_mature_outcome")
    if needs == "two_periods" and not (len(evidence.reference) and len(rows)):
        return not_applicable("nothing_to_compare")
    return one_class(rows) if needs == "both_classes" else None


def area(target: Floats, score: Floats) -> float:
    """Return the area under the ROC curve, without its interval, which takes longer."""
    hits, false = Ranking.of(target, score).found(np.ones(target.size, np.int64))
    return auc(hits, false)
