"""The tier policy: one versioned file that a risk committee owns, defends and adjusts.

Sections hold types only: what makes a policy lawful is checked once for the whole file
(`kyc_ml.tiers.lawful`), so that every fault is told at once.
"""

from __future__ import annotations

from typing import Final, Literal, Self

import pandas as pd
from pydantic import Field, model_validator

from kyc_ml.config import Day, Section
from kyc_ml.decision.rating.card import PointCondition, Scorecard
from kyc_ml.decision.tiers.fit_sections import FitPolicy
from kyc_ml.decision.tiers.policy_rules import faults_of
from kyc_ml.display import say_in_html, say_plainly

WHOLE: Final = "all"
"""Name of the cut-offs of everyone who has none of their own."""


class TierRule(Section):
    """One tier: its lowest probability and what follows from it."""

    name: str
    """Name of the tier."""
    name_zh: str
    """Name in Chinese."""
    from_probability: float = Field(ge=0.0, le=1.0)
    """Lowest probability of the tier; the lowest tier starts at 0."""
    due_diligence: Literal["simplified", "standard", "enhanced"]
    """What the tier asks for."""
    review_months: int = Field(gt=0)
    """A customer of this tier is reviewed again within so many months."""
    monitoring: str
    """How closely transactions are watched, in the bank's own words."""


class OwnCutOffs(Section):
    """A segment with cut-offs of its own; a tier not named keeps the cut-off of the whole."""

    name: str
    """Name of the segment."""
    values: tuple[str, ...]
    """Values of the segment feature that belong to it."""
    from_probability: dict[str, float]
    """Lowest probability by tier; the lowest tier starts at 0 everywhere."""
    source: str = ""
    """Who decided so, and on what grounds."""


class SegmentPolicy(Section):
    """Which feature parts the customers, and who has cut-offs of their own.

    A missing or an unlisted value has the cut-offs of the whole.
    """

    feature: str
    """Category feature that tells the segments apart."""
    own: tuple[OwnCutOffs, ...]
    """Segments with cut-offs of their own."""


class OverrideRule(Section):
    """A declared rule: where all its conditions hold, a floor or a fixed tier.

    A floor only raises; nothing lowers it. A fixed tier replaces that of the score, up or
    down, but never goes below a floor. A rule is in force from `start` until the day before
    `expiry`.
    """

    code: str
    """Short code that score rows carry."""
    english: str = ""
    """What it is, for people."""
    chinese: str = ""
    """The same in Chinese."""
    source: str = ""
    """Where the rule comes from."""
    when: tuple[PointCondition, ...] = ()
    """Conditions that must all hold."""
    floor: str | None = None
    """Lowest tier that it allows; or tier."""
    tier: str | None = None
    """Tier that it sets; or floor."""
    start: Day | None = None
    """First day in force."""
    expiry: Day | None = None
    """First day no longer in force."""
    requester: str = ""
    """Who asked for it."""
    approver: str = ""
    """Who approved it; someone else."""


class FactPolicy(Section):
    """What rules and segments read, and what to do where a source does not have it."""

    absent: Literal["drop", "refuse"] = "drop"
    """drop: do without a rule whose feature the source lacks, and say so; refuse: do not grade."""
    third_party_items: tuple[str, ...] = ()
    """Items of the third_party table that rules read, beside those of the configuration."""


class ExpertPolicy(Section):
    """The expert rating beside the model, and what both together give."""

    card: Scorecard
    tier_of_grade: dict[str, str]
    """The tier each grade of the card stands for."""
    raise_only: bool = True
    """The model can raise the tier of the expert rating, but never lower it."""
    table: dict[str, dict[str, str]] = Field(default_factory=dict)
    """Tier by grade, then by the model's tier; none is the higher of both."""
    source: str = ""
    """Where the table comes from."""


class Hysteresis(Section):
    """When a customer's tier may fall; it rises at once.

    It falls to what the last `reviews` reviews all stayed at or below, or to what the
    probability stays in even if divided by ``1 - margin``, whichever is lower; never within
    `cool_down_days` of a rise.
    """

    reviews: int | None = Field(default=None, ge=1)
    """Consecutive reviews, this one included; None: no number of reviews is enough."""
    margin: float | None = Field(default=None, ge=0.0, lt=1.0)
    """Share of a cut-off by which a probability must lie below it; None: none is enough."""
    cool_down_days: int = Field(default=0, ge=0)
    """Days after a rise within which no tier falls."""


