"""Close an incident, and write its report in both languages."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

from kyc_ml.decision import Language
from kyc_ml.errors import ConfigError
from kyc_ml.monitoring.incidents.record import Incident, find_incident
from kyc_ml.monitoring.incidents.texts import EFFECTS, NOTHING, REPORT, WHAT, name_model
from kyc_ml.storage import write_whole
from kyc_ml.validation import Text

_REPORTS: Final[Mapping[Language, str]] = {"en": "{}.md", "zh": "{}.zh-CN.md"}


def run_incident_close(
    identifier: str, *, conclusion: str, who: str, out: Path, log: Path
) -> tuple[Incident, tuple[Path, ...]]:
    """Close an incident and write its report; for one that is closed, write the report again.

    `out`: folder of the reports.
    Returns `incident`.
    Returns `paths`: the report in English and in Chinese.
    Raises ConfigError if there is no such incident, or neither a name nor a conclusion; AuditError
    or UnreachableError if the audit log cannot be added to.
    """
    incident = find_incident(identifier, log=log, closed=True)
    if incident.is_open:
        if not who.strip() or not conclusion.strip():
            raise ConfigError("--name and --conclusion must not be empty: the audit log keeps both")
        effect = asdict(EFFECTS["close"].fill(ends=_ends(incident)))
        entry = incident.write("closed", actor=who, log=log, conclusion=conclusion, effect=effect)
        incident = replace(incident, entries=(*incident.entries, entry))
    paths = []
    for language, name in _REPORTS.items():
        paths.append(out / name.format(incident.id))
        write_whole(paths[-1], write_report(incident, language=language).encode())
    return incident, tuple(paths)


def write_report(incident: Incident, *, language: Language) -> str:
    """Write the closing report as Markdown: what, when, by whom, effect, time to each step."""
    first, last = incident.entries[0], incident.entries[-1]
    rows = []
    for entry in incident.entries:
        facts = entry.facts
        what = " ".join(filter(None, (getattr(WHAT[facts["what"]], language), facts["step"])))
        cells = (
            entry.sequence,
            entry.time[:19].replace("T", " "),
            incident.since(entry),
            what,
            f"{entry.actor} ({entry.account})",
            facts.get("effect", {}).get(language, ""),
        )
        rows.append(f"| {' | '.join(_cell(each) for each in cells)} |")
    text = getattr(REPORT, language).format(
        id=incident.id,
        model=getattr(name_model(incident.model), language),
        text=_cell(incident.signal["text_zh" if language == "zh" else "text"]),
        code=incident.signal["code"],
        playbook=incident.playbook,
        opened=first.time,
        opener=_cell(first.actor),
        closed=last.time,
        closer=_cell(last.actor),
        duration=incident.since(last),
        conclusion=_cell(last.facts.get("conclusion", "")),
        timeline="\n".join(rows),
    )
    return f"{text}\n"


def _ends(incident: Incident) -> Text | str:
    """Name the steps that the end of an incident ends."""
    found = [incident.in_force(action) for action in ("hold", "rating")]
    names = ", ".join(each.facts["step"] for each in found if each is not None)
    return names or NOTHING


def _cell(value: object) -> str:
    """Return a cell of a Markdown table: one line, its bars escaped."""
    return " ".join(str(value).split()).replace("|", "\\|")
