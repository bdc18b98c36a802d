"""Incidents, as the audit log has them: their only record, in which every edit is found."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from kyc_ml.contract import StoredTables
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import AuditError, ConfigError, GateError, RegistryError, hint
from kyc_ml.monitoring.nights import HELD, SUFFIX
from kyc_ml.monitoring.recording import run_recorded
from kyc_ml.registry import AuditLog, Entry, fetch_champion, is_named, record_entry
from kyc_ml.scoring import ScoringRequest, ScoringResult

_ENDS = {"hold": "release", "rating": "model"}
"""What a step begins, and the step that ends it; the end of the incident ends both."""
_NEEDED = {"incident", "what", "step", "action"}
"""What every entry has; the first one has a playbook and a signal as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One incident."""

    id: str
    model: str
    """Name of the model; empty for all models."""
    playbook: str
    entries: tuple[Entry, ...]
    """Its entries in the audit log, the opening first."""

    @property
    def signal(self) -> Mapping[str, Any]:
        """What was found, see `Signal.to_plain`."""
        signal: Mapping[str, Any] = self.entries[0].facts["signal"]
        return signal

    @property
    def steps(self) -> tuple[Entry, ...]:
        """The steps that were taken."""
        return tuple(each for each in self.entries if each.facts["what"] == "step")

    @property
    def is_open(self) -> bool:
        """Return whether it was not closed yet."""
        return bool(self.entries[-1].facts["what"] != "closed")

    def in_force(self, action: str) -> Entry | None:
        """Return the step 'hold' or 'rating' that still has an effect; None without one."""
        found = [each for each in self.steps if each.facts["action"] in (action, _ENDS[action])]
        last = found[-1] if self.is_open and found else None
        return last if last is not None and last.facts["action"] == action else None

    def since(self, entry: Entry) -> timedelta:
        """Return the time from the opening to an entry."""
        return datetime.fromisoformat(entry.time) - datetime.fromisoformat(self.entries[0].time)

    def write(self, what: str, *, actor: str, log: Path, **facts: Any) -> Entry:  # noqa: ANN401  JSON
        """Add an entry of this incident to the audit log; see `record_entry`."""
        if not is_named(actor):
            raise ConfigError(f"incident {self.id}: --name needs the name of a person")
        content = {"incident": self.id, "what": what, "step": "", "action": "", **facts}
        return record_entry(
            "incident",
            actor=actor,
            model=self.model,
            version=_champion(self.model),
            facts=content,
            log=log,
        )


def _champion(model: str) -> str:
    """Return the version whose tags keep the anchor of the entry, or ''."""
    try:
        found = fetch_champion(model) if model else None
    except RegistryError:  # a bundle of a folder
        return ""
    return found.version if found else ""


def read_incidents(log: Path) -> dict[str, Incident]:
    """Read the incidents of an audit log, in the order in which they were opened.

    A log that does not exist yet has none.

    Raises AuditError if the log is not sound.
    """
    found: dict[str, Incident] = {}
    for entry in AuditLog(log).require_sound():
        if entry.kind != "incident":
            continue
        name = str(entry.facts.get("incident"))
        needed = _NEEDED if name in found else {*_NEEDED, "playbook", "signal"}
        if entry.facts.get("action") == "rating":
            needed = {*needed, "config"}
        if not needed <= entry.facts.keys():
            msg = f"audit log {log} cannot be trusted: entry {entry.sequence} is no incident's"
            raise AuditError(msg)
        if name in found:
            found[name] = replace(found[name], entries=(*found[name].entries, entry))
        else:
            playbook = entry.facts["playbook"]
            found[name] = Incident(id=name, model=entry.model, playbook=playbook, entries=(entry,))
    return found


def find_incident(identifier: str, *, log: Path, closed: bool = False) -> Incident:
    """Return an incident by its identifier; one that is closed only if it may be.

    Raises ConfigError if it does not exist, or is closed.
    """
    known = read_incidents(log)
    if identifier not in known:
        msg = f"no incident {identifier!r} in {log}{hint(identifier, known)}: kyc-ml incident list"
        raise ConfigError(msg)
    if not (closed or known[identifier].is_open):
        msg = f"incident {identifier} is closed: open another with kyc-ml incident open"
        raise ConfigError(msg)
    return known[identifier]


def score_under_incidents(
    request: ScoringRequest,
    *,
    reporter: ProgressReporter,
    tables: StoredTables | None = None,
    keep_features: Path | None = None,
) -> tuple[ScoringResult, GateError | None]:
    """Score a night as the open incidents change it; see `under_incidents` and `run_recorded`.

    Returns
    -------
    result : ScoringResult
    held : GateError or None
        Why the scores are complete but not published.
    """
    request, incident = under_incidents(request)
    keep = None if incident else keep_features
    result = run_recorded(request, reporter=reporter, tables=tables, keep_features=keep)
    if not incident:
        return result, None
    msg = (
        f"{result.path}: not published: incident {incident} holds publication; after its release "
        f"(kyc-ml incident show {incident}) run the day again"
    )
    return result, GateError(msg)


def under_incidents(request: ScoringRequest) -> tuple[ScoringRequest, str]:
    """Return a request of a night as the open incidents change it, and which one holds it.

    While publication is held, the night is scored beside its place, in ``NAME.held``, which
    nothing reads. Publish it by running the night again after the release. While the
    scorecard replaces the model, it scores every row.

    Returns `request`.
    Returns `held`: identifier of the incident; '' if the night may be published.
    Raises AuditError if the audit log is not sound: what it may hold is unknown.
    """
    name, held = request.out.name, ""
    for incident in read_incidents(request.audit_log).values():
        if incident.model not in ("", name):
            continue
        rating = incident.in_force("rating")
        if rating is not None:
            request = replace(
                request,
                fallback="rating",
                config=Path(rating.facts["config"]),
                replaced=f"incident {incident.id}",
            )
        if incident.in_force("hold") is not None:
            held = incident.id
    if held:
        request = replace(request, out=request.out.with_name(f"{name}{SUFFIX[HELD]}"))
    return request, held
