"""What commands share: options, exit codes, and how a job runs in a terminal."""

from __future__ import annotations

import errno
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar

import typer

from kyc_ml.cli.outcome import report_outcome, require_hooks
from kyc_ml.cli.process import Terminated, ended_by, require_addresses
from kyc_ml.errors import ConfigError, Faults, KycMlError, hint_path

if TYPE_CHECKING:
    import pandas as pd

    from kyc_ml.cli.terminal.reporters import Terminal

_Made = TypeVar("_Made")

DEFECT: Final = 3
SIGNALLED: Final = 128
"""Plus the number of the signal: what a shell returns for a process that a signal ended."""

VALIDATION: Final = "validation.yaml"
"""The default validation policy; see `find_shipped`."""

RequiredPath = Annotated[Path, typer.Option()]
"""The texts of all options are in `help.yaml`, by the names of the parameters."""

ModelOption = Annotated[str, typer.Option()]
Data = Annotated[Path | None, typer.Option()]
History = Annotated[Path | None, typer.Option()]
"""What is read: a folder of files, or instead a history store; see `fill`."""
Log = Annotated[Path, typer.Option(envvar="KYC_ML_AUDIT_LOG")]
Engine = Annotated[Literal["local", "spark"], typer.Option()]
Master = Annotated[str | None, typer.Option()]
"""Who computes: this machine, or a cluster at an address."""
AUDIT_LOG: Final = Path("audit.jsonl")
AuditLogOption = Annotated[Path, typer.Option(envvar="KYC_ML_AUDIT_LOG")]
"""The same where --log is the format of messages."""
AllowUnpromoted = Annotated[bool, typer.Option("--allow-unpromoted")]

LogFormat = Literal["text", "json"]
LogOption = Annotated[LogFormat, typer.Option("--log")]
Lang = Literal["en", "zh"]
Quiet = Annotated[bool, typer.Option("--quiet")]
Force = Annotated[bool, typer.Option("--force")]
Markdown = Annotated[bool, typer.Option("--markdown")]


def time_option(name: str, *, help: str | None = None) -> Any:  # noqa: A002, ANN401  as typer has them
    """Make an option that takes a date or time; `in_zone_of` a source makes an instant of it.

    Text that is neither is given as its error: `job` raises it, together with all other faults
    of the arguments.
    """

    def parse(text: str) -> str | ConfigError:
        from kyc_ml.config import parse_time

        # returned, not raised: all faults of the arguments are reported together
        try:
            parse_time(text, name=name)
        except ConfigError as error:
            return error
        return text

    return typer.Option(parser=parse, help=help)


AsOfOption = Annotated[str | None, time_option("--as-of")]
Since = Annotated[str | None, time_option("--since")]
Until = Annotated[str | None, time_option("--until")]


def in_zone_of(source: Path, text: str | None, *, name: str) -> pd.Timestamp | None:
    """Return the time that an option means; without a zone it is of that of the source mapping."""
    from kyc_ml.config import SourceMapping, load_section, parse_time

    if text is None:
        return None
    return parse_time(text, name=name, zone=load_section(source, SourceMapping).timezone)


def fill(
    made: Callable[..., _Made],
    given: Mapping[str, Any],
    **other: Any,  # noqa: ANN401  those of any request
) -> _Made:
    """Make a request, or run a use case, with the arguments of a command that it takes.

    Times become instants in the zone of the source, if one is given; what the user left out has the
    default of `made`.

    `given`: the arguments of the command by the names of its parameters: its ``locals()``.
    `**other`: further values, of parameters whose options have other names.
    """
    takes = signature(made).parameters
    same = {name: value for name, value in given.items() if name in takes}
    if "data" in same and "history" not in takes and "history" in given:
        read = [each for each in (given["data"], given["history"]) if each is not None]
        if len(read) != 1:
            msg = "give either --data, the folder of the files, or --history, a history store"
            raise ConfigError(msg)
        same["data"] = read[0]
    for name in ("since", "as_of"):
        if name in same and "source" in given:
            option = f"--{name.replace('_', '-')}"
            same[name] = in_zone_of(given["source"], same[name], name=option)
    for name, value in list(same.items()):
        if value is None and takes[name].default is not Parameter.empty:
            del same[name]
        elif isinstance(value, list):
            same[name] = tuple(value)
    return made(**{**same, **other})


