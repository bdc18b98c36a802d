"""Layout of a table for a given width: nothing is ever cut.

The one place that draws tables. At full width a sheet is a table; where its words do not fit, it
is turned (a column for each row), and where that does not fit either it becomes one block of lines
for each row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from kyc_ml.cli.terminal.wrapping import PIECES, wrap

_SHORT_NAME: Final = 28
"""Cells of a name that has its value on the same line."""
_TERM: Final = 12
"""Cells of a Chinese term that stays in one piece."""
_BESIDE: Final = 12
"""Rows that are shown side by side; with more, the first and the last are too far apart."""
_SHORT: Final = 24
_NAME: Final = 45
"""Cells of what is worth laying side by side, and of its name above it; prose is not."""
_TALLEST: Final = 5
"""Lines of a cell: beyond, a block of lines for each row is easier to read than a table."""
_TALL: Final = 2
"""Lines of a cell beyond which what is secondary gives its place to the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a sheet."""

    heading: str
    right: bool = False
    """Numbers are aligned right."""
    secondary: bool = False
    """Repeats other cells of the row, such as a bar: left out if there is no room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A table that knows how to be drawn at any width; see the module."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str | Text, ...], ...]
    """Tuple of tuple of str or Text; one cell a column; a Text is of one line."""
    caption: str = ""
    headed: bool = True
    """False for a summary, whose first column names what its second says."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text | Table]:
        """Draw the sheet at the width of a console."""
        yield from self.laid_out(options.max_width)

    def laid_out(self, width: int) -> Iterator[Text | Table]:
        """Return the lines and tables that say all of the sheet in `width` cells.

        A word that is wider than a line, such as an address, is written in one piece all the
        same: a terminal continues it on its next line, from where it is copied whole.
        """
        yield from _lines(self.title, width)
        kept = [place for place, column in enumerate(self.columns) if not column.secondary]
        main = self._only(kept)
        whole = self.fitted(width, tallest=_TALL) if main.columns != self.columns else None
        widths = main.fitted(width)
        if whole is not None:
            yield self._table(whole)
        elif widths is not None:
            yield main._table(widths)
        else:
            yield from main._turned(width) if self.headed else self._blocks(width)
        yield from _lines(self.caption, width)

    def _only(self, places: Sequence[int]) -> Sheet:
        return replace(
            self,
            columns=tuple(self.columns[place] for place in places),
            rows=tuple(tuple(row[place] for place in places) for row in self.rows),
        )

    def fitted(self, width: int, *, tallest: int = _TALLEST) -> list[int] | None:
        """Return a width for each column that breaks no word, or None if there is no room.

        `tallest`: lines that a cell of a headed sheet may take.
        """
        if not self.columns:
            return None
        headings = [column.heading if self.headed else "" for column in self.columns]
        cells = [[heading, *_column(self.rows, place)] for place, heading in enumerate(headings)]
        least = [max(_least(cell) for cell in column) for column in cells]
        wanted = [max(_widest_line(cell) for cell in column) for column in cells]
        room = width - (3 * len(cells) + 1)
        if sum(least) > room:
            return None
        widths = _shared_out(least, wanted, room)
        long = (
            (cell, widest)
            for column, widest in zip(cells, widths, strict=True)
            for cell in column
            if self.headed and cell_len(cell) > widest * tallest // 2
        )
        return None if any(len(wrap(*each)) > tallest for each in long) else widths

    def _table(self, widths: Sequence[int]) -> Table:
        table = Table(show_header=self.headed)
        for column, width in zip(self.columns, widths, strict=True):
            table.add_column(
                _broken(column.heading, width),
                justify="right" if column.right else "left",
                width=width,
                no_wrap=True,
                overflow="ignore",
            )
        for row in self.rows:
            table.add_row(*(_broken(cell, each) for cell, each in zip(row, widths, strict=True)))
        return table

    def _turned(self, width: int) -> Iterator[Text | Table]:
        """Lay rows side by side, as many as fit; where two do not, write blocks of lines."""
        prose = any(
            _widest_line(_plain(cell)) > (_NAME if place == 0 else _SHORT)
            for row in self.rows
            for place, cell in enumerate(row)
        )
        if prose or self._is_matrix() or not 0 < len(self.rows) <= _BESIDE:
            yield from self._blocks(width)
            return
        found: list[tuple[Sheet, list[int]]] = []
        start = 0
        while start < len(self.rows):
            fits = [
                (turned, widths)
                for stop in range(start + 1, len(self.rows) + 1)
                for turned in (self._turn(start, stop),)
                if (widths := turned.fitted(width)) is not None
            ]
            if not fits or (len(fits) == 1 and len(self.rows) > 1 and not found):
                yield from self._blocks(width)
                return
            found.append(fits[-1])
            start += len(fits)
        for turned, widths in found:
            yield turned._table(widths)

    def _is_matrix(self) -> bool:
        """Return whether rows and columns are named alike: turned, they look the same."""
        across = {column.heading.replace("_", " ") for column in self.columns[1:]}
        return across == {_plain(row[0]).replace("_", " ") for row in self.rows}

    def _turn(self, start: int, stop: int) -> Sheet:
        first, *others = self.columns
        chosen = self.rows[start:stop]
        right = all(column.right for column in others)
        return Sheet(
            title="",
            columns=(
                Column(heading=first.heading),
                *(Column(heading=_plain(row[0]), right=right) for row in chosen),
            ),
            rows=tuple(
                (column.heading, *(row[place] for row in chosen))
                for place, column in enumerate(others, start=1)
            ),
        )

    def _blocks(self, width: int) -> Iterator[Text]:
        """Write each row as lines of a name and what it is."""
        if not self.headed:
            yield from _named_lines([(_plain(a), _plain(b)) for a, b in self.rows], width)
            return
        naming, *others = self.columns
        lead = f"{naming.heading}: " if naming.heading else ""
        for first, *cells in self.rows:
            named_by = f"{lead}{_plain(first)}"
            yield from (Text(line, style="bold") for line in wrap(named_by, width))
            named = zip(others, cells, strict=True)
            facts = [(f"  {column.heading}", _plain(cell)) for column, cell in named]
            yield from _named_lines([each for each in facts if each[1]], width)
        if not self.rows:
            yield Text("no rows")


def _plain(cell: str | Text) -> str:
    return cell.plain if isinstance(cell, Text) else cell


def _column(rows: Sequence[tuple[str | Text, ...]], place: int) -> list[str]:
    return [_plain(row[place]) for row in rows]


def _broken(cell: str | Text, width: int) -> RenderableType:
    return cell if isinstance(cell, Text) else Text("\n".join(wrap(cell, width)))


def _widest_word(cell: str) -> int:
    return max((cell_len(piece.strip()) for piece in PIECES.findall(cell)), default=0)


def _least(cell: str) -> int:
    """Return the width that a cell needs: no word broken, and no Chinese term put upright."""
    word = _widest_word(cell)
    return word if cell.isascii() else max(word, min(_widest_line(cell), _TERM))


def _widest_line(cell: str) -> int:
    return max(cell_len(line) for line in cell.split("\n"))


def _shared_out(least: Sequence[int], wanted: Sequence[int], room: int) -> list[int]:
    """Distribute cells to columns: each gets its minimum, the rest goes to the widest in turn."""
    widths = list(least)
    spare = room - sum(least)
    while spare > 0:
        needy = [place for place, width in enumerate(widths) if width < wanted[place]]
        if not needy:
            break
        each = max(1, spare // len(needy))
        for place in needy:
            given = min(each, wanted[place] - widths[place], spare)
            widths[place] += given
            spare -= given
    return widths


def _named_lines(facts: Sequence[tuple[str, str]], width: int) -> Iterator[Text]:
    """Write names and values, aligned; a long one begins a new line."""
    short = [length for length in (cell_len(name) for name, _ in facts) if length <= _SHORT_NAME]
    indent = min(max(short, default=0) + 2, width // 2)
    for name, value in facts:
        word = _widest_word(value)
        if cell_len(name) < indent and word <= width - indent:
            first, *others = wrap(value, width - indent)
            yield Text(name + " " * (indent - cell_len(name)) + first)
            yield from (Text(" " * indent + line) for line in others)
            continue
        lead = " " * 4 if word <= width - 4 else ""
        yield from (Text(line) for line in wrap(name, width))
        yield from (Text(lead + line) for line in wrap(value, width - len(lead)))


def _lines(text: str, width: int) -> Iterator[Text]:
    """Write a title or a note, if there is one."""
    if text:
        yield from (Text(line, style="italic") for line in wrap(text, width))
