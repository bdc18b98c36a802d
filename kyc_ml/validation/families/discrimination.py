"""Discrimination: ranking figures, all of the margin of the evaluated rows."""

from __future__ import annotations

from typing import Final, cast

import numpy as np
import pandas as pd

from kyc_ml.dataset import customers_of
from kyc_ml.metrics import (
    ThresholdRates,
    auc_decline,
    auc_interval,
    compute_operating_points,
    compute_precision_recall,
    compute_ranking_figures,
    compute_roc,
    number_customers,
    rates_at_threshold,
    threshold_at_fpr,
    threshold_error,
)
from kyc_ml.validation.evidence import ReviewEvidence
from kyc_ml.validation.families import discrimination_by_part as parts
from kyc_ml.validation.outcome import NotApplicable, Outcome, Value, not_applicable
from kyc_ml.validation.policy import Settings
from kyc_ml.validation.ranked import FPR, area, draws_of, few_customers, one_class, trusted
from kyc_ml.validation.rows import ScoredRows
from kyc_ml.validation.text import Text, notice

_POINTS: Final = 200
"""Points of a drawn curve: more cannot be distinguished on a screen."""


def run_auc(evidence: ReviewEvidence, _: Settings) -> Outcome:
    """Compute the AUC with its interval by customer, and the curves."""
    rows = evidence.current
    auc, low, high = auc_interval(rows.target, rows.evaluated_margin, rows.evaluated_customers)
    roc = _thin(compute_roc(rows.target, rows.evaluated_margin))
    given = rows.evaluated_probability
    return Outcome(
        values={
            "auc": Value(auc, low, high),
            "gini": Value(2 * auc - 1, 2 * low - 1, 2 * high - 1),
            "auc_low_by_customer": trusted(low, rows),
            "auc_of_probability": area(rows.target, given),
            "distinct": int(np.unique(given).size),
        },
        tables={"roc": roc},
        notes=(notice("ranked_by_margin"), *few_customers(rows)),
    )


def run_ranking(evidence: ReviewEvidence, settings: Settings) -> Outcome:
    """Compute figures of the head of the ranking."""
    rows = evidence.current
    drawn = _ranking(evidence, settings)
    prevalence = float(rows.target.mean())

    precision = drawn["average_precision"]
    curve = _thin_to_the_head(compute_precision_recall(rows.target, rows.evaluated_margin))
    return Outcome(
        values={
            "average_precision": precision,
            "prevalence": prevalence,
            "lift": Value(
                precision.value / prevalence,
                precision.low / prevalence,
                precision.high / prevalence,
            ),
            "ks": drawn["ks"],
            "partial_auc": drawn["partial_auc"],
        },
        tables={"precision_recall": curve},
        notes=(notice("bootstrap_by_customer"),),
    )


def run_capacity(evidence: ReviewEvidence, settings: Settings) -> Outcome:
    """Compute precision and recall at capacities up to twice the configured one."""
    rows = evidence.current
    own = evidence.bundle.config.tuning.capacity_per_day
    day = rows.day[rows.evaluated]
    steps = np.arange(1, settings.operating_points + 1) / settings.operating_points
    points = compute_operating_points(
        rows.target,
        rows.evaluated_margin,
        per_day=np.unique(np.append(steps * 2 * own, own)),
        groups=rows.evaluated_customers,
        day=day,
        end_day=rows.end_day,
        draws=draws_of(rows, settings),
        seed=settings.seed,
    )
    at = points[points["per_day"] == own].iloc[0]
    return Outcome(
        values={
            "capacity": own,
            **{
                name: Value(at[name], at[f"{name}_low"], at[f"{name}_high"])
                for name in ("precision", "recall")
            },
        },
        tables={"operating_points": points},
        notes=(
            notice("bootstrap_by_customer"),
            _days(own, first=int(day.min()), end=rows.end_day, on=np.unique(day).size),
        ),
    )


def _days(per_day: float, *, first: int, end: int, on: int) -> Text:
    days = end - first
    return notice("capacity", per_day=per_day, reviews=per_day * days, days=days, on=on)


