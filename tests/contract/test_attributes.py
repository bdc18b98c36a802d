"""Columns of a user's own pass the same checks as contracted ones, and keep their meaning."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kyc_ml.config import (
    Attribute,
    RunConfig,
    SourceMapping,
    check_section,
    dump_section,
    load_section,
    parse_section,
)
from kyc_ml.contract.memory import contract_tables
from kyc_ml.contract.source import read_source, store_source
from kyc_ml.errors import ConfigError, SourceError

UTILISATION = Attribute(
    type="number", unit="share", description="utilisation", description_zh="使用率"
)
SNAPSHOT = {
    "name": "bank",
    "base_currency": "CNY",
    "timezone": "Asia/Shanghai",
    "snapshot": "2025-12-31",
    "files": {"rows": {"path": "rows.csv", "format": "csv"}},
    "tables": {
        "customers": {
            "from": "rows",
            "columns": {"customer_id": "id"},
            "attributes": {
                "utilisation": {
                    "sql": "used",
                    "type": "number",
                    "unit": "share",
                    "description": "utilisation",
                    "description_zh": "使用率",
                },
                "home": {"sql": "home", "type": "text", "description": "home"},
            },
        },
        "cases": {
            "from": "rows",
            "optional": True,
            "columns": {
                "customer_id": "id",
                "outcome": "CASE bad WHEN '1' THEN 'default' ELSE 'cleared' END",
            },
        },
    },
}
ROWS = "id,used,home,bad\nA,0.5,自有,0\nB,,租房,1\n"


def mapping_of(content):
    return check_section(content, SourceMapping, subject="mapping")


def changed(**attribute):
    content = {"type": "number", "description": "x", **attribute}
    return check_section(content, Attribute, subject="attribute")


def customers(**columns):
    frame = {"customer_id": ["a", "b"], "event_time": ["2024-01-01", "2024-01-02"], **columns}
    return pd.DataFrame(frame)


@pytest.mark.parametrize(
    ("kind", "given_", "held"),
    [
        ("number", ["1.5", ""], [1.5, None]),
        ("number", [-0.0, 7.0], [0.0, 7.0]),
        ("text", ["自有", "  "], ["自有", None]),
        ("text", [5411, 742], ["5411", "742"]),
        ("boolean", ["true", "0"], [True, False]),
        ("date", ["2024-02-29", None], [date(2024, 2, 29), None]),
    ],
)
def test_an_attribute_is_held_by_its_type_and_empty_stays_missing(kind, given_, held):
    own = {"customers": {"x": Attribute(type=kind, description="x", description_zh="某")}}
    read = contract_tables(
        {"customers": customers(x=given_)}, attributes=own, base_currency="CNY"
    ).accepted
    assert read["customers"]["attr_x"].to_pylist() == held
    assert [(each.table, each.name) for each in read.attributes] == [("customers", "x")]


@pytest.mark.parametrize(
    ("kind", "value", "rule"),
    [
        ("number", "much", "not a number"),
        ("number", "inf", "not finite"),
        ("number", "1e101", "above 1e\\+100"),
        ("date", "31.12.2024", "not a date"),
        ("boolean", "maybe", "not true or false"),
    ],
)
def test_a_value_that_is_not_of_its_type_is_quarantined_with_the_reason(kind, value, rule):
    own = {"customers": {"x": Attribute(type=kind, description="x")}}
    read = contract_tables(
        {"customers": customers(x=[None, value])},
        attributes=own,
        base_currency="CNY",
        max_quarantined_share=1.0,
    )
    assert read.accepted["customers"]["customer_id"].to_pylist() == ["a"]
    (row,) = read.quarantine.to_pylist()
    assert row["row_id"] == "b"
    assert len(row["reasons"]) == 1
    assert pd.Series(row["reasons"]).str.contains(f"attr_x: {rule}").all()
    assert value not in str(read.accepted.quality.lines())


@given(width=st.integers(1, 40), broken=st.sets(st.integers(0, 39)))
@example(width=260, broken={0, 259})  # more rules than SQL may nest expressions
def test_rows_reconcile_however_many_attributes_there_are(width, broken):
    wrong = {each for each in broken if each < width}
    columns = {f"x{n}": ["1", "many" if n in wrong else "2"] for n in range(width)}
    own = {name: Attribute(type="number", description=name) for name in columns}
    read = contract_tables(
        {"customers": pd.concat([customers(**columns)] * 2)},
        attributes={"customers": own},
        base_currency="CNY",
        max_quarantined_share=1.0,
    )
    quality = read.accepted.quality.table("customers")
    assert (quality.read, quality.accepted) == (4, 1 if wrong else 2)
    reasons = [row["reasons"] for row in read.quarantine.to_pylist()]
    expected = [f"attr_x{n}: not a number" for n in sorted(wrong)]
    assert sorted(reasons) == sorted([["duplicate key"], *([expected] * 2 if wrong else [[
        "duplicate key"]])])  # fmt: skip


def test_a_name_cannot_be_one_of_the_contract_and_a_stranger_is_told_where_to_go():
    own = {"customers": {"segment": UTILISATION}}
    with pytest.raises(SourceError, match="'segment'"):
        contract_tables({"customers": customers(segment=[1, 2])}, attributes=own, base_currency="X")
    with pytest.raises(SourceError, match=r"'used'.*`attributes`"):
        contract_tables({"customers": customers(used=[1, 2])}, base_currency="CNY")
    with pytest.raises(SourceError, match="'used'"):
        contract_tables(
            {"customers": customers()},
            attributes={"customers": {"used": UTILISATION}},
            base_currency="CNY",
        )
    with pytest.raises(SourceError, match=r"cases.*attributes"):
        contract_tables(
            {"customers": customers()}, attributes={"cases": {"x": UTILISATION}}, base_currency="X"
        )


@pytest.mark.parametrize(
    ("attribute", "said"),
    [
        ({"type": "text", "over_time": ["mean"]}, "'mean'"),
        ({"type": "text", "direction": 1}, "direction"),
        ({"type": "date", "unit": "days"}, "unit"),
        ({"windows": ["3 months"]}, "'3 months'"),
        ({"over_time": ["mean", "mean"]}, "over_time"),
        ({"unit": "parsec"}, "unit"),
        ({"description": "two\nlines"}, "description"),
        ({"description": ""}, "description"),
    ],
)
def test_a_declaration_that_means_nothing_is_refused(attribute, said):
    with pytest.raises(ConfigError, match=said):
        changed(**attribute)


@pytest.mark.parametrize(
    ("table", "name", "reading", "said"),
    [
        ("reviews", "x", "mean", "table"),
        ("transactions", "x", "trend", "table"),
        ("cases", "x", "latest", "cases.*attributes"),
        ("customers", "Übung", "latest", "letters"),
    ],
)
def test_a_mapping_refuses_what_its_table_cannot_give(table, name, reading, said):
    content = {
        **SNAPSHOT,
        "tables": {
            **SNAPSHOT["tables"],
            table: {
                "from": "rows",
                "columns": {"customer_id": "id"},
                "attributes": {
                    name: {"sql": "x", "type": "number", "description": "x", "over_time": [reading]}
                },
            },
        },
    }
    with pytest.raises(ConfigError, match=said):
        mapping_of(content)


def test_a_mapping_without_attributes_is_written_as_it_always_was():
    plain = {key: value for key, value in SNAPSHOT.items() if key != "snapshot"}
    plain["tables"] = {"customers": {"from": "rows", "columns": {"customer_id": "id"}}}
    text = dump_section(mapping_of(plain))
    assert not any(word in text for word in ("attributes", "snapshot", "optional"))
    run = {"name": "x", "unit": "risk", "features": {"families": ["profile"]}, "tiers": "t.yaml"}
    run["dataset"] = {"horizon_days": 1}
    assert "attributes" not in dump_section(check_section(run, RunConfig, subject="run"))


def test_a_mapping_with_attributes_reads_back_to_itself():
    mapping = mapping_of(SNAPSHOT)
    assert parse_section(dump_section(mapping), SourceMapping, subject="again") == mapping


# --- a snapshot -------------------------------------------------------------------------


@pytest.fixture
def snapshot(tmp_path):
    (tmp_path / "rows.csv").write_text(ROWS, encoding="utf-8")
    return tmp_path


def test_a_snapshot_is_true_that_day_and_decided_at_its_end_and_its_label_known_after(snapshot):
    read = read_source(mapping_of(SNAPSHOT), data=snapshot).accepted
    day = datetime(2025, 12, 30, 16, tzinfo=UTC)  # midnight in Shanghai
    end = datetime(2025, 12, 31, 16, tzinfo=UTC)
    assert set(read["customers"]["event_time"].to_pylist()) == {day}
    assert set(read["reviews"]["event_time"].to_pylist()) == {end}
    cases = read["cases"].to_pylist()
    assert {row["known_at"] > end for row in cases} == {True}
    assert {row["review_id"]: row["outcome"] for row in cases} == {
        "A@2025-12-31": "cleared",
        "B@2025-12-31": "default",
    }
    assert read["reviews"]["review_id"].to_pylist() == ["A@2025-12-31", "B@2025-12-31"]


def test_tables_in_memory_take_the_day_of_a_snapshot_too(snapshot):
    from_files = read_source(mapping_of(SNAPSHOT), data=snapshot).accepted
    rows = pd.read_csv(snapshot / "rows.csv")
    outcome = rows["bad"].map({0: "cleared", 1: "default"})
    declared = SNAPSHOT["tables"]["customers"]["attributes"]
    own = {
        name: Attribute(**{key: said for key, said in each.items() if key != "sql"})
        for name, each in declared.items()
    }
    here = contract_tables(
        {
            "customers": pd.DataFrame(
                {"customer_id": rows["id"], "utilisation": rows["used"], "home": rows["home"]}
            ),
            "cases": pd.DataFrame({"customer_id": rows["id"], "outcome": outcome}),
        },
        attributes={"customers": own},
        snapshot=date(2025, 12, 31),
        timezone="Asia/Shanghai",
        base_currency="CNY",
    ).accepted
    assert here.attributes == from_files.attributes
    assert here.tables == from_files.tables


def test_what_a_mapping_says_itself_is_left_as_it_is():
    content = {**SNAPSHOT, "tables": {**SNAPSHOT["tables"]}}
    cases = {**SNAPSHOT["tables"]["cases"]}
    cases["columns"] = {**cases["columns"], "known_at": "DATE '2026-06-30'", "case_id": "no"}
    content["tables"]["cases"] = cases
    content["tables"]["reviews"] = {"from": "rows", "columns": {"review_id": "id"}}
    made = mapping_of(content).completed
    assert made["cases"].columns["known_at"] == "DATE '2026-06-30'"
    assert made["cases"].columns["case_id"] == "no"
    assert made["reviews"].columns == {"review_id": "id"}
    assert mapping_of({**content, "snapshot": None}).completed == mapping_of(content).tables


@pytest.mark.parametrize("day", ["9999-12-31", "1815-06-18", "soon"])
def test_a_day_that_no_table_can_hold_is_refused(day):
    with pytest.raises(ConfigError, match="snapshot"):
        mapping_of({**SNAPSHOT, "snapshot": day})
    with pytest.raises(ConfigError, match="snapshot"):
        contract_tables({"customers": customers()}, snapshot=day, base_currency="CNY")


def test_a_snapshot_needs_customers():
    content = {**SNAPSHOT, "tables": {"cases": SNAPSHOT["tables"]["cases"]}}
    with pytest.raises(ConfigError, match=r"snapshot.*customers"):
        mapping_of(content)


def test_an_optional_table_is_left_out_with_a_warning_where_its_column_is_absent(snapshot):
    (snapshot / "rows.csv").write_text("id,used,home\nA,0.5,自有\n", encoding="utf-8")
    read = read_source(mapping_of(SNAPSHOT), data=snapshot).accepted
    assert "cases" not in read.tables
    (warning,) = [each for each in read.quality.warnings if each.table == "cases"]
    assert "'bad'" in warning.cure
    required = {**SNAPSHOT["tables"]["cases"], "optional": False}
    content = {**SNAPSHOT, "tables": {**SNAPSHOT["tables"], "cases": required}}
    with pytest.raises(SourceError, match="'bad'"):
        read_source(mapping_of(content), data=snapshot)


def test_tables_in_files_hold_the_same_attributes(snapshot, tmp_path):
    mapping = mapping_of(SNAPSHOT)
    here = read_source(mapping, data=snapshot).accepted
    stored = store_source(
        mapping, data=snapshot, folder=tmp_path, quarantine=tmp_path / "quarantine"
    )
    assert stored.attributes == here.attributes
    for name, path in stored.files.items():
        assert pq.read_table(path).equals(here[name])


def test_words_are_asked_for_where_chinese_reasons_would_be_half_english(snapshot):
    read = read_source(mapping_of(SNAPSHOT), data=snapshot).accepted
    asked = [each.column for each in read.quality.warnings if "Chinese" in each.rule]
    assert asked == ["attr_home"]


def test_a_text_with_a_value_for_nearly_every_row_is_no_category():
    many = pa.table(
        {
            "customer_id": [f"c{n}" for n in range(1_100)],
            "event_time": ["2024-01-01"] * 1_100,
            "phone": [f"13{n:09d}" for n in range(1_100)],
        }
    )
    own = {"customers": {"phone": Attribute(type="text", description="x", description_zh="某")}}
    read = contract_tables({"customers": many}, attributes=own, base_currency="CNY").accepted
    found = [each for each in read.quality.warnings if each.column == "attr_phone"]
    assert len(found) == 1
    assert "13000" not in str(found[0])


def test_a_shipped_mapping_still_has_no_attributes():
    for path in (Path(__file__).parents[2] / "configs" / "sources").glob("*.yaml"):
        assert load_section(path, SourceMapping).attributes == ()
