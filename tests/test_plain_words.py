"""Plain words: what people read has no phrase at which an ordinary reader would stop.

``python tests/test_plain_words.py [FOLDER OR FILE ...]`` lists each place by file.
"""

from __future__ import annotations

import ast
import io
import json
import re
import sys
import tokenize
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST = 27
"""Places at the last count; this number may only fall."""

AVOIDED = {
    r"told|tells?(?! apart)|telling(?! apart)": "report, say, describe",
    r"(held|holds?|holding) (\w+ )?against": "compare with",
    r"judge[ds]?|judging": "evaluate",
    r"mend(s|ed|ing)?": "fix, correct",
    r"(?-i:(is|are|was|were) none)": "no ..., not a ...",
    r"(?<!there )(is|are) no(?! (longer|more|less|fewer)) [a-z]+": "is not a ...",
    r"(is|are) (not )?there(?! (a|an|any|no|is|are|are|were|in)\b)": "exists, is available",
    r"(goes|go|gone|going|went) on(?! (the|leave))": "continue, resume",
    r"so (many|few)(?! that)": "name the number",
    r"at once": "together, or immediately",
    r"of (its|their|his|her) own": "own, separate",
    r"for want of": "because ... is missing",
    r"nobody|somebody|anybody": "no one, a person, any customer",
    r"stands? (beside|by|in it|there|alone|against)": "is beside, is",
    r"(holds?|held|holding) (\w+ )?up": "apply hysteresis, delay",
    r"anew|lest|whence|thereof|whereof": "again",
    r"else (the|it|there|a|an|one|they|its|this|these|no|every)": "otherwise",
    r"(at|by) (its|their) word": "well calibrated",
    r"in sum": "in total, sum",
    r"come(s)? to light|came to light": "become known",
    r"hangs? (on|together)": "depend",
    r"wears? out|worn out": "decline",
    r"(has|have|had) it that|as one pleases|all the same": "say it directly",
    r"beyond chance": "significant",
    r"speaks? (for|of|against)": "show, support",
    r"out of hand|by and by|ever so": "say it directly",
}
"""Phrases, each with what to write instead."""

FIRST_VERBS = ("Give", "Say", "Tell", "Hold", "Ask", "Let", "Mend", "Judge", "Mind", "Part", "Deal")
"""Docstrings start with Return, Compute, Write, Read, List, Check or Raise, not with these."""

PATTERN = re.compile(rf"\b({'|'.join(AVOIDED)})\b", re.IGNORECASE)
FIRST = re.compile(rf"({'|'.join(FIRST_VERBS)})s?\b")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"``[^`]*``|`[^`\n]*`")
TEMPLATE_CODE = re.compile(r"\{%.*?%\}|\{\{.*?\}\}|<[^>]*>", re.DOTALL)


def blank(pattern, text):
    """Replace what a pattern finds by nothing but its line breaks."""
    return pattern.sub(lambda found: "\n" * found.group().count("\n"), text)


def texts_of_python(source):
    """List line and text of each docstring, message and comment."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.lineno, node.value
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def first_verbs(source):
    """List line and docstring of each function and class."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            docstring = ast.get_docstring(node)
            if docstring:
                yield node.body[0].lineno, docstring


def texts_of(path):
    """List line and text of all that a file says to people."""
    source = path.read_text(encoding="utf-8")
    match path.suffix:
        case ".py":
            yield from texts_of_python(source)
        case ".ipynb":
            for place, cell in enumerate(json.loads(source)["cells"], start=1):
                text = "".join(cell["source"])
                said = [text] if cell["cell_type"] == "markdown" else re.findall(r"#.*", text)
                yield place, " ".join(" ".join(said).split())  # the number is that of the cell
        case ".md":
            yield 1, blank(FENCE, source)
        case ".j2":
            yield 1, blank(TEMPLATE_CODE, source)
        case _:
            yield 1, source


def places(path):
    """List line and phrase of each place in a file."""
    found = []
    for line, text in texts_of(path):
        plain = blank(CODE, text)
        joined = re.sub(r"\n *(# )?", lambda each: "\n" + " " * (len(each.group()) - 1), plain)
        found += [
            (line + joined[: each.start()].count("\n"), each.group())
            for each in PATTERN.finditer(re.sub(r"\s", " ", joined))
        ]
    if path.suffix == ".py":
        found += [
            (line, f"docstring: {begun.group()}")
            for line, docstring in first_verbs(path.read_text(encoding="utf-8"))
            if (begun := FIRST.match(docstring))
        ]
    return sorted(found)


def files():
    """List the files that people read: the package, pipelines, configurations, documents."""
    patterns = {
        "kyc_ml": ("*.py", "*.pyi", "*.yaml", "*.j2", "*.md"),
        "pipelines": ("*.py", "*.md"),
        "notebooks": ("*.py", "*.md", "*.ipynb"),
        "configs": ("*.yaml", "*.md"),
        "models": ("*.md",),
        "tests": ("*.md",),
    }
    found = {*ROOT.glob("*.md")}
    for folder, kinds in patterns.items():
        found |= {path for kind in kinds for path in (ROOT / folder).rglob(kind)}
    # what the log says of earlier versions stays; the glossary lists the phrases to avoid
    found -= {ROOT / "CHANGELOG.md", ROOT / "kyc_ml" / "display" / "glossary.yaml"}
    return sorted(path for path in found if ".zh-CN" not in path.name)


def test_there_are_fewer_phrases_than_before():
    by_file = Counter({path: len(places(path)) for path in files()})
    listed = "\n".join(
        f"{number:5} {path.relative_to(ROOT)}" for path, number in by_file.most_common() if number
    )
    assert by_file.total() <= MOST, f"python {Path(__file__).name} lists lines:\n{listed}"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("x = 1  # an honest row is none", ["is none"]),
        ("x = 'a card held\\nagainst others'", ["held against"]),
        ('"""Say it at\nonce."""', ["at once"]),
        ('def f():\n    """Give a number."""', ["docstring: Give"]),
        ('def f():\n    """Given a number, return it."""', []),
        ("x = 'there is no such file; it is no longer read'", []),
        ("judged = told = 1", []),
        ("'>>> found is None'", []),
        ("x = '`judged` is a key'", []),
        ("x = 'colours tell apart, and go on leave'", []),
    ],
)
def test_phrases_are_found(tmp_path, text, found):
    path = tmp_path / "module.py"
    path.write_text(text)
    assert [phrase for _, phrase in places(path)] == found


if __name__ == "__main__":
    wanted = [Path(each).resolve() for each in sys.argv[1:]]
    total = 0
    for file in files():
        if not wanted or any(file.is_relative_to(each) for each in wanted):
            for number, phrase in places(file):
                total += 1
                sys.stdout.write(f"{file.relative_to(ROOT)}:{number}: {phrase}\n")
    sys.stdout.write(f"{total} places\n")
