"""Commands on features: build, list, show, audit."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from kyc_ml.cli import options
from kyc_ml.cli.usage import Commands, HelpfulGroup

app = Commands()
features = Commands(cls=HelpfulGroup, no_args_is_help=True)
app.add_typer(features, name="features")


@features.command()
def build(
    *,
    config: options.RequiredPath,
    source: options.RequiredPath,
    data: options.Data = None,
    history: options.History = None,
    out: options.RequiredPath,
    since: options.Since = None,
    as_of: options.AsOfOption = None,
    buckets: Annotated[int | None, typer.Option(min=1, max=256)] = None,
    quarantine: Path | None = None,
    engine: options.Engine = "local",
    master: options.Master = None,
    quiet: options.Quiet = False,
) -> None:
    """Compute behavioural features."""
    given = locals()
    with options.job(given, reads=["--config", "--source", "--data", "--history"]) as terminal:
        # imported here, so that `--help` does not wait for it
        from kyc_ml.dataset import run_features

        built = options.fill(run_features, given, reporter=terminal)
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
    markdown: options.Markdown = False,
) -> None:
    """List the declared features."""
    with options.job(locals(), reads=["--config", "--source"]) as terminal:
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
    with options.job(locals(), reads=["--config", "--source"]) as terminal:
        from kyc_ml.cli.terminal.results import show_feature
        from kyc_ml.features import run_show

        show_feature(terminal, *run_show(name, config=config, source=source))


@app.command()
def audit(
    *,
    config: options.RequiredPath,
    source: options.RequiredPath,
    data: options.Data = None,
    history: options.History = None,
    as_of: options.AsOfOption = None,
    times: Annotated[int, typer.Option(min=1)] = 5,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    earlier: Path | None = None,
    out: Path | None = None,
    quarantine: Path | None = None,
    quiet: options.Quiet = False,
) -> None:
    """Test that no feature uses the future."""
    given = locals()
    with options.job(
        given, reads=["--config", "--source", "--data", "--history", "--earlier"]
    ) as terminal:
        from kyc_ml.cli.terminal.results import show_audit
        from kyc_ml.validation import run_audit

        result = options.fill(run_audit, given, reporter=terminal)
        show_audit(terminal, result)
        terminal.outcome.fail_if(not result.passed)
