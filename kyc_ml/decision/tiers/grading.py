"""From probability to tier: cut-offs, then expert rating, hysteresis and overrides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa

from kyc_ml.dataset import customers_of
from kyc_ml.decision.rating.rate import Rating, rate
from kyc_ml.decision.tiers.calendar import (
    WorkingDays,
    count_announced,
    count_beyond,
    due_days,
    local_days,
    mark_in_force,
)
from kyc_ml.decision.tiers.cut_offs import assign_tiers, name_segments
from kyc_ml.decision.tiers.history import Last, TierHistory, apply_hysteresis
from kyc_ml.decision.tiers.overrides import Found, InForce, explain_absence, find_in_force
from kyc_ml.decision.tiers.policy import TierPolicy
from kyc_ml.decision.tiers.sections import WHOLE, OverrideBook
from kyc_ml.errors import ConfigError, Faults
from kyc_ml.features import FeatureTable, to_columns
from kyc_ml.metrics import Floats, Ints, Names, Times

NO_OVERRIDES: Final[OverrideBook] = OverrideBook()
"""A book without overrides."""

RAISED_BY_RATING: Final = "moved up by the expert rating"
"""A count of `Grades`."""

_ON_THE_WHOLE: Final = "on the cut-offs of the whole: segment"
_BEYOND: Final = "due beyond the listed holidays"
_BY_DESIGN: Final = frozenset({f"{_ON_THE_WHOLE} unlisted", _BEYOND})
"""Counts that a valid policy has every night: kept, but not in the notes, which would go unread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grades:
    """The tiers of n rows under a policy, as places in ``policy.tiers``."""

    policy: TierPolicy
    model: Ints
    """int64 array of shape (n,); tier of the probability alone, by the cut-offs of the row's
    segment."""
    of_score: Ints
    """int64 array of shape (n,); the same combined with the expert rating."""
    before: Ints
    """int64 array of shape (n,); the same after hysteresis: the tier before overrides."""
    tier: Ints
    """int64 array of shape (n,); the final tier, overrides included."""
    grade: Names
    """object array of shape (n,); name of the expert rating's grade; None where there is no
    rating."""
    segment: Names
    """object array of shape (n,); segment whose cut-offs were used; 'all' for those of the
    whole."""
    override_code: Names
    """object array of shape (n,); codes of the overrides in force, joined by ';'; '' without
    one."""
    day: Times
    """datetime64[D] array of shape (n,); local day of the decision; NaT where it has no time."""
    next_review: Times
    """datetime64[D] array of shape (n,)."""
    proba: Floats
    """float64 array of shape (n,); calibrated probabilities."""
    rating: Rating | None
    """None without an expert rating."""
    last: Last | None
    """The last reviews; None without hysteresis."""
    overrides: list[Found]
    """List of (rows, override); those in force."""
    unchecked: Mapping[str, str] = field(default_factory=dict)
    """Mapping of part of the policy to reason; what could not be applied because an input is
    missing; empty where all was applied."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Mapping of what to rows; rows that have the cut-offs of all because their segment is missing,
    that were moved by the expert rating, kept up by hysteresis, moved by overrides, decided before
    the policy was valid, or whose review is due after the listed calendar (again for those that it
    should list by now). Only counts above 0."""

    def columns(self) -> dict[str, pa.Array]:
        """Return the columns that a case system reads, each of length n."""
        n, tiers = self.tier.size, self.policy.tiers
        names = np.array([rule.name for rule in tiers], dtype=object)
        rules = [tiers[place] for place in self.tier.tolist()]
        texts: dict[str, Sequence[object] | Names] = {
            "tier": [rule.name for rule in rules],
            "tier_zh": [rule.name_zh for rule in rules],
            "tier_before_overrides": names[self.before],
            "tier_of_score": names[self.of_score],
            "tier_of_model": names[self.model],
            "expert_grade": self.grade,
            "segment": self.segment,
            "override_code": [code or None for code in self.override_code],
            "due_diligence": [rule.due_diligence for rule in rules],
            "monitoring": [rule.monitoring for rule in rules],
            "next_review": [None] * n,
            "policy": [self.policy.label] * n,
            "policy_in_force": [None] * n,
            "policy_unchecked": ["; ".join(self.unchecked) or None] * n,
            "disclosure": [self.policy.disclosure] * n,
        }
        # the two that are not texts keep their places
        return to_columns(texts, pa.string()) | {
            "next_review": pa.array(self.next_review, pa.date32()),
            "policy_in_force": mark_in_force(self.policy, self.day),
        }

    def notes(self) -> list[str]:
        """Write the counts, and what was not applied, as lines for people."""
        return [
            *say_counts(self.counts),
            *(f"not applied: {what}: {why}" for what, why in self.unchecked.items()),
        ]


def say_counts(counts: Mapping[str, int]) -> list[str]:
    """Write the counts of `Grades` as lines, without those that occur every night by design.

    Examples
    --------
    >>> say_counts({"due beyond the listed holidays": 7_500, "held up by their history": 1_200})
    ['1,200 row(s) held up by their history']
    """
    return [f"{rows:,} row(s) {what}" for what, rows in counts.items() if what not in _BY_DESIGN]


