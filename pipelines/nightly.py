"""Nightly job: check the source once, then score with each model, check limits and publish.

    python pipelines/nightly.py --source configs/sources/synthetic.yaml \
        --data build/demo/bank --as-of 2025-06-24 --out build/nightly \
        --model models:/demo-fraud/1 --model models:/demo-risk/1

    0 3 * * *  cd /srv/kyc && python pipelines/nightly.py ... --as-of "$(date -u +%F)"

Fraud models score the transactions that became known in the day before --as-of, including late
ones; risk models score every customer. The scores of each model are in a separate folder,
OUT/DAY/NAME, which appears complete. An interrupted job resumes when it is started again with the
same arguments; published scores do not change. If one model is refused or cannot be loaded, the
others are still scored.

If the policy of a model has hysteresis, the earlier nights of the model below OUT are its history.
With --fallback rating, a scorecard scores where a model cannot be loaded or exceeds a limit: the
scorecard of the run configuration that has the name of the model.

Exit codes: 0 all published, 1 a limit was exceeded and the scores of at least one model are not
published, 2 invalid input or configuration, 3 a defect, 4 MLflow is not available: try again
later. With several models it is the highest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kyc_ml.cli.help import example
from kyc_ml.cli.options import (
    AUDIT_LOG,
    AllowUnpromoted,
    AuditLogOption,
    LogOption,
    RequiredPath,
    Time,
    exit_code_of,
    job,
    time_option,
)
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
    out: Annotated[Path, typer.Option(help="Folder for the scores of all nights.")],
    model: Annotated[list[str], typer.Option(help="Approved model; may be repeated.")],
    limits: Path | None = None,
    overrides: Path | None = None,
    fallback: Fallback | None = None,
    config: Annotated[
        list[Path] | None,
        typer.Option(
            help="With --fallback: run configuration with the name of a model; may be repeated."
        ),
    ] = None,
    no_previous: Annotated[
        bool, typer.Option("--no-previous", help="Start without the tiers of earlier nights.")
    ] = False,
    restart: Annotated[bool, typer.Option("--restart")] = False,
    audit_log: AuditLogOption = AUDIT_LOG,
    allow_unpromoted: AllowUnpromoted = False,
    log_format: LogOption = "text",
) -> None:
    """Score one day with every model.

    Exit codes: 0 all published, 1 a limit was exceeded and the scores of at least one model are
    not published, 2 invalid input or configuration, 3 a defect, 4 MLflow is not available: try
    again later.
    """
    worst = 0
    reads = ["--source", "--data", "--limits", "--overrides", "--config"]
    with job(locals(), models=model, reads=reads) as terminal:
        from kyc_ml.cli.terminal.results import show_scoring
        from kyc_ml.contract import read_once
        from kyc_ml.scoring import ScoringRequest, load_limits, run_score

        _require_day(as_of)
        load_limits(limits)  # reports a fault once, before any work
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
            audit_log=audit_log,
            allow_unpromoted=allow_unpromoted,
        )
        history = None if no_previous else out
        requests = []
        for uri in model:
            terminal.about(model=uri)
            try:
                requests.append(_request(night, uri, cards=cards, history=history, as_of=as_of))
            except KycMlError as error:
                worst = max(worst, _report(terminal, uri, error))
        if len(model) > 1:
            terminal.about(model=None)  # the tables are read once for all models
        if worst == 0:  # otherwise the scorecard may belong to a model that cannot be loaded
            _require_used(cards, requests)
        if requests:
            with read_once(source, data, place=night.out / "tables", reporter=terminal) as tables:
                for request in requests:
                    try:
                        show_scoring(terminal, run_score(request, reporter=terminal, tables=tables))
                    except KycMlError as error:
                        worst = max(worst, _report(terminal, request.model, error))
    raise typer.Exit(code=worst)


def _require_day(as_of: pd.Timestamp) -> None:
    """Raise ConfigError if --as-of is a time of day: a night's folder is named by its day."""
    if as_of != as_of.normalize():
        msg = (
            f"--as-of of a night must be a day such as {as_of:%Y-%m-%d}, which means 00:00 UTC, "
            f"got {as_of.isoformat()}; kyc-ml score accepts a time of day"
        )
        raise ConfigError(msg)


def _cards(fallback: Fallback | None, configs: Sequence[Path], *, source: Path) -> dict[str, Path]:
    """Return the run configurations with a scorecard by the name of the model they replace.

    Raises
    ------
    ConfigError
        If there is a fallback without a configuration, or the other way round.
    """
    from kyc_ml.decision import load_run

    if (fallback is None) == bool(configs):
        msg = (
            "--fallback rating and --config must be given together: give the run configuration of "
            "each model that its scorecard may replace, such as configs/risk.yaml"
        )
        raise ConfigError(msg)
    cards = {load_run(path, source=source).run.name: path for path in configs}
    if len(cards) < len(configs):
        msg = "two of --config have the same name: give one run configuration for each model"
        raise ConfigError(msg)
    return cards


def _require_used(cards: Mapping[str, Path], requests: Sequence[ScoringRequest]) -> None:
    """Raise ConfigError if a scorecard replaces no model: the operator relies on it."""
    names = [request.out.name for request in requests]
    strange = sorted(cards.keys() - set(names))
    if strange:
        msg = (
            f"--config of {', '.join(strange)}, but the models are {', '.join(names)}: a scorecard "
            "replaces the model of its name; give the configuration with which it was trained"
        )
        raise ConfigError(msg)


def _request(
    night: ScoringRequest,
    uri: str,
    *,
    cards: Mapping[str, Path],
    history: Path | None,
    as_of: pd.Timestamp,
) -> ScoringRequest:
    """Return the request for one model of a night.

    Parameters
    ----------
    history : Path or None
        Folder of all nights, for the tiers of earlier ones; None: start without them.

    Raises
    ------
    KycMlError
        If the model cannot be loaded and no scorecard replaces it.
    """
    from kyc_ml.registry import load_model
    from kyc_ml.scoring import nights_before

    previous: tuple[Path, ...] = ()
    try:
        bundle = load_model(uri)[0]
    except UnreachableError:
        raise  # the model may be available on the next try
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


def _report(terminal: Terminal, model: str, error: KycMlError) -> int:
    """Log why a model's scores are not published; return the exit code."""
    text = str(error)
    terminal.failed(text if model in text else f"{model}: {text}")
    return exit_code_of(error)


if __name__ == "__main__":
    app()
