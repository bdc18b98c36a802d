"""Nightly score: check the source, score the day with each model, write a file a model.

    python pipelines/nightly.py --source configs/sources/synthetic.yaml \
        --data build/demo/bank --as-of 2025-06-24 --out build/nightly \
        --model models:/demo-fraud/1 --model models:/demo-risk/1

    0 3 * * *  cd /srv/kyc && python pipelines/nightly.py ... --as-of "$(date -u +%F)"

Transactions that became known in the day before --as-of are scored for fraud, late ones
included; every customer is scored for risk. Exit codes: 0 done, 2 bad input or
configuration; then the files of earlier nights are as they were.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kyc_ml.errors import KycMlError
from kyc_ml.jobs import load_model, parse_moment, read_tables, score_tables
from kyc_ml.terminal import Terminal


def main(
    *,
    source: Annotated[Path, typer.Option(help="Source mapping (YAML).")],
    data: Annotated[Path, typer.Option(help="Folder of the files it names.")],
    as_of: Annotated[str, typer.Option(help="End of the day to score (ISO date, UTC).")],
    out: Annotated[Path, typer.Option(help="Folder for scores and quarantine.")],
    model: Annotated[list[str], typer.Option(help="Approved model; may be repeated.")],
) -> None:
    """Score one day with every model."""
    try:
        moment = parse_moment(as_of, name="--as-of")
        loaded = [load_model(uri) for uri in model]
        day = f"{moment:%Y-%m-%d}"
        with Terminal() as terminal:
            quarantine = out / f"quarantine_{day}.parquet"
            tables, _ = read_tables(source, data, quarantine=quarantine, watch=terminal)
            for bundle, label in loaded:
                path = out / f"{bundle.config.name}_{day}.parquet"
                result = score_tables(
                    tables, bundle, label, since=None, as_of=moment, out=path, watch=terminal
                )
                terminal.scoring(result)
    except KycMlError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(code=2) from None


if __name__ == "__main__":
    typer.run(main)