def grade(
    proba: Floats,
    facts: FeatureTable,
    *,
    policy: TierPolicy,
    book: OverrideBook = NO_OVERRIDES,
    history: TierHistory | None = None,
    calendar: WorkingDays | None = None,
) -> Grades:
    """Assign tiers to n rows: cut-offs, then expert rating, hysteresis, and at last overrides.

    A row's tier depends on no other row. Overrides take precedence over the score: a fixed tier
    replaces it, and nothing goes below a floor. They are those in force on the local day of
    the row's decision. Hysteresis works on the tier before overrides, so an override that has
    ended has no effect any more. A row decided before the policy was valid is treated the same
    way, and marked.

    `proba`: float64 array of shape (n,); calibrated probabilities.
    `facts`: FeatureTable of n rows; keys, and the features that the policy reads; see
    `features_needed`.
    `book`: overrides entered for single customers.
    `history`: tiers of earlier reviews; without it there is no hysteresis.
    `calendar`: the bank's calendar instead of the policy's.
    Raises ConfigError if an entered override names an unknown tier; if the policy has
    `absent: refuse` and the source lacks what it reads; ValueError if a probability is NaN or
    outside [0, 1].
    """
    segment, counts, unchecked = tier_segments(facts, policy)
    rating, unrated = _rate_by_card(facts, policy)

    def tier_of(values: Floats) -> Ints:
        model = assign_tiers(values, policy=policy, segment=segment)
        if rating is None or policy.expert is None:
            return model
        return policy.expert.combine(policy.tier_names)[rating.grade, model]

    of_score = before = tier_of(proba)
    last = None
    if policy.hysteresis is not None and history is not None:
        reviews = policy.hysteresis.reviews or 1
        last = history.last_known(customers_of(facts.keys), facts.decided, reviews=reviews)
        before = apply_hysteresis(
            of_score, proba, last, facts.decided, rule=policy.hysteresis, tier_of=tier_of
        )
    days = local_days(facts, policy.calendar)
    found, unruled = find_in_force(facts, days, policy=policy, book=book)
    in_force = InForce.of(days.size, found, policy.tier_names)
    tier = in_force.apply(before, timeless=np.isnat(days))
    due = due_days(days, tier, policy=policy, calendar=calendar)
    _refuse({**unchecked, **unruled}, policy)
    unchecked |= {**unrated, **unruled}
    model = of_score if rating is None else assign_tiers(proba, policy=policy, segment=segment)
    counts |= {
        RAISED_BY_RATING: int(np.count_nonzero(of_score > model)),
        "moved down by the expert rating": int(np.count_nonzero(of_score < model)),
        "held up by their history": int(np.count_nonzero(before != of_score)),
        "moved up by overrides or floors": int(np.count_nonzero(tier > before)),
        "moved down by overrides": int(np.count_nonzero(tier < before)),
        # without a first day it is NaT, and nothing lies before that
        "decided before the policy was valid": int(
            np.count_nonzero(days < np.datetime64(policy.valid_from, "D"))
        ),
        _BEYOND: count_beyond(due, policy.calendar),
        f"{_BEYOND}, which have ended or end soon: list the next year": count_announced(
            days, due, policy.calendar
        ),
    }
    return Grades(
        policy=policy,
        model=model,
        of_score=of_score,
        before=before,
        tier=tier,
        grade=_grade_names(rating, policy, proba.size),
        segment=segment,
        override_code=in_force.code,
        day=days,
        next_review=due,
        proba=proba,
        rating=rating,
        last=last,
        overrides=found,
        unchecked=unchecked,
        counts={what: rows for what, rows in counts.items() if rows},
    )


def tier_segments(
    facts: FeatureTable, policy: TierPolicy
) -> tuple[Names, dict[str, int], dict[str, str]]:
    """Name each row's segment; count rows without one, or explain why no row has one.

    Returns `segment`: object array of shape (n,).
    Returns `counts`: dict of what to rows.
    Returns `unchecked`: dict of 'segments' to reason.
    """
    segments = policy.segments
    if segments is None or segments.feature not in facts.names:
        whole = np.full(len(facts), WHOLE, dtype=object)
        why = {} if segments is None else {"segments": explain_absence([segments.feature], facts)}
        return whole, {}, why
    named, without = name_segments(facts.categories[segments.feature], segments)
    return named, {f"{_ON_THE_WHOLE} {why}": n for why, n in without.items()}, {}


def _grade_names(rating: Rating | None, policy: TierPolicy, n: int) -> Names:
    if rating is None or policy.expert is None:
        return np.full(n, None, dtype=object)
    names = np.array([each.name for each in policy.expert.card.grades], dtype=object)
    return np.asarray(names[rating.grade])


def _refuse(unchecked: Mapping[str, str], policy: TierPolicy) -> None:
    """Raise if something is missing that the policy requires."""
    if policy.facts.absent == "refuse":
        faults = Faults(f"policy {policy.label!r} has facts.absent: refuse", ConfigError)
        faults.extend(f"{what}: {why}" for what, why in unchecked.items())
        faults.raise_if_any()


def _rate_by_card(facts: FeatureTable, policy: TierPolicy) -> tuple[Rating | None, dict[str, str]]:
    """Rate rows by the policy's card; None where it has none, or the table lacks its columns.

    The card decides what to do about a feature that the source does not have (`absent`). A
    table that was built without one, such as a request to a served model, is not rated.

    Returns `unchecked`: dict of place to reason; what of the card could not be read.
    """
    if policy.expert is None:
        return None, {}
    card = policy.expert.card
    reads = [name for name, _ in card.reads.values()]
    absent = [name for name in reads if name not in facts.names and name not in facts.unavailable]
    if absent:
        return None, {"expert rating": explain_absence(list(dict.fromkeys(absent)), facts)}
    rating = rate(facts, card)
    return rating, {f"expert rating: {where}": why for where, why in rating.dropped.items()}
