"""The validation policy: settings of the checks, and the gates that their figures must pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from kyc_ml.config import Section, load_section, section_digest
from kyc_ml.errors import ConfigError, Faults, hint
from kyc_ml.registry import PromotionPolicy
from kyc_ml.validation.check import Check
from kyc_ml.validation.result import PolicyIdentity, Severity

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class GateCondition(Section):
    """Another figure of the same check that must lie within bounds for a gate to count."""

    figure: str
    """Its name."""
    at_least: Number | None = None
    """Lower bound; equal counts."""
    at_most: Number | None = None
    """Upper bound; equal counts."""

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if self.at_least is None and self.at_most is None:
            msg = f"condition on {self.figure!r} needs at_least, at_most or both"
            raise ValueError(msg)
        return self

    def holds(self, value: float) -> bool:
        """Tell whether a figure lies within the bounds; equal does."""
        low = self.at_least is None or value >= self.at_least
        return low and (self.at_most is None or value <= self.at_most)


class Gate(Section):
    """A bound that a figure must keep to; equal passes.

    An undefined figure breaks no gate: the report says that it is undefined.
    """

    check: str
    """Id of the check, such as calibration.overall."""
    figure: str
    """Name of its figure."""
    at_least: Number | None = None
    """Lower bound; equal passes."""
    at_most: Number | None = None
    """Upper bound; equal passes."""
    or_figure: str | None = None
    """A figure of the same check: the bound is the larger of `at_most` and it, as for a
    critical value that grows as rows become few."""
    only_if: GateCondition | None = None
    """The gate counts only where this holds."""
    severity: Severity
    """amber is a finding that gets an owner and a due date, red fails the model."""
    source: str = Field(min_length=1)
    """Where the bound comes from; `convention` where it is one."""
    source_zh: str = ""
    """The same for the Chinese report, which otherwise shows `source`."""

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if self.at_least is None and self.at_most is None:
            msg = f"the gate on {self.check}/{self.figure} needs at_least, at_most or both"
            raise ValueError(msg)
        if self.or_figure is not None and self.at_most is None:
            msg = f"the gate on {self.check}/{self.figure}: or_figure needs at_most beside it"
            raise ValueError(msg)
        return self


class Group(Section):
    """Groups of customers to compare for fairness."""

    feature: str
    """A declared feature, known at the decision: a category, or a number with `cuts`."""
    cuts: tuple[Number, ...] = ()
    """Lower bounds of the groups but the first; a value equal to one belongs above it."""

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
    """The same above `large` judged rows, where intervals are narrow and samples cost time."""
    large: int = Field(default=200_000, ge=1)
    """Judged rows above which there are many."""
    seed: int = Field(default=20130105, ge=0)
    """Draws samples and perturbations."""
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
    """How far numbers are moved in their ranks: standard deviation, as a share of the rows."""
    fewest: int = Field(default=20, ge=1)
    """Positives, and negatives, that a segment, period or group needs to be evaluated."""
    slices: int = Field(default=16, ge=2)
    """Leaves of the tree that looks for weak spots."""
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
    """What a model must pass, who decided so, and how long it holds."""

    name: str
    """Name of the policy, as reports quote it."""
    version: int = Field(ge=1)
    """Raise it with every change."""
    author: str
    """Who decided so."""
    report_valid_days: int = Field(default=90, ge=1)
    """Age at which a report promotes nothing any more."""
    finding_due_days: int = Field(default=90, ge=1)
    """Days from the report to the day a finding is closed, at the latest."""
    promotion: PromotionPolicy = PromotionPolicy()
    settings: Settings = Settings()
    headline: tuple[tuple[str, str], ...] = ()
    """Key figures for the first screen: check and figure."""
    gates: tuple[Gate, ...] = Field(min_length=1)
    """The limits that decide the verdict."""

    def identity(self) -> PolicyIdentity:
        """Name the policy as a report does; who may promote is no part of its digest."""
        judged_by = self.model_copy(update={"promotion": PromotionPolicy()})
        return PolicyIdentity(
            name=self.name,
            version=self.version,
            digest=section_digest(judged_by),
            report_valid_days=self.report_valid_days,
            finding_due_days=self.finding_due_days,
        )


def load_policy(path: Path, *, checks: Mapping[str, Check]) -> ValidationPolicy:
    """Read a validation policy and check that its gates name existing checks and figures.

    Parameters
    ----------
    checks : mapping of id to Check

    Raises
    ------
    ConfigError
        If the file breaks its rules, or names a check or figure there is none of; all faults
        are listed.
    """
    policy = load_section(path, ValidationPolicy)
    require_known_checks(policy, checks=checks, subject=str(path))
    return policy


def require_known_checks(
    policy: ValidationPolicy, *, checks: Mapping[str, Check], subject: str
) -> None:
    """Refuse gates and headlines on figures that no check computes, and gates written twice.

    Raises
    ------
    ConfigError
        Naming all of them.
    """
    faults = Faults(subject, ConfigError)
    asked = [(f"gates.{place}", gate.check, _figures(gate)) for place, gate in _numbered(policy)]
    asked += [
        (f"headline.{place}", check, [figure])
        for place, (check, figure) in enumerate(policy.headline, 1)
    ]
    for where, name, figures in asked:
        if name not in checks:
            faults.add(f"{where}: there is no check {name!r}{hint(name, checks)}")
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


def _numbered(policy: ValidationPolicy) -> list[tuple[int, Gate]]:
    return list(enumerate(policy.gates, 1))


def _figures(gate: Gate) -> list[str]:
    found = [gate.figure, gate.or_figure, None if gate.only_if is None else gate.only_if.figure]
    return [name for name in found if name is not None]
