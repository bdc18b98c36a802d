"""What the commands share: options, exit codes, and how a job runs before a terminal."""

from __future__ import annotations

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

Reads = Mapping[str, Path | Sequence[Path] | None]
Dates = Mapping[str, Time | None]

GATE_FAILED: Final = 1
BAD_INPUT: Final = 2
DEFECT: Final = 3
TRY_LATER: Final = 4
SIGNALLED: Final = 128
"""And the number of the signal: what a shell gives for a process that one ended."""

VALIDATION: Final = "validation.yaml"
"""The validation policy where none is named; see `find_shipped`."""

Source = Annotated[
    Path, typer.Option(help="Source mapping (YAML): the user's files to contracted tables.")
]
Data = Annotated[Path, typer.Option(help="Folder that holds the files the mapping names.")]
Config = Annotated[Path, typer.Option(help="Run configuration (YAML), such as configs/fraud.yaml.")]
ModelOption = Annotated[
    str, typer.Option(help="models:/NAME@ALIAS, models:/NAME/VERSION, or a bundle's folder.")
]


def time_option(name: str, *, help: str) -> Any:  # noqa: A002, ANN401  as typer has them
    """Make an option that takes a date or time and gives it in UTC.

    Text that is neither is given as its error: `job` raises it, together with all other faults
    of the arguments.
    """

    def parse(text: str) -> Time | ConfigError:
        from kyc_ml.config import parse_time

        try:
            return parse_time(text, name=name)
        except ConfigError as error:
            return error

    return typer.Option(parser=parse, help=help)


AsOfOption = Annotated[
    Time | None,
    time_option(
        "--as-of",
        help="Use what was known then (ISO date, UTC); default: the end of the data, the midnight "
        "after its last transaction or event, or after its last row where it has neither.",
    ),
]
Since = Annotated[
    Time | None,
    time_option(
        "--since", help="First instant to score; default for fraud: the day before --as-of."
    ),
]
Quarantine = Annotated[
    Path | None,
    typer.Option(
        help="Parquet file for rows that break the contract; default: "
        "build/quarantine/SOURCE/FOLDER.parquet."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print the last summary only.")]

PolicyOption = Annotated[
    Path | None,
    typer.Option(
        help="Validation policy (YAML): settings and gates; default: configs/validation.yaml of "
        "the working folder, or else the one that comes with kyc_ml."
    ),
]

LogFormat = Literal["text", "json"]
LogOption = Annotated[
    LogFormat, typer.Option(help="How to log: text, or json for one object a line.")
]
Lang = Annotated[Literal["en", "zh"], typer.Option(help="Language of the page.")]


def example(line: str, *, after: str = "") -> str:
    r"""Return the example that stands below the help of a command, as one line to paste.

    Parameters
    ----------
    after : str
        What leaves the files and models that the line names; '' where the repository has all.

    Examples
    --------
    >>> example("kyc-ml findings", after="make demo")
    'Example, after make demo:\n\n\x08\nkyc-ml findings'
    """
    lead = f"Example, after {after}:" if after else "Example:"
    return f"{lead}\n\n\b\n{line}"  # below \b click breaks no line


def exit_code_of(error: KycMlError) -> int:
    """Return the exit code that a scheduler reads an error by."""
    if isinstance(error, GateError):
        return GATE_FAILED
    return TRY_LATER if isinstance(error, UnreachableError | BusyError) else BAD_INPUT


def require_arguments(reads: Reads, dates: Dates) -> None:
    """Check that paths name something and that dates are some; all faults are reported together.

    Raises
    ------
    ConfigError
        With each argument; of a path, the nearest name beside it.
    """
    faults = Faults("the arguments", ConfigError)
    faults.extend(str(given) for given in dates.values() if isinstance(given, ConfigError))
    for name, given in reads.items():
        for path in [given] if isinstance(given, Path) else given or ():
            if not path.exists():
                near = hint_path(path.name, _names_beside(path))
                faults.add(f"{name} {path} does not exist{near}")
    faults.raise_if_any()


def _names_beside(path: Path) -> list[str]:
    try:
        return [each.name for each in path.parent.iterdir()]
    except OSError:  # the folder is not there either, or closed to us: no hint
        return []


@contextmanager
def job(
    *,
    quiet: bool = False,
    log: LogFormat = "text",
    models: Sequence[str] = (),
    reads: Reads | None = None,
    dates: Dates | None = None,
) -> Iterator[Terminal]:
    """Run a job before a terminal; an error on purpose is one message and an exit code.

    Parameters
    ----------
    models : sequence of str
        Models that the job is about, as asked for: a log of JSON has the only one in each line,
        for people notes name theirs where there are several.
    reads : mapping of an argument's name to its path or paths; None where it was not given
        What must be there. Looked at before anything heavy is imported, so that a mistyped
        path costs no wait.
    dates : mapping of an argument's name to what its `time_option` gave
        Looked at together with the paths. A log of JSON has ``--as-of`` in each line.
    """
    from kyc_ml.cli.terminal.reporters import JsonLines, Terminal

    several = len(models) > 1
    made = JsonLines(several=several) if log == "json" else Terminal(quiet=quiet, several=several)
    as_of = (dates or {}).get("--as-of")
    made.about(
        model=models[0] if len(models) == 1 else None,
        as_of=as_of.isoformat() if isinstance(as_of, datetime) else None,
    )
    try:
        require_arguments(reads or {}, dates or {})
        if "--data" in (reads or {}):
            require_addresses()
        with made as terminal:
            yield terminal
    except (Exception, Terminated) as error:
        raise typer.Exit(code=_told(error, made)) from None
    except KeyboardInterrupt:
        made.stopped()
        raise typer.Exit(code=130) from None


def _told(error: BaseException, terminal: Terminal) -> int:
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
            f"memory: this process was given no more ({asked_for}); give it more, or take fewer "
            "rows: one model a process, a smaller --part-rows"
        )
        return BAD_INPUT
    # 1 means that a gate failed: a defect must not look like one
    terminal.crashed("".join(traceback.format_exception(error)))
    return DEFECT
