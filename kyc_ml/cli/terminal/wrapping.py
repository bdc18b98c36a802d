"""Lines of a given width: broken between words and Chinese characters, never inside a word."""

from __future__ import annotations

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
