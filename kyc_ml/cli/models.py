"""Commands on models: tune, train, reproduce, score, explain, and the whole path at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from kyc_ml.cli.options import (
    GATE_FAILED,
    AsOfOption,
    Config,
    Data,
    ModelOption,
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
        "kyc-ml train --config configs/fraud.yaml --source configs/sources/synthetic.yaml "
        "--data build/demo/bank --as-of 2025-04-01",
        after="make demo",
    )
)
def train(
    *,
    config: Config,
    source: Source,
    data: Data,
    as_of: AsOfOption = None,
    keep: Annotated[
        Path | None, typer.Option(help="New folder to leave a copy of the bundle in.")
    ] = None,
    page: Annotated[
        Path | None, typer.Option(help="HTML page to write beside the run in MLflow.")
    ] = None,
    card: Annotated[
        Path | None, typer.Option(help="Markdown file to write the model card to as well.")
    ] = None,
    quarantine: Quarantine = None,
    quiet: Quiet = False,
) -> None:
    """Train, calibrate, judge and register a model; the alias challenger points at it."""
    with job(
        quiet=quiet,
        reads={"--config": config, "--source": source, "--data": data},
        dates={"--as-of": as_of},
    ) as terminal:
        from kyc_ml.cli.terminal.results import show_training
        from kyc_ml.training import TrainRequest, run_train

        request = TrainRequest(
            config=config,
            source=source,
            data=data,
            as_of=as_of,
            quarantine=quarantine,
            keep=keep,
            page=page,
            card=card,
        )
        show_training(terminal, run_train(request, reporter=terminal))


@app.command(
    epilog=example(
        "kyc-ml register build/unregistered/fraud-1",
        after="a training that MLflow did not take",
    )
)
def register(
    *,
    folder: Annotated[
        Path,
        typer.Argument(help="Folder that kyc-ml train has left, or a bundle's folder."),
    ],
    trained_by: Annotated[
        str | None,
        typer.Option(help="Who trained a bundle that comes alone: they may not validate it."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Register a trained model from its folder; the alias challenger points at it."""
    with job(quiet=quiet, reads={"FOLDER": folder}) as terminal:
        from kyc_ml.registry import run_register

        made = run_register(folder, trained_by=trained_by, reporter=terminal)
        terminal.summary(
            "registered before" if made.was_there else "registered",
            {
                "model": f"{made.uri}{' (alias challenger)' if made.is_challenger else ''}",
                "bundle": made.digest[:12],
                "MLflow run": made.run_id,
                "runs side by side": made.runs,
            },
        )


@app.command(
    epilog=example(
        "kyc-ml reproduce models:/demo-fraud@challenger --data build/demo/bank", after="make demo"
    )
)
def reproduce(
    *,
    run: Annotated[
        str,
        typer.Argument(help="MLflow run id; or models:/NAME@ALIAS or models:/NAME/VERSION."),
    ],
    data: Data,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads to train with; they change no model.")
    ] = None,
    quarantine: Quarantine = None,
    quiet: Quiet = False,
) -> None:
    """Train again from a run's own record and compare the bundles; it registers nothing.

    Exit code 1: another bundle came out; its files, features and versions that differ are named.
    Exit code 2: the data files are not those of the record; each that differs is named.
    """
    with job(quiet=quiet, reads={"--data": data}) as terminal:
        from kyc_ml.cli.terminal.results import show_reproduction
        from kyc_ml.training import run_reproduce

        result = run_reproduce(
            run=run, data=data, threads=threads, quarantine=quarantine, reporter=terminal
        )
        show_reproduction(terminal, result)
    if not result.reproduced:
        raise typer.Exit(code=GATE_FAILED)


