"""From probability to tier: overrides beat the score, and no row depends on another."""

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.config import IdentifierForm, check_section
from kyc_ml.decision import OverrideBook, grade, list_in_force, load_overrides
from kyc_ml.errors import ConfigError

LOW, MEDIUM, HIGH = 0, 1, 2
PROBA = st.floats(0.0, 1.0)
ENTRY = {
    "customer_id": "c0", "code": "committee", "reason": "known to the branch", "source": "minutes",
    "start": "2026-01-01", "expiry": "2027-01-01", "approved_on": "2026-01-01",
    "requester": "r", "approver": "s",
}  # fmt: skip


def book_of(*entries):
    rows = [{**ENTRY, **entry} for entry in entries]
    return check_section({"overrides": rows}, OverrideBook, subject="book")


def one(make_facts, *, proba, policy, day="2026-06-15", book=None, **columns):
    facts = make_facts(1, days=[day], **{name: [value] for name, value in columns.items()})
    return grade(np.array([proba]), facts, policy=policy, book=book or OverrideBook())


# --- floors and fixed tiers -----------------------------------------------------------


@given(proba=PROBA, listed=st.sampled_from([0.0, 1.0, np.nan]))
def test_a_floor_never_lowers_and_holds_exactly_where_its_condition_does(
    make_policy, sections, make_facts, proba, listed
):
    policy = make_policy(overrides=[{**sections.rule, "floor": "medium"}])
    got = one(make_facts, proba=proba, policy=policy, listed=listed)
    assert got.tier[0] >= got.before[0]
    assert got.tier[0] == (max(got.before[0], MEDIUM) if listed == 1 else got.before[0])
    assert got.override_code[0] == ("list_hit" if listed == 1 else "")


@given(proba=PROBA, fixed=st.sampled_from(["low", "medium", "high"]))
def test_a_list_hit_is_a_floor_that_neither_model_nor_committee_can_lower(
    make_policy, sections, make_facts, proba, fixed
):
    policy = make_policy(overrides=[sections.rule])
    got = one(make_facts, proba=proba, policy=policy, listed=1.0, book=book_of({"tier": fixed}))
    assert got.tier[0] == HIGH
    assert got.override_code[0] == "list_hit;committee"


@given(proba=PROBA, fixed=st.sampled_from(["low", "medium", "high"]))
def test_a_fixed_tier_beats_the_score_up_and_down(make_policy, make_facts, proba, fixed):
    got = one(make_facts, proba=proba, policy=make_policy(), book=book_of({"tier": fixed}))
    assert got.tier[0] == ["low", "medium", "high"].index(fixed)


def test_of_several_overrides_the_highest_of_a_kind_counts(make_policy, make_facts):
    book = book_of({"tier": "low"}, {"tier": "medium"}, {"floor": "low"})
    assert one(make_facts, proba=0.9, policy=make_policy(), book=book).tier[0] == MEDIUM


def test_all_conditions_of_a_rule_must_hold(make_policy, sections, make_facts):
    when = [{"feature": "listed", "at_least": 1}, {"feature": "pep", "any_of": ["foreign"]}]
    policy = make_policy(overrides=[{**sections.rule, "when": when}])
    facts = make_facts(
        4, listed=[1, 1, 0, np.nan], pep=["foreign", "domestic", "foreign", "foreign"]
    )
    got = grade(np.zeros(4), facts, policy=policy)
    assert got.tier.tolist() == [HIGH, LOW, LOW, LOW]


