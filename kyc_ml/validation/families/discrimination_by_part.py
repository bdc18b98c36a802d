"""Discrimination by segment, period and typology."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

from kyc_ml.metrics import Mask, auc_interval, rate_interval, threshold_at_fpr
from kyc_ml.validation.evidence import ReviewEvidence
from kyc_ml.validation.extremes import largest, smallest
from kyc_ml.validation.outcome import NotApplicable, Outcome, not_applicable
from kyc_ml.validation.policy import Settings
from kyc_ml.validation.ranked import FPR, area, one_class
from kyc_ml.validation.rows import ScoredRows
from kyc_ml.validation.segments import segments
from kyc_ml.validation.text import notice


def run_segments(evidence: ReviewEvidence, settings: Settings) -> Outcome | NotApplicable:
    """Compute the AUC in each segment."""
    rows = evidence.current
    found = list(segments(rows, settings.segments))
    if not found:
        return not_applicable("no_segment")
    parts = [(each.label, each.rows[rows.evaluated]) for each in found]
    return _by_part(rows, parts, settings, column="segment")


def run_periods(evidence: ReviewEvidence, settings: Settings) -> Outcome | NotApplicable:
    """Compute the AUC in each period."""
    rows = evidence.current
    period = rows.period(settings.period)[rows.evaluated]
    parts = [(name, period == name) for name in sorted(set(period))]
    return _by_part(rows, parts, settings, column="period")


def run_typologies(evidence: ReviewEvidence, settings: Settings) -> Outcome | NotApplicable:
    """Compute the recall of each typology at 5% false positives."""
    rows = evidence.current
    kind = rows.typology[rows.evaluated]
    known = (rows.target == 1) & (kind != None)  # noqa: E711  element by element
    if not known.any():
        return not_applicable("no_typology")
    threshold = threshold_at_fpr(rows.target, rows.evaluated_margin, fpr=FPR)
    caught = rows.evaluated_margin >= threshold
    lines = []
    for name in sorted(set(kind[known])):
        here = known & (kind == name)
        recall, low, high = rate_interval(caught[here], rows.evaluated_customers[here])
        lines.append(
            {"typology": str(name), "positives": int(here.sum()),
             "found": int(caught[here].sum()), "recall": recall, "low": low, "high": high}
        )  # fmt: skip
    table = pd.DataFrame(lines)
    enough = table[table["positives"] >= settings.fewest]
    lowest = smallest(enough, "recall", named="typology")
    bound = smallest(enough, "high", named="typology")
    return Outcome(
        values={"lowest": lowest, "lowest_high": bound, "judged": len(enough)},
        tables={"typologies": table},
    )


def _by_part(
    rows: ScoredRows,
    parts: Iterable[tuple[str, Mask]],
    settings: Settings,
    *,
    column: str,
) -> Outcome | NotApplicable:
    if (refused := one_class(rows)) is not None:
        return refused
    whole = area(rows.target, rows.evaluated_margin)
    table = pd.DataFrame([{column: name, **_figures(rows, here, settings)} for name, here in parts])
    enough = table[table["auc"].notna()]
    shortfall = enough.assign(shortfall=np.maximum(whole - enough["high"], 0.0))
    return Outcome(
        values={
            "lowest": smallest(enough, "auc", named=column),
            "shortfall": largest(shortfall, "shortfall", named=column),
            "judged": len(enough),
        },
        tables={"auc": table},
        notes=(notice("no_auc_of_few", fewest=settings.fewest),),
    )


def _figures(rows: ScoredRows, here: Mask, settings: Settings) -> dict[str, float]:
    target, score = rows.target[here], rows.evaluated_margin[here]
    positives = int(target.sum())
    expected = float(rows.evaluated_probability[here].sum())
    found = {"rows": int(target.size), "positives": positives, "expected": expected}
    if min(positives, target.size - positives) < settings.fewest:
        undefined = dict.fromkeys(("auc", "low", "high", "average_precision"), np.nan)
        return {**found, **undefined}
    auc, low, high = auc_interval(target, score, rows.evaluated_customers[here])
    precision = float(average_precision_score(target, score))
    return {**found, "auc": auc, "low": low, "high": high, "average_precision": precision}
