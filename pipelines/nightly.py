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

Where a model's policy holds tiers up by history (hysteresis), its earlier nights below OUT are
that history. With --fallback rating, the expert rating card of the configuration that is named
as a model is scores where that model will not load or passes a limit.

Exit codes: 0 all published, 1 a limit was passed and at least one model's scores are not
published, 2 bad input or configuration, 3 a defect, 4 MLflow is not there: try again later;
the highest of all models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kyc_ml.cli.help import example
from kyc_ml.cli.options import LogOption, RequiredPath, Time, exit_code_of, job, time_option
from kyc_ml.cli.scoring import Fallback
from kyc_ml.cli.usage import LoggedCommand
from kyc_ml.errors import ConfigError, KycMlError, UnreachableError

if TYPE_CHECKING:
    import pandas as pd

    from kyc_ml.cli.terminal.reporters import Terminal
    from kyc_ml.scoring import ScoringRequest

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(
    cls=LoggedCommand,
    epilog=example(
        "python pipelines/nightly.py --source configs/sources/synthetic.yaml "
        "--data build/demo/bank --as-of 2025-06-24 --out build/nightly "
        "--model models:/demo-fraud/1",
        after="make demo",
    ),
)
def main(
    *,
    source: RequiredPath,
    data: RequiredPath,
    as_of: Annotated[Time, time_option("--as-of", help="End of the day to score (ISO date, UTC).")],
    out: Annotated[Path, typer.Option(help="Folder for every night's scores.")],
    model: Annotated[list[str], typer.Option(help="Approved model; may be repeated.")],
    limits: Path | None = None,
    overrides: Path | None = None,
    fallback: Fallback | None = None,
    config: Annotated[
        list[Path] | None,
        typer.Option(help="With --fallback: run configuration of a model's name; repeatable."),
    ] = None,
    no_previous: Annotated[
        bool, typer.Option("--no-previous", help="Begin without the tiers of earlier nights.")
    ] = False,
    restart: Annotated[bool, typer.Option("--restart")] = False,
    log_format: LogOption = "text",
) -> None:
    """Score one day with every model.

    Exit codes: 0 all published, 1 a limit was passed and at least one model's scores are not
    published, 2 bad input or configuration, 3 a defect, 4 MLflow is not there: try again later.
    """
    worst = 0
    reads = ["--source", "--data", "--limits", "--overrides", "--config"]
    with job(locals(), models=model, reads=reads) as terminal:
        from kyc_ml.cli.terminal.results import show_scoring
        from kyc_ml.contract import read_once
        from kyc_ml.scoring import ScoringRequest, load_limits, run_score

        _require_day(as_of)
        load_limits(limits)  # a fault in it is told once, before any work
        cards = _cards(fallback, config or (), source=source)
        night = ScoringRequest(
            model="",
            source=source,
            data=data,
            out=out / as_of.date().isoformat(),
            as_of=as_of,
            overrides=overrides,
            limits=limits,
            restart=restart,
        )
        history = None if no_previous else out
        requests = []
        for uri in model:
            terminal.about(model=uri)
            try:
                requests.append(_ask(night, uri, cards=cards, history=history, as_of=as_of))
            except KycMlError as error:
                worst = max(worst, _tell(terminal, uri, error))
        if len(model) > 1:
            terminal.about(model=None)  # the tables are read for all of them
        if worst == 0:  # else a card may be that of a model which will not load
            _require_used(cards, requests)
        if requests:  # else there is nothing to read the tables for
            with read_once(source, data, place=night.out / "tables", reporter=terminal) as tables:
                for request in requests:
                    try:
                        show_scoring(terminal, run_score(request, reporter=terminal, tables=tables))
                    except KycMlError as error:
                        worst = max(worst, _tell(terminal, request.model, error))
    raise typer.Exit(code=worst)


def _require_day(as_of: pd.Timestamp) -> None:
    """Raise where --as-of is a time of day: a night's folder is named by its day.

    Raises
    ------
    ConfigError
        Naming both.
    """
    if as_of != as_of.normalize():
        msg = (
            f"--as-of of a night must be a day such as {as_of:%Y-%m-%d}, scored as of its first "
            f"instant in UTC, got {as_of.isoformat()}; kyc-ml score takes a time of day"
        )
        raise ConfigError(msg)


def _cards(fallback: Fallback | None, configs: Sequence[Path], *, source: Path) -> dict[str, Path]:
    """Return the configuration that stands in for each model, by the model's name.

    Raises
    ------
    ConfigError
        If there is a fallback without a configuration, or the other way round.
    """
    from kyc_ml.decision import load_run

    if (fallback is None) == bool(configs):
        msg = (
            "--fallback rating and --config go together: name the run configuration of each "
            "model whose expert rating may stand in, such as configs/risk.yaml"
        )
        raise ConfigError(msg)
    cards = {load_run(path, source=source).run.name: path for path in configs}
    if len(cards) < len(configs):
        msg = "two of --config have one name: one card stands in for a model, leave the other out"
        raise ConfigError(msg)
    return cards


def _require_used(cards: Mapping[str, Path], requests: Sequence[ScoringRequest]) -> None:
    """Refuse a card that stands in for no model: somebody relies on it.

    Raises
    ------
    ConfigError
        Naming the card's configuration and the models.
    """
    names = [request.out.name for request in requests]
    strange = sorted(cards.keys() - set(names))
    if strange:
        msg = (
            f"--config of {', '.join(strange)}, but the models are {', '.join(names)}: a card "
            "stands in for the model of its name; give the configuration that it was trained with"
        )
        raise ConfigError(msg)


def _ask(
    night: ScoringRequest,
    uri: str,
    *,
    cards: Mapping[str, Path],
    history: Path | None,
    as_of: pd.Timestamp,
) -> ScoringRequest:
    """Ask for one model's part of a night.

    Parameters
    ----------
    history : Path or None
        Folder of all nights, for the tiers of earlier ones; None begins without.

    Raises
    ------
    KycMlError
        If the model cannot be loaded, and no card of its name stands in.
    """
    from kyc_ml.registry import load_model
    from kyc_ml.scoring import nights_before

    previous: tuple[Path, ...] = ()
    try:
        bundle = load_model(uri)[0]
    except UnreachableError:
        raise  # it may be there on the next try
    except KycMlError:
        name = uri.removeprefix("models:/").partition("@")[0].partition("/")[0]
        if name not in cards:
            raise
    else:
        name = bundle.config.name
        if history is not None:
            rule = bundle.policy.hysteresis
            previous = nights_before(history, name, as_of=as_of, rule=rule)
    card = cards.get(name)
    return replace(
        night,
        model=uri,
        out=night.out / name,
        previous=previous,
        fallback=None if card is None else "rating",
        config=card,
    )


def _tell(terminal: Terminal, model: str, error: KycMlError) -> int:
    """Log why a model's scores are not published; return the exit code."""
    said = str(error)
    terminal.failed(said if model in said else f"{model}: {said}")
    return exit_code_of(error)


if __name__ == "__main__":
    app()
