"""Stability: current rows compared with reference rows, without outcomes."""

from typing import Final

import numpy as np
import pandas as pd
from scipy import stats

from kyc_ml.decision import NOTHING_STANDS_OUT
from kyc_ml.features import find_time_bound_beyond_the_clock
from kyc_ml.metrics import Drift, FrozenBins, Ints, compute_drift, effective_customers, holm
from kyc_ml.validation.attribution import Attribution
from kyc_ml.validation.evidence import ReviewEvidence
from kyc_ml.validation.extremes import SHIFT, largest, most_drifted, smallest
from kyc_ml.validation.outcome import Outcome
from kyc_ml.validation.policy import Settings
from kyc_ml.validation.text import Text, notice

_TOP: Final = 10


def run_score_psi(evidence: ReviewEvidence, settings: Settings) -> Outcome:
    """Compute the PSI of score and tiers."""
    now, before = evidence.current, evidence.reference
    bins = FrozenBins.of(before.margin, n_bins=settings.drift_bins)
    one, two = bins.count(before.margin), bins.count(now.margin)
    drift = _drift(evidence, one, two)
    tiers = len(evidence.bundle.policy.tier_names)
    by_tier = _drift(
        evidence,
        np.bincount(before.tier, minlength=tiers),
        np.bincount(now.tier, minlength=tiers),
    )
    return Outcome(
        values={
            "psi": drift.psi,
            "critical_95": drift.critical_95,
            "critical_99": drift.critical_99,
            "p_value": drift.p_value,
            "tier_psi": by_tier.psi,
        },
        tables={"bins": _shares(bins.labels, one, two)},
        notes=(_compared(evidence),),
    )


def run_feature_csi(evidence: ReviewEvidence, settings: Settings) -> Outcome:
    """Compute the CSI of every feature; gates apply to the most important ones."""
    attributed = evidence.attributed_reference
    leading = set(attributed.top(settings.top_features))
    strength = dict(zip(attributed.names, attributed.strength, strict=True))
    time_bound = find_time_bound_beyond_the_clock(evidence.bundle.specs)
    lines = []
    for place, spec in enumerate(evidence.current.features.specs):
        drift = _drift(evidence, *_counts(evidence, place, settings.drift_bins))
        lines.append(
            {
                "feature": spec.name,
                "family": spec.family,
                "leading": spec.name in leading,
                "time_bound": time_bound.get(spec.name, ""),
                "strength": float(strength[spec.name]),
                "csi": drift.psi,
                "critical_95": drift.critical_95,
                "critical_99": drift.critical_99,
                "p_value": drift.p_value,
            }
        )
        evidence.reporter.progress(
            "drift of features", place + 1, len(evidence.current.features.specs)
        )
    table = pd.DataFrame(lines).sort_values(["csi", "feature"], ascending=[False, True])
    table = table.reset_index(drop=True)
    moves_alone = table["time_bound"] != ""
    first = table[table["leading"] & ~moves_alone]
    moving = table[table["leading"] & moves_alone]
    worst, worst_moving = (most_drifted(part, "csi", named="feature") for part in (first, moving))
    parts = pd.concat(
        [
            _corrected(first, "highest", "p_value"),
            _corrected(moving, "highest_time_bound", "p_value_time_bound"),
        ]
    )
    return Outcome(
        values={
            "highest": worst["drift"],
            "highest_time_bound": worst_moving["drift"],
            "critical_95": worst["critical_95"],
            "critical_99": worst["critical_99"],
            "critical_99_time_bound": worst_moving["critical_99"],
            "p_value": smallest(parts, "p_value", named="part"),
            "p_value_time_bound": smallest(parts, "p_value_time_bound", named="part"),
            "above_amber": int((first["csi"] > SHIFT).sum()),
            "highest_of_all": largest(table, "csi", named="feature"),
        },
        tables={"features": table},
        parts=parts,
        notes=(_compared(evidence),),
    )


