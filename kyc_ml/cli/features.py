"""Commands on features: build, list, show, audit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from kyc_ml.cli.options import (
    GATE_FAILED,
    AsOfOption,
    Config,
    Data,
    Quarantine,
    Quiet,
    Since,
    Source,
    example,
    job,
)
from kyc_ml.cli.usage import HelpfulGroup

app = typer.Typer()
features = typer.Typer(
    cls=HelpfulGroup,
    help="Compute features, and look up what they mean.",
    epilog=example("kyc-ml features list --family network"),
    no_args_is_help=True,
)
app.add_typer(features, name="features")

OptionalConfig = Annotated[
    Path | None,
    typer.Option("--config", help="Run configuration (YAML): its items, lists and amounts."),
]

OptionalSource = Annotated[
    Path | None,
    typer.Option("--source", help="Source mapping (YAML): its attributes give features."),
]


@features.command(
    epilog=example(
        "kyc-ml features build --config configs/fraud.yaml "
        "--source configs/sources/synthetic.yaml --data build/demo/bank --buckets 4 "
        "--out build/features.parquet",
        after="make demo",
    )
)
def build(
    *,
    config: Config,
    source: Source,
    data: Data,
    out: Annotated[Path, typer.Option(help="Parquet file to write.")],
    since: Since = None,
    as_of: AsOfOption = None,
    buckets: Annotated[
        int | None,
        typer.Option(min=1, max=256, help="Build so many parts of the customers on disk."),
    ] = None,
    quarantine: Quarantine = None,
    quiet: Quiet = False,
) -> None:
    """Compute behavioural features, each as it was known at its decision."""
    with job(
        quiet=quiet,
        reads={"--config": config, "--source": source, "--data": data},
        dates={"--as-of": as_of, "--since": since},
    ) as terminal:
        from kyc_ml.dataset import run_features

        built = run_features(
            config=config,
            source=source,
            data=data,
            since=since,
            as_of=as_of,
            out=out,
            buckets=buckets,
            quarantine=quarantine,
            reporter=terminal,
        )
        terminal.summary(
            "features",
            {
                "observations": f"{built.rows:,}",
                "features": built.columns,
                "left out": len(built.unavailable),
                "written to": out,
            },
        )


@features.command(
    "list",
    epilog=example("kyc-ml features list --family network --unit risk"),
)
def list_(
    *,
    config: OptionalConfig = None,
    source: OptionalSource = None,
    family: Annotated[str | None, typer.Option(help="One family only.")] = None,
    unit: Annotated[
        Literal["fraud", "risk"] | None, typer.Option(help="What it can describe.")
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the whole catalogue as Markdown.")
    ] = False,
) -> None:
    """List the declared features; with a configuration, those that it chooses."""
    with job(reads={"--config": config, "--source": source}) as terminal:
        from kyc_ml.cli.terminal.results import show_features
        from kyc_ml.features import run_list, run_page

        if markdown:
            typer.echo(run_page(config, source=source), nl=False)
            return
        found = run_list(config=config, source=source, family=family, unit=unit)
        show_features(terminal, found)


@features.command(epilog=example("kyc-ml features show customer_in_sum_7d"))
def show(
    name: Annotated[str, typer.Argument(help="Name of a feature.")],
    *,
    config: OptionalConfig = None,
    source: OptionalSource = None,
) -> None:
    """Show one feature: what it means, how it is computed, where the definition comes from."""
    with job(reads={"--config": config, "--source": source}) as terminal:
        from kyc_ml.cli.terminal.results import show_feature
        from kyc_ml.features import run_show

        show_feature(terminal, *run_show(name, config=config, source=source))


@app.command(
    epilog=example(
        "kyc-ml audit --config configs/fraud.yaml --source configs/sources/synthetic.yaml "
        "--data build/demo/bank",
        after="make demo",
    )
)
def audit(
    *,
    config: Config,
    source: Source,
    data: Data,
    as_of: AsOfOption = None,
    times: Annotated[int, typer.Option(min=1, help="Decision times to sample.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same audit.")] = 0,
    out: Annotated[Path | None, typer.Option(help="JSON file to write all findings to.")] = None,
    quarantine: Quarantine = None,
    quiet: Quiet = False,
) -> None:
    """Prove that no feature knows the future: tamper with it, build again, compare."""
    with job(
        quiet=quiet,
        reads={"--config": config, "--source": source, "--data": data},
        dates={"--as-of": as_of},
    ) as terminal:
        from kyc_ml.cli.terminal.results import show_audit
        from kyc_ml.validation import run_audit

        result = run_audit(
            config=config,
            source=source,
            data=data,
            as_of=as_of,
            times=times,
            seed=seed,
            out=out,
            quarantine=quarantine,
            reporter=terminal,
        )
        show_audit(terminal, result)
    if not result.passed:
        raise typer.Exit(code=GATE_FAILED)
