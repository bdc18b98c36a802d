"""How a job tells what it is doing, without knowing who listens."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Protocol, Self

import pandas as pd

_NAMED: Final = 5


class Watch(Protocol):
    """What a job reports to: a terminal, a log, or nobody."""

    def about(self, **facts: str | None) -> None:
        """Say what all that follows is about, such as the model; None takes a fact back."""

    def step(self, stage: str, done: int, total: int, *, what: str = "") -> None:
        """Report progress of a stage, `done` of `total` pieces; `what` names the one at work."""

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

    def about(self, **facts: str | None) -> None:
        """Say to nobody what follows is about."""

    def step(self, stage: str, done: int, total: int, *, what: str = "") -> None:
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


def tell_left_out(left_out: Mapping[str, str], watch: Watch, *, and_so: str = "") -> None:
    """Say which features are left out, those of one reason in one line.

    Parameters
    ----------
    left_out : mapping of feature to reason
    and_so : str
        What follows from it, after "left out".
    """
    by_reason: dict[str, list[str]] = defaultdict(list)
    for name, reason in left_out.items():
        by_reason[reason].append(name)
    for reason, names in by_reason.items():
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        features = "feature" if len(names) == 1 else "features"
        watch.say(
            f"{len(names)} {features} left out{and_so}: {reason}: {', '.join(names[:_NAMED])}{more}"
        )
