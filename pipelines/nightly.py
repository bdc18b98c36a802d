"""Nightly score: check the source once, then score, hold against limits and publish by model.

    python pipelines/nightly.py --source configs/sources/synthetic.yaml \
        --data build/demo/bank --as-of 2025-06-24 --out build/nightly \
        --model models:/demo-fraud/1 --model models:/demo-risk/1

    0 3 * * *  cd /srv/kyc && python pipelines/nightly.py ... --as-of "$(date -u +%F)"

Transactions that became known in the day before --as-of are scored for fraud, late ones
included; every customer is scored for risk. Each model's scores are a folder of their own,
OUT/DAY/NAME, that appears whole. Killed and started again with the same arguments it goes
on; what is published already is left alone. One model that is refused, or will not load,
does not keep the others back.

Exit codes: 0 all published, 1 a limit was passed and at least one model's scores are not
published, 2 bad input or configuration, 3 a defect; the highest of all models.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kyc_ml.cli.options import LogFormat, LogFormatOption, exit_code_of, job
from kyc_ml.errors import KycMlError
from kyc_ml.jobs import ScoringRequest, load_model, parse_moment, read_once, run_score

if TYPE_CHECKING:
    from kyc_ml.terminal import Terminal


def main(
    *,
    source: Annotated[Path, typer.Option(help="Source mapping (YAML).")],
    data: Annotated[Path, typer.Option(help="Folder of the files it names.")],
    as_of: Annotated[str, typer.Option(help="End of the day to score (ISO date, UTC).")],
    out: Annotated[Path, typer.Option(help="Folder for every night's scores.")],
    model: Annotated[list[str], typer.Option(help="Approved model; may be repeated.")],
    limits: Annotated[
        Path | None, typer.Option(help="Limits beyond which nothing is published (YAML).")
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Discard what an interrupted night has done.")
    ] = False,
    log: LogFormatOption = LogFormat.TEXT,
) -> None:
    """Score one day with every model."""
    worst = 0
    with job(quiet=False, log=log) as terminal:
        day = out / parse_moment(as_of, name="--as-of").date().isoformat()
        names: dict[str, str] = {}
        for uri in model:
            try:
                names[uri] = load_model(uri)[0].config.name
            except KycMlError as error:
                worst = max(worst, _tell(terminal, uri, error))
        if names:  # else there is nothing to read the tables for
            with read_once(source, data, place=day / "tables", watch=terminal) as tables:
                for uri, name in names.items():
                    request = ScoringRequest(
                        model=uri,
                        source=source,
                        data=data,
                        out=day / name,
                        as_of=as_of,
                        limits=limits,
                        restart=restart,
                    )
                    try:
                        terminal.scoring(run_score(request, watch=terminal, tables=tables))
                    except KycMlError as error:
                        worst = max(worst, _tell(terminal, uri, error))
    raise typer.Exit(code=worst)


def _tell(terminal: Terminal, model: str, error: KycMlError) -> int:
    """Log why a model's scores are not published; gives the exit code."""
    terminal.failed(f"{model}: {error}")
    return exit_code_of(error)


if __name__ == "__main__":
    typer.run(main)
