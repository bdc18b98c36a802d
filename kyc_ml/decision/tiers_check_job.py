"""Read a tier policy, and list the reasons against using it."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from kyc_ml.config import load_section, section_digest
from kyc_ml.decision.tiers.policy import TierPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRead:
    """A policy file with its digest and the reasons against using it."""

    policy: TierPolicy
    digest: str
    findings: tuple[str, ...]
    """Empty where the policy is approved, in force and complete on the day asked about."""


def run_tiers_check(policy: Path, *, on: pd.Timestamp | None) -> PolicyRead:
    """Read a policy file and list the reasons against using it on a day.

    `on`: None does not check dates.
    Raises ConfigError if the file cannot be read or breaks a rule; all faults are listed.
    """
    read = load_section(policy, TierPolicy)
    findings = []
    if read.author is None or read.approver is None:
        findings.append("author and approver are not both named: it is a proposal, not in force")
    if read.valid_from is None:
        findings.append("valid_from is absent: its first day in force is unknown")
    if on is not None:
        day = on.date()
        if read.valid_from is not None and day < read.valid_from:
            findings.append(f"valid_from is {read.valid_from}, after {day}")
        findings += [
            f"override {rule.code!r} expired on {rule.expiry}"
            for rule in read.overrides
            if rule.expiry is not None and rule.expiry <= day
        ]
        listed = read.calendar.listed
        if listed is not None and listed.until < day:
            findings.append(f"the calendar's listed days end on {listed.until}: renew it")
    return PolicyRead(policy=read, digest=section_digest(read), findings=tuple(findings))
