"""A policy that breaks a rule is refused, with all faults together."""

import copy
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.config import check_section, dump_section, load_section, parse_section, section_digest
from kyc_ml.decision import TierPolicy
from kyc_ml.errors import ConfigError

ROOT = Path(__file__).parents[3]
SHIPPED = sorted((ROOT / "configs" / "tiers").glob("*.yaml"))
SEGMENT = {
    "name": "entity", "values": ["company"], "from_probability": {"high": 0.2}, "source": "c",
}  # fmt: skip


def without(section, *names):
    return {name: value for name, value in section.items() if name not in names}


def refusal(make_policy, **sections):
    with pytest.raises(ConfigError) as caught:
        make_policy(**sections)
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        *[
            ({name: ""}, told)
            for name, told in (
                ("code", ".code: "),
                ("english", ".english: "),
                ("chinese", ".chinese: "),
                ("source", ".source: "),
                ("requester", ".requester: "),
                ("approver", ".approver: "),
            )
        ],
        ({"start": None}, "start"),
        ({"expiry": None}, "expiry"),
        ({"approver": "r"}, "requester"),
        ({"expiry": "2025-12-31"}, "(2025-12-31)"),
        ({"expiry": "2026-01-01"}, "start"),
        ({"tier": "high"}, "floor"),
        ({"floor": None}, "floor"),
        ({"floor": "higher"}, "'higher'"),
        ({"when": []}, "when"),
        ({"when": [{"feature": "x"}]}, "at_least"),
        ({"when": [{"feature": "x", "at_least": 1, "any_of": ["a"]}]}, "either at_least or any_of"),
        ({"when": [{"feature": "x", "at_least": float("inf")}]}, "at_least"),
    ],
)
def test_an_override_that_lacks_what_it_needs_is_refused(make_policy, sections, change, told):
    assert told in refusal(make_policy, overrides=[{**sections.rule, **change}])


def test_an_override_tells_all_that_it_lacks_at_once(make_policy):
    told = refusal(make_policy, overrides=[{"code": "x"}, {"code": "y"}])
    for name in (
        "english",
        "chinese",
        "source",
        "requester",
        "approver",
        "start",
        "expiry",
        "when",
    ):
        for place in (0, 1):
            assert f"overrides.{place}.{name}: " in told


def test_two_overrides_of_one_code_are_refused(make_policy, sections):
    assert "'list_hit'" in refusal(make_policy, overrides=[sections.rule, sections.rule])


def test_who_wrote_a_policy_does_not_approve_it(make_policy):
    assert "approver 'a'" in refusal(make_policy, approver="a")
    assert make_policy(author=None, approver=None).approver is None


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ([{**SEGMENT, "values": []}], "own.0.values: "),
        ([{**SEGMENT, "source": " "}], "own.0.source: "),
        ([{**SEGMENT, "name": "all"}], "'all'"),
        ([SEGMENT, {**SEGMENT, "values": ["x"]}], "segments"),
        ([SEGMENT, {**SEGMENT, "name": "other"}], "'company'"),
        ([{**SEGMENT, "from_probability": {"hihg": 0.2}}], "hihg"),
        ([{**SEGMENT, "from_probability": {"medium": 0.1}}], "0 to 1"),
        ([{**SEGMENT, "from_probability": {"high": 1.1}}], "0 to 1"),
        ([{**SEGMENT, "from_probability": {"low": 0.001}}], "probability 0"),
    ],
)
def test_segments_that_break_a_rule_are_refused(make_policy, own, told):
    assert told in refusal(make_policy, segments={"feature": "kind", "own": own})


TABLE = {
    "g1": {"low": "low", "medium": "medium", "high": "high"},
    "g2": {"low": "medium", "medium": "medium", "high": "high"},
    "g3": {"low": "high", "medium": "high", "high": "high"},
}


