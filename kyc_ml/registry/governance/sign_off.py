"""A validator's conclusion on a report, with owners and due dates of findings."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any, Literal, Self

from kyc_ml.config import parse_day
from kyc_ml.errors import ConfigError, Faults, hint
from kyc_ml.registry.governance.chain import Entry
from kyc_ml.registry.governance.evidence import ReportFacts
from kyc_ml.registry.governance.names import is_among, is_named

Decision = Literal["approve", "approve_with_conditions", "reject"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedFinding:
    """A finding with its owner and due date (ISO date)."""

    id: str
    severity: str
    text: str
    owner: str
    due: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignOff:
    """A validator's conclusion on one report."""

    report_sha256: str
    """Of report.json: a changed report is not signed off."""
    bundle_digest: str
    verdict: str
    """Of the report."""
    conclusion: Decision
    conditions: tuple[str, ...]
    """What must be kept to while the model is in use."""
    comment: str
    """Limits of the validation, or why it was rejected."""
    materiality: str
    """Model materiality, exposure times purpose, in the view of the validator; '' where not stated.
    Source of the notion: SR 26-2."""
    findings: tuple[OwnedFinding, ...]

    def to_facts(self) -> dict[str, Any]:
        """Return plain values for an entry of the audit log."""
        return {**asdict(self), "conditions": list(self.conditions),
                "findings": [asdict(each) for each in self.findings]}  # fmt: skip

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Self:
        """Read what `to_facts` gave."""
        findings = tuple(OwnedFinding(**each) for each in facts["findings"])
        conditions = tuple(facts["conditions"])
        return cls(**{**facts, "findings": findings, "conditions": conditions})


def make_sign_off(
    report: ReportFacts,
    *,
    validator: str,
    trainers: Sequence[str],
    conclusion: Decision,
    owners: Mapping[str, tuple[str, str]],
    conditions: Sequence[str],
    comment: str,
    materiality: str,
    today: date,
) -> SignOff:
    """Check a validator's conclusion against the report and give it a form to keep.

    `trainers`: who trained the model; none of them may sign.
    `owners`: mapping of finding id to (owner, due date); a due date of '' is the last day that the
    policy of the report allows.
    Raises ConfigError with every rule that is broken.
    """
    faults = Faults(f"sign-off of {report.model} v{report.version or '-'}", ConfigError)
    last = report.created_at.date() + timedelta(days=report.finding_due_days)
    faults.extend(_person_faults(validator, [*trainers, *report.trainers]))
    faults.extend(_conclusion_faults(report, conclusion, conditions, comment))
    faults.extend(_finding_faults(report, owners, conclusion, today=today, last=last))
    faults.raise_if_any()
    return SignOff(
        report_sha256=report.digest,
        bundle_digest=report.bundle_digest,
        verdict=report.verdict,
        conclusion=conclusion,
        conditions=tuple(conditions),
        comment=comment,
        materiality=materiality,
        findings=tuple(
            OwnedFinding(
                id=each.id,
                severity=each.severity,
                text=each.text,
                owner=owners[each.id][0],
                due=owners[each.id][1] or last.isoformat(),
            )
            for each in report.findings
            if each.id in owners
        ),
    )


def latest_sign_off(entries: Sequence[Entry], *, report: str) -> tuple[Entry, SignOff] | None:
    """Find the last sign-off of the report with this digest; None without one."""
    for entry in reversed(entries):
        if entry.kind == "sign_off" and entry.facts["report_sha256"] == report:
            return entry, SignOff.from_facts(entry.facts)
    return None


def _person_faults(validator: str, trainers: Sequence[str]) -> list[str]:
    if not is_named(validator):
        return ["--validator must name a person"]
    if is_among(validator, trainers):
        return [f"{validator} trained the model and cannot sign it off: someone else must"]
    return []


def _conclusion_faults(
    report: ReportFacts, conclusion: str, conditions: Sequence[str], comment: str
) -> list[str]:
    faults = []
    if conclusion != "reject" and report.verdict == "fail":
        faults.append("the report's verdict is fail: it can only be rejected")
    if conclusion != "reject" and not report.complete:
        faults.append("the report holds only some checks: validate without --only, or reject")
    if conclusion == "approve_with_conditions" and not conditions:
        faults.append("approve_with_conditions needs at least one --condition")
    if conclusion != "approve_with_conditions" and conditions:
        faults.append(f"{conclusion} takes no --condition: conclude approve_with_conditions")
    if conclusion == "reject" and not comment.strip():
        faults.append("reject needs a --comment that says why")
    return faults


def _finding_faults(
    report: ReportFacts,
    owners: Mapping[str, tuple[str, str]],
    conclusion: str,
    *,
    today: date,
    last: date,
) -> list[str]:
    known = [each.id for each in report.findings]
    faults = [
        f"--finding {name}: the report has no such finding{hint(name, known)}"
        for name in owners
        if name not in known
    ]
    for name, (owner, due) in owners.items():
        if not is_named(owner):
            faults.append(f"--finding {name}: the owner is missing; write {name}=OWNER,YYYY-MM-DD")
        faults += _due_faults(name, due or last.isoformat(), today=today, last=last)
    if conclusion != "reject":
        faults += [
            f"finding {name} has no owner: add --finding {name}=OWNER,YYYY-MM-DD"
            for name in known
            if name not in owners
        ]
    return faults


def _due_faults(name: str, due: str, *, today: date, last: date) -> list[str]:
    try:
        day = parse_day(due)
    except ValueError as error:
        return [f"--finding {name}: the due date {error}"]
    if not today <= day <= last:
        return [f"--finding {name}: due {day} must be between today ({today}) and {last}, which "
                "the validation policy allows at most"]  # fmt: skip
    return []
