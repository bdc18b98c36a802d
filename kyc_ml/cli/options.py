"""What commands share: options, exit codes, and how a job runs in a terminal."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from kyc_ml.cli.process import Terminated, ended_by, require_addresses
from kyc_ml.errors import (
    BusyError,
    ConfigError,
    Faults,
    GateError,
    KycMlError,
    UnreachableError,
    hint_path,
)

if TYPE_CHECKING:
    import pandas as pd

    from kyc_ml.cli.terminal.reporters import Terminal

    Time = pd.Timestamp
else:
    Time = datetime  # typer evaluates it, and pandas would make --help slow

GATE_FAILED: Final = 1
BAD_INPUT: Final = 2
DEFECT: Final = 3
TRY_LATER: Final = 4
SIGNALLED: Final = 128
"""Plus the number of the signal: what a shell returns for a process that a signal ended."""

VALIDATION: Final = "validation.yaml"
"""The default validation policy; see `find_shipped`."""

RequiredPath = Annotated[Path, typer.Option()]
"""The texts of all options are in `help.yaml`, by the names of the parameters."""

ModelOption = Annotated[str, typer.Option()]
Log = Annotated[Path, typer.Option(envvar="KYC_ML_AUDIT_LOG")]
AUDIT_LOG: Final = Path("audit.jsonl")

LogFormat = Literal["text", "json"]
LogOption = Annotated[LogFormat, typer.Option("--log")]
Lang = Literal["en", "zh"]
Quiet = Annotated[bool, typer.Option("--quiet")]
Force = Annotated[bool, typer.Option("--force")]
Markdown = Annotated[bool, typer.Option("--markdown")]


def time_option(name: str, *, help: str | None = None) -> Any:  # noqa: A002, ANN401  as typer has them
    """Make an option that takes a date or time and gives it in UTC.

    Text that is neither is given as its error: `job` raises it, together with all other faults
    of the arguments.
    """

    def parse(text: str) -> Time | ConfigError:
        from kyc_ml.config import parse_time

        # returned, not raised: all faults of the arguments are reported together
        try:
            return parse_time(text, name=name)
        except ConfigError as error:
            return error

    return typer.Option(parser=parse, help=help)


AsOfOption = Annotated[Time | None, time_option("--as-of")]
Since = Annotated[Time | None, time_option("--since")]


def exit_code_of(error: KycMlError) -> int:
    """Return the exit code of an error, for a scheduler."""
    if isinstance(error, GateError):
        return GATE_FAILED
    return TRY_LATER if isinstance(error, UnreachableError | BusyError) else BAD_INPUT


def require_arguments(given: Mapping[str, Any], reads: Sequence[str]) -> None:
    """Check that paths exist and that dates are dates; all faults are reported together.

    Raises
    ------
    ConfigError
        With each argument; for a path, with the nearest name in its folder.
    """
    faults = Faults("the arguments", ConfigError)
    faults.extend(str(value) for value in given.values() if isinstance(value, ConfigError))
    for name in reads:
        value = given[name.removeprefix("--").lower()]
        for path in [value] if isinstance(value, Path) else value or ():
            if not path.exists():
                near = hint_path(path.name, _names_beside(path))
                faults.add(f"{name} {path} does not exist{near}")
    faults.raise_if_any()


def _names_beside(path: Path) -> list[str]:
    try:
        return [each.name for each in path.parent.iterdir()]
    except OSError:  # the folder does not exist or cannot be read: no hint
        return []


@contextmanager
def job(
    given: Mapping[str, Any], *, reads: Sequence[str] = (), models: Sequence[str] = ()
) -> Iterator[Terminal]:
    """Run a job in a terminal; an error on purpose is one message and an exit code.

    Parameters
    ----------
    given : mapping
        The arguments of the command, by the names of its parameters: its ``locals()``. Of these
        ``quiet`` and ``log_format`` choose the output, and a log of JSON has ``as_of`` in each
        line.
    reads : sequence of str
        Arguments whose paths must exist, such as '--source', or None. They are checked before
        anything heavy is imported, so that a mistyped path costs no wait.
    models : sequence of str
        Models that the job uses, as the user named them: with one model a log of JSON has it in
        each line, with several each note names its model.
    """
    from kyc_ml.cli.terminal.reporters import JsonLines, Terminal

    several = len(models) > 1
    as_json = given.get("log_format") == "json"
    quiet = bool(given.get("quiet"))
    made = JsonLines(several=several) if as_json else Terminal(quiet=quiet, several=several)
    as_of = given.get("as_of")
    made.about(
        model=models[0] if len(models) == 1 else None,
        as_of=as_of.isoformat() if isinstance(as_of, datetime) else None,
    )
    try:
        require_arguments(given, reads)
        if "--data" in reads:
            require_addresses()
        with made as terminal:
            yield terminal
            _tell_uncached(terminal)
    except (Exception, Terminated) as error:
        # `from None`: the message or the traceback is written already
        raise typer.Exit(code=_report_end(error, made)) from None
    except KeyboardInterrupt:
        made.stopped()
        raise typer.Exit(code=130) from None


def _tell_uncached(terminal: Terminal) -> None:
    """Report that a job compiled its code for itself alone: the next one takes as long."""
    if "kyc_ml.storage.compiling" in sys.modules:
        from kyc_ml.storage import find_cache

        if find_cache() is None:
            terminal.info(
                "compiled code was not kept: no folder can be written by this user alone; name one "
                "in NUMBA_CACHE_DIR"
            )


def _report_end(error: BaseException, terminal: Terminal) -> int:
    """Write why a job ended without its result, and return its exit code."""
    asked = ended_by()
    if asked is not None:
        terminal.failed(f"stopped by {asked.name}")
        return SIGNALLED + asked
    if isinstance(error, KycMlError):
        terminal.failed(str(error))
        return exit_code_of(error)
    if isinstance(error, MemoryError):
        asked_for = " ".join(str(error).split()) or "a small piece"
        terminal.failed(
            f"memory: this process could get no more ({asked_for}); raise its limit, or score "
            "fewer rows together: one model a process, a smaller --part-rows"
        )
        return BAD_INPUT
    # 1 means that a gate failed: a defect must not look like one
    terminal.crashed("".join(traceback.format_exception(error)))
    return DEFECT
