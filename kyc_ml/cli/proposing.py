"""The command that meets a stranger's files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kyc_ml.cli.options import Quiet, example, job

app = typer.Typer()


@app.command(
    epilog=example(
        "kyc-ml init --data build/demo/bank --timezone Asia/Shanghai --currency CNY "
        "--out build/proposed",
        after="make demo",
    )
)
def init(
    *,
    data: Annotated[Path, typer.Option(help="Folder of csv, parquet, json or duckdb files.")],
    out: Annotated[Path, typer.Option(help="Folder to write the configurations into.")] = Path(
        "build/proposed"
    ),
    timezone: Annotated[
        str | None, typer.Option(help="IANA zone of times that carry none, if you know it.")
    ] = None,
    currency: Annotated[
        str | None, typer.Option(help="ISO 4217 currency of the amounts, if you know it.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier proposal.")] = False,
    quiet: Quiet = False,
) -> None:
    """Look at your own files and propose the configurations that read them.

    Shows names, types and shapes, never a customer's value. Codes of a column (at most 12
    values, short, many rows each) are written where an expression has to name them.
    """
    with job(quiet=quiet, reads={"--data": data}) as terminal:
        from kyc_ml.onboarding import run_init

        result = run_init(
            data=data, out=out, timezone=timezone, base_currency=currency, force=force,
            reporter=terminal,
        )  # fmt: skip
        terminal.show("proposed tables", result.tables_frame())
        unused = result.unused_frame()
        if len(unused):
            terminal.show("files and columns not used", unused)
        for run in result.runs:
            terminal.show(f"features of the {run.unit} unit", result.families_frame(run.unit))
        for point in result.proposal.open_points:
            terminal.info(f"to decide or confirm: {point}")
        held_back = {"not yet": result.held_back} if result.held_back else {}
        terminal.summary(
            "proposed",
            {
                "written to": out,
                "to decide or confirm": len(result.proposal.open_points),
                **held_back,
            },
            commands=result.next_commands(data),
        )
