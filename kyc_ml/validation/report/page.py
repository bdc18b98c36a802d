"""Write the page of a report: after the validation, and again after the sign-off."""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kyc_ml import registry
from kyc_ml.errors import ConfigError
from kyc_ml.storage import write_whole
from kyc_ml.validation.report.files import read_report
from kyc_ml.validation.report.render import render_report
from kyc_ml.validation.result import Report
from kyc_ml.validation.text import Language

PAGE: Final = "report.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class PageResult:
    """A page, its size in bytes, and the version that it compares with ('' for none)."""

    path: Path
    size: int
    previous: str


def run_report(
    *, report: Path, language: Language, out: Path | None, previous: Path | None, log: Path
) -> PageResult:
    """Write the page of a report.json again, in another language or with its sign-off.

    `out`: HTML file; None is report.html in the folder of the report.
    `previous`: report.json to compare with; None is the rule of `earlier_report`.
    Raises ConfigError if a report cannot be read; AuditError if the audit log is not intact: a page
    that names a sign-off must be able to trust it.
    """
    content, facts = read_report(report)
    before = _earlier(content) if previous is None else read_report(previous)[0]
    signed = registry.latest_sign_off(registry.AuditLog(log).require_sound(), report=facts.digest)
    path = report.with_name(PAGE) if out is None else out
    write_page(
        content,
        path,
        language=language,
        previous=before,
        signed=None if signed is None else signed[0],
    )
    return PageResult(
        path=path,
        size=path.stat().st_size,
        previous="" if before is None else before.model.version or before.model.digest,
    )


def write_page(
    report: Report,
    path: Path,
    *,
    language: Language,
    previous: Report | None = None,
    signed: registry.Entry | None = None,
) -> None:
    """Write the page of a report, under a temporary name first; OutputError if that fails."""
    page = render_report(report, language=language, previous=previous, signed=signed)
    write_whole(path, page.encode())


def earlier_report(candidate: registry.Candidate) -> Report | None:
    """Find the last complete validation of the champion, or of the newest version before.

    Return None if no other version was validated.

    Raises RegistryError if the registry cannot be reached; ConfigError if the report in MLflow
    cannot be read.
    """
    below = [str(number) for number in range(int(candidate.version) - 1, 0, -1)]
    for version in dict.fromkeys([candidate.champion, *below]):
        if version in ("", candidate.version):
            continue
        with tempfile.TemporaryDirectory() as scratch:
            path = registry.fetch_report(candidate.name, version, Path(scratch))
            if path is not None:
                return read_report(path)[0]
    return None


def renew_page(report: Path, signed: registry.Entry) -> bool:
    """Write the existing page of a report again, in its language, with the sign-off.

    Return False if the report has no page.
    """
    path = report.with_name(PAGE)
    if not path.is_file():
        return False
    content = read_report(report)[0]
    found = re.search(r'<html lang="(en|zh)', path.read_text(encoding="utf-8")[:200])
    if found is None:
        msg = f"{path} is not the page of a validation: move it away and sign off again"
        raise ConfigError(msg)
    language: Language = "zh" if found[1] == "zh" else "en"
    write_page(content, path, language=language, previous=_earlier(content), signed=signed)
    return True


def _earlier(report: Report) -> Report | None:
    if not report.model.version:
        return None
    return earlier_report(
        registry.fetch_candidate(f"models:/{report.model.name}/{report.model.version}")
    )
