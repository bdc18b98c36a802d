"""Commands on files: make a synthetic bank, propose configurations, check a source, show keys."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from kyc_ml.cli.options import Engine, Force, Markdown, Master, Quiet, RequiredPath, fill, job
from kyc_ml.cli.usage import Commands

app = Commands()


@app.command()
def synth(
    *,
    out: RequiredPath,
    transactions: int = 100_000,
    days: int = 360,
    seed: int = 7,
    overwrite: bool = False,
    quiet: Quiet = False,
) -> None:
    """Make a synthetic bank."""
    with job(locals()) as terminal:
        # imported here, so that `--help` does not wait for it
        from kyc_ml.display import say_count
        from kyc_ml.onboarding import bank_config, run_synth

        bank = bank_config(transactions=transactions, days=days, seed=seed)
        rows = run_synth(bank=bank, out=out, overwrite=overwrite, reporter=terminal)
        facts = {name: say_count(n, "row") for name, n in rows.items()}
        terminal.summary("synthetic bank", {**facts, "written to": out})


@app.command()
def init(
    *,
    data: RequiredPath,
    out: Path = Path("build/proposed"),
    timezone: str | None = None,
    currency: str | None = None,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Propose configurations for a user's own files."""
    given = locals()
    with job(given, reads=["--data"]) as terminal:
        from kyc_ml.onboarding import run_init

        result = fill(run_init, given, base_currency=currency, reporter=terminal)
        terminal.show("proposed tables", result.tables_frame())
        unused = result.unused_frame()
        if len(unused):
            terminal.show("files and columns not used", unused)
        for run in result.runs:
            terminal.show(f"features of the {run.unit} unit", result.families_frame(run.unit))
        for point in result.proposal.open_points:
            terminal.info(f"to decide or confirm: {point}")
        facts = {"written to": out, "to decide or confirm": len(result.proposal.open_points)}
        facts |= {"not yet": result.held_back} if result.held_back else {}
        terminal.summary("proposed", facts, commands=result.next_commands(data))


@app.command()
def check(
    *,
    source: RequiredPath,
    data: RequiredPath,
    quarantine: Path | None = None,
    engine: Engine = "local",
    master: Master = None,
    quiet: Quiet = False,
) -> None:
    """Read a source and report its quality."""
    given = locals()
    with job(given, reads=["--source", "--data"]) as terminal:
        from kyc_ml.engines import run_check

        quality = fill(run_check, given, reporter=terminal)
        counts = quality.tables
        terminal.summary(
            "source accepted",
            {
                "read": f"{sum(table.read for table in counts):,} rows",
                "accepted": f"{sum(table.accepted for table in counts):,} rows",
                "quarantined": f"{sum(table.quarantined for table in counts):,} rows",
                "warnings": len(quality.warnings),
            },
        )


@app.command()
def config(
    key: Annotated[str | None, typer.Argument()] = None,
    *,
    file: Literal["run", "source", "tiers", "rating", "overrides", "limits", "validation"] = "run",
    markdown: Markdown = False,
) -> None:
    """Show the keys of a configuration file."""
    with job(locals()) as terminal:
        from kyc_ml.cli.key_reference import run_key_page, run_keys
        from kyc_ml.cli.terminal.results import show_keys

        if markdown:
            typer.echo(run_key_page(), nl=False)
            return
        show_keys(terminal, run_keys(key, kind=file))
