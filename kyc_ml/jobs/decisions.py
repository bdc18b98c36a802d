"""List what the audit log holds: decisions and open findings; no registry is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kyc_ml.governance import (
    AuditLog,
    Entry,
    RegisteredFinding,
    conditions_in_force,
    findings_register,
)


def run_audit_log_show(*, log: Path, model: str | None, kind: str | None) -> tuple[Entry, ...]:
    """List the entries of a sound log, of one model or kind if asked to.

    Raises
    ------
    AuditError
        If there is no log, or its chain does not hold.
    """
    return tuple(
        entry
        for entry in AuditLog(log).require_kept().require_sound()
        if model in (None, entry.model) and kind in (None, entry.kind)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenMatters:
    """What sign-offs left to be done.

    Attributes
    ----------
    findings : tuple of RegisteredFinding
    conditions : mapping of 'NAME vVERSION' to what its use is subject to
    """

    findings: tuple[RegisteredFinding, ...]
    conditions: Mapping[str, tuple[str, ...]]


def run_findings(*, log: Path) -> OpenMatters:
    """List findings with owner, due date and how they stand today, and conditions of use.

    Raises
    ------
    AuditError
        If there is no log, or its chain does not hold.
    """
    entries = AuditLog(log).require_kept().require_sound()
    return OpenMatters(
        findings=findings_register(entries, today=datetime.now(UTC).date()),
        conditions=conditions_in_force(entries),
    )
