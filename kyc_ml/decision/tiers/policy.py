"""The tier policy: one versioned file that a risk committee owns, approves and revises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pandas as pd
from pydantic import Field, ValidationInfo, field_validator

from kyc_ml.config import Day, Section, check_section, refuse_faults
from kyc_ml.decision.tiers.fit_sections import FitPolicy
from kyc_ml.decision.tiers.policy_rules import RULES
from kyc_ml.decision.tiers.sections import (
    WHOLE,
    CalendarPolicy,
    ExpertPolicy,
    FactPolicy,
    Hysteresis,
    OverrideRule,
    Retention,
    SegmentPolicy,
    TierRule,
)
from kyc_ml.display import say_in_html, say_plainly


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
    """Another person than the author; null: a proposal that is not approved."""
    valid_from: Day | None = None
    """First local day of a run that may use it; see `require_in_force`."""
    disclosure: Literal["internal_only"] = "internal_only"
    """Tiers and what led to them stay inside the bank."""
    tellable_families: tuple[str, ...] = ("profile",)
    """Feature families whose plain facts may be disclosed to the customer."""
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
    """How `kyc-ml tiers fit` proposes cut-offs; those above stay as they are."""

    @property
    def label(self) -> str:
        """Name and version, as score tables carry them."""
        return f"{self.name} v{self.version}"

    @property
    def tier_names(self) -> tuple[str, ...]:
        """Names of the tiers, lowest first."""
        return tuple(tier.name for tier in self.tiers)

    def with_rules(self, rules: Sequence[OverrideRule]) -> TierPolicy:
        """Return the policy with further rules, such as those of an `OverrideBook`.

        Raises
        ------
        ConfigError
            If a rule does not fit: an unknown tier, or a code that the policy has.
        """
        if not rules:
            return self
        content = self.model_dump(mode="json", by_alias=True)
        content["overrides"] += [rule.model_dump(mode="json", by_alias=True) for rule in rules]
        subject = f"rules of the overrides under policy {self.label!r}"
        return check_section(content, TierPolicy, subject=subject)

    def place(self, tier: str) -> int:
        """Return the place of a tier, 0 for the lowest; ValueError if it is not in the policy."""
        return self.tier_names.index(tier)

    def cut_offs(self, segment: str = WHOLE) -> tuple[float, ...]:
        """Return the lowest probability of each tier in a segment, lowest tier first."""
        for own in () if self.segments is None else self.segments.own:
            if own.name == segment:
                return own.bounds(self.tiers)
        return tuple(tier.from_probability for tier in self.tiers)

    @property
    def segment_names(self) -> tuple[str, ...]:
        """Segments that have separate cut-offs, in the policy's order."""
        return () if self.segments is None else tuple(own.name for own in self.segments.own)

    def _facts(self) -> dict[str, object]:
        return {
            "approved by": self.approver or "not approved: a proposal",
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

    @field_validator(*RULES)
    @classmethod
    def _check_rules(cls, value: object, info: ValidationInfo) -> object:
        # by field, so that pydantic reports the faults of all fields together
        if value is not None and info.field_name is not None:
            refuse_faults(RULES[info.field_name](value, info.data))
        return value
