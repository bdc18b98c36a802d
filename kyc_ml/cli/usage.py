"""How a command starts and shows its help; a usage error is an object of a log of JSON."""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from kyc_ml.cli.help import (
    describe_command,
    describe_parameters,
    describe_program,
    frame,
    write_page,
)
from kyc_ml.cli.language import language
from kyc_ml.cli.process import prepared

_USAGE_ERROR: Final[Any] = typer.BadParameter.__base__
"""`UsageError`: typer does not export it, and its module differs by version."""


class _Helpful:
    """Help in the language of the terminal; see `kyc_ml.cli.help`."""

    def format_usage(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401  as typer has it
        """Write the line of usage, which errors show too."""
        pieces = " ".join(self.collect_usage_pieces(ctx))  # type: ignore[attr-defined]
        formatter.write_usage(ctx.command_path, pieces, prefix=frame("Usage: "))

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401  as typer has it
        """Write the help."""
        formatter.write(write_page(self, ctx, formatter.width))


class LoggedCommand(_Helpful, TyperCommand):
    """A command whose usage errors are lines of its log too."""

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401  as typer has it
        super().__init__(*arguments, **options)
        describe_parameters(self.params)

    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> Any:  # noqa: ANN401  as typer has it
        """Run the command; see `typer.core.TyperCommand`."""
        return _run(partial(super().main, args, *rest), args, options)


class HelpfulGroup(_Helpful, TyperGroup):
    """Commands of one subject, such as those on features."""

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401  as typer has it
        super().__init__(*arguments, **options)
        for name, command in self.commands.items():
            describe_command(command, f"{self.name} {name}")


class LoggedGroup(_Helpful, TyperGroup):
    """The program: commands whose usage errors are lines of their log too."""

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401  as typer has it
        super().__init__(*arguments, **options)
        describe_program(self)
        describe_parameters(self.params)
        for name, command in self.commands.items():
            describe_command(command, name)

    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> Any:  # noqa: ANN401  as typer has it
        """Run one of the commands; see `typer.core.TyperGroup`."""
        return _run(partial(super().main, args, *rest), args, options)


class Commands(typer.Typer):
    """Commands of a module; their texts are in `help.yaml`."""

    def command(self, name: str | None = None, **options: Any) -> Callable[[Any], Any]:  # noqa: ANN401  as typer has it
        """Register a command; see `typer.Typer.command`."""
        return super().command(name, cls=LoggedCommand, **options)


def _run(
    main: Callable[..., object], args: Sequence[str] | None, options: Mapping[str, object]
) -> object:
    """Run `main`; print a usage error as one JSON log entry or in a translated frame."""
    given = sys.argv[1:] if args is None else args
    # found without parsing, because it is the parser that fails
    as_json = "--log=json" in given or ("--log", "json") in pairwise(given)
    with prepared():
        if not as_json and language() == "en":
            return main(**options)
        try:
            # in standalone mode click prints the error itself and ends the process
            code = main(**{**options, "standalone_mode": False})
        except _USAGE_ERROR as error:
            _report(error, as_json=as_json)
            code = error.exit_code
        raise SystemExit(code)


def _report(error: Any, *, as_json: bool) -> None:  # noqa: ANN401  as typer has it
    """Write a usage error to the log, or to standard error under a frame in Chinese."""
    path = "" if error.ctx is None else error.ctx.command_path
    if as_json:
        from kyc_ml.cli.terminal.reporters import JsonLines

        hint = f": try '{path} --help'" if path else ""
        JsonLines().failed(f"{error.format_message().rstrip('.')}{hint}")
        return
    from kyc_ml.cli.terminal.wrapping import show_controls

    message = error.format_message()
    # a group of commands without a command shows its help
    is_help = message.startswith(frame("Usage: "))
    lines = [message if is_help else f"{frame('Error: ')}{message}"]
    if path and not is_help:
        lines = [error.ctx.get_usage(), frame("Try '{} --help' for help.").format(path), "", *lines]
    typer.echo(show_controls("\n".join(lines)), err=True)
