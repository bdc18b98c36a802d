"""Commands on tables: make a synthetic bank, check a source."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kyc_ml.cli.options import Data, Quarantine, Quiet, Source, example, job

app = typer.Typer()


@app.command(epilog=example("kyc-ml synth --transactions 200000 --days 540 --out build/bank"))
def synth(
    *,
    out: Annotated[Path, typer.Option(help="Folder to write the tables into.")],
    transactions: Annotated[int, typer.Option(help="Rows of the transactions table.")] = 100_000,
    days: Annotated[int, typer.Option(help="Length of the period in days.")] = 360,
    seed: Annotated[int, typer.Option(help="The same seed makes the same bank.")] = 7,
    overwrite: Annotated[bool, typer.Option(help="Replace what the folder holds.")] = False,
    quiet: Quiet = False,
) -> None:
    """Make a synthetic bank with known fraud, known laundering and an answer key."""
    with job(quiet=quiet) as terminal:
        from kyc_ml.display import say_count
        from kyc_ml.onboarding import bank_config, run_synth

        bank = bank_config(transactions=transactions, days=days, seed=seed)
        rows = run_synth(bank=bank, out=out, overwrite=overwrite, reporter=terminal)
        terminal.summary(
            "synthetic bank",
            {**{name: say_count(n, "row") for name, n in rows.items()}, "written to": out},
        )


@app.command(
    epilog=example(
        "kyc-ml check --source configs/sources/synthetic.yaml --data build/demo/bank",
        after="make demo",
    )
)
def check(
    *,
    source: Source,
    data: Data,
    quarantine: Quarantine = None,
    quiet: Quiet = False,
) -> None:
    """Read a source, put rows that break the contract aside, and sum up its quality."""
    with job(quiet=quiet, reads={"--source": source, "--data": data}) as terminal:
        from kyc_ml.contract import read_tables

        tables, _ = read_tables(
            source, data, quarantine=quarantine, reporter=terminal, telling="table"
        )
        counts = tables.quality.tables
        terminal.summary(
            "source accepted",
            {
                "read": f"{sum(table.read for table in counts):,} rows",
                "accepted": f"{sum(table.accepted for table in counts):,} rows",
                "quarantined": f"{sum(table.quarantined for table in counts):,} rows",
                "warnings": len(tables.quality.warnings),
            },
        )
