"""Write the progress of a job to a terminal or to a log; plain lines without either."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.segment import Segment
from rich.text import Text

from kyc_ml.cli.language import translate
from kyc_ml.cli.outcome import Outcome
from kyc_ml.cli.terminal.quantity import to_json
from kyc_ml.cli.terminal.sheets import Sheet
from kyc_ml.cli.terminal.wrapping import show_controls, wrap
from kyc_ml.display import ProgressReporter

if TYPE_CHECKING:
    import pandas as pd

_WIDTH_WITHOUT_TERMINAL = 140
_MANY = 100
_DEFECT = "unexpected error, please report it"
_REFRESHED = 4
"""Times a second: each writes a line of control codes."""


class _Console(Console):
    """A console that shows control codes of what it prints, and sends its own alone."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render as rich does; text of data is in segments without control codes."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=show_controls(segment.text))


def _console(*, stderr: bool = False, width: int | None = None) -> Console:
    """Make a console that writes what it gets and cuts nothing."""
    return _Console(
        stderr=stderr, width=width, highlight=False, markup=False, emoji=False, soft_wrap=True
    )


def _translated(sheet: Sheet) -> Sheet:
    """Return a sheet in the language of the terminal: title, headings, and facts of a summary."""
    # cells under headings stay as they are: they hold data and names that users look up
    return replace(
        sheet,
        title=translate(sheet.title),
        columns=tuple(replace(each, heading=translate(each.heading)) for each in sheet.columns),
        rows=sheet.rows
        if sheet.headed
        else tuple(tuple(translate(str(cell)) for cell in row) for row in sheet.rows),
    )


class _Rate(ProgressColumn):
    """Items in a second; empty where there are few items."""

    def render(self, task: Task) -> Text:
        """Write the rate, once there is one."""
        few = task.total is None or task.total < _MANY
        return Text("" if few or task.speed is None else f"{task.speed:,.0f}/s")


