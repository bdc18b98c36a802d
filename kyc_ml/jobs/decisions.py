"""List what the audit log holds: decisions and open findings; no registry is asked."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from kyc_ml.governance import AuditLog, Entry, RegisteredFinding, findings_register


def run_audit_log_show(*, log: Path, model: str | None, kind: str | None) -> tuple[Entry, ...]:
    """List the entries of a sound log, of one model or kind if asked to.

    Raises
    ------
    AuditError
        If the chain does not hold.
    """
    return tuple(
        entry
        for entry in AuditLog(log).require_sound()
        if model in (None, entry.model) and kind in (None, entry.kind)
    )


def run_findings(*, log: Path) -> tuple[RegisteredFinding, ...]:
    """List the findings with owner, due date and how they stand today.

    Raises
    ------
    AuditError
        If the chain does not hold.
    """
    return findings_register(AuditLog(log).require_sound(), today=datetime.now(UTC).date())
