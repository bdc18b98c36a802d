"""The audit log beside the registry: append an entry and keep its anchor, verify, list."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kyc_ml.errors import ConfigError
from kyc_ml.governance import (
    Anchor,
    AuditLog,
    Entry,
    Kind,
    RegisteredFinding,
    ReportFacts,
    ReportFinding,
    champions,
    findings_register,
)
from kyc_ml.tracking import fetch_anchors, fetch_champions, keep_anchor
from kyc_ml.validation.result import Report
from kyc_ml.validation.storage import from_json

_SHORT = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLogResult:
    """What verifying an audit log found.

    Attributes
    ----------
    entries : int
    receipt : str
        ``COUNT:HASH`` of the last entry: keep it where nobody who can write the log can
        write, and give it back to `verify`. '' for an empty log.
    anchors : int
        Places the log was held against.
    faults : tuple of str
    """

    path: Path
    entries: int
    receipt: str
    anchors: int
    faults: tuple[str, ...]


def run_audit_log_verify(*, log: Path, receipts: Sequence[str], offline: bool) -> AuditLogResult:
    """Check the chain, the anchors in the registry, receipts, and that champions are logged.

    Parameters
    ----------
    receipts : sequence of str
        ``COUNT:HASH``, or paths of a signoff.json.
    offline : bool
        Ask no registry: a cut end is then found by receipts alone.

    Raises
    ------
    ConfigError
        If a receipt is none.
    RegistryError
        If the registry cannot be reached.
    """
    anchors = [(f"the receipt {text}", _read_receipt(text)) for text in receipts]
    made = {}
    if not offline:
        anchors += fetch_anchors()
        made = fetch_champions()
    audit = AuditLog(log)
    entries = audit.read().entries
    faults = [f"line {each.line} {each.text}" for each in audit.find_faults(anchors)]
    if not faults:  # who is champion can be read from a sound log only
        faults += _unlogged_champions(entries, made, offline=offline)
    return AuditLogResult(
        path=log,
        entries=len(entries),
        receipt=str(entries[-1].anchor) if entries else "",
        anchors=len(anchors),
        faults=tuple(faults),
    )


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


def record_verdict(report: Report, path: Path, *, log: Path) -> Entry:
    """Append a validation's verdict to the audit log; `path` is report.json as written.

    Raises
    ------
    AuditError
        If the log is not sound.
    """
    model = report.model
    facts = {
        "report_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "bundle_digest": model.digest,
        "verdict": report.verdict,
        "complete": report.complete,
        "as_of": report.as_of,
        "data_digest": report.data.digest,
        "policy_digest": report.policy.digest,
        "findings": [each.id for each in report.findings],
    }
    return record(
        "verdict",
        actor=report.validator,
        model=model.name,
        version=model.version,
        facts=facts,
        log=log,
    )


def record(
    kind: Kind, *, actor: str, model: str, version: str, facts: Mapping[str, Any], log: Path
) -> Entry:
    """Append an entry to a log that reaches all anchors, then keep the new anchor.

    The registry keeps an anchor of registered versions only.
    """
    entry = AuditLog(log).append(
        kind, actor=actor, model=model, version=version, facts=facts, anchors=fetch_anchors()
    )
    if version:
        keep_anchor(entry.anchor, name=model, version=version)
    return entry


def read_report(path: Path) -> tuple[Report, ReportFacts]:
    """Read a report.json, and what governance needs of it.

    Raises
    ------
    ConfigError
        If it cannot be read or is no report.
    """
    try:
        content = path.read_bytes()
        report = from_json(content.decode(), subject=str(path))
    except OSError as error:
        msg = f"report {path} cannot be read: {error.strerror}; name report.json of kyc-ml validate"
        raise ConfigError(msg) from None
    except UnicodeDecodeError:
        msg = f"report {path} is not UTF-8 text: it is no report.json of kyc-ml validate"
        raise ConfigError(msg) from None
    model = report.model
    return report, ReportFacts(
        digest=hashlib.sha256(content).hexdigest(),
        model=model.name,
        version=model.version,
        bundle_digest=model.digest,
        validator=report.validator,
        trainers=tuple(filter(None, model.trainer.split(", "))),
        verdict=report.verdict,
        complete=report.complete,
        created_at=_moment(report.created_at, subject=str(path)),
        policy_digest=report.policy.digest,
        finding_due_days=report.policy.finding_due_days,
        findings=tuple(
            ReportFinding(id=each.id, severity=each.severity, text=each.text.en)
            for each in report.findings
        ),
    )


def _moment(text: str, *, subject: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        msg = f"{subject}: created_at must be an instant with a time zone; validate again"
        raise ConfigError(msg)
    return moment


def _read_receipt(text: str) -> Anchor:
    anchor = Anchor.parse(text)
    if anchor is None and Path(text).is_file():
        try:
            content = json.loads(Path(text).read_text(encoding="utf-8"))
            anchor = Anchor.parse(f"{content['sequence']}:{content['hash']}")
        except (ValueError, KeyError, TypeError):
            anchor = None
    if anchor is None:
        msg = f"--receipt {text} must be COUNT:HASH as kyc-ml printed it, or a signoff.json"
        raise ConfigError(msg)
    return anchor


def _unlogged_champions(
    entries: Sequence[Entry], made: Mapping[str, str], *, offline: bool
) -> list[str]:
    """Name the champions that the registry has and the log did not make, and the reverse."""
    if offline:
        return []
    names = {entry.model for entry in entries if entry.kind == "promotion"} | set(made)
    faults = []
    for name in sorted(names):
        logged = next(reversed(champions(entries, model=name)), "")
        if logged != made.get(name, ""):
            faults.append(
                f"champion of {name} is {_version(made.get(name, ''))} in the registry, but "
                f"{_version(logged)} in the log: the alias was moved without kyc-ml, or a "
                "promotion was interrupted; promote or roll back again"
            )
    return faults


def _version(number: str) -> str:
    return f"v{number}" if number else "none"
