"""A configuration is right, or refused with every fault and its cure."""

import re
import shutil
from datetime import date
from typing import Literal

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import Field

from kyc_ml.config import (
    CalibrationConfig,
    CountryList,
    CustomerFoldsConfig,
    DatasetConfig,
    FeatureConfig,
    LimitsConfig,
    RunConfig,
    Section,
    SourceMapping,
    SplitConfig,
    check_section,
    dump_section,
    load_section,
    parse_section,
    section_digest,
)
from kyc_ml.decision import TierPolicy
from kyc_ml.errors import ConfigError

RUN = {
    "name": "x",
    "unit": "fraud",
    "tiers": "tiers/x.yaml",
    "features": {"families": ["velocity"]},
}
SOURCE = {
    "name": "s",
    "base_currency": "CNY",
    "files": {"tx": {"path": "tx.csv", "format": "csv"}},
    "tables": {"transactions": {"from": "tx", "columns": {"amount": "amount"}}},
}


def tier(name="low", start=0.0, months=6, **rest):
    return {
        "name": name,
        "name_zh": "低",
        "from_probability": start,
        "due_diligence": "standard",
        "review_months": months,
        "monitoring": "yearly",
        **rest,
    }


def policy_of(*tiers):
    return {"name": "p", "version": 1, "tiers": list(tiers)}


THREE = (tier(), tier("medium", 0.1), tier("high", 0.5))


def refusal(content, section):
    with pytest.raises(ConfigError) as caught:
        check_section(content, section, subject="it")
    return str(caught.value)


@st.composite
def policies(draw):
    n = draw(st.integers(3, 10))
    inner = st.floats(0.0, 1.0, exclude_min=True)
    bounds = [0.0, *sorted(draw(st.sets(inner, min_size=n - 1, max_size=n - 1)))]
    months = [draw(st.integers(1, 6))]
    for _ in range(n - 1):
        months.insert(0, draw(st.integers(1, 2 * months[0])))
    words = st.text(max_size=12)
    tiers = [
        tier(f"t{place}", bound, month, name_zh=draw(words), monitoring=draw(words))
        for place, (bound, month) in enumerate(zip(bounds, months, strict=True))
    ]
    content = {**policy_of(*tiers), "name": draw(words), "version": draw(st.integers(1, 99))}
    return TierPolicy.model_validate(content)


@given(policy=policies())
def test_what_is_dumped_is_read_back_equal_and_has_the_same_digest(policy):
    again = parse_section(dump_section(policy), TierPolicy, subject="p")
    assert again == policy
    assert section_digest(again) == section_digest(policy)


@given(one=policies(), other=policies())
def test_digests_are_equal_exactly_when_the_settings_are(one, other):
    assert (section_digest(one) == section_digest(other)) == (one == other)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "y"},
        {"tiers": "tiers/y.yaml"},
        {"model": {"seed": 0}},
        {"model": {"reg_lambda": 5.000000000000001}},
        {"dataset": {"label_maturity_days": 91}},
        {"splits": {"method": "customer_folds"}},
        {"calibration": {"candidates": ["none", "isotonic", "platt"]}},
        {"explain": {"reasons": 4}},
        {"features": {"families": ["velocity"], "exclude": ["x"]}},
    ],
)
def test_any_change_changes_the_digest(change):
    before = RunConfig.model_validate(RUN)
    assert section_digest(before) != section_digest(RunConfig.model_validate({**RUN, **change}))


def test_writing_a_default_out_does_not_change_the_digest():
    spelt = RunConfig.model_validate({**RUN, "model": {"n_estimators": 600}, "dataset": {}})
    assert section_digest(spelt) == section_digest(RunConfig.model_validate(RUN))


@pytest.mark.parametrize("splits", [SplitConfig(), CustomerFoldsConfig(method="customer_folds")])
def test_a_run_with_either_kind_of_split_is_read_back_equal(splits):
    run = RunConfig.model_validate(RUN).model_copy(update={"splits": splits})
    assert parse_section(dump_section(run), RunConfig, subject="x") == run


