"""The language of a terminal, and fixed texts in it."""

import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from kyc_ml.config import read_packaged

_FOLDER: Final = Path(__file__).parent
VARIABLE: Final = "KYC_ML_LANGUAGE"
_LOCALE: Final = ("LC_ALL", "LC_MESSAGES", "LANG")
"""In the order in which POSIX lets one override the other."""


def language() -> Literal["en", "zh"]:
    """Return the language of the terminal: of ``KYC_ML_LANGUAGE``, or else of the locale.

    Any language other than Chinese gives English.
    """
    named = next((value for key in (VARIABLE, *_LOCALE) if (value := os.environ.get(key))), "")
    return "zh" if named.lower().startswith("zh") else "en"


def choose(text: str | Mapping[str, str]) -> str:
    """Return a text in the language of the terminal; one that is a string is the same in all."""
    return text if isinstance(text, str) else text[language()]


@cache
def read_texts(name: str) -> dict[str, Any]:
    """Read one of the files of texts in this package, such as ``help.yaml``."""
    return read_packaged(_FOLDER / name)


def translate(text: str) -> str:
    """Return a fixed text of the terminal in its language; what has no translation stays English.

    A text of ``terminal/words.yaml`` may have places for names (``{}``) and numbers (``{n}``).
    """
    if language() == "en":
        return text
    words = read_texts("terminal/words.yaml")
    if text in words:
        return str(words[text])
    for pattern, chinese in _patterns():
        found = pattern.fullmatch(text)
        if found is not None:
            return chinese.format(*map(translate, found.groups()))
    return text


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """Return the texts with places as patterns, the longest first: it is the most specific."""
    words = read_texts("terminal/words.yaml")
    # the longest first: it is the most specific
    texts = sorted((text for text in words if "{" in text), key=len, reverse=True)
    return [
        (
            re.compile(
                re.escape(text).replace(r"\{n\}", r"([\d,.]+)").replace(r"\{\}", "(.+)"), re.DOTALL
            ),
            str(words[text]),
        )
        for text in texts
    ]
