"""run_sign_off: record the validator's conclusion on a report."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from kyc_ml import registry
from kyc_ml.errors import ConfigError
from kyc_ml.storage import require_place, write_whole
from kyc_ml.validation.report.files import read_report
from kyc_ml.validation.report.page import renew_page

SIGN_OFF: Final = "signoff.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignOffResult:
    """A sign-off, its file, its receipt, and the earlier sign-off that it replaces.

    `is_champion` is true if the version is champion: a rejection alone does not withdraw it.
    """

    sign_off: registry.SignOff
    path: Path
    receipt: str
    replaced: str
    is_champion: bool


def run_sign_off(
    *,
    report: Path,
    validator: str,
    conclusion: registry.Decision,
    owners: Mapping[str, tuple[str, str]],
    owner_of_others: tuple[str, str] | None = None,
    conditions: Sequence[str],
    comment: str,
    materiality: str,
    log: Path,
) -> SignOffResult:
    """Write a validator's conclusion into signoff.json, the page and the audit log.

    A later sign-off of the same report replaces an earlier one; the log keeps both.

    `report`: report.json.
    `owners`: mapping of finding id to (owner, due date or '').
    `owner_of_others`: (owner, due date or ''); owner of every finding that `owners` does not name.
    Raises ConfigError if the sign-off breaks rules, with all of them, or the log has no verdict of
    the report; AuditError if the log is not sound.
    """
    _, facts = read_report(report)
    path = report.with_name(SIGN_OFF)
    require_place(path)
    entries = registry.AuditLog(log).require_sound(registry.fetch_anchors())
    if not any(
        each.kind == "verdict" and each.facts["report_sha256"] == facts.digest for each in entries
    ):
        raise ConfigError(
            f"report {report}: audit log {log} has no verdict of it (SHA-256 "
            f"{facts.digest[:12]}): it was changed, or made with another log; validate again"
        )
    candidate = (
        registry.fetch_candidate(f"models:/{facts.model}/{facts.version}")
        if facts.version
        else None
    )
    sign_off = registry.make_sign_off(
        facts,
        validator=validator,
        trainers=() if candidate is None else candidate.trainers,
        conclusion=conclusion,
        owners=dict(owners)
        if owner_of_others is None
        else {**{each.id: owner_of_others for each in facts.findings}, **owners},
        conditions=conditions,
        comment=comment,
        materiality=materiality,
        today=datetime.now(UTC).date(),
    )
    earlier = registry.latest_sign_off(entries, report=facts.digest)
    entry = registry.record_entry(
        "sign_off",
        actor=validator,
        model=facts.model,
        version=facts.version,
        facts=sign_off.to_facts(),
        log=log,
    )
    write_whole(path, readable_entry(entry).encode())
    renew_page(report, entry)
    return SignOffResult(
        sign_off=sign_off,
        path=path,
        receipt=str(entry.anchor),
        replaced="" if earlier is None else _describe(*earlier),
        is_champion=candidate is not None and candidate.champion == candidate.version,
    )


def readable_entry(entry: registry.Entry) -> str:
    """Return the content of signoff.json for an entry of the log."""
    return json.dumps(entry.to_dict(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _describe(entry: registry.Entry, sign_off: registry.SignOff) -> str:
    return f"entry {entry.sequence} by {entry.actor}: {sign_off.conclusion}; the log keeps both"
