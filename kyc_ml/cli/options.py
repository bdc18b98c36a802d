"""What the commands share: options, exit codes, and how a job runs before a terminal."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from kyc_ml.errors import GateError, KycMlError, UnreachableError

if TYPE_CHECKING:
    from kyc_ml.terminal import Terminal

GATE_FAILED: Final = 1
BAD_INPUT: Final = 2
DEFECT: Final = 3
TRY_LATER: Final = 4

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
    typer.Option(help="Use what was known then (ISO date, UTC); default: the end of the data."),
]
Since = Annotated[
    str | None,
    typer.Option(help="First instant to score; default for fraud: the day before --as-of."),
]
Quarantine = Annotated[Path, typer.Option(help="Parquet file for rows that break the contract.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print the last summary only.")]

REFUSED: Final = Path("build/quarantine.parquet")


class LogFormat(StrEnum):
    """How progress and notes are written to standard error."""

    TEXT = "text"
    JSON = "json"


LogFormatOption = Annotated[
    LogFormat, typer.Option(help="How to log: text, or json for one object a line.")
]


def exit_code_of(error: KycMlError) -> int:
    """Give the exit code that a scheduler reads an error by."""
    if isinstance(error, GateError):
        return GATE_FAILED
    return TRY_LATER if isinstance(error, UnreachableError) else BAD_INPUT


@contextmanager
def job(*, quiet: bool, log: LogFormat = LogFormat.TEXT) -> Iterator[Terminal]:
    """Run a job before a terminal; an error on purpose is one message and an exit code."""
    from kyc_ml.terminal import JsonLines, Terminal

    made = JsonLines() if log is LogFormat.JSON else Terminal(quiet=quiet)
    try:
        with made as terminal:
            yield terminal
    except KycMlError as error:
        made.failed(str(error))
        raise typer.Exit(code=exit_code_of(error)) from None
    except Exception:
        # 1 means that a gate failed: a defect must not look like one
        made.crashed(traceback.format_exc())
        raise typer.Exit(code=DEFECT) from None
    except KeyboardInterrupt:
        made.stopped()
        raise typer.Exit(code=130) from None
