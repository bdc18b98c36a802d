"""Commands on models: train, register, reproduce, tune, compare, and the demo of the whole path."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from kyc_ml.cli.options import AsOfOption, Data, History, Quiet, RequiredPath, Since, fill, job
from kyc_ml.cli.shipped import find_shipped
from kyc_ml.cli.usage import Commands

app = Commands()


@app.command()
def train(
    *,
    config: RequiredPath,
    source: RequiredPath,
    data: Data = None,
    history: History = None,
    as_of: AsOfOption = None,
    keep: Path | None = None,
    page: Path | None = None,
    card: Path | None = None,
    quarantine: Path | None = None,
    quiet: Quiet = False,
) -> None:
    """Train, calibrate, evaluate and register a model."""
    given = locals()
    with job(given, reads=["--config", "--source", "--data", "--history"]) as terminal:
        # imported here, so that `--help` does not wait for it
        from kyc_ml.cli.terminal.results import show_training
        from kyc_ml.training import TrainRequest, run_train

        request = fill(TrainRequest, given)
        show_training(terminal, run_train(request, reporter=terminal))


@app.command()
def register(
    *,
    folder: Annotated[Path, typer.Argument()],
    trained_by: str | None = None,
    quiet: Quiet = False,
) -> None:
    """Register a trained model from its folder."""
    with job(locals(), reads=["FOLDER"]) as terminal:
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


@app.command()
def reproduce(
    *,
    run: Annotated[str, typer.Argument()],
    data: Data = None,
    history: History = None,
    threads: Annotated[int | None, typer.Option(min=1)] = None,
    quarantine: Path | None = None,
    quiet: Quiet = False,
) -> None:
    """Train again from the record of a run and compare the bundles."""
    given = locals()
    with job(given, reads=["--data", "--history"]) as terminal:
        from kyc_ml.cli.terminal.results import show_reproduction
        from kyc_ml.training import run_reproduce

        result = fill(run_reproduce, given, reporter=terminal)
        show_reproduction(terminal, result)
        terminal.outcome.fail_if(not result.reproduced)


@app.command()
def tune(
    *,
    config: RequiredPath,
    source: RequiredPath,
    data: Data = None,
    history: History = None,
    out: RequiredPath,
    study: Path | None = None,
    as_of: AsOfOption = None,
    trials: Annotated[int | None, typer.Option(min=1)] = None,
    minutes: Annotated[float | None, typer.Option(min=0.01)] = None,
    quarantine: Path | None = None,
    quiet: Quiet = False,
) -> None:
    """Search model parameters on folds."""
    given = locals()
    with job(given, reads=["--config", "--source", "--data", "--history"]) as terminal:
        from kyc_ml.cli.terminal.results import show_tuning
        from kyc_ml.training import TuneRequest, run_tune

        request = fill(TuneRequest, given)
        show_tuning(terminal, run_tune(request, reporter=terminal))


@app.command()
def compare(
    challenger: str,
    champion: str,
    *,
    source: RequiredPath,
    data: Data = None,
    history: History = None,
    as_of: AsOfOption = None,
    since: Since = None,
    objective: Literal["average_precision", "log_loss", "recall_at_capacity", "expected_cost"]
    | None = None,
    capacity: list[float] | None = None,
    review_cost: float | None = None,
    loss: float | None = None,
    out: Path | None = None,
    quarantine: Path | None = None,
    quiet: Quiet = False,
) -> None:
    """Compare a challenger with a champion on rows new to both."""
    given = locals()
    with job(given, reads=["--source", "--data", "--history"]) as terminal:
        from kyc_ml.validation import ComparisonRequest, run_compare

        asked = fill(ComparisonRequest, given, capacities=capacity, miss_cost=loss)
        terminal.summary("compared", run_compare(asked, reporter=terminal).facts())


@app.command()
def demo(
    *,
    out: Path = Path("build/demo"),
    configs: Path | None = None,
    transactions: int = 400_000,
    seed: int = 7,
    quiet: Quiet = False,
) -> None:
    """Run the whole path on a synthetic bank."""
    configs = configs or find_shipped()
    with job(locals(), reads=["--configs"]) as terminal:
        from kyc_ml.cli.terminal.results import show_demo
        from kyc_ml.onboarding import bank_config, run_demo

        bank = bank_config(transactions=transactions, days=540, seed=seed)
        show_demo(terminal, run_demo(configs=configs, out=out, bank=bank, reporter=terminal))
