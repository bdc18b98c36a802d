"""The steps of an incident: each says its effect first, and acts when a person says so."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from kyc_ml.config import AlertsConfig, RunConfig, dump_section, load_section
from kyc_ml.decision import OverrideBook, OverrideRule, load_overrides
from kyc_ml.errors import ConfigError, GateError, RegistryError
from kyc_ml.monitoring.alerts.book import AlertBook
from kyc_ml.monitoring.alerts.delivery import deliver
from kyc_ml.monitoring.incidents.playbooks import FloorRule, Playbooks, Step
from kyc_ml.monitoring.incidents.record import Incident, find_incident
from kyc_ml.monitoring.incidents.texts import EFFECTS, name_model
from kyc_ml.registry import AUDIT_LOG, AuditLog, champions, fetch_champion, is_among, is_named
from kyc_ml.storage import write_whole
from kyc_ml.validation import Text, run_rollback, run_withdraw


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRequest:
    """A step of an incident."""

    incident: str
    step: str
    """`incident` and `step`: identifier, and name of the step in its playbook."""
    who: str = ""
    """Who says that it is done; '' only shows the effect."""
    out: Path
    """Folder of the nights, whose file keeps messages."""
    overrides: Path = Path("overrides.yaml")
    """YAML file of overrides that a floor is written into; it is made if it is absent."""
    log: Path = AUDIT_LOG
    playbooks: Playbooks
    alerts: AlertsConfig = field(default_factory=AlertsConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """The effect of a step; `receipt` is '' if it was only shown."""

    effect: Text
    receipt: str = ""
    faults: tuple[str, ...] = ()
    """Messages that were not delivered and are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Planned:
    """What a step would do."""

    effect: Text
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the audit log keeps, besides the effect."""
    act: Callable[[], list[str]] = list
    """Does it, or what is left of it after a kill; returns faults that do not undo it."""


def run_incident_step(request: StepRequest) -> StepResult:
    """Show the effect of a step, or do it and add it to the audit log.

    A step that was interrupted is completed when it is run again: nothing is done twice.

    Raises ConfigError if the incident is closed, or there is no such step; GateError if the step is
    refused, such as a rollback without an earlier champion; AuditError or UnreachableError if the
    audit log cannot be added to.
    """
    incident = find_incident(request.incident, log=request.log)
    step = request.playbooks.named(incident.playbook).find(request.step)
    planned = _PLANS[step.action](step, incident, request)
    if not is_named(request.who):
        return StepResult(effect=planned.effect)
    faults = planned.act()
    did = {"step": step.step, "action": step.action, "effect": asdict(planned.effect)}
    entry = incident.write("step", actor=request.who, log=request.log, **{**planned.facts, **did})
    return StepResult(effect=planned.effect, receipt=str(entry.anchor), faults=tuple(faults))


def _plan_change(step: Step, incident: Incident, request: StepRequest) -> _Planned:
    """Plan what later nights read from the log: hold, release, rating, model."""
    del request
    name = None if step.config is None else load_section(step.config, RunConfig).name
    if name not in (None, incident.model):
        raise ConfigError(
            f"step {step.step}: {step.config} is of the model {name}, the incident of "
            f"{incident.model or 'all models'}: a card replaces the model of its name; name the "
            "configuration in the playbook, or open an incident of that model"
        )
    facts = {} if step.config is None else {"config": str(Path(step.config).absolute())}
    effect = EFFECTS[step.action].fill(model=name_model(incident.model), config=step.config)
    return _Planned(effect=effect, facts=facts)


def _plan_champion(step: Step, incident: Incident, request: StepRequest) -> _Planned:
    """Plan a rollback or a withdrawal; one that this step has already made is only noted."""
    reason = f"incident {incident.id}, step {step.step}"
    entries = AuditLog(request.log).require_sound()
    kind = "rollback" if step.action == "rollback" else "withdrawal"
    made = next((e for e in entries if e.kind == kind and e.facts["reason"] == reason), None)
    if not incident.model:
        msg = f"incident {incident.id} is about no single model: its champion cannot be changed"
        raise ConfigError(msg)
    now = None if made is not None else fetch_champion(incident.model)
    before = (now.version if now else "") if made is None else made.facts.get("from", made.version)
    stack = champions(entries, model=incident.model)
    after = made.version if made else next(iter(stack[-2:-1]), "")
    if made is None and (not before or (kind == "rollback" and not after)):
        raise RegistryError(f"{incident.model} has no champion to {step.action}: take another step")

    def act() -> list[str]:
        if made is None:
            change = run_rollback if kind == "rollback" else run_withdraw
            result = change(
                model=incident.model, approver=request.who, reason=reason, log=request.log
            )
            if result.refusals:
                raise GateError("refused:\n" + "\n".join(f"  - {each}" for each in result.refusals))
        return []

    names = name_model(incident.model)
    effect = EFFECTS[step.action].fill(model=names, before=before, after=after)
    return _Planned(effect=effect, act=act)


def _plan_floor(step: Step, incident: Incident, request: StepRequest) -> _Planned:
    """Plan a rule for the overrides, approved by who takes the step and not by who opened."""
    assert step.rule is not None  # noqa: S101  `Step` demands it
    path = request.overrides
    if path.suffix.lower() == ".csv":
        raise ConfigError(f"--overrides {path}: a rule has no place in CSV: name a YAML file")
    book = load_overrides(path) if path.exists() else OverrideBook()
    known = {each.code: each for each in book.rules}
    rule = known.get(step.rule.code) or _floor_rule(step.rule, incident, request)

    def act() -> list[str]:
        if rule.code not in known:
            changed = book.model_copy(update={"rules": (*book.rules, rule)})
            write_whole(path, dump_section(changed).encode())
        return []

    facts = {"code": rule.code, "overrides": str(path.absolute()), "expiry": str(rule.expiry)}
    said = {**facts, "overrides": str(path), "floor": rule.floor, "start": rule.start}
    return _Planned(effect=EFFECTS["floor"].fill(**said), facts=facts, act=act)


def _floor_rule(rule: FloorRule, incident: Incident, request: StepRequest) -> OverrideRule:
    today = datetime.now(UTC).date()
    content = rule.model_dump(exclude={"days"})
    content |= {
        "start": today,
        "expiry": today + timedelta(days=rule.days),
        "requester": f"{incident.entries[0].actor} ({incident.id})",
        "approver": request.who or "-",
    }
    if is_among(request.who, [incident.entries[0].actor]):
        msg = f"{request.who} opened {incident.id}: another person must approve a floor (four eyes)"
        raise ConfigError(msg)
    return OverrideRule.model_validate(content)


def _plan_notify(step: Step, incident: Incident, request: StepRequest) -> _Planned:
    """Plan the messages to departments: they are kept until their routes accept them."""
    departments = [request.playbooks.departments[name] for name in step.departments]
    routes = tuple(dict.fromkeys(route for each in departments for route in each.routes))
    strange = [name for name in routes if name not in request.alerts.routes]
    if strange:
        msg = f"departments name routes that the alerts do not have: {', '.join(strange)}"
        raise ConfigError(msg)

    def act() -> list[str]:
        book = AlertBook(folder=request.out, now=datetime.now(UTC))
        content = {**incident.signal, "alert": incident.id, "incident": incident.id}
        with book.transaction() as database:
            book.queue(database, "notified", routes, content)
        return deliver(book, request.alerts, folder=request.out)[1]

    names = Text(
        ", ".join(each.name for each in departments), "、".join(d.name_zh for d in departments)
    )
    return _Planned(
        effect=EFFECTS["notify"].fill(departments=names, routes=", ".join(routes)),
        facts={"departments": list(step.departments), "routes": list(routes)},
        act=act,
    )


_PLANS: Final[Mapping[str, Callable[[Step, Incident, StepRequest], _Planned]]] = {
    **dict.fromkeys(("hold", "release", "rating", "model"), _plan_change),
    **dict.fromkeys(("rollback", "withdraw"), _plan_champion),
    "floor": _plan_floor,
    "notify": _plan_notify,
}
