"""What the commands share: options, exit codes, and how a job runs before a terminal."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

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
    from kyc_ml.terminal import Terminal

Reads = Mapping[str, Path | Sequence[Path] | None]
Dates = Mapping[str, str | None]

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
Model = Annotated[
    str, typer.Option(help="models:/NAME@ALIAS, models:/NAME/VERSION, or a bundle's folder.")
]
AsOf = Annotated[
    str | None,
    typer.Option(
        help="Use what was known then (ISO date, UTC); default: the end of the data, the midnight "
        "after its last transaction or event, or after its last row where it has neither."
    ),
]
Since = Annotated[
    str | None,
    typer.Option(help="First instant to score; default for fraud: the day before --as-of."),
]
Quarantine = Annotated[
    Path | None,
    typer.Option(
        help="Parquet file for rows that break the contract; default: "
        "build/quarantine/SOURCE/FOLDER.parquet."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print the last summary only.")]

Policy = Annotated[
    Path | None,
    typer.Option(
        help="Validation policy (YAML): settings and gates; default: configs/validation.yaml of "
        "the working folder, or else the one that comes with kyc_ml."
    ),
]

LogFormat = Literal["text", "json"]
Log = Annotated[LogFormat, typer.Option(help="How to log: text, or json for one object a line.")]
Lang = Annotated[Literal["en", "zh"], typer.Option(help="Language of the page.")]


def example(line: str, *, after: str = "") -> str:
    r"""Write the example of a command below its help, on one line that can be pasted as it is.

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
    """Give the exit code that a scheduler reads an error by."""
    if isinstance(error, GateError):
        return GATE_FAILED
    return TRY_LATER if isinstance(error, UnreachableError | BusyError) else BAD_INPUT


def require_arguments(reads: Reads, dates: Dates) -> None:
    """Refuse paths that name nothing and dates that are none, all at once.

    Raises
    ------
    ConfigError
        With each argument; of a path, the nearest name beside it.
    """
    from kyc_ml.moments import read_date

    faults = Faults("the arguments", ConfigError)
    for name, text in dates.items():
        try:
            if text is not None:
                read_date(text, name=name)
        except ConfigError as error:
            faults.add(str(error))
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
    dates : mapping of an argument's name to its text; None where it was not given
        What must be an ISO date or time; looked at together with the paths. A log of JSON has
        ``--as-of`` in each line.
    """
    from kyc_ml.moments import name_instant
    from kyc_ml.terminal import JsonLines, Terminal

    several = len(models) > 1
    made = JsonLines(several=several) if log == "json" else Terminal(quiet=quiet, several=several)
    made.about(
        model=models[0] if len(models) == 1 else None,
        as_of=name_instant((dates or {}).get("--as-of")),
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
    """Write why a job ended without its result; gives the exit code."""
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
