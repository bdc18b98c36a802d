"""An identifier has one form, whatever file it stands in; what only looks like one is named."""

import itertools
import re
import unicodedata
from contextlib import closing
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kyc_ml.config import IdentifierForm, SourceMapping, dump_section, parse_section
from kyc_ml.contract import alike_sql, put_in_form
from kyc_ml.contract.identifiers import ALIKE, NOTHING
from kyc_ml.contract.memory import contract_tables
from kyc_ml.errors import ContractError
from kyc_ml.scoring.one_observation import in_form
from kyc_ml.storage import connect

ROW = {"event_time": "2024-01-05", "amount": "1"}
ODD = " \t\r\n\u00a0\u3000\u2003\u200b\u200e\ufeff\u00ad0Aaß１Ａ'\"=“”.5-"

forms = st.builds(
    IdentifierForm,
    trim=st.booleans(),
    quotes=st.sampled_from(["keep", "strip"]),
    width=st.sampled_from(["keep", "half"]),
    case=st.sampled_from(["keep", "lower", "upper"]),
    leading_zeros=st.sampled_from(["keep", "drop"]),
    floats=st.sampled_from(["refuse", "whole", "keep"]),
)


def expected(text):
    """Put text in the default form, written a second time."""
    seen = "".join(each for each in text if unicodedata.category(each) != "Cf")
    blank = {each for each in seen if each.isspace() or unicodedata.category(each) == "Zs"}
    return seen.strip("".join(blank)) or None


@settings(max_examples=2 * settings.default.max_examples)
@given(st.lists(st.text(ODD, max_size=8), max_size=20))
def test_by_default_what_nobody_sees_is_removed_and_nothing_else(texts):
    assert put_in_form(texts, IdentifierForm()) == [expected(text) for text in texts]


@settings(max_examples=2 * settings.default.max_examples)
@given(st.lists(st.text(ODD, max_size=8), max_size=20), forms)
def test_what_is_in_the_form_stays_as_it_is(texts, form):
    once = put_in_form(texts, form.model_copy(update={"quotes": "keep"}))
    kept = [each for each in once if each is not None]
    assert put_in_form(kept, form.model_copy(update={"quotes": "keep"})) == kept


@pytest.mark.parametrize(
    ("text", "form", "expected"),
    [
        ("\t c1\u00a0", {}, "c1"),
        ("\u3000", {}, None),
        ("c 1", {}, "c 1"),
        (" c1 ", {"trim": False}, " c1 "),
        ('="00012"', {}, '="00012"'),
        ('="00012"', {"quotes": "strip"}, "00012"),
        ('="00012"@2025-12-31', {"quotes": "strip"}, "00012@2025-12-31"),
        ("'00012", {"quotes": "strip"}, "00012"),
        ("“ c1 ”", {"quotes": "strip"}, "c1"),
        ("o'neill", {"quotes": "strip"}, "o'neill"),
        ("１２Ａ", {}, "１２Ａ"),
        ("１２Ａ", {"width": "half"}, "12A"),
        ("Ab1", {"case": "upper"}, "AB1"),
        ("Ab1", {"case": "lower"}, "ab1"),
        ("0012", {"leading_zeros": "drop"}, "12"),
        ("000", {"leading_zeros": "drop"}, "0"),
        ("0 0", {"leading_zeros": "drop"}, "0 0"),
        ("007.0", {"leading_zeros": "drop", "floats": "whole"}, "7"),
        ("0.0", {"leading_zeros": "drop", "floats": "whole"}, "0"),
        ("12345.0", {"floats": "whole"}, "12345"),
        ("12345.50", {"floats": "whole"}, "12345.50"),
        ("1234567890123456.0", {"floats": "whole"}, "1234567890123456.0"),
        ("NULL", {}, "NULL"),
        ("NULL ", {"nulls": ["NULL"]}, None),
        ("null", {"nulls": ["NULL"]}, "null"),
        ("\\N", {"nulls": ["NULL", "\\N"]}, None),
    ],
)
def test_each_key_of_the_form(text, form, expected):
    assert put_in_form([text], IdentifierForm.model_validate(form)) == [expected]


