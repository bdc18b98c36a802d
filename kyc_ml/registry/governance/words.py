"""Entries of the audit log in a few words."""

from collections.abc import Sequence
from typing import Final

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
    return _SAID[entry.kind].format(count=len(facts.get("refusals", ())), **facts)


_SAID: Final[dict[str, str]] = {
    "rollback": "champion again, in place of {from}: {reason}",
    "withdrawal": "champion no longer, and none in its place: {reason}",
    "policy_approval": "policy v{policy_version} approved: {reason}",
    "unpromoted_use": "{command} with --allow-unpromoted: {reason}",
    "incident": "incident {incident}: {what} {step}",
    "refusal": "{command} refused: {count} reason(s)",
}


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


def say_other_bundle(promotion: Entry, *, found: str) -> str:
    """Return that a version's bundle is not the one that was promoted; '' if it is.

    `found` is the digest of its bundle now.
    """
    promoted = promotion.facts["bundle_digest"]
    if promoted == found:
        return ""
    return (
        f"{promotion.model} v{promotion.version} was promoted with bundle {promoted[:12]}, but the "
        f"registry now holds {found[:12]}: it was exchanged after the promotion, or the log is of "
        "another registry; find out who can write to the registry, restore its artifacts (mlruns/) "
        "from the backup, and run kyc-ml audit-log verify"
    )
