"""What is installed: every package, and all that is no Python beside it."""

import tomllib
from pathlib import Path

from setuptools import find_packages

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


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
