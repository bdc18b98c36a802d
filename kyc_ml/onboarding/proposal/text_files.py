"""Form of an unknown text file: encoding, delimiter, header, quotes, words for missing values.

Guesses are reported for the user to confirm.
"""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kyc_ml.contract import looks_like, made_names, marked_encoding, open_plain, stranger

_DELIMITERS: Final = (";", "\t", "|", ",", "^", "~")
_HEAD: Final = 1_000_000
_LINES: Final = 200
_MOST_ABOVE: Final = 10
"""Largest number of lines above a table (convention)."""
_MOSTLY: Final = 0.9
_SEPARATOR: Final = re.compile(r'"?sep=(.)"?[;,\t|]*', re.IGNORECASE)
_VALUE: Final = re.compile(r"[\s\d.,:/+-]*\d[\s\d.,:/+TZ-]*")
_TIME: Final = re.compile(
    r"\d{4}[-/.年]\d{1,2}[-/.月]\d{1,2}.*|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}.*|20\d{12}"
)
_DECIMAL: Final = re.compile(r"-?\d+[.,]\d{1,2}")
_NULLS: Final = frozenset(
    {"NULL", "null", "Null", "(null)", "\\N", "N/A", "n/a", "#N/A", "NaN", "nan", "<NA>", "None"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextShape:
    """Form of a csv file."""

    keys: dict[str, object] = field(default_factory=dict)
    """Keys of its `files:` entry that differ from their defaults."""
    columns: tuple[str, ...]
    confirm: tuple[str, ...] = ()
    named: bool = True
    """False where the file has no column names, and names are made up."""


@dataclass(kw_only=True)
class NotATableError(Exception):
    """A file is not a table; `reason` continues the sentence that begins with its name."""

    reason: str


def find_encoding(head: bytes) -> tuple[str | None, str, list[str]]:
    """Return the encoding to declare (None for UTF-8 or a byte-order mark), text and guesses.

    Raises NotATableError if it is not text.
    """
    fault = stranger(head)
    if fault is not None:
        raise NotATableError(reason=fault)
    marked = marked_encoding(head)
    if marked is not None:
        return None, head.decode(marked, errors="ignore").lstrip("\ufeff"), []
    body = head[: max(head.rfind(b"\n"), head.rfind(b"\r")) + 1 or None]  # no half a letter
    if b"\x00" not in body and _is_utf8(body):
        return None, body.decode("utf-8"), []
    found = looks_like(head)
    sure = re.search(r"write encoding: (\S+)$", found)
    encoding = sure[1] if sure else "gb18030"
    text = body.decode(encoding, errors="ignore")
    if b"\x00" in body and sum(not mark.isprintable() for mark in text) > len(text) / 4:
        raise NotATableError(reason="is not text")
    doubt = f"it is not UTF-8 and {found.partition(':')[0]}: confirm the encoding"
    return encoding, text, [doubt]


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def find_shape(path: Path) -> TextShape:
    """Read the head of a csv file, compressed or not, and return its form.

    Raises NotATableError if it is not a table; OSError if it cannot be read.
    """
    with open_plain(path) as handle:
        head = handle.read(_HEAD)
    encoding, text, confirm = find_encoding(head)
    keys: dict[str, object] = {} if encoding is None else {"encoding": encoding}
    lines = re.split(r"\r\n|\n|\r", text)[: _LINES + _MOST_ABOVE + 1]
    declared = _SEPARATOR.fullmatch(lines[0])
    lines = lines[1:] if declared else lines
    delimiter = declared[1] if declared else _delimiter([line for line in lines if line.strip()])
    if delimiter != ",":
        keys["delimiter"] = delimiter
    if r"\"" in text:
        keys["escape"] = "\\"
    rows = _cut(lines, delimiter, keys)
    above = 0 if declared else _lines_above(rows)
    if above:
        keys["skip"] = above
        confirm.append(f"the {above} line(s) above the column names are not part of the table")
    rows = [row for row in rows[above:] if row != []]
    if not rows or len(rows[0]) < 2:
        raise NotATableError(reason="is one column of text, not a table")
    nulls = sorted({cell for row in rows[1:] for cell in row} & _NULLS)
    if nulls:
        keys["nulls"] = nulls
        confirm.append(f"{', '.join(nulls)} as a whole value is taken for missing")
    return _with_header(rows, keys, confirm, above=above + (1 if declared else 0))


def _cut(lines: Sequence[str], delimiter: str, keys: dict[str, object]) -> list[list[str]]:
    escaped = "escape" in keys
    # a value over several lines would take in the lines after it
    return [
        next(
            csv.reader(
                [line],
                delimiter=delimiter,
                doublequote=not escaped,
                escapechar="\\" if escaped else None,
            ),
            [],
        )
        for line in lines
    ]


def _delimiter(lines: Sequence[str]) -> str:
    """Choose the delimiter that splits most lines alike, into most columns."""

    def cut(delimiter: str) -> tuple[float, int]:
        counts = Counter(len(row) for row in csv.reader(lines, delimiter=delimiter))
        if not counts:
            return 0.0, 0
        width, n = max(counts.items(), key=lambda pair: (pair[1], pair[0]))
        return (0.0, 0) if width < 2 else (n / counts.total(), width)

    return max(_DELIMITERS, key=cut)


def _lines_above(rows: Sequence[Sequence[str]]) -> int:
    widths = Counter(len(row) for row in rows[_MOST_ABOVE:] or rows)
    usual = max(widths, key=lambda width: (widths[width], width))
    if usual < 2 or not rows or len(rows[0]) >= usual:
        return 0
    begun = next((n for n, row in enumerate(rows[:_MOST_ABOVE]) if len(row) >= usual), 0)
    # a header with fewer names than values is not a title
    return begun if all(sum(map(bool, row)) <= 2 for row in rows[:begun]) else 0


def _with_header(
    rows: Sequence[list[str]], keys: dict[str, object], confirm: list[str], *, above: int
) -> TextShape:
    header, body = rows[0], rows[1:]
    if any(_VALUE.fullmatch(cell) for cell in header):
        names = _names_of(rows)
        confirm.append(
            "no line names its columns: the names are made up from what the columns hold"
        )
        keys |= {"header": False, "columns": names}
        return TextShape(keys=keys, columns=tuple(names), confirm=tuple(confirm), named=False)
    if not body:
        raise NotATableError(reason="has a header and no rows")
    names = made_names([cell.strip() if cell.isspace() else cell for cell in header])
    width, n = Counter(len(row) for row in body).most_common(1)[0]
    if width != len(names) and n >= _MOSTLY * len(body):
        kept = names[:width] + [f"column{place}" for place in range(len(names), width)]
        keys |= {"header": False, "skip": above + 1, "columns": kept}
        shown = (
            "the last names are taken to belong to no column"
            if width < len(names)
            else ("the last columns have no name")
        )
        confirm.append(
            f"the first line names {len(names)} columns, and the other lines have {width} values: "
            f"{shown}"
        )
        return TextShape(keys=keys, columns=tuple(kept), confirm=tuple(confirm))
    return TextShape(keys=keys, columns=tuple(names), confirm=tuple(confirm))


def _names_of(rows: Sequence[Sequence[str]]) -> list[str]:
    width = Counter(len(row) for row in rows).most_common(1)[0][0]
    columns = [[row[n] for row in rows if len(row) == width] for n in range(width)]
    names: list[str] = []
    for place, cells in enumerate(columns, start=1):
        full = [cell for cell in cells if cell]
        kind = "column"
        if full and all(_TIME.fullmatch(cell) for cell in full):
            kind = "event_time"
        elif full and all(_DECIMAL.fullmatch(cell) for cell in full):
            kind = "amount"
        elif len(set(full)) == len(rows) > 1:
            kind = "transaction_id"
        names.append(kind if kind != "column" and kind not in names else f"{kind}_{place}")
    # the first of the columns that are left which repeats as customers do
    again = [
        n
        for n, cells in enumerate(columns)
        if names[n].startswith("column_") and 4 < len(set(cells)) < _MOSTLY * len(cells)
    ]
    if again:
        names[again[0]] = "customer_id"
    return names
