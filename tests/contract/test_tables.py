"""The contract and its rules, which are read from YAML, and the words that the code has."""

from pathlib import Path
from typing import get_args

from kyc_ml.config import read_content
from kyc_ml.contract import CONTRACT, tables
from kyc_ml.contract.quality import word_rule


def test_words_of_the_code_are_those_of_the_contract():
    known = set(CONTRACT) | {name for table in CONTRACT.values() for name in table.names}
    outcome = CONTRACT["cases"].column("outcome").allowed
    assert outcome == (*tables.ADVERSE_OUTCOMES, tables.CLEARED, tables.OPEN)
    words = {
        value
        for name, value in vars(tables).items()
        if name.isupper() and isinstance(value, str) and not name.startswith("_")
    }
    assert words - known == {tables.CLEARED, tables.OPEN, tables.NO_CURRENCY}


def test_keys_are_required_columns_and_every_table_has_its_times():
    for table in CONTRACT.values():
        assert all(table.column(name).required for name in (*table.key, "event_time", "known_at"))


def test_amounts_and_countries_have_their_bounds():
    transactions = CONTRACT["transactions"]
    assert (transactions.column("amount").minimum, transactions.column("amount").maximum) == (
        0,
        1e14,
    )
    assert (transactions.column("balance").minimum, transactions.column("balance").maximum) == (
        -1e14,
        1e14,
    )
    assert transactions.column("country").pattern == "[A-Z]{2}"


def test_every_rule_is_used_and_every_column_type_has_one():
    package = Path(tables.__file__).parent
    code = "".join(path.read_text(encoding="utf-8") for path in package.glob("*.py"))
    content = read_content((package / "rules.yaml").read_text(), subject="rules", path=None)
    assert {key for key in content if f'"{key}"' not in code} == set()
    assert set(get_args(tables.ColumnType)) <= set(content)
    assert all(set(texts) - {"doubt"} == {"rule", "cure"} for texts in content.values())


def test_words_of_a_rule_are_filled_in():
    assert word_rule("above", limit=1e14, unit="CNY") == ("above 1e+14", "check the unit: CNY")
    _, cure = word_rule("alike", keys="case: upper")
    assert "identifiers: {case: upper}" in cure
