"""The command line: parse, call a job, print one summary, exit.

Exit codes: 0 done, 1 a gate failed, 2 bad input or configuration, 3 a defect of kyc_ml, 4 the
model store is not there: try again later.
"""

from __future__ import annotations

from typing import Annotated

import typer

from kyc_ml.cli import (
    batch,
    configuring,
    data,
    features,
    governance,
    models,
    proposing,
    tiers,
    validation,
)
from kyc_ml.cli.usage import LoggedGroup

app = typer.Typer(
    name="kyc-ml",
    cls=LoggedGroup,
    help="Behavioural features, calibrated probabilities, risk tiers and reasons for KYC.",
    epilog="Example: kyc-ml demo. Exit codes: 0 done, 1 a gate failed, 2 bad input, 3 a defect, "
    "4 MLflow is not there, or a file is being written: try again later.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for commands in (
    data,
    proposing,
    configuring,
    features,
    models,
    batch,
    tiers,
    validation,
    governance,
):
    app.add_typer(commands.app)


@app.callback(invoke_without_command=True)
def main(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version, and the digest of the source.")
    ] = False,
) -> None:
    """Print the version if asked to."""
    if version:
        from importlib.metadata import version as installed

        from kyc_ml.registry import digest_code

        typer.echo(f"kyc-ml {installed('kyc-ml')}, source {digest_code()}")
        raise typer.Exit
