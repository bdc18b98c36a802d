"""What keeps a tier up, and the values at which a policy responds differently."""

import numpy as np

from kyc_ml.decision.tiers.grading import NO_OVERRIDES, grade
from kyc_ml.decision.tiers.history import TierHistory
from kyc_ml.decision.tiers.policy import TierPolicy
from kyc_ml.decision.tiers.sections import OverrideBook
from kyc_ml.decision.wording import Pair, name_grade, write_both
from kyc_ml.features import FeatureTable


def limits_of(policy: TierPolicy) -> dict[str, tuple[float, ...]]:
    """List the values of numbers from which the card or a rule sees more or less risk.

    Returns dict of feature to limits; a value below a limit and one equal to it may be graded
    differently.
    """
    found: dict[str, set[float]] = {}
    card = None if policy.expert is None else policy.expert.card
    for item in () if card is None else card.sub_items:
        if item.kind == "number":
            found.setdefault(item.feature, set()).update(step.from_ for step in item.steps)
    conditions = [condition for rule in policy.overrides for condition in rule.when]
    for condition in (*conditions, *(() if card is None else card.direct_highest)):
        if condition.at_least is not None:
            found.setdefault(condition.feature, set()).add(condition.at_least)
    return {name: tuple(sorted(limits)) for name, limits in found.items()}


def held_by(
    proba: float,
    facts: FeatureTable,
    *,
    policy: TierPolicy,
    book: OverrideBook = NO_OVERRIDES,
    history: TierHistory | None = None,
) -> Pair:
    """Name what keeps one row's tier up even if its probability were 0, in both languages.

    Two empty texts if the probability alone does, or if the tier is the lowest.

    `facts`: FeatureTable of one row; see `grade`.
    """
    ends = grade(
        np.array([0.0, proba]), facts.take([0, 0]), policy=policy, book=book, history=history
    )
    here = int(ends.tier[1])
    if here == 0 or ends.tier[0] < here:
        return "", ""
    override = write_both("holder", "override", code=ends.override_code[0])
    if ends.before[0] < here:
        return override
    held = write_both("holder", "history")
    if ends.of_score[0] >= here and ends.rating is not None:
        given = ends.rating.card.grades[int(ends.rating.grade[0])]
        named = (name_grade(given.name), given.name_zh)
        held = write_both("holder", "rating", grade=named)
    if ends.override_code[0]:
        return write_both("holder", "both", first=held, second=override)
    return held
