"""The evidence of a promotion: a report, a registered version, and who made each."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

OUT_OF_FOLD: Final = "stability.score_psi/out_of_fold/amber"
"""Id of the finding that a report has if it was evaluated on out-of-fold rows only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFinding:
    """A finding of a report: its id, severity, and a sentence without a customer's value."""

    id: str
    severity: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFacts:
    """The parts of a validation report that governance reads."""

    digest: str
    """SHA-256 of report.json on disk."""
    model: str
    version: str
    bundle_digest: str
    """Of the bundle that was validated."""
    validator: str
    """Person who made the report; '' if not recorded."""
    trainers: tuple[str, ...]
    """Who trained the model, as the report has it."""
    verdict: str
    """'pass', 'pass_with_findings' or 'fail'."""
    complete: bool
    """False where only some checks were run."""
    created_at: datetime
    """With a time zone."""
    policy_digest: str
    """Of the limits of its validation policy."""
    finding_due_days: int
    """Longest time from the report to the day a finding is closed."""
    findings: tuple[ReportFinding, ...]
    positives: int
    negatives: int
    """`positives` and `negatives`: evaluated rows of each class."""

    @property
    def caveats(self) -> tuple[str, ...]:
        """Return the limits of use of a version that this report promotes, as sentences."""
        return tuple(each.text for each in self.findings if each.id == OUT_OF_FOLD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A registered version."""

    name: str
    version: str
    digest: str
    """Of its bundle, as the registry has it."""
    trainers: tuple[str, ...]
    """Names of who trained it: the account that registered it, and the user that MLflow recorded
    with the run. Empty if no person is recorded. Anyone who may write to the registry can change
    both."""
    champion: str
    previous: str
    """`champion` and `previous`: versions under the aliases `champion` and `previous_champion`; ''
    for none."""
    trained_at: str = ""
    """When the training run was started, ISO in UTC; '' where no run is recorded."""