def contract(rows, table="transactions", **settings):
    if not isinstance(rows, pa.Table):
        rows = pa.Table.from_pylist(rows)
    options = {"base_currency": "CNY", "max_quarantined_share": 1.0, **settings}
    return contract_tables({table: rows}, **options)


def warned(read):
    return {(f.table, f.column, f.rule): f.count for f in read.accepted.quality.warnings}


def test_padded_identifiers_are_one_customer_and_are_counted():
    names = ["c1", "c1 ", "\tc1", "c1\u00a0", "c\u200b1", "\u3000c1"]
    read = contract(
        [{**ROW, "transaction_id": f"t{n}", "customer_id": name} for n, name in enumerate(names)]
    )
    assert set(read.accepted["transactions"]["customer_id"].to_pylist()) == {"c1"}
    found = warned(read)
    assert found == {
        ("transactions", "customer_id", "read without white space or invisible characters"): 5
    }


def test_a_key_of_padded_identifiers_finds_its_duplicates():
    rows = [{**ROW, "transaction_id": name, "customer_id": "c"} for name in ("t", " t")]
    assert contract(rows).quarantine["reasons"].to_pylist() == [["duplicate key"]]


def test_the_declared_form_holds_for_every_table_and_every_type():
    form = IdentifierForm(case="upper", leading_zeros="drop", nulls=("-1",))
    ids = {"transaction_id": ["001", "2", "3"], "counterparty_id": [7, -1, 8]}
    frame = pd.DataFrame({**ids, "customer_id": ["00a", "A", "a "], **ROW})
    cases = pd.DataFrame({"case_id": ["k"], "customer_id": ["0A"], "event_time": "2024-01-05",
                          "outcome": "default", "transaction_id": ["0001"]})  # fmt: skip
    read = contract_tables(
        {"transactions": frame, "cases": cases}, base_currency="CNY", identifiers=form
    ).accepted
    assert read["transactions"]["customer_id"].to_pylist() == ["A"] * 3
    assert read["transactions"]["counterparty_id"].to_pylist() == ["7", None, "8"]
    assert read["cases"].select(["customer_id", "transaction_id"]).to_pylist() == [
        {"customer_id": "A", "transaction_id": "1"}
    ]


@pytest.mark.parametrize("word", ["NULL", "\\N", "nan", "None", "N/A", "-", "无", "(null)"])
def test_a_word_for_no_value_is_counted_and_read_as_missing_where_it_is_declared(word):
    rows = [
        {**ROW, "transaction_id": f"t{n}", "customer_id": "c", "counterparty_id": name}
        for n, name in enumerate([word, word, "m1", "m2"])
    ]
    rule = ("transactions", "counterparty_id", "a word for no value (NULL, nan, -, 无, ...)")
    assert warned(contract(rows)) == {rule: 2}
    read = contract(rows, identifiers=IdentifierForm(nulls=(word,)))
    assert warned(read) == {}
    assert read.accepted["transactions"]["counterparty_id"].null_count == 2
    required = contract([{**rows[0], "customer_id": word}, {**rows[1], "customer_id": "c"}],
                        identifiers=IdentifierForm(nulls=(word,)))  # fmt: skip
    assert required.quarantine["reasons"].to_pylist() == [["customer_id: empty"]]


def test_words_for_no_value_are_in_lower_case():
    assert all(word == word.lower() for word in NOTHING)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1.10101E+17", "a number in scientific notation"),
        ("1.10101e+17", "a number in scientific notation"),
        ("1,10101E+17", "a number in scientific notation"),  # a German spreadsheet
        ("1.10101E17", "a number in scientific notation"),  # Java
        ("6E+17", "a number in scientific notation"),
        ("12345.0", "a number written as a float"),
        ("110101199001011230.00", "a number written as a float"),
        ("12e45", None),  # hexadecimal
        ("1E5", None),
        ("5.11", None),
        ("10.0.0.1", None),
    ],
)
def test_text_that_was_a_float_is_refused_as_a_float_is(text, reason):
    rows = [
        {**ROW, "transaction_id": f"t{n}", "customer_id": "c", "counterparty_id": name}
        for n, name in enumerate(["m", text])
    ]
    found = contract(rows).quarantine["reasons"].to_pylist()
    assert found == ([[f"counterparty_id: {reason}"]] if reason else [])
    kept = contract(rows, identifiers=IdentifierForm(floats="keep"))
    assert kept.accepted["transactions"]["counterparty_id"].to_pylist() == ["m", text]


