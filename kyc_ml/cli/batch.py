"""The command of the batch job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from kyc_ml.cli.options import (
    AsOfOption,
    Data,
    LogOption,
    ModelOption,
    Quiet,
    Source,
    Time,
    example,
    job,
    time_option,
)

app = typer.Typer()


Fallback = Literal["rating"]


@app.command(
    epilog=example(
        "kyc-ml score --model models:/demo-risk@challenger "
        "--source configs/sources/synthetic.yaml --data build/demo/bank "
        "--as-of 2025-05-24 --out build/scores_before",
        after="make demo",
    )
)
def score(
    *,
    model: ModelOption,
    source: Source,
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder to publish; it appears whole, by one rename.")],
    since: Annotated[
        Time | None,
        time_option(
            "--since",
            help="For fraud: what became known from then on (default: the day before --as-of); "
            "for risk: reviews planned from then on (default: every customer, at --as-of).",
        ),
    ] = None,
    as_of: AsOfOption = None,
    full: Annotated[
        bool, typer.Option("--full", help="All transactions, or planned reviews, before --as-of.")
    ] = False,
    incremental: Annotated[
        bool,
        typer.Option(
            "--incremental",
            help="Go on from --previous: what became known since, or customers who are due.",
        ),
    ] = False,
    previous: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of an earlier run, for hysteresis; give it again for another."),
    ] = None,
    overrides: Annotated[
        Path | None,
        typer.Option(help="Overrides entered for single customers (YAML or CSV)."),
    ] = None,
    limits: Annotated[
        Path | None,
        typer.Option(help="Limits beyond which nothing is published (YAML): configs/limits.yaml."),
    ] = None,
    fallback: Annotated[
        Fallback | None,
        typer.Option(help="What scores where the model cannot be loaded or a limit is passed."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="With --fallback: run configuration whose tier policy has a card."),
    ] = None,
    contributions: Annotated[
        bool, typer.Option("--contributions", help="Write every feature's contribution too.")
    ] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Write scores.csv too.")] = False,
    duckdb: Annotated[
        bool, typer.Option("--duckdb", help="Write scores.duckdb with a table scores too.")
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Discard what an interrupted run has done.")
    ] = False,
    part_rows: Annotated[
        int, typer.Option(min=1, help="Rows scored at once: fewer take less memory.")
    ] = 32_768,
    memory: Annotated[str, typer.Option(help="What DuckDB may use before it spills.")] = "512MB",
    log: LogOption = "text",
    quiet: Quiet = False,
) -> None:
    """Score, grade and explain what arrived; killed and started again, it goes on.

    Exit codes: 0 published (or there already), 1 a limit was passed and nothing was published,
    2 bad input or configuration, 3 a defect, 4 MLflow is not there or a file is being
    written: try again later.
    """
    with job(
        quiet=quiet,
        log=log,
        models=[model],
        reads={
            "--source": source,
            "--data": data,
            "--previous": previous,
            "--overrides": overrides,
            "--limits": limits,
            "--config": config,
        },
        dates={"--as-of": as_of, "--since": since},
    ) as terminal:
        from kyc_ml.cli.terminal.results import show_scoring
        from kyc_ml.scoring import ScoringRequest, run_score

        result = run_score(
            ScoringRequest(
                model=model,
                source=source,
                data=data,
                out=out,
                since=since,
                as_of=as_of,
                full=full,
                incremental=incremental,
                previous=tuple(previous or ()),
                overrides=overrides,
                limits=limits,
                fallback=fallback,
                config=config,
                contributions=contributions,
                csv=csv,
                duckdb=duckdb,
                restart=restart,
                part_rows=part_rows,
                memory=memory,
            ),
            reporter=terminal,
        )
        show_scoring(terminal, result)
