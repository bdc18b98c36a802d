"""Robustness: changed rows, missing columns, and values outside the training range."""

from typing import Final

import numpy as np
import pandas as pd

from kyc_ml.dataset import POSITIVE
from kyc_ml.features import find_time_bound_beyond_the_clock
from kyc_ml.metrics import compare_aucs, observed_over_expected
from kyc_ml.validation.evidence import ReviewEvidence
from kyc_ml.validation.extremes import largest
from kyc_ml.validation.families import robustness_by_region as regions
from kyc_ml.validation.outcome import NotApplicable, Outcome, Value, not_applicable
from kyc_ml.validation.perturbing import Sample, add_noise
from kyc_ml.validation.policy import Settings
from kyc_ml.validation.ranked import area
from kyc_ml.validation.text import Text, notice

_LEVELS: Final = (0.5, 1.0, 2.0)


def run_noise(evidence: ReviewEvidence, settings: Settings) -> Outcome:
    """Add noise to numbers and score again."""
    sample = Sample.of(evidence, most=settings.perturbed_rows, seed=settings.seed)
    customers = np.unique(evidence.current.customers[sample.rows], return_inverse=True)[1]
    whole = area(sample.target, sample.margin)
    lines = []
    for level in _LEVELS:
        # the same draws at every level, so that only the size of the noise differs
        rng = np.random.default_rng(settings.seed)
        size = settings.noise * level
        matrix = add_noise(sample.matrix, evidence.current.features.specs, size=size, rng=rng)
        margin, proba, tier = sample.again(matrix)
        lines.append(
            {
                "noise": size,
                "auc": area(sample.target, margin),
                "moved": float((tier != sample.tier).mean()),
                "mean_change": float(np.abs(proba - sample.probability).mean()),
            }
        )
        if level == 1.0:
            drop = compare_aucs(sample.target, sample.margin, margin, customers)
    table = pd.DataFrame(lines)
    return Outcome(
        values={
            "auc": whole,
            "auc_drop": Value(drop.difference, drop.low, drop.high),
            "auc_drop_low": drop.low,
            "moved": float(table.iloc[_LEVELS.index(1.0)]["moved"]),
        },
        tables={"noise": table},
        notes=(_sampled(sample),),
    )


def run_missing_columns(evidence: ReviewEvidence, settings: Settings) -> Outcome:
    """Set leading features, and whole families, to missing and score again."""
    sample = Sample.of(evidence, most=settings.perturbed_rows, seed=settings.seed)
    specs = evidence.current.features.specs
    leading = evidence.attributed.top(settings.top_features)
    tried = [("feature", name, [evidence.place(name)]) for name in leading]
    families = sorted({spec.family for spec in specs})
    tried += [
        ("family", family, [at for at, spec in enumerate(specs) if spec.family == family])
        for family in families
    ]
    whole = area(sample.target, sample.margin)
    mean = float(sample.probability.mean())
    lines = []
    for number, (kind, name, places) in enumerate(tried, 1):
        kept = sample.matrix[:, places].copy()
        sample.matrix[:, places] = np.nan
        margin, proba, tier = sample.again(sample.matrix)
        sample.matrix[:, places] = kept
        lines.append(
            {
                "kind": kind,
                "lost": name,
                "auc_drop": whole - area(sample.target, margin),
                "moved": float((tier != sample.tier).mean()),
                "mean_probability_ratio": float(proba.mean()) / mean,
            }
        )
        evidence.reporter.progress("losing columns", number, len(tried))
    table = pd.DataFrame(lines)
    away = np.exp(np.abs(np.log(table["mean_probability_ratio"])))
    return Outcome(
        values={
            "feature_drop": largest(table[table["kind"] == "feature"], "auc_drop", named="lost"),
            "family_drop": largest(table[table["kind"] == "family"], "auc_drop", named="lost"),
            "level": largest(table.assign(away=away), "away", named="lost"),
        },
        tables={"lost": table.sort_values("auc_drop", ascending=False, ignore_index=True)},
        notes=(_sampled(sample),),
    )


def run_training_range(evidence: ReviewEvidence, settings: Settings) -> Outcome | NotApplicable:
    """Count values outside the range of the training rows."""
    rows, bundle = evidence.current, evidence.bundle
    if not bundle.reference.quantiles:
        return not_applicable("no_quantiles")
    leading = set(evidence.attributed_reference.top(settings.top_features))
    time_bound = find_time_bound_beyond_the_clock(bundle.specs)
    outside, grown_out = (np.zeros(len(rows), np.bool_) for _ in range(2))
    lines = []
    for place, spec in enumerate(rows.features.specs):
        if spec.kind == "category":
            known = np.array([each is not None for each in rows.category(spec.name)])
            beyond = known & np.isnan(rows.matrix[:, place])
            low = high = np.nan
        else:
            grid = bundle.reference.quantiles.get(spec.name)
            values = rows.matrix[:, place]
            low, high = (np.nan, np.nan) if grid is None else (float(grid[0]), float(grid[-1]))
            # without a value in training, any value is outside the range
            beyond = ~np.isnan(values) if grid is None else (values < low) | (values > high)
        if spec.name in leading:
            (grown_out if spec.name in time_bound else outside)[beyond] = True
        lines.append(
            {
                "feature": spec.name,
                "leading": spec.name in leading,
                "time_bound": time_bound.get(spec.name, ""),
                "smallest": low,
                "largest": high,
                "share": float(beyond.mean()),
            }
        )
    table = pd.DataFrame(lines).sort_values(
        ["share", "feature"], ascending=[False, True], ignore_index=True
    )
    here = outside & rows.evaluated
    ratio = Value(np.nan)
    if here.any():
        target = np.asarray(rows.status[here] == POSITIVE, dtype=np.float64)
        found = observed_over_expected(target, rows.probability[here], rows.customers[here])
        ratio = Value(found.ratio, found.low, found.high)
    return Outcome(
        values={
            "rows": float(outside.mean()),
            "rows_time_bound": float(grown_out.mean()),
            "highest": largest(
                table[table["leading"] & (table["time_bound"] == "")], "share", named="feature"
            ),
            "o_e": ratio,
        },
        tables={"features": table},
    )


def _sampled(sample: Sample) -> Text:
    return notice("positives_first", rows=sample.rows.size)


run_weak_spots, run_overfit = regions.run_weak_spots, regions.run_overfit
