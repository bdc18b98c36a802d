"""What would lower one observation's tier, under model and policy together."""

from dataclasses import replace

import numpy as np

from kyc_ml import decision
from kyc_ml.metrics import Floats
from kyc_ml.registry import Scores
from kyc_ml.scoring.case import Case


def find_counterfactual(case: Case) -> decision.Counterfactual:
    """Find the nearest change of conduct that would lower a case's tier.

    Every change is scored by the model and by the whole policy, card, history and overrides
    included.
    """
    bundle = case.bundle
    if case.score["tier"] == bundle.policy.tier_names[0]:
        return decision.Counterfactual(
            lines=(), note=decision.write_both("counterfactual", "lowest")
        )
    here = bundle.policy.place(case.score["tier"])
    declared = decision.declare_facts(bundle.config.features, bundle.policy)
    found = decision.find_change(
        case.facts.numbers[0],
        case.facts.specs,
        specs={**declared, **{spec.name: spec for spec in bundle.specs}},
        splits=decision.splits_of(bundle.model),
        limits=decision.limits_of(bundle.policy),
        lowers=lambda rows: _grade_changed(case, rows).tier < here,
    )
    return _say_found(case, found) if found.steps else _say_none(case, found)


def _grade_changed(case: Case, rows: Floats) -> decision.Grades:
    """Grade the case's row with other numbers, rows of shape (m, columns of the facts)."""
    same = case.facts.take(np.zeros(len(rows), np.int64))
    changed = replace(same, numbers=np.asfortranarray(rows))
    return Scores.of(case.bundle, changed, book=case.book, history=case.history).grades


def _say_found(case: Case, found: decision.FeatureChange) -> decision.Counterfactual:
    bundle = case.bundle
    tier = bundle.policy.tiers[_grade_changed(case, found.values[None]).tier[0]]
    note = decision.write_both(
        "counterfactual", "found", tier=(decision.name_grade(tier.name), tier.name_zh)
    )
    # where all steps are of monotone features, values beyond them cannot raise the tier again
    if not (bundle.config.model.monotone and all(step.spec.monotone for step in found.steps)):
        note = decision.join_both(note, decision.write_both("counterfactual", "here_only"))
    currency = bundle.data["base_currency"]
    return decision.Counterfactual(
        lines=tuple(step.say(currency=currency) for step in found.steps), note=note
    )


def _say_none(case: Case, found: decision.FeatureChange) -> decision.Counterfactual:
    holder = decision.held_by(
        case.score["probability"],
        case.facts,
        policy=case.bundle.policy,
        book=case.book,
        history=case.history,
    )
    note = decision.write_both("counterfactual", "none")
    if not found.complete:
        note = decision.join_both(note, decision.write_both("counterfactual", "incomplete"))
    if any(holder):
        note = decision.join_both(
            note, decision.write_both("counterfactual", "held", holder=holder)
        )
    return decision.Counterfactual(lines=(), note=note)
