"""How a long computation reports progress, without knowing who reads it."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias

if TYPE_CHECKING:
    import pandas as pd

Progress: TypeAlias = Callable[[int, int], None]
"""Called with the pieces done and the pieces in all."""

StageProgress: TypeAlias = Callable[[str, int, int], None]
"""Called with the name of a stage, the pieces done and the pieces in all."""


class ProgressReporter:
    """Progress and notes of a job; subclasses write them to a terminal or a log."""

    def about(self, **facts: str | None) -> None:
        """Set what all that follows is about, such as the model; None removes the field."""

    def progress(self, stage: str, done: int, total: int, *, what: str = "") -> None:
        """Report `done` of `total` pieces of a stage; `what` names the piece in work."""

    def info(self, line: str) -> None:
        """Report one line that is worth keeping in a log."""

    def warning(self, line: str) -> None:
        """Report one line that needs attention; the job continues."""

    def show(self, title: str, table: pd.DataFrame) -> None:
        """Report a table for a person to read."""

    def __enter__(self) -> Self:
        """Begin to show progress."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop showing progress."""
