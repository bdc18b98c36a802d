"""The scripts that are run by hand still find what they import, inside their functions too."""

import ast
from importlib import import_module
from pathlib import Path

SCRIPTS = sorted((Path(__file__).parent / "benchmarks").glob("*.py"))


def test_what_the_benchmarks_import_of_kyc_ml_exists():
    imports = [
        (script.name, node.module, alias.name)
        for script in SCRIPTS
        for node in ast.walk(ast.parse(script.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module.startswith("kyc_ml")
        for alias in node.names
    ]
    assert {script for script, *_ in imports} == {each.name for each in SCRIPTS} - {
        "history.py",
        "night.py",
        "serve.py",
        "training.py",
    }
    gone = [each for each in imports if not hasattr(import_module(each[1]), each[2])]
    assert gone == []