def test_a_mapping_keeps_its_key_from_when_dumped():
    mapping = SourceMapping.model_validate(SOURCE)
    assert "from: tx" in dump_section(mapping)
    assert parse_section(dump_section(mapping), SourceMapping, subject="s") == mapping


def test_sections_cannot_be_changed():
    run = RunConfig.model_validate(RUN)
    with pytest.raises(ValueError, match="frozen"):
        run.name = "y"


def test_every_shipped_run_loads_with_the_policy_it_names(configs):
    others = {"limits", "validation", "alerts", "playbooks"}
    runs = [path for path in sorted(configs.glob("*.yaml")) if path.stem not in others]
    assert {path.stem for path in runs} >= {"berka", "fraud", "handbook", "risk"}
    for path in runs:
        run = load_section(path, RunConfig)
        assert len(load_section(path.parent / run.tiers, TierPolicy).tiers) >= 3


def test_the_shipped_limits_are_those_taken_without_a_file(configs):
    assert load_section(configs / "limits.yaml", LimitsConfig) == LimitsConfig()


def test_every_shipped_policy_and_source_loads(configs):
    policies_found = sorted((configs / "tiers").glob("*.yaml"))
    sources = sorted((configs / "sources").glob("*.yaml"))
    assert len(policies_found) >= 2
    assert len(sources) >= 4
    for path in policies_found:
        load_section(path, TierPolicy)
    for path in sources:
        load_section(path, SourceMapping)


@pytest.mark.parametrize(
    ("section", "content", "path", "meant"),
    [
        (RunConfig, {**RUN, "modle": {}}, "modle", "model"),
        (RunConfig, {**RUN, "model": {"num_leafs": 3}}, "model.num_leafs", "num_leaves"),
        (
            RunConfig,
            {**RUN, "splits": {"method": "out_of_time", "test_day": 3}},
            "splits.test_day",
            "test_days",
        ),
        (
            RunConfig,
            {**RUN, "splits": {"method": "customer_folds", "fold": 3}},
            "splits.fold",
            "folds",
        ),
        (
            TierPolicy,
            policy_of(*THREE[:2], tier("high", 0.5, review_month=3)),
            "tiers.2.review_month",
            "review_months",
        ),
        (
            SourceMapping,
            {**SOURCE, "files": {"tx": {"path": "x", "format": "csv", "delimeter": ";"}}},
            "files.tx.delimeter",
            "delimiter",
        ),
        (
            SourceMapping,
            {**SOURCE, "tables": {"cases": {"from": "x", "columns": {"a": "b"}, "were": "c"}}},
            "tables.cases.were",
            "where",
        ),
        (
            SourceMapping,
            {**SOURCE, "tables": {"cases": {"from": "x", "columns": {"a": "b"}, "form": "c"}}},
            "tables.cases.form",
            "from",
        ),
    ],
)
def test_a_misspelt_key_is_named_with_its_path_and_the_key_that_was_meant(
    section, content, path, meant
):
    told = refusal(content, section)
    assert re.search(rf"- {re.escape(path)}: .*{meant!r}", told)


def test_the_keys_said_to_be_known_are_those_of_the_chosen_split():
    told = refusal({**RUN, "splits": {"method": "customer_folds", "zzz": 3}}, RunConfig)
    assert "folds" in told


def test_parts_of_a_risk_model_lie_a_horizon_apart():
    risk = {**RUN, "unit": "risk", "dataset": {"horizon_days": 30}}
    told = refusal(
        {**risk, "splits": {"method": "out_of_time", "inner_embargo_days": 29}}, RunConfig
    )
    assert re.search(r"splits\.inner_embargo_days.*dataset\.horizon_days", told)