def test_a_whole_decimal_is_the_number_and_a_float_of_few_digits_may_be():
    """Oracle's NUMBER comes as decimal(38, 10) through Spark."""
    decimals = pa.array([1, 2], pa.decimal128(38, 10))
    table = pa.table({**{k: [v] * 2 for k, v in ROW.items()}, "transaction_id": ["a", "b"],
                      "customer_id": decimals, "counterparty_id": ["12.0", "13"]})  # fmt: skip
    read = contract(table, identifiers=IdentifierForm(floats="whole")).accepted["transactions"]
    assert read["customer_id"].to_pylist() == ["1", "2"]
    assert read["counterparty_id"].to_pylist() == ["12", "13"]


def test_scientific_identifiers_are_refused_with_column_and_reason():
    rows = [{**ROW, "transaction_id": f"t{n}", "customer_id": "1.1E+17"} for n in range(3)]
    with pytest.raises(ContractError, match=r"customer_id.*scientific"):
        contract(rows, max_quarantined_share=0.9)


ALIKES = {
    "case": ("c0000043", "C0000043"),
    "leading_zeros": ("00001", "1"),
    "quotes": ('="12345"', "12345"),
    "width": ("１２３４５６", "123456"),
}


@pytest.mark.parametrize("key", ALIKES)
def test_identifiers_that_differ_in_form_only_are_counted_with_the_key_to_write(key):
    odd, plain = ALIKES[key]
    customers = [{"customer_id": plain, "event_time": "2024-01-01"}]
    rows = [
        {**ROW, "transaction_id": f"t{n}", "customer_id": name}
        for n, name in enumerate([odd, odd, plain])
    ]
    tables = {"customers": customers, "transactions": rows}
    read = contract_tables(
        {name: pa.Table.from_pylist(table) for name, table in tables.items()}, base_currency="CNY"
    )
    (found,) = [f for f in read.accepted.quality.warnings if "form" in f.rule]
    assert (found.table, found.column, found.count) == ("transactions", "customer_id", 2)
    declared = re.search(r"identifiers: \{(.*)\}", found.cure).group(1)
    assert declared == f"{key}: {getattr(ALIKE, key)}"
    assert odd not in str(found)
    form = IdentifierForm.model_validate({key: getattr(ALIKE, key)})
    read = contract_tables(
        {name: pa.Table.from_pylist(table) for name, table in tables.items()},
        base_currency="CNY",
        identifiers=form,
    )
    assert read.accepted.quality.warnings == ()


@pytest.mark.parametrize(
    ("column", "other", "names", "count"),
    [
        ("counterparty_id", None, ("M00001", "m00001"), 1),
        ("device_id", None, ("d1", "D1"), 1),
        ("account_id", None, ("0012", "12"), 1),
        ("counterparty_id", "customer_id", ("C000042", "c000042"), 1),
        ("counterparty_id", "account_id", ("0062284800001", "62284800001"), 1),
        ("counterparty_id", "customer_id", ("0012", "12"), 0),  # short numbers of two kinds
        ("device_id", "customer_id", ("C000042", "c000042"), 0),  # no device is a customer
        ("account_id", "customer_id", ("C000042", "c000042"), 0),
    ],
)
def test_what_may_be_one_and_the_same_is_compared(column, other, names, count):
    empty = dict.fromkeys(["counterparty_id", "account_id", "device_id"])
    rows = [{**ROW, **empty, "transaction_id": f"t{n}", "customer_id": f"x{n}"} for n in range(2)]
    rows[0][column] = names[0]
    rows[1][column if other is None else other] = names[1]
    found = warned(contract(rows))
    assert sum(found.values()) == count


