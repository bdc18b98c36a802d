"""What would lower one observation's tier, under model and policy together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kyc_ml.decision import (
    Counterfactual,
    FeatureChange,
    Grades,
    declare_facts,
    find_change,
    held_by,
    limits_of,
    splits_of,
)
from kyc_ml.metrics import Floats
from kyc_ml.registry import Scores
from kyc_ml.scoring.case import Case


def find_drop(case: Case) -> Counterfactual:
    """Find the nearest change of conduct that would lower a case's tier, and say it.

    Every change is scored by the model and graded by the whole policy, card, history and
    overrides included.
    """
    bundle = case.bundle
    if case.score["tier"] == bundle.policy.tier_names[0]:
        return Counterfactual(lines=(), note="None: it is the lowest tier.")
    here = bundle.policy.place(case.score["tier"])
    declared = declare_facts(bundle.config.features, bundle.policy)
    found = find_change(
        case.facts.numbers[0],
        case.facts.specs,
        specs={**declared, **{spec.name: spec for spec in bundle.specs}},
        splits=splits_of(bundle.model),
        limits=limits_of(bundle.policy),
        lowers=lambda rows: _grade_changed(case, rows).tier < here,
    )
    return _say_found(case, found) if found.steps else _say_none(case, found)


def _grade_changed(case: Case, rows: Floats) -> Grades:
    """Grade the case's row with other numbers, rows of shape (m, columns of the facts)."""
    same = case.facts.take(np.zeros(len(rows), np.int64))
    changed = replace(same, numbers=np.asfortranarray(rows))
    return Scores.of(case.bundle, changed, book=case.book, history=case.history).grades


def _say_found(case: Case, found: FeatureChange) -> Counterfactual:
    bundle = case.bundle
    currency = bundle.data["base_currency"]
    tier = _grade_changed(case, found.values[None]).tier[0]
    lines = tuple(
        (step.say(currency=currency, chinese=False), step.say(currency=currency, chinese=True))
        for step in found.steps
    )
    bound = bundle.config.model.monotone and all(step.spec.monotone for step in found.steps)
    beyond = (
        "" if bound else " It holds at these values; further on the model may see it otherwise."
    )
    return Counterfactual(
        lines=lines,
        note=f"Then the tier would be {bundle.policy.tier_names[tier]}, all else as it is. What "
        f"model and policy would say, no advice; never for the customer.{beyond}",
    )


def _say_none(case: Case, found: FeatureChange) -> Counterfactual:
    holder = held_by(
        case.score["probability"],
        case.facts,
        policy=case.bundle.policy,
        book=case.book,
        history=case.history,
    )
    held = f" Even at probability 0 it is held by {holder}." if holder else ""
    searched = "" if found.complete else ", as far as pairs could be tried"
    return Counterfactual(
        lines=(),
        note="None: no change of one or two habits that the customer could take up from now on "
        f"would be enough{searched}.{held}",
    )