def _corrected(table: pd.DataFrame, drift: str, p_value: str) -> pd.DataFrame:
    """Return the drift of each feature, and its p-value corrected for their number."""
    return pd.DataFrame(
        {"part": table["feature"], drift: table["csi"], p_value: holm(table["p_value"])}
    )


def run_importance(evidence: ReviewEvidence, _: Settings) -> Outcome:
    """Compare what contributes most, then and now."""
    before, now = evidence.attributed_reference, evidence.attributed
    one, two = set(before.top(_TOP)), set(now.top(_TOP))
    overlap = len(one & two) / len(one | two) if one | two else np.nan
    constant = np.ptp(before.strength) == 0 or np.ptp(now.strength) == 0
    correlation = np.nan if constant else stats.spearmanr(before.strength, now.strength).statistic
    order = now.ranked()
    table = pd.DataFrame(
        {
            "feature": np.array(now.names, dtype=object)[order],
            "strength": now.strength[order],
            "strength_reference": before.strength[order],
            "place_reference": np.argsort(before.ranked())[order] + 1,
        }
    )
    return Outcome(
        values={"top_10_overlap": overlap, "rank_correlation": float(correlation)},
        tables={"strength": table},
        notes=(_compared(evidence),),
    )


def run_reasons(evidence: ReviewEvidence, _: Settings) -> Outcome:
    """Compare the distribution of first reasons."""
    one, two = (
        _first_reasons(each) for each in (evidence.attributed_reference, evidence.attributed)
    )
    drift = _drift(evidence, one, two)
    table = _shares((*evidence.attributed.codes, NOTHING_STANDS_OUT), one, two)
    table = table[(table["reference"] > 0) | (table["current"] > 0)].reset_index(drop=True)
    table["change"] = (table["current_share"] - table["reference_share"]).abs()
    return Outcome(
        values={
            "psi": drift.psi,
            "critical_95": drift.critical_95,
            "p_value": drift.p_value,
            "largest_change": largest(table, "change", named="bin"),
        },
        tables={"reasons": table.rename(columns={"bin": "feature"})},
        notes=(_compared(evidence),),
    )  # fmt: skip


def _drift(evidence: ReviewEvidence, one: Ints, two: Ints) -> Drift:
    """Compare histograms; customers, not rows, are independent evidence."""
    return compute_drift(
        one,
        two,
        n_expected=effective_customers(evidence.reference.customers),
        n_actual=effective_customers(evidence.current.customers),
    )


def _compared(evidence: ReviewEvidence) -> Text:
    rows = evidence.reference
    return notice(
        "compared_with", origin=rows.origin, rows=len(rows), since=rows.since, until=rows.until
    )


def _counts(evidence: ReviewEvidence, place: int, n_bins: int) -> tuple[Ints, Ints]:
    before, now = evidence.reference.features, evidence.current.features
    spec = before.specs[place]
    if spec.kind != "category":
        one, two = before.numbers[:, place], now.numbers[:, place]
        bins = FrozenBins.of(one, n_bins=n_bins)
        return bins.count(one), bins.count(two)
    # codes of the vocabulary: unknown categories are missing, as the model sees them
    size = len(evidence.bundle.vocabularies[spec.name])
    return tuple(  # type: ignore[return-value]
        np.bincount(np.where(np.isnan(codes), size, codes).astype(np.int64), minlength=size + 1)
        for codes in (before.numbers[:, place], now.numbers[:, place])
    )


def _first_reasons(attributed: Attribution) -> Ints:
    first, size = attributed.reasons[:, 0], len(attributed.codes)
    return np.bincount(np.where(first < 0, size, first), minlength=size + 1)


def _shares(labels: tuple[str, ...], one: Ints, two: Ints) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "bin": list(labels),
            "reference": one,
            "current": two,
            "reference_share": one / max(one.sum(), 1),
            "current_share": two / max(two.sum(), 1),
        }
    )
