"""Close an incident, and write its report in both languages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kyc_ml.errors import ConfigError
from kyc_ml.monitoring.incidents.record import Incident, find_incident
from kyc_ml.monitoring.incidents.texts import name_model, read_texts, say_effect
from kyc_ml.storage import write_whole

_REPORTS = {"en": "{}.md", "zh": "{}.zh-CN.md"}


def run_incident_close(
    identifier: str, *, conclusion: str, who: str, out: Path, log: Path
) -> tuple[Incident, tuple[Path, ...]]:
    """Close an incident and write its report; for one that is closed, write the report again.

    Parameters
    ----------
    out : Path
        Folder of the reports.

    Returns
    -------
    incident : Incident
    paths : tuple of Path
        The report in English and in Chinese.

    Raises
    ------
    ConfigError
        If there is no such incident, or neither a name nor a conclusion.
    AuditError, UnreachableError
        If the audit log cannot be added to.
    """
    incident = find_incident(identifier, log=log, closed=True)
    if incident.is_open:
        if not who.strip() or not conclusion.strip():
            msg = "--name and --conclusion must not be empty: the audit log keeps both"
            raise ConfigError(msg)
        effect = say_effect("close", ends=_ends(incident))
        entry = incident.write(
            "closed",
            actor=who,
            log=log,
            conclusion=conclusion,
            effect={"en": effect[0], "zh": effect[1]},
        )
        incident = replace(incident, entries=(*incident.entries, entry))
    paths = []
    for language, name in _REPORTS.items():
        paths.append(out / name.format(incident.id))
        write_whole(paths[-1], write_report(incident, language=language).encode())
    return incident, tuple(paths)


def write_report(incident: Incident, *, language: str) -> str:
    """Write the closing report as Markdown: what, when, by whom, effect, time to each step."""
    own = 1 if language == "zh" else 0
    texts, first, last = read_texts(), incident.entries[0], incident.entries[-1]
    rows = []
    for entry in incident.entries:
        facts = entry.facts
        what = " ".join(filter(None, (texts["what"][facts["what"]][language], facts["step"])))
        effect = facts.get("effect", {}).get(language, "")
        cells = (
            entry.sequence,
            entry.time[:19].replace("T", " "),
            incident.since(entry),
            what,
            f"{entry.actor} ({entry.account})",
            effect,
        )
        rows.append(f"| {' | '.join(_cell(each) for each in cells)} |")
    text = texts["report"][language].format(
        id=incident.id,
        model=name_model(incident.model)[own],
        text=_cell(incident.signal["text_zh" if own else "text"]),
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


def _ends(incident: Incident) -> tuple[str, str]:
    """Name the steps that the end of an incident ends."""
    found = [incident.in_force(action) for action in ("hold", "rating")]
    names = ", ".join(each.facts["step"] for each in found if each is not None)
    nothing = read_texts()["nothing"]
    return (names, names) if names else (nothing["en"], nothing["zh"])


def _cell(value: object) -> str:
    """Return a cell of a Markdown table: one line, its bars escaped."""
    return " ".join(str(value).split()).replace("|", "\\|")
