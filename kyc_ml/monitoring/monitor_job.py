"""run_monitor: all nights looked at together; signals, page, exports and alerts."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final, Literal

import pandas as pd

from kyc_ml.config import AlertsConfig, load_section
from kyc_ml.contract import ContractedTables, known_until
from kyc_ml.decision import Language
from kyc_ml.display import ProgressReporter, say_moment
from kyc_ml.errors import ConfigError, DatasetError, GateError, KycMlError
from kyc_ml.history import read_tables
from kyc_ml.monitoring.alerts.book import AlertBook
from kyc_ml.monitoring.alerts_job import AlertsResult, run_alerts
from kyc_ml.monitoring.customer_data import customer_data, customers_due, save_due, with_earlier
from kyc_ml.monitoring.drift import feature_moves, find_drift
from kyc_ml.monitoring.exports import metrics_of, newest_figures, to_plain
from kyc_ml.monitoring.incidents.playbooks import load_playbooks
from kyc_ml.monitoring.nights import NightsRecord
from kyc_ml.monitoring.outcomes import read_outcomes
from kyc_ml.monitoring.page import MonitorStory, save_pages
from kyc_ml.monitoring.signals import Severity, Signal
from kyc_ml.monitoring.watched import Watched, say_fault, watch_challengers, with_outcomes
from kyc_ml.registry import AUDIT_LOG, Bundle, RunRecord, load_model, log_job
from kyc_ml.storage import dump_json, require_place, write_metrics, write_whole

FIGURES: Final = "monitor.json"
METRICS: Final = "monitor.prom"
_LABEL: Final = re.compile(r"(?P<name>.+) v(?P<version>\d+)")
_WATCHED_DAYS: Final = 425
"""A year, and 60 nights before it from which drift is learned."""
OPEN_DAYS: Final = 7
"""Convention: a week, the longest time between two looks at the page."""
EARLIER_DAYS: Final = 30
"""Convention: a month; shares of customer information move slowly."""
FailOn = Literal["critical", "warning", "never"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorRequest:
    """What monitoring is asked to look at."""

    out: Path
    """Folder of all nights, with their record."""
    source: Path | None = None
    data: Path | None = None
    """`source` and `data`: source mapping and its files, for outcomes; without them nights alone
    are looked at."""
    as_of: pd.Timestamp | None = None
    """Outcomes known later are not used; None is the end of the data."""
    models: tuple[str, ...] = ()
    """Addresses of the models, such as 'models:/fraud/3'; by default the version of the last night
    of each. A model is matched by its name."""
    to: Path | None = None
    """Folder of the pages and exports; None is `out`."""
    alerts: Path | None = None
    playbooks: Path | None = None
    """`alerts` and `playbooks`: configurations of alerts and incidents; None sends nothing."""
    fail_on: FailOn = "critical"
    """{'critical', 'warning', 'never'}; severity of an open signal that gives exit code 1."""
    due: Path | None = None
    """CSV or Parquet file for the customers whose information is due for an update: confidential,
    so only on demand; needs `source`."""
    log_mlflow: bool = True
    """Log the figures to the experiment of each model."""
    audit_log: Path = AUDIT_LOG
    """The log that keeps incidents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorResult:
    """What monitoring found."""

    models: tuple[Watched, ...]
    signals: tuple[Signal, ...]
    """Those open now, of all models and tables, the worst first; see `open_signals`."""
    pages: Mapping[Language, Path]
    """Mapping of language to path."""
    alerts: AlertsResult | None = None
    """None if no alerts were asked for."""
    failed: bool = False
    """Whether an open signal is as severe as `fail_on`."""

    @property
    def code(self) -> int:
        """Exit code: 0; 1 if a signal is as severe as asked; that of the alerts if it is higher."""
        own = GateError.exit_code if self.failed else 0
        return max(own, 0 if self.alerts is None else self.alerts.code)