def table_with(grade, **cells):
    return {**TABLE, grade: {**TABLE[grade], **cells}}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"tier_of_grade": {"g1": "low"}}, "once: g1, g2, g3"),
        ({"tier_of_grade": {"g1": "low", "g2": "medium", "g3": "higher"}}, "higher"),
        ({"tier_of_grade": {"g1": "high", "g2": "low", "g3": "high"}}, "fall"),
        ({"raise_only": False}, "raise_only"),
        ({"table": without(TABLE, "g2")}, "table"),
        ({"table": {**TABLE, "g2": {"low": "low"}}}, "'g2'"),
        ({"table": table_with("g1", low="lowest")}, "lowest"),
        ({"table": table_with("g1", low="high")}, "table"),
        ({"table": table_with("g2", low="low")}, "'g2'"),
    ],
)
def test_a_combination_that_breaks_a_rule_is_refused(make_policy, sections, change, told):
    assert told in refusal(make_policy, expert={**sections.expert, **change})


def test_weights_of_the_card_that_do_not_sum_to_100_refuse_the_policy(make_policy, sections):
    card = copy.deepcopy(sections.card)
    card["sub_items"][0]["weights"]["all"] = 99
    told = refusal(make_policy, expert={**sections.expert, "card": card})
    assert re.search(r"expert\.card.*'all'.*\b100\b.*\b99\b", told)


@pytest.mark.parametrize(
    ("calendar", "told"),
    [
        ({"timezone": "Asia/Shangai"}, "'Asia/Shangai'"),
        ({"listed": {}}, "working_days"),
        ({"listed": {"holidays": ["2026-10-03"]}}, "2026-10-03"),
        ({"listed": {"make_up_days": ["2026-10-09"]}}, "2026-10-09"),
        ({"listed": {"holidays": ["2027-10-01"]}}, "2027-10-01"),
    ],
)
def test_a_calendar_that_makes_no_sense_is_refused(make_policy, calendar, told):
    if "listed" in calendar:
        usual = {"source": "s", "verified_on": "2026-01-01", "until": "2026-12-31"}
        calendar = {**calendar, "listed": {**usual, **calendar["listed"]}}
    assert told in refusal(make_policy, calendar=calendar)


@pytest.mark.parametrize(
    ("whole", "told"),
    [
        ({"method": "target_bad_rate", "highest_bad_rate": {"low": 0.1}}, "every"),
        (
            {"method": "target_bad_rate", "highest_bad_rate": {"low": 0.2, "medium": 0.1}},
            "highest_bad_rate",
        ),
        (
            {"method": "target_bad_rate", "highest_bad_rate": {"low": 0.0, "medium": 0.1}},
            "0 and 1",
        ),
        ({"method": "capacity", "per": "day", "alerts": {"medium": 1}}, "gap"),
        ({"method": "capacity", "per": "day", "alerts": {}}, "none"),
        (
            {"method": "capacity", "per": "day", "alerts": {"low": 1, "medium": 1, "high": 1}},
            "lowest",
        ),
        ({"method": "capacity", "per": "day", "alerts": {"high": 0}}, "0"),
        ({"method": "expected_cost", "loss": 9, "actions": {}, "source": "s"}, "every"),
    ],
)
def test_a_fit_that_makes_no_sense_is_refused(make_policy, whole, told):
    assert told in refusal(make_policy, fit={"whole": whole})


