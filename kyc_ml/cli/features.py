"""Commands on features: build, list, show, audit."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from kyc_ml.cli.options import (
    AsOfOption,
    Data,
    Engine,
    History,
    Markdown,
    Master,
    Quiet,
    RequiredPath,
    Since,
    fill,
    job,
)
from kyc_ml.cli.usage import Commands, HelpfulGroup

app = Commands()
features = Commands(cls=HelpfulGroup, no_args_is_help=True)
app.add_typer(features, name="features")


@features.command()
def build(
    *,
    config: RequiredPath,
    source: RequiredPath,
    data: Data = None,
    history: History = None,
    out: RequiredPath,
    since: Since = None,
    as_of: AsOfOption = None,
    buckets: Annotated[int | None, typer.Option(min=1, max=256)] = None,
    quarantine: Path | None = None,
    engine: Engine = "local",
    master: Master = None,
    quiet: Quiet = False,
) -> None:
    """Compute behavioural features."""
    given = locals()
    with job(given, reads=["--config", "--source", "--data", "--history"]) as terminal:
        # imported here, so that `--help` does not wait for it
        from kyc_ml.dataset import run_features

        built = fill(run_features, given, reporter=terminal)
        terminal.summary(
            "features",
            {
                "observations": f"{built.rows:,}",
                "features": built.columns,
                "left out": len(built.unavailable),
                "written to": out,
            },
        )


@features.command("list")
def list_(
    *,
    config: Path | None = None,
    source: Path | None = None,
    family: str | None = None,
    unit: Literal["fraud", "risk"] | None = None,
    markdown: Markdown = False,
) -> None:
    """List the declared features."""
    with job(locals(), reads=["--config", "--source"]) as terminal:
        from kyc_ml.cli.terminal.results import show_features
        from kyc_ml.features import run_list, run_page

        if markdown:
            typer.echo(run_page(config, source=source), nl=False)
            return
        found = run_list(config=config, source=source, family=family, unit=unit)
        show_features(terminal, found)


@features.command()
def show(name: str, *, config: Path | None = None, source: Path | None = None) -> None:
    """Show one feature."""
    with job(locals(), reads=["--config", "--source"]) as terminal:
        from kyc_ml.cli.terminal.results import show_feature
        from kyc_ml.features import run_show

        show_feature(terminal, *run_show(name, config=config, source=source))


@app.command()
def audit(
    *,
    config: RequiredPath,
    source: RequiredPath,
    data: Data = None,
    history: History = None,
    as_of: AsOfOption = None,
    times: Annotated[int, typer.Option(min=1)] = 5,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    earlier: Path | None = None,
    out: Path | None = None,
    quarantine: Path | None = None,
    quiet: Quiet = False,
) -> None:
    """Test that no feature uses the future."""
    given = locals()
    with job(given, reads=["--config", "--source", "--data", "--history", "--earlier"]) as terminal:
        from kyc_ml.cli.terminal.results import show_audit
        from kyc_ml.validation import run_audit

        result = fill(run_audit, given, reporter=terminal)
        show_audit(terminal, result)
        terminal.outcome.fail_if(not result.passed)
