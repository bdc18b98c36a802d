"""Open an incident: by a signal of the highest severity, or by a person."""

import hashlib
import math
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from kyc_ml.monitoring.incidents.playbooks import Playbooks
from kyc_ml.monitoring.incidents.record import Incident, read_incidents
from kyc_ml.monitoring.signals import Severity, Signal

MONITOR = "monitoring"
"""Who opened an incident that no person did."""


def open_incidents(
    signals: Iterable[Signal], playbooks: Playbooks, *, log: Path, who: str = MONITOR
) -> dict[str, str]:
    """Open an incident for each signal that has none; return its identifier by cause.

    An open incident of the same cause is taken as it is, also one that a job has opened just
    before it was killed.

    Raises AuditError or UnreachableError if the audit log cannot be added to.
    """
    opened: dict[str, str] = {}
    known = read_incidents(log)
    for signal in signals:
        playbook = playbooks.for_signal(signal.code)
        if playbook is not None:
            opened[signal.key] = _open(signal, playbook.name, known, log=log, who=who)
    return opened


def _open(signal: Signal, playbook: str, known: dict[str, Incident], *, log: Path, who: str) -> str:
    for incident in known.values():
        if incident.is_open and incident.signal["key"] == signal.key:
            return incident.id
    number = hashlib.sha256(f"{signal.key}|{signal.day}|{len(known)}".encode()).hexdigest()[:6]
    incident = Incident(
        id=f"I{signal.day.replace('-', '')}-{number}",
        model=signal.model,
        playbook=playbook,
        entries=(),
    )
    entry = incident.write(
        "opened", actor=who, log=log, playbook=playbook, signal=signal.to_plain()
    )
    known[incident.id] = Incident(
        id=incident.id, model=signal.model, playbook=playbook, entries=(entry,)
    )
    return incident.id


def run_incident_open(
    *, model: str, playbook: str, reason: str, who: str, playbooks: Playbooks, log: Path
) -> Incident:
    """Open an incident that no signal has opened, and return it.

    `model`: name of the model; '' for all models.
    `reason`: what was found.
    Raises ConfigError if there is no such playbook; AuditError or UnreachableError if the audit log
    cannot be added to.
    """
    found = playbooks.named(playbook)
    signal = Signal(
        code="incident.by_hand",
        model=model,
        day=datetime.now(UTC).date().isoformat(),
        severity=Severity.CRITICAL,
        value=math.nan,
        limit=math.nan,
        text=reason,
        text_zh=reason,
        cause=f"incident.by_hand|{model}|{playbook}",  # another playbook is another incident
    )
    known = read_incidents(log)
    return known[_open(signal, found.name, known, log=log, who=who)]
