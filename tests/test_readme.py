"""The README and the guides beside the code name commands, options and files that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from kyc_ml.cli import app

ROOT = Path(__file__).parents[1]
GUIDES = (
    "README.md",
    "notebooks/README.md",
    "configs/sources/README.md",
    "kyc_ml/features/README.md",
    "configs/tiers/README.md",
    "tests/benchmarks/README.md",
)
TEXT = "\n".join((ROOT / name).read_text(encoding="utf-8") for name in GUIDES)
COMMANDS = typer.main.get_command(app).commands
LINES = sorted({line for line in TEXT.splitlines() if line.startswith("kyc-ml ")})


@pytest.mark.parametrize("line", LINES)
def test_each_command_line_parses(line):
    name, *arguments = shlex.split(line)[1:]
    command = COMMANDS[name]
    if isinstance(command, TyperGroup) and arguments[0] in command.commands:
        name, *arguments = arguments
        command = command.commands[name]
    # parsing alone: the command itself does not run
    assert command.make_context(name, arguments, resilient_parsing=False).params


def test_there_are_command_lines():
    assert len(LINES) >= 20


@pytest.mark.parametrize("target", sorted(set(re.findall(r"`make (\w+)`", TEXT))))
def test_each_make_target_exists(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize(
    "path",
    sorted(
        set(re.findall(r"`((?:configs|kyc_ml|models|notebooks|pipelines|tests)/[\w./-]*)`", TEXT))
    ),
)
def test_each_path_exists(path):
    assert (ROOT / path).exists()