def run_monitor(
    asked: MonitorRequest, *, reporter: ProgressReporter | None = None
) -> MonitorResult:
    """Look at all nights of a folder, and write what was found.

    Raises ConfigError if the folder has no record, only one of source and data is given, or a
    configuration is faulty; OutputError if a file cannot be written.
    """
    reporter = reporter or ProgressReporter()
    folder = asked.to or asked.out
    if (asked.source is None) != (asked.data is None):
        msg = "--source and --data belong together: give both, or none to leave outcomes out"
        raise ConfigError(msg)
    if asked.due is not None and asked.source is None:
        raise ConfigError("--due lists customers of the source: give --source and --data too")
    alerts = None if asked.alerts is None else load_section(asked.alerts, AlertsConfig)
    playbooks = None if asked.playbooks is None else load_playbooks(asked.playbooks)
    require_place(folder / FIGURES)
    record = NightsRecord.open(asked.out)
    given = [load_model(each)[0] for each in asked.models]
    bundles = {bundle.config.name: bundle for bundle in given}
    tables, until = _tables(asked, reporter)
    found = []
    for number, name in enumerate(names := record.models(), 1):
        reporter.progress("monitoring", number, len(names))
        found.append(_watch(asked, record, name, bundles, tables=tables, until=until))
    loaded = {each.name: each.bundle for each in found if each.bundle is not None}
    newest = max((each.day for each in found), default="")
    since = "" if not newest else _days_before(newest, _WATCHED_DAYS - 1)
    drift = find_drift(record, loaded, since=since).signals
    raised = newest_first([*drift, *(one for each in found for one in each.signals)])
    days = {each.name: each.day for each in found}
    signals = open_signals(raised, days)
    customers = _customers(asked, record, tables, until, reporter)
    sent = None
    if alerts is not None:
        sent = run_alerts(
            signals,
            folder=asked.out,
            config=alerts,
            evaluated={"": newest} | {name: day for name, day in days.items() if day},
            playbooks=playbooks,
            log=asked.audit_log,
            reporter=reporter,
        )
    kept = AlertBook(folder=asked.out, now=datetime.now(UTC))
    story = MonitorStory(
        out=asked.out,
        models=tuple(found),
        raised=raised,
        signals=signals,
        outcomes_until="" if until is None else say_moment(until),
        alerts=kept.alerts() if sent is None else sent.alerts,
        customers=customers,
    )
    pages = save_pages(story, folder)
    write_whole(folder / FIGURES, dump_json(to_plain(story)).encode())
    write_whole(folder / METRICS, write_metrics(metrics_of(story)).encode())
    if asked.log_mlflow:
        _log(found, signals, reporter)
    least = {"critical": Severity.CRITICAL, "warning": Severity.WARNING}.get(asked.fail_on)
    failed = least is not None and any(each.severity >= least for each in signals)
    return MonitorResult(
        models=story.models, signals=signals, pages=pages, alerts=sent, failed=failed
    )


def newest_first(signals: Sequence[Signal]) -> tuple[Signal, ...]:
    """Order signals by day, the newest first, then the worst first."""
    ordered = sorted(signals, key=lambda each: (-each.severity, each.code, each.model, each.key))
    return tuple(sorted(ordered, key=lambda each: each.day, reverse=True))


def open_signals(raised: Sequence[Signal], days: Mapping[str, str]) -> tuple[Signal, ...]:
    """Return the signals that need attention now, the worst first.

    What was found about a night itself is over with the next night of its model. A change of
    the tables or of a distribution, which is raised once, stays open for `OPEN_DAYS` days. The
    level and the coverage are evaluated again each time: their signals are open.

    `days`: mapping of model to ISO date; the last night of each.
    """
    if not any(days.values()):
        return ()
    newest = max(days.values())
    since = _days_before(newest, OPEN_DAYS - 1)

    def is_open(each: Signal) -> bool:
        family = each.code.partition(".")[0]
        if family in {"level", "estimate"}:
            return True
        return each.day >= (days.get(each.model, newest) if family == "night" else since)

    return tuple(sorted(filter(is_open, raised), key=lambda each: -each.severity))


