"""The command that validates a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from kyc_ml.cli.options import (
    GATE_FAILED,
    VALIDATION,
    AsOfOption,
    Data,
    Lang,
    PolicyOption,
    Quarantine,
    Quiet,
    Source,
    Time,
    example,
    job,
    time_option,
)
from kyc_ml.cli.shipped import find_shipped

app = typer.Typer()


@app.command(
    epilog=example(
        "kyc-ml validate models:/demo-risk@challenger "
        "--source configs/sources/synthetic.yaml --data build/demo/bank --rows test "
        "--validator lin.hua --out build/validated",
        after="make demo",
    )
)
def validate(
    *,
    model: Annotated[
        str, typer.Argument(help="models:/NAME@ALIAS, models:/NAME/VERSION, or a bundle's folder.")
    ],
    source: Source,
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for the report and its tables.")],
    as_of: AsOfOption = None,
    policy: PolicyOption = None,
    rows: Annotated[
        Literal["later", "test", "out_of_fold"] | None,
        typer.Option(
            help="Decided after the training date, the training run's own test part, or all its "
            "rows out of fold where it was cross-validated by customer; default: later, and of "
            "such a model out_of_fold until later ones are mature."
        ),
    ] = None,
    since: Annotated[
        Time | None,
        time_option(
            "--since",
            help="First decision evaluated; default and earliest: the training date.",
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="A check or family to run alone, such as calibration.jeffreys."),
    ] = None,
    champion: Annotated[
        str | None,
        typer.Option(help="Model to compare with; default: the registry's champion."),
    ] = None,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Train again and compare the bundles' bytes.")
    ] = False,
    validator: Annotated[
        str | None, typer.Option(help="Who validates; default: the account. Not the trainer.")
    ] = None,
    lang: Lang = "en",
    log: Annotated[
        Path,
        typer.Option(envvar="KYC_ML_AUDIT_LOG", help="The audit log (JSON lines)."),
    ] = Path("audit.jsonl"),
    judged_rows: Annotated[
        Path | None,
        typer.Option(
            help="Parquet file for each evaluated row with probability, tier and outcome, for "
            "other tools; customers' data, which is written nowhere else."
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace another report that --out holds.")
    ] = False,
    quarantine: Quarantine = None,
    quiet: Quiet = False,
) -> None:
    """Validate a model against a policy; exit code 1 if a gate fails it."""
    policy = policy or find_shipped(VALIDATION)
    with job(
        quiet=quiet,
        reads={"--source": source, "--data": data, "--policy": policy},
        dates={"--as-of": as_of, "--since": since},
    ) as terminal:
        from kyc_ml.validation import ValidationRequest, run_validate

        asked = ValidationRequest(
            model=model,
            source=source,
            data=data,
            policy=policy,
            out=out,
            rows=rows,
            since=since,
            as_of=as_of,
            only=tuple(only or ()),
            champion=champion,
            retrain=retrain,
            validator=validator,
            language=lang,
            log=log,
            quarantine=quarantine,
            force=force,
            judged_rows=judged_rows,
        )
        report = run_validate(asked, reporter=terminal)
        terminal.summary("validated", report.facts())
    if not report.passed:
        raise typer.Exit(code=GATE_FAILED)
