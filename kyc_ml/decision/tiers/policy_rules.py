"""The rules between sections of a tier policy; each breach is one sentence.

A rule takes the value of one field of the policy and the fields before it. A field that was
refused is absent there, and what depends on it is not checked: its own fault comes first.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from kyc_ml.decision.tiers.fit_sections import FitPolicy
from kyc_ml.decision.tiers.sections import (
    WHOLE,
    ExpertPolicy,
    OverrideRule,
    SegmentPolicy,
    TierRule,
)

FEWEST_TIERS: Final = 3
"""Source: 银发〔2013〕2号: at least three grades."""

MOST_TIERS: Final = 10
HIGHEST_REVIEW_MONTHS: Final = 6
"""Source: 银发〔2013〕2号: the highest grade at least every half year."""

DISCLOSABLE_FAMILIES: Final = (
    *("profile", "amounts", "velocity", "timing", "dormancy", "novelty", "devices"),
    *("instruments", "counterparties"),
)
"""Feature families that may contain plain facts about the customer alone; all others reveal
cases, lists, reports of others, or what monitoring looks for."""

_Earlier = Mapping[str, Any]
"""Values of the policy's fields before the one that is checked."""


def _approver_faults(approver: str | None, earlier: _Earlier) -> Iterator[str]:
    if approver is not None and approver == earlier.get("author"):
        yield f"approver {approver!r} is also the author: another person must approve"


def _disclosure_faults(families: Sequence[str], earlier: _Earlier) -> Iterator[str]:
    secret = [name for name in families if name not in DISCLOSABLE_FAMILIES]
    if secret:
        yield (
            f"{', '.join(secret)} would tip customers off; families that may be disclosed: "
            f"{', '.join(DISCLOSABLE_FAMILIES)}"
        )


def _tier_faults(tiers: Sequence[TierRule], earlier: _Earlier) -> Iterator[str]:
    if not FEWEST_TIERS <= len(tiers) <= MOST_TIERS:
        yield (
            f"there must be at least {FEWEST_TIERS} tiers and at most {MOST_TIERS}, "
            f"got {len(tiers)}"
        )
    yield from _bound_faults([tier.from_probability for tier in tiers])
    if len({tier.name for tier in tiers}) < len(tiers):
        yield "tier names must differ"
    if tiers and tiers[-1].review_months > HIGHEST_REVIEW_MONTHS:
        yield (
            f"the highest tier must be reviewed at least every {HIGHEST_REVIEW_MONTHS} months, "
            f"got {tiers[-1].review_months}"
        )
    for low, high in itertools.pairwise(tiers):
        if low.review_months > 2 * high.review_months:
            yield (
                f"tier {low.name!r} is reviewed every {low.review_months} months, more than twice "
                f"the {high.review_months} months of the tier above it"
            )


def _segment_faults(segments: SegmentPolicy, earlier: _Earlier) -> Iterator[str]:
    names = [segment.name for segment in segments.own]
    if len(set(names)) < len(names) or WHOLE in names:
        yield f"segments must have different names, and none may be {WHOLE!r}"
    values = [value for segment in segments.own for value in segment.values]
    for value in sorted({value for value in values if values.count(value) > 1}):
        yield f"value {value!r} belongs to two segments"
    if "tiers" not in earlier:
        return
    tiers = earlier["tiers"]
    for segment in segments.own:
        where = f"segment {segment.name!r}"
        unknown = sorted(set(segment.from_probability) - {tier.name for tier in tiers})
        yield from (f"{where}: {fault}" for fault in _unknown_tiers(unknown, tiers))
        yield from (f"{where}: {fault}" for fault in _bound_faults(segment.bounds(tiers)))


def _rule_faults(rules: Sequence[OverrideRule], earlier: _Earlier) -> Iterator[str]:
    codes = [rule.code for rule in rules]
    for code in sorted({code for code in codes if codes.count(code) > 1}):
        yield f"two overrides have the code {code!r}"
    if "tiers" in earlier:
        for rule in rules:
            unknown = {rule.floor, rule.tier} - {None, *(each.name for each in earlier["tiers"])}
            for fault in _unknown_tiers(sorted(map(str, unknown)), earlier["tiers"]):
                yield f"override {rule.code!r}: {fault}"


def _expert_faults(expert: ExpertPolicy, earlier: _Earlier) -> Iterator[str]:
    grades = [grade.name for grade in expert.card.grades]
    if sorted(expert.tier_of_grade) != sorted(grades):
        yield f"tier_of_grade must name every grade of the card once: {', '.join(grades)}"
        return
    if not expert.raise_only and not expert.table:
        yield "raise_only is false, so table is required: it sets what both together give"
    if expert.table and sorted(expert.table) != sorted(grades):
        yield f"table must have a row for every grade of the card: {', '.join(grades)}"
        return
    if "tiers" not in earlier:
        return
    tiers = [tier.name for tier in earlier["tiers"]]
    named = [*expert.tier_of_grade.values()]
    named += [tier for row in expert.table.values() for tier in (*row, *row.values())]
    unknown = sorted(set(named) - set(tiers))
    if unknown:
        yield from _unknown_tiers(unknown, earlier["tiers"])
        return
    incomplete = [grade for grade, row in expert.table.items() if sorted(row) != sorted(tiers)]
    if incomplete:
        yield f"table row {incomplete[0]!r} must name every tier once"
        return
    of_grade = [tiers.index(expert.tier_of_grade[grade]) for grade in grades]
    if any(high < low for low, high in itertools.pairwise(of_grade)):
        yield "tier_of_grade must not fall from grade to grade"
    if expert.table:
        yield from _table_faults(expert, grades, tiers)


def _fit_faults(fit: FitPolicy, earlier: _Earlier) -> Iterator[str]:
    if "tiers" in earlier and "segments" in earlier:
        segments = earlier["segments"]
        names = [] if segments is None else [each.name for each in segments.own]
        yield from fit.faults([tier.name for tier in earlier["tiers"]], names)


RULES: Final[Mapping[str, Callable[[Any, _Earlier], Iterator[str]]]] = {
    "approver": _approver_faults,
    "tellable_families": _disclosure_faults,
    "tiers": _tier_faults,
    "segments": _segment_faults,
    "overrides": _rule_faults,
    "expert": _expert_faults,
    "fit": _fit_faults,
}
"""The rule of each field of `TierPolicy`; a field that is null is not checked."""


def _table_faults(
    expert: ExpertPolicy, grades: Sequence[str], tiers: Sequence[str]
) -> Iterator[str]:
    places = expert.combine(tiers).tolist()
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


def _bound_faults(bounds: Sequence[float]) -> Iterator[str]:
    if bounds and bounds[0] != 0.0:
        yield f"the lowest tier must start at probability 0, got {bounds[0]}"
    rising = all(low < high for low, high in itertools.pairwise(bounds))
    if not rising or any(not 0.0 <= bound <= 1.0 for bound in bounds):
        yield f"from_probability must increase within 0 to 1, got {list(bounds)}"


def _unknown_tiers(unknown: Sequence[str], tiers: Sequence[TierRule]) -> Iterator[str]:
    if unknown:
        known = ", ".join(tier.name for tier in tiers)
        yield f"unknown tier {', '.join(map(repr, unknown))}; known: {known}"