def _tables(
    asked: MonitorRequest, reporter: ProgressReporter
) -> tuple[ContractedTables | None, pd.Timestamp | None]:
    if asked.source is None or asked.data is None:
        return None, None
    tables, _ = read_tables(asked.source, asked.data, quarantine=None, reporter=reporter)
    return tables, known_until(tables, asked.as_of)


def _customers(
    asked: MonitorRequest,
    record: NightsRecord,
    tables: ContractedTables | None,
    until: pd.Timestamp | None,
    reporter: ProgressReporter,
) -> pd.DataFrame | None:
    """Record the quality of customer information, compare it, and write the list of who is due."""
    if tables is None or until is None:
        return None
    try:
        found = customer_data(tables, until)
    except DatasetError as error:
        reporter.warning(str(error))
        return None
    if asked.due is not None:
        save_due(customers_due(tables, until), asked.due)
    day = until.tz_convert(tables.timezone).date().isoformat()
    record.add_customer_data(day, found)
    earlier = record.customer_data(until=_days_before(day, EARLIER_DAYS))
    return with_earlier(found, earlier)


def _watch(
    asked: MonitorRequest,
    record: NightsRecord,
    name: str,
    bundles: Mapping[str, Bundle],
    *,
    tables: ContractedTables | None,
    until: pd.Timestamp | None,
) -> Watched:
    """Look at one model; what cannot be looked at is a remark."""
    nights, bundle, outcomes, remarks = record.nights(name), bundles.get(name), None, []
    try:
        bundle = bundle or _bundle_of(nights)
    except KycMlError as error:
        remarks.append(say_fault(error))
    last = str(nights["day"].iloc[-1]) if len(nights) else None
    moved = feature_moves(record, name, bundle, day=last)
    each = Watched(name=name, nights=nights, bundle=bundle, moved=moved, remarks=tuple(remarks))
    try:
        if tables is not None and until is not None and bundle is not None:
            outcomes = read_outcomes(asked.out, name, tables=tables, run=bundle.config, as_of=until)
            each = with_outcomes(each, outcomes, per_day=bundle.config.tuning.capacity_per_day)
        challengers = watch_challengers(
            asked.out, name, tiers=each.tiers, champion=outcomes, tables=tables, bundle=bundle
        )
    except KycMlError as error:
        return replace(each, remarks=(*each.remarks, say_fault(error)))
    return replace(each, challengers=challengers)


def _bundle_of(nights: pd.DataFrame) -> Bundle | None:
    """Load the model of the last night that one scored; None if its name says no version."""
    scored = nights[nights["scored"] > 0]
    label = _LABEL.fullmatch(scored["version"].iloc[-1]) if len(scored) else None
    return None if label is None else load_model(f"models:/{label['name']}/{label['version']}")[0]


def _log(found: Sequence[Watched], signals: Sequence[Signal], reporter: ProgressReporter) -> None:
    """Log the newest figures of each model; a store that is away is a warning."""
    for each in found:
        counts = {
            f"signals/{level.name.lower()}": float(
                sum(one.severity is level for one in signals if one.model == each.name)
            )
            for level in Severity
        }
        figures = {f"performance/{name}": value for name, value in newest_figures(each).items()}
        record = RunRecord(
            parameters={},
            metrics={**counts, **figures},
            tags={"job": "monitor", "night": each.day},
            tables={} if each.months is None else {"months": each.months},
            figures={},
        )
        try:
            log_job("monitor", each.name, record)
        except KycMlError as error:
            reporter.warning(f"MLflow has no record of monitoring {each.name}: {error}")


def _days_before(day: str, number: int) -> str:
    return (date.fromisoformat(day) - timedelta(days=number)).isoformat()
