"""The scorecard of the expert rating: grades, weighted sub-items, direct criteria.

Every number has a source. The rules of a field are checked field by field, so that all faults
of a card are reported together.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from kyc_ml.config import FilledText, Section, Unit, refuse_faults
from kyc_ml.features import Kind

EVERYONE: Final = "all"
"""The only segment of a card that does not divide its customers."""

_WEIGHTS_SUM: Final = 100.0
_SUM_TOLERANCE: Final = 1e-6
_FEWEST_GRADES: Final = 3

FactorFamily = Literal["customer", "geography", "product", "industry"]
"""Source: 银发〔2013〕2号: 客户特性, 地域, 业务（含金融产品、金融服务）, 行业（含职业）."""


class Grade(Section):
    """One grade; the lowest starts at the lowest possible score and has no `from_score`."""

    name: FilledText
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
    """One sub-item (风险子项): a feature, the scores of its values, and the weight of the score.

    A number is read by `below` and `steps`, a category by `scores` and `other`.
    """

    name: FilledText
    """Name of the sub-item."""
    family: FactorFamily
    """Which of the four risks it belongs to."""
    english: str
    """What it is, in English."""
    chinese: str
    """The same in Chinese."""
    feature: str
    """Declared feature that it reads."""
    weights: dict[str, float]
    """Weight p by segment; a segment that is not named does not use this sub-item."""
    below: int | None = None
    """Score of numbers below the first step."""
    steps: tuple[PointStep, ...] = ()
    """Scores of numbers, by rising value."""
    scores: dict[str, int] = Field(default_factory=dict)
    """Score of each category."""
    other: int | None = None
    """Score of every other category."""
    missing: int
    """Score where the value is missing: an unknown value may be a risk."""
    source: FilledText
    """Where feature and scores come from."""

    @property
    def kind(self) -> Kind:
        """What the scale reads: numbers or categories."""
        return "number" if self.steps or self.below is not None else "category"


class SegmentRule(Section):
    """Which weights a row has: those of the segment of its category, else of `otherwise`."""

    feature: str
    """Category feature that divides the customers."""
    by_value: dict[str, str]
    """Segment by value of the feature."""
    otherwise: str
    """Segment of all other values, and of a missing one."""
    source: FilledText
    """Where the segments come from."""


class PointCondition(Section):
    """A condition on one feature, as known at the decision.

    It holds for a number that is `at_least` the limit, or for a category that is `any_of`
    these; never where the value is missing.
    """

    feature: str
    """Declared feature that it reads."""
    at_least: float | None = Field(default=None, allow_inf_nan=False)
    """Lowest number for which it holds; or any_of."""
    any_of: tuple[str, ...] = ()
    """Categories for which it holds; or at_least."""

    @property
    def kind(self) -> Kind:
        """What the condition reads: a number or a category."""
        return "category" if self.any_of else "number"

    @model_validator(mode="after")
    def _has_one_limit(self) -> Self:
        if (self.at_least is not None) == bool(self.any_of):
            raise ValueError("give either at_least or any_of")
        return self


class DirectRule(PointCondition):
    """A criterion that puts a row into the highest grade, whatever its score is (直接定级)."""

    code: FilledText
    """Short code that score rows carry."""
    english: str
    """What it is, in English."""
    chinese: str
    """The same in Chinese."""
    source: FilledText
    """Where the criterion comes from."""


_Earlier = Mapping[str, Any]
"""Values of the card's fields before the one that is checked; a refused one is absent."""


def _grade_faults(grades: Sequence[Grade], earlier: _Earlier) -> Iterator[str]:
    yield from _name_faults([each.name for each in grades])
    if len(grades) < _FEWEST_GRADES:
        yield f"at least {_FEWEST_GRADES} grades are needed, got {len(grades)}"
    if grades and grades[0].from_score is not None:
        yield f"the lowest grade has no from_score, got {grades[0].from_score}"
    without = [each.name for each in grades[1:] if each.from_score is None]
    if without:
        yield f"grade {', '.join(map(repr, without))} needs a from_score"
    cuts = [each.from_score for each in grades[1:] if each.from_score is not None]
    if any(not low < high for low, high in itertools.pairwise(cuts)):
        yield f"from_score must increase from grade to grade, got {cuts}"
    lowest = _WEIGHTS_SUM / max(len(grades), 1)
    if any(not lowest < cut <= _WEIGHTS_SUM for cut in cuts):
        yield f"every from_score must lie above 100 / {len(grades)} and be at most 100, got {cuts}"


