"""The code cells of every notebook run, in order, as a reader would run them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.name
)
def test_a_notebook_runs_from_top_to_bottom(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), path.name, "exec"), names)  # noqa: S102
    assert names["scores"]["tier"].notna().all()


def test_there_is_a_notebook():
    assert sorted((ROOT / "notebooks").glob("*.ipynb"))
