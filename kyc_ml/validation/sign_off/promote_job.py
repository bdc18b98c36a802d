"""run_promote, run_rollback, run_withdraw: people change the champion, and the log records it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kyc_ml import registry
from kyc_ml.config import load_section
from kyc_ml.errors import RegistryError
from kyc_ml.validation.policy import ValidationPolicy, default_policy
from kyc_ml.validation.report.files import read_report
from kyc_ml.validation.sign_off.policy_job import find_approval, refuse_policy, say_absent
from kyc_ml.validation.sign_off.sign_job import SIGN_OFF, readable_entry


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionResult:
    """A promotion, rollback or withdrawal, or the reasons why it was refused."""

    model: str
    version: str
    """`model` and `version`: the version that was to be champion."""
    previous: str
    """The champion before; '' for none."""
    receipt: str
    """``COUNT:HASH`` of the entry in the audit log."""
    refusals: tuple[str, ...] = ()
    """All reasons; empty if the alias was moved."""
    conditions: tuple[str, ...] = ()
    """Conditions for the use of the version."""
    verdicts: tuple[str, ...] = ()
    """Verdicts of all logged validations of the bundle, first to last, so that repeated validation
    until one passes is visible."""
    relaxed: tuple[str, ...] = ()
    """Rules of promotion that the policy relaxes."""
    left_out: int = 0
    """Gates of the default policy that the policy lacks or bounds less strictly."""
    accounts: tuple[str, ...] = ()
    """Accounts of the operating system that validated, signed off and promoted."""


def run_promote(
    *,
    model: str,
    report: Path,
    policy: Path,
    approver: str,
    reason: str,
    conditions: Sequence[str],
    log: Path,
    despite: str = "",
) -> PromotionResult:
    """Make a version champion if a validation by another person allows it; log both outcomes.

    The entry is written before the alias moves. A crash between the two leaves a promotion that
    `verify` reports and that can be run again, never a champion without approval.

    `model`: ``NAME@VERSION`` or a registry address.
    `policy`: the validation policy in force.
    `despite`: reason to promote the version although the same bundle failed or was rejected before.
    Raises AuditError if the log is not sound; ConfigError or RegistryError if report, policy or
    version cannot be read.
    """
    in_force = load_section(policy, ValidationPolicy)
    candidate = registry.fetch_candidate(model_address(model))
    # from the files: whoever may write to the registry can change the tag
    digest = registry.digest_registered(candidate.name, candidate.version)
    candidate = replace(candidate, digest=digest)
    content, facts = read_report(report)
    entries = registry.AuditLog(log).require_sound(registry.fetch_anchors())
    gates = in_force.identity()
    signed = registry.latest_sign_off(entries, report=facts.digest)
    signer = () if signed is None else (signed[0].actor,)
    involved = (approver, facts.validator, *signer, *candidate.trainers, *facts.trainers)
    approval = find_approval(gates, entries, involved=involved)
    refusals = (
        *say_absent(approver=approver, reason=reason),
        *registry.find_refusals(
            candidate,
            facts,
            entries,
            approver=approver,
            account=registry.current_account(),
            policy=in_force.promotion,
            policy_digest=gates.digest,
            valid_days=in_force.report_valid_days,
            fewest=default_policy().settings.fewest,
            now=datetime.now(UTC),
            despite=despite,
        ),
        *refuse_policy(gates, approval),
        *_changed_sign_off(report.with_name(SIGN_OFF), entries, facts),
    )
    verdicts = tuple(
        each.facts["verdict"]
        for each in entries
        if each.kind == "verdict" and each.facts["bundle_digest"] == candidate.digest
    )
    agreed = (*facts.caveats, *(() if signed is None else signed[1].conditions), *conditions)
    evidence: dict[str, Any] = {
        "reason": reason,
        "despite": despite,
        "report_sha256": facts.digest,
        "bundle_digest": candidate.digest,
        "verdicts": list(verdicts),
    }
    if refusals:
        return _refuse("promote", candidate, approver, evidence, refusals, log=log)
    entry = registry.record_entry(
        "promotion",
        actor=approver,
        model=candidate.name,
        version=candidate.version,
        facts={
            **evidence,
            "verdict": facts.verdict,
            "validator": facts.validator,
            "trainers": list(candidate.trainers),
            "policy_digest": facts.policy_digest,
            "policy": {
                "name": gates.label,
                "left_out": list(gates.left_out),
                "weaker": list(gates.weaker),
                "relaxed": list(gates.relaxed),
                "approval": "" if approval is None else str(approval.anchor),
            },
            "rows": [asdict(rows) for rows in content.rows if rows.role == "current"],
            "accounts": sorted({registry.current_account(), *_accounts(entries, facts)}),
            "sign_off": "" if signed is None else signed[0].hash,
            "findings": [] if signed is None else [asdict(each) for each in signed[1].findings],
            "conditions": list(agreed),
            "previous_champion": candidate.champion,
        },
        log=log,
    )
    stack = registry.champions([*entries, entry], model=candidate.name)
    previous = stack[-2] if len(stack) > 1 else ""
    registry.set_champion(candidate.name, candidate.version, previous=previous)
    return PromotionResult(
        model=candidate.name,
        version=candidate.version,
        previous=candidate.champion,
        conditions=agreed,
        verdicts=verdicts,
        receipt=str(entry.anchor),
        relaxed=gates.relaxed,
        left_out=len(gates.left_out),
        accounts=tuple(entry.facts["accounts"]),
    )


def run_rollback(*, model: str, approver: str, reason: str, log: Path) -> PromotionResult:
    """Roll back to the champion before the last promotion; log both outcomes.

    Each rollback goes back one more promotion. The version was approved when it was promoted
    and needs no new report; the approver of the rollback is responsible for it.

    Raises AuditError if the log is not sound; ConfigError if there is no approver; RegistryError if
    there is no such model, or it has no champion.
    """
    now = registry.fetch_champion(model)
    entries = registry.AuditLog(log).require_sound(registry.fetch_anchors())
    if now is None:
        raise RegistryError(registry.say_no_rollback(entries, model=model))
    stack = registry.champions(entries, model=model)
    target = stack[-2] if len(stack) > 1 else ""
    refusals = say_absent(approver=approver, reason=reason)
    if not stack or stack[-1] != now.version:
        logged = f"v{stack[-1]}" if stack else "none"
        refusals.append(
            f"the registry's champion is v{now.version}, the audit log's {logged}: the alias was "
            "moved without kyc-ml; promote a version instead"
        )
    elif not target:
        refusals.append(
            f"the audit log has no champion of {model} before v{now.version}; to remove the "
            f"champion: kyc-ml withdraw {model}"
        )
    else:
        refusals += _other_bundle(entries, model=model, version=target)
    evidence: dict[str, Any] = {"reason": reason, "from": now.version}
    if refusals:
        return _refuse("rollback", now, approver, evidence, tuple(refusals), log=log)
    entry = registry.record_entry(
        "rollback", actor=approver, model=model, version=target, facts=evidence, log=log
    )
    registry.set_champion(model, target, previous=stack[-3] if len(stack) > 2 else "")
    return PromotionResult(
        model=model, version=target, previous=now.version, receipt=str(entry.anchor)
    )


def run_withdraw(*, model: str, approver: str, reason: str, log: Path) -> PromotionResult:
    """Remove the champion alias without a replacement; log both outcomes.

    Until a version is promoted, scoring runs that ask for the champion are refused. Unlike a
    rollback this needs no earlier champion, and it also removes an alias that was set without
    kyc-ml.

    Raises AuditError if the log is not sound; RegistryError if there is no such model, or it has no
    champion.
    """
    now = registry.fetch_champion(model)
    if now is None:
        raise RegistryError(
            f"{model} has no champion to withdraw; scoring runs that ask for one are refused "
            "already; if you meant another model, name it"
        )
    registry.AuditLog(log).require_sound(registry.fetch_anchors())
    evidence = {"reason": reason}
    if refusals := tuple(say_absent(approver=approver, reason=reason)):
        return _refuse("withdraw", now, approver, evidence, refusals, log=log)
    entry = registry.record_entry(
        "withdrawal", actor=approver, model=model, version=now.version, facts=evidence, log=log
    )
    registry.withdraw_champion(model)
    return PromotionResult(
        model=model, version=now.version, previous=now.version, receipt=str(entry.anchor)
    )


def model_address(model: str) -> str:
    """Return the registry address of NAME@VERSION, NAME@ALIAS or an address.

    Examples
    --------
    >>> model_address("fraud@3"), model_address("fraud@challenger")
    ('models:/fraud/3', 'models:/fraud@challenger')
    """
    rest = model.removeprefix("models:/")
    name, at, version = rest.partition("@")
    if at and version.isdigit():
        return f"models:/{name}/{version}"
    return f"models:/{rest}"


def _refuse(
    command: str,
    candidate: registry.Candidate,
    approver: str,
    evidence: Mapping[str, Any],
    refusals: tuple[str, ...],
    *,
    log: Path,
) -> PromotionResult:
    entry = registry.record_entry(
        "refusal",
        actor=approver,
        model=candidate.name,
        version=candidate.version,
        facts={**evidence, "command": command, "refusals": list(refusals)},
        log=log,
    )
    return PromotionResult(
        model=candidate.name,
        version=candidate.version,
        previous=candidate.champion,
        refusals=refusals,
        verdicts=tuple(evidence.get("verdicts", ())),
        receipt=str(entry.anchor),
    )


def _accounts(entries: Sequence[registry.Entry], report: registry.ReportFacts) -> set[str]:
    """Return the accounts from which a report was made and signed off."""
    return {
        each.account for each in entries
        if each.kind in ("verdict", "sign_off") and each.facts["report_sha256"] == report.digest
    }  # fmt: skip


def _changed_sign_off(
    path: Path, entries: Sequence[registry.Entry], report: registry.ReportFacts
) -> list[str]:
    """Refuse a signoff.json that differs from the last sign-off of the report in the log."""
    signed = registry.latest_sign_off(entries, report=report.digest)
    if not path.exists():
        return []
    if signed is None or path.read_bytes() != readable_entry(signed[0]).encode():
        return [
            f"{path.name} is not the last sign-off of the report in the audit log: sign off again"
        ]
    return []


def _other_bundle(entries: Sequence[registry.Entry], *, model: str, version: str) -> list[str]:
    """Refuse a version that was never promoted, or whose bundle is not what was promoted."""
    promotion = registry.promotion_of(entries, model=model, version=version)
    if promotion is None:
        return [f"v{version} was never promoted: promote a version instead"]
    fault = registry.say_other_bundle(promotion, found=registry.digest_registered(model, version))
    return [fault] if fault else []
