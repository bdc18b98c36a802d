"""Calibration: figures of the calibrated probability of the evaluated rows."""

from typing import Final

import numpy as np
import pandas as pd

from kyc_ml import metrics
from kyc_ml.validation import levels
from kyc_ml.validation.evidence import ReviewEvidence
from kyc_ml.validation.extremes import smallest
from kyc_ml.validation.outcome import NotApplicable, Outcome, Value, not_applicable
from kyc_ml.validation.policy import Settings
from kyc_ml.validation.ranked import draws_of, few_customers, trusted
from kyc_ml.validation.segments import segments
from kyc_ml.validation.text import notice

_NO_ROWS: Final = not_applicable("no_mature_outcome")
_OF_TIERS: Final = (
    "expected", "o_e", "missed", "missed_share", "surplus_share", "low", "high", "design_effect",
    "level_under", "level_over",
)  # fmt: skip


def run_overall(evidence: ReviewEvidence, _: Settings) -> Outcome:
    """Compute O/E, what it means in positives, and the line of recalibration."""
    rows = evidence.current
    whole = levels.compare_parts(rows, [("", np.ones(rows.target.size, np.bool_))])
    ratio = whole.iloc[0]
    line = metrics.fit_calibration_line(
        rows.target, rows.evaluated_probability, rows.evaluated_customers
    )
    return Outcome(
        values={
            "o_e": Value(ratio["o_e"], ratio["low"], ratio["high"]),
            "o_e_low": ratio["low"],
            "o_e_high": ratio["high"],
            **levels.material_levels(whole),
            "intercept": Value(line.intercept, line.intercept_low, line.intercept_high),
            "slope": Value(line.slope, line.slope_low, line.slope_high),
            "slope_low": trusted(line.slope_low, rows),
            "slope_high": trusted(line.slope_high, rows),
            "p_value": line.p_value,
        },
        notes=few_customers(rows),
    )


def run_reliability(evidence: ReviewEvidence, settings: Settings) -> Outcome:
    """Compute the reliability table and its distances."""
    rows = evidence.current
    proba = rows.evaluated_probability
    ece = metrics.calibration_error(rows.target, proba, n_bins=settings.bins)
    prevalence = float(rows.target.mean())
    return Outcome(
        values={
            "ece": ece,
            "mce": metrics.largest_calibration_error(rows.target, proba, n_bins=settings.bins),
            "ece_over_prevalence": ece / prevalence if prevalence else np.nan,
        },
        tables={
            "reliability": metrics.compute_reliability(
                rows.target, proba, n_bins=settings.bins, groups=rows.evaluated_customers
            )
        },
    )


def run_brier(evidence: ReviewEvidence, settings: Settings) -> Outcome:
    """Decompose the Brier score."""
    rows = evidence.current
    parts = metrics.decompose_brier(rows.target, rows.evaluated_probability, n_bins=settings.bins)
    loss = (rows.target - rows.evaluated_probability) ** 2

    def skill(times: metrics.Ints) -> metrics.Floats:
        rate = float((times * rows.target).sum()) / float(times.sum())
        least = rate * (1.0 - rate)
        mean = float((times * loss).sum()) / float(times.sum())
        return np.array([1.0 - mean / least if least else np.nan])

    drawn = metrics.bootstrap(
        skill, rows.evaluated_customers, draws=draws_of(rows, settings), seed=settings.seed
    )
    low, high = (float(end[0]) for end in metrics.percentile_interval(drawn))
    return Outcome(
        values={
            "brier": parts.score,
            "reliability": parts.reliability,
            "resolution": parts.resolution,
            "uncertainty": parts.uncertainty,
            "skill": Value(parts.skill, low, high),
            "skill_high": trusted(high, rows),
        },
        notes=few_customers(rows),
    )


def run_spiegelhalter(evidence: ReviewEvidence, _: Settings) -> Outcome:
    """Test whether the Brier score is as expected of correct probabilities."""
    rows = evidence.current
    found = metrics.spiegelhalter(rows.target, rows.evaluated_probability, rows.evaluated_customers)
    return Outcome(values={"z": found.statistic, "p_value": found.p_value})


