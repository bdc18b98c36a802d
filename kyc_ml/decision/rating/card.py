"""The rating card: grades, weighted sub-items, direct criteria; every number has a source.

Sections hold types only: what makes a card lawful is checked once for the whole card, so
that every fault is told at once.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from kyc_ml.config import Section, Unit
from kyc_ml.features import Kind

EVERYONE: Final = "all"
"""The one segment of a card that parts its customers into none."""

_WEIGHTS_SUM: Final = 100.0
_SUM_TOLERANCE: Final = 1e-6
_FEWEST_GRADES: Final = 3

FactorFamily = Literal["customer", "geography", "product", "industry"]
"""Source: 银发〔2013〕2号: 客户特性, 地域, 业务（含金融产品、金融服务）, 行业（含职业）."""


class Grade(Section):
    """One grade; the lowest starts at the lowest score there is and names none."""

    name: str
    """Name of the grade."""
    name_zh: str
    """Name in Chinese."""
    from_score: float | None = None
    """Lowest score of the grade."""


class PointStep(Section):
    """Values from `from` on, up to the next step, have this score."""

    from_: float = Field(alias="from")
    """Lowest value of the step."""
    score: int
    """Score of its values."""


class SubItem(Section):
    """One sub-item (风险子项): a feature, what its values score, and what the score weighs.

    A number is read by `below` and `steps`, a category by `scores` and `other`.
    """

    name: str
    """Name of the sub-item."""
    family: FactorFamily
    """Which of the four risks it belongs to."""
    english: str
    """What it is, for people."""
    chinese: str
    """The same in Chinese."""
    feature: str
    """Declared feature that it reads."""
    weights: dict[str, float]
    """Weight p by segment; a segment that is not named does without this sub-item."""
    below: int | None = None
    """Score of numbers below the first step."""
    steps: tuple[PointStep, ...] = ()
    """Scores of numbers, by rising value."""
    scores: dict[str, int] = Field(default_factory=dict)
    """Score of each category."""
    other: int | None = None
    """Score of every other category."""
    missing: int
    """Score where the value is missing: what is unknown is not harmless."""
    source: str
    """Where feature and scores come from."""

    @property
    def kind(self) -> Kind:
        """What the scale reads: numbers or categories."""
        return "number" if self.steps or self.below is not None else "category"


class SegmentRule(Section):
    """Which weights a row has: the segment its category stands for, else `otherwise`."""

    feature: str
    """Category feature that tells the segments apart."""
    by_value: dict[str, str]
    """Segment by value of the feature."""
    otherwise: str
    """Segment of all other values, and of a missing one."""
    source: str
    """Where the segments come from."""


class PointCondition(Section):
    """A condition on one feature, as known at the decision.

    It holds for a number of `at_least` so much, or for a category that is `any_of` these;
    never where the value is missing.
    """

    feature: str
    """Declared feature that it reads."""
    at_least: float | None = None
    """Lowest number for which it holds; or any_of."""
    any_of: tuple[str, ...] = ()
    """Categories for which it holds; or at_least."""

    @property
    def kind(self) -> Kind:
        """What the condition reads: a number or a category."""
        return "category" if self.any_of else "number"

    @property
    def is_one(self) -> bool:
        """True where it has one limit, of a number or of a category."""
        return (self.at_least is not None) != bool(self.any_of)


class DirectRule(PointCondition):
    """A criterion that puts a row into the highest grade whatever it scores (直接定级)."""

    code: str
    """Short code that score rows carry."""
    english: str
    """What it is, for people."""
    chinese: str
    """The same in Chinese."""
    source: str
    """Where the criterion comes from."""


class Scorecard(Section):
    """A versioned expert rating card; grades run from the lowest to the highest risk.

    Score = sum(a_i * p_i) / m, where a_i in 1..m is a sub-item's score, p_i its weight
    (sum 100) and m the number of grades: it lies in [100 / m, 100].
    Source: 银发〔2013〕2号 (权重法), which prescribes neither weights nor cut-offs.
    """

    name: str
    """Name of the card."""
    version: int = Field(ge=1)
    """Raise it with every change."""
    unit: Unit
    """fraud rates transactions, risk rates customers."""
    disclosure: Literal["internal_only"] = "internal_only"
    """Ratings and what led to them are for the bank alone."""
    source: str
    """Which guideline it follows."""
    absent: Literal["drop", "refuse"]
    """What to do where the source has no such feature: leave the sub-item out for all and
    scale the other weights to 100, or refuse to rate."""
    grades: tuple[Grade, ...]
    """From the lowest to the highest risk."""
    cut_offs_source: str
    """Where the grades' cut-offs come from."""
    segments: SegmentRule | None = None
    sub_items: tuple[SubItem, ...]
    """What is scored, and what each score weighs."""
    direct_highest: tuple[DirectRule, ...] = ()
    """Criteria that give the highest grade whatever is scored."""

    @property
    def m(self) -> int:
        """Number of grades, the highest score of a sub-item."""
        return len(self.grades)

    @property
    def cut_offs(self) -> tuple[float, ...]:
        """Scores from which each grade but the lowest begins."""
        return tuple(each.from_score for each in self.grades if each.from_score is not None)

    @property
    def segment_names(self) -> tuple[str, ...]:
        """Segments that have weights of their own, sorted."""
        if self.segments is None:
            return (EVERYONE,)
        return tuple(sorted({*self.segments.by_value.values(), self.segments.otherwise}))

    @property
    def reads(self) -> dict[str, tuple[str, Kind]]:
        """Feature and its kind by the place in the card that reads it."""
        found: dict[str, tuple[str, Kind]] = {}
        if self.segments is not None:
            found["segments"] = (self.segments.feature, "category")
        for item in self.sub_items:
            found[f"sub_items.{item.name}"] = (item.feature, item.kind)
        for rule in self.direct_highest:
            found[f"direct_highest.{rule.code}"] = (rule.feature, rule.kind)
        return found

    @model_validator(mode="after")
    def _card_is_lawful(self) -> Self:
        faults = [*_grade_faults(self), *_weight_faults(self)]
        for item in self.sub_items:
            faults += [f"sub-item {item.name!r}: {fault}" for fault in _scale_faults(item, self.m)]
        for rule in self.direct_highest:
            if not rule.is_one:
                faults.append(f"rule {rule.code!r}: give either at_least or any_of")
        faults += [*_twice_faults(self), *_source_faults(self)]
        if faults:
            raise ValueError("; ".join(faults))
        return self


