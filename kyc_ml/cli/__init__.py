"""The command line: parse, run a job, print one summary, exit.

Exit codes: 0 success, 1 a check or a limit failed, 2 invalid input or configuration, 3 a defect
of kyc_ml, 4 the model store does not answer, 5 the input has not arrived yet: try again later.
"""

from __future__ import annotations

from typing import Annotated

import typer

from kyc_ml.cli import (
    alerts,
    data,
    features,
    governance,
    history,
    models,
    monitoring,
    scoring,
    tiers,
    validation,
)
from kyc_ml.cli.usage import LoggedGroup

app = typer.Typer(
    name="kyc-ml",
    cls=LoggedGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_COMMANDS = (
    data,
    features,
    history,
    models,
    scoring,
    monitoring,
    tiers,
    validation,
    governance,
    alerts,
)
for commands in _COMMANDS:
    app.add_typer(commands.app)


@app.callback(invoke_without_command=True)
def main(*, version: Annotated[bool, typer.Option("--version")] = False) -> None:
    """Print the version if asked to."""
    if version:
        # imported here, so that `--help` does not wait for it
        from importlib.metadata import version as installed

        from kyc_ml.registry import digest_code

        typer.echo(f"kyc-ml {installed('kyc-ml')}, source {digest_code()}")
        raise typer.Exit
