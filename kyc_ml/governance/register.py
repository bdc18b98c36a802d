"""The register of findings: what is open, whose it is, what is overdue, on what conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from kyc_ml.governance.chain import Entry
from kyc_ml.governance.sign_off import OwnedFinding, SignOff


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredFinding:
    """A finding as it stands.

    Attributes
    ----------
    model, version : str
        The version it was last signed off for.
    status : str
        'open'; 'overdue' from the day after it was due; or 'closed' where a later complete
        validation of the model no longer has it.
    since : str
        When it was first signed off, ISO.
    """

    model: str
    version: str
    finding: OwnedFinding
    status: str
    since: str


def findings_register(entries: Sequence[Entry], *, today: date) -> tuple[RegisteredFinding, ...]:
    """List all findings that were ever signed off, open ones first, then by due date."""
    last: dict[tuple[str, str], tuple[Entry, OwnedFinding]] = {}
    since: dict[tuple[str, str], str] = {}
    for entry in entries:
        if entry.kind == "sign_off":
            for each in SignOff.from_facts(entry.facts).findings:
                last[entry.model, each.id] = (entry, each)
                since.setdefault((entry.model, each.id), entry.time)
    found = [
        RegisteredFinding(
            model=entry.model,
            version=entry.version,
            finding=each,
            status=_status(each, entry, entries, today=today),
            since=since[entry.model, each.id],
        )
        for entry, each in last.values()
    ]
    return tuple(sorted(found, key=lambda one: (one.status == "closed", one.finding.due)))


def conditions_in_force(entries: Sequence[Entry]) -> dict[str, tuple[str, ...]]:
    """Give what use of each version is subject to, by 'NAME vVERSION': its last sign-off counts."""
    last = {
        f"{entry.model} v{entry.version}": SignOff.from_facts(entry.facts).conditions
        for entry in entries
        if entry.kind == "sign_off"
    }
    return {version: conditions for version, conditions in last.items() if conditions}


def _status(finding: OwnedFinding, signed: Entry, entries: Sequence[Entry], *, today: date) -> str:
    later = [
        each for each in entries[signed.sequence :]
        if each.kind == "verdict" and each.model == signed.model and each.facts["complete"]
    ]  # fmt: skip
    if later and finding.id not in later[-1].facts["findings"]:
        return "closed"
    return "overdue" if finding.due < today.isoformat() else "open"
