"""Explanation: additivity, agreement, declared directions, stability of reasons."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from kyc_ml.decision import NOTHING_STANDS_OUT, find_unusual, learn_reference, rank_reasons
from kyc_ml.metrics import Ints
from kyc_ml.registry import REFITS
from kyc_ml.validation.attribution import reasons_of_rows
from kyc_ml.validation.evidence import ReviewEvidence
from kyc_ml.validation.extremes import largest
from kyc_ml.validation.outcome import NotApplicable, Outcome, Value, not_applicable
from kyc_ml.validation.perturbing import add_noise
from kyc_ml.validation.policy import Settings
from kyc_ml.validation.text import notice

_ROUNDING: Final = 1e-9
"""Largest step of the margin that counts as rounding. Convention."""

_HEAD, _FEWEST_OF_HEAD, _MOST_OF_HEAD = 100, 100, 2_000
"""One in 100 rows, those with the highest scores, at least 100 and at most 2,000. Convention."""

_RARE: Final = 0.1
"""Share beyond which a number is usual among the rows validated: twice that of the reference,
so that values near its ends, and the smaller groups here, raise no alarm. Convention."""

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
    found = reasons_of_rows(
        evidence.bundle,
        replace(current.features.take(rows), numbers=noisy),
        model.contributions(noisy, threads=evidence.threads).values,
        k=k,
    )
    before, after = evidence.attributed.reasons[rows], found.groups
    common = ((before[:, :, None] == after[:, None, :]) & (before >= 0)[:, :, None]).sum((1, 2))
    joint = (before >= 0).sum(axis=1) + (after >= 0).sum(axis=1) - common
    # two rows without a reason agree
    overlap = np.divide(common, joint, out=np.ones(rows.size), where=joint > 0)
    refits = evidence.bundle.metrics.get(REFITS, {})
    same = refits.get("same_reasons", np.nan)
    noted = notice("refits_compared", refits=refits["number"]) if refits else notice("no_refits")
    return Outcome(
        values={
            "overlap": float(overlap.mean()),
            "of_refits": np.nan if same is None else same,
            "first_kept": float((before[:, 0] == after[:, 0]).mean()),
            **_describe_reasons(evidence, settings, k=k),
        },
        notes=(notice("rows_drawn", rows=rows.size), noted),
    )


def _describe_reasons(evidence: ReviewEvidence, settings: Settings, *, k: int) -> dict[str, Value]:
    """Describe the first reason of all rows, and the reasons of the highest scores."""
    # which values are usual is learned from the rows of this validation, not from the reference by
    # which the model chose its reasons: by that none of them is usual, whatever it holds
    rows = evidence.of_the_model.current
    most = min(max(len(rows) // _HEAD, _FEWEST_OF_HEAD), _MOST_OF_HEAD, len(rows))
    places = np.argsort(-rows.margin, kind="stable")[:most]
    part = evidence.bundle.model.contributions(rows.matrix[places], threads=evidence.threads)
    features = rows.features.take(places)
    found = reasons_of_rows(evidence.bundle, features, part.values, k=k)
    given = found.members >= 0
    here = rows.features.take(_sample(evidence, settings.perturbed_rows, settings))
    usual = learn_reference(
        here, np.ones(len(here), np.bool_), peers=evidence.bundle.reference.peers
    )
    ordinary = ~find_unusual(features, usual, usual.group_of(features), rare=_RARE)
    ordinary = np.take_along_axis(ordinary, found.members, axis=1)[given]
    shown = np.where(given, np.take_along_axis(found.differences, found.groups, axis=1), 0.0)
    apart = found.differences.sum(axis=1)
    above = apart > 0.0
    # a small difference must not hide the others, nor a reason that later ones take back
    covered = np.clip(shown.sum(axis=1)[above] / apart[above], 0.0, 1.0)
    first = evidence.attributed.reasons[:, 0].astype(np.int64)
    return {
        "usual": Value(float(ordinary.mean()) if ordinary.size else np.nan),
        "commonest_first": _commonest(found.codes, found.groups[:, 0]),
        "commonest_first_of_all": _commonest(evidence.attributed.codes, first[first >= 0]),
        "covered": Value(float(covered.mean()) if covered.size else np.nan),
    }


def _commonest(codes: tuple[str, ...], first: Ints) -> Value:
    """Return the share of the commonest first reason; undefined without a row."""
    if not first.size:
        return Value(np.nan)
    counts = np.bincount(np.where(first >= 0, first, len(codes)))
    place = int(counts.argmax())
    return Value(float(counts[place]) / first.size, about=(*codes, NOTHING_STANDS_OUT)[place])


def _sample(evidence: ReviewEvidence, most: int, settings: Settings) -> Ints:
    n = len(evidence.current)
    if n <= most:
        return np.arange(n)
    # sorted: the sample keeps the order of the rows
    return np.sort(np.random.default_rng(settings.seed).choice(n, most, replace=False))


def _no_rows() -> NotApplicable:
    return not_applicable("nothing_to_explain")