# --- time -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "holds"),
    [
        ("2025-12-31 15:59:59", False),
        ("2025-12-31 16:00:00", True),  # midnight in Shanghai
        ("2026-06-15 00:00:00", True),
        ("2026-12-31 15:59:59", True),
        ("2026-12-31 16:00:00", False),  # the day of expiry
        ("2030-01-01 00:00:00", False),
    ],
)
def test_an_override_is_in_force_from_its_start_until_the_day_before_it_expires(
    make_policy, sections, make_facts, day, holds
):
    policy = make_policy(overrides=[sections.rule], calendar={"timezone": "Asia/Shanghai"})
    declared = one(make_facts, proba=0.0, policy=policy, day=day, listed=1.0)
    assert (declared.tier[0] == HIGH) == holds
    book = book_of({"floor": "high"})
    entered = one(make_facts, proba=0.0, policy=policy, day=day, listed=0.0, book=book)
    assert (entered.tier[0] == HIGH) == holds


@given(proba=PROBA)
def test_expired_overrides_have_no_effect_at_all(make_policy, sections, make_facts, proba):
    plain = one(make_facts, proba=proba, policy=make_policy(), day="2028-01-01")
    policy = make_policy(overrides=[sections.rule], calendar={"timezone": "UTC"})
    got = one(
        make_facts, proba=proba, policy=policy, day="2028-01-01", listed=1.0,
        book=book_of({"tier": "low"}, {"floor": "high"}),
    )  # fmt: skip
    assert got.tier.tolist() == plain.tier.tolist()
    assert got.override_code[0] == ""


@pytest.mark.parametrize(
    ("day", "holds"),
    [("2026-02-28", False), ("2026-03-01", True), ("2026-04-30", True), ("2026-05-01", False)],
)
def test_an_entered_override_counts_as_it_was_known_then(make_policy, make_facts, day, holds):
    book = book_of({"floor": "high", "approved_on": "2026-03-01", "withdrawn_on": "2026-05-01"})
    got = one(make_facts, proba=0.0, policy=make_policy(), day=day, book=book)
    assert (got.tier[0] == HIGH) == holds


@given(later=st.integers(1, 400))
def test_what_is_entered_later_changes_no_earlier_grade(make_policy, make_facts, later):
    entered = np.datetime64("2026-06-15") + later
    expiry = str(entered + 1)
    book = book_of(
        {"tier": "high", "approved_on": str(entered), "expiry": max(expiry, "2027-01-01")}
    )
    assert one(make_facts, proba=0.0, policy=make_policy(), book=book).tier[0] == LOW


def test_without_a_decision_time_floors_hold_and_fixed_tiers_only_raise(
    make_policy, sections, make_facts
):
    policy = make_policy(overrides=[sections.rule])
    facts = make_facts(3, days=[None] * 3, listed=[1, 0, 0])
    book = book_of({"customer_id": "c1", "tier": "low"}, {"customer_id": "c2", "tier": "high"})
    got = grade(np.array([0.0, 0.9, 0.0]), facts, policy=policy, book=book)
    assert got.tier.tolist() == [HIGH, HIGH, HIGH]
    assert np.isnat(got.next_review).all()


# --- expert rating --------------------------------------------------------------------


@given(proba=PROBA, age=st.sampled_from([0.0, 1.0, 2.0]))
def test_raise_only_never_lets_the_model_lower_the_rating(
    make_policy, sections, make_facts, proba, age
):
    for table in ({}, sections.table):
        policy = make_policy(expert={**sections.expert, "table": table})
        got = one(make_facts, proba=proba, policy=policy, age=age)
        assert got.before[0] >= int(age)  # the card grades by age alone
        assert got.grade[0] == f"g{int(age) + 1}"


def test_the_table_says_what_rating_and_model_give_together(make_policy, sections, make_facts):
    lowering = {
        "g1": {"low": "low", "medium": "low", "high": "medium"},
        "g2": {"low": "low", "medium": "medium", "high": "high"},
        "g3": {"low": "medium", "medium": "high", "high": "high"},
    }
    policy = make_policy(expert={**sections.expert, "raise_only": False, "table": lowering})
    facts = make_facts(9, age=[0, 0, 0, 1, 1, 1, 2, 2, 2])
    got = grade(np.tile([0.0, 0.05, 0.5], 3), facts, policy=policy)
    assert got.model.tolist() == [0, 1, 2] * 3
    assert got.of_score.tolist() == [0, 0, 1, 0, 1, 2, 1, 2, 2]
    assert policy.expert.combine(policy.tier_names).tolist() == [
        [0, 0, 1], [0, 1, 2], [1, 2, 2],
    ]  # fmt: skip


