"""How a command starts and helps; a usage error is an object of the log where that is of JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from kyc_ml.cli.naming import INSIDE, LONGEST, TOP, name_values
from kyc_ml.cli.process import prepared

_USAGE_ERROR: Final[Any] = typer.BadParameter.__base__
"""`UsageError`: typer has no name of its own for it, and where it lies differs by version."""


class LoggedCommand(TyperCommand):
    """A command whose usage errors are lines of its log too."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> Any:  # noqa: ANN401  as typer has it
        """Run the command; see `typer.core.TyperCommand`."""
        return _run(partial(super().main, args, *rest), args, options)

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401  as typer has it
        """Write the help, which says what each option takes."""
        if self.callback is not None:
            name_values(self.params, self.callback)
        super().format_help(ctx, formatter)


class HelpfulGroup(TyperGroup):
    """Commands that `--help` lists in one line each, under headings; see `naming`."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401  as typer has it
        """Give a command, whose parameters say what they take."""
        command = super().get_command(ctx, cmd_name)
        if command is not None and command.callback is not None:
            name_values(command.params, command.callback)
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401  as typer has it
        """Write the commands, those of a heading together."""
        del ctx
        shown = {name for name, command in self.commands.items() if not command.hidden}
        headings = TOP if self.name not in INSIDE else {"Commands": INSIDE[self.name]}
        listed = {name for lines in headings.values() for name in lines}
        others = {name: self.commands[name].get_short_help_str(LONGEST) for name in shown - listed}
        for heading, lines in {**headings, "Other": others}.items():
            rows = [(f"{name:<10}", line) for name, line in lines.items() if name in shown]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)


class LoggedGroup(HelpfulGroup):
    """Commands whose usage errors are lines of their log too."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> Any:  # noqa: ANN401  as typer has it
        """Run one of the commands; see `typer.core.TyperGroup`."""
        return _run(partial(super().main, args, *rest), args, options)


def _run(
    main: Callable[..., object], args: Sequence[str] | None, options: Mapping[str, object]
) -> object:
    """Run `main`; a usage error is one object of the log, where that is of JSON."""
    given = sys.argv[1:] if args is None else args
    # looked for without parsing, because it is the parser that fails
    as_json = "--log=json" in given or ("--log", "json") in pairwise(given)
    with prepared():
        if not as_json:
            return main(**options)
        try:
            code = main(**{**options, "standalone_mode": False})  # else it prints the error itself
        except _USAGE_ERROR as error:
            from kyc_ml.cli.terminal.reporters import JsonLines

            hint = "" if error.ctx is None else f": try '{error.ctx.command_path} --help'"
            JsonLines().failed(f"{error.format_message().rstrip('.')}{hint}")
            code = error.exit_code
        raise SystemExit(code)
