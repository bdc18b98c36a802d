"""The command line: parse, call a job, print one summary, exit.

Exit codes: 0 done, 1 a gate failed, 2 bad input or configuration, 3 a defect of kyc_ml.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kyc_ml.errors import KycMlError

if TYPE_CHECKING:
    from kyc_ml.terminal import Terminal

app = typer.Typer(
    name="kyc-ml",
    help="Behavioural features, calibrated probabilities, risk tiers and reasons for KYC.",
    epilog="Example: kyc-ml demo. Exit codes: 0 done, 1 a gate failed, 2 bad input, 3 a defect.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

BAD_INPUT = 2
DEFECT = 3

Source = Annotated[
    Path, typer.Option(help="Source mapping (YAML): the user's files to contracted tables.")
]
Data = Annotated[Path, typer.Option(help="Folder that holds the files the mapping names.")]
Config = Annotated[Path, typer.Option(help="Run configuration (YAML), such as configs/fraud.yaml.")]
Model = Annotated[
    str, typer.Option(help="models:/NAME@ALIAS, models:/NAME/VERSION, or a bundle's folder.")
]
AsOf = Annotated[
    str | None,
    typer.Option(help="Use what was known then (ISO date, UTC); default: the end of the data."),
]
Since = Annotated[
    str | None,
    typer.Option(help="First instant to score; default for fraud: the day before --as-of."),
]
Quarantine = Annotated[Path, typer.Option(help="Parquet file for rows that break the contract.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print the last summary only.")]

_REFUSED = Path("build/quarantine.parquet")


@app.callback(invoke_without_command=True)
def main(
    *,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Print the version if asked to."""
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"kyc-ml {installed('kyc-ml')}")
        raise typer.Exit


@app.command(epilog="Example: kyc-ml synth --transactions 100000 --out build/bank")
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
    with _job(quiet=quiet) as terminal:
        from kyc_ml.jobs import run_synth
        from kyc_ml.synthetic import bank_config

        bank = bank_config(transactions=transactions, days=days, seed=seed)
        rows = run_synth(bank=bank, out=out, overwrite=overwrite, watch=terminal)
        terminal.summary(
            "synthetic bank",
            {**{name: f"{n:,} rows" for name, n in rows.items()}, "written to": out},
        )


@app.command(
    epilog="Example: kyc-ml check --source configs/sources/synthetic.yaml --data build/bank"
)
def check(
    *,
    source: Source,
    data: Data,
    quarantine: Quarantine = _REFUSED,
    quiet: Quiet = False,
) -> None:
    """Read a source, put rows that break the contract aside, and sum up its quality."""
    with _job(quiet=quiet) as terminal:
        from kyc_ml.jobs import read_tables

        tables, _ = read_tables(source, data, quarantine=quarantine, watch=terminal)
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


@app.command(
    epilog="Example: kyc-ml features --config configs/fraud.yaml "
    "--source configs/sources/synthetic.yaml --data build/bank --out build/features.parquet"
)
def features(
    *,
    config: Config,
    source: Source,
    data: Data,
    out: Annotated[Path, typer.Option(help="Parquet file to write.")],
    since: Since = None,
    as_of: AsOf = None,
    quarantine: Quarantine = _REFUSED,
    quiet: Quiet = False,
) -> None:
    """Compute behavioural features, each as it was known at its decision."""
    with _job(quiet=quiet) as terminal:
        from kyc_ml.jobs import run_features

        rows, columns, left_out = run_features(
            config=config,
            source=source,
            data=data,
            since=since,
            as_of=as_of,
            out=out,
            quarantine=quarantine,
            watch=terminal,
        )
        terminal.summary(
            "features",
            {
                "observations": f"{rows:,}",
                "features": columns,
                "left out": len(left_out),
                "written to": out,
            },
        )


