"""The command that validates a model."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from kyc_ml.cli import options
from kyc_ml.cli.shipped import find_shipped
from kyc_ml.cli.usage import Commands

app = Commands()


@app.command()
def validate(
    model: str,
    *,
    source: options.RequiredPath,
    data: options.Data = None,
    history: options.History = None,
    out: options.RequiredPath,
    as_of: options.AsOfOption = None,
    policy: Path | None = None,
    rows: Literal["later", "test", "out_of_fold"] | None = None,
    since: options.Since = None,
    only: list[str] | None = None,
    champion: str | None = None,
    retrain: Annotated[bool, typer.Option("--retrain")] = False,
    validator: str | None = None,
    lang: options.Lang = "en",
    log: options.Log = options.AUDIT_LOG,
    judged_rows: Path | None = None,
    force: options.Force = False,
    quarantine: Path | None = None,
    quiet: options.Quiet = False,
) -> None:
    """Validate a model against a policy."""
    policy = policy or find_shipped(options.VALIDATION)
    given = locals()
    with options.job(given, reads=["--source", "--data", "--history", "--policy"]) as terminal:
        # imported here, so that `--help` does not wait for it
        from kyc_ml.validation import ValidationRequest, run_validate

        asked = options.fill(ValidationRequest, given, language=lang)
        report = run_validate(asked, reporter=terminal)
        terminal.summary("validated", report.facts())
        terminal.outcome.fail_if(not report.passed)
