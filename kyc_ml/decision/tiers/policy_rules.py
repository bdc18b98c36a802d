"""What makes a tier policy lawful, every fault in a sentence."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

if TYPE_CHECKING:
    from kyc_ml.decision.tiers.overrides import EnteredOverride
    from kyc_ml.decision.tiers.policy import ExpertPolicy, OverrideRule, TierPolicy

FEWEST_TIERS: Final = 3
"""Source: 银发〔2013〕2号: at least three grades."""

MOST_TIERS: Final = 10
HIGHEST_REVIEW_MONTHS: Final = 6
"""Source: 银发〔2013〕2号: the highest grade at least every half year."""

TELLABLE: Final = (
    *("profile", "amounts", "velocity", "timing", "dormancy", "novelty", "devices"),
    *("instruments", "counterparties"),
)
"""Feature families that may hold plain facts of a customer's own; all others tell of cases,
lists, reports of others, or of what monitoring looks for."""

_SATURDAY: Final = 5
_WHOLE: Final = "all"


def faults_of(policy: TierPolicy) -> Iterator[str]:
    """Give every fault of a policy that its types do not rule out."""
    yield from _tier_faults(policy)
    yield from _review_faults(policy)
    if policy.author is not None and policy.author == policy.approver:
        yield f"approver {policy.approver!r} is also the author: somebody else must approve"
    secret = [name for name in policy.tellable_families if name not in TELLABLE]
    if secret:
        yield (
            f"tellable_families: {', '.join(secret)} would tip off; what may be told is among "
            f"{', '.join(TELLABLE)}"
        )
    yield from _segment_faults(policy)
    codes = [rule.code for rule in policy.overrides]
    for code in sorted({code for code in codes if codes.count(code) > 1}):
        yield f"two overrides have the code {code!r}"
    for rule in policy.overrides:
        yield from (f"override {rule.code!r}: {fault}" for fault in _rule_faults(rule, policy))
    if policy.expert is not None:
        yield from (f"expert: {fault}" for fault in _expert_faults(policy.expert, policy))
    held = policy.hysteresis
    if held is not None and held.reviews is None and held.margin is None:
        yield "hysteresis: give reviews, margin or both: with neither no tier ever falls"
    yield from _calendar_faults(policy)
    if policy.fit is not None:
        yield from policy.fit.faults(policy.tier_names, policy.segment_names)


def override_faults(
    override: OverrideRule | EnteredOverride, tiers: Sequence[str] | None
) -> Iterator[str]:
    """Give what a declared rule and an entered override both must have.

    Parameters
    ----------
    tiers : sequence of str or None
        Names of the policy's tiers; None where they are not known yet.
    """
    for name in ("code", "source", "requester", "approver"):
        if not getattr(override, name).strip():
            yield f"{name} is missing"
    if override.approver.strip() and override.approver == override.requester:
        yield f"approver {override.approver!r} is also the requester: somebody else must approve"
    start, expiry = override.start, override.expiry
    if start is None:
        yield "start is missing: the first day of the override"
    if expiry is None:
        yield "expiry is missing: the day on which the override has ended"
    if start is not None and expiry is not None and expiry <= start:
        yield f"expiry ({expiry}) must lie after start ({start})"
    if (override.floor is None) == (override.tier is None):
        yield "give either floor or tier"
    for tier in (override.floor, override.tier):
        if tier is not None and tiers is not None and tier not in tiers:
            yield f"{tier!r} is no tier; known: {', '.join(tiers)}"


def _tier_faults(policy: TierPolicy) -> Iterator[str]:
    n = len(policy.tiers)
    if not FEWEST_TIERS <= n <= MOST_TIERS:
        yield f"there must be at least {FEWEST_TIERS} tiers and at most {MOST_TIERS}, got {n}"
    bounds = [tier.from_probability for tier in policy.tiers]
    if bounds and bounds[0] != 0.0:
        yield f"the lowest tier must start at probability 0, got {bounds[0]}"
    if not _increases(bounds):
        yield f"from_probability must increase from tier to tier, got {bounds}"
    if len(set(policy.tier_names)) < n:
        yield "tier names must differ"


def _review_faults(policy: TierPolicy) -> Iterator[str]:
    months = [tier.review_months for tier in policy.tiers]
    if months and months[-1] > HIGHEST_REVIEW_MONTHS:
        yield (
            f"the highest tier is reviewed at most every {HIGHEST_REVIEW_MONTHS} months, "
            f"got {months[-1]}"
        )
    for name, low, high in zip(policy.tier_names, months, months[1:], strict=False):
        if low > 2 * high:
            yield (
                f"tier {name!r} is reviewed every {low} months, more than twice the {high} "
                "months of the tier above it"
            )


def _segment_faults(policy: TierPolicy) -> Iterator[str]:
    if policy.segments is None:
        return
    own = policy.segments.own
    names = [segment.name for segment in own]
    if len(set(names)) < len(names) or _WHOLE in names:
        yield f"segments must have different names, and none {_WHOLE!r}"
    values = [value for segment in own for value in segment.values]
    for value in sorted({value for value in values if values.count(value) > 1}):
        yield f"value {value!r} belongs to two segments"
    for segment in own:
        where = f"segment {segment.name!r}"
        if not segment.values:
            yield f"{where}: no value of {policy.segments.feature} belongs to it"
        if not segment.source.strip():
            yield f"{where}: source is missing: say where its cut-offs come from"
        unknown = sorted(set(segment.from_probability) - set(policy.tier_names))
        if unknown:
            yield f"{where}: {', '.join(unknown)} is no tier"
        bounds = policy.cut_offs(segment.name)
        if bounds and bounds[0] != 0.0:
            yield f"{where}: the lowest tier must start at probability 0, got {bounds[0]}"
        if not _increases(bounds) or any(not 0.0 <= bound <= 1.0 for bound in bounds):
            yield f"{where}: from_probability must increase within 0 to 1, got {list(bounds)}"


def _rule_faults(rule: OverrideRule, policy: TierPolicy) -> Iterator[str]:
    yield from override_faults(rule, policy.tier_names)
    if not rule.english.strip() or not rule.chinese.strip():
        yield "its reason is missing: give english and chinese"
    if not rule.when:
        yield "when is empty: it would hold for everyone"
    for condition in rule.when:
        if not condition.is_one:
            yield f"when {condition.feature}: give either at_least or any_of"
        if condition.at_least is not None and not math.isfinite(condition.at_least):
            yield f"when {condition.feature}: at_least must be finite, got {condition.at_least}"


def _expert_faults(expert: ExpertPolicy, policy: TierPolicy) -> Iterator[str]:
    grades, tiers = [grade.name for grade in expert.card.grades], policy.tier_names
    if sorted(expert.tier_of_grade) != sorted(grades):
        yield f"tier_of_grade must name every grade of the card once: {', '.join(grades)}"
        return
    if not expert.raise_only and not expert.table:
        yield "raise_only is false, so table is needed: it says what both together give"
    if expert.table and sorted(expert.table) != sorted(grades):
        yield f"table must have a row for every grade of the card: {', '.join(grades)}"
        return
    named = [*expert.tier_of_grade.values()]
    named += [tier for row in expert.table.values() for tier in (*row, *row.values())]
    unknown = sorted(set(named) - set(tiers))
    if unknown:
        yield f"{', '.join(unknown)} is no tier; known: {', '.join(tiers)}"
        return
    for grade, row in expert.table.items():
        if sorted(row) != sorted(tiers):
            yield f"table row {grade!r} must name every tier once"
            return
    of_grade = [tiers.index(expert.tier_of_grade[grade]) for grade in grades]
    if any(high < low for low, high in itertools.pairwise(of_grade)):
        yield "tier_of_grade must not fall from grade to grade"
    if expert.table:
        yield from _table_faults(expert, grades, tiers)


def _table_faults(
    expert: ExpertPolicy, grades: Sequence[str], tiers: Sequence[str]
) -> Iterator[str]:
    places = [[tiers.index(expert.table[grade][tier]) for tier in tiers] for grade in grades]
    falls = any(
        high < low
        for line in (*places, *zip(*places, strict=True))
        for low, high in itertools.pairwise(line)
    )
    if falls:
        yield "table must not fall, neither from grade to grade nor from tier to tier"
    for grade, line in zip(grades, places, strict=True):
        own = tiers.index(expert.tier_of_grade[grade])
        if expert.raise_only and min(line) < own:
            yield (
                f"table lets the model lower grade {grade!r} below its tier {tiers[own]!r}, but "
                "raise_only is true"
            )


def _calendar_faults(policy: TierPolicy) -> Iterator[str]:
    calendar = policy.calendar
    try:
        ZoneInfo(calendar.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield f"calendar: {calendar.timezone!r} is no time zone, such as Asia/Shanghai"
    if calendar.listed is None:
        return
    if calendar.working_days != "weekdays":
        yield "calendar: listed days differ from a week: set working_days to weekdays"
    listed = calendar.listed
    late = [day for day in (*listed.holidays, *listed.make_up_days) if day > listed.until]
    if late:
        yield f"calendar: {_days(late)} after until ({listed.until})"
    idle = [day for day in listed.holidays if day.weekday() >= _SATURDAY]
    if idle:
        yield f"calendar: holidays {_days(idle)} are weekend days anyway"
    busy = [day for day in listed.make_up_days if day.weekday() < _SATURDAY]
    if busy:
        yield f"calendar: make_up_days {_days(busy)} are weekdays anyway"


def _increases(bounds: Sequence[float]) -> bool:
    return all(low < high for low, high in itertools.pairwise(bounds))


def _days(days: Sequence[date]) -> str:
    return ", ".join(day.isoformat() for day in days)
