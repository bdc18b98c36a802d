"""Pages of `--help`: the texts of `help.yaml`, laid out in the language of the terminal."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rich.cells import cell_len

from kyc_ml.cli.language import choose, language, read_texts
from kyc_ml.cli.terminal.wrapping import wrap

LONGEST: Final = 45
"""Characters of a summary: it fits on one line of a narrow terminal, uncut."""
_WIDEST_NAME: Final = 30
"""Cells of the first column of a list; a longer name has a line for itself."""

_File = Mapping[str, Any]


def example(line: str, *, after: str | Mapping[str, str] = "") -> str:
    r"""Return the example below the help of a command, as one line to paste.

    `after`: str or mapping of languages to str; what creates the files and models that the line
    names; '' if the repository has all.

    Examples
    --------
    >>> example("kyc-ml findings", after="make demo")
    'Example, after make demo:\n\n\x08\nkyc-ml findings'
    """
    lead = frame("Example, after {}:").format(choose(after)) if after else frame("Example:")
    return f"{lead}\n\n\b\n{line}"  # below \b click and `_paragraphs` break no line


def frame(english: str) -> str:
    """Return a fixed part of a help page, such as ``Options``, in the language of the terminal."""
    return english if language() == "en" else str(_texts()["frame"][english])


def describe_program(group: Any) -> None:  # noqa: ANN401  as typer has it
    """Set the help, example and exit codes of the program."""
    program = _texts()["program"]
    group.help = choose(program["help"])
    group.epilog = f"{example(program['example'])}\n\n{choose(program['note'])}"


def describe_command(command: Any, key: str) -> None:  # noqa: ANN401  as typer has it
    """Set the help and example of a command, and the help of its parameters.

    `key`: the command's place in ``help.yaml``, such as 'features build'.
    """
    entry = _texts()["commands"].get(key)
    if entry is None:  # a command of a script has its own texts
        return
    command.help = choose(entry["help"])
    command.epilog = example(entry["example"], after=entry.get("after", ""))
    describe_parameters(command.params, entry.get("options", {}))


def describe_parameters(parameters: Sequence[Any], own: _File | None = None) -> None:
    """Set the help of parameters and the name of their values, such as DATE or FILE.

    `parameters`: sequence of typer's parameters; one that has a help text keeps it, unless `own`
    has another.
    `own`: mapping of parameters' names to entries; entries of one command, which replace parts of
    those that commands share.
    """
    shared = _texts()["options"]
    for each in parameters:
        special = (own or {}).get(each.name, {})
        entry = {**shared.get(each.name, {}), **special}
        if language() in special or (each.help is None and language() in entry):
            each.help = choose(entry)
        takes = entry.get("takes")
        if takes is None or getattr(each, "is_flag", False):
            continue
        if each.param_type_name == "argument":  # whose metavar is its name
            each.metavar = each.metavar or str(each.name).upper()
            kind = "" if takes == each.metavar else takes  # or the page has MODEL MODEL
            # `kind` is bound as a default: the loop changes the variable
            each.display_type_rich = lambda shown=kind, **_: shown
        else:
            each.metavar = takes


def list_commands(group: str) -> dict[str, dict[str, str]]:
    """Return the commands of a group ('' for the program) with summaries, by heading."""
    content = _texts()
    commands: _File = content["commands"]
    if group:
        lead = f"{group} "
        inside = {
            key.removeprefix(lead): choose(entry["summary"])
            for key, entry in commands.items()
            if key.startswith(lead)
        }
        return {frame("Commands"): inside} if inside else {}
    return {
        choose(heading): {name: choose(commands[name]["summary"]) for name in heading["commands"]}
        for heading in content["headings"]
    }


def write_page(command: Any, ctx: Any, width: int) -> str:  # noqa: ANN401  as typer has them
    """Write the help of a command or of a group of commands, at most `width` cells wide.

    click's own formatter counts characters: its lines of Chinese are twice as wide as the terminal.
    """
    usage = frame("Usage: ")
    pieces = wrap(" ".join(command.collect_usage_pieces(ctx)), width - 20)
    lines = [f"{usage}{ctx.command_path} {pieces[0]}", *(f"{'':20}{line}" for line in pieces[1:])]
    lines += ["", *_paragraphs(command.help or "", width)]
    records: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
    for each in command.get_params(ctx):
        record = each.get_help_record(ctx)
        if record is not None:
            kind = "Arguments" if each.param_type_name == "argument" else "Options"
            # typer writes kinds and choices as <text|json>
            records[kind].append((re.sub("[<>]", "", record[0]), _marked(record[1])))
    sections = {frame(kind): found for kind, found in records.items()}
    if hasattr(command, "commands"):
        # the program itself has no entry among the commands
        listed = list_commands(command.name if command.name in _texts()["commands"] else "")
        sections |= {heading: list(found.items()) for heading, found in listed.items()}
    for heading, found in sections.items():
        lines += _section(heading, found, width)
    lines += ["", *_paragraphs(command.epilog or "", width)]
    return "\n".join(lines).rstrip() + "\n"


def _texts() -> _File:
    return read_texts("help.yaml")


def _marked(help_text: str) -> str:
    """Return the help of a parameter with typer's marks, such as [required], translated."""
    if language() == "en":
        return help_text
    for english, chinese in _texts()["frame"].items():
        if english[0] in "[;" or english == help_text:
            help_text = help_text.replace(english, chinese)
    return help_text


def _section(heading: str, records: Sequence[tuple[str, str]], width: int) -> Iterator[str]:
    if not records:
        return
    yield from ("", f"{heading}{':' if language() == 'en' else '：'}")
    short = [length for name, _ in records if (length := cell_len(name)) <= _WIDEST_NAME]
    indent = max([*short, 10]) + 4
    for name, text in records:
        first, *others = wrap(text, width - indent)
        if cell_len(name) + 4 > indent:
            yield f"  {name}"
            yield f"{'':{indent}}{first}"
        else:
            yield f"  {name}{'':{indent - 2 - cell_len(name)}}{first}"
        yield from (f"{'':{indent}}{line}" for line in others)


def _paragraphs(text: str, width: int) -> Iterator[str]:
    r"""Write paragraphs, indented and broken between words; one after \b stays as it is."""
    for place, paragraph in enumerate(text.split("\n\n")):
        if place:
            yield ""
        if paragraph.startswith("\b\n"):
            yield from (f"  {line}" for line in paragraph.splitlines()[1:])
        else:
            yield from (f"  {line}" for line in wrap(" ".join(paragraph.split()), width - 2))
