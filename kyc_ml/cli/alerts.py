"""Commands on what needs a person: alerts and the watchdog, incidents and their steps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kyc_ml.cli.language import language
from kyc_ml.cli.options import AUDIT_LOG, Log, RequiredPath, fill, job, time_option
from kyc_ml.cli.shipped import find_shipped
from kyc_ml.cli.usage import Commands, HelpfulGroup

if TYPE_CHECKING:
    from kyc_ml.cli.terminal.reporters import Terminal
    from kyc_ml.config import AlertsConfig
    from kyc_ml.monitoring import Alert, AlertBook, AlertsResult

app = Commands()
alerts = Commands(cls=HelpfulGroup, no_args_is_help=True)
app.add_typer(alerts, name="alerts")
incident = Commands(cls=HelpfulGroup, no_args_is_help=True)
app.add_typer(incident, name="incident")

Required = Annotated[str, typer.Option()]


@alerts.command("list")
def list_alerts(
    *, out: RequiredPath, resolved: Annotated[bool, typer.Option("--resolved")] = False
) -> None:
    """List the open alerts."""
    with job(locals(), reads=["--out"]) as terminal:
        import pandas as pd

        book = _book(out)
        found = book.alerts(resolved=resolved)
        rows = [
            {
                "alert": each.id,
                "severity": each.severity.name.lower(),
                "signal": each.signal["code"],
                "subject": " ".join(filter(None, (each.signal["model"], each.signal["subject"]))),
                "nights": each.nights,
                "last": each.last_day,
                "state": _state(each, book.time),
            }
            for each in found
        ]
        if rows:
            terminal.show("alerts", pd.DataFrame(rows))
        waiting = sum(each.is_waiting(book.time) for each in found)
        terminal.summary("alerts", {"open": sum(not a.resolved_at for a in found), "wait": waiting})


@alerts.command()
def acknowledge(alert: str, *, out: RequiredPath, name: Required) -> None:
    """Take care of an alert."""
    with job(locals(), reads=["--out"]) as terminal:
        _book(out).acknowledge(alert, who=name)
        terminal.summary("acknowledged", {"alert": alert, "by": name})


@alerts.command()
def snooze(
    alert: str,
    *,
    out: RequiredPath,
    until: Annotated[str, time_option("--until")],
    owner: Required,
    reason: Required,
) -> None:
    """Send nothing about an alert for some days."""
    with job(locals(), reads=["--out"]) as terminal:
        from kyc_ml.config import parse_day

        _book(out).snooze(alert, until=parse_day(until), owner=owner, reason=reason)
        terminal.summary("snoozed", {"alert": alert, "until": until, "owner": owner})


@alerts.command("send")
def send_due(*, out: RequiredPath, alerts: Path | None = None) -> None:
    """Send what is due: earlier failures, escalations."""
    with job(locals(), reads=["--out", "--alerts"]) as terminal:
        from kyc_ml.monitoring import run_alerts

        _show(terminal, run_alerts(folder=out, config=_config(alerts), reporter=terminal))


@alerts.command()
def watchdog(
    *,
    out: RequiredPath,
    by: str = "07:00",
    source: Path | None = None,
    model: list[str] | None = None,
    limits: Path | None = None,
    alerts: Path | None = None,
    playbooks: Path | None = None,
    log: Log = AUDIT_LOG,
) -> None:
    """Find nights that did not arrive."""
    with job(locals(), reads=["--source", "--limits", "--alerts", "--playbooks"]) as terminal:
        from kyc_ml.monitoring import load_playbooks, run_watchdog
        from kyc_ml.scoring import load_limits

        result = run_watchdog(
            folder=out,
            by=by,
            zone=_zone(source),
            models=model or (),
            holidays=load_limits(limits).holidays,
            config=_config(alerts),
            playbooks=load_playbooks(playbooks),
            log=log,
            reporter=terminal,
        )
        _show(terminal, result)


@incident.command("open")
def open_incident(
    *,
    playbook: Required,
    reason: Required,
    name: Required,
    model: str = "",
    playbooks: Path | None = None,
    log: Log = AUDIT_LOG,
) -> None:
    """Open an incident by hand."""
    with job(locals(), reads=["--playbooks"]) as terminal:
        from kyc_ml.monitoring import load_playbooks, run_incident_open

        found = load_playbooks(playbooks)
        made = run_incident_open(
            model=model, playbook=playbook, reason=reason, who=name, playbooks=found, log=log
        )
        steps = [each.step for each in found.named(playbook).steps]
        commands = [f"kyc-ml incident step {made.id} {step} --out OUT" for step in steps]
        terminal.summary("incident opened", {"incident": made.id}, commands=commands)


@incident.command("list")
def list_incidents(*, log: Log = AUDIT_LOG) -> None:
    """List the incidents."""
    with job(locals()) as terminal:
        import pandas as pd

        from kyc_ml.monitoring import read_incidents

        found = read_incidents(log).values()
        rows = [
            {
                "incident": each.id,
                "model": each.model,
                "signal": each.signal["code"],
                "playbook": each.playbook,
                "opened": each.entries[0].time[:10],
                "steps": len(each.steps),
                "state": ("held" if each.in_force("hold") else "open")
                if each.is_open
                else "closed",
            }
            for each in found
        ]
        if rows:
            terminal.show("incidents", pd.DataFrame(rows))
        terminal.summary("incidents", {"open": sum(each.is_open for each in found)})


@incident.command("show")
def show_incident(incident: str, *, log: Log = AUDIT_LOG) -> None:
    """Show the timeline of an incident."""
    with job(locals()) as terminal:
        import pandas as pd

        from kyc_ml.monitoring import find_incident

        found = find_incident(incident, log=log, closed=True)
        rows = [
            {
                "time": each.time,
                "after": str(found.since(each)),
                "what": f"{each.facts['what']} {each.facts['step']}".strip(),
                "by": each.actor,
                "effect": each.facts.get("effect", {}).get(language(), ""),
            }
            for each in found.entries
        ]
        terminal.show(f"incident {found.id}", pd.DataFrame(rows))
        own = "text_zh" if language() == "zh" else "text"
        facts = {"model": found.model, "playbook": found.playbook, "found": found.signal[own]}
        terminal.summary("open" if found.is_open else "closed", facts)


@incident.command()
def step(
    incident: str,
    step: str,
    *,
    out: RequiredPath,
    yes: str = "",
    overrides: Path = Path("overrides.yaml"),
    alerts: Path | None = None,
    playbooks: Path | None = None,
    log: Log = AUDIT_LOG,
) -> None:
    """Show the effect of a step, or do it."""
    given = locals()
    with job(given, reads=["--out", "--alerts", "--playbooks"]) as terminal:
        from kyc_ml.monitoring import StepRequest, load_playbooks, run_incident_step

        book, rules = load_playbooks(playbooks), _config(alerts)
        request = fill(StepRequest, given, who=yes, playbooks=book, alerts=rules)
        result = run_incident_step(request)
        facts: dict[str, object] = {"effect": getattr(result.effect, language())}
        facts |= {f"fault {n}": text for n, text in enumerate(result.faults, 1)}
        if result.receipt:
            terminal.summary("done", {**facts, "receipt": result.receipt})
        else:
            command = f"kyc-ml incident step {incident} {step} --out {out} --yes NAME"
            terminal.summary("nothing was done yet", facts, commands=[command])
        terminal.outcome.code = 4 if result.faults else 0


@incident.command("close")
def close_incident(
    incident: str, *, out: RequiredPath, name: Required, conclusion: Required, log: Log = AUDIT_LOG
) -> None:
    """Close an incident and write its report."""
    with job(locals()) as terminal:
        from kyc_ml.monitoring import run_incident_close

        found, paths = run_incident_close(
            incident, conclusion=conclusion, who=name, out=out, log=log
        )
        facts = {
            "incident": found.id,
            "steps": len(found.steps),
            "report": " ".join(map(str, paths)),
        }
        terminal.summary("closed", facts)


@incident.command()
def drill(*, out: Path = Path("build/drill")) -> None:
    """Play an incident on a small synthetic bank."""
    with job(locals()) as terminal:
        from kyc_ml.onboarding import run_drill

        result = run_drill(out=out, configs=find_shipped(), reporter=terminal)
        left = "effect" if language() == "zh" else "effect_zh"
        terminal.show(f"incident {result.incident}", result.timeline.drop(columns=left))
        paths = " ".join(map(str, result.reports))
        terminal.summary("drill", {"duration": f"{result.seconds:.0f} s", "report": paths})


def _state(alert: Alert, time: str) -> str:
    """Return who takes care of an alert, until when it is snoozed, or its incident."""
    snoozed = f"until {alert.snoozed_until}" if alert.is_snoozed(time) else ""
    resolved = alert.resolved_at and "resolved"
    return resolved or snoozed or alert.acknowledged_by or alert.incident


def _book(out: Path) -> AlertBook:
    from datetime import UTC, datetime

    from kyc_ml.monitoring import AlertBook

    return AlertBook(folder=out, now=datetime.now(UTC))


def _config(path: Path | None) -> AlertsConfig:
    from kyc_ml.config import AlertsConfig, load_section

    return AlertsConfig() if path is None else load_section(path, AlertsConfig)


def _zone(source: Path | None) -> str:
    from kyc_ml.config import SourceMapping, load_section

    return "UTC" if source is None else load_section(source, SourceMapping).timezone


def _show(terminal: Terminal, result: AlertsResult) -> None:
    """Show what a run of the alerts did; its exit code is that of the job."""
    facts: dict[str, Any] = {"open": len(result.alerts), "sent": result.sent}
    text = "text_zh" if language() == "zh" else "text"
    facts |= {f"wait {each.id}": each.signal[text] for each in result.alerts}
    facts |= {f"fault {n}": text for n, text in enumerate(result.faults, 1)}
    terminal.summary("alerts", facts)
    terminal.outcome.code = result.code