def test_without_a_table_the_higher_of_both_counts(make_policy, sections):
    policy = make_policy(expert=sections.expert)
    assert policy.expert.combine(policy.tier_names).tolist() == [
        [0, 1, 2], [1, 1, 2], [2, 2, 2],
    ]  # fmt: skip


def test_of_two_overrides_of_one_code_only_the_running_one_is_listed(
    make_policy, sections, make_facts
):
    same = {"code": "list_hit", "floor": "high"}
    book = book_of(
        {**same, "expiry": "2026-03-01", "reason": "ended"},
        {**same, "reason": "runs"},
        {**same, "start": "2026-07-01", "reason": "not begun"},
        {**same, "withdrawn_on": "2026-06-15", "reason": "withdrawn"},
        {**same, "customer_id": "c1", "reason": "somebody else's"},
    )
    policy = make_policy(overrides=[sections.rule])
    facts = make_facts(1, days=["2026-06-15"], listed=[0.0])
    listed = list_in_force(facts, policy=policy, book=book)
    assert [(each.code, each.reason) for each in listed] == [("list_hit", "runs")]
    got = grade(np.array([0.0]), facts, policy=policy, book=book)
    assert got.override_code.tolist() == ["list_hit"]
    both = list_in_force(make_facts(1, listed=[1.0]), policy=policy, book=book)
    assert both[0] == policy.overrides[0]
    assert len(both) == 2


# --- what is not known ----------------------------------------------------------------


def test_a_rule_whose_fact_the_source_lacks_is_left_out_and_said_to_be(
    make_policy, sections, make_facts
):
    policy = make_policy(
        overrides=[sections.rule], expert=sections.expert, segments=sections.segments
    )
    facts = make_facts(2, unavailable=["listed", "kind"])
    got = grade(np.array([0.0, 0.5]), facts, policy=policy)
    assert got.tier.tolist() == [LOW, HIGH]
    assert set(got.unchecked) == {"override list_hit", "segments", "expert rating"}
    assert "customers" in got.unchecked["override list_hit"]
    assert "columns" in got.unchecked["expert rating"]
    assert (
        got.columns()["policy_unchecked"].to_pylist()
        == ["segments; expert rating; override list_hit"] * 2
    )
    assert any("list_hit" in line for line in got.notes())


def test_a_policy_may_refuse_to_grade_without_its_facts(make_policy, sections, make_facts):
    policy = make_policy(
        overrides=[sections.rule], facts={"absent": "refuse"}, segments=sections.segments
    )
    with pytest.raises(ConfigError) as caught:
        grade(np.array([0.0]), make_facts(1, unavailable=["listed"]), policy=policy)
    assert "list_hit: listed: " in str(caught.value)
    assert "segments: kind: " in str(caught.value)


def test_rows_without_a_segment_are_on_the_whole_s_cut_offs_and_counted(
    make_policy, sections, make_facts
):
    facts = make_facts(4, kind=["company", None, "person", "company"])
    got = grade(np.full(4, 0.15), facts, policy=make_policy(segments=sections.segments))
    assert got.segment.tolist() == ["entity", "all", "all", "entity"]
    assert got.tier.tolist() == [MEDIUM, HIGH, HIGH, MEDIUM]
    assert got.counts == {
        "on the cut-offs of the whole: segment missing": 1,
        "on the cut-offs of the whole: segment unlisted": 1,
    }
    # whom the policy does not list has the whole's cut-offs by design; a missing value has not
    assert got.notes() == ["1 row(s) on the cut-offs of the whole: segment missing"]


