"""Decide whether a version may become champion, and find the previous champion."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from kyc_ml.registry.governance.chain import Entry
from kyc_ml.registry.governance.evidence import Candidate, ReportFacts
from kyc_ml.registry.governance.names import is_among, is_named
from kyc_ml.registry.governance.policy import PromotionPolicy
from kyc_ml.registry.governance.sign_off import SignOff, latest_sign_off

_ANSWER: Final = "answer it with --despite REASON, which the log keeps"


def find_refusals(
    candidate: Candidate,
    report: ReportFacts,
    entries: Sequence[Entry],
    *,
    approver: str,
    account: str,
    policy: PromotionPolicy,
    policy_digest: str,
    valid_days: int,
    fewest: int,
    now: datetime,
    despite: str = "",
) -> tuple[str, ...]:
    """List every reason why a version must not become champion; none lets it pass.

    `entries`: the audit log, sound.
    `account`: of the operating system, of who promotes.
    `policy_digest`: of the gates in force: a report made with others does not count.
    `valid_days`: oldest report that still counts.
    `fewest`: evaluated positives, and negatives, without which hardly a gate can be broken.
    `despite`: why the version may pass although the same bundle failed or was rejected before, or
    few rows were evaluated.
    """
    signed = latest_sign_off(entries, report=report.digest)
    sign_off = None if signed is None else signed[1]
    return (
        *_about_identity(candidate, report),
        *_about_verdict(report, sign_off, policy),
        *(() if despite.strip() else _about_rows(report, fewest)),
        *_about_findings(report, sign_off, now),
        *_about_log(report, entries),
        *(() if despite.strip() else _about_the_past(report, entries)),
        *_about_age(report, valid_days, now),
        *_about_gates(report, policy_digest),
        *_about_trainer(candidate, report),
        *_about_approver(candidate, report, approver, policy, signed),
        *_about_accounts(candidate, report, entries, account, policy),
    )


def champions(entries: Sequence[Entry], *, model: str) -> tuple[str, ...]:
    """List the versions a rollback can go back to, the champion of today last.

    A promotion puts a version on top, a rollback takes one off, a withdrawal all. Only the log
    counts: a champion that was set without it is nothing to go back to, and a promotion that
    did not move the alias is passed over by the next one.
    """
    stack: list[str] = []
    for entry in entries:
        if entry.model != model:
            continue
        if entry.kind == "promotion":
            before = entry.facts["previous_champion"]
            while before in stack and stack[-1] != before:
                stack.pop()
            if stack[-1:] != [entry.version]:  # a promotion that was interrupted is run again
                stack.append(entry.version)
        elif entry.kind == "rollback" and stack:
            stack.pop()
        elif entry.kind == "withdrawal":
            stack.clear()
    return tuple(stack)


def _about_identity(candidate: Candidate, report: ReportFacts) -> Iterator[str]:
    if candidate.champion == candidate.version:
        yield f"{candidate.name} v{candidate.version} is champion already"
    if report.bundle_digest != candidate.digest:
        yield (
            f"the report is of another bundle: {report.bundle_digest[:12]} of {report.model} "
            f"v{report.version or '-'}, not {candidate.digest[:12]}; validate this version"
        )
    if not report.complete:
        yield "the report holds only some checks: validate without --only"


def _about_verdict(
    report: ReportFacts, sign_off: SignOff | None, policy: PromotionPolicy
) -> Iterator[str]:
    if report.verdict == "fail":
        yield "the report's verdict is fail: fix the model and validate it again"
    if report.verdict == "pass_with_findings" and not policy.allow_findings:
        yield "the policy lets no version with findings pass (promotion.allow_findings)"
    if report.caveats and not policy.accept_out_of_fold:
        yield (
            "the report is of out-of-fold rows, which the policy does not accept "
            "(promotion.accept_out_of_fold): validate on rows later than the training"
        )
    if sign_off is None and policy.require_sign_off:
        yield "the report is not signed off: kyc-ml sign-off (promotion.require_sign_off)"
    if sign_off is not None and sign_off.conclusion == "reject":
        yield "the validator rejected the model in the sign-off of this report"


def _about_rows(report: ReportFacts, fewest: int) -> Iterator[str]:
    """Refuse a report on too few rows for its gates to be broken."""
    if min(report.positives, report.negatives) < fewest:
        yield (
            f"the report evaluated {report.positives} positives and {report.negatives} negatives, "
            f"fewer than {fewest}: validate on more rows, or {_ANSWER}"
        )


def _about_findings(report: ReportFacts, sign_off: SignOff | None, now: datetime) -> Iterator[str]:
    owned = {} if sign_off is None else {each.id: each for each in sign_off.findings}
    without = [each.id for each in report.findings if each.id not in owned]
    if without and report.verdict != "fail":  # of a failed model no finding can be accepted
        yield (
            f"{len(without)} finding(s) without owner and due date: {', '.join(without)}; give "
            "them with kyc-ml sign-off"
        )
    late = [each.id for each in owned.values() if each.due < now.date().isoformat()]
    if late:
        yield f"{len(late)} finding(s) are overdue: {', '.join(late)}"


def _about_log(report: ReportFacts, entries: Sequence[Entry]) -> Iterator[str]:
    verdicts = [each for each in entries if each.kind == "verdict"]
    own = [each for each in verdicts if each.facts["report_sha256"] == report.digest]
    if not own:
        yield (
            "the audit log has no verdict of this report (SHA-256 "
            f"{report.digest[:12]}): it was changed since, or made with another log"
        )
        return
    for later in verdicts:
        same = later.facts["bundle_digest"] == report.bundle_digest
        if same and later.sequence > own[-1].sequence and later.facts["verdict"] == "fail":
            yield (
                f"a later validation of the same bundle failed (entry {later.sequence} of "
                f"{later.time})"
            )


def _about_the_past(report: ReportFacts, entries: Sequence[Entry]) -> Iterator[str]:
    """Refuse a bundle that was validated under other limits until it passed."""
    # a validation that failed before, or was rejected, has to be answered in words
    own = [each for each in entries if each.facts.get("bundle_digest") == report.bundle_digest]
    of_report = [each for each in own if each.facts.get("report_sha256") == report.digest]
    until = max((each.sequence for each in of_report), default=0)
    for entry in own:
        if entry.kind == "verdict" and entry.facts["verdict"] == "fail":
            if entry.sequence < until:  # a later entry refuses by itself
                yield f"the same bundle failed before (entry {entry.sequence}); {_ANSWER}"
        elif entry.kind == "sign_off" and entry.facts["report_sha256"] != report.digest:
            signed = latest_sign_off(own, report=entry.facts["report_sha256"])
            if signed is not None and signed[0] == entry and signed[1].conclusion == "reject":
                yield (
                    f"{entry.actor} rejected the same bundle before (entry {entry.sequence}); "
                    f"{_ANSWER}"
                )


def _about_age(report: ReportFacts, valid_days: int, now: datetime) -> Iterator[str]:
    age = now - report.created_at
    if age > timedelta(days=valid_days):
        yield (
            f"the report is {age.days} days old, the policy allows {valid_days} "
            "(report_valid_days): validate again"
        )
    if age < timedelta(0):
        yield f"the report was made later than now, at {report.created_at.isoformat()}"


def _about_gates(report: ReportFacts, policy_digest: str) -> Iterator[str]:
    if report.policy_digest != policy_digest:
        yield (
            f"the report was made with other gates ({report.policy_digest[:12]}) than those in "
            f"force ({policy_digest[:12]}): validate again"
        )


def _about_trainer(candidate: Candidate, report: ReportFacts) -> Iterator[str]:
    if not candidate.trainers:
        yield "the registry does not record who trained the version: independence cannot be shown"
    trainers = (*candidate.trainers, *report.trainers)
    if not is_named(report.validator):
        yield "the report does not say who made it"
    elif is_among(report.validator, trainers):
        yield f"{report.validator} trained the version and made the report: someone else must"


def _about_approver(
    candidate: Candidate,
    report: ReportFacts,
    approver: str,
    policy: PromotionPolicy,
    signed: tuple[Entry, SignOff] | None,
) -> Iterator[str]:
    validators = [report.validator, *([] if signed is None else [signed[0].actor])]
    if not is_named(approver):
        yield "--approver must name a person"
    elif is_among(approver, (*candidate.trainers, *report.trainers)):
        yield f"{approver} trained the version and cannot approve it: someone else must"
    elif not policy.validator_may_approve and is_among(approver, validators):
        yield (
            f"{approver} validated the version and cannot approve it (four eyes): name another "
            "person with --approver; a policy may allow it with promotion.validator_may_approve, "
            "once another person has approved that policy"
        )


def _about_accounts(
    candidate: Candidate,
    report: ReportFacts,
    entries: Sequence[Entry],
    account: str,
    policy: PromotionPolicy,
) -> Iterator[str]:
    if not policy.distinct_accounts:
        return
    used = {
        each.account for each in entries
        if each.kind == "verdict" and each.facts["report_sha256"] == report.digest
    }  # fmt: skip
    for what, accounts in (("validated", used), ("promoted", {account})):
        for one in sorted(accounts):
            if is_among(one, candidate.trainers):
                yield (
                    f"account {one} trained the version, and it is being {what} from the same "
                    "account (promotion.distinct_accounts)"
                )
