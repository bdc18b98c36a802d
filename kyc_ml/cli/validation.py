"""The command that validates a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kyc_ml.cli.options import (
    GATE_FAILED,
    REFUSED,
    AsOf,
    Data,
    Quarantine,
    Quiet,
    Source,
    job,
)

app = typer.Typer()


@app.command(
    epilog="Example: kyc-ml validate models:/fraud@challenger "
    "--source configs/sources/synthetic.yaml --data build/bank --out build/validated"
)
def validate(
    *,
    model: Annotated[
        str, typer.Argument(help="models:/NAME@ALIAS, models:/NAME/VERSION, or a bundle's folder.")
    ],
    source: Source,
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for the report and its tables.")],
    as_of: AsOf = None,
    policy: Annotated[Path, typer.Option(help="Validation policy (YAML): settings and gates.")] = (
        Path("configs/validation.yaml")
    ),
    rows: Annotated[
        str,
        typer.Option(help="later (decided after the training date) or test (the run's own test)."),
    ] = "later",
    since: Annotated[
        str | None,
        typer.Option(help="First decision to judge by; default and earliest: the training date."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="A check or family to run alone, such as calibration.jeffreys."),
    ] = None,
    champion: Annotated[
        str | None,
        typer.Option(help="Model to hold it against; default: the registry's champion."),
    ] = None,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Train again and compare the bundles' bytes.")
    ] = False,
    validator: Annotated[
        str | None, typer.Option(help="Who validates; default: the account. Not the trainer.")
    ] = None,
    lang: Annotated[str, typer.Option(help="Language of the page: en or zh.")] = "en",
    log: Annotated[
        Path,
        typer.Option(envvar="KYC_ML_AUDIT_LOG", help="The audit log (JSON lines)."),
    ] = Path("audit.jsonl"),
    force: Annotated[
        bool, typer.Option("--force", help="Replace another report that --out holds.")
    ] = False,
    quarantine: Quarantine = REFUSED,
    quiet: Quiet = False,
) -> None:
    """Validate a model against a policy; exit code 1 if a gate fails it."""
    with job(quiet=quiet) as terminal:
        from kyc_ml.errors import ConfigError, Faults
        from kyc_ml.jobs.validating import run_validate

        faults = Faults("the options of kyc-ml validate", ConfigError)
        if rows not in {"later", "test"}:
            faults.add(f"--rows must be later or test, got {rows}")
        if lang not in {"en", "zh"}:
            faults.add(f"--lang must be en or zh, got {lang}")
        faults.raise_if_any()
        result = run_validate(
            model=model,
            source=source,
            data=data,
            policy=policy,
            out=out,
            rows="test" if rows == "test" else "later",
            since=since,
            as_of=as_of,
            only=only or (),
            champion=champion,
            retrain=retrain,
            validator=validator,
            language="zh" if lang == "zh" else "en",
            log=log,
            quarantine=quarantine,
            force=force,
            watch=terminal,
        )
        terminal.summary("validated", result.facts())
    if not result.passed:
        raise typer.Exit(code=GATE_FAILED)
