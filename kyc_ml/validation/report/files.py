"""Read a report from its file, and record its verdict in the audit log."""

import hashlib
from datetime import datetime
from pathlib import Path

from kyc_ml.errors import ConfigError
from kyc_ml.registry import Entry, ReportFacts, ReportFinding, record_entry
from kyc_ml.validation.report.storage import from_json
from kyc_ml.validation.result import Report


def read_report(path: Path) -> tuple[Report, ReportFacts]:
    """Read a report.json, and the facts of it that governance needs.

    Raises ConfigError if it cannot be read or is not a report.
    """
    try:
        # read once: the digest is that of the bytes that were parsed
        content = path.read_bytes()
        report = from_json(content.decode(), subject=str(path))
    except OSError as error:
        msg = f"report {path} cannot be read: {error.strerror}; name report.json of kyc-ml validate"
        raise ConfigError(msg) from None
    except UnicodeDecodeError:
        msg = f"report {path} is not UTF-8 text, so it is not a report.json of kyc-ml validate"
        raise ConfigError(msg) from None
    model = report.model
    current = [rows for rows in report.rows if rows.role == "current"]
    positives = sum(rows.positives for rows in current)
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
        positives=positives,
        negatives=sum(rows.judged for rows in current) - positives,
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


def digest_report(path: Path) -> str:
    """Return the SHA-256 of report.json as written: sign-offs and promotions refer to it."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def record_verdict(report: Report, path: Path, *, log: Path) -> Entry:
    """Append a validation's verdict to the audit log; `path` is report.json as written.

    Raises AuditError if the log is not sound.
    """
    model = report.model
    facts = {
        "report_sha256": digest_report(path),
        "bundle_digest": model.digest,
        "verdict": report.verdict,
        "complete": report.complete,
        "as_of": report.as_of,
        "data_digest": report.data.digest,
        "policy_digest": report.policy.digest,
        "findings": [each.id for each in report.findings],
    }
    return record_entry(
        "verdict",
        actor=report.validator,
        model=model.name,
        version=model.version,
        facts=facts,
        log=log,
    )