@pytest.mark.parametrize(("day", "to_be_listed"), [("2026-06-15", False), ("2026-12-15", True)])
def test_reviews_beyond_the_listed_days_are_counted_and_said_once_the_list_should_go_on(
    make_policy, make_facts, day, to_be_listed
):
    calendar = {
        "working_days": "weekdays",
        "listed": {"source": "c", "verified_on": "2026-01-01", "until": "2026-12-31"},
    }
    facts = make_facts(3, days=[day] * 3)
    got = grade(np.array([0.0, 0.05, 0.5]), facts, policy=make_policy(calendar=calendar))
    beyond = int((got.next_review > np.datetime64("2026-12-31")).sum())
    assert beyond == (3 if to_be_listed else 2)
    ends = "due beyond the listed holidays, which have ended or end soon: list the next year"
    said = {ends: beyond} if to_be_listed else {}
    assert got.counts == {"due beyond the listed holidays": beyond, **said}
    assert got.notes() == [f"{rows} row(s) {what}" for what, rows in said.items()]


# --- every row by itself ---------------------------------------------------------------

ROWS = st.lists(
    st.tuples(
        PROBA,
        st.sampled_from([0.0, 1.0, np.nan]),
        st.sampled_from(["foreign", "none", None]),
        st.sampled_from([0.0, 1.0, 2.0, np.nan]),
        st.sampled_from(["company", "person", None]),
        st.sampled_from(["2025-05-01", "2026-03-01", "2027-03-01"]),
        st.sampled_from(["c0", "c1", "c2", None]),
    ),
    min_size=2,
    max_size=12,
)
BOOK = book_of({"customer_id": "c0", "tier": "low"}, {"customer_id": "c1", "floor": "medium"})


def graded(make_policy, sections, make_facts, rows):
    proba, listed, pep, age, kind, days, customers = zip(*rows, strict=True)
    facts = make_facts(
        len(rows), customers=list(customers), days=list(days), listed=list(listed),
        age=list(age), pep=["x" if value is None else value for value in pep],
        kind=["x" if value is None else value for value in kind],
    )  # fmt: skip
    found = grade(np.array(proba), facts, policy=make_policy(**sections.full), book=BOOK)
    columns = {name: column.to_pylist() for name, column in found.columns().items()}
    return list(zip(*columns.values(), strict=True))


@given(rows=ROWS, seed=st.integers(0, 99))
def test_a_row_is_graded_alike_alone_in_a_batch_and_shuffled(
    make_policy, sections, make_facts, rows, seed
):
    batch = graded(make_policy, sections, make_facts, rows)
    assert batch == [graded(make_policy, sections, make_facts, [row])[0] for row in rows]
    order = np.random.default_rng(seed).permutation(len(rows))
    shuffled = graded(make_policy, sections, make_facts, [rows[at] for at in order])
    assert shuffled == [batch[at] for at in order]


@given(probas=st.tuples(PROBA, PROBA).map(sorted), rows=ROWS)
def test_the_final_tier_is_monotone_in_probability(make_policy, sections, make_facts, probas, rows):
    tiers = ["low", "medium", "high"]
    low, high = (
        graded(make_policy, sections, make_facts, [(proba, *rows[0][1:])])[0][0] for proba in probas
    )
    assert tiers.index(low) <= tiers.index(high)


ELSEWHERE = """
import importlib.util, json
import numpy as np
spec = importlib.util.spec_from_file_location("sections", {conftest!r})
conftest = importlib.util.module_from_spec(spec)
spec.loader.exec_module(conftest)
from kyc_ml.decision import grade
facts = conftest.facts_of(
    3, days=["2026-03-01 15:59", "2026-03-01 16:00", "2027-03-01 12:00"],
    listed=[1, 0, 1], age=[0, 2, 1], pep=["x", "foreign", "x"], kind=["company", "x", "x"])
policy = conftest.policy_with(**conftest.FULL)
found = grade(np.array([0.1, 0.2, 0.01]), facts, policy=policy)
print(json.dumps({{name: [str(v) for v in column.to_pylist()]
                   for name, column in found.columns().items()}}, sort_keys=True))
"""