@app.command(
    epilog=example(
        "kyc-ml tune --config configs/fraud.yaml --source configs/sources/synthetic.yaml "
        "--data build/demo/bank --as-of 2025-03-01 --trials 50 --out build/fraud_model.yaml",
        after="make demo",
    )
)
def tune(
    *,
    config: Config,
    source: Source,
    data: Data,
    out: Annotated[
        Path, typer.Option(help="YAML file to write; in a configuration: model: !include FILE.")
    ],
    study: Annotated[
        Path | None,
        typer.Option(help="SQLite file to keep or resume; default: the --out file as .db."),
    ] = None,
    as_of: AsOfOption = None,
    trials: Annotated[
        int | None,
        typer.Option(min=1, help="Trials of the whole study; default: tuning.trials."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(min=0.01, help="Start no trial after so long; default: tuning.minutes."),
    ] = None,
    quarantine: Quarantine = None,
    quiet: Quiet = False,
) -> None:
    """Search model parameters on folds; say whether they beat the own on rows no choice saw."""
    with job(
        quiet=quiet,
        reads={"--config": config, "--source": source, "--data": data},
        dates={"--as-of": as_of},
    ) as terminal:
        from kyc_ml.cli.terminal.results import show_tuning
        from kyc_ml.training import TuneRequest, run_tune

        request = TuneRequest(
            config=config,
            source=source,
            data=data,
            as_of=as_of,
            study=study,
            out=out,
            trials=trials,
            minutes=minutes,
            quarantine=quarantine,
        )
        show_tuning(terminal, run_tune(request, reporter=terminal))


@app.command(
    epilog=example(
        "kyc-ml explain C0000042@2025-06-01 --model models:/demo-risk@challenger "
        "--source configs/sources/synthetic.yaml --data build/demo/bank",
        after="make demo",
    )
)
def explain(
    *,
    observation: Annotated[
        str, typer.Argument(help="Transaction id; for a risk model a review id or CUSTOMER@DATE.")
    ],
    model: ModelOption,
    source: Source,
    data: Data,
    top: Annotated[int, typer.Option(min=1, help="Reasons to print.")] = 10,
    chinese: Annotated[bool, typer.Option(help="Print the Chinese sentences.")] = False,
    sheet: Annotated[
        Path | None, typer.Option(help="HTML file to write a case sheet to; internal only.")
    ] = None,
    overrides: Annotated[
        Path | None, typer.Option(help="Overrides entered for single customers, YAML or CSV.")
    ] = None,
    previous: Annotated[
        list[Path] | None,
        typer.Option(help="Score file of an earlier review; give it again for another."),
    ] = None,
    customer_safe: Annotated[
        bool,
        typer.Option(
            "--customer-safe",
            help="Print only what the customer may be told: no tier, no reason that tips off.",
        ),
    ] = False,
    quarantine: Quarantine = None,
    quiet: Quiet = False,
) -> None:
    """Say why one observation has its probability and its tier."""
    with job(
        quiet=quiet,
        reads={
            "--source": source,
            "--data": data,
            "--overrides": overrides,
            "--previous": previous,
        },
    ) as terminal:
        from kyc_ml.errors import ConfigError

        if customer_safe and sheet is not None:
            msg = "--sheet with --customer-safe: a case sheet is internal only; leave out one"
            raise ConfigError(msg)
        _require_known(source, data, observation)
        from kyc_ml.cli.terminal.results import show_explanation, show_told
        from kyc_ml.scoring import run_customer_safe, run_explain

        if customer_safe:
            told = run_customer_safe(
                observation=observation,
                model=model,
                source=source,
                data=data,
                quarantine=quarantine,
                reporter=terminal,
            )
            show_told(terminal, told, chinese=chinese)
            return
        explained = run_explain(
            observation=observation,
            model=model,
            source=source,
            data=data,
            top=top,
            quarantine=quarantine,
            reporter=terminal,
            sheet=sheet,
            overrides=overrides,
            previous=previous or (),
        )
        show_explanation(terminal, explained, chinese=chinese)


def _require_known(source: Path, data: Path, observation: str) -> None:
    """Refuse a mistyped identifier before models and their packages are loaded."""
    from kyc_ml.config import SourceMapping, load_section
    from kyc_ml.scoring import require_known_rows

    require_known_rows(load_section(source, SourceMapping), data, observation)


@app.command(
    epilog=example(
        "kyc-ml compare models:/fraud/2 models:/fraud/1 "
        "--source configs/sources/synthetic.yaml --data build/bank --capacity 50 "
        "--out build/compared",
        after="the two trainings of README.md",
    )
)
def compare(
    *,
    challenger: Annotated[
        str,
        typer.Argument(help="models:/NAME@ALIAS, models:/NAME/VERSION, or a bundle's folder."),
    ],
    champion: Annotated[str, typer.Argument(help="The model in force, named in the same way.")],
    source: Source,
    data: Data,
    as_of: AsOfOption = None,
    since: Annotated[
        Time | None,
        time_option(
            "--since", help="First decision; default and earliest: the later training date."
        ),
    ] = None,
    objective: Annotated[
        Literal["average_precision", "log_loss", "recall_at_capacity", "expected_cost"] | None,
        typer.Option(help="What decides; default: the champion's tuning.objective."),
    ] = None,
    capacity: Annotated[
        list[float] | None,
        typer.Option(
            help="Reviews a day; give it again for another; default: the champion's "
            "tuning.capacity_per_day."
        ),
    ] = None,
    review_cost: Annotated[
        float | None,
        typer.Option(help="Cost of one review; default: the champion's tuning.review_cost."),
    ] = None,
    loss: Annotated[
        float | None,
        typer.Option(help="Loss of one missed positive; default: the champion's tuning.miss_cost."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the figures (JSON) and rows of other tiers (Parquet)."),
    ] = None,
    quarantine: Quarantine = None,
    quiet: Quiet = False,
) -> None:
    """Hold a challenger against a champion on rows new to both; any verdict exits with 0."""
    with job(
        quiet=quiet,
        reads={"--source": source, "--data": data},
        dates={"--as-of": as_of, "--since": since},
    ) as terminal:
        from kyc_ml.validation import run_compare

        result = run_compare(
            challenger=challenger,
            champion=champion,
            source=source,
            data=data,
            since=since,
            as_of=as_of,
            objective=objective,
            capacities=capacity,
            review_cost=review_cost,
            loss=loss,
            out=out,
            quarantine=quarantine,
            reporter=terminal,
        )
        terminal.summary("compared", result.facts())


@app.command(epilog=example("kyc-ml demo --out build/demo"))
def demo(
    *,
    out: Annotated[Path, typer.Option(help="Folder for the bank, the scores and the page.")] = Path(
        "build/demo"
    ),
    configs: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the configurations; default: configs of the working folder, or else "
            "those that come with kyc_ml."
        ),
    ] = None,
    transactions: Annotated[int, typer.Option(help="Rows of the transactions table.")] = 400_000,
    seed: Annotated[int, typer.Option(help="The same seed makes the same bank.")] = 7,
    quiet: Quiet = False,
) -> None:
    """Run the whole path on a synthetic bank: make, train, register, score, explain."""
    configs = configs or find_shipped()
    with job(quiet=quiet, reads={"--configs": configs}) as terminal:
        from kyc_ml.cli.terminal.results import show_demo
        from kyc_ml.onboarding import bank_config, run_demo

        bank = bank_config(
            transactions=transactions,
            days=540,
            transactions_per_customer=50,
            launderer_share=0.06,
            seed=seed,
        )
        show_demo(terminal, run_demo(configs=configs, out=out, bank=bank, reporter=terminal))
