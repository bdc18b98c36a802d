"""The documents agree with each other: links, both languages, the size of the first page."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("configs", "kyc_ml", "models", "notebooks", "pipelines", "tests")
PAGES = sorted(
    [*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md"))]
)
CHINESE = [page for page in PAGES if page.name.endswith(".zh-CN.md")]
TRANSLATED = {
    "README.md",
    "configs/sources/README.md",
    "configs/tiers/README.md",
    "kyc_ml/engines/README.md",
    "kyc_ml/features/README.md",
    "kyc_ml/history/README.md",
    "kyc_ml/serving/README.md",
    "notebooks/README.md",
    "pipelines/README.md",
    "pipelines/SCORES.md",
    "pipelines/VALIDATION.md",
    "tests/benchmarks/README.md",
}
"""Pages that each user reads, in both languages."""

EXAMPLES = {"configs/sources/mine.yaml"}
"""Files that a user creates."""

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[(?:[^\[\]]|!\[[^\]]*\]\([^)]*\))*\]\(([^)\s]+)\)")


def name_of(page):
    return page.relative_to(ROOT).as_posix()


def read(page):
    return page.read_text(encoding="utf-8")


def english_of(page):
    return page.with_name(page.name.replace(".zh-CN.md", ".md"))


def text_of(page):
    """Return a page without its fenced blocks."""
    return FENCE.sub("", read(page))


def commands_of(page):
    """Return the lines of a page's blocks that a reader would paste, without comments."""
    blocks = [block for kind, block in FENCE.findall(read(page)) if kind != "mermaid"]
    return [re.sub(r"\s+# .*", "", line) for block in blocks for line in block.splitlines()]


def headings_of(page):
    return re.findall(r"^(#+) ", text_of(page), flags=re.MULTILINE)


def tables_of(page):
    """Return the number of cells of each row of each table, code excluded."""
    rows = [re.sub(r"`[^`]*`", "", line) for line in text_of(page).splitlines()]
    return [row.count("|") for row in rows if row.startswith("|")]


def code_of(page):
    """Return the code inside sentences: names, options, messages of the program."""
    found = re.findall(r"`([^`]+)`", text_of(page))
    return {" ".join(each.split()).replace(".zh-CN", "") for each in found}


def links_of(page):
    """Return the targets of a page's links as those of the English page."""
    return {
        re.sub(r"#.*", "", target).replace(".zh-CN", "") for target in LINK.findall(text_of(page))
    } - {page.name.replace(".zh-CN", "")}


def anchors_of(page):
    """Return the anchors that GitHub gives to the headings of a page."""
    titles = re.findall(r"^#+ (.+)$", text_of(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_each_page_for_users_has_both_languages():
    assert {name_of(english_of(page)) for page in CHINESE} == TRANSLATED


@pytest.mark.parametrize("part", [commands_of, headings_of, tables_of, code_of, links_of])
@pytest.mark.parametrize("page", CHINESE, ids=name_of)
def test_both_languages_have_the_same(page, part):
    assert part(page) == part(english_of(page))


@pytest.mark.parametrize("page", CHINESE, ids=name_of)
def test_a_chinese_page_is_chinese(page):
    prose = re.sub(r"`[^`]*`|\([^)]*\)", "", text_of(page))
    assert len(re.findall(r"[\u4e00-\u9fff]", prose)) > len(re.findall(r"[A-Za-z]+", prose))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_each_link_leads_to_a_file_and_heading(page):
    for target in LINK.findall(text_of(page)):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors_of(linked), target


def test_the_first_page_is_short_and_says_what_this_is():
    english, chinese = (read(ROOT / name) for name in ("README.md", "README.zh-CN.md"))
    assert len(english.split()) <= 1_200
    # a Chinese word has about 1.6 characters
    assert len(re.findall(r"[\u4e00-\u9fff]", chinese)) <= 1_900
    assert all(word in english for word in ("anti-money laundering", "know your customer"))
    assert all(word in chinese for word in ("反洗钱", "客户洗钱风险等级", "银发〔2013〕2号"))


def test_pictures_are_light():
    pictures = [*(ROOT / "notebooks" / "pictures").iterdir()]
    assert pictures
    assert all(picture.stat().st_size < 150_000 for picture in pictures)


def test_the_map_of_rooms_is_that_of_the_layers():
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = (each["layers"] for each in rules["contracts"] if each["id"] == "layers")
    page = read(ROOT / "CONTRIBUTING.md").partition("## Map of packages")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE) == layers[:-1]


NAMED = re.compile(
    r"`((?:kyc_ml|configs|tests|pipelines|notebooks)/[\w./-]+\.\w+|kyc_ml(?:\.\w+)+)`"
)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_each_file_and_name_of_the_code_exists(page):
    if page.name == "CHANGELOG.md":  # keeps the names of its time
        return
    for name in NAMED.findall(text_of(page)):
        if "/" in name:
            exists = (ROOT / name).exists() or name in EXAMPLES
        else:
            module, _, last = name.rpartition(".")
            exists = hasattr(importlib.import_module(module), last) or importlib.util.find_spec(
                name
            )
        assert exists, name
