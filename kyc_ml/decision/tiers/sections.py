"""The sections of a tier policy, entered overrides, and the rules that concern one section.

Rules between sections are in `kyc_ml.decision.tiers.policy_rules`.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Final, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from pydantic import Field, ValidationInfo, field_validator, model_validator

from kyc_ml.config import Day, FilledText, Section, refuse_faults
from kyc_ml.decision.rating.card import PointCondition, Scorecard
from kyc_ml.metrics import Ints

WHOLE: Final = "all"
"""Name of the cut-offs of every customer whose segment has no separate ones."""

_SATURDAY: Final = 5


class TierRule(Section):
    """One tier: its lowest probability and what follows from it."""

    name: str
    """Name of the tier."""
    name_zh: str
    """Name in Chinese."""
    from_probability: float = Field(ge=0.0, le=1.0)
    """Lowest probability of the tier; the lowest tier starts at 0."""
    due_diligence: Literal["simplified", "standard", "enhanced"]
    """Due diligence that the tier requires."""
    review_months: int = Field(gt=0)
    """Longest time until the next review of a customer of this tier, in months."""
    monitoring: str
    """How closely transactions are monitored, in the bank's words."""


class OwnCutOffs(Section):
    """A segment with separate cut-offs; a tier that is not named keeps the cut-off of all."""

    name: str
    """Name of the segment."""
    values: tuple[str, ...] = Field(min_length=1)
    """Values of the segment feature that belong to it."""
    from_probability: dict[str, float]
    """Lowest probability by tier; the lowest tier starts at 0 everywhere."""
    source: FilledText
    """Who decided on them, and for what reason."""

    def bounds(self, tiers: Sequence[TierRule]) -> tuple[float, ...]:
        """Return the lowest probability of each tier in this segment, lowest tier first."""
        return tuple(self.from_probability.get(tier.name, tier.from_probability) for tier in tiers)


class SegmentPolicy(Section):
    """Which feature divides the customers into segments, and which have separate cut-offs.

    A missing or an unlisted value has the cut-offs of all.
    """

    feature: str
    """Category feature that divides the customers."""
    own: tuple[OwnCutOffs, ...]
    """Segments with separate cut-offs."""


class OverrideRule(Section):
    """A declared rule: a floor or a fixed tier for rows that meet all its conditions.

    A floor only raises; nothing lowers it. A fixed tier replaces that of the score, up or down, but
    never goes below a floor. A rule is in force from `start` until the day before `expiry`.
    """

    code: FilledText
    """Short code that score rows carry."""
    english: FilledText
    """What it is, in English."""
    chinese: FilledText
    """The same in Chinese."""
    source: FilledText
    """Where the rule comes from."""
    when: tuple[PointCondition, ...] = Field(min_length=1)
    """Conditions that must all be met."""
    floor: str | None = None
    """Lowest tier that it allows; or tier."""
    tier: str | None = None
    """Tier that it sets; or floor."""
    start: Day
    """First day in force."""
    expiry: Day
    """First day no longer in force."""
    requester: FilledText
    """Who asked for it."""
    approver: FilledText
    """Who approved it; another person."""

    @model_validator(mode="after")
    def _check_terms(self) -> Self:
        refuse_faults(_override_faults(self))
        return self


class EnteredOverride(Section):
    """An override for one customer, requested by one person and approved by another.

    It is in force from `start`, and not before `approved_on`, until the day before `expiry`
    or `withdrawn_on`.
    """

    customer_id: FilledText
    """The customer."""
    code: FilledText
    """Short code that score rows carry."""
    reason: FilledText
    """Why."""
    source: FilledText
    """Where the reason comes from."""
    floor: str | None = None
    """Lowest tier that it allows; or tier."""
    tier: str | None = None
    """Tier that it sets; or floor."""
    start: Day
    """First day in force."""
    expiry: Day
    """First day no longer in force."""
    approved_on: Day
    """Day of the approval: it was not known before."""
    withdrawn_on: Day | None = None
    """First day no longer in force, where it was withdrawn."""
    requester: FilledText
    """Who asked for it."""
    approver: FilledText
    """Who approved it; another person."""

    @field_validator("customer_id", mode="before")
    @classmethod
    def _is_text(cls, given: object) -> object:
        if isinstance(given, (int, float)):  # YAML reads 0012 as the number ten
            raise ValueError("a number has lost its leading zeros: write the identifier in quotes")
        return given

    @model_validator(mode="after")
    def _check_terms(self) -> Self:
        refuse_faults(_override_faults(self))
        return self

    def is_in_force(self, *, first: date, last: date) -> bool:
        """Return whether it is in force on any day from `first` to `last`."""
        begins = max(self.start, self.approved_on)
        ends = min(self.expiry, self.withdrawn_on or date.max)
        return begins <= last and first < ends and begins < ends


class OverrideBook(Section):
    """All overrides entered so far; expired and withdrawn ones stay, for scores of those days."""

    overrides: tuple[EnteredOverride, ...] = ()
    """Overrides for single customers."""
    rules: tuple[OverrideRule, ...] = ()
    """Rules that apply besides those of the policy, such as the floors of an incident."""


