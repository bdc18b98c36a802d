"""What is installed: every package, and all that is no Python beside it."""

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from types import SimpleNamespace

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from setuptools import find_packages

from kyc_ml.cli import shipped
from kyc_ml.cli.shipped import find_shipped

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETTINGS = PROJECT["tool"]["setuptools"]


def test_an_editable_install_is_a_path_and_no_finder():
    """With a finder of its own, a script beside a clone named kyc_ml imports the empty folder."""
    assert SETTINGS["package-dir"] == {"": "."}


def test_every_folder_of_modules_is_a_package_that_is_installed():
    found = find_packages(str(ROOT), include=SETTINGS["packages"]["find"]["include"])
    folders = {path.parent for path in (ROOT / "kyc_ml").rglob("*.py")}
    assert set(found) == {".".join(folder.relative_to(ROOT).parts) for folder in folders}


def test_every_file_that_is_no_module_is_installed_or_for_readers_of_the_code():
    installed = {
        path
        for pattern in SETTINGS["package-data"]["kyc_ml"]
        for path in (ROOT / "kyc_ml").glob(pattern)
    }
    files = {path for path in (ROOT / "kyc_ml").rglob("*") if path.is_file()}
    others = {path for path in files if path.suffix != ".py" and "__pycache__" not in path.parts}
    assert {path.suffix for path in others - installed} <= {".md"}


def test_every_configuration_is_installed_where_it_is_looked_for():
    placed = {
        (folder, path)
        for folder, patterns in SETTINGS["data-files"].items()
        for pattern in patterns
        for path in ROOT.glob(pattern)
    }
    files = [path for path in (ROOT / "configs").rglob("*") if path.is_file()]
    home = "share/kyc_ml"
    assert placed == {
        (f"{home}/{path.parent.relative_to(ROOT).as_posix()}", path) for path in files
    }


def test_shipped_configurations_are_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_shipped("validation.yaml") == ROOT / "configs" / "validation.yaml"
    assert find_shipped() == ROOT / "configs"
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "validation.yaml").touch()
    assert find_shipped("validation.yaml") == Path("configs/validation.yaml")  # one's own first


def test_installed_configurations_are_found_without_a_clone(tmp_path, monkeypatch):
    home = tmp_path / "share" / "kyc_ml" / "configs"
    (home / "tiers").mkdir(parents=True)
    (home / "validation.yaml").touch()
    listed = [
        SimpleNamespace(parent=path.parent, locate=lambda path=path: path)
        for path in (home / "tiers" / "risk.yaml", home / "validation.yaml")
    ]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shipped, "_ROOT", tmp_path / "nowhere")
    monkeypatch.setattr(shipped, "files", lambda _: listed)
    assert find_shipped("validation.yaml") == home / "validation.yaml"
    assert find_shipped() == home
    assert find_shipped("absent.yaml") == Path("configs/absent.yaml")


def imported(path):
    """List the first names of all modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (each.name.partition(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.partition(".")[0]


def test_every_package_that_is_imported_is_a_declared_dependency():
    files = [*(ROOT / "kyc_ml").rglob("*.py")]
    found = {name for path in files for name in imported(path)}
    others = found - set(sys.stdlib_module_names) - {"kyc_ml"}
    assert {"pandas", "yaml", "sqlalchemy"} <= others
    project = PROJECT["project"]
    # engines/spark alone imports Spark (an import contract), which brings py4j
    wanted = [*project["dependencies"], *project["optional-dependencies"]["spark"], "py4j"]
    declared = {canonicalize_name(Requirement(each).name) for each in wanted}
    of = packages_distributions()
    undeclared = {
        name
        for name in others
        if not {canonicalize_name(each) for each in of.get(name, [])} & declared
    }
    assert undeclared == set()
