"""The alerts of a folder of nights: one for one cause, and what was sent to whom.

Whatever must be sent is written down in the transaction that opens, raises or resolves its alert,
and marked as done once a route has accepted it. A job that is killed in between sends it again,
under the same identifier.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from kyc_ml.config import AlertRule, AlertsConfig
from kyc_ml.errors import ConfigError, hint
from kyc_ml.monitoring.nights import RECORD, NightsRecord, open_store
from kyc_ml.monitoring.signals import Severity, Signal

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS alerts (id TEXT PRIMARY KEY, cause TEXT, is_open INTEGER, state TEXT);;
CREATE UNIQUE INDEX IF NOT EXISTS alerts_open ON alerts (cause) WHERE is_open;;
CREATE TABLE IF NOT EXISTS alert_messages (id TEXT PRIMARY KEY, alert TEXT, what TEXT, route TEXT,
    content TEXT, attempts INTEGER DEFAULT 0, fault TEXT DEFAULT '', done INTEGER DEFAULT 0);;
CREATE TABLE IF NOT EXISTS alert_history (number INTEGER PRIMARY KEY, time TEXT, alert TEXT,
    what TEXT, who TEXT, said TEXT);;
CREATE TRIGGER IF NOT EXISTS alert_history_kept BEFORE UPDATE ON alert_history
    BEGIN SELECT RAISE(ABORT, 'the history of alerts is only added to'); END;;
CREATE TRIGGER IF NOT EXISTS alert_history_whole BEFORE DELETE ON alert_history
    BEGIN SELECT RAISE(ABORT, 'the history of alerts is only added to'); END
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert, as it is now."""

    id: str
    cause: str
    signal: Mapping[str, Any]
    """The last signal of its cause; see `Signal.to_plain`."""
    origin: str
    """The job whose signals opened it; only nights of this job count as nights without it."""
    first_day: str
    last_day: str
    opened_at: str
    nights: int = 1
    """Nights with the signal, from `first_day` to `last_day`."""
    absent: int = 0
    absent_day: str = ""
    """`absent` and `absent_day`: nights without the signal since then, and the last of them."""
    acknowledged_by: str = ""
    snoozed_until: str = ""
    """First day on which messages are sent again."""
    resolved_at: str = ""
    """ISO, UTC; empty while it is open."""
    incident: str = ""

    @property
    def severity(self) -> Severity:
        """How urgent it is."""
        return Severity[self.signal["severity"].upper()]

    def is_snoozed(self, time: str) -> bool:
        """Return whether nothing is sent at a time (ISO, UTC)."""
        return self.snoozed_until > time[:10]

    def is_waiting(self, time: str) -> bool:
        """Return whether it needs a person: open, neither acknowledged nor snoozed."""
        return not (self.resolved_at or self.acknowledged_by or self.is_snoozed(time))

    def message(self) -> dict[str, Any]:
        """Return the content of a message about it."""
        return {**self.signal, "alert": self.id, "incident": self.incident}


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertBook:
    """The alerts in the file of nights of a folder, at a moment `now` with a time zone."""

    folder: Path
    now: datetime

    @property
    def time(self) -> str:
        """The moment in UTC, ISO."""
        return self.now.astimezone(UTC).isoformat(timespec="seconds")

    def _known(self, day: str) -> str:
        """Return a day; '' for one that a clock wrongly ahead wrote, or it would silence years."""
        return day if day <= (self.now + timedelta(days=1)).date().isoformat() else ""

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Open the file for one transaction; see `open_store`."""
        NightsRecord.open(self.folder, create=True)  # the file is the record of nights as well
        with open_store(self.folder / RECORD) as database:
            database.row_factory = sqlite3.Row
            for statement in _TABLES.split(";;"):
                database.execute(statement)
            yield database

    def alerts(self, *, resolved: bool = False) -> tuple[Alert, ...]:
        """List the alerts, the most urgent first, then the oldest; `resolved` adds those too."""
        if not (self.folder / RECORD).exists():
            return ()
        with self.transaction() as database:
            return _read(database, "1 = 1" if resolved else "is_open")

    def history(self) -> list[dict[str, str]]:
        """List what happened: number, time, alert, what, who (a person or a route), said."""
        with self.transaction() as database:
            return [dict(row) for row in database.execute("SELECT * FROM alert_history")]

    def note(
        self,
        signals: Iterable[Signal],
        *,
        config: AlertsConfig,
        evaluated: Mapping[str, str],
        origin: str,
        incidents: Mapping[str, str],
        at_once: bool = False,
    ) -> None:
        """Open, update, escalate and resolve alerts, and write down what must be sent.

        `evaluated`: mapping of model to ISO date; the night that was looked at for each model; an
        alert of another model is not resolved.
        `origin`: the job that gives the signals.
        `incidents`: mapping of cause to identifier; the incidents that signals have opened.
        `at_once`: resolve an alert as soon as its signal is absent, also within its last night.
        """
        found = {each.key: each for each in sorted(signals, key=lambda each: each.severity)}
        with self.transaction() as database:
            opened = {each.cause: each for each in _read(database, "is_open")}
            for cause, signal in found.items():
                incident = incidents.get(cause, "")
                if cause in opened:
                    alert = replace(opened[cause], incident=incident or opened[cause].incident)
                    self._update(database, alert, signal, config)
                else:
                    self._open(database, signal, config, origin=origin, incident=incident)
            for cause, alert in opened.items():
                model = alert.signal["model"]
                night = evaluated.get(model, "" if model else max(evaluated.values(), default=""))
                if cause not in found and alert.origin == origin and night:
                    enough = 0 if at_once else config.resolve_after_nights
                    self._miss(database, alert, night=night, enough=enough)
            self._escalate(database, config)

    def acknowledge(self, identifier: str, *, who: str) -> None:
        """Record that a person takes care of an alert: it no longer fails jobs or escalates."""
        self._change(identifier, "acknowledged", who=who, acknowledged_by=who)

    def snooze(self, identifier: str, *, until: date, owner: str, reason: str) -> None:
        """Send nothing about an alert before a day; then what is due is sent.

        Raises ConfigError if the day is not later than today, in UTC, or there is no such open
        alert.
        """
        today, day = self.time[:10], until.isoformat()
        if day <= today:
            raise ConfigError(f"--until {day} must be later than today ({today}, UTC)")
        said = f"until {day}: {reason}"
        self._change(identifier, "snoozed", who=owner, said=said, snoozed_until=day)

    def _change(
        self,
        identifier: str,
        what: str,
        *,
        who: str,
        said: str = "",
        **state: Any,  # noqa: ANN401  fields of `Alert`
    ) -> None:
        """Change an open alert, as a person says."""
        with self.transaction() as database:
            known = {each.id: each for each in _read(database, "is_open")}
            if identifier not in known:
                raise ConfigError(
                    f"no open alert {identifier!r} in {self.folder}{hint(identifier, known)}: "
                    "kyc-ml alerts list"
                )
            _save(database, replace(known[identifier], **state))
            self.write(database, identifier, what, who=who, said=said)

    def write(
        self, database: sqlite3.Connection, alert: str, what: str, *, who: str = "", said: str = ""
    ) -> None:
        """Add a line to the history."""
        database.execute(
            "INSERT INTO alert_history (time, alert, what, who, said) VALUES (?, ?, ?, ?, ?)",
            (self.time, alert, what, who, said),
        )

    def queue(
        self,
        database: sqlite3.Connection,
        what: str,
        routes: Iterable[str],
        content: Mapping[str, Any],
    ) -> None:
        """Write down a message for each route, once; see `deliver`."""
        for route in routes:
            key = f"{content['alert']}-{what}-{route}"
            text = json.dumps({**content, "id": key, "what": what}, ensure_ascii=False)
            database.execute(
                "INSERT OR IGNORE INTO alert_messages (id, alert, what, route, content) "
                "VALUES (?, ?, ?, ?, ?)",
                (key, content["alert"], what, route, text),
            )

    def _open(
        self,
        database: sqlite3.Connection,
        signal: Signal,
        config: AlertsConfig,
        *,
        origin: str,
        incident: str,
    ) -> None:
        before = [each for each in _read(database, "1 = 1") if each.cause == signal.key]
        if any(signal.day <= self._known(each.last_day) for each in before):
            return  # an earlier night that is evaluated again raises no alert of today
        number = hashlib.sha256(f"{signal.key}|{len(before)}".encode()).hexdigest()
        alert = Alert(
            id=f"A{number[:10]}",
            cause=signal.key,
            signal=signal.to_plain(),
            origin=origin,
            first_day=signal.day,
            last_day=signal.day,
            opened_at=self.time,
            # whoever snoozed the cause did not mean one night alone
            snoozed_until=max((each.snoozed_until for each in before), default=""),
            incident=incident,
        )
        _save(database, alert)
        self.write(database, alert.id, "opened", said=signal.text)
        self.queue(database, "opened", routes_of(alert.signal, config), alert.message())

    def _update(
        self, database: sqlite3.Connection, before: Alert, signal: Signal, config: AlertsConfig
    ) -> None:
        alert = replace(
            before,
            signal=signal.to_plain(),
            absent=0,
            nights=before.nights + (signal.day > self._known(before.last_day)),
            last_day=max(self._known(before.last_day), signal.day),
        )
        if alert.severity > before.severity:
            alert, what = (
                replace(alert, acknowledged_by=""),
                f"raised_to_{alert.signal['severity']}",
            )
            self.write(database, alert.id, what, said=signal.text)
            self.queue(database, what, routes_of(alert.signal, config), alert.message())
        _save(database, alert)

    def _miss(self, database: sqlite3.Connection, alert: Alert, *, night: str, enough: int) -> None:
        """Count a night without the signal; after enough of them the alert is resolved."""
        if enough and night <= max(map(self._known, (alert.last_day, alert.absent_day))):
            return
        alert = replace(alert, absent=alert.absent + 1, absent_day=night)
        if alert.absent >= enough:
            alert = replace(alert, resolved_at=self.time)
            self.write(database, alert.id, "resolved")
            # who was never sent the alert needs no message that it is over
            query = "SELECT DISTINCT route FROM alert_messages WHERE alert = ? AND done"
            routes = [row["route"] for row in database.execute(query, (alert.id,))]
            database.execute("DELETE FROM alert_messages WHERE alert = ? AND NOT done", (alert.id,))
            self.queue(database, "resolved", routes, alert.message())
        _save(database, alert)

    def _escalate(self, database: sqlite3.Connection, config: AlertsConfig) -> None:
        for alert in _read(database, "is_open"):
            rule = rule_of(alert.signal, config)
            if rule is None or rule.escalate_after_hours is None or not alert.is_waiting(self.time):
                continue
            age = self.now - datetime.fromisoformat(alert.opened_at)
            if age >= timedelta(hours=rule.escalate_after_hours):
                self.queue(database, "escalated", rule.escalate_to, alert.message())


def _read(database: sqlite3.Connection, where: str) -> tuple[Alert, ...]:
    rows = database.execute(f"SELECT state FROM alerts WHERE {where}")
    alerts = [Alert(**json.loads(row["state"])) for row in rows]
    return tuple(sorted(alerts, key=lambda each: (-each.severity, each.opened_at, each.id)))


def _save(database: sqlite3.Connection, alert: Alert) -> None:
    state = json.dumps(asdict(alert), ensure_ascii=False)
    database.execute(
        "INSERT OR REPLACE INTO alerts VALUES (?, ?, ?, ?)",
        (alert.id, alert.cause, not alert.resolved_at, state),
    )


def rule_of(signal: Mapping[str, Any], config: AlertsConfig) -> AlertRule | None:
    """Return the first rule that fits a signal; None if none does."""
    for rule in config.rules:
        severe = Severity[signal["severity"].upper()] >= Severity[rule.severity.upper()]
        fits = fnmatchcase(signal["code"], rule.signal) and fnmatchcase(signal["model"], rule.model)
        if severe and fits:
            return rule
    return None


def routes_of(signal: Mapping[str, Any], config: AlertsConfig) -> tuple[str, ...]:
    """List the routes that messages about a signal take; exit codes need none."""
    rule = rule_of(signal, config)
    routes = () if rule is None else dict.fromkeys(rule.routes)
    return tuple(name for name in routes if config.routes[name].method != "exit_code")
