"""First training: read the source once, train the given models, register each as challenger.

    python pipelines/first_training.py --source configs/sources/synthetic.yaml \
        --data build/demo/bank --config configs/fraud.yaml --config configs/risk.yaml

Exit codes: 0 done, 2 invalid input or configuration, 3 a defect, 4 MLflow is not available: try
again later, 5 the input has not arrived yet. All configurations are read before the first training,
so that a misspelt key is reported within seconds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kyc_ml.cli.help import example
from kyc_ml.cli.options import AsOfOption, RequiredPath, in_zone_of, job
from kyc_ml.cli.usage import LoggedCommand

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(
    cls=LoggedCommand,
    epilog=example(
        "python pipelines/first_training.py --source configs/sources/synthetic.yaml "
        "--data build/demo/bank --config configs/fraud.yaml --config configs/risk.yaml",
        after="make demo",
    ),
)
def main(
    *,
    source: RequiredPath,
    data: RequiredPath,
    config: Annotated[list[Path], typer.Option(help="Run configuration; may be repeated.")],
    as_of: AsOfOption = None,
    out: Annotated[Path, typer.Option(help="Folder for the quarantine.")] = Path("build"),
) -> None:
    """Train and register one model for each configuration."""
    with job(locals(), reads=["--source", "--data", "--config"]) as terminal:
        from kyc_ml.cli.terminal.results import show_training
        from kyc_ml.contract import read_tables
        from kyc_ml.decision import load_run
        from kyc_ml.storage import private_folder
        from kyc_ml.training import train_tables

        runs = [load_run(path, source=source) for path in config]
        quarantine = out / "quarantine.parquet"
        known = in_zone_of(source, as_of, name="--as-of")
        with private_folder(None) as folder:
            tables, mapping = read_tables(
                source, data, quarantine=quarantine, reporter=terminal, folder=folder
            )
            for files in runs:
                result = train_tables(tables, mapping, files=files, as_of=known, reporter=terminal)
                show_training(terminal, result)


if __name__ == "__main__":
    app()
