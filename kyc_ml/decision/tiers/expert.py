"""The expert rating beside the model: what grade and model tier give together."""

from __future__ import annotations

import numpy as np

from kyc_ml.decision.rating.rate import Rating, rate
from kyc_ml.decision.tiers.overrides import say_absent
from kyc_ml.decision.tiers.policy import ExpertPolicy, TierPolicy
from kyc_ml.features import FeatureTable
from kyc_ml.metrics import Ints


def rate_beside(facts: FeatureTable, policy: TierPolicy) -> tuple[Rating | None, dict[str, str]]:
    """Rate rows by the policy's card.

    A feature that the source does not have is the card's to deal with (`absent`). Where a
    table was built without one, as a request to a served model may be, nothing is rated.

    Returns
    -------
    rating : Rating or None
        None where the policy has no card, or nothing was rated.
    unchecked : dict of place to reason
        What of the card could not be read.
    """
    if policy.expert is None:
        return None, {}
    card = policy.expert.card
    reads = [name for name, _ in card.reads.values()]
    absent = [name for name in reads if name not in facts.names and name not in facts.unavailable]
    if absent:
        return None, {"expert rating": say_absent(list(dict.fromkeys(absent)), facts)}
    rating = rate(facts, card)
    return rating, {f"expert rating: {where}": why for where, why in rating.dropped.items()}


def combine(model: Ints, grade: Ints, policy: TierPolicy) -> Ints:
    """Look up what model tier and grade give together, shape (n,).

    Without a table it is the higher of the model's tier and the one the grade stands for.
    """
    if policy.expert is None:
        return model
    return combination_table(policy.expert, policy.tier_names)[grade, model]


def combination_table(expert: ExpertPolicy, tiers: tuple[str, ...]) -> Ints:
    """Give the tier's place by place of grade and of the model's tier.

    Returns
    -------
    int64 array of shape (number of grades, number of tiers)
    """
    grades = [grade.name for grade in expert.card.grades]
    if expert.table:
        named = [[expert.table[grade][tier] for tier in tiers] for grade in grades]
        return np.array([[tiers.index(name) for name in row] for row in named], np.int64)
    own = np.array([tiers.index(expert.tier_of_grade[grade]) for grade in grades], np.int64)
    return np.maximum(own[:, None], np.arange(len(tiers))[None, :])
