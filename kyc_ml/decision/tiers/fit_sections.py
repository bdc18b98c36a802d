"""The section `fit` of a policy: how `kyc-ml tiers fit` proposes cut-offs."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from kyc_ml.config import Section
from kyc_ml.errors import hint


class FixedFit(Section):
    """Cut-offs are decided by people: nothing is proposed."""

    method: Literal["fixed"]
    """Nothing is proposed."""


class BadRateFit(Section):
    """The fewest rows above each cut-off that bad rates allow, from the lowest tier up."""

    method: Literal["target_bad_rate"]
    """By target bad rate."""
    highest_bad_rate: dict[str, float]
    """Highest observed bad rate by tier, increasing; all tiers but the highest."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1.0)
    """Level of the one-sided upper bound that must not exceed it."""
    interval: Literal["jeffreys", "clopper_pearson"] = "jeffreys"
    """How the upper bound is computed."""
    fewest_rows: int = Field(default=100, ge=1)
    """Fewest rows of a tier: fewer are too few for a rate (convention). A tier whose rows all
    fit into the one below it keeps this number."""


class CapacityFit(Section):
    """Each tier gets as many alerts as can be reviewed."""

    method: Literal["capacity"]
    """By capacity."""
    per: Literal["day", "month"]
    """Calendar days, or months of 365.25 / 12 days."""
    alerts: dict[str, float]
    """Alerts per day or month by tier: the highest tiers without a gap. Tiers that are not
    named keep their cut-offs."""


class Action(Section):
    """Cost and benefit of a tier's measures."""

    cost: float = Field(ge=0.0, allow_inf_nan=False)
    """Cost of one observation in this tier, in the unit of `loss`."""
    prevented: float = Field(ge=0.0, le=1.0)
    """Share of the loss that it prevents if the observation is bad."""


class CostFit(Section):
    """Each tier begins where its action costs less in total than that of the tier below."""

    method: Literal["expected_cost"]
    """By expected cost."""
    loss: float = Field(gt=0.0, allow_inf_nan=False)
    """Loss of a bad observation without any action."""
    actions: dict[str, Action]
    """Action by tier, all of them; both cost and share prevented increase from tier to tier."""
    source: str = ""
    """Where loss and costs come from."""

    def thresholds(self, tiers: Sequence[str]) -> tuple[float, ...]:
        """Return the probability from which each tier's action costs less than the one below.

        An observation of probability p costs ``cost_j + p * loss * (1 - prevented_j)`` in
        tier j. Tier j costs at most as much as tier j - 1 from ::

            p_j = (cost_j - cost_(j-1)) / (loss * (prevented_j - prevented_(j-1)))

        It rises with the cost and falls with the loss. Where the p_j increase, the tier
        between two of them is the cheapest of all.

        Source: Elkan 2001, The foundations of cost-sensitive learning, IJCAI 17, 973-978,
        for two actions; each pair of neighbouring actions is such a case.

        Returns tuple of float, one per tier except the lowest.
        """
        actions = [self.actions[tier] for tier in tiers]
        return tuple(
            (high.cost - low.cost) / (self.loss * (high.prevented - low.prevented))
            for low, high in itertools.pairwise(actions)
        )


FitMethod = Annotated[
    FixedFit | BadRateFit | CapacityFit | CostFit,
    Field(discriminator="method"),
]


class FitPolicy(Section):
    """How cut-offs are proposed, for all customers and for segments with separate cut-offs."""

    whole: FitMethod
    """Method for all customers."""
    segments: dict[str, FitMethod] = Field(default_factory=dict)
    """Method by segment; a segment that is not named keeps its cut-offs."""
    borrow_strength: float = Field(default=30.0, ge=0.0, allow_inf_nan=False)
    """Weight of the overall estimate in a segment's cut-offs (shrinkage), in positives."""
    fewest_positives: int = Field(default=10, ge=0)
    """Fewest positives of a segment; with fewer it takes the cut-offs of all (convention)."""
    samples: int = Field(default=200, ge=0)
    """Bootstrap samples of customers for the confidence intervals of cut-offs; 0: no intervals."""
    seed: int = Field(default=20130105, ge=0)
    """Seed of the bootstrap samples."""

    def faults(self, tiers: Sequence[str], segments: Sequence[str]) -> Iterator[str]:
        """List what does not match the policy's tiers and segments."""
        yield from (f"whole: {fault}" for fault in _method_faults(self.whole, tiers))
        for name, method in self.segments.items():
            where = f"segments.{name}"
            if name not in segments:
                yield f"{where}: unknown segment{hint(name, segments)}"
            yield from (f"{where}: {fault}" for fault in _method_faults(method, tiers))


def _method_faults(method: FitMethod, tiers: Sequence[str]) -> Iterator[str]:
    match method:
        case BadRateFit():
            yield from _target_faults(method.highest_bad_rate, tiers)
        case CapacityFit():
            yield from _capacity_faults(method.alerts, tiers)
        case CostFit():
            yield from _cost_faults(method, tiers)


def _target_faults(targets: dict[str, float], tiers: Sequence[str]) -> Iterator[str]:
    if sorted(targets) != sorted(tiers[:-1]):
        yield f"highest_bad_rate must name every tier but the highest: {', '.join(tiers[:-1])}"
        return
    rates = [targets[tier] for tier in tiers[:-1]]
    if not all(0.0 < rate < 1.0 for rate in rates):
        yield f"highest_bad_rate must lie between 0 and 1, got {rates}"
    if any(high <= low for low, high in itertools.pairwise(rates)):
        yield f"highest_bad_rate must increase from tier to tier, got {rates}"


def _capacity_faults(alerts: dict[str, float], tiers: Sequence[str]) -> Iterator[str]:
    n = len(alerts)
    if not 0 < n < len(tiers) or sorted(alerts) != sorted(tiers[-n:]):
        yield (
            "alerts must name the highest tiers without a gap, and not the lowest of all, got "
            f"{', '.join(alerts) or 'none'}"
        )
    if not all(0.0 < count < math.inf for count in alerts.values()):
        yield f"alerts must be above 0 and finite, got {list(alerts.values())}"


def _cost_faults(method: CostFit, tiers: Sequence[str]) -> Iterator[str]:
    if not method.source.strip():
        yield "source is missing: state where costs and loss come from"
    if sorted(method.actions) != sorted(tiers):
        yield f"actions must name every tier: {', '.join(tiers)}"
        return
    actions = [method.actions[tier] for tier in tiers]
    for name in ("cost", "prevented"):
        figures = [getattr(action, name) for action in actions]
        if any(high <= low for low, high in itertools.pairwise(figures)):
            yield f"{name} must increase from tier to tier, got {figures}"
            return
    cuts = method.thresholds(tiers)
    if any(high <= low for low, high in itertools.pairwise(cuts)) or cuts[-1] > 1.0:
        yield (
            f"the cut-offs that follow from costs are {[float(f'{cut:.4g}') for cut in cuts]}, "
            "and must increase up to 1: remove a tier whose action never pays"
        )