def test_the_same_inputs_give_the_same_tiers_on_any_machine():
    program = ELSEWHERE.format(conftest=str(Path(__file__).with_name("conftest.py")))
    printed = {
        subprocess.run(  # noqa: S603  our own program
            [sys.executable, "-c", program], capture_output=True, text=True, check=True,
            timeout=120, env={
                "TZ": zone, "LC_ALL": locale, "PYTHONHASHSEED": seed,
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
        ).stdout
        for zone, locale, seed in (("UTC", "C.UTF-8", "0"), ("Pacific/Kiritimati", "C", "7"))
    }  # fmt: skip
    assert len(printed) == 1
    assert json.loads(printed.pop())["tier"] == ["high", "high", "medium"]


# --- the columns and the book ----------------------------------------------------------


def test_the_columns_are_what_a_case_system_needs(make_policy, sections, make_facts):
    policy = make_policy(overrides=[sections.rule])
    facts = make_facts(2, listed=[1, 0])
    got = {
        name: column.to_pylist()
        for name, column in grade(np.array([0.0, 0.05]), facts, policy=policy).columns().items()
    }
    assert got["tier"] == ["high", "medium"]
    assert got["tier_before_overrides"] == ["low", "medium"]
    assert got["override_code"] == ["list_hit", None]
    assert got["policy"] == ["p v1"] * 2
    assert got["disclosure"] == ["internal_only"] * 2
    assert [str(day) for day in got["next_review"]] == ["2026-12-15", "2027-06-15"]
    assert {"due_diligence", "monitoring", "segment", "expert_grade", "tier_zh"} <= set(got)


def test_no_rows_are_graded_to_no_rows(make_policy, sections, make_facts):
    policy = make_policy(overrides=[sections.rule])
    got = grade(np.array([]), make_facts(0, days=[], listed=[]), policy=policy, book=BOOK)
    assert all(len(column) == 0 for column in got.columns().values())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        *[({name: ""}, f".{name}: ") for name in ("reason", "source", "approver")],
        *[({name: None}, f".{name}: ") for name in ("start", "expiry", "approved_on")],
        ({"approver": "r"}, "requester"),
        ({"expiry": "2025-01-01"}, "(2025-01-01)"),
        ({"tier": "low", "floor": "low"}, "floor"),
        ({"customer_id": " "}, "customer_id"),
    ],
)
def test_an_entered_override_that_lacks_what_it_needs_is_refused(change, told):
    with pytest.raises(ConfigError) as caught:
        book_of({"floor": "high"}, {"floor": "high", "customer_id": "SECRET", **change})
    [fault] = str(caught.value).splitlines()[1:]
    assert fault.startswith("  - overrides.1")
    assert told in fault
    assert "SECRET" not in str(caught.value)


def test_an_entered_override_of_another_policy_s_tier_is_refused(make_policy, make_facts):
    with pytest.raises(ConfigError, match=r"\b1\b.*'higher'"):
        one(make_facts, proba=0.0, policy=make_policy(), book=book_of({"floor": "higher"}))


CSV = """customer_id,code,reason,source,floor,tier,start,expiry,approved_on,requester,approver
c0,committee,known to the branch,minutes,high,,2026-01-01,2027-01-01,2026-01-01,r,s
"""


def test_the_same_overrides_are_read_from_yaml_and_csv(tmp_path):
    (tmp_path / "o.csv").write_text("\ufeff" + CSV, encoding="utf-8")
    lines = [f"    {name}: {value}" for name, value in {**ENTRY, "floor": "high"}.items()]
    lines[0] = lines[0].replace("    ", "  - ", 1)
    (tmp_path / "o.yaml").write_text("overrides:\n" + "\n".join(lines) + "\n")
    assert load_overrides(tmp_path / "o.csv") == book_of({"floor": "high"})
    assert load_overrides(tmp_path / "o.yaml") == book_of({"floor": "high"})


