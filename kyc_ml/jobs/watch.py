"""How a job tells what it is doing, without knowing who listens."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

import pandas as pd


class Watch(Protocol):
    """What a job reports to: a terminal, a log, or nobody."""

    def step(self, stage: str, done: int, total: int) -> None:
        """Report progress of a stage, `done` of `total` pieces."""

    def say(self, line: str) -> None:
        """Report one line worth keeping in a log."""

    def show(self, title: str, table: pd.DataFrame) -> None:
        """Report a table worth a person's look."""

    def __enter__(self) -> Self:
        """Begin to show progress."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop showing progress."""


class Silence:
    """A watch that keeps quiet; for use from Python."""

    def step(self, stage: str, done: int, total: int) -> None:
        """Report progress to nobody."""

    def say(self, line: str) -> None:
        """Say a line to nobody."""

    def show(self, title: str, table: pd.DataFrame) -> None:
        """Show a table to nobody."""

    def __enter__(self) -> Self:
        """Begin in silence."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End in silence."""