def test_a_split_without_a_method_is_told_to_name_one():
    told = refusal({**RUN, "splits": {"test_days": 3}}, RunConfig)
    assert "'method'" in told


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"selection": True},
            "selection",
        ),
        ({"selection": None}, "time_blocks, psi_limit, flip_level"),
        ({"stability": [1]}, "seed_ref"),
        (
            {"tuning": {"search": 4}},
            "tuning.search",
        ),
        (
            {"splits": 3},
            "splits",
        ),
        (
            {"tuning": {"search": {"max_bin": 3}}},
            "tuning.search.max_bin",
        ),
    ],
)
def test_what_stands_in_the_place_of_a_section_is_told_with_the_keys_of_that_section(given, told):
    assert told in refusal({**RUN, **given}, RunConfig)


def test_only_of_a_run_configuration_is_it_told_where_its_keys_are_shown():
    told = refusal({"drift": True}, LimitsConfig)
    assert "keys: score, feature, features_drifted; {}" in told


def test_an_empty_section_takes_its_defaults():
    empty = {"selection": {}, "stability": {}, "tuning": {}}
    assert check_section({**RUN, **empty}, RunConfig, subject="it") == check_section(
        RUN, RunConfig, subject="it"
    )


def test_all_faults_are_listed_at_once():
    told = refusal(
        {"nmae": "x", "unit": "frd", "model": {"n_estimators": 0}, "tiers": "t"}, RunConfig
    )
    assert told.startswith("it: 5 faults\n")
    assert "name:" in told
    assert "features:" in told
    assert re.search(r"model\.n_estimators.*\b1\b", told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: a\nname: b\n", "twice"),
        ("model:\n  seed: 1\n  seed: 2\n", "twice"),
        ("name: [a\n", "YAML"),
        ("name: !!python/object/apply:os.getcwd []\n", "YAML"),
        ("- a\n", "list"),
        ("", "NoneType"),
        ("just text", "str"),
        ("1: 2\n", "1: Keys"),
    ],
)
def test_what_is_no_configuration_is_refused_by_name(tmp_path, text, told):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_section(path, RunConfig)
    assert told in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_utf8_is_refused(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_bytes("name: 低".encode("gb18030"))
    with pytest.raises(ConfigError, match=r"UTF-8.*UTF-8"):
        load_section(path, RunConfig)


def test_a_missing_file_is_named_with_the_one_that_was_meant(tmp_path):
    (tmp_path / "fraud.yaml").touch()
    near = re.escape("'fraud.yaml'")
    with pytest.raises(ConfigError, match=rf"frud\.yaml .*{near}"):
        load_section(tmp_path / "frud.yaml", RunConfig)


@pytest.mark.parametrize("name", ["", "absent/run.yaml"])
def test_a_folder_and_an_absent_folder_are_refused(tmp_path, name):
    with pytest.raises(ConfigError, match="read"):
        load_section(tmp_path / name, RunConfig)


@pytest.mark.parametrize(
    ("tiers", "told"),
    [
        ((tier(start=0.1), *THREE[1:]), "probability 0"),
        ((THREE[0], tier("medium", 0.5), tier("high", 0.5)), "from_probability"),
        ((THREE[0], tier("medium", 0.6), tier("high", 0.5)), "from_probability"),
        (THREE[:2], "3 tiers"),
        (tuple(tier(f"t{i}", i / 11) for i in range(11)), "11"),
        ((*THREE[:2], tier("high", 0.5, 7)), "6 months"),
        (
            (tier(months=13), *THREE[1:]),
            "'low'",
        ),
        ((*THREE[:2], tier("low", 0.5)), "tier"),
        ((*THREE[:2], tier("high", 1.1)), "tiers.2.from_probability"),
        ((*THREE[:2], tier("high", float("nan"))), "tiers.2.from_probability"),
        ((*THREE[:2], tier("high", 0.5, 0)), "tiers.2.review_months"),
    ],
)
def test_a_policy_that_breaks_a_rule_is_refused_with_the_reason(tiers, told):
    assert told in refusal(policy_of(*tiers), TierPolicy)


def test_a_policy_at_the_edge_of_every_rule_is_taken():
    months = [6 * 2**place for place in range(9, -1, -1)]
    tiers = [tier(f"t{i}", i / 9, months[i]) for i in range(10)]
    policy = TierPolicy.model_validate(policy_of(*tiers))
    assert policy.tiers[-1].from_probability == 1.0
    assert policy.tiers[0].review_months == 3072


def test_a_policy_tells_all_its_faults_at_once():
    told = refusal(policy_of(tier("a", 0.1, 99), tier("a", 0.05), tier("c", 0.5, 9)), TierPolicy)
    for part in ("start", "increase", "differ", "6", "twice"):
        assert part in told


@pytest.mark.parametrize(("unit", "horizon"), [("risk", 0), ("fraud", 30)])
def test_a_horizon_belongs_to_a_risk_model_and_only_there(unit, horizon):
    told = refusal({**RUN, "unit": unit, "dataset": {"horizon_days": horizon}}, RunConfig)
    assert re.search(r"model.*\b0\b", told)


@pytest.mark.parametrize("start", ["2024-13-01", "2024-02-30", "1 May 2024", "20240501", ""])
def test_a_history_start_that_is_no_iso_date_is_refused(start):
    told = refusal({**RUN, "dataset": {"history_start": start}}, RunConfig)
    assert re.search(r"dataset\.history_start.*ISO.*2024-05-01", told)


@given(day=st.dates())
def test_every_iso_date_may_start_the_history(day):
    assume(day >= date(1700, 1, 1))
    assert DatasetConfig(history_start=day.isoformat()).history_start == day.isoformat()


@pytest.mark.parametrize(
    "file", [{"format": "duckdb"}, {"format": "csv", "table": "x"}], ids=["absent", "too_much"]
)
def test_a_table_is_named_for_a_duckdb_file_and_only_there(file):
    told = refusal({**SOURCE, "files": {"tx": {"path": "x", **file}}}, SourceMapping)
    assert "`table`" in told


def test_text_survives_in_any_script():
    text = yaml.safe_dump(policy_of(*THREE), allow_unicode=True)
    policy = parse_section(text, TierPolicy, subject="p")
    assert "低" in dump_section(policy)


def reporter(*entries, name="watch"):
    return {
        "name": name,
        "english": "watched countries",
        "chinese": "关注国家名单",
        "source": "test",
        "verified_on": "2026-01-01",
        "entries": list(entries),
    }


PANAMA = {"country": "PA", "since": "2019-06-21", "until": "2023-10-27"}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (reporter(), "entries"),
        (reporter({**PANAMA, "country": "Panama"}), "entries.0.country"),
        (reporter({**PANAMA, "since": "June 2019"}), "entries.0.since"),
        (
            reporter({**PANAMA, "until": "2019-06-21"}),
            "until",
        ),
        (reporter(PANAMA, name="FATF list"), "name:"),
        ({**reporter(PANAMA), "verified_on": None}, "verified_on"),
    ],
)
def test_a_list_of_countries_that_breaks_a_rule_is_refused_with_the_reason(content, told):
    assert told in refusal(content, CountryList)


