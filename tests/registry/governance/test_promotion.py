"""What keeps a version from becoming champion: every rule alone, and all at once."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.errors import ConfigError
from kyc_ml.registry import (
    OUT_OF_FOLD,
    AuditLog,
    Candidate,
    PromotionPolicy,
    ReportFacts,
    ReportFinding,
    champions,
    find_refusals,
    make_sign_off,
)
from kyc_ml.registry.governance.register import conditions_in_force, findings_register

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
TODAY = NOW.date()
DUE = "2027-01-15"
FINDING = ReportFinding(id="stability.psi/psi/amber", severity="amber", text="PSI is 0.2")
CANDIDATE = Candidate(
    name="fraud", version="3", digest="d" * 64, trainers=("svc-train", "wang"), champion="2",
    previous="1",
)  # fmt: skip
REPORT = ReportFacts(
    digest="r" * 64,
    model="fraud",
    version="3",
    bundle_digest="d" * 64,
    validator="lin",
    trainers=("wang",),
    verdict="pass",
    complete=True,
    created_at=NOW - timedelta(days=3),
    policy_digest="p" * 64,
    finding_due_days=90,
    findings=(),
    positives=67,
    negatives=933,
)
FOUND = replace(REPORT, verdict="pass_with_findings", findings=(FINDING,))
LATE = replace(FOUND, created_at=NOW - timedelta(days=91))


@pytest.fixture
def log(tmp_path):
    return AuditLog(tmp_path / "audit.jsonl")


def log_verdict(log, report=REPORT, **changes):
    facts = {
        "report_sha256": report.digest,
        "bundle_digest": report.bundle_digest,
        "verdict": report.verdict,
        "complete": report.complete,
        "findings": [each.id for each in report.findings],
        **changes,
    }
    return log.append(
        "verdict", actor=report.validator, model=report.model, version=report.version, facts=facts
    )


def log_sign_off(log, report=FOUND, **changes):
    asked = {
        "validator": "lin",
        "trainers": ("wang",),
        "conclusion": "approve",
        "owners": {each.id: ("zhou", DUE) for each in report.findings},
        "conditions": (),
        "comment": "",
        "materiality": "high",
        "today": TODAY,
        **changes,
    }
    signed = make_sign_off(report, **asked)
    return log.append(
        "sign_off", actor=asked["validator"], model=report.model, version=report.version,
        facts=signed.to_facts(),
    )  # fmt: skip


def refusals(log, report=REPORT, candidate=CANDIDATE, **changes):
    asked = {
        "approver": "zhao",
        "account": "zhao",
        "policy": PromotionPolicy(),
        "policy_digest": "p" * 64,
        "valid_days": 30,
        "fewest": 20,
        "now": NOW,
        **changes,
    }
    return find_refusals(candidate, report, log.read().entries, **asked)


def test_a_passing_report_by_another_in_the_log_promotes(log):
    log_verdict(log)
    assert refusals(log) == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"verdict": "fail"}, "fail"),
        ({"bundle_digest": "e" * 64}, "bundle"),
        ({"complete": False}, "checks"),
        ({"validator": "Wang "}, "trained"),
        ({"validator": "SVC-train"}, "trained"),
        ({"validator": "jin", "trainers": ("JIN",)}, "trained"),
        ({"validator": ""}, "who"),
        ({"created_at": NOW - timedelta(days=30, seconds=1)}, "30"),
        ({"created_at": NOW + timedelta(seconds=1)}, "later"),
        ({"policy_digest": "q" * 64}, "pppppppppppp"),
        ({"verdict": "pass_with_findings", "findings": (FINDING,)}, "owner"),
        ({"positives": 19}, "--despite"),
        ({"negatives": 0}, "--despite"),
        ({"validator": "\u200b"}, "who"),
        ({"validator": "ｗａｎｇ"}, "trained"),
    ],
)
def test_each_fault_of_a_report_refuses_alone(log, changes, said):
    report = replace(REPORT, **changes)
    log_verdict(log, report)
    (found,) = refusals(log, report)
    assert said in found


def test_a_report_of_exactly_the_oldest_age_still_counts(log):
    log_verdict(log)
    assert refusals(log, replace(REPORT, created_at=NOW - timedelta(days=30))) == ()


@pytest.mark.parametrize(
    "approver", ["wang", "WANG", " svc-train ", "w\u0430ng", "wang@bank.example", "svc_Train"]
)
def test_the_trainer_does_not_approve(log, approver):
    log_verdict(log)
    (found,) = refusals(log, approver=approver)
    assert "approve" in found


def test_a_report_that_the_log_does_not_know_refuses(log):
    log_verdict(log, replace(REPORT, digest="x" * 64))
    (found,) = refusals(log)
    assert "verdict" in found


def test_a_later_failed_validation_of_the_same_bundle_refuses(log):
    log_verdict(log)
    log_verdict(log, replace(REPORT, digest="y" * 64, bundle_digest="e" * 64, verdict="fail"))
    assert refusals(log) == ()
    log_verdict(log, replace(REPORT, digest="z" * 64, verdict="fail"))
    assert refusals(log, despite="no matter") == refusals(log)
    (found,) = refusals(log)
    assert "entry 3" in found


def test_nobody_recorded_as_trainer_refuses(log):
    log_verdict(log)
    (found,) = refusals(log, candidate=replace(CANDIDATE, trainers=()))
    assert "trained" in found


def test_the_champion_is_not_promoted_again(log):
    log_verdict(log)
    (found,) = refusals(log, candidate=replace(CANDIDATE, champion="3"))
    assert "fraud v3 " in found


def test_findings_with_owners_promote_where_the_policy_allows(log):
    log_verdict(log, FOUND)
    log_sign_off(log)
    assert refusals(log, FOUND) == ()
    (found,) = refusals(log, FOUND, policy=PromotionPolicy(allow_findings=False))
    assert "allow_findings" in found


def test_out_of_fold_rows_promote_with_their_caveat_where_the_policy_allows(log):
    caveat = ReportFinding(id=OUT_OF_FOLD, severity="amber", text="nothing is shown of later rows")
    report = replace(FOUND, findings=(caveat,))
    log_verdict(log, report)
    log_sign_off(log, report)
    assert refusals(log, report) == ()
    assert report.caveats == ("nothing is shown of later rows",)
    (said,) = refusals(log, report, policy=PromotionPolicy(accept_out_of_fold=False))
    assert "promotion.accept_out_of_fold" in said
    assert REPORT.caveats == FOUND.caveats == ()


def test_an_overdue_finding_refuses(log):
    log_verdict(log, FOUND)
    log_sign_off(log)
    due = datetime(2027, 1, 15, 23, tzinfo=UTC)
    assert refusals(log, FOUND, now=due, valid_days=90) == ()
    (found,) = refusals(log, FOUND, now=due + timedelta(hours=1), valid_days=90)
    assert "overdue" in found


def test_a_rejected_report_refuses_and_a_later_approval_mends_it(log):
    log_verdict(log)
    log_sign_off(log, REPORT, conclusion="reject", comment="the label is wrong")
    (found,) = refusals(log)
    assert "rejected" in found
    log_sign_off(log, REPORT)
    assert refusals(log) == ()


def test_who_validated_or_signed_off_does_not_approve_unless_the_policy_lets_them(log):
    log_verdict(log, FOUND)
    log_sign_off(log, validator="Chen Jie")
    relaxed = PromotionPolicy(validator_may_approve=True)
    for approver in ("lin", "Lin ", "chen.jie", "Jie Chen"):
        (found,) = refusals(log, FOUND, approver=approver)
        assert "promotion.validator_may_approve" in found
        assert refusals(log, FOUND, approver=approver, policy=relaxed) == ()
    assert refusals(log, FOUND, approver="zhao") == ()


def test_a_report_of_few_rows_promotes_with_a_reason_that_the_log_keeps(log):
    few = replace(REPORT, positives=3)
    log_verdict(log, few)
    assert len(refusals(log, few)) == 1
    assert refusals(log, few, despite="a new product") == ()


def test_the_policy_may_ask_for_a_sign_off(log):
    log_verdict(log)
    (found,) = refusals(log, policy=PromotionPolicy(require_sign_off=True))
    assert "signed" in found


def test_the_policy_may_ask_for_accounts_of_their_own(log):
    log_verdict(log)
    account = log.read().entries[0].account
    same = replace(CANDIDATE, trainers=(account,))
    strict = PromotionPolicy(distinct_accounts=True)
    assert refusals(log, candidate=same, account=account) == ()
    assert len(refusals(log, candidate=same, account=account, policy=strict)) == 2
    assert refusals(log, policy=strict) == ()


def test_all_reasons_come_at_once(log):
    report = replace(
        FOUND, verdict="fail", complete=False, bundle_digest="e" * 64, validator="wang",
        created_at=NOW - timedelta(days=99), policy_digest="q" * 64,
    )  # fmt: skip
    found = refusals(log, report, approver="wang", policy=PromotionPolicy(require_sign_off=True))
    assert len(set(found)) == 9


@pytest.mark.parametrize(
    ("report", "changes", "said"),
    [
        (FOUND, {"owners": {}}, "owner"),
        (FOUND, {"owners": {FINDING.id: ("", DUE)}}, "owner"),
        (FOUND, {"owners": {FINDING.id: ("zhou", "soon")}}, "2025-01-31"),
        (FOUND, {"owners": {FINDING.id: ("zhou", "2026-11-22")}}, "between"),
        (FOUND, {"owners": {FINDING.id: ("zhou", "2027-02-19")}}, "between"),
        (FOUND, {"owners": {FINDING.id: ("zhou", DUE), "stability.psi/psi/ambr": ("a", DUE)}},
         "'stability.psi/psi/amber'"),
        (LATE, {"owners": {FINDING.id: ("zhou", "")}}, "between"),
    (REPORT, {"validator": "WANG"}, "someone"),
        (REPORT, {"validator": " "}, "person"),
        (REPORT, {"conclusion": "approve_with_conditions"}, "--condition"),
        (REPORT, {"conditions": ("only in branches",)}, "--condition"),
        (REPORT, {"conclusion": "reject"}, "--comment"),
        (replace(REPORT, verdict="fail"), {}, "rejected"),
        (replace(REPORT, complete=False), {}, "checks"),
    ],
)  # fmt: skip
def test_each_rule_of_a_sign_off(log, report, changes, said):
    with pytest.raises(ConfigError, match="1 fault\n") as raised:
        log_sign_off(log, report, **changes)
    assert said in str(raised.value)


@pytest.mark.parametrize("due", ["2026-11-23", "2027-02-18", ""])
def test_due_dates_at_the_edges_are_taken(log, due):
    entry = log_sign_off(log, owners={FINDING.id: ("zhou", due)})
    assert entry.facts["findings"][0]["due"] == (due or "2027-02-18")


def promote(log, version, previous):
    log.append(
        "promotion", actor="zhao", model="fraud", version=version,
        facts={"previous_champion": previous, "bundle_digest": version},
    )  # fmt: skip


def roll_back(log, version):
    log.append("rollback", actor="zhao", model="fraud", version=version, facts={})


def test_after_a_withdrawal_there_is_no_champion_to_go_back_to(log):
    promote(log, "1", "")
    promote(log, "2", "1")
    log.append("withdrawal", actor="zhao", model="fraud", version="2", facts={"reason": "r"})
    assert champions(log.read().entries, model="fraud") == ()
    promote(log, "3", "")
    assert champions(log.read().entries, model="fraud") == ("3",)


def test_champions_are_a_stack_that_rollbacks_take_from(log):
    promote(log, "1", "")
    promote(log, "2", "1")
    promote(log, "3", "2")
    assert champions(log.read().entries, model="fraud") == ("1", "2", "3")
    roll_back(log, "2")
    roll_back(log, "1")
    assert champions(log.read().entries, model="fraud") == ("1",)
    assert champions(log.read().entries, model="risk") == ()


def test_a_champion_set_by_hand_is_nothing_to_go_back_to(log):
    promote(log, "1", "")
    promote(log, "5", "4")
    assert champions(log.read().entries, model="fraud") == ("1", "5")


@given(steps=st.lists(st.booleans(), max_size=12))
def test_the_stack_is_what_a_person_would_keep(steps, tmp_path_factory):
    log = AuditLog(tmp_path_factory.mktemp("stack") / "audit.jsonl")
    kept = []
    for number, up in enumerate(steps):
        if up:
            promote(log, str(number), kept[-1] if kept else "")
            kept.append(str(number))
        elif len(kept) > 1:
            kept.pop()
            roll_back(log, kept[-1])
    assert champions(log.read().entries, model="fraud") == tuple(kept)


def test_a_finding_is_open_then_overdue_then_closed_by_a_validation_without_it(log):
    log_verdict(log, FOUND)
    log_sign_off(log)
    entries = log.read().entries

    def status(entries, day):
        return [each.status for each in findings_register(entries, today=day)]

    assert status(entries, date(2027, 1, 15)) == ["open"]
    assert status(entries, date(2027, 1, 16)) == ["overdue"]
    log_verdict(log, replace(REPORT, version="4"), complete=False)
    assert status(log.read().entries, TODAY) == ["open"]
    log_verdict(log, replace(REPORT, version="4"))
    assert status(log.read().entries, date(2027, 1, 16)) == ["closed"]


def test_the_last_sign_off_says_on_what_conditions_a_version_is_used(log):
    log_verdict(log, FOUND)
    conditions = ("branches only", "again in June")
    log_sign_off(log, conclusion="approve_with_conditions", conditions=conditions)
    (found,) = conditions_in_force(log.read().entries)
    assert (found.model, found.version, found.texts) == ("fraud", "3", conditions)
    log_sign_off(log)
    assert conditions_in_force(log.read().entries) == ()


def test_gates_of_ones_own_do_not_outvote_a_failure(log):
    """Validated under milder gates until it passes: the failure before has to be answered."""
    strict = replace(REPORT, digest="s" * 64, verdict="fail", policy_digest="q" * 64)
    log_verdict(log, strict)
    log_verdict(log)
    (found,) = refusals(log)
    assert "entry 1" in found
    assert "--despite" in found
    assert refusals(log, despite="gate 4 was set for another segment") == ()
    assert refusals(log, despite="  ") != ()


def test_a_rejection_is_answered_too_unless_its_validator_changed_his_mind(log):
    earlier = replace(FOUND, digest="s" * 64)
    log_verdict(log, earlier)
    log_verdict(log)
    log_sign_off(log, earlier, conclusion="reject", owners={}, comment="labels are wrong")
    (found,) = refusals(log)
    assert "entry 3" in found
    log_sign_off(log, earlier)
    assert refusals(log) == ()


def test_findings_of_a_failed_report_ask_for_no_owner(log):
    failed = replace(FOUND, verdict="fail")
    log_verdict(log, failed)
    (found,) = refusals(log, failed)
    assert "fail" in found
