"""An entry of the audit log in a few words."""

from __future__ import annotations

from kyc_ml.governance.chain import Entry


def describe(entry: Entry) -> str:
    """Say what an entry records."""
    facts = entry.facts
    if entry.kind == "verdict":
        part = "" if facts["complete"] else ", only some checks"
        return f"verdict {facts['verdict']}{part}, {len(facts['findings'])} finding(s)"
    if entry.kind == "sign_off":
        return f"sign-off: {facts['conclusion']}, {len(facts['findings'])} finding(s) owned"
    if entry.kind == "promotion":
        return f"champion after {facts['previous_champion'] or 'none'}: {facts['reason']}"
    if entry.kind == "rollback":
        return f"champion again, in place of {facts['from']}: {facts['reason']}"
    if entry.kind == "withdrawal":
        return f"champion no longer, and none in its place: {facts['reason']}"
    return f"{facts['command']} refused: {len(facts['refusals'])} reason(s)"
