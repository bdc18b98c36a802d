"""Texts are data: one term for one thing in both languages, and every key is used."""

import ast
import json
import re
from pathlib import Path

import pytest
import yaml

import kyc_ml
from kyc_ml.display import GLOSSARY
from kyc_ml.validation.catalogue import PROCEDURES
from kyc_ml.validation.report import words
from kyc_ml.validation.report.words import COLUMNS, WORDS
from kyc_ml.validation.text import NOTICES, name_value

PACKAGE = Path(kyc_ml.__file__).parent
ROOT = Path(__file__).parents[1]
BANKS_OWN = {
    PACKAGE / "onboarding" / "proposal" / "roles.yaml"
}  # words that banks' columns have: all are right
TEXTS = sorted(set(PACKAGE.rglob("*.yaml")) - BANKS_OWN)
GLOSSARY_FILE = PACKAGE / "display" / "glossary.yaml"
TERMS = yaml.safe_load(GLOSSARY_FILE.read_text())["terms"]
CHINESE = re.compile(r"[\u4e00-\u9fff]")


FOLDERS = (PACKAGE, *(ROOT / name for name in ("configs", "notebooks", "pipelines", "tests")))
LATER = {"REFERENCE.md", "SCORES.md"}
"""To be emptied: docstrings of configuration keys; meanings of columns in score files."""
PAGES = sorted(
    page
    for page in (
        *ROOT.glob("*.md"),
        *(ROOT / "configs").rglob("*.yaml"),
        *(
            each
            for folder in FOLDERS
            for kind in ("md", "ipynb", "j2")
            for each in folder.rglob(f"*.{kind}")
        ),
    )
    if page.name != "CHANGELOG.md" and page.name not in LATER
)
"""Documents, notebooks, templates and configurations; the changelog keeps what it said."""
CODE = re.compile(r"^```.*?^```$|`[^`\n]*`|\{%.*?%\}|\{\{.*?\}\}", re.MULTILINE | re.DOTALL)


def strings(content):
    """List all texts of a file, not its keys."""
    if isinstance(content, dict):
        return [each for value in content.values() for each in strings(value)]
    return [content] if isinstance(content, str) else []


def texts_of(path):
    content = yaml.safe_load(path.read_text())
    if path == GLOSSARY_FILE:
        content = content["explained"]  # the terms list the very words that are forbidden
    return strings(content)


def page_of(path):
    """Return the text of a page without its code."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        text = "\n".join(
            "".join(each["source"]) for each in cells if each["cell_type"] == "markdown"
        )
    return CODE.sub("", text)


def avoided_in(texts):
    """List term, avoided word and text of each place that has another word for a term."""
    return [
        (term, avoided, text)
        for term, rule in TERMS.items()
        for avoided in rule["instead_of"]
        for text in texts
        if re.search(avoided if CHINESE.search(avoided) else rf"\b{avoided}\b", text)
    ]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_a_term_is_one_term_everywhere(path):
    assert avoided_in(texts_of(path)) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_term_is_one_term_on_all_pages(path):
    assert avoided_in(page_of(path).split("\n\n")) == []


@pytest.mark.parametrize(
    ("text", "found"), [("本行策略", ["策略"]), ("a rating card", ["rating card"]), ("政策", [])]
)
def test_other_words_for_a_term_are_found(text, found):
    assert [avoided for _, avoided, _ in avoided_in([text])] == found


def test_the_scan_reads_the_texts_of_the_checks():
    read = {text for path in TEXTS for text in texts_of(path)}
    for procedure in PROCEDURES.values():
        assert {procedure.check.purpose.en, procedure.check.purpose.zh} <= read


def test_the_glossary_is_in_the_order_of_the_alphabet():
    terms = [entry.term.lower() for entry in GLOSSARY]
    letters = [term for term in terms if term[0].isalpha()]
    assert letters == sorted(letters)


def keys_of(*functions):
    """Find the literal first arguments of calls of these functions in the package."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            name = getattr(getattr(node, "func", None), "id", "")
            if name in functions and node.args:
                (key, *_) = node.args
                choices = [key.body, key.orelse] if isinstance(key, ast.IfExp) else [key]
                found |= {each.value for each in choices if isinstance(each, ast.Constant)}
    return found


def test_every_notice_is_used_and_every_key_exists():
    used = keys_of("notice", "not_applicable")
    chosen_by_name = {
        name for name in NOTICES if name.startswith(("bound_", "origin_"))
    }  # from the kind of a gate and the name of a part
    assert used | chosen_by_name == set(NOTICES)


def test_every_notice_has_the_same_values_in_both_languages():
    names = re.compile(r"{(\w+)")
    for key, text in NOTICES.items():
        assert set(names.findall(text.en)) >= set(names.findall(text.zh)), key


def test_every_word_of_the_report_is_used():
    code = (PACKAGE / "display" / "templates" / "report.html.j2").read_text()
    code += "".join(path.read_text() for path in (PACKAGE / "validation" / "report").glob("*.py"))
    composed = (
        "warned_policy_",
        "standing_",
        "said_",
        "count_",
        "use_",
        "asked_",
        "depth_",
        "outcomes_",
        "decide_",
    )
    values = {
        *("pass", "pass_with_findings", "fail", "finding", "information", "not_judged"),
        *("not_applicable", "amber", "red", "fraud", "risk", "current", "reference", "train"),
        *("approve", "approve_with_conditions", "reject"),
    }
    unused = {
        key for key in WORDS
        if f'"{key}"' not in code and not key.startswith(composed) and key not in values
    }  # fmt: skip
    assert unused == set()


def test_values_are_named_in_phrases_and_names_of_the_bank_stay():
    assert name_value("medium_high").zh == "中高"
    assert name_value("high below medium_high").zh == "高 低于 中高"
    assert name_value("profile_age_years: 60 or more against below 25").zh == (
        "年龄：60 及以上 对比 低于 25"
    )
    assert name_value("profile_age_years: 25 to 40 against below 25").zh == (
        "年龄：25 至 40 对比 低于 25"
    )
    assert name_value("medium_low to high").en == "Medium-low to High"
    assert name_value("profile_segment = sme").en == "segment = SME"
    for own in ("golden", "a sentence, and to it a second part: low"):
        assert (name_value(own).en, name_value(own).zh) == (own, own)
    assert words.name_column("seen_2", "zh") == "seen 2"
    assert COLUMNS["before"].zh != COLUMNS["after"].zh