def require_arguments(given: Mapping[str, Any], reads: Sequence[str]) -> None:
    """Check that paths exist and that dates are dates; all faults are reported together.

    Raises ConfigError with each argument; for a path, with the nearest name in its folder.
    """
    faults = Faults("the arguments", ConfigError)
    faults.extend(str(value) for value in given.values() if isinstance(value, ConfigError))
    for name, value in given.items():
        for text in value if isinstance(value, list | tuple) else [value]:
            if isinstance(text, str | Path) and not _is_text(str(text)):
                faults.add(
                    f"--{name.replace('_', '-')} {str(text)!a} is not text in UTF-8: rename it"
                )
    for name in reads:
        value = given[name.removeprefix("--").lower()]
        # a job that can wait for its input: the folder of a delivery is made when it comes
        later = name == "--data" and "wait" in given
        if later and given["wait"] is not None:
            continue
        for path in [value] if isinstance(value, Path) else value or ():
            if _is_text(str(path)) and not path.exists():
                near = hint_path(path.name, _names_beside(path))
                passing = later and path.absolute().parent.is_dir()
                faults.add(f"{name} {path} does not exist{near}", passing=passing)
    faults.raise_if_any()


def _is_text(given: str) -> bool:
    """Return whether an argument is valid text: libraries in C cannot read other bytes."""
    try:
        given.encode()
    except UnicodeEncodeError:
        return False
    return True


def _names_beside(path: Path) -> list[str]:
    try:
        return [each.name for each in path.parent.iterdir()]
    except OSError:  # the folder does not exist or cannot be read: no hint
        return []


@contextmanager
def job(
    given: Mapping[str, Any],
    *,
    reads: Sequence[str] = (),
    models: Sequence[str] = (),
    name: str = "score",
) -> Iterator[Terminal]:
    """Run a job in a terminal; an error on purpose is one message and an exit code.

    `given`: the arguments of the command, by the names of its parameters: its ``locals()``. Of
    these ``quiet`` and ``log_format`` choose the output, a log of JSON has ``as_of`` in each line,
    and ``heartbeat`` and ``on_failure`` report the outcome; see `report_outcome`.
    `reads`: arguments whose paths must exist, such as '--source', or None. They are checked before
    anything heavy is imported, so that a mistyped path costs no wait.
    `models`: models that the job uses, as the user named them: with one model a log of JSON has it
    in each line, with several each note names its model.
    `name`: name of the job in its heartbeat and its report of a failure.
    """
    from kyc_ml.cli.terminal.reporters import JsonLines, Terminal

    several = len(models) > 1
    as_json = given.get("log_format") == "json"
    quiet = bool(given.get("quiet"))
    made = JsonLines(several=several) if as_json else Terminal(quiet=quiet, several=several)
    as_of = given.get("as_of")
    made.about(
        model=models[0] if len(models) == 1 else None,
        as_of=as_of if isinstance(as_of, str) else None,
    )
    began = time.time()
    hooks = {name: given.get(name) for name in ("heartbeat", "on_failure")}
    try:
        require_arguments(given, reads)
        require_hooks(**hooks)
        if "--data" in reads:
            require_addresses()
        with made as terminal:
            yield terminal
            _tell_uncached(terminal)
        code = made.outcome.code
    except (Exception, Terminated) as error:
        code = _report_end(error, made)
    except KeyboardInterrupt:
        made.stopped()
        code = 130
    for fault in report_outcome(made.outcome, job=name, code=code, began=began, **hooks):
        made.warning(fault)
    if code:
        # the message or the traceback is written already
        raise typer.Exit(code=code)


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
        return error.exit_code
    if isinstance(error, MemoryError):
        asked_for = " ".join(str(error).split()) or "a small piece"
        terminal.failed(
            f"memory: this process could get no more ({asked_for}); raise its limit, or score "
            "fewer rows together: one model a process, a smaller --part-rows"
        )
        return KycMlError.exit_code
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:  # of any input
        terminal.failed(f"{str(error.filename)[:80]}…: {error.strerror}: name a shorter path")
        return KycMlError.exit_code
    # 1 means that a gate failed: a defect must not look like one
    terminal.crashed("".join(traceback.format_exception(error)))
    return DEFECT