def _override_faults(override: OverrideRule | EnteredOverride) -> Iterator[str]:
    if override.approver == override.requester:
        yield f"approver {override.approver!r} is also the requester: another person must approve"
    if override.expiry <= override.start:
        yield f"expiry ({override.expiry}) must be later than start ({override.start})"
    if (override.floor is None) == (override.tier is None):
        yield "give either floor or tier"


class FactPolicy(Section):
    """What rules and segments read, and what to do where a source does not have it."""

    absent: Literal["drop", "refuse"] = "drop"
    """drop: leave out a rule whose feature the source lacks, and report it; refuse: do not
    assign tiers."""
    third_party_items: tuple[str, ...] = ()
    """Items of the third_party table that rules read, besides those of the configuration."""


class ExpertPolicy(Section):
    """The expert rating that is combined with the model's tier."""

    card: Scorecard
    tier_of_grade: dict[str, str]
    """The tier that each grade of the card corresponds to."""
    raise_only: bool = True
    """The model can raise the tier of the expert rating, but never lower it."""
    table: dict[str, dict[str, str]] = Field(default_factory=dict)
    """Tier by grade, then by the model's tier; without a table the higher of both counts."""
    source: str = ""
    """Where the table comes from."""

    def combine(self, tiers: Sequence[str]) -> Ints:
        """Tabulate the tier that each grade and each tier of the model give together.

        Returns int64 array of shape (number of grades, number of tiers); places in `tiers`.
        """
        place = {name: number for number, name in enumerate(tiers)}
        grades = [grade.name for grade in self.card.grades]
        if self.table:
            rows = [[place[self.table[grade][tier]] for tier in tiers] for grade in grades]
            return np.array(rows, np.int64)
        of_grade = np.array([place[self.tier_of_grade[grade]] for grade in grades], np.int64)
        return np.maximum(of_grade[:, None], np.arange(len(tiers))[None, :])


class Hysteresis(Section):
    """When a customer's tier may fall; it rises immediately.

    It falls to what the last `reviews` reviews all stayed at or below, or to what the
    probability stays in even if divided by ``1 - margin``, whichever is lower; never within
    `cool_down_days` of a rise.
    """

    reviews: int | None = Field(default=None, ge=1)
    """Consecutive reviews, this one included; null: no number of reviews is enough."""
    margin: float | None = Field(default=None, ge=0.0, lt=1.0)
    """Share of a cut-off by which a probability must lie below it; null: no margin is enough."""
    cool_down_days: int = Field(default=0, ge=0)
    """Days after a rise within which no tier falls."""

    @model_validator(mode="after")
    def _lets_a_tier_fall(self) -> Self:
        if self.reviews is None and self.margin is None:
            raise ValueError("give reviews, margin or both: without them no tier ever falls")
        return self


class WorkingDayList(Section):
    """Days that differ from the weekly rhythm, as a government announces them.

    After `until` nothing is announced yet: the weekly rhythm alone is used. Score runs count
    such rows, and warn once the next year should be listed.
    """

    source: str
    """Who announced them."""
    verified_on: Day
    """Day of the last comparison with the source."""
    until: Day
    """Last day that was announced."""
    holidays: tuple[Day, ...] = ()
    """Weekdays off."""
    make_up_days: tuple[Day, ...] = ()
    """Days of a weekend that are worked (调休)."""

    @model_validator(mode="after")
    def _check_days(self) -> Self:
        listed = (*self.holidays, *self.make_up_days)
        wrong = {
            f"after until ({self.until})": [day for day in listed if day > self.until],
            "of holidays are weekend days anyway": [
                day for day in self.holidays if day.weekday() >= _SATURDAY
            ],
            "of make_up_days are weekdays anyway": [
                day for day in self.make_up_days if day.weekday() < _SATURDAY
            ],
        }
        refuse_faults(
            f"{', '.join(day.isoformat() for day in days)} {why}"
            for why, days in wrong.items()
            if days
        )
        return self


class CalendarPolicy(Section):
    """On which days a review may fall due; one due on another day is due the day before."""

    timezone: str = "UTC"
    """Time zone of the days of reviews and of the validity of overrides."""
    working_days: Literal["every_day", "weekdays"] = "every_day"
    """On which days of the week a review may fall due."""
    listed: WorkingDayList | None = None
    """Days that differ; null: no day differs."""

    @field_validator("timezone")
    @classmethod
    def _check_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{zone!r} is not a time zone, such as Asia/Shanghai") from None
        return zone

    @field_validator("listed")
    @classmethod
    def _check_week(cls, listed: WorkingDayList | None, info: ValidationInfo) -> object:
        if listed is not None and info.data.get("working_days") == "every_day":
            raise ValueError("listed days differ from a working week: set working_days to weekdays")
        return listed


class Retention(Section):
    """How long tiers and what led to them are kept."""

    years: int = Field(default=10, ge=1)
    """Years to keep them."""
    counted_from: str = "end of the business relationship"
    """From when the years count."""
    source: str = "PBOC Order 〔2025〕No. 11: identity data and transaction records, 10 years"
    """Where the duty comes from."""
