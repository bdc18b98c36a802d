"""The operator's and the validator's pages name what exists: commands, files, messages."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from kyc_ml.cli import app

ROOT = Path(__file__).parents[1]
PAGES = {name: (ROOT / "pipelines" / name).read_text() for name in ("README.md", "VALIDATION.md")}
COMMANDS = typer.main.get_command(app).commands
BLOCKS = [
    line.strip()
    for text in PAGES.values()
    for block in re.findall(r"```\w*\n(.*?)```", text, flags=re.DOTALL)
    for line in block.splitlines()
]
LINES = sorted({line for line in BLOCKS if line.startswith("kyc-ml ")})
SCRIPTS = sorted(
    {line[line.index("pipelines/") :] for line in BLOCKS if "python pipelines/" in line}
)
ELSEWHERE = (
    "No space left on device",
    "File too large",
    "Permission denied",
    "Read-only file system",
)
"""Parts of messages that the operating system gives."""


def command_of(words):
    """Find the command, or the command of a group, and what is left of the line."""
    name, *rest = words
    command = COMMANDS[name]
    if isinstance(command, TyperGroup):
        name, *rest = rest if rest[0] in command.commands else ("show", *rest)  # monitor OUT
        command = command.commands[name]
    return name, command, rest


@pytest.mark.parametrize("line", LINES)
def test_each_command_line_parses(line):
    name, command, arguments = command_of(shlex.split(line, comments=True)[1:])
    assert command.make_context(name, arguments, resilient_parsing=False) is not None


@pytest.mark.parametrize("line", SCRIPTS)
def test_each_script_takes_its_line(line):
    script, *arguments = shlex.split(re.split(r" (?:2?>>|\|)", line)[0])
    spec = importlib.util.spec_from_file_location("a_pipeline", ROOT / script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    one = typer.Typer()
    one.command()(module.main)
    command = typer.main.get_command(one)
    assert command.make_context(script, arguments).params["source"].suffix == ".yaml"


def test_both_pages_have_lines_to_run():
    assert len(LINES) >= 8
    assert len(SCRIPTS) >= 3


@pytest.mark.parametrize(
    "path",
    sorted(
        set(
            re.findall(
                r"(?<![\w/])((?:configs|kyc_ml|models|tests)/[\w./-]*\w/?)",
                "".join(PAGES.values()),
            )
        )
        - {"configs/sources/mine.yaml"}  # the reader's own
    ),
)
def test_each_path_exists(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize("page", PAGES)
def test_each_file_beside_it_exists(page):
    named = re.findall(r"\]\(([\w.-]+)\)|^\| `(\w+\.py)`", PAGES[page], flags=re.MULTILINE)
    assert all((ROOT / "pipelines" / (link or script)).is_file() for link, script in named)


def messages():
    """Give the quoted messages of the operator's table, in parts between what varies."""
    table = PAGES["README.md"].split("## Each message")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    quoted = {each for row in rows for each in re.findall(r"`([^`]+)`", row)}
    parts = {part.strip(" ':") for each in quoted for part in each.split("…")}
    return sorted(part for part in parts if len(part) > 3)


def source_text():
    """All string literals run together as Python would, so that a broken line matches."""
    files = [path for name in ("kyc_ml", "pipelines") for path in (ROOT / name).rglob("*.py")]
    whole = "\n".join(path.read_text() for path in sorted(files))
    return re.sub(r'"\s*\n\s*f?"', "", whole)


SOURCE = source_text()


@pytest.mark.parametrize("part", messages())
def test_each_message_is_one_that_the_code_gives(part):
    said = next((part.removesuffix(end) for end in ELSEWHERE if part.endswith(end)), part)
    assert said.removeprefix("warning: ") in SOURCE  # the terminal writes the level


def test_there_are_messages():
    assert len(messages()) >= 15