def test_two_lists_of_countries_need_two_names():
    lists = [reporter(PANAMA), reporter(PANAMA)]
    told = refusal({"families": ["geography"], "country_lists": lists}, FeatureConfig)
    assert "country_lists" in told


def test_a_country_may_come_back_to_a_list_and_the_list_is_read_back_equal():
    back = {"country": "PA", "since": "2025-01-01"}
    features = FeatureConfig.model_validate(
        {"families": ["geography"], "country_lists": [reporter(PANAMA, back)]}
    )
    assert parse_section(dump_section(features), FeatureConfig, subject="f") == features


def standing(countries, day):
    return {
        entry.country
        for entry in countries.entries
        if entry.since <= day and (entry.until is None or day < entry.until)
    }


@pytest.fixture(scope="module")
def fatf(tmp_path_factory, configs):
    folder = tmp_path_factory.mktemp("run")
    shutil.copy(configs / "lists" / "fatf.yaml", folder)
    text = "families: [geography]\ncountry_lists: !include fatf.yaml\n"
    (folder / "features.yaml").write_text(text)
    lists = load_section(folder / "features.yaml", FeatureConfig).country_lists
    return {countries.name: countries for countries in lists}


# Sets as FATF published them; that of 2026-06-19 as in DOMAIN 2.3.
INCREASED_MONITORING = {
    "2020-02-21": "AL BS BB BW KH GH IS JM MU MN MM NI PK PA SY UG YE ZW",
    "2020-10-23": "AL BS BB BW KH GH JM MU MM NI PK PA SY UG YE ZW",
    "2020-12-18": "AL BB BW KH GH JM MU MM NI PK PA SY UG YE ZW",
    "2021-03-01": "AL BB BW BF KH KY GH JM MU MA MM NI PK PA SN SY UG YE ZW",
    "2021-10-21": "AL BB BF KH KY HT JM JO ML MT MA MM NI PK PA PH SN SS SY TR UG YE ZW",
    "2023-02-24": "AL BB BF KY CD GI HT JM JO ML MZ NG PA PH SN ZA SS SY TZ TR UG AE YE",
    "2023-10-27": "BB BG BF CM HR CD GI HT JM ML MZ NG PH SN ZA SS SY TZ TR UG AE VN YE",
    "2024-02-23": "BG BF CM HR CD HT JM KE ML MZ NA NG PH SN ZA SS SY TZ TR VN YE",
    "2024-06-28": "BG BF CM HR CD HT KE ML MC MZ NA NG PH SN ZA SS SY TZ VE VN YE",
    "2025-02-21": "DZ AO BG BF CM CI HR CD HT KE LA LB ML MC MZ NA NP NG ZA SS SY TZ VE VN YE",
    "2025-10-24": "DZ AO BO BG CM CI CD HT KE LA LB MC NA NP SS SY VE VN VG YE",
    "2026-02-13": "DZ AO BO BG CM CI CD HT KE KW LA LB MC NA NP PG SS SY VE VN VG YE",
    "2026-06-19": "AO BO BA BG CM CI CD HT IQ KE KW LA LB MC NP PG SS SY VE VN VG YE",
}


