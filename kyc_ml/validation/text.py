"""A sentence in English and Chinese."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Text:
    """The same said in both languages.

    Attributes
    ----------
    en, zh : str
    """

    en: str
    zh: str


NOTHING: Final = Text("", "")