class Terminal(ProgressReporter):
    """A reporter that draws progress on standard error and results on standard output.

    Without a terminal, progress is one plain line when a stage ends. A quiet one prints
    summaries only.

    Parameters
    ----------
    several : bool
        The job has several models: notes, tables and the summary name theirs.
    """

    def __init__(self, *, quiet: bool = False, several: bool = False) -> None:
        self._quiet, self._several = quiet, several
        self.outcome = Outcome()
        self._about: dict[str, str] = {}
        self._err = _console(stderr=True)
        self._out = self._results()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            console=self._err,
            refresh_per_second=_REFRESHED,
            expand=True,
            disable=quiet or not self._err.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def _results(self) -> Console:
        """Choose where results go."""
        # where both streams are terminals it is the console of the progress: it alone knows how
        # many lines to leave untouched when it draws the bar again
        if not sys.stdout.isatty():
            return _console(width=_WIDTH_WITHOUT_TERMINAL)
        return self._err if self._err.is_terminal else _console()

    def __enter__(self) -> Self:
        """Begin to show progress."""
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop showing progress."""
        self._progress.stop()

    def about(self, **facts: str | None) -> None:
        """Set fields of all that follows, such as the model; None removes a field."""
        known = {**self._about, **facts}
        self._about = {name: fact for name, fact in sorted(known.items()) if fact is not None}

    def _named(self, text: str) -> str:
        """Return a text with its model before it, where the job has several."""
        model = self._about.get("model")
        return f"{model}: {text}" if self._several and model else text

    def progress(self, stage: str, done: int, total: int, *, what: str = "") -> None:
        """Move the bar of a stage; a finished stage becomes one plain line."""
        if self._quiet:
            return
        stage = translate(stage)
        named = translate(f"{stage} {done + 1} of {total}: {what}") if what else stage
        if self._progress.disable:
            if done == total or what:
                self._err.print(named if what else translate(f"{stage}: done ({total})"))
            return
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(named, total=total)
        task = self._tasks[stage]
        self._progress.update(task, description=named, completed=done, total=total)
        if done == total:
            spent = self._progress.tasks[self._progress.task_ids.index(task)].elapsed or 0.0
            self._progress.remove_task(task)
            del self._tasks[stage]
            counted = f" ({total})" if total > 1 else ""
            self._err.print(translate(f"{stage}: done{counted} in {spent:.1f} s"))

    def failed(self, message: str) -> None:
        """Write why a job ended without its result."""
        self._note_reason(message)
        self._write(self._err, translate(f"error: {message}"))

    def crashed(self, trace: str) -> None:
        """Write the traceback of a defect."""
        self._note_reason(_DEFECT)
        typer.echo(f"{translate(_DEFECT)}:\n{show_controls(trace)}", err=True)

    def stopped(self) -> None:
        """Write that a person stopped the job."""
        self._note_reason("stopped")
        typer.echo(translate("stopped"), err=True)

    def _note_reason(self, message: str) -> None:
        """Keep why a job ended, and for which model, for its outcome."""
        model = self._about.get("model")
        self.outcome.reasons.append({"text": message, **({"model": model} if model else {})})

    def info(self, line: str) -> None:
        """Write one line to standard error; a terminal has it broken between words."""
        if not self._quiet:
            self._write(self._err, self._named(line))

    def warning(self, line: str) -> None:
        """Write one line to standard error, which begins with its level."""
        if not self._quiet:
            self._write(self._err, translate(f"warning: {self._named(line)}"))

    def show(self, title: str, table: pd.DataFrame) -> None:
        """Draw a data frame."""
        if not self._quiet:
            from kyc_ml.cli.terminal.tables import draw_frame

            self._out.print(_translated(draw_frame(self._named(translate(title)), table)))

    def draw(self, content: Sheet | str) -> None:
        """Write a part of the result to standard output; progress has ended."""
        # a line of progress that is still drawn would mix with the result
        self._progress.stop()
        if self._quiet:
            return
        if isinstance(content, str):
            self._write(self._out, translate(content))
        else:
            self._out.print(_translated(content))

    def summary(
        self, title: str, facts: Mapping[str, object], *, commands: Sequence[str] = ()
    ) -> None:
        """Draw the summary that ends a job, and below it commands to copy, never broken."""
        from kyc_ml.cli.terminal.tables import draw_facts

        self._progress.stop()
        self._out.print(_translated(draw_facts(self._named(translate(title)), facts)))
        for command in commands:
            self._out.print(command)

    @staticmethod
    def _write(console: Console, line: str) -> None:
        """Write a line: whole where a program may read it, else broken between words."""
        whole = [line] if not console.is_terminal else wrap(line, console.width)
        console.print("\n".join(whole))


class JsonLines(Terminal):
    """A log for programs: one JSON object a line on standard error.

    Each has time (ISO, UTC), level (info, warning, error), event (step, note, table, summary,
    error) and the fields of `about`. The last summary is printed as text too, on standard
    output.
    """

    def __init__(self, *, several: bool = False) -> None:
        super().__init__(quiet=True, several=several)

    def progress(self, stage: str, done: int, total: int, *, what: str = "") -> None:
        """Log the end of a stage."""
        if done == total:
            self._log("info", "step", stage=stage, done=done)

    def info(self, line: str) -> None:
        """Log one line."""
        self._log("info", "note", text=line)

    def warning(self, line: str) -> None:
        """Log one line that needs attention."""
        self._log("warning", "note", text=line)

    def show(self, title: str, table: pd.DataFrame) -> None:
        """Log a table, row by row."""
        rows = json.loads(table.to_json(orient="records", date_format="iso"))
        self._log("info", "table", title=title, rows=rows)

    def summary(
        self, title: str, facts: Mapping[str, object], *, commands: Sequence[str] = ()
    ) -> None:
        """Log the summary, and draw it."""
        logged: dict[str, object] = {name: to_json(fact) for name, fact in facts.items()}
        logged |= {"next": list(commands)} if commands else {}
        self._log("info", "summary", title=title, facts=logged)
        super().summary(title, facts, commands=commands)

    def failed(self, message: str) -> None:
        """Log why a job ended without its result."""
        self._note_reason(message)
        self._log("error", "error", text=message)

    def crashed(self, trace: str) -> None:
        """Log the traceback of a defect."""
        self._note_reason(_DEFECT)
        self._log("error", "error", text=_DEFECT, traceback=trace)

    def stopped(self) -> None:
        """Log that a person stopped the job."""
        self._note_reason("stopped")
        self._log("error", "error", text="stopped")

    def _log(self, level: str, event: str, **content: object) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        entry = {"time": now, "level": level, "event": event, **self._about, **content}
        typer.echo(show_controls(json.dumps(entry, ensure_ascii=False)), err=True)
