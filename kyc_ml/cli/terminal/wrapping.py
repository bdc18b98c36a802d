"""Lines of a given width: broken between words and Chinese characters, never inside a word."""

import re
from typing import Final

from rich.cells import cell_len

_WIDE = (
    "\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6"
)
PIECES: Final = re.compile(
    rf"\s+|[（《「“【]*(?:[{_WIDE}]|[^\s{_WIDE}]+)[，。；：、！？）》」”】%％]*"
)
"""Blanks; a Chinese character, which may be followed by a line break; or a word, which may not."""


_CONTROLS: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
"""Codes that move the cursor, colour or hide text, and marks that turn its direction around."""


def show_controls(text: str) -> str:
    r"""Write the control codes of data as JSON does: a name in a file must not steer a terminal.

    Line breaks and tabs stay.

    Examples
    --------
    >>> show_controls("a\x1b[2Jb\u202e") == r"a\u001b[2Jb\u202e"
    True
    """
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def wrap(text: str, width: int) -> list[str]:
    """Break a text into lines of at most `width` cells: between words and Chinese characters.

    A word that is wider has a line for itself, unbroken.

    Examples
    --------
    >>> wrap("12 rows of all", 8), wrap("取款金额，共12笔", 8)
    (['12 rows', 'of all'], ['取款金', '额，共12', '笔'])
    """
    lines = []
    for line in text.split("\n"):
        built = ""
        for piece in PIECES.findall(line):
            if built.strip() and cell_len(built) + cell_len(piece.rstrip()) > width:
                lines.append(built.rstrip())
                built = piece.lstrip()
            else:
                built += piece
        lines.append(built.rstrip())
    return lines
