"""run_approve_policy: a person approves a validation policy that asks less than the default."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kyc_ml.errors import ConfigError, Faults, some_of
from kyc_ml.registry import AuditLog, Entry, fetch_anchors, is_among, is_named, record_entry
from kyc_ml.validation.catalogue import CHECKS
from kyc_ml.validation.policy import load_policy
from kyc_ml.validation.result import PolicyIdentity


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyApproval:
    """An approved policy and the receipt of its entry in the audit log."""

    policy: PolicyIdentity
    receipt: str


def run_approve_policy(*, policy: Path, approver: str, reason: str, log: Path) -> PolicyApproval:
    """Enter the approval of a validation policy into the audit log.

    Its gates and settings, as their digest names them, may then promote although critical gates
    of the default are left out or less strict, its checks see less, or a rule of promotion is
    relaxed. The approver must be another person than the policy's author and, at the promotion,
    than everyone who trained, validated or approved the version.

    Raises ConfigError if the policy breaks its rules, has the name of the default without being it,
    or the approver has no name or is its author; AuditError if the log is not sound.
    """
    content = load_policy(policy, checks=CHECKS)
    identity = content.identity()
    faults = Faults(f"approval of policy {identity.label}", ConfigError)
    faults.extend(say_absent(approver=approver, reason=reason))
    if is_among(approver, [content.author]):
        faults.add(f"{approver} is the author of the policy: another person must approve it")
    faults.extend(_misnamed(identity))
    faults.raise_if_any()
    AuditLog(log).require_sound(fetch_anchors())
    entry = record_entry(
        "policy_approval",
        actor=approver,
        model=f"validation policy {identity.name}",
        version="",
        facts={
            "reason": reason,
            "author": content.author,
            "policy_version": identity.version,
            "policy_digest": identity.digest,
            "left_out": list(identity.left_out),
            "weaker": list(identity.weaker),
            "relaxed": list(identity.relaxed),
        },
        log=log,
    )
    return PolicyApproval(policy=identity, receipt=str(entry.anchor))


def say_absent(*, approver: str, reason: str) -> list[str]:
    """List what the entry of a decision needs and does not have."""
    named = {
        "--approver must name a person": is_named(approver),
        "--reason must say why": reason.strip(),
    }
    return [rule for rule, given in named.items() if not given]


def find_approval(
    policy: PolicyIdentity, entries: Sequence[Entry], *, involved: Sequence[str]
) -> Entry | None:
    """Find the approval of a policy by a person who is not among `involved`; None without one.

    The digest does not cover the rules of promotion: what they relax must be in the approval.
    """
    found = [
        each for each in entries
        if each.kind == "policy_approval" and each.facts["policy_digest"] == policy.digest
        and {*policy.relaxed} <= {*each.facts.get("relaxed", ())}
        and not is_among(each.actor, involved)
    ]  # fmt: skip
    return found[-1] if found else None


def refuse_policy(policy: PolicyIdentity, approval: Entry | None) -> Iterator[str]:
    """List why a policy may promote nothing: it asks less than the default, unapproved."""
    yield from _misnamed(policy)
    lost, weaker = policy.critical_left_out, (*policy.weaker, *policy.relaxed)
    if not policy.changed and approval is None and (lost or weaker):
        gates, settings = (some_of(each, separator="; ") or "none" for each in (lost, weaker))
        yield (
            f"policy {policy.label} leaves out, or bounds less strictly, {len(lost)} critical "
            f"gate(s) of the default ({gates}) and has {len(weaker)} weaker setting(s) "
            f"({settings}): restore them and validate again, or have a person who neither trained, "
            "validated nor approves the version approve the policy: kyc-ml approve-policy FILE "
            "--approver NAME --reason WHY"
        )


def _misnamed(policy: PolicyIdentity) -> Iterator[str]:
    if policy.changed:
        yield (
            f"the policy is called {policy.name} v{policy.version}, as the one that comes with "
            "kyc_ml, but its gates or settings are others: give it another name, and validate again"
        )