@pytest.mark.parametrize(
    "first", ["2026/1/1", "2026-1-1", "2026年1月1日", "2026/1/1 0:00", "20260101"]
)
def test_days_are_read_as_spreadsheets_write_them_where_that_is_certain(tmp_path, first):
    path = tmp_path / "o.csv"
    path.write_text(CSV.replace("2026-01-01", first), encoding="utf-8")
    assert load_overrides(path) == book_of({"floor": "high"})


def test_customers_of_overrides_are_named_in_the_form_of_the_source(tmp_path):
    path = tmp_path / "o.csv"
    path.write_text(CSV.replace("\nc0,committee", "\n C0\u00a0 , committee "), encoding="utf-8")
    for form, name in ((IdentifierForm(), "C0"), (IdentifierForm(case="lower"), "c0")):
        (entry,) = load_overrides(path, form=form).overrides
        assert (entry.customer_id, entry.code) == (name, "committee")


def test_a_number_in_yaml_is_no_customer(tmp_path):
    """YAML reads 0012 as ten, which may be another customer."""
    path = tmp_path / "o.yaml"
    path.write_text("overrides: [{customer_id: 0012, code: a}]")
    with pytest.raises(ConfigError, match="identifier"):
        load_overrides(path)


@pytest.mark.parametrize(
    ("change", "first", "last", "expected"),
    [
        ({}, "2026-01-01", "2026-01-01", True),
        ({}, "2025-12-01", "2025-12-31", False),  # not yet
        ({}, "2026-12-31", "2027-02-01", True),
        ({}, "2027-01-01", "2027-02-01", False),  # no longer
        ({"approved_on": "2026-03-01"}, "2026-01-01", "2026-02-28", False),
        ({"withdrawn_on": "2026-02-01"}, "2026-02-01", "2026-03-01", False),
        ({"withdrawn_on": "2026-01-01"}, "2025-01-01", "2028-01-01", False),  # never was
    ],
)
def test_an_override_is_in_force_on_its_days(change, first, last, expected):
    (entry,) = book_of({"floor": "high", **change}).overrides
    days = (date.fromisoformat(day) for day in (first, last))
    assert entry.is_in_force(**dict(zip(("first", "last"), days, strict=True))) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (CSV.replace("approver\n", "aprover\n"), "'approver'"),
        (CSV.replace(",s\n", ",s,SECRET\n"), "header"),
        (CSV.replace("2027-01-01", "SECRET"), "overrides.0.expiry"),
        (CSV.replace("2027-01-01", "01/02/2027"), "expiry: '01/02/2027'"),
        (CSV.replace("2027-01-01", "2027/2/30"), "2025-01-31"),
        (CSV.replace("known to the branch", '"SECRET'), "CSV"),
    ],
)
def test_a_csv_that_breaks_the_rules_is_refused_without_its_values(tmp_path, text, told):
    path = tmp_path / "overrides.csv"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_overrides(path)
    assert told in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_rows_are_counted_by_what_moved_their_tier_up_or_down(make_policy, sections, make_facts):
    policy = make_policy(expert=sections.expert, overrides=[sections.rule])
    facts = make_facts(4, listed=[0, 1, 1, 0], age=[2.0, 0.0, 2.0, 0.0])
    book = book_of({"customer_id": "c3", "tier": "low"})
    got = grade(np.array([0.0, 0.0, 0.9, 0.9]), facts, policy=policy, book=book)
    assert got.model.tolist() == [LOW, LOW, HIGH, HIGH]
    assert got.of_score.tolist() == [HIGH, LOW, HIGH, HIGH]
    assert got.tier.tolist() == [HIGH, HIGH, HIGH, LOW]
    assert got.counts == {
        "moved up by the expert rating": 1,
        "moved up by overrides or floors": 1,
        "moved down by overrides": 1,
    }