def _grade_faults(card: Scorecard) -> Iterator[str]:
    if card.m < _FEWEST_GRADES:
        yield f"at least {_FEWEST_GRADES} grades are needed, got {card.m}"
    if card.grades and card.grades[0].from_score is not None:
        yield f"the lowest grade has no from_score, got {card.grades[0].from_score}"
    without = [each.name for each in card.grades[1:] if each.from_score is None]
    if without:
        yield f"grade {', '.join(without)} needs a from_score"
    cuts = [each.from_score for each in card.grades[1:] if each.from_score is not None]
    if any(not low < high for low, high in itertools.pairwise(cuts)):
        yield f"from_score must increase from grade to grade, got {cuts}"
    lowest = _WEIGHTS_SUM / max(card.m, 1)
    if any(not lowest < cut <= _WEIGHTS_SUM for cut in cuts):
        yield f"every from_score must lie above 100 / {card.m} and be at most 100, got {cuts}"


def _weight_faults(card: Scorecard) -> Iterator[str]:
    known = card.segment_names
    for item in card.sub_items:
        for segment, weight in item.weights.items():
            if segment not in known:
                yield (
                    f"sub-item {item.name!r}: {segment!r} is no segment; known: {', '.join(known)}"
                )
            if not 0.0 < weight < math.inf:
                yield (
                    f"sub-item {item.name!r}: the weight of {segment!r} must be above 0, got "
                    f"{weight:g}: leave out a segment that does without it"
                )
        if not item.weights:
            yield f"sub-item {item.name!r} has no weight in any segment"
    for segment in known:
        total = math.fsum(item.weights.get(segment, 0.0) for item in card.sub_items)
        if not abs(total - _WEIGHTS_SUM) <= _SUM_TOLERANCE:
            yield f"the weights of {segment!r} must sum to 100, got {total:g}"


def _scale_faults(item: SubItem, m: int) -> Iterator[str]:
    number = bool(item.steps) and item.below is not None
    category = bool(item.scores) and item.other is not None
    given = bool(item.steps) or item.below is not None, bool(item.scores) or item.other is not None
    if not (number or category) or all(given):
        yield "give either below and steps, or scores and other"
    starts = [step.from_ for step in item.steps]
    if not all(map(math.isfinite, starts)) or any(b <= a for a, b in itertools.pairwise(starts)):
        yield f"steps must start at increasing finite values, got {starts}"
    every = [item.below, item.other, item.missing, *item.scores.values()]
    every += [step.score for step in item.steps]
    outside = sorted({score for score in every if score is not None and not 1 <= score <= m})
    if outside:
        yield f"scores must lie in 1 to {m}, got {', '.join(map(str, outside))}"


def _twice_faults(card: Scorecard) -> Iterator[str]:
    named: Mapping[str, list[str]] = {
        "grades": [each.name for each in card.grades],
        "sub-items": [item.name for item in card.sub_items],
        "direct rules": [rule.code for rule in card.direct_highest],
    }
    for what, names in named.items():
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            yield f"two {what} are named {', '.join(map(repr, twice))}"
        if not all(names):
            yield f"{what} must have a name"


def _source_faults(card: Scorecard) -> Iterator[str]:
    sources = [("source", card.source), ("cut_offs_source", card.cut_offs_source)]
    if card.segments is not None:
        sources.append(("segments", card.segments.source))
    sources += [(f"sub-item {item.name!r}", item.source) for item in card.sub_items]
    sources += [(f"rule {rule.code!r}", rule.source) for rule in card.direct_highest]
    for where, text in sources:
        if not text.strip():
            yield f"{where}: say where the numbers come from, if only 'convention'"