def run_recall_at_fpr(evidence: ReviewEvidence, _: Settings) -> Outcome:
    """Compute recall at 5% false positives, at a current threshold and at an earlier one."""
    rows, before = evidence.current, evidence.reference
    now = _at_fpr(rows, rows)
    values: dict[str, Value | float] = {
        "recall": Value(now.recall, now.recall_low, now.recall_high),
        "recall_frozen": np.nan,
        "fpr_frozen": np.nan,
        "fpr_frozen_low": np.nan,
    }
    notes = [notice("threshold_source", origin=before.origin)]
    if one_class(before) is None:
        then = _at_fpr(rows, before)
        values["recall_frozen"] = Value(then.recall, then.recall_low, then.recall_high)
        values["fpr_frozen"] = Value(then.fpr, then.fpr_low, then.fpr_high)
        values["fpr_frozen_low"] = then.fpr_low
    else:
        notes = [notice("no_frozen_threshold")]
    return Outcome(values=values, notes=tuple(notes))


def _at_fpr(rows: ScoredRows, chosen_on: ScoredRows) -> ThresholdRates:
    """Compute the rates of some rows at the threshold chosen on others, or on themselves."""
    chosen = chosen_on.target, chosen_on.evaluated_margin
    threshold = threshold_at_fpr(*chosen, fpr=FPR)
    return rates_at_threshold(
        rows.target,
        rows.evaluated_margin,
        rows.evaluated_customers,
        threshold=threshold,
        error=threshold_error(*chosen, chosen_on.evaluated_customers, threshold=threshold),
    )


def run_auc_decline(evidence: ReviewEvidence, _: Settings) -> Outcome | NotApplicable:
    """Compare the AUC with that of the rows of the initial validation."""
    now, first = evidence.current, evidence.reference
    if evidence.current_is_recorded or not evidence.recorded_part:
        return not_applicable("same_as_initial")
    if one_class(first) is not None:
        return not_applicable("no_initial_auc")
    # numbered together: errors of customers with rows in both periods are not independent
    names = [customers_of(each.features.keys)[each.evaluated] for each in (first, now)]
    found = auc_decline(
        np.concatenate([first.target, now.target]),
        np.concatenate([first.evaluated_margin, now.evaluated_margin]),
        number_customers(np.concatenate(names)),
        later=np.repeat([False, True], [first.target.size, now.target.size]),
    )
    return Outcome(
        values={
            "initial": Value(found.initial, found.initial_low, found.initial_high),
            "current": Value(found.current, found.current_low, found.current_high),
            "drop": Value(found.drop, found.low, found.high),
            "drop_low": trusted(found.low, first, now),
            "p_value": trusted(found.p_value, first, now),
        },
        notes=(notice("initial_rows", origin=first.origin), *few_customers(first, now)),
    )


def _ranking(evidence: ReviewEvidence, settings: Settings) -> dict[str, Value]:
    """Return the ranking figures with intervals by customer, by name; computed once."""
    key, rows = ("ranking", settings), evidence.current
    if key in evidence.memory:
        return cast("dict[str, Value]", evidence.memory[key])
    table = compute_ranking_figures(
        rows.target,
        rows.evaluated_margin,
        groups=rows.evaluated_customers,
        max_fpr=FPR,
        draws=draws_of(rows, settings),
        seed=settings.seed,
    )
    found = {
        str(line["figure"]): Value(line["value"], line["low"], line["high"])
        for line in table.to_dict("records")
    }
    evidence.memory[key] = found
    return found


def _thin(curve: pd.DataFrame) -> pd.DataFrame:
    """Keep `_POINTS` points of a curve, including both ends."""
    if len(curve) <= _POINTS:
        return curve
    keep = np.unique(np.linspace(0, len(curve) - 1, _POINTS).round().astype(np.int64))
    return curve.iloc[keep].reset_index(drop=True)


def _thin_to_the_head(curve: pd.DataFrame) -> pd.DataFrame:
    """Keep the last points of a curve, and fewer and fewer of the points before them."""
    # alerts are raised at the head: most of evenly spaced points would belong to rows that are
    # never reviewed
    if len(curve) <= _POINTS:
        return curve
    # denser towards the head of the ranking, which people read
    back = np.unique(np.geomspace(1, len(curve), _POINTS).round().astype(np.int64))
    return curve.iloc[len(curve) - back[::-1]].reset_index(drop=True)


run_segments, run_periods = parts.run_segments, parts.run_periods
run_typologies = parts.run_typologies
