"""The validation policy: settings of the checks, and the gates on their figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from kyc_ml.config import Section, load_section, section_digest
from kyc_ml.errors import ConfigError, Faults, hint
from kyc_ml.registry import PromotionPolicy
from kyc_ml.validation.check import Check
from kyc_ml.validation.result import PolicyIdentity, Severity

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class _Bounded(Section):
    """A figure and its bounds, at least one; a figure equal to a bound is within it."""

    figure: str
    """Name of the figure."""
    at_least: Number | None = None
    """Lower bound; equal passes."""
    at_most: Number | None = None
    """Upper bound; equal passes."""

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if self.at_least is None and self.at_most is None:
            msg = f"{self.figure!r} needs at_least, at_most or both"
            raise ValueError(msg)
        return self


class GateCondition(_Bounded):
    """A condition for a gate: another figure of the same check must be within bounds.

    If that figure is a p-value, its bound is the gate's share of the policy's `budget`.
    """

    def holds(self, value: float) -> bool:
        """Return whether a figure is within the bounds; an equal one is."""
        low = self.at_least is None or value >= self.at_least
        return low and (self.at_most is None or value <= self.at_most)


class Gate(_Bounded):
    """A threshold for a figure; a figure equal to it passes.

    An undefined figure does not break a gate; the report shows that it is undefined. If a check
    gives a figure by part (tier, segment or feature), and the condition as well, both must be of
    the same part, and the gate is on every part.
    """

    check: str
    """Id of the check, such as calibration.overall."""
    or_figure: str | None = None
    """A figure of the same check: the threshold is the larger of `at_most` and that figure, such
    as a critical value, which is larger for few rows."""
    only_if: GateCondition | None = None
    """The gate applies only if this condition is met."""
    severity: Severity
    """amber is a warning, a finding with an owner and a due date; red is critical, the model
    fails."""
    source: str = Field(min_length=1)
    """Source of the threshold, or `convention`."""
    source_zh: str = ""
    """Source in Chinese, for the Chinese report; default: `source`."""

    @model_validator(mode="after")
    def _or_figure_has_a_bound(self) -> Self:
        if self.or_figure is not None and self.at_most is None:
            msg = f"the gate on {self.check}/{self.figure}: or_figure needs at_most as well"
            raise ValueError(msg)
        return self


class Budget(Section):
    """How often all tests of a severity together may raise an alarm where nothing is wrong.

    The p-values in the gates of a severity sum to this at most, whatever the dependence between
    the tests (Bonferroni's inequality).
    """

    amber: Annotated[float, Field(gt=0.0, le=1.0)]
    """Share of correct models that may get a warning by chance."""
    red: Annotated[float, Field(gt=0.0, le=1.0)]
    """Share of correct models that may fail by chance."""


class Group(Section):
    """Groups of customers to compare for fairness."""

    feature: str
    """A declared feature, known at the decision: a category, or a number with `cuts`."""
    cuts: tuple[Number, ...] = ()
    """Lower bounds of all groups but the first; a value equal to a bound is in the group above."""

    @model_validator(mode="after")
    def _cuts_rise(self) -> Self:
        if list(self.cuts) != sorted(set(self.cuts)):
            msg = f"cuts of {self.feature!r} must rise, got {list(self.cuts)}"
            raise ValueError(msg)
        return self


class Settings(Section):
    """How the checks are run. Numbers without a source are convention."""

    draws: int = Field(default=500, ge=100)
    """Bootstrap samples of the customers. Source of the size: Davison and Hinkley 1997,
    Bootstrap Methods and their Application, section 5.2.2."""
    draws_of_large: int = Field(default=200, ge=100)
    """Bootstrap samples above `large` evaluated rows, where intervals are narrow anyway."""
    large: int = Field(default=200_000, ge=1)
    """Number of evaluated rows above which `draws_of_large` applies."""
    seed: int = Field(default=20130105, ge=0)
    """Seed of samples and perturbations."""
    train_rows: int = Field(default=50_000, ge=1_000)
    """Most training rows drawn: for the baseline, the overfit check and the probes."""
    perturbed_rows: int = Field(default=20_000, ge=100)
    """Most rows that are perturbed, all positives first."""
    compared_rows: int = Field(default=200, ge=1)
    """Rows whose contributions are compared with another implementation, and that are scored
    one by one."""
    bins: int = Field(default=20, ge=5)
    """Bins of equal mass of a reliability table."""
    drift_bins: int = Field(default=10, ge=2)
    """Bins of a population stability index."""
    top_features: int = Field(default=20, ge=1)
    """Features with the largest contributions, whose drift has gates."""
    operating_points: int = Field(default=20, ge=1)
    """Capacities, evenly to twice the model's own."""
    noise: Share = 0.05
    """Size of the noise: standard deviation of the change of ranks, as a share of the rows."""
    fewest: int = Field(default=20, ge=1)
    """Positives, and negatives, that a segment or period needs to be evaluated; a group needs as
    many customers with them."""
    slices: int = Field(default=16, ge=2)
    """Leaves of the tree that searches for weak spots."""
    audit_times: int = Field(default=2, ge=1)
    """Decision times of the point-in-time audit."""
    period: Annotated[str, Field(pattern="^(day|week|month)$")] = "month"
    """Length of the periods that are evaluated separately."""
    segments: tuple[str, ...] = ()
    """Categories to evaluate separately; the report names those that the source does not have."""
    groups: tuple[Group, ...] = ()
    """Protected groups; the features need not be the model's own."""
    review_cost: float | None = Field(default=None, gt=0.0, allow_inf_nan=False)
    """Cost of one review; None takes the model's own tuning section."""
    miss_cost: float | None = Field(default=None, gt=0.0, allow_inf_nan=False)
    """Loss of one positive that is missed; None takes the model's own, or for transactions
    their amount."""


class ValidationPolicy(Section):
    """The gates for a model, their author, and how long a report is valid."""

    name: str
    """Name of the policy, as reports quote it."""
    version: int = Field(ge=1)
    """Raise it with every change."""
    author: str
    """Name of the author."""
    report_valid_days: int = Field(default=90, ge=1)
    """Age in days after which a report can no longer promote a model."""
    finding_due_days: int = Field(default=90, ge=1)
    """Days from the report to the latest due date of a finding."""
    promotion: PromotionPolicy = PromotionPolicy()
    settings: Settings = Settings()
    headline: tuple[tuple[str, str], ...] = ()
    """Key figures for the first screen: check and figure."""
    budget: Budget | None = None
    """Limits of the sum of the p-values in gates; null: no limit."""
    gates: tuple[Gate, ...] = Field(min_length=1)
    """The gates that decide the verdict."""

    def identity(self) -> PolicyIdentity:
        """Return the identity of the policy for a report.

        The digest does not cover `promotion`: who may promote does not change any verdict.
        """
        default, digest = default_policy(), self.digest()
        left_out = [
            gate for gate in default.gates if not any(_covers(own, gate) for own in self.gates)
        ]
        return PolicyIdentity(
            name=self.name,
            version=self.version,
            digest=digest,
            report_valid_days=self.report_valid_days,
            finding_due_days=self.finding_due_days,
            default_gates=len(default.gates),
            left_out=tuple(f"{each.check}/{each.figure}/{each.severity}" for each in left_out),
            weaker=_weaker(self, default),
            changed=self.name.casefold().strip() == default.name and digest != default.digest(),
            relaxed=("promotion.validator_may_approve",)
            if self.promotion.validator_may_approve
            else (),
        )

    def digest(self) -> str:
        """Return the SHA-256 of all but `promotion`."""
        return section_digest(self.model_copy(update={"promotion": PromotionPolicy()}))


@cache
def default_policy() -> ValidationPolicy:
    """Return the policy that comes with kyc_ml, whatever ``configs/validation.yaml`` holds now."""
    return load_section(_DEFAULT, ValidationPolicy)


_DEFAULT: Final = Path(__file__).with_name("default.yaml")
"""A copy of ``configs/validation.yaml``, with which others are compared."""

_SMALLER_IS_WEAKER: Final = (
    "draws", "draws_of_large", "large", "train_rows", "perturbed_rows", "compared_rows", "bins",
    "drift_bins", "top_features", "operating_points", "noise", "slices", "audit_times",
)  # fmt: skip
_LARGER_IS_WEAKER: Final = ("fewest",)
_LONGER_IS_WEAKER: Final = ("report_valid_days", "finding_due_days")


def _covers(own: Gate, default: Gate) -> bool:
    """Return whether a gate is broken wherever a default one is, and at least as severe."""
    applies, condition = own.only_if, default.only_if
    return (
        own.check == default.check
        and own.severity in ("red", default.severity)
        and _is_within(own, default)
        and own.or_figure in (None, default.or_figure)
        # a condition that is met wherever the default's is
        and (applies is None or (condition is not None and _is_within(condition, applies)))
    )


def _is_within(inner: _Bounded, outer: _Bounded) -> bool:
    """Return whether both bound the same figure, and the first is at least as strict."""
    low, high = outer.at_least, outer.at_most
    return (
        inner.figure == outer.figure
        and (low is None or (inner.at_least is not None and inner.at_least >= low))
        and (high is None or (inner.at_most is not None and inner.at_most <= high))
    )


def _weaker(own: ValidationPolicy, default: ValidationPolicy) -> tuple[str, ...]:
    """List the settings with which checks see less, or findings stay longer, than by default."""
    # a default segment or group may not be exchanged for another: it could have one value only
    mine, theirs = own.settings, default.settings
    numbers = [(name, getattr(own, name), getattr(default, name)) for name in _LONGER_IS_WEAKER]
    numbers += [
        (f"settings.{name}", getattr(mine, name), getattr(theirs, name))
        for name in _LARGER_IS_WEAKER
    ]
    numbers += [
        (f"settings.{name}", -getattr(mine, name), -getattr(theirs, name))
        for name in _SMALLER_IS_WEAKER
    ]
    found = [f"{name}: {abs(was):g} → {abs(now):g}" for name, now, was in numbers if now > was]
    segments = [each for each in theirs.segments if each not in mine.segments]
    groups = [each.feature for each in theirs.groups if each not in mine.groups]
    found += [
        f"settings.{name}: {', '.join(lost)} → –"
        for name, lost in (("segments", segments), ("groups", groups))
        if lost
    ]
    if mine.period != theirs.period:  # a shorter one has too few rows to be evaluated
        found.append(f"settings.period: {theirs.period} → {mine.period}")
    return tuple(found)


def load_policy(path: Path, *, checks: Mapping[str, Check]) -> ValidationPolicy:
    """Read a validation policy and check that its gates name existing checks and figures.

    `checks`: mapping of id to Check.
    Raises ConfigError if the file breaks its rules, names an unknown check or figure, or spends
    more than its budget; all faults are listed.
    """
    policy = load_section(path, ValidationPolicy)
    require_known_checks(policy, checks=checks, subject=str(path))
    return policy


def require_known_checks(
    policy: ValidationPolicy, *, checks: Mapping[str, Check], subject: str
) -> None:
    """Raise ConfigError if gates or headlines name unknown figures, or a gate is listed twice."""
    faults = Faults(subject, ConfigError)
    asked = [
        (f"gates.{place}", gate.check, _figures(gate)) for place, gate in enumerate(policy.gates, 1)
    ]
    asked += [
        (f"headline.{place}", check, [figure])
        for place, (check, figure) in enumerate(policy.headline, 1)
    ]
    for where, name, figures in asked:
        if name not in checks:
            faults.add(f"{where}: unknown check {name!r}{hint(name, checks)}")
            continue
        known = [measure.name for measure in checks[name].measures]
        faults.extend(
            f"{where}: check {name} has no figure {figure!r}{hint(figure, known)}; it has "
            f"{', '.join(known)}"
            for figure in figures
            if figure not in known
        )
    times = Counter((gate.check, gate.figure, gate.severity) for gate in policy.gates)
    faults.extend(
        f"gates: {check}/{figure} has {count} {severity} gates: keep one"
        for (check, figure, severity), count in times.items()
        if count > 1
    )
    faults.raise_if_any()
    for severity, spent in spent_budget(policy, checks=checks).items():
        allowed = None if policy.budget is None else getattr(policy.budget, severity)
        if allowed is not None and spent > allowed * (1.0 + 1e-9):  # rounding of the sum
            faults.add(
                f"budget.{severity}: the p-values of the {severity} gates sum to {spent:.4g}, "
                f"above {allowed:g}: lower them, or raise the budget"
            )
    faults.raise_if_any()


def spent_budget(policy: ValidationPolicy, *, checks: Mapping[str, Check]) -> dict[Severity, float]:
    """Return the sum of the p-values that the gates of each severity ask for."""
    spent: dict[Severity, float] = {"amber": 0.0, "red": 0.0}
    for gate in policy.gates:
        units = {measure.name: measure.unit for measure in checks[gate.check].measures}
        if units[gate.figure] == "p-value":
            spent[gate.severity] += gate.at_least or 0.0
        elif gate.only_if is not None and units[gate.only_if.figure] == "p-value":
            spent[gate.severity] += gate.only_if.at_most or 0.0
    return spent


def _figures(gate: Gate) -> list[str]:
    found = [gate.figure, gate.or_figure, None if gate.only_if is None else gate.only_if.figure]
    return [name for name in found if name is not None]
