"""Keeping a validation: files, a run in MLflow, and the verdict in the audit log."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Final

import pandas as pd

from kyc_ml.display import ProgressReporter, say_count
from kyc_ml.errors import ConfigError, OutputError, RegistryError
from kyc_ml.registry import IN_PART, Candidate, RunRecord, log_validation
from kyc_ml.validation.result import Report
from kyc_ml.validation.sign_off.report_page import PAGE, earlier_report, write_page
from kyc_ml.validation.sign_off.reports import digest_report, read_report, record_verdict
from kyc_ml.validation.storage import REPORT, content_digest, write_report
from kyc_ml.validation.text import Language
from kyc_ml.validation.validation_parts import ChosenPart

_SHARED: Final = {
    "average_precision": "discrimination.ranking/average_precision",
    "auc": "discrimination.auc/auc",
    "observed_over_expected": "calibration.overall/o_e",
    "brier": "calibration.brier/brier",
}
"""Figures that runs of other jobs have too, by the name that they have there."""
_CURE: Final = "name another --out, or replace it with --force"


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationResult:
    """A validation and where it lies.

    Attributes
    ----------
    path, page : Path
        ``report.json`` and ``report.html``.
    receipt : str
        ``COUNT:HASH`` of the entry in the audit log.
    """

    report: Report
    path: Path
    page: Path
    mlflow_run: str
    receipt: str

    @property
    def passed(self) -> bool:
        """True unless the verdict is fail."""
        return self.report.verdict != "fail"

    def facts(self) -> dict[str, object]:
        """Give the facts of the one summary that ends the job."""
        report = self.report
        model = report.model
        verdicts = pd.Series([result.verdict for result in report.results]).value_counts()
        current = next(rows for rows in report.rows if rows.role == "current")
        return {
            "verdict": report.verdict.replace("_", " ")
            + ("" if report.complete else " (of some checks only: it approves nothing)"),
            "model": f"{model.name} {'v' + model.version if model.version else model.digest[:12]}",
            "judged": f"{say_count(current.judged, 'row')}, "
            f"{say_count(current.positives, 'positive')}, "
            f"{say_count(current.customers, 'customer')}; {current.origin.en}",
            "checks": ", ".join(
                f"{count} {str(name).replace('_', ' ')}" for name, count in verdicts.items()
            ),
            **{finding.id: finding.text.en for finding in report.findings},
            **{stage: f"{spent:.1f} s" for stage, spent in report.seconds.items()},
            "report": self.path,
            "page": self.page,
            "MLflow run": self.mlflow_run,
            "audit log": self.receipt,
        }


def read_kept(out: Path) -> Report | None:
    """Read the report that a folder holds; None where it holds none.

    Raises
    ------
    OutputError
        If it cannot be read: what it says would be lost.
    """
    path = out / REPORT
    if not path.exists():
        return None
    try:
        return read_report(path)[0]
    except ConfigError as error:
        msg = f"{path} would be written over, and cannot be read: {error}; or {_CURE}"
        raise OutputError(msg) from None


def require_same_request(
    kept: Report, *, out: Path, command: str, complete: bool, digests: tuple[str, str, str]
) -> None:
    """Refuse early what would write over the report of another validation.

    Parameters
    ----------
    digests : tuple of str
        Of the bundle, the data and the policy.

    Raises
    ------
    OutputError
        If the command, its scope or a digest differs.
    """
    found = (kept.model.digest, kept.data.digest, kept.policy.digest)
    names = ("model", "data", "policy")
    differing = [
        name for name, was, is_now in zip(names, found, digests, strict=True) if was != is_now
    ]
    differing += ["options"] if kept.command != command else []
    differing += ["choice of checks"] if kept.complete != complete else []
    if differing:
        raise _would_be_lost(kept, out, why=f"of another {', '.join(differing)}")


def keep_times(kept: Report, report: Report, *, out: Path) -> Report:
    """Give a report the times of the one that it repeats, so that it is the same file.

    A sign-off names the file by its digest: it stays good.

    Raises
    ------
    OutputError
        If more than times differs.
    """
    if content_digest(kept) != content_digest(report):
        raise _would_be_lost(kept, out, why="with another content")
    pairs = zip(report.results, kept.results, strict=True)
    return replace(
        report,
        created_at=kept.created_at,
        seconds=kept.seconds,
        results=tuple(replace(result, seconds=before.seconds) for result, before in pairs),
    )


def _would_be_lost(kept: Report, out: Path, *, why: str) -> OutputError:
    msg = f"{out} holds a report of {kept.created_at}, {why}, that would be lost: {_CURE}"
    return OutputError(msg)


def keep_validation(
    report: Report,
    out: Path,
    *,
    candidate: Candidate | None,
    language: Language,
    log: Path,
    reporter: ProgressReporter,
    part: ChosenPart,
    began: float,
) -> ValidationResult:
    """Write report and page, log them to MLflow, and enter a verdict into the audit log.

    A report of some checks only is logged, but changes neither the version nor the audit log.

    Parameters
    ----------
    candidate : Candidate or None
        The registered version; None for a bundle's folder.
    part : 'later' or 'test'
        The rows judged, as metrics name them.
    began : float
        When the job began, in seconds since 1970.

    Raises
    ------
    OutputError
        If a file cannot be written.
    RegistryError
        If MLflow cannot be reached.
    AuditError
        If the audit log is not sound.
    """
    path = write_report(report, out)
    page = out / PAGE
    previous = None if candidate is None else earlier_report(candidate)
    write_page(report, page, language=language, previous=previous)
    reporter.progress("logging to MLflow", 0, 1)
    try:
        run = log_validation(
            report.model.name,
            report.model.version,
            _record(report, path, part=part, began=began),
            out,
            verdict=report.verdict if report.complete else "",
            report=digest_report(path) if report.complete else "",
        )
    except RegistryError as error:
        msg = (
            f"{error}\nthe report is in {out}, but neither MLflow nor the audit log has it: the "
            "same command again makes the same report and logs it"
        )
        raise type(error)(msg) from None
    reporter.progress("logging to MLflow", 1, 1)
    receipt = str(record_verdict(report, path, log=log).anchor) if report.complete else ""
    return ValidationResult(report=report, path=path, page=page, mlflow_run=run, receipt=receipt)


def _record(report: Report, path: Path, *, part: ChosenPart, began: float) -> RunRecord:
    """Collect what MLflow is to keep beside the files; `path` is report.json as written."""
    metrics = {
        f"{result.check.id}/{figure.name}": figure.value
        for result in report.results
        for figure in result.figures
        if figure.value is not None
    }
    shared = {
        f"{part}/{name}": metrics[figure] for name, figure in _SHARED.items() if figure in metrics
    }
    spent = {f"seconds/{stage}": seconds for stage, seconds in report.seconds.items()}
    return RunRecord(
        parameters={
            "model": report.model.address,
            "validator": report.validator,
            "policy": f"{report.policy.name} v{report.policy.version}",
            "complete": report.complete,
        },
        metrics={**shared, **metrics, **spent},
        tags={
            "job": "validate",
            "unit": report.model.unit,
            "as_of": report.as_of,
            "source": report.data.source,
            "code_version": version("kyc-ml"),
            "bundle_digest": report.model.digest,
            "data_digest": report.data.digest,
            "policy_digest": report.policy.digest,
            "verdict": report.verdict if report.complete else IN_PART,
            "report_sha256": digest_report(path),
            "report_content_digest": content_digest(report),
        },
        tables={},
        figures={},
        began=began,
    )
