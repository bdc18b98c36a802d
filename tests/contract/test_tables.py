"""The contract that is read from `tables.yaml`, and the words that the code has for it."""

from kyc_ml.contract import tables
from kyc_ml.contract.tables import CONTRACT


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
