"""The command that validates a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from kyc_ml.cli.options import (
    AUDIT_LOG,
    VALIDATION,
    AsOfOption,
    Data,
    Force,
    History,
    Lang,
    Log,
    Quiet,
    RequiredPath,
    Since,
    fill,
    job,
)
from kyc_ml.cli.shipped import find_shipped
from kyc_ml.cli.usage import Commands

app = Commands()


@app.command()
def validate(
    model: str,
    *,
    source: RequiredPath,
    data: Data = None,
    history: History = None,
    out: RequiredPath,
    as_of: AsOfOption = None,
    policy: Path | None = None,
    rows: Literal["later", "test", "out_of_fold"] | None = None,
    since: Since = None,
    only: list[str] | None = None,
    champion: str | None = None,
    retrain: Annotated[bool, typer.Option("--retrain")] = False,
    validator: str | None = None,
    lang: Lang = "en",
    log: Log = AUDIT_LOG,
    judged_rows: Path | None = None,
    force: Force = False,
    quarantine: Path | None = None,
    quiet: Quiet = False,
) -> None:
    """Validate a model against a policy."""
    policy = policy or find_shipped(VALIDATION)
    given = locals()
    with job(given, reads=["--source", "--data", "--history", "--policy"]) as terminal:
        # imported here, so that `--help` does not wait for it
        from kyc_ml.validation import ValidationRequest, run_validate

        asked = fill(ValidationRequest, given, language=lang)
        report = run_validate(asked, reporter=terminal)
        terminal.summary("validated", report.facts())
        terminal.outcome.fail_if(not report.passed)
