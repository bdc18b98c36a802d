"""Commands that score: a batch, and one observation with its reasons."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from kyc_ml.cli import options
from kyc_ml.cli.usage import Commands

app = Commands()

Fallback = Literal["rating"]
_SHOWN = 20
"""Differences on the screen; the file has all."""


@app.command()
def score(
    *,
    model: options.ModelOption,
    source: options.RequiredPath,
    data: options.RequiredPath,
    out: options.RequiredPath,
    since: options.Since = None,
    as_of: options.AsOfOption = None,
    full: Annotated[bool, typer.Option("--full")] = False,
    incremental: Annotated[bool, typer.Option("--incremental")] = False,
    previous: list[Path] | None = None,
    overrides: Path | None = None,
    limits: Path | None = None,
    fallback: Fallback | None = None,
    config: Path | None = None,
    contributions: Annotated[bool, typer.Option("--contributions")] = False,
    csv: Annotated[bool, typer.Option("--csv")] = False,
    duckdb: Annotated[bool, typer.Option("--duckdb")] = False,
    history: Path | None = None,
    restart: Annotated[bool, typer.Option("--restart")] = False,
    wait: str | None = None,
    heartbeat: Path | None = None,
    on_failure: str | None = None,
    part_rows: Annotated[int, typer.Option(min=1)] = 32_768,
    memory: str = "512MB",
    engine: options.Engine = "local",
    master: options.Master = None,
    audit_log: options.AuditLogOption = options.AUDIT_LOG,
    allow_unpromoted: options.AllowUnpromoted = False,
    log_format: options.LogOption = "text",
    quiet: options.Quiet = False,
) -> None:
    """Score new data with probabilities, tiers and reasons."""
    given = locals()
    reads = ["--source", "--data", "--previous", "--overrides", "--limits", "--config", "--history"]
    with options.job(given, models=[model], reads=reads) as terminal:
        # imported here, so that `--help` does not wait for it
        from kyc_ml.cli.terminal.results import show_scoring
        from kyc_ml.monitoring import run_recorded
        from kyc_ml.scoring import ScoringRequest

        show_scoring(terminal, run_recorded(options.fill(ScoringRequest, given), reporter=terminal))


@app.command()
def explain(
    observation: str,
    *,
    model: options.ModelOption,
    source: options.RequiredPath,
    data: options.Data = None,
    history: options.History = None,
    top: Annotated[int, typer.Option(min=1)] = 10,
    chinese: bool = False,
    sheet: Path | None = None,
    overrides: Path | None = None,
    previous: list[Path] | None = None,
    customer_safe: Annotated[bool, typer.Option("--customer-safe")] = False,
    quarantine: Path | None = None,
    audit_log: options.AuditLogOption = options.AUDIT_LOG,
    allow_unpromoted: options.AllowUnpromoted = False,
    quiet: options.Quiet = False,
) -> None:
    """Explain one score and its tier."""
    given = locals()
    with options.job(
        given, reads=["--source", "--data", "--history", "--overrides", "--previous"]
    ) as terminal:
        from kyc_ml.config import SourceMapping, load_section
        from kyc_ml.errors import ConfigError
        from kyc_ml.scoring import require_known_rows

        if customer_safe and sheet is not None:
            msg = "--sheet with --customer-safe: a case sheet is internal only; leave out one"
            raise ConfigError(msg)
        # a mistyped identifier is refused before models and their packages are loaded
        if data is not None and history is None:
            require_known_rows(load_section(source, SourceMapping), data, observation)
        from kyc_ml.cli.terminal.results import show_customer_facts, show_explanation
        from kyc_ml.scoring import ExplainRequest, run_customer_safe, run_explain

        request = options.fill(
            ExplainRequest, given, reasons=top, language="zh" if chinese else "en"
        )
        if customer_safe:
            facts = run_customer_safe(request, reporter=terminal)
            show_customer_facts(terminal, facts, chinese=chinese)
        else:
            explained = run_explain(request, reporter=terminal)
            show_explanation(terminal, explained, chinese=chinese)


@app.command()
def serve(
    *,
    history: options.RequiredPath,
    model: options.ModelOption,
    host: str = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535)] = 8080,
    overrides: Path | None = None,
    waiting: Annotated[int, typer.Option(min=1)] = 256,
    most_transactions: Annotated[int, typer.Option(min=1)] = 100,
    most_bytes: Annotated[int, typer.Option(min=1)] = 1_000_000,
    ahead_seconds: Annotated[float, typer.Option(min=0.0)] = 5.0,
    poll_seconds: Annotated[float, typer.Option(min=1.0)] = 60.0,
    audit_log: options.AuditLogOption = options.AUDIT_LOG,
    allow_unpromoted: options.AllowUnpromoted = False,
    log_format: options.LogOption = "text",
    quiet: options.Quiet = False,
) -> None:
    """Score transactions over HTTP, one at a time."""
    given = locals()
    with options.job(
        given, models=[model], reads=["--history", "--overrides"], name="serve"
    ) as terminal:
        from kyc_ml.serving import ServeRequest, run_serve

        run_serve(options.fill(ServeRequest, given), reporter=terminal)


@app.command()
def replay(
    *,
    history: options.RequiredPath,
    model: list[str] | None = None,
    since: options.Since = None,
    until: options.Until = None,
    sample: Annotated[int | None, typer.Option(min=1)] = None,
    seed: int = 0,
    overrides: Path | None = None,
    pending: Annotated[bool, typer.Option("--pending")] = False,
    all_rows: Annotated[bool, typer.Option("--all-rows")] = False,
    out: Path | None = None,
    quiet: options.Quiet = False,
) -> None:
    """Score in batch what was served, and compare."""
    given = locals()
    with options.job(given, models=model or (), reads=["--history", "--overrides"]) as terminal:
        from dataclasses import asdict

        import pandas as pd

        from kyc_ml.serving import ReplayRequest, run_replay
        from kyc_ml.storage import dump_json, write_whole

        found = run_replay(options.fill(ReplayRequest, given), reporter=terminal)
        plain = asdict(found)
        if out is not None:
            write_whole(out, dump_json(plain).encode())
        if found.differences:
            terminal.show("differences", pd.DataFrame(plain["differences"][:_SHOWN]))
        counts = {name: f"{plain[name]:,}" for name in ("served", "compared", "cells")}
        terminal.summary("replayed", {**counts, "differences": f"{len(found.differences):,}"})
        terminal.outcome.code = found.code