class WorkingDayList(Section):
    """Days that differ from the weekly rhythm, as a government announces them.

    After `until` nothing is announced yet: the weekly rhythm alone is used. Score runs count
    such rows, and say so once the next year should be listed.
    """

    source: str
    """Who announced them."""
    verified_on: Day
    """Day on which somebody last compared it with its source."""
    until: Day
    """Last day that was announced."""
    holidays: tuple[Day, ...] = ()
    """Weekdays off."""
    make_up_days: tuple[Day, ...] = ()
    """Days of a weekend that are worked (调休)."""


class CalendarPolicy(Section):
    """On which days a review may fall due; one due on another day is due the day before."""

    timezone: str = "UTC"
    """Zone whose days count, for reviews and for the validity of overrides."""
    working_days: Literal["every_day", "weekdays"] = "every_day"
    """On which days of the week a review may fall due."""
    listed: WorkingDayList | None = None
    """Days that differ; null: none do."""


class Retention(Section):
    """How long tiers and what led to them are kept."""

    years: int = Field(default=10, ge=1)
    """Years to keep them."""
    counted_from: str = "end of the business relationship"
    """From when the years count."""
    source: str = "PBOC Order 〔2025〕No. 11: identity data and transaction records, 10 years"
    """Where the duty comes from."""


class TierPolicy(Section):
    """A versioned tier policy; tiers run from the lowest to the highest risk.

    Source of the review rule: 银发〔2013〕2号: the highest grade at least every half year,
    each lower one at most twice the period of the grade above it.
    """

    name: str
    """Name of the policy, as score rows carry it."""
    version: int = Field(ge=1)
    """Raise it with every change."""
    author: str | None = None
    """Who wrote it."""
    approver: str | None = None
    """Someone else than the author; None is a proposal that nobody has approved."""
    valid_from: Day | None = None
    """First local day of a run that may grade by it; see `require_in_force`."""
    disclosure: Literal["internal_only"] = "internal_only"
    """Tiers and what led to them are for the bank alone."""
    tellable_families: tuple[str, ...] = ("profile",)
    """Feature families whose plain facts a customer may be told; see `disclosure`."""
    retention: Retention = Retention()
    tiers: tuple[TierRule, ...]
    """From the lowest to the highest risk."""
    segments: SegmentPolicy | None = None
    overrides: tuple[OverrideRule, ...] = ()
    """Declared rules that raise or set tiers."""
    facts: FactPolicy = FactPolicy()
    expert: ExpertPolicy | None = None
    hysteresis: Hysteresis | None = None
    calendar: CalendarPolicy = CalendarPolicy()
    fit: FitPolicy | None = None
    """How `kyc-ml tiers fit` proposes cut-offs; it changes none of those above."""

    @property
    def label(self) -> str:
        """Name and version, as score tables carry them."""
        return f"{self.name} v{self.version}"

    @property
    def tier_names(self) -> tuple[str, ...]:
        """Names of the tiers, lowest first."""
        return tuple(tier.name for tier in self.tiers)

    def place(self, tier: str) -> int:
        """Place of a tier, 0 for the lowest; ValueError if the policy has none of that name."""
        return self.tier_names.index(tier)

    def cut_offs(self, segment: str = WHOLE) -> tuple[float, ...]:
        """Lowest probability of each tier in a segment, lowest tier first."""
        whole = {tier.name: tier.from_probability for tier in self.tiers}
        for own in () if self.segments is None else self.segments.own:
            if own.name == segment:
                whole |= own.from_probability
        return tuple(whole[name] for name in self.tier_names)

    @property
    def segment_names(self) -> tuple[str, ...]:
        """Segments that have cut-offs of their own, in the policy's order."""
        return () if self.segments is None else tuple(own.name for own in self.segments.own)

    def _facts(self) -> dict[str, object]:
        return {
            "approved by": self.approver or "nobody: a proposal",
            "valid from": self.valid_from or "–",
            "segments": ", ".join(self.segment_names) or "none",
            "overrides": ", ".join(rule.code for rule in self.overrides) or "none",
            "expert rating": "none" if self.expert is None else self.expert.card.name,
        }

    def __repr__(self) -> str:
        tiers = ", ".join(f"{tier.name} from {tier.from_probability:g}" for tier in self.tiers)
        return say_plainly(f"TierPolicy {self.label}", {"tiers": tiers, **self._facts()})

    def __str__(self) -> str:
        return repr(self)

    def _repr_html_(self) -> str:
        columns = ["name", "from_probability", "due_diligence", "review_months", "monitoring"]
        tiers = [[getattr(tier, name) for name in columns] for tier in self.tiers]
        table = pd.DataFrame(tiers, columns=["tier", *columns[1:]])
        return say_in_html(f"TierPolicy {self.label}", self._facts(), tables=[table])

    @model_validator(mode="after")
    def _policy_is_lawful(self) -> Self:
        faults = list(faults_of(self))
        if faults:
            raise ValueError("; ".join(faults))
        return self
