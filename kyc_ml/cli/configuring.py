"""The command that says which keys a configuration file takes."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from kyc_ml.cli.options import example, job

app = typer.Typer()


@app.command(epilog=example("kyc-ml config selection"))
def config(
    key: Annotated[
        str | None,
        typer.Argument(help="A section or key, such as selection or model.refit; default: all."),
    ] = None,
    *,
    file: Annotated[
        Literal["run", "source", "tiers", "rating", "overrides", "limits", "validation"],
        typer.Option(help="Kind of configuration file."),
    ] = "run",
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print all keys of all files as Markdown.")
    ] = False,
) -> None:
    """List the keys that a configuration file takes: type, range, default and meaning."""
    with job() as terminal:
        from kyc_ml.cli.key_reference import run_key_page, run_keys
        from kyc_ml.cli.terminal.results import show_keys

        if markdown:
            typer.echo(run_key_page(), nl=False)
            return
        show_keys(terminal, run_keys(key, kind=file))