@pytest.mark.parametrize("day", INCREASED_MONITORING)
def test_the_shipped_fatf_list_stands_as_it_was_published(fatf, day):
    listed = standing(fatf["fatf_increased_monitoring"], date.fromisoformat(day))
    assert listed == set(INCREASED_MONITORING[day].split())


@pytest.mark.parametrize(
    ("day", "listed"),
    [("2020-02-21", "KP IR"), ("2022-10-20", "KP IR"), ("2022-10-21", "KP IR MM")],
)
def test_the_shipped_call_for_action_stands_as_it_was_published(fatf, day, listed):
    found = standing(fatf["fatf_call_for_action"], date.fromisoformat(day))
    assert found == set(listed.split())


def test_no_country_is_on_both_fatf_lists_and_none_twice_at_a_time(fatf):
    lists = list(fatf.values())
    days = sorted({entry.since for countries in lists for entry in countries.entries})
    for day in days:
        assert not standing(lists[0], day) & standing(lists[1], day)
    for countries in lists:
        names = [entry.country for entry in countries.entries]
        assert len(set(names)) == len(names)


def test_an_included_file_stands_where_it_is_named_and_may_include_others(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "run.yaml").write_text(
        "name: x\nunit: fraud\ntiers: t.yaml\nfeatures: !include parts/features.yaml\n"
    )
    (tmp_path / "parts" / "features.yaml").write_text("families: !include families.yaml\n")
    (tmp_path / "parts" / "families.yaml").write_text("[velocity, amounts]\n")
    written_out = {**RUN, "tiers": "t.yaml", "features": {"families": ["velocity", "amounts"]}}
    run = load_section(tmp_path / "run.yaml", RunConfig)
    assert run == RunConfig.model_validate(written_out)
    assert section_digest(run) == section_digest(RunConfig.model_validate(written_out))


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"run.yaml": "features: !include part.yaml\n"}, "part.yaml"),
        ({"run.yaml": "features: !include /etc/hostname\n"}, "relative"),
        ({"run.yaml": "features: !include run.yaml\n"}, "circle"),
        (
            {"run.yaml": "features: !include a.yaml\n", "a.yaml": "x: !include run.yaml\n"},
            "circle",
        ),
        (
            {"run.yaml": "features: !include a.yaml\n", "a.yaml": "x: 1\nx: 2\n"},
            "twice",
        ),
        ({"run.yaml": "features: !include a.yaml\n", "a.yaml": "[x\n"}, "YAML"),
    ],
    ids=["absent", "absolute", "itself", "circle", "key_twice", "no_yaml"],
)
def test_what_cannot_be_included_is_said(tmp_path, files, told):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_section(tmp_path / "run.yaml", RunConfig)
    assert told in str(caught.value)


