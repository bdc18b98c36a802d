"""Every notebook runs from top to bottom, and what is stored in it came of such a run."""

from __future__ import annotations

import ast
import io
import json
import re
from contextlib import redirect_stdout
from pathlib import Path

import matplotlib as mpl
import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CHINESE = [path for path in PATHS if path.name.endswith(".zh-CN.ipynb")]
ENGLISH = [path for path in PATHS if path not in CHINESE]

# the beginnings of absolute paths on machines where a notebook may be run
_MACHINE = re.compile(
    r"(?<![\w.~/-])/(?:home|Users|root|tmp|var|opt|work|private|mnt|usr)/\w|[A-Za-z]:\\\\\w"
)


def cells(path, kind):
    return [
        cell
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
        if cell["cell_type"] == kind
    ]


def outputs(path):
    return [output for cell in cells(path, "code") for output in cell["outputs"]]


def run(source, names, *, name):
    """Runs a cell as Jupyter does; what it prints, and what its last expression is."""
    tree = ast.parse(source, name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    with redirect_stdout(io.StringIO()) as printed:
        exec(compile(tree, name, "exec"), names)  # noqa: S102
        value = last and eval(compile(ast.Expression(last.value), name, "eval"), names)  # noqa: S307
    return printed.getvalue() + ("" if value is None else repr(value))


def kept_text(cell):
    """What a cell prints and shows, as it is stored."""
    texts = [each.get("text") or each["data"]["text/plain"] for each in cell["outputs"]]
    return "".join("".join(text) for text in texts)


def words(text):
    """A text without its digits and widths: another processor may round the last digit."""
    return re.sub(r"[-+]?\d[\d.,]*(e[-+]?\d+)?", "#", text).split()


def test_each_notebook_has_a_chinese_version():
    assert ENGLISH
    assert [path.name.replace(".zh-CN", "") for path in CHINESE] == [path.name for path in ENGLISH]


@pytest.mark.parametrize("path", CHINESE, ids=lambda path: path.name)
def test_a_chinese_version_has_the_same_code_and_outputs(path):
    english = path.with_name(path.name.replace(".zh-CN", ""))
    assert cells(path, "code") == cells(english, "code")


@pytest.mark.parametrize("path", CHINESE, ids=lambda path: path.name)
def test_a_chinese_version_has_each_text_in_chinese(path):
    english = path.with_name(path.name.replace(".zh-CN", ""))
    pairs = zip(cells(path, "markdown"), cells(english, "markdown"), strict=True)
    for ours, theirs in (("".join(one["source"]), "".join(two["source"])) for one, two in pairs):
        assert len(re.findall(r"[\u4e00-\u9fff]", ours)) >= 5
        assert shape(ours) == shape(theirs)


def shape(text):
    """Return the levels of a text's headings, and the code named in it."""
    code = {each.replace(".zh-CN", "") for each in re.findall(r"`([^`]+)`", text)}
    return re.findall(r"^#+ ", text, flags=re.MULTILINE), code


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_its_title_has_its_number(path):
    title = cells(path, "markdown")[0]["source"][0]
    assert title.startswith(f"# {int(path.name[:2])}. ")


@pytest.mark.slow
@pytest.mark.parametrize("path", ENGLISH, ids=lambda path: path.name)
def test_a_notebook_runs_from_top_to_bottom_and_shows_what_it_stores(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {"__name__": "__main__"}
    # 20 columns are what pandas shows in Jupyter
    wide = pd.option_context("display.max_columns", 20, "display.max_colwidth", 50)
    with mpl.rc_context({"backend": "agg"}), wide:
        for cell in cells(path, "code"):
            shown = run("".join(cell["source"]), names, name=path.name)
            assert words(shown) == words(kept_text(cell))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_its_cells_were_run_once_and_in_order(path):
    counts = [cell["execution_count"] for cell in cells(path, "code")]
    assert counts == list(range(1, len(counts) + 1))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_its_outputs_are_kept_without_error_or_warning(path):
    kept = outputs(path)
    assert kept
    assert not [each for each in kept if each["output_type"] == "error"]
    assert not ["".join(each["text"]) for each in kept if each.get("name") == "stderr"]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_no_path_of_a_machine_is_in_it(path):
    said = [
        "".join(text)
        for each in outputs(path)
        for kind, text in {**each.get("data", {}), "text": each.get("text", "")}.items()
        if not kind.startswith("image/")
    ]
    said += ["".join(cell["source"]) for kind in ("code", "markdown") for cell in cells(path, kind)]
    assert not [found[0] for text in said for found in _MACHINE.finditer(text)]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_it_is_read_with_words_between_the_cells(path):
    assert len(cells(path, "markdown")) >= len(cells(path, "code")) / 2


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("/home/ann/x.csv", True),
        ("C:\\\\data", True),
        ("configs/fraud.yaml", False),
        ("a/b", False),
    ],
)
def test_a_path_of_a_machine_is_recognised(text, found):
    assert bool(_MACHINE.search(text)) == found
