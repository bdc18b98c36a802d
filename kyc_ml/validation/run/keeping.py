"""Keep a validation: files, a run in MLflow, and the verdict in the audit log."""

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Final

from kyc_ml.display import ProgressReporter
from kyc_ml.errors import ConfigError, OutputError, RegistryError
from kyc_ml.registry import IN_PART, Candidate, RunRecord, log_validation
from kyc_ml.validation.report.files import digest_report, read_report, record_verdict
from kyc_ml.validation.report.page import PAGE, earlier_report, write_page
from kyc_ml.validation.report.storage import REPORT, content_digest, write_report
from kyc_ml.validation.result import Report, ReportPlace
from kyc_ml.validation.run.review import Review
from kyc_ml.validation.run.row_choice import ChosenPart
from kyc_ml.validation.text import Language

_SHARED: Final = {
    "average_precision": "discrimination.ranking/average_precision",
    "auc": "discrimination.auc/auc",
    "observed_over_expected": "calibration.overall/o_e",
    "brier": "calibration.brier/brier",
}
"""Figures that the runs of other jobs have too: their name there, and the figure here."""
_CURE: Final = "name another --out, or replace it with --force"


def read_kept(out: Path) -> Report | None:
    """Read the report in a folder; None if the folder has none.

    Raises OutputError if it cannot be read: its content would be lost.
    """
    path = out / REPORT
    if not path.exists():
        return None
    try:
        return read_report(path)[0]
    except ConfigError as error:
        msg = f"{path} would be overwritten and cannot be read: {error}; or {_CURE}"
        raise OutputError(msg) from None


def require_same_request(kept: Report, asked: Review, *, out: Path) -> None:
    """Refuse early to overwrite the report of another validation.

    Raises OutputError if the model, data, policy, options or choice of checks differ.
    """
    pairs = {
        "model": (kept.model.digest, asked.model.bundle.digest),
        "data": (kept.data.digest, asked.data.digest),
        "policy": (kept.policy.digest, asked.policy.identity().digest),
        "options": (kept.command, asked.command("")),
        "choice of checks": (kept.complete, not asked.only),
    }
    differing = [name for name, (was, is_now) in pairs.items() if was != is_now]
    if differing:
        raise _would_be_lost(kept, out, why=f"of another {', '.join(differing)}")


def keep_times(kept: Report, report: Report, *, out: Path) -> Report:
    """Return the report with the times of the earlier one, so that both are the same file.

    A sign-off names the file by its digest, so it stays valid.

    Raises OutputError if the reports differ in more than times.
    """
    if content_digest(kept) != content_digest(report):
        raise _would_be_lost(kept, out, why="with other content")
    pairs = zip(report.results, kept.results, strict=True)
    return replace(
        report,
        created_at=kept.created_at,
        seconds=kept.seconds,
        results=tuple(replace(result, seconds=before.seconds) for result, before in pairs),
    )


def _would_be_lost(kept: Report, out: Path, *, why: str) -> OutputError:
    msg = f"{out} has a report of {kept.created_at} {why}, which would be lost: {_CURE}"
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
) -> Report:
    """Write report and page, log them to MLflow, and enter a verdict into the audit log.

    A report of some checks only is logged, but changes neither the version nor the audit log.

    Return the same report, with its `place`.

    Raises OutputError if a file cannot be written; RegistryError if MLflow cannot be reached;
    AuditError if the audit log is not sound.

    `candidate`: the registered version; None for a bundle's folder.
    `part`: 'later', 'test' or 'out_of_fold'; the evaluated rows, as metrics name them.
    `began`: start of the job, in seconds since 1970.
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
        raise type(error)(
            f"{error}\nthe report is in {out}, but not in MLflow or the audit log: run the same "
            "command again, which makes the same report and logs it"
        ) from None
    reporter.progress("logging to MLflow", 1, 1)
    receipt = str(record_verdict(report, path, log=log).anchor) if report.complete else ""
    place = ReportPlace(report=path, page=page, mlflow_run=run, receipt=receipt)
    return replace(report, place=place)


def _record(report: Report, path: Path, *, part: ChosenPart, began: float) -> RunRecord:
    """Collect what MLflow keeps besides the files; `path` is report.json as written."""
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