def test_an_included_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "run.yaml").write_text("features: !include part.yaml\n")
    (tmp_path / "part.yaml").write_bytes("name: 低".encode("gb18030"))
    with pytest.raises(ConfigError, match="UTF-8"):
        load_section(tmp_path / "run.yaml", RunConfig)


def test_text_without_a_file_includes_nothing():
    with pytest.raises(ConfigError, match="relative"):
        parse_section("features: !include part.yaml\n", RunConfig, subject="it")


RUN_TEXT = "name: a\nunit: fraud\ntiers: t.yaml\nfeatures: {families: [velocity]}\n"
SOURCE_TEXT = """
name: bank
base_currency: CNY
files: {tx: {path: tx.csv, format: csv}}
tables: {transactions: {from: tx, columns: {amount: value}}}
"""


@pytest.mark.parametrize(
    ("text", "section", "is_one", "needed"),
    [
        (SOURCE_TEXT, RunConfig, "--source", "configuration"),
        (RUN_TEXT, SourceMapping, "--config", "source"),
    ],
)
def test_files_that_stand_in_each_others_place_are_one_fault(text, section, is_one, needed):
    with pytest.raises(ConfigError) as caught:
        parse_section(text, section, subject="mine.yaml")
    told = str(caught.value)
    assert told.startswith("mine.yaml: 1 fault\n")
    assert is_one in told
    assert needed in told


def test_a_source_mapping_with_a_stray_key_is_none_the_less_one():
    with pytest.raises(ConfigError, match=r"unit: .*: name"):
        parse_section(SOURCE_TEXT + "unit: fraud\n", SourceMapping, subject="mine.yaml")


def test_a_list_of_wrong_items_alone_is_not_too_short_besides():
    with pytest.raises(ConfigError) as told:
        check_section({"candidates": ["sigmoid", "logit"]}, CalibrationConfig, subject="it")
    assert [line.split(":")[0] for line in str(told.value).splitlines()] == [
        "it",
        "  - candidates.0",
        "  - candidates.1",
    ]
    with pytest.raises(ConfigError, match=r"candidates.*\b1\b"):
        check_section({"candidates": []}, CalibrationConfig, subject="it")


def test_a_fault_is_told_by_the_users_own_word_for_a_key():
    content = {"candidates": ["sigmoid"], "folds": 1}
    with pytest.raises(ConfigError) as told:
        check_section(content, CalibrationConfig, subject="it", names={"candidates": "maps"})
    assert "- maps.0: " in str(told.value)
    assert "- folds: " in str(told.value)


def test_known_keys_are_listed_once_for_each_place():
    text = RUN_TEXT + "one: 1\ntwo: 2\nmodel: {three: 3, round: 4}\n"
    with pytest.raises(ConfigError) as caught:
        parse_section(text, RunConfig, subject="mine.yaml")
    told = str(caught.value)
    assert "4 faults" in told
    assert told.count("known: ") == 2
    assert "model.round" in told


class EveryKind(Section):
    """A key of each kind that a configuration has."""

    items: tuple[str, ...]
    count: int
    share: float = Field(gt=0, le=1)
    method: Literal["none", "noise"]
    flag: bool
    day: date
    text: str
    keys: dict[str, int]
    some: tuple[int, ...] = Field(min_length=1)
    maybe: float | None = None


