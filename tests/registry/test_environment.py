"""What is installed is told the same wherever the same versions are installed."""

import re
import tomllib
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from kyc_ml.registry import Environment, digest_distributions, environment, needed_distributions

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


def names(requirements):
    asked = map(Requirement, requirements)
    return {canonicalize_name(each.name) for each in asked if each.marker is None}


@pytest.fixture
def installed(monkeypatch):
    """Pretend that these distributions are installed; give what kyc-ml needs of them."""

    def needed(**requires):
        known = {name.replace("_", "-"): texts for name, texts in requires.items()}

        def distribution(name):
            if name not in known:
                raise PackageNotFoundError(name)
            return SimpleNamespace(version="1.0", requires=known[name])

        monkeypatch.setattr(environment, "distribution", distribution)
        return needed_distributions.__wrapped__()

    return needed


def test_every_declared_dependency_is_in_with_its_version():
    found = needed_distributions()
    assert found["kyc-ml"] == version("kyc-ml")
    for name in names(PROJECT["dependencies"]):
        assert found[name] == version(name)
    assert list(found) == sorted(found)


def test_what_only_development_needs_is_out():
    tools = {"hypothesis", "import-linter", "mypy", "pytest", "pytest-xdist", "ruff", "pre-commit"}
    assert tools <= names(PROJECT["optional-dependencies"]["dev"])
    assert not tools & set(needed_distributions())


def test_needs_of_needs_are_in_and_a_circle_ends(installed):
    found = installed(kyc_ml=["A_b"], a_b=["c>=1"], c=["a.b", "kyc-ml"])
    assert found == {"a-b": "1.0", "c": "1.0", "kyc-ml": "1.0"}


@pytest.mark.parametrize(
    "marker",
    [
        "sys_platform == 'win32'", "sys_platform != 'win32'", "os_name == 'nt'",
        "platform_machine == 'x86_64'", "platform_system == 'Darwin'", "extra == 'dev'",
        "python_version < '3'",
    ],
)  # fmt: skip
def test_what_not_every_machine_needs_is_out(installed, marker):
    assert "a" not in installed(kyc_ml=[f"a ; {marker}", "b ; python_version >= '3'"], a=[], b=[])


def test_an_extra_brings_its_own_needs(installed):
    found = installed(kyc_ml=["a[fast]"], a=["b ; extra == 'fast'", "c ; extra == 'slow'"], b=[])
    assert set(found) == {"a", "b", "kyc-ml"}


def test_what_is_missing_is_told_as_missing(installed):
    assert " " in installed(kyc_ml=["a"])["a"]  # no version number


def test_the_digest_is_of_the_list(monkeypatch):
    before = digest_distributions()
    assert re.fullmatch("[0-9a-f]{64}", before)
    newer = {**needed_distributions(), "numpy": "9.9"}
    monkeypatch.setattr(environment, "needed_distributions", lambda: newer)
    assert digest_distributions.__wrapped__() != before


def test_an_environment_is_read_back_and_has_no_changes_to_itself():
    now = Environment.current()
    again = Environment(**asdict(now))
    assert again == now
    assert now.changes(again) == ()
    assert re.fullmatch("[0-9a-f]{64}", now.code_digest)


def test_every_change_is_told_in_a_line():
    before = Environment(
        code_version="1",
        code_digest="a" * 64,
        python="3.11.9",
        platform="Linux x86_64",
        distributions={"numpy": "2.3", "gone": "1", "same": "1", "kyc-ml": "1"},
    )
    after = Environment(
        code_version="2",
        code_digest="b" * 64,
        python="3.12.1",
        platform="Linux aarch64",
        distributions={"numpy": "2.4", "new": "1", "same": "1", "kyc-ml": "2"},
    )
    assert before.changes(after) == (
        "kyc-ml 1 -> 2",
        "Python 3.11.9 -> 3.12.1",
        "platform Linux x86_64 -> Linux aarch64",
        "source of kyc_ml aaaaaaaaaaaa -> bbbbbbbbbbbb",
        "gone 1 -> not installed",
        "new not installed -> 1",
        "numpy 2.3 -> 2.4",
    )
