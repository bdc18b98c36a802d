"""The words and sentences of init are data: code and data name the same things."""

import ast
from pathlib import Path
from string import Formatter

import pytest

import kyc_ml.onboarding.proposal
from kyc_ml.contract import CONTRACT
from kyc_ml.onboarding.proposal.vocabulary import ALSO, CODES, FILE_WORDS, HOLDS, ROLES, content

TREES = [
    ast.parse(path.read_text("utf-8"))
    for path in Path(kyc_ml.onboarding.proposal.__file__).parent.glob("*.py")
]
CALLS = [
    (node, {each.value for each in ast.walk(node.args[0]) if isinstance(each, ast.Constant)})
    for tree in TREES
    for node in ast.walk(tree)
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"note", "_piece"}
]
KINDS = {
    *("identifier", "time", "number", "country", "clock", "currency", "direction", "label"),
    *("customer_type", "flag", "code", "flag_or_code", "category"),
}


def fields(text):
    """Return the names that a template asks for."""
    names = [name for _, name, _, _ in Formatter().parse(text) if name is not None]
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("file", ["sentences", "runs"])
def test_every_sentence_is_used(file):
    constants = {
        each.value for tree in TREES for each in ast.walk(tree) if isinstance(each, ast.Constant)
    }
    assert set(content(file)) - constants == set()


def test_every_call_gives_what_its_sentence_asks_for():
    texts = {**content("sentences"), **content("runs")}
    wrong = {}
    for node, keys in CALLS:
        given = {keyword.arg for keyword in node.keywords}
        for key in keys:
            if key not in texts:
                wrong[key] = "is not a sentence"
            elif None not in given and not fields(texts[key]) <= given:
                wrong[key] = fields(texts[key]) - given
    assert len(CALLS) > 50
    assert wrong == {}


def test_every_contracted_column_has_a_role():
    columns = {name for table in CONTRACT.values() for name in table.names}
    assert columns - set(ROLES) == set()


def test_roles_name_known_kinds_tables_and_roles():
    assert set(HOLDS.values()) <= KINDS
    roles = content("roles")["roles"]
    assert {table for each in roles.values() for table in each.get("helps", ())} <= set(CONTRACT)
    assert set(ALSO) | set(FILE_WORDS) <= set(CONTRACT)
    named = {role for also in ALSO.values() for role, others in also.items() for role in others}
    assert named <= set(ROLES)


@pytest.mark.parametrize(("column", "table"), [("outcome", "cases"), ("direction", "transactions")])
def test_codes_become_words_that_the_contract_allows(column, table):
    assert set(CODES[column]) == set(CONTRACT[table].column(column).allowed)
