"""The words of a report in English and Chinese."""

from pathlib import Path
from typing import Final

from kyc_ml.config import read_packaged
from kyc_ml.validation.text import Language, Text, say, texts_of

_FOLDER: Final = Path(__file__).parent

WORDS: Final = texts_of(read_packaged(_FOLDER / "words.yaml"))
"""Words of the page, except those of checks."""

COLUMNS: Final = texts_of(read_packaged(_FOLDER / "columns.yaml"))
"""Heads of table columns; a column that is not listed is shown by its name."""


def word(key: str, language: Language) -> str:
    """Return one of the words of ``words.yaml``."""
    return say(WORDS[key], language)


def name_column(column: str, language: Language, *, check: str = "") -> str:
    """Return the head of a column of a table; a check may have its own."""
    plain = column.replace("_", " ")
    head = COLUMNS.get(f"{check}.{column}") or COLUMNS.get(column, Text(plain, plain))
    return say(head, language)
