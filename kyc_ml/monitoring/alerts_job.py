"""run_alerts: from signals to alerts, incidents and messages; nothing is lost on the way."""

import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from pathlib import Path

from kyc_ml.config import AlertsConfig
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import ConfigError, GateError, KycMlError, RouteError
from kyc_ml.monitoring.alerts.book import Alert, AlertBook, rule_of
from kyc_ml.monitoring.alerts.delivery import deliver
from kyc_ml.monitoring.alerts.watchdog import WATCHDOG, find_missing
from kyc_ml.monitoring.incidents.opening import open_incidents
from kyc_ml.monitoring.incidents.playbooks import Playbooks
from kyc_ml.monitoring.signals import Severity, Signal
from kyc_ml.registry import AUDIT_LOG


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsResult:
    """What a run of the alerts did."""

    alerts: tuple[Alert, ...]
    """Those that are open now, the most urgent first."""
    waiting: tuple[str, ...]
    """Identifiers of those that fail the job until they are acknowledged."""
    sent: int
    """Messages that routes accepted."""
    faults: tuple[str, ...]
    """What could not be done: routes that failed, incidents that could not be opened."""

    @property
    def code(self) -> int:
        """Exit code: 0; 1 if an alert waits; 4 if something must be tried again."""
        waiting = GateError.exit_code if self.waiting else 0
        return RouteError.exit_code if self.faults else waiting


def run_alerts(
    signals: Iterable[Signal] = (),
    *,
    folder: Path,
    config: AlertsConfig | None = None,
    evaluated: Mapping[str, str] | None = None,
    origin: str = "monitor",
    at_once: bool = False,
    playbooks: Playbooks | None = None,
    log: Path = AUDIT_LOG,
    now: datetime | None = None,
    reporter: ProgressReporter | None = None,
) -> AlertsResult:
    """Turn signals into alerts, open incidents, and send what is due, also of earlier runs.

    `signals`: those of the night; none sends only what is due of earlier runs.
    `folder`: the folder of the nights. If its file cannot be used, the messages are sent
    nevertheless, and the fault is one of the result.
    `evaluated`: mapping of model to ISO date; the night that was looked at for each model, so that
    alerts of the others stay as they are.
    `origin`, `at_once`: see `AlertBook.note`.
    `playbooks`: incidents that a signal of the highest severity opens; without it none is opened.
    `log`: the audit log, which keeps the incidents.
    Raises ConfigError if the configuration is faulty; a route that fails is in the result.
    """
    config, signals = config or AlertsConfig(), tuple(signals)
    reporter, now = reporter or ProgressReporter(), now or datetime.now(UTC)
    faults: list[str] = []
    with _book(AlertBook(folder=folder, now=now), faults) as book:
        incidents: Mapping[str, str] = {}
        if playbooks is not None:
            known = {each.cause for each in book.alerts() if each.incident}
            urgent = [each for each in signals if each.severity is Severity.CRITICAL]
            try:
                incidents = open_incidents(
                    [each for each in urgent if each.key not in known], playbooks, log=log
                )
            except KycMlError as error:  # an alert must not wait for MLflow
                faults.append(f"no incident could be opened: {error}")
        book.note(
            signals,
            config=config,
            evaluated=evaluated or {},
            origin=origin,
            incidents=incidents,
            at_once=at_once,
        )
        sent, failed = deliver(book, config, folder=folder if folder.is_dir() else Path())
        alerts = book.alerts()
    for fault in (*faults, *failed):
        reporter.warning(fault)
    return AlertsResult(
        alerts=alerts,
        waiting=tuple(
            each.id for each in alerts if each.is_waiting(book.time) and _fails_job(each, config)
        ),
        sent=sent,
        faults=(*faults, *failed),
    )


def _fails_job(alert: Alert, config: AlertsConfig) -> bool:
    rule = rule_of(alert.signal, config)
    return rule is not None and any(
        config.routes[name].method == "exit_code" for name in rule.routes
    )


@contextmanager
def _book(book: AlertBook, faults: list[str]) -> Iterator[AlertBook]:
    """Yield the book, or where its file cannot be used an empty one that lasts for this run."""
    fault = "" if book.folder.is_dir() else f"{book.folder} does not exist"
    try:
        if not fault:
            book.alerts()
    except KycMlError as error:
        fault = str(error)
    if not fault:
        yield book
        return
    faults.append(f"{fault}: what was sent in this run is written down nowhere")
    with tempfile.TemporaryDirectory() as place:
        yield replace(book, folder=Path(place))


def run_watchdog(
    *,
    folder: Path,
    by: str,
    zone: str = "UTC",
    models: Collection[str] = (),
    holidays: Collection[date] = (),
    config: AlertsConfig | None = None,
    playbooks: Playbooks | None = None,
    log: Path = AUDIT_LOG,
    now: datetime | None = None,
    reporter: ProgressReporter | None = None,
) -> AlertsResult:
    """Find the nights that did not arrive, and alert; see `find_missing` and `run_alerts`.

    `by`: time of the day in `zone` at which a night is due, such as 07:00.
    Raises ConfigError if `by` is not a time of the day.
    """
    try:
        due = time.fromisoformat(by)
    except ValueError:
        raise ConfigError(f"--by must be a time of the day such as 07:00, got {by!r}") from None
    now = now or datetime.now(UTC)
    signals, evaluated = find_missing(
        folder, by=due, zone=zone, models=models, holidays=holidays, now=now
    )
    return run_alerts(
        signals,
        folder=folder,
        config=config,
        evaluated=evaluated,
        origin=WATCHDOG,
        at_once=True,
        playbooks=playbooks,
        log=log,
        now=now,
        reporter=reporter,
    )