def costs(*figures):
    names = ("low", "medium", "high")
    return {
        "method": "expected_cost", "loss": 100, "source": "s",
        "actions": {
            name: {"cost": cost, "prevented": prevented}
            for name, (cost, prevented) in zip(names, figures, strict=True)
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("figures", "told"),
    [
        (((0, 0), (2, 0.5), (2, 0.9)), "cost"),
        (((0, 0), (2, 0.5), (3, 0.5)), "prevented"),
        # 0.1, then 0.02: medium never pays
        (((0, 0), (5, 0.5), (5.8, 0.9)), "never"),
        # 0.02, then 1.25: high never pays
        (((0, 0), (1, 0.5), (51, 0.9)), "never"),
    ],
)
def test_costs_under_which_a_tier_never_pays_are_refused(make_policy, figures, told):
    assert told in refusal(make_policy, fit={"whole": costs(*figures)})


def test_a_method_for_a_segment_that_the_policy_does_not_have_is_refused(make_policy):
    fit = {"whole": {"method": "fixed"}, "segments": {"entity": {"method": "fixed"}}}
    assert "fit: segments.entity: " in refusal(make_policy, fit=fit)


def test_hysteresis_without_a_way_down_is_refused(make_policy):
    assert "hysteresis" in refusal(make_policy, hysteresis={"cool_down_days": 30})


def test_faults_of_all_sections_are_told_at_once(make_policy, sections):
    told = refusal(
        make_policy,
        approver="a",
        tiers=[],
        overrides=[without(sections.rule, "source")],
        hysteresis={},
        calendar={"timezone": "Nowhere"},
    )
    for part in ("3 tiers", "author", "source", "ever",
                 "zone"):  # fmt: skip
        assert part in told


def test_a_misspelt_key_of_an_override_is_named(make_policy, sections):
    told = refusal(make_policy, overrides=[{**sections.rule, "expires": "2027-01-01"}])
    assert "overrides.0.expires" in told
    assert "'expiry'" in told


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_policies_survive_being_written_and_read(path):
    policy = load_section(path, TierPolicy)
    again = parse_section(dump_section(policy), TierPolicy, subject="again")
    assert again == policy
    assert section_digest(again) == section_digest(policy)
    assert policy.approver not in {None, policy.author}
    assert policy.valid_from is not None
    assert policy.fit is not None
    assert policy.disclosure == "internal_only"


def test_five_grades_and_three_are_shipped():
    names = {path.stem: load_section(path, TierPolicy) for path in SHIPPED}
    chinese = [rule.name_zh for rule in names["risk"].tiers]
    assert chinese == ["低", "中低", "中", "中高", "高"]
    assert [rule.name_zh for rule in names["fraud"].tiers] == chinese
    assert [rule.name_zh for rule in names["three_grades"].tiers] == ["低", "中", "高"]


def test_the_shipped_risk_policy_holds_every_direct_criterion_of_the_guideline():
    policy = load_section(ROOT / "configs" / "tiers" / "risk.yaml", TierPolicy)
    codes = {rule.code for rule in policy.overrides}
    assert codes == {
        *("list_hit", "foreign_pep", "controller_listed", "controller_foreign_pep"),
        *("repeated_reports", "refused_due_diligence"),
    }
    assert {rule.floor for rule in policy.overrides} == {"high"}


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "models" / "reference").glob("*/bundle/tiers.yaml")),
    ids=lambda path: path.parents[1].name,
)
def test_policies_of_earlier_versions_are_still_read(path):
    policy = load_section(path, TierPolicy)
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert policy.cut_offs() == tuple(tier["from_probability"] for tier in content["tiers"])
    # a section that the file does not have, as in the early formats, is empty
    assert [rule.code for rule in policy.overrides] == [
        rule["code"] for rule in content.get("overrides", [])
    ]
    for name in ("expert", "segments", "fit"):
        assert (getattr(policy, name) is None) == (content.get(name) is None)


@given(field=st.sampled_from(["name", "author", "approver", "valid_from", "hysteresis", "fit"]))
def test_every_part_of_a_policy_is_in_its_digest(make_policy, field):
    changed = {
        "name": "q", "author": "z", "approver": "z", "valid_from": "2024-01-02",
        "hysteresis": {"reviews": 2}, "fit": {"whole": {"method": "fixed"}},
    }  # fmt: skip
    assert section_digest(make_policy(**{field: changed[field]})) != section_digest(make_policy())


def test_a_card_s_weight_is_in_the_digest_of_the_policy(make_policy, sections):
    card = copy.deepcopy(sections.card)
    card["sub_items"][0]["missing"] = 2
    one, other = (
        make_policy(expert={**sections.expert, "card": each}) for each in (sections.card, card)
    )
    assert section_digest(one) != section_digest(other)


def test_a_policy_needs_no_more_than_its_tiers():
    content = {"name": "p", "version": 1, "tiers": yaml.safe_load(TIERS)}
    assert check_section(content, TierPolicy, subject="p").label == "p v1"


TIERS = """
- {name: low, name_zh: 低, from_probability: 0, due_diligence: simplified, review_months: 24,
   monitoring: usual}
- {name: medium, name_zh: 中, from_probability: 0.1, due_diligence: standard, review_months: 12,
   monitoring: usual}
- {name: high, name_zh: 高, from_probability: 0.2, due_diligence: enhanced, review_months: 6,
   monitoring: close}
"""
