"""Every notebook runs from top to bottom, and what is stored in it came of such a run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import matplotlib as mpl
import pytest

ROOT = Path(__file__).parents[1]
PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))

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


def test_there_are_notebooks():
    assert PATHS


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_a_notebook_runs_from_top_to_bottom(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {"__name__": "__main__"}
    with mpl.rc_context({"backend": "agg"}):
        for cell in cells(path, "code"):
            exec(compile("".join(cell["source"]), path.name, "exec"), names)  # noqa: S102


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