def _item_faults(items: Sequence[SubItem], earlier: _Earlier) -> Iterator[str]:
    yield from _name_faults([each.name for each in items])
    for item in items:
        yield from (f"sub-item {item.name!r}: {fault}" for fault in _scale_faults(item, earlier))
    if "segments" in earlier:
        yield from _weight_faults(items, _segment_names(earlier["segments"]))


def _weight_faults(items: Sequence[SubItem], known: Sequence[str]) -> Iterator[str]:
    for item in items:
        for segment, weight in item.weights.items():
            if segment not in known:
                yield (
                    f"sub-item {item.name!r}: unknown segment {segment!r}; "
                    f"known: {', '.join(known)}"
                )
            if not 0.0 < weight < math.inf:
                yield (
                    f"sub-item {item.name!r}: the weight of {segment!r} must be above 0, got "
                    f"{weight:g}: leave out a segment that does not use it"
                )
        if not item.weights:
            yield f"sub-item {item.name!r} has no weight in any segment"
    for segment in known:
        total = math.fsum(item.weights.get(segment, 0.0) for item in items)
        if not abs(total - _WEIGHTS_SUM) <= _SUM_TOLERANCE:
            yield f"the weights of {segment!r} must sum to 100, got {total:g}"


def _scale_faults(item: SubItem, earlier: _Earlier) -> Iterator[str]:
    number = bool(item.steps) and item.below is not None
    category = bool(item.scores) and item.other is not None
    given = bool(item.steps) or item.below is not None, bool(item.scores) or item.other is not None
    if not (number or category) or all(given):
        yield "give either below and steps, or scores and other"
    starts = [step.from_ for step in item.steps]
    if not all(map(math.isfinite, starts)) or any(b <= a for a, b in itertools.pairwise(starts)):
        yield f"steps must start at increasing finite values, got {starts}"
    if "grades" not in earlier:
        return
    m = len(earlier["grades"])
    every = [item.below, item.other, item.missing, *item.scores.values()]
    every += [step.score for step in item.steps]
    outside = sorted({score for score in every if score is not None and not 1 <= score <= m})
    if outside:
        yield f"scores must lie in 1 to {m}, got {', '.join(map(str, outside))}"


def _direct_faults(rules: Sequence[DirectRule], earlier: _Earlier) -> Iterator[str]:
    yield from _name_faults([rule.code for rule in rules])


def _name_faults(names: Sequence[str]) -> Iterator[str]:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        yield f"names must differ, but {', '.join(map(repr, twice))} occurs twice"


def _segment_names(segments: SegmentRule | None) -> tuple[str, ...]:
    if segments is None:
        return (EVERYONE,)
    return tuple(sorted({*segments.by_value.values(), segments.otherwise}))


_RULES: Final[Mapping[str, Callable[[Any, _Earlier], Iterator[str]]]] = {
    "grades": _grade_faults,
    "sub_items": _item_faults,
    "direct_highest": _direct_faults,
}
"""The rule of each field of `Scorecard`."""


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
    """Ratings and what led to them stay inside the bank."""
    source: FilledText
    """Which guideline it follows."""
    absent: Literal["drop", "refuse"]
    """What to do where the source lacks the feature: leave the sub-item out for all rows and
    scale the other weights to 100 (drop), or do not rate (refuse)."""
    grades: tuple[Grade, ...]
    """From the lowest to the highest risk."""
    cut_offs_source: FilledText
    """Where the grades' cut-offs come from."""
    segments: SegmentRule | None = None
    sub_items: tuple[SubItem, ...]
    """What is scored, and the weight of each score."""
    direct_highest: tuple[DirectRule, ...] = ()
    """Criteria that give the highest grade whatever the score is."""

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
        """Segments that have separate weights, sorted."""
        return _segment_names(self.segments)

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

    @field_validator(*_RULES)
    @classmethod
    def _check_rules(cls, value: object, info: ValidationInfo) -> object:
        # by field, so that pydantic reports the faults of all fields together
        if info.field_name is not None:
            refuse_faults(_RULES[info.field_name](value, info.data))
        return value
