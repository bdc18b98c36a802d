"""What set each tier: the last step of the grading that changed it, in words."""

from collections.abc import Callable
from datetime import timedelta
from functools import cache, partial
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa

from kyc_ml.decision.rating.rate import points_above
from kyc_ml.decision.tiers.calendar import decision_days
from kyc_ml.decision.tiers.grading import Grades
from kyc_ml.decision.tiers.policy import TierPolicy
from kyc_ml.decision.tiers.sections import WHOLE, EnteredOverride
from kyc_ml.decision.wording import Pair, name_both, name_grade, say_entered, write_both
from kyc_ml.features import to_columns
from kyc_ml.metrics import Ints

STEPS: Final = ("model", "rating", "history", "override")
"""The steps of the grading, in their order."""

_ITEMS_SHOWN: Final = 3
"""Sub-items that a sentence names. Convention."""


def last_step(grades: Grades, *, rated: bool = False) -> Ints:
    """Return the place in `STEPS` of the last step that changed the tier of each of n rows.

    Where none did, the first step: the model, or the rating where it stands in for the model.
    """
    after = (grades.model, grades.of_score, grades.before, grades.tier)
    step = np.full(grades.tier.size, int(rated))
    for place in range(1 + rated, len(STEPS)):
        step[after[place] != after[place - 1]] = place
    return step


def set_by_columns(grades: Grades, *, rated: bool = False) -> dict[str, pa.Array]:
    """Return tier_set_by, and its sentence in English and Chinese, each of length n.

    `rated`: True where the expert rating stands in for the model.
    """
    step = last_step(grades, rated=rated)
    alone = partial(_say_rating, alone=rated)
    # a night has few different sentences of the model: each is written once
    write, cut_offs = cache(partial(_write_model, grades)), cache(grades.policy.cut_offs)
    model = partial(_say_model, cut_offs=cut_offs, write=write)
    says = (model, alone, _say_history, _say_override)
    texts = [says[place](grades, row) for row, place in enumerate(step.tolist())]
    columns = {
        "tier_set_by": [STEPS[place] for place in step],
        "tier_set_by_text": [english for english, _ in texts],
        "tier_set_by_text_zh": [chinese for _, chinese in texts],
    }
    return to_columns(columns, pa.string())


def tiers_set_table(scores: pa.Table, policy: TierPolicy) -> pd.DataFrame:
    """Count rows by tier of the model and in force, and by what set the one in force.

    `scores`: tier, tier_of_model and tier_set_by of a score file. One row per tier, the highest
    first: tier, tier_zh, by_model, in_force, and set_by_model, set_by_rating, set_by_history,
    set_by_override, which add up to in_force. A row that was rated has no tier of the model.
    """
    frame = scores.select(["tier", "tier_of_model", "tier_set_by"]).to_pandas()
    order = list(policy.tier_names)[::-1]
    names = {rule.name: rule.name_zh for rule in policy.tiers}
    table = pd.DataFrame({"tier": order, "tier_zh": [names[tier] for tier in order]})
    for name, column in (("by_model", "tier_of_model"), ("in_force", "tier")):
        table[name] = frame[column].value_counts().reindex(order, fill_value=0).to_numpy()
    for step in STEPS:
        counted = frame.loc[frame["tier_set_by"] == step, "tier"].value_counts()
        table[f"set_by_{step}"] = counted.reindex(order, fill_value=0).to_numpy()
    return table


def _name(grades: Grades, place: int) -> Pair:
    rule = grades.policy.tiers[place]
    return name_grade(rule.name), rule.name_zh


def _say_model(
    grades: Grades,
    row: int,
    *,
    cut_offs: Callable[[str], tuple[float, ...]],
    write: Callable[[str, int, str, float], Pair],
) -> Pair:
    segment, proba, tier = grades.segment[row], float(grades.proba[row]), int(grades.tier[row])
    # the lowest tier has no cut-off: the probability did not reach that of the next one
    cut = cut_offs(segment)[max(tier, 1)]
    shown = f"{100 * proba:.3g}"
    if proba != cut and shown == f"{100 * cut:.3g}":
        shown = f"{100 * proba:.17g}"
    return write(segment, tier, shown, cut)


def _write_model(grades: Grades, segment: str, tier: int, shown: str, cut: float) -> Pair:
    return write_both(
        "set_by",
        "model" if tier else "model_below",
        proba=f"{shown}%",
        cut=f"{100 * cut:.4g}%",
        tier=_name(grades, max(tier, 1)),
        segment=""
        if segment == WHOLE
        else write_both("set_by", "in_segment", segment=name_both("values", segment)),
    )


def _say_rating(grades: Grades, row: int, *, alone: bool) -> Pair:
    rating = grades.rating
    if rating is None:
        raise AssertionError  # without a rating it has changed no tier
    grade = rating.card.grades[int(rating.grade[row])]
    names: Pair = name_grade(grade.name), grade.name_zh
    moved = ("", "") if alone else _say_moved(grades, row)
    for rule in rating.card.direct_highest:
        if rule.code == rating.direct[row]:
            why = (rule.english, rule.chinese)
            return write_both("set_by", "direct", grade=names, why=why, moved=moved)
    above = points_above(rating, np.array([row]))[0]
    most = [at for at in np.argsort(-above, kind="stable")[:_ITEMS_SHOWN] if above[at] > 0.0]
    items = rating.card.sub_items
    listed: Pair = (
        ", ".join(f"{items[at].english} {above[at]:.1f}" for at in most),
        "，".join(f"{items[at].chinese}{above[at]:.1f}" for at in most),
    )
    shown = write_both("set_by", "items", items=listed) if most else ""
    score = f"{rating.score[row]:.1f}"
    return write_both("set_by", "rating", grade=names, score=score, items=shown, moved=moved)


def _say_moved(grades: Grades, row: int) -> Pair:
    """Write from which tier of the model the rating moved the row."""
    before, after = grades.model[row], grades.of_score[row]
    key = "raised" if before < after else "lowered"
    return write_both("set_by", key, before=_name(grades, before), after=_name(grades, after))


def _say_history(grades: Grades, row: int) -> Pair:
    last = grades.last
    if last is None:
        raise AssertionError  # without a history it has changed no tier
    since = pd.DatetimeIndex(last.since[[row]].view("datetime64[us]"), tz="UTC")
    return write_both(
        "set_by",
        "history",
        tier=_name(grades, grades.tier[row]),
        earlier=_name(grades, last.before[row]),
        since=str(decision_days(since, grades.policy.calendar)[0]),
        score=_name(grades, grades.of_score[row]),
    )


def _say_override(grades: Grades, row: int) -> Pair:
    """Name the override that gave the tier: a floor at this tier before a fixed one."""
    tier = grades.policy.tier_names[grades.tier[row]]
    here = [each for rows, each in grades.overrides if row in rows]
    found = [each for each in here if each.floor == tier]
    override = (found + [each for each in here if each.tier == tier])[0]
    return write_both(
        "set_by",
        "override_floor" if found else "override_tier",
        code=override.code,
        reason=_say_entered(override.reason)
        if isinstance(override, EnteredOverride)
        else (override.english, override.chinese),
        tier=_name(grades, grades.tier[row]),
        before=_name(grades, grades.before[row]),
        source=_say_entered(override.source),
        until=str(override.expiry - timedelta(days=1)),
        approver=name_both("entered", override.approver),
    )


def _say_entered(text: str) -> Pair:
    return say_entered(text, "en"), say_entered(text, "zh")
