"""How a command of this process starts: its streams and signals, and a line that cannot be read.

Such a line is written as JSON where it asks for a log of JSON lines.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from kyc_ml.cli.process import prepared

_USAGE_ERROR: Final[Any] = typer.BadParameter.__base__
"""`UsageError`: typer has no name of its own for it, and where it lies differs by version."""


class LoggedCommand(TyperCommand):
    """A command whose usage errors are lines of its log too."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> Any:  # noqa: ANN401  as typer has it
        """Run the command; see `typer.core.TyperCommand`."""
        return _run(partial(super().main, args, *rest), args, options)


class LoggedGroup(TyperGroup):
    """Commands whose usage errors are lines of their log too."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> Any:  # noqa: ANN401  as typer has it
        """Run one of the commands; see `typer.core.TyperGroup`."""
        return _run(partial(super().main, args, *rest), args, options)


def _run(
    main: Callable[..., object], args: Sequence[str] | None, options: Mapping[str, object]
) -> object:
    """Run `main`; a usage error is one object of the log, where that is of JSON."""
    with prepared():
        return _told(main, sys.argv[1:] if args is None else args, options)


def _told(
    main: Callable[..., object], given: Sequence[str], options: Mapping[str, object]
) -> object:
    if not _asks_for_json(given):
        return main(**options)
    try:
        code = main(**{**options, "standalone_mode": False})  # else it tells the error itself
    except _USAGE_ERROR as error:
        from kyc_ml.terminal import JsonLines

        hint = "" if error.ctx is None else f": try '{error.ctx.command_path} --help'"
        JsonLines().failed(f"{error.format_message().rstrip('.')}{hint}")
        code = error.exit_code
    raise SystemExit(code)


def _asks_for_json(given: Sequence[str]) -> bool:
    """Look without parsing, for it is the parser that fails."""
    return "--log=json" in given or ("--log", "json") in pairwise(given)