def run_hosmer_lemeshow(evidence: ReviewEvidence, _: Settings) -> Outcome:
    """Test observed against expected counts by groups of probability."""
    rows = evidence.current
    found = metrics.hosmer_lemeshow(
        rows.target, rows.evaluated_probability, rows.evaluated_customers
    )
    degrees = np.nan if found.degrees is None else float(found.degrees)
    return Outcome(
        values={"statistic": found.statistic, "degrees": degrees, "p_value": found.p_value}
    )


def run_jeffreys(evidence: ReviewEvidence, _: Settings) -> Outcome:
    """Test the level of each tier, by customer and with Jeffreys' test by rows."""
    rows = evidence.current
    table, tier = _grades(evidence), rows.grades.model[rows.evaluated]
    parts = levels.compare_parts(
        rows, [(name, tier == at) for at, name in enumerate(table["grade"])]
    )
    whole = levels.level_at(rows, np.ones(rows.target.size, np.bool_))
    return Outcome(
        values={
            **levels.material_levels(parts),
            "under_p_all": whole["under_p"],
            "over_p_all": whole["over_p"],
            "under_p_rows": smallest(table, "jeffreys_under_holm", named="grade"),
            "over_p_rows": smallest(table, "jeffreys_over_holm", named="grade"),
        },
        tables={"tiers": _with_levels(table, parts)},
        parts=parts,
        notes=(notice("tiers_by_probability"),),
    )


def run_binomial(evidence: ReviewEvidence, _: Settings) -> Outcome:
    """Test the level of each tier with the binomial distribution."""
    table = _grades(evidence)
    table = table.assign(
        binomial_under_holm=metrics.holm(table["binomial_under"].to_numpy()),
        binomial_over_holm=metrics.holm(table["binomial_over"].to_numpy()),
    )
    return Outcome(
        values={
            "under_p": smallest(table, "binomial_under_holm", named="grade"),
            "over_p": smallest(table, "binomial_over_holm", named="grade"),
        },
        tables={"tiers": table[
                    ["grade", "rows", "positives", "expected_rate", "observed_rate",
                     "binomial_under", "binomial_over", "binomial_under_holm",
                     "binomial_over_holm"]
                ]},
    )  # fmt: skip


def run_segments(evidence: ReviewEvidence, settings: Settings) -> Outcome | NotApplicable:
    """Compute O/E in each segment."""
    rows = evidence.current
    found = list(segments(rows, settings.segments))
    if not found:
        return not_applicable("no_segment")
    parts = levels.compare_parts(rows, [(each.label, each.rows[rows.evaluated]) for each in found])
    if parts.empty:
        return _NO_ROWS
    return Outcome(
        values={
            **levels.surest_levels(
                levels.bound_levels(parts, named="part", fewest=settings.fewest)
            ),
            **levels.material_levels(parts),
            "judged": int(parts["low"].notna().sum()),
        },
        tables={"segments": parts.rename(columns={"part": "segment"})},
        parts=parts,
        notes=(levels.level_note(settings.fewest),),
    )


def _grades(evidence: ReviewEvidence) -> pd.DataFrame:
    """Tabulate the tiers of the probability alone: overrides are not predictions of the model."""
    rows = evidence.current
    return metrics.compute_grade_calibration(
        rows.grades.model[rows.evaluated],
        rows.target,
        rows.evaluated_probability,
        names=evidence.bundle.policy.tier_names,
    )


def _with_levels(table: pd.DataFrame, parts: pd.DataFrame) -> pd.DataFrame:
    """Add each tier's level, and replace the interval of its rate by that of its level."""
    own = parts.set_index("part").rename(columns={"under_p": "level_under", "over_p": "level_over"})
    joined = table.drop(columns=["low", "high"]).join(own[list(_OF_TIERS)], on="grade")
    return joined.assign(
        low=joined["expected_rate"] * joined["low"], high=joined["expected_rate"] * joined["high"]
    )
