"""Entries of the audit log in a few words."""

from __future__ import annotations

from collections.abc import Sequence

from kyc_ml.registry.governance.chain import Entry


def describe(entry: Entry) -> str:
    """Return what an entry records."""
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


def say_no_rollback(entries: Sequence[Entry], *, model: str) -> str:
    """Return why a model without a champion cannot be rolled back, and how to get a champion."""
    moves = [
        each for each in entries
        if each.model == model and each.kind in ("promotion", "rollback", "withdrawal")
    ]  # fmt: skip
    if not moves or moves[-1].kind != "withdrawal":
        return f"{model} has no champion: nothing to roll back to; promote a version first"
    last = moves[-1]
    promoted = ("promotion", last.version) in {(each.kind, each.version) for each in moves}
    cure = (
        f"kyc-ml promote {model}@{last.version} with its report, which still counts while it is "
        "not older than the policy allows (report_valid_days)"
        if promoted
        else "it was never promoted: validate it, then promote it"
    )
    return (
        f"{model} has no champion: v{last.version} was withdrawn (entry {last.sequence} of "
        f"{last.time}), which a rollback does not undo; {cure}"
    )