@app.command(
    epilog="Example: kyc-ml train --config configs/fraud.yaml "
    "--source configs/sources/synthetic.yaml --data build/bank"
)
def train(
    *,
    config: Config,
    source: Source,
    data: Data,
    as_of: AsOf = None,
    keep: Annotated[
        Path | None, typer.Option(help="New folder to leave a copy of the bundle in.")
    ] = None,
    page: Annotated[
        Path | None, typer.Option(help="HTML page to write beside the run in MLflow.")
    ] = None,
    quarantine: Quarantine = _REFUSED,
    quiet: Quiet = False,
) -> None:
    """Train, calibrate, judge and register a model; the alias challenger points at it."""
    with _job(quiet=quiet) as terminal:
        from kyc_ml.jobs import run_train

        result = run_train(
            config=config,
            source=source,
            data=data,
            as_of=as_of,
            quarantine=quarantine,
            keep=keep,
            page=page,
            watch=terminal,
        )
        terminal.training(result)


@app.command(
    epilog="Example: kyc-ml score --model models:/fraud@challenger "
    "--source configs/sources/synthetic.yaml --data build/bank --out build/scores.parquet"
)
def score(
    *,
    model: Model,
    source: Source,
    data: Data,
    out: Annotated[Path, typer.Option(help="Parquet file to write.")],
    since: Since = None,
    as_of: AsOf = None,
    quarantine: Quarantine = _REFUSED,
    quiet: Quiet = False,
) -> None:
    """Score, grade and explain new rows with a registered model."""
    with _job(quiet=quiet) as terminal:
        from kyc_ml.jobs import run_score

        result = run_score(
            model=model,
            source=source,
            data=data,
            since=since,
            as_of=as_of,
            out=out,
            quarantine=quarantine,
            watch=terminal,
        )
        terminal.scoring(result)


@app.command(
    epilog="Example: kyc-ml explain C0000042@2024-12-26 --model models:/risk@challenger "
    "--source configs/sources/synthetic.yaml --data build/bank"
)
def explain(
    *,
    observation: Annotated[
        str, typer.Argument(help="Transaction id; for a risk model a review id or CUSTOMER@DATE.")
    ],
    model: Model,
    source: Source,
    data: Data,
    top: Annotated[int, typer.Option(min=1, help="Reasons to print.")] = 10,
    chinese: Annotated[bool, typer.Option(help="Print the Chinese sentences.")] = False,
    quarantine: Quarantine = _REFUSED,
    quiet: Quiet = False,
) -> None:
    """Say why one observation has its probability and its tier."""
    with _job(quiet=quiet) as terminal:
        from kyc_ml.jobs import run_explain

        explained = run_explain(
            observation=observation,
            model=model,
            source=source,
            data=data,
            top=top,
            quarantine=quarantine,
            watch=terminal,
        )
        terminal.explanation(explained, chinese=chinese)


@app.command(epilog="Example: kyc-ml demo --out build/demo")
def demo(
    *,
    out: Annotated[Path, typer.Option(help="Folder for the bank, the scores and the page.")] = Path(
        "build/demo"
    ),
    configs: Annotated[Path, typer.Option(help="Folder of the configurations.")] = Path("configs"),
    transactions: Annotated[int, typer.Option(help="Rows of the transactions table.")] = 400_000,
    seed: Annotated[int, typer.Option(help="The same seed makes the same bank.")] = 7,
    quiet: Quiet = False,
) -> None:
    """Run the whole path on a synthetic bank: make, train, register, score, explain."""
    with _job(quiet=quiet) as terminal:
        from kyc_ml.jobs import run_demo
        from kyc_ml.synthetic import bank_config

        bank = bank_config(
            transactions=transactions,
            days=540,
            transactions_per_customer=50,
            launderer_share=0.06,
            seed=seed,
        )
        terminal.demo(run_demo(configs=configs, out=out, bank=bank, watch=terminal))


@contextmanager
def _job(*, quiet: bool) -> Iterator[Terminal]:
    """Run a job before a terminal; an error on purpose is one message and exit code 2."""
    from kyc_ml.terminal import Terminal

    try:
        with Terminal(quiet=quiet) as terminal:
            yield terminal
    except KycMlError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(code=BAD_INPUT) from None
    except Exception:
        # 1 means that a gate failed: a defect must not look like one
        typer.echo(f"unexpected error, please report it:\n{traceback.format_exc()}", err=True)
        raise typer.Exit(code=DEFECT) from None
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)
        raise typer.Exit(code=130) from None
