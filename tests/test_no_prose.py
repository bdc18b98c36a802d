"""Tests match names, numbers and codes; a message can be reworded without touching them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
MOST = 20
"""So many places may match prose, each with its reason below."""

ALLOWED = {
    ("contract/test_links.py", "in no"): "the rule is the key of a finding in quality.json",
    ("contract/test_links.py", "not in"): "the rule is the key of a finding in quality.json",
    ("contract/test_profile_dates.py", "before birth"): "the rule is the key of a finding",
    ("contract/test_source_mappings.py", "compromised terminal"): "a value of the data set",
    ("contract/test_spoilt_files_laws.py", "cannot be cut into lines"): "DuckDB's own limit",
    ("features/test_tables.py", "amount of transactions"): "a phrase that the test's table holds",
    ("features/test_tables.py", "channel is atm"): "a phrase that the test's table holds",
    ("features/test_tables.py", "ex in the last hour, m"): "a name that the test's table makes",
    ("features/test_tables.py", "y in the last 7 days, same"): "a name that the test's table makes",
    ("validation/test_comparison.py", "not shown better"): "a verdict is a stored value",
    ("test_documents.py", "## Map of packages"): "a heading of CONTRIBUTING.md",
    ("test_documents.py", "know your customer"): "a term that a banker searches for",
    ("decision/test_explain.py", "not known (usual: 2 days)"): "the sentence of a missing value",
    ("decision/test_explain.py", "2 days (usual: not known)"): "the sentence of a missing value",
    ("decision/test_explain.py", "not known (usual: not known)"): "the sentence of a missing value",
    ("training/test_tuning.py", "not shown better"): "a verdict is a stored value",
    ("scoring/test_workbench.py", "not shown better"): "a verdict is a stored value",
}
PROSE = re.compile(r"(?<![\w./\\'\"=`@-])[a-z]{2,} [a-z]{2,}(?![\w./=`@\\-]*[\w=`@-])")
"""Prose is two ordinary lower-case words in a row.

A word that touches a digit, a quote, or one of ``_ . / = @ -`` belongs to a name, a path, an
option or a value.
"""
METHODS = {"startswith", "endswith", "count", "index", "find", "partition", "removeprefix"}
PATTERNS = {"search", "match", "fullmatch", "findall"}


def prose_of(node):
    """List the texts below a node that hold prose."""
    texts = (each.value for each in ast.walk(node) if isinstance(each, ast.Constant))
    return [text for text in texts if isinstance(text, str) and PROSE.search(text)]


def compared(tree):
    """List the nodes that a text is compared with, and the names among them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from (each.value for each in node.keywords if each.arg == "match")
            called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            if called in METHODS | PATTERNS:
                yield from node.args[:1]
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            for operator, left, right in zip(node.ops, sides, sides[1:], strict=False):
                if isinstance(operator, ast.Eq | ast.NotEq):
                    yield from (each for each in (left, right) if is_text(each))
                elif isinstance(operator, ast.In | ast.NotIn) and not is_collection(right):
                    yield left


def is_text(node):
    return isinstance(node, ast.Constant | ast.JoinedStr)


def is_collection(node):
    return isinstance(node, ast.Tuple | ast.List | ast.Set | ast.Dict | ast.Constant)


def given(function, names):
    """List what parametrisation and loops over literals put into these names."""
    for node in ast.walk(function):
        if isinstance(node, ast.For | ast.comprehension) and is_collection(node.iter):
            targets = {each.id for each in ast.walk(node.target) if isinstance(each, ast.Name)}
            yield from [node.iter] if names & targets else []
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("parametrize"):
            arguments = ast.literal_eval(node.args[0])
            if isinstance(arguments, str):
                arguments = [each.strip() for each in arguments.split(",")]
            wanted = [place for place, each in enumerate(arguments) if each in names]
            for row in getattr(node.args[1], "elts", ()):
                cells = row.args if isinstance(row, ast.Call) else [row]
                if len(arguments) > 1 and isinstance(row, ast.Tuple | ast.List):
                    cells = row.elts
                if wanted and isinstance(row, ast.Starred):
                    yield row
                yield from (cells[place] for place in wanted if place < len(cells))


def places(source):
    """List the prose that a file's functions compare with a text, each once."""
    found = set()
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.FunctionDef):
            nodes = list(compared(function))
            below = (each for node in nodes for each in ast.walk(node))
            names = {each.id for each in below if isinstance(each, ast.Name)}
            for node in (*nodes, *given(function, names)):
                found |= {(each.lineno, text) for each in [node] for text in prose_of(each)}
    return sorted(found)


@pytest.mark.parametrize(
    ("line", "is_prose"),
    [
        ("with raises(ValueError, match='must be above'): pass", True),
        ("with raises(ValueError, match='max_bin .* 3'): pass", False),
        ("assert 'cannot be read' in told.err + told.out", True),
        ("assert f'{path} cannot be read' in str(told.value)", True),
        ("assert f'--data {path} ' in str(told.value)", False),
        ("assert 'from tx.csv' in told", False),
        ("assert 'cannot be' in {'cannot be': 1}", False),
        ("assert told == 'no such file'", True),
        ("assert re.search('no such', told)", True),
        ("for each in ('no such', 'x'): assert each in told", True),
        ("assert all(each in told for each in ('no such', 'x'))", True),
        ("print('no such file')", False),
    ],
)
def test_prose_is_found(line, is_prose):
    assert bool(places(f"def test_it():\n    {line}")) == is_prose


def test_prose_is_found_in_parameters():
    source = "@pytest.mark.parametrize(('n', 'said'), [(1, 'no such file'), (2, 'x.csv')])\n"
    body = "def test_it(n, said):\n    assert said in told({})"
    assert [text for _, text in places(source + body)] == ["no such file"]


def test_messages_are_matched_by_names_and_values():
    found = [
        (path.relative_to(TESTS).as_posix(), text, line)
        for path in sorted(TESTS.rglob("test_*.py"))
        if path.name != Path(__file__).name
        for line, text in places(path.read_text())
    ]
    assert [each for each in found if each[:2] not in ALLOWED] == []
    assert set(ALLOWED) == {each[:2] for each in found}  # no exception outlives its place
    assert len(found) <= MOST
