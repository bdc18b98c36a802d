"""Nightly job: check the source once, then score with each model, check limits and publish.

    python pipelines/nightly.py --source configs/sources/synthetic.yaml \
        --data build/demo/bank --as-of 2025-06-24 --out build/nightly \
        --model models:/demo-fraud/1 --model models:/demo-risk/1

Fraud models score the transactions that became known in the day before --as-of, including late
ones; risk models score every customer. A day ends at the midnight of the time zone of the source;
without --as-of it is the last one. The scores of each model are in a separate folder,
OUT/DAY/NAME, which appears complete. An interrupted job resumes when it is started again with the
same arguments; published scores do not change. If one model is refused or cannot be loaded, the
others are still scored.

If the policy of a model has hysteresis, the earlier nights of the model below OUT are its history.
--shadow scores a challenger on the rows of the model of its name, after the models are published,
into OUT/DAY/NAME.shadow: only `kyc-ml monitor` reads it, and its failure is a warning.
With --history the source's files are the arrivals of the night: they are appended to that history
store, which holds what came before, and the night costs what arrived.
With --fallback rating, a scorecard scores where a model cannot be loaded or exceeds a limit: the
scorecard of the run configuration that has the name of the model.

Exit codes: 0 all published, 1 a limit was exceeded and the scores of at least one model are not
published, 2 invalid input or configuration, 3 a defect, 4 MLflow is not available: try again
later, 5 the input has not arrived yet: try again later, or give --wait. With several models it is
the highest. --heartbeat and --on-failure report how the job ended to other programs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
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
    job,
    time_option,
)
from kyc_ml.cli.scoring import Fallback
from kyc_ml.cli.usage import LoggedCommand
from kyc_ml.errors import ConfigError, KycMlError, NotReadyError, UnreachableError

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
    out: Annotated[Path, typer.Option(help="Folder for the scores of all nights.")],
    model: Annotated[list[str], typer.Option(help="Approved model; may be repeated.")],
    as_of: Annotated[
        str | None,
        time_option(
            "--as-of", help="Midnight that ends the night (ISO date, in the zone of the source)."
        ),
    ] = None,
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
    nights: Annotated[
        Path | None,
        typer.Option(help="Folder of the earlier nights, for a rehearsal; default: --out."),
    ] = None,
    history: Path | None = None,
    shadow: Annotated[
        list[str] | None,
        typer.Option(
            help="Challenger scored on the rows of the model of its name or unit, for comparison "
            "only: never published; may be repeated."
        ),
    ] = None,
    restart: Annotated[bool, typer.Option("--restart")] = False,
    audit_log: AuditLogOption = AUDIT_LOG,
    allow_unpromoted: AllowUnpromoted = False,
    wait: str | None = None,
    heartbeat: Path | None = None,
    on_failure: str | None = None,
    log_format: LogOption = "text",
) -> None:
    """Score one day with every model.

    Exit codes: 0 all published, 1 a limit was exceeded and the scores of at least one model are
    not published, 2 invalid input or configuration, 3 a defect, 4 MLflow is not available: try
    again later, 5 the input has not arrived yet: try again later.
    """
    reads = ["--source", "--data", "--limits", "--overrides", "--config"]
    reads += ["--nights", "--history"]
    with job(locals(), models=model, reads=reads, name="nightly") as terminal:
        from kyc_ml.config import SourceMapping, load_section
        from kyc_ml.contract import wait_for_input
        from kyc_ml.scoring import ScoringRequest, end_of_waiting, load_limits

        mapping = load_section(source, SourceMapping)
        moment, terminal.outcome.day = _night(as_of, mapping.timezone)
        terminal.about(as_of=moment.isoformat())
        until = end_of_waiting(wait, mapping)
        load_limits(limits)  # reports a fault once, before any work
        cards = _cards(fallback, config or (), source=source)
        night = ScoringRequest(
            model="",
            source=source,
            data=data,
            out=out / terminal.outcome.day,
            as_of=moment,
            overrides=overrides,
            limits=limits,
            history=history,
            restart=restart,
            stands=True,
            audit_log=audit_log,
            allow_unpromoted=allow_unpromoted,
        )
        refused = partial(_log, terminal, began=time.time(), zone=mapping.timezone)
        nights = None if no_previous else nights or out
        requests = []
        for uri in model:
            terminal.about(model=uri)
            try:
                requests.append(_request(night, uri, cards=cards, nights=nights, as_of=moment))
            except KycMlError as error:
                _report(terminal, uri, error)
                refused(error, replace(night, model=uri))
        if len(model) > 1:
            terminal.about(model=None)  # the tables are read once for all models
        if terminal.outcome.code == 0:  # a scorecard may belong to a model that is not loaded
            _require_used(cards, requests)
        if requests:
            try:
                wait_for_input(
                    lambda: _score(
                        terminal, requests, night, shadows=shadow or (), refused=refused, wait=wait
                    ),
                    mapping=mapping,
                    data=data,
                    until=until,
                    reporter=terminal,
                )
            except NotReadyError as error:
                refused(error, *requests)
                raise


def _night(as_of: str | None, zone: str) -> tuple[pd.Timestamp, str]:
    """Return the midnight that ends a night, and its day; without a date the last of the zone.

    Raises
    ------
    ConfigError
        If it is another time of the day: the folder of a night is named by its day.
    """
    import pandas as pd

    from kyc_ml.config import day_of, last_midnight, parse_time

    now = pd.Timestamp.now(tz="UTC")
    moment = (
        last_midnight(now, zone) if as_of is None else parse_time(as_of, name="--as-of", zone=zone)
    )
    day = day_of(moment, zone)
    if day is None:
        msg = (
            f"--as-of of a night must be a day such as {moment:%Y-%m-%d}, which means 00:00 "
            f"{zone} (the time zone of the source), got {as_of}; kyc-ml score accepts a time of day"
        )
        raise ConfigError(msg)
    return moment, day.isoformat()


def _score(
    terminal: Terminal,
    requests: Sequence[ScoringRequest],
    night: ScoringRequest,
    *,
    shadows: Sequence[str],
    refused: Callable[..., None],
    wait: str | None,
) -> None:
    """Read the tables, score with each model, then with the challengers in their shadow.

    Raises
    ------
    NotReadyError
        If the tables have not arrived yet; for the input of one model alone only if the job waits.
    """
    from kyc_ml.cli.terminal.results import show_scoring
    from kyc_ml.contract import read_once
    from kyc_ml.monitoring import replay_recorded, score_under_incidents
    from kyc_ml.scoring import features_beside, rows_of_history, run_shadows

    place = night.out / "tables"
    published = []
    if night.history is not None:
        used = [request.model for request in requests]
        replay_recorded(
            night.history, out=night.out.parent, day=night.out.name, models=used, reporter=terminal
        )
    with ExitStack() as reading:
        try:
            kept = reading.enter_context(rows_of_history(night, write=False))
            tables = reading.enter_context(
                read_once(night.source, night.data, place=place, reporter=terminal, history=kept)
            )
        except KycMlError as error:
            if not isinstance(error, NotReadyError):
                refused(error, *requests)
            raise
        for request in requests:
            try:
                keep = features_beside(request.out) if shadows else None
                result, held = score_under_incidents(
                    request, reporter=terminal, tables=tables, keep_features=keep
                )
                show_scoring(terminal, result)
                if held:
                    _report(terminal, request.model, held)
                else:
                    published.append((request, result))
            except NotReadyError as error:
                if wait is not None:
                    raise
                _report(terminal, request.model, error)
                refused(error, request)
            except KycMlError as error:
                _report(terminal, request.model, error)
        if shadows:
            run_shadows(published, shadows, reporter=terminal, tables=tables)


def _log(
    terminal: Terminal, error: KycMlError, *requests: ScoringRequest, began: float, zone: str
) -> None:
    """Log in MLflow, and in the record of nights, what was refused before it was scored."""
    from kyc_ml.monitoring import note_refused
    from kyc_ml.scoring import log_refusal

    for request in requests:
        note_refused(request, error, reporter=terminal)
        log_refusal(request, error, zone=zone, began=began, reporter=terminal)


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
    nights: Path | None,
    as_of: pd.Timestamp,
) -> ScoringRequest:
    """Return the request for one model of a night.

    Parameters
    ----------
    nights : Path or None
        Folder of all nights, for the tiers of earlier ones; None: start without them.

    Raises
    ------
    KycMlError
        If the model cannot be loaded and no scorecard replaces it.
    """
    from kyc_ml.registry import load_model
    from kyc_ml.scoring import night_before, nights_before

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
        if nights is not None:
            rule = bundle.policy.hysteresis
            previous = nights_before(nights, name, as_of=as_of, rule=rule)
    card = cards.get(name)
    return replace(
        night,
        model=uri,
        out=night.out / name,
        previous=previous,
        night_before=night_before(nights or night.out.parent, name, as_of=as_of),
        fallback=None if card is None else "rating",
        config=card,
    )


def _report(terminal: Terminal, model: str, error: KycMlError) -> None:
    """Log why a model's scores are not published; the exit code is the highest of all models."""
    text = str(error)
    terminal.failed(text if model in text else f"{model}: {text}")
    terminal.outcome.code = max(terminal.outcome.code, error.exit_code)


if __name__ == "__main__":
    app()
