"""What the model in use was found to have stays in sight until that very version is mended."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kyc_ml.registry import Entry, champions
from kyc_ml.registry.governance.register import (
    ConditionsOfUse,
    conditions_in_force,
    findings_register,
)

TODAY = date(2026, 11, 23)
DUE = "2027-01-15"
IDS = ("a", "b", "c")
VERSIONS = ("1", "2", "3")


def signed(version, findings, *, due=DUE, conditions=()):
    owned = [
        {"id": each, "severity": "amber", "text": "t", "owner": "zhou", "due": due}
        for each in findings
    ]
    return "sign_off", version, {
        "report_sha256": "r", "bundle_digest": version, "verdict": "pass_with_findings",
        "conclusion": "approve", "conditions": list(conditions), "comment": "", "materiality": "",
        "findings": owned,
    }  # fmt: skip


def validated(version, findings, *, complete=True):
    return "verdict", version, {"findings": list(findings), "complete": complete}


def promoted(version, *, after="", conditions=()):
    return "promotion", version, {"previous_champion": after, "conditions": list(conditions)}


def rolled_back(version):
    return "rollback", version, {}


def withdrawn(version):
    return "withdrawal", version, {}


def log_of(steps, *, model="risk", first=1):
    """Write down what happened to one model; no file, no hashes."""
    return [
        Entry(
            sequence=place, time=f"t{place:02d}", kind=kind, actor="zhao", account="svc",
            model=model, version=version, facts=facts, previous="",
        )
        for place, (kind, version, facts) in enumerate(steps, start=first)
    ]  # fmt: skip


def standing(steps, *, today=TODAY):
    """Give (ID, version, is champion, status) of all that is listed."""
    found = findings_register(log_of(steps), today=today)
    return {(each.finding.id, each.version, each.is_champion, each.status) for each in found}


# --- the story ------------------------------------------------------------------------

FIRST = [validated("1", "abcdef"), signed("1", "abcdef"), promoted("1")]
SECOND = [validated("2", "efghi"), signed("2", "efghi"), promoted("2", after="1")]


def test_after_a_rollback_the_findings_of_the_version_in_use_are_open_again():
    before = standing([*FIRST, *SECOND])
    assert before == {
        *((each, "1", False, "closed") for each in "abcd"),
        *((each, "2", True, "open") for each in "efghi"),
    }
    assert standing([*FIRST, *SECOND, rolled_back("1")]) == {
        *((each, "1", True, "open") for each in "abcdef"),
        *((each, "2", False, "open") for each in "efghi"),
    }


def test_they_are_overdue_in_time_and_closed_by_a_validation_of_that_version():
    again = [*FIRST, *SECOND, rolled_back("1")]
    late = {each for each in standing(again, today=date(2027, 1, 16)) if each[2]}
    assert late == {(each, "1", True, "overdue") for each in "abcdef"}
    again += [validated("1", "f")]
    mended = {each for each in standing(again) if each[2]}
    assert mended == {("f", "1", True, "open"), *((each, "1", True, "closed") for each in "abcde")}


def test_after_a_withdrawal_no_version_is_marked_and_all_is_as_of_versions_out_of_use():
    assert standing([*FIRST, *SECOND, withdrawn("2")]) == {
        *((each, "1", False, "closed") for each in "abcd"),
        *((each, "2", False, "open") for each in "efghi"),
    }


@pytest.mark.parametrize(
    ("later", "status"),
    [
        (validated("1", "b"), "closed"),
        (validated("1", "ab"), "open"),
        (validated("1", "", complete=False), "open"),
        (validated("2", ""), "open"),
    ],
)
def test_only_a_complete_validation_of_the_champion_without_it_closes_its_finding(later, status):
    steps = [signed("1", "a"), promoted("1"), later]
    assert standing(steps) == {("a", "1", True, status)}


def test_a_sign_off_of_the_champion_itself_takes_the_place_of_all_before():
    steps = [signed("2", "a"), signed("1", "a"), promoted("1"), signed("1", "a", due="2027-02-01")]
    assert standing(steps) == {("a", "1", True, "open")}
    (found,) = findings_register(log_of(steps), today=TODAY)
    assert (found.finding.due, found.since) == ("2027-02-01", "t01")


def test_a_bundle_of_no_version_is_no_champion():
    assert standing([signed("", "a")]) == {("a", "", False, "open")}


def test_each_model_has_a_champion_of_its_own():
    steps = [signed("1", "a"), promoted("1"), validated("2", "")]
    others = log_of([signed("1", "a"), validated("2", "")], model="fraud", first=4)
    found = findings_register([*log_of(steps), *others], today=TODAY)
    assert [(each.model, each.is_champion, each.status) for each in found] == [
        ("risk", True, "open"),
        ("fraud", False, "closed"),
    ]


def test_conditions_say_whether_their_version_is_champion():
    steps = [
        signed("1", "", conditions=["branches only"]),
        promoted("1", conditions=["branches only", "by day"]),
        signed("2", "", conditions=["until June"]), signed("3", "", conditions=["never"]),
        signed("3", ""),
    ]  # fmt: skip
    first = ConditionsOfUse(
        model="risk", version="1", is_champion=True, texts=("branches only", "by day")
    )  # fmt: skip
    second = ConditionsOfUse(model="risk", version="2", is_champion=False, texts=("until June",))
    assert conditions_in_force(log_of(steps)) == (first, second)


# --- laws over every history ----------------------------------------------------------

ids = st.lists(st.sampled_from(IDS), unique=True)
version = st.sampled_from(VERSIONS)
step = st.one_of(
    st.builds(validated, version, ids, complete=st.booleans()),
    st.builds(signed, version, ids, due=st.sampled_from([DUE, "2026-11-22"])),
    st.builds(promoted, version),
    st.builds(rolled_back, st.just("")),
    st.builds(withdrawn, st.just("")),
)


def as_the_commands_would(drawn):
    """Leave out what the commands refuse, and fill in what they know: who is champion."""
    stack, steps = [], []
    for kind, number, facts in drawn:
        now = stack[-1] if stack else ""
        if kind in ("verdict", "sign_off"):
            steps.append((kind, number, facts))
        elif kind == "promotion" and number != now:
            stack.append(number)
            steps.append(promoted(number, after=now))
        elif kind == "rollback" and len(stack) > 1:
            stack.pop()
            steps.append(rolled_back(stack[-1]))
        elif kind == "withdrawal" and stack:
            stack.clear()
            steps.append(withdrawn(now))
    return steps


histories = st.lists(step, max_size=14).map(as_the_commands_would)


def in_use(steps):
    return next(reversed(champions(log_of(steps), model="risk")), None)


def followed(steps):
    """Follow each ID step by step as if there were one version: the rule without a champion."""
    now = {}
    for kind, _, facts in steps:
        if kind == "sign_off":
            owned = {each["id"]: each["due"] for each in facts["findings"]}
            now |= {each: (due, False) for each, due in owned.items()}
        elif kind == "verdict" and facts["complete"]:
            now = {each: (due, each not in facts["findings"]) for each, (due, _) in now.items()}
    return {
        each: "closed" if closed else "overdue" if due < TODAY.isoformat() else "open"
        for each, (due, closed) in now.items()
    }


@settings(max_examples=10 * settings.default.max_examples)
@given(histories)
def test_findings_of_the_champion_are_those_of_a_log_that_knows_no_other_version(steps):
    champion = in_use(steps)
    own = [each for each in steps if each[1] == champion]
    listed = {name: status for name, _, is_champion, status in standing(steps) if is_champion}
    assert listed == (followed(own) if champion else {})


@settings(max_examples=10 * settings.default.max_examples)
@given(histories)
def test_findings_of_other_versions_stand_as_they_would_without_a_champion(steps):
    expected = followed(steps)
    others = {name: status for name, _, champion, status in standing(steps) if not champion}
    assert others.items() <= expected.items()
    named = {name for name, *_ in standing(steps)}
    assert named == set(expected)
    if in_use(steps) is None:
        assert others == expected


@settings(max_examples=10 * settings.default.max_examples)
@given(histories)
def test_an_id_is_listed_once_or_once_more_for_the_champion(steps):
    listed = standing(steps)
    for name in IDS:
        versions = [(number, champion) for each, number, champion, _ in listed if each == name]
        assert len(versions) <= 2
        assert [champion for _, champion in versions].count(False) <= 1
        assert all((number == in_use(steps)) == champion for number, champion in versions)
