"""List what the audit log holds: decisions and open findings; no registry is asked."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pandas as pd

from kyc_ml.registry.governance import register
from kyc_ml.registry.governance.chain import Entry
from kyc_ml.registry.governance.log import AuditLog

_STATUSES: Final = ("overdue", "open", "closed")


def run_audit_log_show(*, log: Path, model: str | None, kind: str | None) -> tuple[Entry, ...]:
    """List the entries of a sound log, of one model or kind if asked to.

    Raises AuditError if there is no log, or its chain is broken.
    """
    return tuple(
        entry
        for entry in AuditLog(log).require_kept().require_sound()
        if model in (None, entry.model) and kind in (None, entry.kind)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenMatters:
    """Open findings and conditions of use."""

    findings: tuple[register.RegisteredFinding, ...]
    conditions: tuple[register.ConditionsOfUse, ...]

    @property
    def overdue(self) -> bool:
        """Return whether a finding is."""
        return any(each.status == "overdue" for each in self.findings)

    def findings_frame(self) -> pd.DataFrame:
        """Tabulate: model, champion ('yes' or ''), finding, severity, owner, due, status."""
        rows = [
            {
                "model": f"{each.model} v{each.version}",
                "champion": "yes" if each.is_champion else "",
                "finding": each.finding.id,
                "severity": each.finding.severity,
                "owner": each.finding.owner,
                "due": each.finding.due,
                "status": each.status,
            }
            for each in self.findings
        ]
        return pd.DataFrame(rows)

    def facts(self) -> dict[str, object]:
        """Return the facts of the summary."""
        counts = {
            status: sum(each.status == status for each in self.findings) for status in _STATUSES
        }
        champion = {True: " (champion)", False: ""}
        conditions = {
            f"condition {n} of {each.model} v{each.version}{champion[each.is_champion]}": text
            for each in self.conditions
            for n, text in enumerate(each.texts, 1)
        }
        return {**counts, **conditions}


def run_findings(*, log: Path) -> OpenMatters:
    """List findings with owner, due date and status, and conditions of use.

    Raises AuditError if there is no log, or its chain is broken.
    """
    entries = AuditLog(log).require_kept().require_sound()
    return OpenMatters(
        findings=register.findings_register(entries, today=datetime.now(UTC).date()),
        conditions=register.conditions_in_force(entries),
    )
