"""The two locks: what developers install, and the part of it that runs in production."""

import re
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
ALL, RUN = "requirements.lock", "requirements-run.lock"
TOOLS = {"hypothesis", "mypy", "polars", "pre-commit", "pytest", "ruff", "shap"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def entries(name):
    """Give each pinned line, with its marker, and how many hashes follow it."""
    text = (ROOT / name).read_text()
    blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.IGNORECASE | re.MULTILINE)[1:]
    return {block.splitlines()[0].rstrip(" \\"): block.count("--hash=sha256:") for block in blocks}


def names(name):
    return {canonicalize_name(Requirement(line).name) for line in entries(name)}


def versions(name):
    """Give the versions of each distribution: one for each marker."""
    found = {}
    for line in entries(name):
        wanted = Requirement(line)
        found.setdefault(canonicalize_name(wanted.name), set()).add(str(wanted.specifier))
    return found


def test_every_pin_of_production_is_that_of_the_tests():
    everything = versions(ALL)
    assert all(everything[name] == pinned for name, pinned in versions(RUN).items())


def test_production_has_what_is_needed_and_no_tool_of_developers():
    needed = {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]}
    assert needed | {"setuptools"} <= names(RUN)
    assert not TOOLS & names(RUN)
    assert names(ALL) > TOOLS


@pytest.mark.parametrize("name", [ALL, RUN])
def test_every_range_of_the_project_is_met(name):
    extra = "dev" if name == ALL else "install"
    for line in (*PROJECT["dependencies"], *PROJECT["optional-dependencies"][extra]):
        wanted = Requirement(line)
        pinned = versions(name)[canonicalize_name(wanted.name)]
        assert all(wanted.specifier.contains(pin.removeprefix("==")) for pin in pinned), line


@pytest.mark.parametrize("name", [ALL, RUN])
def test_each_pin_is_exact_and_hashed_and_no_index_is_named(name):
    found = entries(name)
    assert len(found) > 50
    assert all(hashes > 0 for hashes in found.values())
    assert all(re.fullmatch(r"==[\w.!+]+", str(Requirement(line).specifier)) for line in found)
    assert not re.search(
        r"https?:|--(extra-)?index|--find-links|--trusted", (ROOT / name).read_text()
    )


@pytest.mark.parametrize("name", [ALL, RUN])
def test_an_extra_that_a_pinned_distribution_asks_for_is_pinned_with_it(name):
    """Without it, older pips take the newest release for the extra, which has no hash here."""
    pinned = {}
    for line in entries(name):
        wanted = Requirement(line)
        pinned.setdefault(canonicalize_name(wanted.name), set()).update(wanted.extras)
    asked = [
        (each.name, wanted)
        for each in distributions()
        if canonicalize_name(each.name) in pinned
        for wanted in map(Requirement, each.requires or [])
        if wanted.extras and (wanted.marker is None or wanted.marker.evaluate({"extra": ""}))
    ]
    assert [
        (by, str(w)) for by, w in asked if not w.extras <= pinned[canonicalize_name(w.name)]
    ] == []
    assert name == RUN or asked
