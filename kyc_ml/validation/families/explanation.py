"""Explanation: additivity, agreement, declared directions, stability of reasons."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from kyc_ml.decision import rank_reasons
from kyc_ml.metrics import Ints
from kyc_ml.validation.evidence import ReviewEvidence
from kyc_ml.validation.extremes import largest
from kyc_ml.validation.outcome import NotApplicable, Outcome, Value, not_applicable
from kyc_ml.validation.perturbing import add_noise
from kyc_ml.validation.policy import Settings
from kyc_ml.validation.text import notice

_ROUNDING: Final = 1e-9
"""Largest step of the margin that counts as rounding. Convention."""

_HEAD, _MOST_OF_HEAD = 100, 2_000
"""One in 100 rows, those with the highest scores, at most 2,000. Convention."""

_FINE: Final = 0.1
"""Size of the disturbance, as a share of the policy's noise. Convention."""


def run_additivity(evidence: ReviewEvidence, _: Settings) -> Outcome | NotApplicable:
    """Check that contributions add up to the score, for every current row."""
    found = evidence.attributed
    if not found.rows:
        return _no_rows()
    return Outcome(values={"worst_error": found.worst_error, "rows": found.rows})


def run_shap_agreement(evidence: ReviewEvidence, settings: Settings) -> Outcome | NotApplicable:
    """Compare contributions with LightGBM's own."""
    rows = _sample(evidence, settings.compared_rows, settings)
    if not rows.size:
        return _no_rows()
    model = evidence.bundle.model
    matrix = evidence.current.matrix[rows]
    ours = model.contributions(matrix, threads=evidence.threads)
    theirs = model.contributions_by_lightgbm(matrix, threads=evidence.threads)
    one, two = ours.values, theirs.values  # noqa: PD011  no pandas objects
    gap = np.abs(one - two)
    first = [rank_reasons(each, k=1)[:, 0] for each in (one, two)]
    return Outcome(
        values={
            "largest_difference": float(max(gap.max(), np.abs(ours.base - theirs.base).max())),
            "same_first_reason": float((first[0] == first[1]).mean()),
        },
        notes=(notice("compared_with_lightgbm", rows=rows.size),),
    )


def run_monotone(evidence: ReviewEvidence, settings: Settings) -> Outcome | NotApplicable:
    """Move each declared feature through its training quantiles."""
    bundle, current = evidence.bundle, evidence.current
    rows = _sample(evidence, settings.compared_rows, settings)
    declared = [
        (place, spec)
        for place, spec in enumerate(current.features.specs)
        if spec.monotone and spec.name in bundle.reference.quantiles
    ]
    if not bundle.config.model.monotone or not declared or not rows.size:
        return not_applicable("no_enforced_direction")
    lines = []
    for number, (place, spec) in enumerate(declared, 1):
        grid = np.unique(bundle.reference.quantiles[spec.name])
        matrix = np.repeat(current.matrix[rows], grid.size, axis=0)
        matrix[:, place] = np.tile(grid, rows.size)
        margin = bundle.model.margin(matrix, threads=evidence.threads)
        steps = np.diff(margin.reshape(rows.size, grid.size), axis=1) * spec.monotone
        against = steps < -_ROUNDING
        lines.append(
            {
                "feature": spec.name,
                "direction": spec.monotone,
                "steps": int(steps.size),
                "violations": int(against.sum()),
                "largest": float(np.abs(steps[against]).max(initial=0.0)),
            }
        )
        evidence.reporter.progress("moving declared features", number, len(declared))
    table = pd.DataFrame(lines)
    return Outcome(
        values={
            "violations": int(table["violations"].sum()),
            "largest": largest(table, "largest", named="feature"),
            "features": len(table),
        },
        tables={"features": table},
    )


def run_reasons(evidence: ReviewEvidence, settings: Settings) -> Outcome | NotApplicable:
    """Explain rows again after a small disturbance."""
    rows = _sample(evidence, min(settings.perturbed_rows, 2_000), settings)
    if not rows.size:
        return _no_rows()
    current, model = evidence.current, evidence.bundle.model
    matrix = current.matrix[rows]
    noisy = add_noise(
        matrix,
        current.features.specs,
        size=settings.noise * _FINE,
        rng=np.random.default_rng(settings.seed),
    )
    k = evidence.attributed.reasons.shape[1]
    after = rank_reasons(
        model.contributions(noisy, threads=evidence.threads).values,
        k=k,
    )
    before = evidence.attributed.reasons[rows]
    common = (before[:, :, None] == after[:, None, :]).sum(axis=(1, 2))
    return Outcome(
        values={
            "overlap": float((common / (2 * k - common)).mean()),
            "first_kept": float((before[:, 0] == after[:, 0]).mean()),
            **_reasons_of_the_head(evidence),
        },
        notes=(notice("rows_drawn", rows=rows.size),),
    )


def _reasons_of_the_head(evidence: ReviewEvidence) -> dict[str, Value]:
    """Describe the reasons of the rows with the highest scores, which analysts read."""
    rows, usual = evidence.of_the_model.current, evidence.bundle.reference
    most = min(max(len(rows) // _HEAD, 1), _MOST_OF_HEAD)
    places = np.argsort(-rows.margin, kind="stable")[:most]
    part = evidence.bundle.model.contributions(rows.matrix[places], threads=evidence.threads)
    values = part.values  # noqa: PD011  no pandas object
    reasons = evidence.attributed.reasons[places].astype(np.int64)
    above = values.sum(axis=1)
    named = np.take_along_axis(values, reasons, axis=1).sum(axis=1)
    ordinary = np.zeros(values.shape)
    for at, spec in enumerate(rows.features.specs):
        if spec.kind == "category":
            mode = usual.modes.get(spec.name)
            ordinary[:, at] = [each == mode for each in rows.category(spec.name)[places]]
            continue
        quartiles = usual.quartiles(spec.name)
        number = rows.matrix[places, at]
        ordinary[:, at] = (
            np.nan if quartiles is None else (number >= quartiles[0]) & (number <= quartiles[1])
        )
    names = evidence.attributed.names
    first = np.bincount(reasons[:, 0], minlength=len(names))
    return {
        "usual": Value(float(np.take_along_axis(ordinary, reasons, axis=1).mean())),
        "commonest_first": Value(float(first.max()) / most, about=names[int(first.argmax())]),
        "covered": Value(
            float((named[above > 0.0] / above[above > 0.0]).mean())
            if (above > 0.0).any()
            else np.nan
        ),
    }


def _sample(evidence: ReviewEvidence, most: int, settings: Settings) -> Ints:
    n = len(evidence.current)
    if n <= most:
        return np.arange(n)
    # sorted: the sample keeps the order of the rows
    return np.sort(np.random.default_rng(settings.seed).choice(n, most, replace=False))


def _no_rows() -> NotApplicable:
    return not_applicable("nothing_to_explain")
