"""The audit log and the registry: append an entry, keep its anchor, verify the log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kyc_ml.errors import BundleError, ConfigError, RegistryError
from kyc_ml.registry.governance.chain import Entry, Kind, LogAnchor
from kyc_ml.registry.governance.log import AuditLog
from kyc_ml.registry.governance.promotion import champions
from kyc_ml.registry.governance.standing import promotion_of
from kyc_ml.registry.governance.words import say_other_bundle
from kyc_ml.registry.tracking.promoting import fetch_anchors, fetch_champions, keep_anchor
from kyc_ml.registry.tracking.registry import digest_registered
from kyc_ml.storage import load_json


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLogResult:
    """The result of verifying an audit log."""

    path: Path
    entries: int
    receipt: str
    """``COUNT:HASH`` of the last entry: keep it where no one who can write the log can write, and
    pass it to `verify`. '' for an empty log."""
    anchors: int
    """Places that the log was compared with."""
    faults: tuple[str, ...]


def run_audit_log_verify(*, log: Path, receipts: Sequence[str], offline: bool) -> AuditLogResult:
    """Check the chain, the anchors in the registry, receipts, and the champions.

    The champions must be those of the log, and their bundles, byte for byte, those that were
    promoted.

    `receipts`: ``COUNT:HASH``, or paths of a signoff.json.
    `offline`: ask no registry: a cut end is then found by receipts alone.
    Raises ConfigError if a receipt is not valid; AuditError if there is no log and no sign that
    there was one; RegistryError if the registry cannot be reached.
    """
    anchors = [(f"the receipt {text}", _read_receipt(text)) for text in receipts]
    made = {}
    if not offline:
        anchors += fetch_anchors()
        made = fetch_champions()
    audit = AuditLog(log)
    if not anchors and not made:  # with them, its absence is one of the faults listed below
        audit.require_kept()
    entries = audit.read().entries
    faults = [f"line {each.line} {each.text}" for each in audit.find_faults(anchors)]
    if not faults and not offline:  # who is champion can be read from a sound log only
        faults += _unlogged_champions(entries, made)
        faults += _exchanged_bundles(entries)
    return AuditLogResult(
        path=log,
        entries=len(entries),
        receipt=str(entries[-1].anchor) if entries else "",
        anchors=len(anchors),
        faults=tuple(faults),
    )


def record_entry(
    kind: Kind, *, actor: str, model: str, version: str, facts: Mapping[str, Any], log: Path
) -> Entry:
    """Append an entry to a log that reaches all anchors, then keep the new anchor.

    The registry keeps an anchor of registered versions only.
    """
    entry = AuditLog(log).append(
        kind, actor=actor, model=model, version=version, facts=facts, anchors=fetch_anchors()
    )
    if version:
        keep_anchor(entry.anchor, name=model, version=version)
    return entry


def _read_receipt(text: str) -> LogAnchor:
    anchor = LogAnchor.parse(text)
    if anchor is None and Path(text).is_file():
        try:
            content = load_json(Path(text).read_text(encoding="utf-8"))
            anchor = LogAnchor.parse(f"{content['sequence']}:{content['hash']}")
        except (ValueError, KeyError, TypeError):
            anchor = None
    if anchor is None:
        msg = f"--receipt {text} must be COUNT:HASH as kyc-ml printed it, or a signoff.json"
        raise ConfigError(msg)
    return anchor


def _unlogged_champions(entries: Sequence[Entry], made: Mapping[str, str]) -> list[str]:
    """List champions of the registry that the log did not make, and the reverse."""
    names = {entry.model for entry in entries if entry.kind == "promotion"} | set(made)
    faults = []
    for name in sorted(names):
        logged = next(reversed(champions(entries, model=name)), "")
        if logged != made.get(name, ""):
            faults.append(
                f"champion of {name} is {_version(made.get(name, ''))} in the registry, but "
                f"{_version(logged)} in the log: the alias was moved without kyc-ml, or a "
                "promotion was interrupted; promote or roll back again"
            )
    return faults


def _exchanged_bundles(entries: Sequence[Entry]) -> list[str]:
    """List champions, and those a rollback can go back to, that are not what was promoted."""
    faults = []
    for name in sorted({entry.model for entry in entries if entry.kind == "promotion"}):
        for version in dict.fromkeys(champions(entries, model=name)):
            promotion = promotion_of(entries, model=name, version=version)
            if promotion is None:  # rolled back to by an older kyc_ml, which allowed it
                faults.append(f"{name} v{version} is champion in the log, but was never promoted")
                continue
            try:
                faults.append(say_other_bundle(promotion, found=digest_registered(name, version)))
            except (BundleError, RegistryError) as error:
                faults.append(f"{name} v{version}, which was promoted, cannot be compared: {error}")
    return list(filter(None, faults))


def _version(number: str) -> str:
    return f"v{number}" if number else "none"