@pytest.mark.parametrize(
    ("key", "given", "told"),
    [
        ("items", "platt", "must be a list, such as [a, b], got text"),
        ("items", None, "must be a list, such as [a, b], got nothing"),
        ("count", 1.5, "must be a whole number, got a number"),
        ("count", "many", "must be a whole number, got text"),
        ("share", 2, "must be at most 1"),
        ("share", 0, "must be greater than 0"),
        ("share", float("inf"), "must be at most 1"),
        ("method", "nose", "must be 'none' or 'noise'"),
        ("flag", "maybe", "must be true or false, got text"),
        ("day", "31/12/2026", "must be a date such as 2026-11-30, got text that is not a date"),
        ("text", ["a"], "must be text, got a list"),
        ("text", {"a": 1}, "must be text, got keys and values"),
        ("keys", [1], "must be keys and values, got a list"),
        ("some", [], "must have at least 1 item(s), got 0"),
        ("maybe", "x", "must be a number, got text"),
    ],
)
def test_a_wrong_value_is_explained_in_words_of_our_own(key, given, told):
    right = {
        "items": [], "count": 1, "share": 0.5, "method": "none", "flag": True,
        "day": "2026-01-31", "text": "a", "keys": {}, "some": [1],
    }  # fmt: skip
    with pytest.raises(ConfigError) as refused:
        check_section({**right, key: given}, EveryKind, subject="s")
    assert str(refused.value).splitlines()[1:] == [f"  - {key}: {told}"]


FORMER = {
    "model": {"rounds": 7, "lambda_l2": 1.5, "num_threads": 1},
    "selection": {"rounds": 9},
    "tuning": {"search": {"bagging_fraction": {"low": 0.6, "high": 0.9}}},
}


def test_a_former_key_in_a_users_file_is_refused_and_the_present_one_named():
    told = refusal({**RUN, **FORMER}, RunConfig)
    for former, present in (
        ("model.rounds", "n_estimators"),
        ("model.lambda_l2", "reg_lambda"),
        ("model.num_threads", "n_jobs"),
        ("selection.rounds", "n_estimators"),
        ("tuning.search.bagging_fraction", "subsample"),
    ):
        assert re.search(rf"{re.escape(former)}: .*'{present}'", told)


def test_a_stored_file_may_have_former_keys(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump({**RUN, **FORMER}))
    run = load_section(path, RunConfig, stored=True)
    assert (run.model.n_estimators, run.model.reg_lambda, run.model.n_jobs) == (7, 1.5, 1)
    assert run.selection.n_estimators == 9
    assert run.tuning.search.subsample.low == 0.6
    text = dump_section(run, former=True)
    assert parse_section(text, RunConfig, subject="run", stored=True) == run
    assert "reg_lambda" not in text
    assert "lambda_l2" not in dump_section(run)


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * 100_000,
        "a: " + "{a: " * 100_000,
        "a: " + "[" * 101 + "]" * 101,
        "- " * 100_000,
        "".join(" " * n + "a:\n" for n in range(2_000)),
        LAUGHS,
        "a: &a [*a]",
        "a: 2024-13-45",
        "a: " + "9" * 5_000,
        "? [a]\n: 1",
        "{a: 1, a: 2}",
    ],
)
def test_yaml_that_would_end_the_process_or_fill_its_memory_is_refused(text, tmp_path):
    with pytest.raises(ConfigError, match="YAML"):
        parse_section(text, RunConfig, subject="the file")
    (tmp_path / "inner.yaml").write_text(text)
    (tmp_path / "run.yaml").write_text("features: !include inner.yaml\n")
    with pytest.raises(ConfigError, match="YAML"):
        load_section(tmp_path / "run.yaml", RunConfig)


def test_shared_parts_are_allowed_and_many_keys_are_read_at_once():
    from kyc_ml.config.text import read_content  # noqa: PLC0415

    shared = "a: &a {x: 1}\nb: *a\n"
    read = read_content(shared, subject="shared", path=None)
    assert read == {"a": {"x": 1}, "b": {"x": 1}}
    many = "".join(f"k{n}: {n}\n" for n in range(50_000))
    assert len(read_content(many, subject="many", path=None)) == 50_000