@given(st.permutations(["C1", "c1", "0C1", "C1 ", "d"]))
def test_look_alikes_do_not_depend_on_the_order_of_rows(names):
    rows = [{**ROW, "transaction_id": name, "customer_id": name} for name in names]
    found = warned(contract(rows))
    assert found["transactions", "customer_id", "like another identifier but for its form"] == 2


@pytest.mark.parametrize(
    ("n", "rest", "named"),
    [(30, 70, True), (10, 90, True), (9, 91, False), (30, 60, False), (1000, 0, True)],
)
def test_a_key_with_most_of_the_rows_is_named_by_share_and_never_by_value(n, rest, named):
    names = ["Nobody"] * n + [f"m{place}" for place in range(rest)]
    rows = [
        {**ROW, "transaction_id": f"t{place}", "customer_id": f"c{place % 50}",
         "counterparty_id": name}
        for place, name in enumerate(names)
    ]  # fmt: skip
    found = [f for f in contract(rows).accepted.quality.warnings if f.column == "counterparty_id"]
    assert [each.count for each in found] == ([n] if named else [])
    for each in found:
        assert f" {n / len(names):.0%} " in each.rule
        assert "SELECT" in each.cure
        assert "GROUP BY 1" in each.cure
        assert "Nobody" not in str(each)


@given(st.lists(st.text(ODD + "B9_:/#@-", max_size=6), max_size=20))
def test_the_short_way_to_the_look_alike_form_gives_the_same(texts):
    with closing(connect(data=None, files=[])) as connection:
        short = connection.execute(
            f"SELECT {alike_sql('id')} FROM (SELECT unnest(?::VARCHAR[]) AS id)", [texts]
        ).fetchall()
    assert [row[0] for row in short] == put_in_form(texts, ALIKE)


def test_the_keys_of_the_look_alike_form_are_those_that_are_told():
    from kyc_ml.contract.identifiers import single_forms  # noqa: PLC0415

    told = dict(itertools.chain(*(form.model_dump().items() for _, form in single_forms())))
    assert set(told) == set(ALIKE.model_dump())


def test_a_mapping_that_says_nothing_of_it_keeps_its_digest():
    """A digest of a mapping is part of runs and records of before these keys."""
    content = {
        "name": "n", "base_currency": "CNY",
        "files": {"t": {"path": "t.csv", "format": "csv"}},
        "tables": {"transactions": {"from": "t", "columns": {"amount": "a"}}},
    }  # fmt: skip
    plain = SourceMapping.model_validate(content)
    assert set(plain.model_dump(mode="json")) == {
        "name", "description", "timezone", "base_currency", "max_quarantined_share", "files",
        "tables",
    }  # fmt: skip
    said = {"identifiers": {"case": "upper"}, "max_orphan_share": 0.1, "latest": "2026-01-01"}
    changed = SourceMapping.model_validate({**content, **said})
    assert parse_section(dump_section(changed), SourceMapping, subject="mapping") == changed


def test_the_documented_form_is_one():
    page = Path(__file__).parents[2] / "configs" / "sources" / "MAPPING.md"
    (example,) = re.findall(r"```yaml\n(identifiers:\n.*?)```", page.read_text("utf-8"), re.DOTALL)
    form = parse_section(example.replace("identifiers:\n", ""), IdentifierForm, subject="page")
    assert form == ALIKE.model_copy(update={"nulls": ("NULL", "\\N")})


@pytest.mark.parametrize(
    ("typed", "named"),
    [
        (" c1 @2024-01-01 ", "C1@2024-01-01"),
        ("0012", "12"),
        ("a@b@2024-01-01", "A@B@2024-01-01"),
        ("@2024-01-01", "@2024-01-01"),
        ("", ""),
    ],
)
def test_what_a_person_types_is_read_in_the_form_of_the_source(typed, named):
    assert in_form(typed, IdentifierForm(case="upper", leading_zeros="drop")) == named
